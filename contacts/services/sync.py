"""The sync: departments, members, tags, contact ways and all relations read from WeCom, as a long job.

Each step reads a little, writes it and its own position in one transaction, so a killed sync goes on where it
was, without gaps; what it reads twice changes nothing. Relations of guides that WeCom does not list any more
end as `gone` in the last stage.

    WeCom's page of 100 relations, ten times → sync_rows.merge → position saved → next step

Source: developer.work.weixin.qq.com/document/path/92994
"""

import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime

from django.conf import settings
from django.db import DatabaseError, IntegrityError, transaction
from django.utils import translation
from django.utils.translation import gettext as _

from contacts import hooks
from contacts.models import Follow
from contacts.services.sync_gone import end_missing
from contacts.services.sync_rows import merge, rows_of
from contacts.services.sync_run import LABELS, Overtaken, Run
from contacts.services.sync_types import Conflict, Merged, Row
from org import audit
from org.access import Actor
from org.models import Corp, Job, Staff
from org.services.jobs import start_job
from scrm import clock
from scrm.errors import InvalidError, NotFoundError
from tenants.models import Brand
from wecom.api import contacts as api
from wecom.api import members as members_api
from wecom.client import client_for
from wecom.errors import WeComRejected
from wecom.services import staff_sync

log = logging.getLogger(__name__)

KIND = "wecom_sync"
GUIDES, PAGE, PAGES = 100, 100, 10  # guides in a call, relations in a page (WeCom's limits), pages in a step
STEP_S = 10.0  # a step ends after this, so that its job is not taken for dead
DEPARTMENTS, WAYS, UNSEEN = 20, 50, 50  # per step
SAMPLE = 10  # guides asked for an estimate of the whole
# answers that concern one member, not the app: the others go on
MEMBER_CODES = frozenset(
    {84061, 40003, 40031, 41054, 46004, 60011, 60021, 60111, 84074, 84083, 610004, 701008}
)
NO_CUSTOMERS, BAD_CURSOR = 84061, 50100
TRIES = 4


def start_sync(brand: Brand, *, corp: Corp, by: Actor, kind: str = "full", staff: Staff | None = None) -> Job:
    """Start a sync in the caller's transaction; one that runs already is returned.

    Args:
        kind: full, or guide: only the relations of `staff`.
    """
    if kind not in ("full", "guide") or (kind == "guide") != (staff is not None):
        raise InvalidError(_("Choose what to sync"))
    if staff is not None and (staff.corp_id != corp.pk or not staff.userid):
        raise NotFoundError()
    with translation.override(settings.LANGUAGE_CODE):  # the title is what makes a job one
        title = _("Sync: %(name)s") % {"name": staff.name if staff else corp.name}
        title += f" ({staff.userid})" if staff else ""
    params = {"corp_id": corp.pk, "kind": kind, "staff_ids": [staff.pk] if staff else []}
    job = start_job(brand, kind=KIND, title=title, params=params, by=by)
    audit.record(by, "sync.start", corp, after={"kind": kind, "staff": staff.name if staff else ""})
    return job


def step(brand: Brand, job: Job) -> bool:
    """One step of the job; True: there is more."""
    with transaction.atomic():
        corp = Corp.objects.filter(pk=job.params["corp_id"]).first()
    if corp is None:
        raise NotFoundError(_("The corp was removed"))
    first = "contacts" if job.params["kind"] == "guide" else "departments"
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
        run.next("ways", result=run.counted(tags=counts["tags"]))


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
    """Some pages of the present guides, merged in one transaction with the position behind them."""
    at = run.at
    if "since" not in at:
        at["since"], total = clock.now().isoformat(), _estimate(run)
        with transaction.atomic():
            return run.save(stage=str(LABELS["contacts"]()), n_total=total)
    if not at.get("chunk") and not _next_guides(run):
        with transaction.atomic():
            return run.next("gone")
    staff_ids = _userids(run)
    rows, refused = _read(run, staff_ids)
    if refused is not None:
        _refused(run, refused)
    elif not at["cursor"]:
        at["read"] = [*at.get("read", []), *at["chunk"]]
        at["chunk"] = []
    for attempt in range(TRIES):
        try:
            with transaction.atomic():
                return _write(run, rows)
        except (Conflict, DatabaseError) as error:
            # an arrival made the same customer, or both waited for each other
            if attempt == TRIES - 1 or not _may_repeat(error):
                raise
            with transaction.atomic():
                run.job.refresh_from_db()  # what the step had counted is rolled back
    return None


def _next_guides(run: Run) -> bool:
    """Whose relations come next: members set apart, or the next hundred guides. False: nobody is left."""
    at = run.at
    if at.get("apart"):
        at["chunk"], at["apart"] = at["apart"][0], at["apart"][1:]
    else:
        after = at.get("after", 0)
        with transaction.atomic():
            guides = Staff.objects.guides().filter(corp=run.corp, pk__gt=after)
            if run.job.params["staff_ids"]:
                guides = Staff.objects.filter(pk__in=run.job.params["staff_ids"], pk__gt=after)
            at["chunk"] = list(guides.order_by("pk").values_list("pk", flat=True)[:GUIDES])
        if at["chunk"]:
            at["after"] = at["chunk"][-1]
    at["cursor"] = ""
    return bool(at["chunk"])


def _userids(run: Run) -> dict[str, int]:
    with transaction.atomic():
        found = Staff.objects.filter(pk__in=run.at["chunk"]).order_by("pk")
        return {userid: pk for pk, userid in found.values_list("pk", "userid")}


def _read(run: Run, staff_ids: dict[str, int]) -> tuple[list[Row], WeComRejected | None]:
    """Pages until there are enough, the guides are finished, or WeCom refuses; moves the cursor."""
    rows: dict[tuple[int, str], Row] = {}
    started, at = time.monotonic(), run.at
    for _page in range(PAGES):
        seen_at = clock.now()
        try:
            page = api.batch_customers(run.client, list(staff_ids), at["cursor"], PAGE)
        except WeComRejected as error:
            return list(rows.values()), error
        for row in rows_of(page["external_contact_list"], staff_ids, seen_at):
            rows[row.staff_id, row.external_userid] = row
        if unlicensed := {staff_ids.get(userid.lower(), 0) for userid in page["unlicensed"]} - {0}:
            at["skipped"] = sorted({*at.get("skipped", []), *unlicensed})
        at["cursor"] = page["next_cursor"]
        if not at["cursor"] or time.monotonic() - started > STEP_S:
            break
    return list(rows.values()), None


def _refused(run: Run, error: WeComRejected) -> None:
    """What WeCom refuses for one member must not stop the others: each is asked for apart."""
    at = run.at
    if error.errcode == BAD_CURSOR and at["cursor"]:
        at["cursor"] = ""  # these guides from the beginning; what is there already changes nothing
        return
    if error.errcode not in MEMBER_CODES:
        raise error
    if len(at["chunk"]) > 1:
        at["apart"] = [[pk] for pk in at["chunk"]] + at.get("apart", [])
    elif error.errcode == NO_CUSTOMERS:
        at["read"] = [*at.get("read", []), *at["chunk"]]
    else:
        log.warning("sync %s: guide %s left out: %r", run.job.pk, at["chunk"][0], error)
        at["skipped"] = sorted({*at.get("skipped", []), *at["chunk"]})
    at["chunk"] = []


def _write(run: Run, rows: Sequence[Row]) -> None:
    merged = merge(run.brand, run.corp, rows, job_id=run.job.pk) if rows else Merged()
    n_done = run.job.n_done + len(rows)
    run.save(
        n_done=n_done,
        n_total=max(run.job.n_total or 0, n_done),
        n_bad=len(run.at.get("skipped", [])),
        stage=_progress(run, n_done),
        result=run.counted(**vars(merged), waited_s=round(run.client.waited_s, 3)),
    )


def _may_repeat(error: Exception) -> bool:
    deadlock = getattr(error.__cause__, "pgcode", "") in ("40P01", "40001")
    return deadlock or isinstance(error, (Conflict, IntegrityError))


def _estimate(run: Run) -> int:
    """About how many relations there are: as many as we know, or as a few guides have."""
    with transaction.atomic():
        guides = Staff.objects.guides().filter(corp=run.corp)
        if run.job.params["staff_ids"]:
            guides = Staff.objects.filter(pk__in=run.job.params["staff_ids"])
        known = Follow.objects.filter(staff__in=guides, ended_at=None).count()
        n_guides, sample = guides.count(), list(guides.order_by("pk").values_list("userid", flat=True))
    if run.corp.synced_at or not sample:
        return known
    sample = sample[:: max(1, len(sample) // SAMPLE)][:SAMPLE]
    counts = []
    for userid in sample:
        try:
            counts.append(len(api.customers_of(run.client, userid)))
        except WeComRejected as error:
            if error.errcode not in MEMBER_CODES:
                raise
    return max(known, sum(counts) * n_guides // max(1, len(counts)))


def _progress(run: Run, n_done: int) -> str:
    """Words for the stage with the time that is left, as fast as it went so far."""
    spent_s = (clock.now() - datetime.fromisoformat(run.at["since"])).total_seconds()
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
    "gone": end_missing,
}
