"""One reconciliation (对账) of a corp, as a long job: WeCom is read, compared with the mirror, and what the brand wants
repaired by itself is repaired.

    departments, members → tags → codes → relations (pages of 100) → lists of the guides → what is missing

Each step compares a little and commits the differences, their repair and its own position together.
"""

import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from django.db import DatabaseError, connection, transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from contacts import hooks
from contacts.models import Follow
from contacts.services import sync_lists
from contacts.services.sync import progress
from contacts.services.sync_gone import believable, end_gone
from contacts.services.sync_halves import TRIES, may_repeat
from contacts.services.sync_lanes import Page, Reader, fill_lanes, guides_of, settle
from contacts.services.sync_run import Overtaken, Run
from contacts.services.sync_types import Conflict, Row
from drift.models import Difference, DriftRun
from drift.services import codes, members, relations, tags
from drift.services.differences import MOST, New, Tally, close, record
from drift.services.settings import auto_kinds
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
SYSTEM_NAME = "system"

LABELS: dict[str, Callable[[], str]] = {
    "departments": lambda: _("Departments"),
    "members": lambda: _("Members"),
    "tags": lambda: _("Tags"),
    "codes": lambda: _("Channel codes"),
    "contacts": lambda: _("Customers"),
    "lists": lambda: _("Comparison of the lists"),
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
    work = _Work(run, drift_run, auto)
    try:
        STAGES[run.at["stage"]](work)
    except Overtaken:
        log.warning("reconciliation %s is run by another process too", job.pk)
        return True
    return run.at["stage"] != "end"


class _Work:
    """One step at work: the run of the sync's machinery, and what was found."""

    def __init__(self, run: Run, drift_run: DriftRun, auto: frozenset[str]) -> None:
        self.run, self.drift_run, self.auto = run, drift_run, auto
        self.tally = Tally(run.at)

    def note(self, found: list[New], repaired: list[New] | None = None) -> None:
        """Write what was found, and which of it was repaired, in the caller's transaction."""
        open_ = record(self.run.brand, self.drift_run, self.run.corp, self.tally.room(found))
        if repaired:
            ids = [open_[key] for new in repaired if (key := (new.kind, new.key[:140])) in open_]
            close(ids, state=Difference.State.REPAIRED, by=SYSTEM_NAME)
            self.tally.repair(new.kind for new in repaired)

    def auto_of(self, found: list[New]) -> list[New]:
        return [new for new in found if new.kind in self.auto]

    def compared(self, n: int) -> dict[str, Any]:
        return self.run.counted(compared=n)


# ---- departments, members, tags, codes


def _departments(work: _Work) -> None:
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


def _members(work: _Work) -> None:
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


def _tags(work: _Work) -> None:
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


def _codes(work: _Work) -> None:
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


def _contacts(work: _Work) -> None:
    """Pages of the present guides for some seconds, read ahead by threads (contacts/services/sync_lanes.py)."""
    run, at = work.run, work.run.at
    until = time.monotonic() + STEP_S
    with Reader(run.corp) as reader:
        while lanes := fill_lanes(run):
            reader.start(lanes)
            _keep(work, reader.take(MERGE))
            if not run.is_live or time.monotonic() > until:
                return _keep(work, reader.rest())
    with transaction.atomic():
        for name in ("lanes", "apart", "after", "size"):
            at.pop(name, None)
        return run.next("lists")


def _keep(work: _Work, pages: Sequence[Page]) -> None:
    """Compare pages, with the position behind them; what stopped a lane is raised when the others are kept."""
    if not pages:
        return
    rows = {(row.staff_id, row.external_userid): row for page in pages for row in page.rows}
    stops = [error for page in pages if (error := settle(work.run, page))]
    _compare(work, list(rows.values()))
    if stops:
        raise stops[0]


def _compare(work: _Work, rows: list[Row]) -> None:
    run = work.run
    tallied = ({**work.tally.found}, {**work.tally.repaired})
    for attempt in range(TRIES):
        try:
            with transaction.atomic():
                found = relations.compare_page(run.brand, run.corp, rows) if rows else {}
                repaired = relations.repair_page(run.brand, run.corp, rows, found, work.auto)
                work.note([new for own in found.values() for new in own], repaired)
                n_done = run.job.n_done + len(rows)
                return run.save(
                    n_done=n_done,
                    n_total=max(run.job.n_total or 0, n_done),
                    n_bad=len(run.at.get("skipped", [])),
                    stage=progress(run, n_done, since=datetime.fromisoformat(run.at["read_since"])),
                    result=work.compared(len(rows)),
                )
        except (Conflict, DatabaseError) as error:
            if attempt == TRIES - 1 or not may_repeat(error):
                raise
            run.at["found"], run.at["repaired"] = {**tallied[0]}, {**tallied[1]}
            work.tally = Tally(run.at)
            with transaction.atomic():
                run.job.refresh_from_db()
    return None


def _lists(work: _Work) -> None:
    """The lists of some guides: whom we have and they do not show is noted; it is ended later, if it is believable."""
    run, at = work.run, work.run.at
    with transaction.atomic():
        guides = guides_of(run).filter(pk__gt=at.get("listed", 0)).order_by("pk")
        part = dict(guides.values_list("userid", "pk")[: sync_lists.LISTS])
        if not part:
            return run.next("gone")
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


def _gone(work: _Work) -> None:
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
            _finish(work)
            return run.next("end", n_total=run.job.n_done, result=run.counted(gone=0))
        n = end_gone(run.brand, ids)
        rows = Difference.objects.filter(
            last_run_id=work.drift_run.pk, kind="relation_ghost", object_id__in=ids, state="open"
        )
        close(list(rows.values_list("pk", flat=True)), state=Difference.State.REPAIRED, by=SYSTEM_NAME)
        work.tally.repair(["relation_ghost"] * n)
        return run.save(result=run.counted(gone=n))


# ---- the end

# A customer whom one guide has lost and another one has won between two runs is with another guide: one difference.
_MOVED = """
    WITH seen AS (
        SELECT id, kind, split_part(key, ':', 2) AS external, contact_id, title, staff_id, state, closed_at, closed_by,
               row_number() OVER (PARTITION BY kind, split_part(key, ':', 2) ORDER BY id) AS n
          FROM drift_difference
         WHERE brand_id = %(brand)s AND last_run_id = %(run)s AND kind IN ('relation_ghost', 'relation_missing')
           AND state IN ('open', 'repaired')
    ), moved AS (
        SELECT g.id AS old_id, m.id AS new_id, g.external, coalesce(m.contact_id, g.contact_id) AS contact_id, m.title,
               g.staff_id AS old_staff, m.staff_id AS new_staff, g.state AS old_state, m.state AS new_state,
               CASE WHEN g.state = 'repaired' AND m.state = 'repaired' THEN 'repaired' ELSE 'open' END AS state,
               m.closed_at, m.closed_by
          FROM seen g JOIN seen m ON m.external = g.external AND m.n = g.n
         WHERE g.kind = 'relation_ghost' AND m.kind = 'relation_missing'
    ), gone AS (
        DELETE FROM drift_difference d USING moved
         WHERE d.brand_id = %(brand)s AND d.id IN (moved.old_id, moved.new_id)
    ), written AS (
        INSERT INTO drift_difference AS d
               (brand_id, run_id, last_run_id, corp_id, kind, key, title, contact_id, staff_id, object_id, ours, theirs,
                state, note, found_at, closed_at, closed_by)
        SELECT %(brand)s, %(run)s, %(run)s, %(corp)s, 'owner_differs', old_staff || '>' || new_staff || ':' || external,
               title, contact_id, new_staff, NULL, jsonb_build_object('staff_id', old_staff),
               jsonb_build_object('staff_id', new_staff), state, '', %(now)s,
               CASE WHEN state = 'repaired' THEN closed_at END, CASE WHEN state = 'repaired' THEN closed_by ELSE '' END
          FROM moved
        ON CONFLICT (brand_id, corp_id, kind, key) WHERE state IN ('open', 'queued', 'ignored')
        DO UPDATE SET last_run_id = excluded.last_run_id
    )
    SELECT state, old_state, new_state FROM moved
"""


def _finish(work: _Work) -> None:
    """Moves between guides are told as such, what was open and was not seen any more is settled, and the run is
    written down; in the caller's transaction."""
    run, row = work.run, work.drift_run
    with connection.cursor() as cursor:
        cursor.execute(
            _MOVED, {"brand": run.brand.pk, "run": row.pk, "corp": run.corp.pk, "now": clock.now()}
        )
        moved = cursor.fetchall()
    tally = work.tally
    for state, old_state, new_state in moved:
        _shift(tally.found, "owner_differs", ["relation_ghost", "relation_missing"])
        halves = (("relation_ghost", old_state), ("relation_missing", new_state))
        done = [kind for kind, half in halves if half == Difference.State.REPAIRED]
        _shift(tally.repaired, "owner_differs" if state == Difference.State.REPAIRED else "", done)
    skipped = set(run.at.get("skipped", []))
    unseen = Difference.objects.filter(corp=run.corp, state=Difference.State.OPEN).exclude(last_run_id=row.pk)
    # what this run could not look at, or has not listed for its number, is still open
    unseen = unseen.exclude(kind__in=[kind for kind, n in tally.found.items() if n > MOST])
    unseen = unseen.exclude(staff_id__in=skipped) if skipped else unseen
    row.n_settled = close(
        list(unseen.values_list("pk", flat=True)), state=Difference.State.SETTLED, by=SYSTEM_NAME
    )
    kinds = tally.found.keys() | tally.repaired.keys()
    row.counts = {
        kind: {"found": tally.found.get(kind, 0), "repaired": tally.repaired.get(kind, 0)}
        for kind in sorted(kinds)
        if tally.found.get(kind) or tally.repaired.get(kind)
    }
    row.n_found = sum(one["found"] for one in row.counts.values())
    row.n_repaired = sum(one["repaired"] for one in row.counts.values())
    row.n_compared = run.job.result.get("compared", 0)
    row.n_suspicious, row.n_skipped = run.at.get("suspicious", 0), len(skipped)
    row.ended_at = clock.now()
    row.save()
    run.at = {key: value for key, value in run.at.items() if key in ("n", "since")}


def _shift(counts: dict[str, int], to: str, away: list[str]) -> None:
    for kind in away:
        counts[kind] = max(0, counts.get(kind, 0) - 1)
    if to:
        counts[to] = counts.get(to, 0) + 1


STAGES: dict[str, Callable[[_Work], None]] = {
    "departments": _departments,
    "members": _members,
    "tags": _tags,
    "codes": _codes,
    "contacts": _contacts,
    "lists": _lists,
    "gone": _gone,
}
