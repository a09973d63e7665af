"""Tasks by hand and the brand's limit of a guide's day (workload.py): what is too much for the day of the deadline gets a later
one, is left out, or is warned of, as the brand has it for messages. Numbers to add have bounds of their own and do not ask."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from django.db import transaction

from campaigns import governance
from campaigns.models import StaffTask
from campaigns.services.governance import gate, guide_load, rules, workload
from campaigns.services.tasks import staff_tasks
from campaigns.services.tasks.staff_tasks import TaskInput
from org.access import SYSTEM, Actor
from tenants.models import Brand

GuideDay = tuple[int, date]


@dataclass
class Given:
    """
    Attributes:
        ids: of the tasks that are new.
        moved: keys of those with a later deadline than was asked for.
        left_out: keys of those that were not given: the guide has enough to do on that day.
    """

    ids: list[int] = field(default_factory=list)
    moved: set[str] = field(default_factory=set)
    left_out: set[str] = field(default_factory=set)


@transaction.atomic
def give(
    brand: Brand, rows: Sequence[TaskInput], *, source: str, source_id: int | None = None, by: Actor = SYSTEM
) -> Given:
    """`staff_tasks.add_tasks` of what the guides' days have room for; a key that is known asks for no room.

    Raises:
        InvalidError: as `add_tasks`.
    """
    found, limits = Given(), workload.limits_of(brand)
    if limits is not None and limits.tasks is not None and rows:
        gate.enter_gate(brand)
        days = workload.DAYS if limits.is_moved else 0
        rows = _placed(brand, rows, limits.tasks, days, found)
    found.ids = staff_tasks.add_tasks(brand, rows, source=source, source_id=source_id, by=by)
    return found


def _placed(
    brand: Brand, rows: Sequence[TaskInput], most: int, days: int, found: Given
) -> Sequence[TaskInput]:
    known = set(StaffTask.objects.filter(key__in=[row.key for row in rows]).values_list("key", flat=True))
    on = {row.key: _day(brand, row.due_at) for row in rows}
    n = _things(brand, {row.staff_id for row in rows}, on.values(), days)
    placed = []
    for row in rows:
        if row.key not in known:  # the second of two with one key is none
            known.add(row.key)
            free = (d for d in range(days + 1) if n[row.staff_id, on[row.key] + timedelta(days=d)] < most)
            later = next(free, None)
            if later is None:
                found.left_out.add(row.key)
                continue
            n[row.staff_id, on[row.key] + timedelta(days=later)] += 1
            if later:
                found.moved.add(row.key)
                row = replace(
                    row,
                    due_at=days_after(brand, row.due_at, later),
                    expires_at=row.expires_at and days_after(brand, row.expires_at, later),
                )
        elif row.key in found.left_out:
            continue
        placed.append(row)
    return placed


def _things(
    brand: Brand, staff_ids: Collection[int], days: Collection[date], more: int = 0
) -> Counter[GuideDay]:
    last = max(days) + timedelta(days=more)
    load = guide_load.by_days(brand, staff_ids, min(days), last)
    return Counter({key: n for key, (n, _people) in load.items()})


def _day(brand: Brand, at: datetime) -> date:
    return date.fromordinal(governance.day_of(at, brand.timezone))


def days_after(brand: Brand, at: datetime, days: int) -> datetime:
    """The same time of day so many days later, in the brand's zone."""
    local = at.astimezone(ZoneInfo(brand.timezone))
    return (local + timedelta(days=days)).astimezone(UTC)


def n_over(brand: Brand, due: Collection[tuple[int, datetime]]) -> int:
    """Guides with more to do than the brand wants on one of the days of these (guide, deadline), where it only warns; one
    statement."""
    policy = rules.policy_of(brand)
    if policy.guide_tasks_a_day is None or workload.limits_of(brand) is not None or not due:
        return 0
    asked = {(staff_id, _day(brand, at)) for staff_id, at in due}
    n = _things(brand, {staff_id for staff_id, _on in asked}, [on for _staff_id, on in asked])
    return len({key[0] for key in asked if n[key] > policy.guide_tasks_a_day})
