"""The rules of how often and when: examples at the edges of days, months and clock changes, and properties."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns import governance
from campaigns.governance import CapRule, Rules

ZONE = "Asia/Shanghai"
NIGHT = (time(22), time(8))


def at(text: str, zone: str = ZONE) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


@pytest.mark.parametrize(
    "moment, quiet, released",
    [
        ("2026-03-01 21:59", NIGHT, "2026-03-01 21:59"),
        ("2026-03-01 22:00", NIGHT, "2026-03-02 08:00"),
        ("2026-03-02 00:30", NIGHT, "2026-03-02 08:00"),
        ("2026-03-02 07:59", NIGHT, "2026-03-02 08:00"),
        ("2026-03-02 08:00", NIGHT, "2026-03-02 08:00"),
        ("2024-02-28 23:00", NIGHT, "2024-02-29 08:00"),
        ("2024-02-29 23:00", NIGHT, "2024-03-01 08:00"),
        ("2026-12-31 23:30", NIGHT, "2027-01-01 08:00"),
        ("2026-03-02 12:30", (time(12), time(14)), "2026-03-02 14:00"),
        ("2026-03-02 14:00", (time(12), time(14)), "2026-03-02 14:00"),
        ("2026-03-02 03:00", None, "2026-03-02 03:00"),
    ],
)
def test_quiet_hours_hold_and_release(moment: str, quiet: tuple[time, time] | None, released: str) -> None:
    assert governance.release_at(at(moment), quiet, ZONE) == at(released)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", ZONE])
@given(minutes=st.integers(0, 2 * 366 * 24 * 60), start=st.integers(0, 1439), length=st.integers(1, 1439))
def test_release_is_the_next_moment_that_is_not_quiet(
    zone: str, minutes: int, start: int, length: int
) -> None:
    end = (start + length) % 1440
    quiet = (time(start // 60, start % 60), time(end // 60, end % 60))
    moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    released = governance.release_at(moment, quiet, zone)
    assert released >= moment and not governance.is_quiet(released, quiet, zone)
    assert released - moment <= timedelta(hours=25)
    if not governance.is_quiet(moment, quiet, zone):
        assert released == moment


@pytest.mark.parametrize(
    "on, mode, found",
    [
        (date(2024, 2, 29), "month", (date(2024, 2, 1), date(2024, 2, 29), 29)),
        (date(2026, 2, 28), "month", (date(2026, 2, 1), date(2026, 2, 28), 28)),
        (date(2026, 12, 31), "month", (date(2026, 12, 1), date(2026, 12, 31), 31)),
        (date(2026, 3, 1), "week", (date(2026, 2, 23), date(2026, 3, 1), 7)),
        (date(2026, 3, 2), "week", (date(2026, 3, 2), date(2026, 3, 8), 7)),
        (date(2026, 3, 2), "day", (date(2026, 3, 2), date(2026, 3, 2), 1)),
    ],
)
def test_wecoms_allowance(on: date, mode: str, found: tuple[date, date, int]) -> None:
    first, last, n = governance.allowance_period(on, mode)
    assert (date.fromordinal(first), date.fromordinal(last), n) == found


def test_unknown_allowance_is_refused() -> None:
    with pytest.raises(ValueError, match="year"):
        governance.allowance_period(date(2026, 1, 1), "year")


def test_a_day_is_the_brands_day() -> None:
    moment = datetime(2026, 3, 1, 17, tzinfo=UTC)
    assert governance.day_of(moment, ZONE) == date(2026, 3, 2).toordinal()
    assert governance.midnight(date(2026, 3, 2).toordinal(), ZONE) == at("2026-03-02 00:00")


days = st.dictionaries(st.integers(80, 120), st.integers(1, 4), max_size=12)


caps_of_some_kind = st.builds(CapRule, st.integers(1, 14), st.integers(1, 8), st.sampled_from([0, 2, 3]))


@given(
    counts=st.dictionaries(st.sampled_from([2, 3]), days),
    day=st.integers(95, 105),
    caps=st.lists(caps_of_some_kind, max_size=4),
)
def test_a_touch_that_is_let_through_breaks_no_cap(
    counts: dict[int, dict[int, int]], day: int, caps: list[CapRule]
) -> None:
    """By trying: put one more on the day, then look at every window of every cap, whichever lay under its cap before."""

    def in_window(start: int, cap: CapRule, touches: dict[int, dict[int, int]]) -> int:
        kinds = touches if cap.kind == 0 else {cap.kind: touches.get(cap.kind, {})}
        return sum(n for of in kinds.values() for d, n in of.items() if start <= d < start + cap.days)

    kind = 3
    after = {k: dict(of) for k, of in counts.items()}
    after.setdefault(kind, {})
    after[kind][day] = after[kind].get(day, 0) + 1
    broken = any(
        in_window(start, cap, after) > cap.n
        for cap in caps
        if cap.kind in (0, kind)
        for start in range(day - cap.days + 1, day + 1)
    )
    assert governance.is_capped(Rules(caps=tuple(caps)), counts, day, kind) == broken


def test_an_hour_that_comes_twice_releases_at_its_first_time() -> None:
    """Only from two to three in the morning something may go out; that hour comes twice when the clocks go back."""
    quiet, moment = (time(3), time(2)), datetime(2026, 10, 24, 1, tzinfo=UTC)
    assert governance.release_at(moment, quiet, "Europe/Berlin") == datetime(2026, 10, 25, 0, tzinfo=UTC)


@given(counts=st.dictionaries(st.integers(1, 200), st.integers(1, 4), max_size=12), days=st.integers(1, 90))
def test_the_fullest_window_is_found(counts: dict[int, int], days: int) -> None:
    day = 100
    every = [range(start, start + days) for start in range(day - days + 1, day + 1)]
    most = max(sum(counts.get(d, 0) for d in window) for window in every)
    assert governance.most_in_window(counts, day, days) == most
