"""One reconciliation (对账) of a corp, as a long job: WeCom is read, compared with the mirror, and what the brand wants
repaired by itself is repaired.

    departments, members → tags → codes → relations (pages of 100) → lists of the guides → groups → what is missing

Each step compares a little and commits the differences, their repair and its own position together.
"""

import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from contacts import hooks
from contacts.models import Follow
from contacts.services.sync import sync_lists
from contacts.services.sync.sync import progress
from contacts.services.sync.sync_gone import believable, end_gone
from contacts.services.sync.sync_lanes import Page, Reader, fill_lanes, guides_of, settle
from contacts.services.sync.sync_run import Overtaken, Run
from contacts.services.sync.sync_types import Row
from drift.models import Difference, DriftRun
from drift.services import codes, members, relations, tags
from drift.services.chat_stage import compare_groups
from drift.services.differences import close
from drift.services.ending import finish
from drift.services.settings import auto_kinds
from drift.services.work import SYSTEM_NAME, Work
from org import audit
from org.access import Actor
from org.models import Corp, Job, Staff
from org.services import corp_jobs
from scrm import clock
from scrm.errors import ConflictError, NotFoundError
from tenants.models import Brand
from wecom.api import contacts as api
from wecom.api import members as members_api
from wecom.api import tags as tags_api
from wecom.client import client_for
from wecom.services import staff_sync

log = logging.getLogger(__name__)

KIND = "reconcile"
TITLE = gettext_lazy("Reconciliation: %(name)s")
DEPARTMENTS, UNSEEN, CODES, GONE = 20, 50, 50, 1_000  # per step
MERGE, STEP_S = 24, 10.0  # pages compared at once; a step ends after this

LABELS: dict[str, Callable[[], str]] = {
    "departments": lambda: _("Departments"),
    "members": lambda: _("Members"),
    "tags": lambda: _("Tags"),
    "codes": lambda: _("Channel codes"),
    "contacts": lambda: _("Customers"),
    "lists": lambda: _("Comparison of the lists"),
    "groups": lambda: _("Group chats"),
    "gone": lambda: _("Customers who are gone"),
    "end": lambda: "",
}


@transaction.atomic
def start_run(brand: Brand, *, corp: Corp, by: Actor) -> Job:
    """Start a reconciliation of a corp; one that runs already is returned.

    Raises:
        ConflictError: the corp was never synced, so everything would differ.
    """
    if corp.synced_at is None:
        raise ConflictError(_("Sync this company first; then there is something to compare."))
    job = corp_jobs.start(brand, kind=KIND, title=TITLE, corp=corp, by=by, staff_ids=[])
    if not DriftRun.objects.filter(job_id=job.pk).exists():
        run = DriftRun.objects.create(corp=corp, job_id=job.pk, by=by.name)
        audit.record(by, "drift.start", corp, after={"run": run.pk})
    return job


def step(brand: Brand, job: Job) -> bool:
    """One step of the job; True: there is more."""
    corp = corp_jobs.corp_of(job)
    with transaction.atomic():
        drift_run = DriftRun.objects.filter(job_id=job.pk).first()
        auto = auto_kinds(brand)
    if drift_run is None:
        raise NotFoundError(_("The corp was removed"))
    run = Run(brand, job, corp, client_for(corp), {"stage": "departments", **job.position}, labels=LABELS)
    run.at.setdefault("since", clock.now().isoformat())
    work = Work(run, drift_run, auto)
    try:
        STAGES[run.at["stage"]](work)
    except Overtaken:
        log.warning("reconciliation %s is run by another process too", job.pk)
        return True
    return run.at["stage"] != "end"


# ---- departments, members, tags, codes


def _departments(work: Work) -> None:
    run = work.run
    found = members_api.departments(run.client)
    with transaction.atomic():
        differences = members.compare_departments(run.corp, found)
        present = Staff.objects.filter(corp=run.corp).exclude(state=Staff.State.LEFT).exclude(userid="")
        run.at["unseen"] = list(present.order_by("pk").values_list("pk", flat=True))
        run.at["departments"] = sorted(d["id"] for d in found)
        repaired = work.auto_of(differences)
        if repaired:
            staff_sync.store_departments(run.corp, found, only={int(new.key) for new in repaired})
        work.note(differences, repaired)
        run.next("members", result=work.compared(len(found)))


def _members(work: Work) -> None:
    """Members of some departments; then those whom no department showed."""
    run, at = work.run, work.run.at
    todo, unseen = at["departments"], at["unseen"]
    if not todo and not unseen:
        with transaction.atomic():
            return run.next("tags")
    if not todo:
        left, hidden = staff_sync.who_left(run.corp, run.client, unseen[:UNSEEN])
        with transaction.atomic():
            found = members.ghosts(left, hidden)
            if "member_ghost" in work.auto:
                staff_sync.mark_left(left, hidden)
            work.note(found, work.auto_of(found))
            at["unseen"] = unseen[UNSEEN:]
            return run.save(result=run.counted())
    leaders = staff_sync.leaders_of(members_api.departments(run.client))
    guides = {userid.lower() for userid in api.follow_users(run.client)}
    shown = [m for d in todo[:DEPARTMENTS] for m in members_api.department_users(run.client, d)]
    rows = staff_sync.member_rows(shown, guides=guides, leaders=leaders)
    with transaction.atomic():
        found, seen = members.compare_members(run.corp, rows)
        repaired = work.auto_of(found)
        if keys := {new.key for new in repaired}:
            chosen = [m for m in shown if m.get("userid", "").lower() in keys]
            staff_sync.save_members(run.brand, run.corp, chosen, guides=guides, leaders=leaders)
        work.note(found, repaired)
        at["departments"] = todo[DEPARTMENTS:]
        at["unseen"] = sorted(set(unseen) - set(seen))
        return run.save(result=work.compared(len(rows)))


def _tags(work: Work) -> None:
    run = work.run
    groups = tags_api.corp_tags(run.client)
    with transaction.atomic():
        found = tags.compare_tags(run.corp, groups)
    repaired = work.auto_of(found)
    if repaired and len(repaired) == len(found):
        hooks.sync_tags(run.brand, run.corp, run.client)  # the whole library at once, so all of it or nothing
    else:
        repaired = []
    with transaction.atomic():
        work.note(found, repaired)
        run.next("codes", result=work.compared(sum(1 + len(g.get("tag") or []) for g in groups)))


def _codes(work: Work) -> None:
    run = work.run
    after = run.at.get("code", 0)
    found, last = codes.compare_codes(run.corp, run.client, after=after, limit=CODES)
    with transaction.atomic():
        repaired = work.auto_of(found)
        for new in repaired:
            if new.kind == "code_differs" and new.object_id:
                codes.rewrite(run.brand, new.object_id)
        repaired = [new for new in repaired if new.kind == "code_differs"]
        work.note(found, repaired)
        run.at["code"] = last
        if last is None:
            run.at["read_since"] = clock.now().isoformat()
            n_total = Follow.objects.filter(corp=run.corp, ended_at=None).count()
            return run.next("contacts", n_total=n_total)
        return run.save(result=run.counted())


# ---- relations


def _contacts(work: Work) -> None:
    """Pages of the present guides for some seconds, read ahead by threads (contacts/services/sync/sync_lanes.py)."""
    run, at = work.run, work.run.at
    until = time.monotonic() + STEP_S
    with Reader(run.corp) as reader:
        while lanes := fill_lanes(run):
            reader.start(lanes)
            _keep(work, reader.take(MERGE))
            if not run.is_live or time.monotonic() > until:
                return _keep(work, reader.rest())
    with transaction.atomic():
        for name in ("lanes", "apart", "after"):
            at.pop(name, None)
        return run.next("lists")


def _keep(work: Work, pages: Sequence[Page]) -> None:
    """Compare pages, with the position behind them; what stopped a lane is raised when the others are kept."""
    if not pages:
        return
    rows = {(row.staff_id, row.external_userid): row for page in pages for row in page.rows}
    stops = [error for page in pages if (error := settle(work.run, page))]
    _compare(work, list(rows.values()))
    if stops:
        raise stops[0]


def _compare(work: Work, rows: list[Row]) -> None:
    run = work.run

    def act() -> None:
        found = relations.compare_page(run.brand, run.corp, rows) if rows else {}
        repaired = relations.repair_page(run.brand, run.corp, rows, found, work.auto)
        work.note([new for own in found.values() for new in own], repaired)
        n_done = run.job.n_done + len(rows)
        run.save(
            n_done=n_done,
            n_total=max(run.job.n_total or 0, n_done),
            n_bad=len(run.at.get("skipped", [])),
            stage=progress(run, n_done, since=datetime.fromisoformat(run.at["read_since"])),
            result=work.compared(len(rows)),
        )

    work.write(act)


def _lists(work: Work) -> None:
    """The lists of some guides: whom we have and they do not show is noted; it is ended later, if it is believable."""
    run, at = work.run, work.run.at
    with transaction.atomic():
        guides = guides_of(run).filter(pk__gt=at.get("listed", 0)).order_by("pk")
        part = dict(guides.values_list("userid", "pk")[: sync_lists.LISTS])
        if not part:
            return run.next("groups")
    skipped = set(at.get("skipped", []))
    asked_at = clock.now()
    asked = sync_lists.ask_lists(run.corp, [userid for userid, pk in part.items() if pk not in skipped])
    lists = sync_lists.lists_of(run.corp, asked)
    at["skipped"] = sorted(skipped | {part[userid] for userid, own in lists.items() if own is None})
    shown = {part[userid]: own for userid, own in lists.items() if own is not None}
    with transaction.atomic():
        missing = sync_lists.compare(run.brand, shown, asked_at).missing
        work.note(relations.ghosts(missing))
        # beyond what is listed as rows the mark on the relation counts
        Follow.objects.filter(pk__in=[pk for pk, _ in missing], ended_at=None).update(missing_in=run.job.pk)
        at["listed"] = max(part.values())
        return run.save(result=run.counted())


def _gone(work: Work) -> None:
    run, at = work.run, work.run.at
    with transaction.atomic():
        missing = Follow.objects.filter(missing_in=run.job.pk, ended_at=None).order_by("pk")
        if "ending" not in at:
            n_live, n_missing = Follow.objects.filter(corp=run.corp, ended_at=None).count(), missing.count()
            if not believable(n_missing, n_live):
                at["suspicious"] = n_missing
            at["ending"] = "suspicious" not in at and "relation_ghost" in work.auto
        ids = list(missing.values_list("pk", flat=True)[:GONE]) if at["ending"] else []
        if not ids:
            finish(work)
            return run.next("end", n_total=run.job.n_done, result=run.counted(gone=0))
        n = end_gone(run.brand, ids)
        rows = Difference.objects.filter(
            last_run_id=work.drift_run.pk, kind="relation_ghost", object_id__in=ids, state="open"
        )
        close(list(rows.values_list("pk", flat=True)), state=Difference.State.REPAIRED, by=SYSTEM_NAME)
        work.tally.repair(["relation_ghost"] * n)
        return run.save(result=run.counted(gone=n))


STAGES: dict[str, Callable[[Work], None]] = {
    "departments": _departments,
    "members": _members,
    "tags": _tags,
    "codes": _codes,
    "contacts": _contacts,
    "lists": _lists,
    "groups": compare_groups,
    "gone": _gone,
}
