"""Whom a code leads to: examples by table, and laws that hold for any guides."""

from collections import Counter
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livecodes.services import rotation
from livecodes.services.rotation import Duty, Guide, Hours, expected_arrivals, next_change, plan

ZONE = ZoneInfo("Asia/Shanghai")
MONDAY_10 = datetime(2026, 11, 23, 10, 0, tzinfo=ZONE)
EVERY_DAY = frozenset(range(1, 8))
DAY = Hours(EVERY_DAY, time(9), time(18))
NIGHT = Hours(frozenset({1}), time(22), time(2))  # Monday 22:00 to Tuesday 02:00
STRATEGIES = ["in_turn", "weighted", "least_loaded", "quality"]


def at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=ZONE)  # type: ignore[arg-type, misc]


def guide(n: int, **over) -> Guide:
    return Guide(**{"staff_id": n, "userid": f"u{n}", **over})


def run(guides: list[Guide], n: int, strategy: str, local: datetime = MONDAY_10) -> list[int]:
    """`n` arrivals one after another, the list rewritten after each; who got them, in order."""
    got: list[int] = []
    for _ in range(n):
        counts = Counter(got)
        now = [Guide(**{**g.__dict__, "n_today": counts[g.staff_id]}) for g in guides]
        got.append(plan(now, strategy=strategy, local=local, recent=got[::-1]).staff_ids[0])
    return got


# ---- hours


@pytest.mark.parametrize(
    "hours, moment, on",
    [
        (DAY, at(2026, 11, 23, 8, 59, 59), False),
        (DAY, at(2026, 11, 23, 9, 0), True),
        (DAY, at(2026, 11, 23, 17, 59, 59), True),
        (DAY, at(2026, 11, 23, 18, 0), False),
        (NIGHT, at(2026, 11, 23, 1, 0), False),  # Monday before its own night
        (NIGHT, at(2026, 11, 23, 22, 0), True),
        (NIGHT, at(2026, 11, 24, 1, 59), True),  # Tuesday, still Monday's night
        (NIGHT, at(2026, 11, 24, 2, 0), False),
        (NIGHT, at(2026, 11, 24, 22, 0), False),
        (Hours(frozenset({7}), time(22), time(2)), at(2026, 11, 23, 1, 0), True),  # Sunday's night, on Monday
        (Hours(frozenset({1}), time(0), time(0)), at(2026, 11, 23, 23, 59), True),  # the whole day
        (Hours(frozenset({2}), time(0), time(0)), at(2026, 11, 23, 12, 0), False),
    ],
)
def test_hours(hours: Hours, moment: datetime, on: bool) -> None:
    assert hours.hold(moment) is on


@pytest.mark.parametrize(
    "hours, has_limits, expected",
    [
        ([], False, None),
        ([], True, at(2026, 11, 24, 0, 0)),
        ([DAY], False, at(2026, 11, 23, 18, 0)),
        ([DAY, Hours(EVERY_DAY, time(11), time(12))], True, at(2026, 11, 23, 11, 0)),
        ([Hours(EVERY_DAY, time(10), time(9))], False, at(2026, 11, 24, 9, 0)),  # 10:00 itself is over
        (
            [Hours(frozenset({1}), time(8), time(8))],
            False,
            at(2026, 11, 24, 0, 0),
        ),  # a whole day ends at midnight
    ],
)
def test_next_change(hours: list[Hours], has_limits: bool, expected: datetime | None) -> None:
    found = next_change(hours, local=MONDAY_10, has_limits=has_limits)
    assert found == expected


def test_the_day_begins_at_the_brands_midnight() -> None:
    now = datetime(2026, 11, 22, 16, 30, tzinfo=UTC)  # 00:30 on the 23rd in Shanghai
    assert rotation.day_start("Asia/Shanghai", now) == datetime(2026, 11, 22, 16, 0, tzinfo=UTC)


# ---- choosing


def test_in_turn_goes_round() -> None:
    assert run([guide(1), guide(2), guide(3)], 7, "in_turn") == [1, 2, 3, 1, 2, 3, 1]


def test_in_turn_goes_on_after_an_overshoot() -> None:
    """Three arrivals reached guide 1 before the list was rewritten: the others are next, not guide 1."""
    assert plan([guide(1), guide(2)], strategy="in_turn", local=MONDAY_10, recent=[1, 1, 1]).userids == (
        "u2",
    )


def test_weights_are_exact_in_each_round() -> None:
    got = run([guide(1, weight=50), guide(2, weight=30), guide(3, weight=20)], 40, "weighted")
    for start in range(30):
        assert Counter(got[start : start + 10]) == {1: 5, 2: 3, 3: 2}


def test_a_guide_who_returns_is_not_flooded() -> None:
    """Guide 2 was off for a hundred arrivals; back on duty they get their share, not a hundred in a row."""
    guides = [guide(1), guide(2)]
    recent = [1] * 100
    got = []
    for _ in range(10):
        got.append(plan(guides, strategy="weighted", local=MONDAY_10, recent=recent).staff_ids[0])
        recent.insert(0, got[-1])
    assert Counter(got) == {1: 5, 2: 5}


def test_least_loaded_takes_whoever_has_fewest_today() -> None:
    guides = [guide(1, n_today=5), guide(2, n_today=3), guide(3, n_today=4)]
    assert plan(guides, strategy="least_loaded", local=MONDAY_10).userids == ("u2",)


def test_limit_passes_on_to_the_next() -> None:
    guides = [guide(1, daily_limit=2), guide(2, daily_limit=1), guide(3, is_standby=True)]
    assert run(guides, 6, "in_turn") == [1, 2, 1, 3, 3, 3]


def test_over_the_limit_without_standby_stays_with_the_least_over() -> None:
    guides = [guide(1, daily_limit=2, n_today=4), guide(2, daily_limit=3, n_today=3)]
    assert plan(guides, strategy="in_turn", local=MONDAY_10) == rotation.Plan(("u2",), Duty.FULL, (2,))


def test_standby_outside_hours_and_closed_without_one() -> None:
    night = MONDAY_10.replace(hour=23)
    guides = [guide(1, hours=(DAY,)), guide(2, hours=(DAY,), is_standby=True)]
    assert plan(guides, strategy="in_turn", local=night) == rotation.Plan(("u2",), Duty.STANDBY, (2,))
    assert plan(guides[:1], strategy="in_turn", local=night) == rotation.Plan(("u1",), Duty.CLOSED, (1,))


def test_the_disabled_and_those_who_left_are_not_chosen() -> None:
    guides = [guide(1, is_able=False), guide(2)]
    assert set(run(guides, 5, "in_turn")) == {2}
    assert plan([guide(1, is_able=False)], strategy="in_turn", local=MONDAY_10).duty == Duty.NOBODY
    assert plan([], strategy="weighted", local=MONDAY_10) == rotation.Plan((), Duty.NOBODY)


def test_a_rush_is_spread_over_several() -> None:
    guides = [guide(n) for n in range(1, 6)]
    assert plan(guides, strategy="in_turn", local=MONDAY_10, recent=[1], ahead=3).userids == (
        "u2",
        "u3",
        "u4",
    )


def test_arrivals_to_expect() -> None:
    now = datetime(2026, 11, 23, tzinfo=UTC)
    assert expected_arrivals([], now) == 1
    assert expected_arrivals([now - timedelta(seconds=s / 20) for s in range(20 * 59)], now) == 59
    assert expected_arrivals([now - timedelta(minutes=2)] * 300, now) == 1


def test_an_unknown_strategy_raises() -> None:
    with pytest.raises(ValueError, match="unknown strategy"):
        plan([guide(1)], strategy="best", local=MONDAY_10)


# ---- laws

times = st.times().map(lambda t: t.replace(microsecond=0))
hours = st.builds(Hours, st.frozensets(st.integers(1, 7), min_size=1), times, times)
guides_lists = st.lists(
    st.builds(
        dict,
        weight=st.integers(1, 100),
        daily_limit=st.none() | st.integers(0, 30),
        is_standby=st.booleans(),
        hours=st.lists(hours, max_size=3).map(tuple),
        is_able=st.booleans(),
        n_today=st.integers(0, 40),
    ),
    max_size=130,
).map(lambda rows: [guide(n, **row) for n, row in enumerate(rows)])
moments = st.integers(0, 365 * 1440).map(lambda m: at(2026, 1, 1) + timedelta(minutes=m))


@settings(max_examples=150, deadline=None)
@given(
    guides_lists,
    st.sampled_from(STRATEGIES),
    moments,
    st.lists(st.integers(0, 130), max_size=60),
    st.integers(1, 120),
)
def test_laws(guides: list[Guide], strategy: str, local: datetime, recent: list[int], ahead: int) -> None:
    found = plan(guides, strategy=strategy, local=local, recent=recent, ahead=ahead)
    by_id = {g.staff_id: g for g in guides}
    chosen = [by_id[i] for i in found.staff_ids]
    able = [g for g in guides if g.is_able]
    free = [g for g in able if not g.is_standby and g.is_on(local) and g.has_room(g.n_today)]

    assert len(found.userids) == len(set(found.userids)) <= rotation.MAX_USERS
    assert all(g.is_able for g in chosen)
    assert bool(chosen) is bool(able)  # never empty while anybody can take a customer
    if free:  # never over the limit, off duty or standby while somebody is free
        assert found.duty == Duty.ON and set(chosen) <= set(free)
    elif any(g.is_standby for g in able):
        assert found.duty == Duty.STANDBY and all(g.is_standby for g in chosen)
    else:
        assert found.duty in (Duty.FULL, Duty.CLOSED, Duty.NOBODY)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=6))
def test_every_round_keeps_the_weights(weights: list[int]) -> None:
    guides = [guide(n, weight=w) for n, w in enumerate(weights)]
    got = run(guides, 2 * sum(weights), "weighted")
    assert Counter(got) == {n: 2 * w for n, w in enumerate(weights)}


@settings(max_examples=80, deadline=None)
@given(st.lists(hours, max_size=4), st.booleans(), moments)
def test_nothing_changes_before_the_next_change(rows: list[Hours], has_limits: bool, local: datetime) -> None:
    """Until the moment that `next_change` names nobody's duty differs; the tick misses nothing."""
    until = next_change(rows, local=local, has_limits=has_limits)
    now = [h.hold(local) for h in rows]
    step = (until or local + timedelta(days=8)) - local
    for part in range(1, 40):
        at = local + step * part / 40
        if until is None or at < until:
            assert [h.hold(at) for h in rows] == now
