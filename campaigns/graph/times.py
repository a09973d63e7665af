"""When waits end, for many people at once: numpy over seconds since 1970; the engine and the rehearsal use the same.

A day is a date of the brand's zone. An hour that does not exist runs as much later, one that exists twice at its second
time, as in campaigns/services/sops/schedule.py.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

Seconds = np.ndarray[Any, np.dtype[np.int64]]
DAY, HOUR, MINUTE = 86_400, 3_600, 60
UNITS = {"minutes": MINUTE, "hours": HOUR}
_YEARS = range(1990, 2070)
_THURSDAY = 3  # 1970-01-01, Monday being 0


@cache
def _changes(zone: str) -> tuple[Seconds, Seconds]:
    """(moments at which the offset changes, offsets from then on); the first one is long ago."""
    info = ZoneInfo(zone)
    at = datetime(_YEARS[0], 1, 1, tzinfo=UTC)
    moments, offsets = [-(2**60)], [_offset(info, at)]
    while at.year < _YEARS[-1]:
        later = at + timedelta(days=7)
        if _offset(info, later) != offsets[-1]:
            low, high = int(at.timestamp()), int(later.timestamp())
            while high - low > 1:
                middle = (low + high) // 2
                same = _offset(info, datetime.fromtimestamp(middle, UTC)) == offsets[-1]
                low, high = (middle, high) if same else (low, middle)
            moments.append(high)
            offsets.append(_offset(info, datetime.fromtimestamp(high, UTC)))
        at = later
    return np.array(moments, dtype=np.int64), np.array(offsets, dtype=np.int64)


def _offset(info: ZoneInfo, at: datetime) -> int:
    return round(info.utcoffset(at.astimezone(info)).total_seconds())  # type: ignore[union-attr]


def to_local(at: Seconds, zone: str) -> Seconds:
    """Seconds since 1970 of the clock on the wall."""
    moments, offsets = _changes(zone)
    return at + offsets[np.searchsorted(moments, at, side="right") - 1]


def to_utc(local: Seconds, zone: str) -> Seconds:
    """The moment of a clock on the wall."""
    moments, offsets = _changes(zone)
    # the new offset holds from its own local time on: of an hour that comes twice that is its second time
    return local - offsets[np.searchsorted(moments[1:] + offsets[1:], local, side="right")]


def seconds(moments: Sequence[datetime]) -> Seconds:
    return np.array([int(at.timestamp()) for at in moments], dtype=np.int64)


def moments(ends: Seconds) -> list[datetime]:
    """Many moments; each different one is made once."""
    seen, place = np.unique(ends, return_inverse=True)
    made = [moment(at) for at in seen]
    return [made[n] for n in place.tolist()]


def moment(at: Any) -> datetime:
    return datetime.fromtimestamp(int(at), UTC)


def of_day(text: str) -> int:
    """Seconds after midnight of "HH:MM"."""
    hour, minute = text.split(":")
    return int(hour) * HOUR + int(minute) * MINUTE


def wait_end(node: Mapping[str, Any], base: Seconds, joined: Seconds, zone: str) -> Seconds:
    """When a wait that began at `base` is over; a moment that has passed already is over at once.

    Args:
        joined: when each person came in.
    """
    match node["mode"]:
        case "for" | "event":
            end = _after(node, base, zone)
            if node["mode"] == "for" and node.get("then"):
                end = next_time(end - 1, of_day(node["then"]), (), zone)
            return end
        case "time":
            return next_time(base, of_day(node["time"]), node.get("weekdays") or (), zone)
        case "day":
            local = to_local(joined, zone) // DAY * DAY + int(node["day"]) * DAY + of_day(node["time"])
            return np.maximum(to_utc(local, zone), base)
        case "date":
            days = (date.fromisoformat(node["date"]) - date(1970, 1, 1)).days
            local = np.full(len(base), days * DAY + of_day(node["time"]), dtype=np.int64)
            return np.maximum(to_utc(local, zone), base)
    raise ValueError(f"unknown wait {node['mode']}")


def _after(node: Mapping[str, Any], base: Seconds, zone: str) -> Seconds:
    n = int(node["n"])
    if node["unit"] == "days":
        return to_utc(to_local(base, zone) + n * DAY, zone)
    return base + n * UNITS[node["unit"]]


def next_time(base: Seconds, time_of_day: int, weekdays: Sequence[int], zone: str) -> Seconds:
    """The first such time of day after `base`, on one of some weekdays (1 Monday … 7; none: any)."""
    day = to_local(base, zone) // DAY
    end = np.full(len(base), np.iinfo(np.int64).max, dtype=np.int64)
    for ahead in range(9):
        at = to_utc((day + ahead) * DAY + time_of_day, zone)
        good = at > base
        if weekdays:
            good &= np.isin((day + ahead + _THURSDAY) % 7 + 1, list(weekdays))
        end = np.where(good & (at < end), at, end)
    return end


def open_at(settings: Mapping[str, Any], at: Seconds, zone: str) -> Seconds:
    """`at`, or the next moment of the business hours."""
    if not settings.get("hours"):
        return at
    start, end = of_day(settings["hours_from"]), of_day(settings["hours_until"])
    weekdays = list(settings.get("hours_days") or range(1, 8))

    def is_open(moments: Seconds) -> Any:
        local = to_local(moments, zone)
        day, rest = local // DAY, local % DAY
        on = day - (
            0 if start < end else (rest < end).astype(np.int64)
        )  # over midnight: the day on which they began
        inside = (start <= rest) & (rest < end) if start < end else (rest >= start) | (rest < end)
        return inside & np.isin((on + _THURSDAY) % 7 + 1, weekdays)

    found = np.where(is_open(at), at, next_time(at, start, weekdays, zone))
    if is_open(found).all():
        return found
    # hours that the clock skips altogether: those after them
    return np.where(is_open(found), found, next_time(found, start, weekdays, zone))
