"""Windows of time in conditions, as [start, end) of moments or of days; pure.

A window is JSON with a `type`:

| type | further | moments | days |
|---|---|---|---|
| `ever`, `never` | | any, none at all | |
| `last` | `n`, `unit` day, hour | from n days ago | n days ago to today |
| `before` | `n` | earlier than n days ago | earlier than n days ago |
| `next` | `n` | | today to n days from now |
| `between` | `from`, `to` (days, one may be empty) | both days included, in the brand's zone | the same |
| `this`, `previous` | `unit` day, week, month, year | the calendar's, weeks begin on Monday | the same |
| `anniversary` | `n` | | the day of a year comes within n days, today included |
| `month` | `of` this, next | | the day of a year is in this month |
"""

from calendar import isleap
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

Window = dict[str, Any]

UNITS = ("day", "week", "month", "year")
MAX_DAYS = 3_660


def moments(window: Window, now: datetime, zone: str) -> tuple[datetime | None, datetime | None]:
    """[start, end) of a window of moments; None where it is open. `never` has no moments: ask before.

    Raises:
        ValueError: a window that has no moments.
    """
    match window["type"]:
        case "ever":
            return None, None
        case "last":
            return now - timedelta(**{f"{window.get('unit', 'day')}s": window["n"]}), None
        case "before":
            return None, now - timedelta(days=window["n"])
        case "between" | "this" | "previous":
            info = ZoneInfo(zone)
            start, end = days(window, now.astimezone(info).date())
            return _midnight(start, info), _midnight(end, info)
    raise ValueError(f"no moments in {window}")


def _midnight(day: date | None, info: ZoneInfo) -> datetime | None:
    return None if day is None else datetime.combine(day, time.min, info)


def days(window: Window, today: date) -> tuple[date | None, date | None]:
    """[start, end) of a window of days; None where it is open.

    Raises:
        ValueError: a window that is no span of days.
    """
    match window["type"]:
        case "ever":
            return None, None
        case "last":
            return today - timedelta(days=window["n"]), today + timedelta(days=1)
        case "before":
            return None, today - timedelta(days=window["n"])
        case "next":
            return today, today + timedelta(days=window["n"] + 1)
        case "between":
            start, end = window.get("from"), window.get("to")
            last = date.fromisoformat(end) if end else None
            return (date.fromisoformat(start) if start else None), last and last + timedelta(days=1)
        case "this":
            return _calendar(today, window["unit"], 0)
        case "previous":
            return _calendar(today, window["unit"], -1)
    raise ValueError(f"no days in {window}")


def _calendar(today: date, unit: str, shift: int) -> tuple[date, date]:
    """The day, week, month or year `shift` units from today's, as [start, end)."""
    if unit in ("day", "week"):
        n = 1 if unit == "day" else 7
        first = today - timedelta(days=0 if unit == "day" else today.weekday())
        start = first + timedelta(days=n * shift)
        return start, start + timedelta(days=n)
    if unit == "month":
        start = _month(today, shift)
        return start, _month(start, 1)
    start = date(today.year + shift, 1, 1)
    return start, date(start.year + 1, 1, 1)


def _month(day: date, shift: int) -> date:
    index = day.year * 12 + day.month - 1 + shift
    return date(index // 12, index % 12 + 1, 1)


def year_days(window: Window, today: date) -> list[int]:
    """The days of a year (month × 100 + day) in a window of anniversaries. Who was born on 29 February has the
    day on the 28th in other years."""
    if window["type"] == "month":
        start, end = _calendar(today, "month", 0)
        if window["of"] == "next":
            start, end = end, _month(end, 1)
    else:
        start, end = today, today + timedelta(days=window["n"] + 1)
    found = {
        (start + timedelta(days=i)).month * 100 + (start + timedelta(days=i)).day
        for i in range((end - start).days)
    }
    if 228 in found and not any(isleap(year) for year in {start.year, end.year}):
        found.add(229)
    if window["type"] == "month" and start.month == 2:
        found.add(229)
    return sorted(found)
