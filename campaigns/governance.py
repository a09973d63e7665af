"""The rules of how often and when a customer may hear from the brand. Pure: days are ordinals of the brand's zone
(`date.toordinal()`), counts are numbers of touches on a day."""

import calendar
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from campaigns.services.sops.schedule import run_at

WECOM_ZONE = "Asia/Shanghai"  # of WeCom's own days, weeks and months
MAX_DAYS = 90  # of a cap


@dataclass(frozen=True)
class CapRule:
    """At most `n` in any `days` days in a row; `kind` 0: of all kinds together."""

    days: int
    n: int
    kind: int = 0


@dataclass(frozen=True)
class Rules:
    """What a brand allows.

    Attributes:
        quiet: local times (from, until) between which nothing goes out; over midnight when from > until.
        allowance: month, week or day: WeCom's own limit.
        hold_out: per cent of the customers who get no campaign of the brand at all.
        hold_out_round: another number draws other people.
    """

    zone: str = WECOM_ZONE
    caps: tuple[CapRule, ...] = ()
    gap: timedelta = timedelta(0)
    quiet: tuple[time, time] | None = None
    allowance: str = "month"
    hold_out: int = 0
    hold_out_round: int = 1

    @property
    def reach_days(self) -> int:
        """Touches further away than so many days do not matter for a cap or gap."""
        return max([cap.days - 1 for cap in self.caps] + [-(-self.gap // timedelta(days=1))], default=0)


def day_of(at: datetime, zone: str) -> int:
    """The day of an aware moment."""
    return at.astimezone(ZoneInfo(zone)).toordinal()


def midnight(day: int, zone: str) -> datetime:
    """The moment at which a day begins."""
    return run_at(date.fromordinal(day), 0, 0, 0, zone)


def is_quiet(at: datetime, quiet: tuple[time, time] | None, zone: str) -> bool:
    """Whether nothing goes out at this moment."""
    if quiet is None:
        return False
    start, end = quiet
    local = at.astimezone(ZoneInfo(zone)).time()
    return start <= local < end if start < end else local >= start or local < end


def release_at(at: datetime, quiet: tuple[time, time] | None, zone: str) -> datetime:
    """`at`, or the end of the quiet hours it falls into."""
    while is_quiet(at, quiet, zone):
        assert quiet is not None
        start, end = quiet
        local = at.astimezone(ZoneInfo(zone))
        on = local.date() + timedelta(days=1) if start >= end and local.time() >= start else local.date()
        until = run_at(on, 0, end.hour, end.minute, zone)
        # where the clocks go back over the end of the quiet hours, that hour comes twice: the first one will do
        first = datetime.combine(on, end, ZoneInfo(zone)).astimezone(UTC)
        if first > at and not is_quiet(first, quiet, zone):
            return first
        at = until if until > at else at.astimezone(UTC) + timedelta(minutes=15)
    return at


def allowance_period(on: date, mode: str) -> tuple[int, int, int]:
    """(first day, last day, touches) of WeCom's allowance around a date of its own zone.

    Raises:
        ValueError: an unknown mode.

    Source: developer.work.weixin.qq.com/document/path/92135
    """
    if mode == "day":
        return on.toordinal(), on.toordinal(), 1
    if mode == "week":
        first = on.toordinal() - on.weekday()
        return first, first + 6, 7
    if mode == "month":
        days = calendar.monthrange(on.year, on.month)[1]
        first = on.replace(day=1).toordinal()
        return first, first + days - 1, days
    raise ValueError(f"unknown allowance {mode}")


def allowance_span(at: datetime, mode: str) -> tuple[datetime, datetime, int]:
    """(beginning, end, touches) of WeCom's allowance around a moment. WeCom counts in China's time, wherever the brand is;
    caps are the brand's own and count in its days."""
    return _span_of_day(day_of(at, WECOM_ZONE), mode)


@lru_cache(maxsize=128)  # asked for each person, for the same few days
def _span_of_day(day: int, mode: str) -> tuple[datetime, datetime, int]:
    first, last, n = allowance_period(date.fromordinal(day), mode)
    return midnight(first, WECOM_ZONE), midnight(last + 1, WECOM_ZONE), n


def allowance_days(at: datetime, mode: str, zone: str) -> tuple[int, int, int, bool]:
    """(first day, last day, touches, exact): days of a zone that WeCom's allowance touches; not exact where they begin before
    it, or end after it."""
    start, end, n = allowance_span(at, mode)
    first, last = day_of(start, zone), day_of(end - timedelta(microseconds=1), zone)
    return first, last, n, (midnight(first, zone), midnight(last + 1, zone)) == (start, end)


def most_in_window(counts: Mapping[int, int], day: int, days: int) -> int:
    """The largest number of touches in any `days` days in a row that hold `day`."""
    near = [(d, n) for d, n in counts.items() if abs(d - day) < days]
    # a window loses nothing when it begins only with the first day in it that counts
    starts = {day, *(d for d, _n in near if d < day)}
    return max(sum(n for d, n in near if start <= d < start + days) for start in starts)


def is_capped(rules: Rules, counts: Mapping[int, Mapping[int, int]], day: int, kind: int) -> bool:
    """Whether one touch more of `kind` on `day` would break a cap.

    Args:
        counts: {kind: {day: touches}}.
    """
    together = _together(counts.values())
    for cap in rules.caps:
        if cap.kind in (0, kind):
            of_kind = together if cap.kind == 0 else counts.get(kind, {})
            if most_in_window(of_kind, day, cap.days) >= cap.n:
                return True
    return False


def _together(counts: Iterable[Mapping[int, int]]) -> dict[int, int]:
    total: dict[int, int] = {}
    for of_kind in counts:
        for day, n in of_kind.items():
            total[day] = total.get(day, 0) + n
    return total
