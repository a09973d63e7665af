"""员工任务: give tasks to guides, do them, take them back; reminders and escalation go out bundled.

Acts take sets. Notices are in staff_task_notices.py. Whoever orders tasks (a page, an SOP step, a rule) names a key for
each, so a repeat gives none twice.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from campaigns.models import StaffTask
from campaigns.services.sending import senders
from contacts.models import EventType, Follow
from contacts.services.timeline import EventRow, record_events
from org import audit
from org.access import SYSTEM, Actor
from org.models import Staff
from org.services.managers import managers_of
from scrm import clock
from scrm.errors import ConflictError, InvalidError, NotFoundError
from tenants.models import Brand

SLICE = 5_000
UNDO_WITHIN = timedelta(hours=24)  # a task that was done by mistake can be opened again
State = StaffTask.State


@dataclass(frozen=True)
class TaskInput:
    """One task as it is ordered. `key` (≤ 80 characters) makes it one within the brand."""

    staff_id: int
    kind: StaffTask.Kind | str
    title: str
    due_at: datetime
    key: str
    contact_id: int | None = None
    note: str = ""
    expires_at: datetime | None = None


@transaction.atomic
def add_tasks(
    brand: Brand, rows: Sequence[TaskInput], *, source: str, source_id: int | None = None, by: Actor = SYSTEM
) -> list[int]:
    """Give tasks; ids of those that are new. On the timeline where a contact is concerned.

    Args:
        source: page, sop, broadcast, rule, api (≤ 10 characters).

    Raises:
        InvalidError: an unknown kind, no title, a deadline in the past.
    """
    now, new_ids = clock.now(), []
    for row in rows:
        check(kind=row.kind, title=row.title, due_at=row.due_at, now=now)
    for start in range(0, len(rows), SLICE):
        new_ids += _insert(brand, rows[start : start + SLICE], source, source_id, by, now)
    return new_ids


def check(*, kind: str, title: str, due_at: datetime, now: datetime | None = None) -> None:
    """Raises InvalidError for a kind, title or deadline that no task can have."""
    if kind not in StaffTask.Kind.values:
        raise InvalidError(_("Unknown kind of task: %(kind)s") % {"kind": kind})
    if not title.strip() or len(title.strip()) > 80:
        raise InvalidError(_("1 to 80 characters"), fields={"title": _("1 to 80 characters")})
    if due_at <= (now or clock.now()):
        raise InvalidError(_("The deadline is over already"), fields={"due_at": _("In the future")})


def _insert(
    brand: Brand, rows: Sequence[TaskInput], source: str, source_id: int | None, by: Actor, now: datetime
) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO campaigns_stafftask (brand_id, staff_id, contact_id, kind, title, note, due_at, expires_at,"
            " key, source, source_id, state, result, done_by, created_by, created_at)"
            " SELECT %s, r.*, %s, %s, 'open', '', '', %s, %s FROM unnest(%s::bigint[], %s::bigint[], %s::text[],"
            " %s::text[], %s::text[], %s::timestamptz[], %s::timestamptz[], %s::text[]) AS r"
            " ON CONFLICT (brand_id, key) DO NOTHING RETURNING id, staff_id, contact_id, title",
            [
                brand.pk,
                source,
                source_id,
                by.name,
                now,
                [r.staff_id for r in rows],
                [r.contact_id for r in rows],
                [str(r.kind) for r in rows],
                [r.title.strip() for r in rows],
                [r.note for r in rows],
                [r.due_at for r in rows],
                [r.expires_at for r in rows],
                [r.key for r in rows],
            ],
        )
        made = cursor.fetchall()
    tell(brand, EventType.TASK_GIVEN, made, now)
    return [task_id for task_id, *_rest in made]


def tell(brand: Brand, type: EventType, made: Sequence[tuple[Any, ...]], at: datetime, **data: str) -> None:
    """One timeline entry for each (task, guide, contact, title) that concerns a contact."""
    rows: list[EventRow] = [
        {
            "contact_id": contact_id,
            "type": type,
            "at": at,
            "staff_id": staff_id,
            "object_id": task_id,
            "source": "task",
            "data": {"title": title, **data},
        }
        for task_id, staff_id, contact_id, title in made
        if contact_id
    ]
    record_events(brand, rows)


def get_task(task_id: int, *, lock: bool = False) -> StaffTask:
    """The task of the brand in scope.

    Raises:
        NotFoundError: missing, or another brand's.
    """
    rows = StaffTask.objects.select_for_update() if lock else StaffTask.objects.all()
    task = rows.filter(pk=task_id).first()
    if task is None:
        raise NotFoundError()
    return task


def plain(result: str) -> str:
    return result.replace("\x00", "").strip()[:300]


@transaction.atomic
def complete(brand: Brand, *, task_id: int, by: Actor, result: str = "", outcome: str = "") -> StaffTask:
    """Done; a second time changes nothing.

    Args:
        outcome: how it ended with the customer, one of StaffTask.Outcome, or nothing.

    Raises:
        ConflictError: cancelled, or expired.
        InvalidError: an unknown outcome, or one of a task that is about no customer.
    """
    task = get_task(task_id, lock=True)
    if task.state == State.DONE:
        return task
    if task.state != State.OPEN:
        raise ConflictError(_("The task is “%(state)s” now") % {"state": task.get_state_display()})
    if outcome and (outcome not in StaffTask.Outcome.values or not task.is_about_customer):
        text = _("Choose one of the list")
        raise InvalidError(text, fields={"outcome": text})
    now = clock.now()
    task.state, task.done_at, task.done_by, task.result = State.DONE, now, by.name, plain(result)
    task.outcome = outcome
    task.save(update_fields=["state", "done_at", "done_by", "result", "outcome"])
    row = (task.pk, task.staff_id, task.contact_id, task.title)
    told = {"reason": f"task_{outcome}"} if outcome else {}
    tell(brand, EventType.TASK_DONE, [row], now, result=task.result, **told)
    return task


@transaction.atomic
def reopen(brand: Brand, *, task_id: int, by: Actor) -> StaffTask:
    """Undo a completion within a day.

    Raises:
        ConflictError: not done, or done too long ago.
    """
    task = get_task(task_id, lock=True)
    now = clock.now()
    if task.state != State.DONE or not task.done_at or task.done_at < now - UNDO_WITHIN:
        raise ConflictError(_("Only a task done within the last day can be opened again"))
    task.state, task.done_at, task.done_by, task.result, task.outcome = State.OPEN, None, "", "", ""
    task.save(update_fields=["state", "done_at", "done_by", "result", "outcome"])
    audit.record(by, "task.reopen", task)
    return task


@transaction.atomic
def cancel(
    brand: Brand,
    *,
    by: Actor,
    task_ids: Collection[int] | None = None,
    source: str = "",
    source_id: int | None = None,
) -> int:
    """Take open tasks back: some by id, or all of one source; gives how many."""
    rows = _meant(task_ids, source, source_id).filter(state=State.OPEN)
    n = rows.update(state=State.CANCELLED, done_at=clock.now(), done_by=by.name)
    if n:
        audit.record(by, "task.cancel", after={"n": n, "source": source, "source_id": source_id})
    return n


def _meant(task_ids: Collection[int] | None, source: str, source_id: int | None) -> QuerySet[StaffTask]:
    if task_ids is not None:
        return StaffTask.objects.filter(pk__in=list(task_ids))
    if source:
        return StaffTask.objects.filter(source=source, source_id=source_id)
    raise InvalidError(_("Choose which tasks"))


@transaction.atomic
def expire(brand: Brand) -> int:
    """Open tasks that are not worth doing any more; gives how many. One index probe when there are none."""
    now = clock.now()
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE campaigns_stafftask SET state = 'expired', done_at = %s"
            " WHERE brand_id = %s AND state = 'open' AND expires_at <= %s RETURNING id, staff_id, contact_id, title",
            [now, brand.pk, now],
        )
        gone = cursor.fetchall()
    tell(brand, EventType.TASK_MISSED, gone, now)
    return len(gone)


@transaction.atomic
def restore(
    brand: Brand,
    *,
    by: Actor,
    task_ids: Collection[int] | None = None,
    source: str = "",
    source_id: int | None = None,
) -> int:
    """Undo a cancellation within a day; gives how many are open again. Guides are told of them anew."""
    rows = _meant(task_ids, source, source_id)
    rows = rows.filter(state=State.CANCELLED, done_at__gt=clock.now() - UNDO_WITHIN)
    n = rows.update(state=State.OPEN, done_at=None, done_by="", told_at=None, later_at=None)
    if n:
        audit.record(by, "task.restore", after={"n": n, "source": source, "source_id": source_id})
    return n


UNMARKED: dict[str, Any] = {
    "told_at": None,
    "reminded_at": None,
    "escalated_at": None,
    "later_at": None,
}  # whoever gets it is told


def _movable() -> QuerySet[StaffTask]:
    """Numbers to add go to other guides in their list, and the task with them (guides/services/leads/giving.py)."""
    return StaffTask.objects.filter(state=State.OPEN).exclude(kind=StaffTask.Kind.ADD)


@transaction.atomic
def reassign(brand: Brand, *, from_staff_id: int, to_staff_id: int, by: Actor) -> int:
    """Move a guide's open tasks to another one (a leaver, a holiday); gives how many. Numbers to add stay."""
    n = _movable().filter(staff=from_staff_id).update(staff=to_staff_id, **UNMARKED)
    if n:
        audit.record(by, "task.reassign", after={"n": n, "from": from_staff_id, "to": to_staff_id})
    return n


@transaction.atomic
def move(brand: Brand, *, task_ids: Collection[int], to_staff_id: int, by: Actor) -> int:
    """Give some open tasks to somebody else; gives how many. Numbers to add stay."""
    rows = _movable().filter(pk__in=list(task_ids)).exclude(staff=to_staff_id)
    n = rows.update(staff=to_staff_id, **UNMARKED)
    if n:
        audit.record(by, "task.reassign", after={"n": n, "to": to_staff_id})
    return n


@transaction.atomic
def follow_customer(brand: Brand, *, contact_id: int, to_staff_id: int) -> int:
    """A customer has changed hands: open tasks about them go along, unless whoever has one still has the customer."""
    stays = Follow.objects.filter(contact=contact_id, ended_at=None, is_pending=False).values("staff")
    rows = StaffTask.objects.filter(state=State.OPEN, contact=contact_id).exclude(staff__in=stays)
    return rows.update(staff=to_staff_id, **UNMARKED)


def rehome(brand: Brand) -> int:
    """Open tasks of people who have left go to the customer's present guide, else to the leaver's manager; gives how
    many. What nobody can take stays where it is and shows as such. In slices with a transaction each."""
    n, after = 0, 0
    while True:
        with transaction.atomic():
            left = Staff.objects.filter(state=Staff.State.LEFT).values("pk")
            open_tasks = _movable().filter(staff__in=left, pk__gt=after).order_by("pk")
            rows = list(open_tasks.values_list("pk", "staff_id", "contact_id")[:SLICE])
            n += _rehome(brand, rows) if rows else 0
        if len(rows) < SLICE:
            return n
        after = rows[-1][0]


def _rehome(brand: Brand, rows: Sequence[tuple[int, int, int | None]]) -> int:
    guides = senders.choose(brand, {contact_id for _id, _staff, contact_id in rows if contact_id})
    leavers = list(Staff.objects.filter(pk__in={staff_id for _id, staff_id, _contact in rows}))
    managers = managers_of(leavers)
    to: dict[int, list[int]] = {}
    for task_id, staff_id, contact_id in rows:
        guide = guides.get(contact_id) if contact_id else None
        manager = next(iter(managers[staff_id]), None)
        if guide is not None or manager is not None:
            to.setdefault(guide.staff_id if guide else manager.pk, []).append(task_id)  # type: ignore[union-attr]
    for staff_id, task_ids in to.items():
        move(brand, task_ids=task_ids, to_staff_id=staff_id, by=SYSTEM)
    return sum(map(len, to.values()))
