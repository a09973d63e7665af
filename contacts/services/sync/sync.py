"""The sync: departments, members, tags, contact ways and relations read from WeCom, as a long job.

Each step reads a little, writes it and its own position in one transaction, so a killed sync goes on where it
was, without gaps; what it reads twice changes nothing.

    full      everything. Relations by pages of 100 (sync_lanes → sync_halves → sync_merge), then the list of each guide beside
              ours (sync_lists): who came meanwhile is read, who is missing ends as `gone` (sync_gone)
    changes   only what may have changed while we heard nothing: members, tags, the lists, and the customers
              whom a list shows and we do not have, by pages and one by one at the same time: two APIs of WeCom's
    guide     the relations of one guide

Source: developer.work.weixin.qq.com/document/path/92994, 92113
"""

import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _

from contacts import hooks
from contacts.models import Follow
from contacts.services.sync.sync_gone import end_missing
from contacts.services.sync.sync_halves import Batch, Halves
from contacts.services.sync.sync_lanes import Lanes, Page, Reader, fill_lanes, guides_of, settle
from contacts.services.sync.sync_lists import ask_lists, compare_lists, lists_of
from contacts.services.sync.sync_run import LABELS, Overtaken, Run
from contacts.services.sync.sync_types import Merged
from org import audit
from org.access import Actor
from org.models import Corp, Job, Staff
from org.services import corp_jobs
from org.services.jobs import start_job
from scrm import clock
from scrm.errors import InvalidError, NotFoundError
from tenants.db import statistics
from tenants.models import Brand
from wecom.api import contacts as api
from wecom.api import members as members_api
from wecom.client import client_for
from wecom.services import staff_sync

log = logging.getLogger(__name__)

KIND = "wecom_sync"
DEPARTMENTS, WAYS, UNSEEN = 20, 50, 50  # per step
SAMPLE = 10  # guides asked for an estimate of the whole
MERGE = 48  # pages merged at once, if so many are there; as many again are read meanwhile
MANY = 10_000  # new rows, by which the plans of Postgres change
# what a merge looks up and a first sync fills, by the count of the job that tells how much
TABLES = {
    "new_relations": ("contacts_follow",),
    "new_contacts": ("contacts_contact", "contacts_contactstat", "contacts_identity"),
}
STEP_S = 20.0  # a step ends after this, so that others get their turn
KINDS = ("full", "changes", "guide")


def start_sync(brand: Brand, *, corp: Corp, by: Actor, kind: str = "full", staff: Staff | None = None) -> Job:
    """Start a sync in the caller's transaction; one that runs already is returned.

    Args:
        kind: full, changes, or guide: only the relations of `staff`.
    """
    if kind not in KINDS or (kind == "guide") != (staff is not None):
        raise InvalidError(_("Choose what to sync"))
    if staff is not None and (staff.corp_id != corp.pk or not staff.userid):
        raise NotFoundError()
    with translation.override(settings.LANGUAGE_CODE):  # the title is what makes a job one
        title = _("Sync: %(name)s") % {"name": staff.name if staff else corp.name}
        title += f" ({staff.userid})" if staff else _(" (changes)") if kind == "changes" else ""
    params = {"corp_id": corp.pk, "kind": kind, "staff_ids": [staff.pk] if staff else []}
    job = start_job(brand, kind=KIND, title=title, params=params, by=by)
    audit.record(by, "sync.start", corp, after={"kind": kind, "staff": staff.name if staff else ""})
    return job


def step(brand: Brand, job: Job) -> bool:
    """One step of the job; True: there is more."""
    corp = corp_jobs.corp_of(job)
    first = {"full": "departments", "changes": "departments", "guide": "contacts"}[job.params["kind"]]
    run = Run(brand, job, corp, client_for(corp), {"stage": first, **job.position})
    try:
        STAGES[run.at["stage"]](run)
    except Overtaken:
        log.warning("sync %s is run by another process too", job.pk)
        return not _is_over(job)
    return run.at["stage"] != "end"


@transaction.atomic
def _is_over(job: Job) -> bool:
    job.refresh_from_db()
    return job.state != Job.State.RUNNING


# ---- departments, members, tags, contact ways


def _departments(run: Run) -> None:
    found = staff_sync.sync_departments(run.brand, run.corp, run.client)
    with transaction.atomic():
        present = Staff.objects.filter(corp=run.corp).exclude(state=Staff.State.LEFT).exclude(userid="")
        run.at["unseen"] = list(present.order_by("pk").values_list("pk", flat=True))
        run.at["departments"] = sorted(d["id"] for d in found)
        run.next("members")


def _members(run: Run) -> None:
    """Members of some departments; then those whom no department showed."""
    todo, unseen = run.at["departments"], run.at["unseen"]
    if not todo and not unseen:
        with transaction.atomic():
            return run.next("tags")
    if not todo:
        left = staff_sync.check_unseen(run.corp, run.client, unseen[:UNSEEN])
        with transaction.atomic():
            run.at["unseen"] = unseen[UNSEEN:]
            return run.save(result=run.counted(left=left))
    leaders = staff_sync.leaders_of(members_api.departments(run.client))
    guides = {userid.lower() for userid in api.follow_users(run.client)}
    found = [m for d in todo[:DEPARTMENTS] for m in members_api.department_users(run.client, d)]
    with transaction.atomic():
        seen = staff_sync.save_members(run.brand, run.corp, found, guides=guides, leaders=leaders)
        run.at["departments"] = todo[DEPARTMENTS:]
        run.at["unseen"] = sorted(set(unseen) - set(seen))
        run.save(result=run.counted(members=len(seen)))
    return None


def _tags(run: Run) -> None:
    counts = hooks.sync_tags(run.brand, run.corp, run.client)
    with transaction.atomic():
        if run.job.params["kind"] == "changes":
            run.at["since"] = clock.now().isoformat()
            return run.next("lists", result=run.counted(tags=counts["tags"]))
        return run.next("ways", result=run.counted(tags=counts["tags"]))


def _ways(run: Run) -> None:
    done = hooks.check_ways(run.brand, run.corp, run.client, after=run.at.get("way", 0), limit=WAYS)
    with transaction.atomic():
        result = run.counted(ways=done["checked"], ways_missing=done["missing"])
        if done["next"] is None:
            run.next("contacts", result=result)
        else:
            run.at["way"] = done["next"]
            run.save(result=result)


# ---- relations


def _contacts(run: Run) -> None:
    """Pages of the present guides for some seconds: read ahead by threads, merged with the position behind them."""
    at = run.at
    if "since" not in at:
        at["since"], total = clock.now().isoformat(), _estimate(run)
        with transaction.atomic():
            return run.save(stage=str(LABELS["contacts"]()), n_total=total)
    until, told = time.monotonic() + STEP_S, 0
    with Reader(run.corp) as reader, Halves(run, lambda *done: _save(run, *done)) as halves:
        lanes = fill_lanes(run)
        while lanes:
            reader.start(lanes)
            lanes = _keep(run, reader.take(MERGE), halves)
            told = _tell_postgres(run, told)
            if not run.is_live or time.monotonic() > until:
                _keep(run, reader.rest(), halves)
                return halves.wait()
        halves.wait()
    with transaction.atomic():
        for name in ("lanes", "apart", "after", "people"):
            at.pop(name, None)
        if at.pop("only", None) is None or "listed" in at:
            return run.next("lists")
        return run.next("gone")


def _keep(run: Run, pages: Sequence[Page], halves: Halves) -> Lanes:
    """Merge pages with the position behind them, while the caller goes on; gives the lanes from there on. What stopped a
    lane is raised when the others are kept."""
    batch = Batch(row for page in pages for row in page.rows)
    halves.wait()
    stops = [error for page in pages if (error := settle(run, page))]
    lanes = fill_lanes(run)
    if pages:
        halves.begin(batch)
    if stops:
        halves.wait()
        raise stops[0]
    return lanes


def _tell_postgres(run: Run, told: int) -> int:
    """The next batches look up what this sync has made: Postgres has to know that it is there. Asked whenever four times as
    much is new as `told`; gives how much that is now."""
    n_new = int(run.job.result.get("new_relations", 0))
    if n_new < max(MANY, 4 * told):
        return told
    for count, tables in TABLES.items():
        if (n := int(run.job.result.get(count, 0))) >= MANY:
            statistics.refresh(run.brand, tables, n)
    return n_new


def _save(run: Run, merged: Merged, is_last: bool) -> None:
    """What a part of a batch has changed; with the last one the position behind the batch."""
    done = {**vars(merged), "relations": 0}
    if not is_last:
        return run.note(result=run.counted(**done))
    n_done = run.job.n_done + run.n_read
    run.save(
        n_done=n_done,
        n_total=max(run.job.n_total or 0, n_done),
        n_bad=len(run.at.get("skipped", [])),
        stage=progress(run, n_done, since=datetime.fromisoformat(run.at["since"])),
        result=run.counted(**{**done, "relations": run.n_read}, waited_s=round(run.waited_s, 3)),
    )
    run.waited_s = 0.0
    return None


def _estimate(run: Run) -> int:
    """About how many relations there are: as many as the last sync has read, or as a few guides have."""
    with transaction.atomic():
        guides = guides_of(run)
        if run.job.params["kind"] == "guide":
            return Follow.objects.filter(staff__in=guides, ended_at=None).count()
        same = {"params__kind": "full", "params__corp_id": run.corp.pk}
        before = Job.objects.filter(kind=KIND, state=Job.State.DONE, **same).order_by("-pk").first()
        if before:
            return before.n_done
        n_guides, sample = guides.count(), list(guides.order_by("pk").values_list("userid", flat=True))
    sample = sample[:: max(1, len(sample) // SAMPLE)][:SAMPLE]
    counts = [len(own) for own in lists_of(run.corp, ask_lists(run.corp, sample)).values() if own is not None]
    return sum(counts) * n_guides // max(1, len(counts))


def progress(run: Run, n_done: int, *, since: datetime) -> str:
    """Words for the stage with the time that is left, as fast as it went so far."""
    spent_s = (clock.now() - since).total_seconds()
    left_s = spent_s / max(1, n_done) * max(0, (run.job.n_total or 0) - n_done)
    if spent_s < 5 or left_s < 30:
        return str(LABELS["contacts"]())
    return _("Customers, about %(n)d min left") % {"n": max(1, round(left_s / 60))}


STAGES: dict[str, Callable[[Run], None]] = {
    "departments": _departments,
    "members": _members,
    "tags": _tags,
    "ways": _ways,
    "contacts": _contacts,
    "lists": compare_lists,
    "gone": end_missing,
}
