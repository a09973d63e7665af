"""When a step is due: pure computation, no ORM.

Day 0 is the date of joining in the brand's zone; a step of day N runs at its hour and minute on the N-th
date after it. Where the clocks are put forward over that time, it runs as much later (02:30 becomes 03:30);
where they are put back, at the second of the two moments. PostgreSQL's AT TIME ZONE answers the same.
"""

from bisect import bisect_left, bisect_right
from calendar import monthrange
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

MAX_DAY = 3650  # ten years after joining


@dataclass(frozen=True, order=True)
class StepTime:
    """When a step runs, as people write it; `position` counts steps in this order from 0."""

    day: int
    hour: int
    minute: int
    position: int = 0
    step_id: int = 0


@dataclass(frozen=True)
class Due:
    """What a person has to get at a moment.

    Attributes:
        send: the newest step that is due and not too old; None if there is none.
        missed: due steps that are not sent any more: too old, or overtaken by `send`.
        next_at, next_position: the step after them; `next_at` None when there is none.
    """

    send: StepTime | None
    missed: tuple[StepTime, ...]
    next_at: datetime | None
    next_position: int


def joining_date(joined_at: datetime, zone: str) -> date:
    """Day 0: the date of an aware moment in the brand's zone."""
    return joined_at.astimezone(ZoneInfo(zone)).date()


@cache
def run_at(day_0: date, day: int, hour: int, minute: int, zone: str) -> datetime:
    """The UTC moment of `hour:minute` of `zone`, `day` days after `day_0`."""
    local = datetime.combine(day_0 + timedelta(days=day), time(hour, minute), ZoneInfo(zone))
    later = local.replace(
        fold=1
    )  # the second moment of an hour that happens twice; the same moment elsewhere
    moment = later.astimezone(UTC)
    if moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None) != local.replace(tzinfo=None):
        return local.astimezone(UTC)  # an hour that does not exist: counted with the offset before it
    return moment


def next_in_rhythm(at: datetime, every: str, zone: str, first: datetime) -> datetime:
    """The next moment after `at` of a daily, weekly or monthly rhythm.

    Args:
        first: the first time, whose day of the month and local time all others have, as far as their month is long
            enough and the hour exists on their day.

    Raises:
        ValueError: an unknown rhythm.
    """
    begun, on = first.astimezone(ZoneInfo(zone)), at.astimezone(ZoneInfo(zone)).date()
    if every in ("day", "week"):
        on += timedelta(days=7 if every == "week" else 1)
    elif every == "month":
        year, month = (on.year, on.month + 1) if on.month < 12 else (on.year + 1, 1)
        on = date(year, month, min(begun.day, monthrange(year, month)[1]))
    else:
        raise ValueError(f"unknown rhythm {every}")
    return run_at(on, 0, begun.hour, begun.minute, zone)


def timetable(steps: Iterable[StepTime], day_0: date, zone: str) -> list[tuple[datetime, StepTime]]:
    """All steps of a person who joined on `day_0`, in order of time."""
    rows = [(run_at(day_0, s.day, s.hour, s.minute, zone), s) for s in steps]
    return sorted(rows, key=lambda row: (row[0], row[1].position))


def next_step(table: Sequence[tuple[datetime, StepTime]], since: datetime) -> tuple[datetime | None, int]:
    """The first step at or after `since`: its moment (None if there is none) and position (then the number of
    steps)."""
    i = bisect_left(table, since, key=lambda row: row[0])
    return (table[i][0], table[i][1].position) if i < len(table) else (None, len(table))


def what_is_due(
    table: Sequence[tuple[datetime, StepTime]], since: datetime, now: datetime, late: timedelta
) -> Due:
    """What to do at `now` for a person whose steps before `since` are settled.

    Of several steps that are due at once (workers were down, the SOP was paused) only the newest is sent, if
    it is not older than `late`: nobody wants three messages in one minute.
    """
    start = bisect_left(table, since, key=lambda row: row[0])
    end = bisect_right(table, now, key=lambda row: row[0])
    due = table[start:end]
    next_at, position = (table[end][0], table[end][1].position) if end < len(table) else (None, len(table))
    if not due:
        return Due(None, (), next_at, position)
    newest_at, newest = due[-1]
    older = tuple(step for _, step in due[:-1])
    if newest_at < now - late:
        return Due(None, (*older, newest), next_at, position)
    return Due(newest, older, next_at, position)


def calendar(
    joined: Mapping[date, int], steps: Sequence[StepTime], zone: str, now: datetime, days: int
) -> dict[date, dict[int, int]]:
    """Who will get what: {date: {position of step: people}} for `days` dates from today on.

    Args:
        joined: {day 0: people in the SOP who joined then}.
    """
    today = now.astimezone(ZoneInfo(zone)).date()
    found: dict[date, dict[int, int]] = {today + timedelta(days=n): {} for n in range(days)}
    for day_0, n in joined.items():
        for step in steps:
            on = day_0 + timedelta(days=step.day)
            if on in found and run_at(day_0, step.day, step.hour, step.minute, zone) > now:
                found[on][step.position] = found[on].get(step.position, 0) + n
    return found
