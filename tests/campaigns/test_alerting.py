"""When a guide is told, as a pure decision: bundled, not too often, never lost, never twice."""

from datetime import UTC, datetime, time, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from campaigns import alerting
from campaigns.alerting import HOURLY, LATE, SAME, Item, Settings, Told, decide, rehearse

NOW = datetime(2026, 3, 10, 4, 0, tzinfo=UTC)  # noon in Shanghai
CART, OPEN = (92, 1), (70, 2)
S = Settings()


def ago(**span: int) -> datetime:
    return NOW - timedelta(**span)


def test_at_once_and_together() -> None:
    items = [Item(1, ago(seconds=9), 7, CART), Item(2, ago(seconds=5), 8, OPEN)]
    found = decide(NOW, items, {}, [], S)
    assert found.send == items and not found.hold and not found.drop


def test_the_same_again_is_nothing_new_and_another_thing_waits() -> None:
    told = {7: Told(ago(minutes=10), frozenset({CART}))}
    found = decide(NOW, [Item(1, NOW, 7, CART), Item(2, NOW, 7, OPEN), Item(3, NOW, 8, CART)], told, [], S)
    assert found.drop == {1: SAME} and found.hold == {2: ago(minutes=10) + S.window}
    assert [item.id for item in found.send] == [3]
    later = NOW + timedelta(minutes=20)
    assert [
        i.id for i in decide(later, [Item(2, NOW, 7, OPEN), Item(4, later, 7, CART)], told, [], S).send
    ] == [2, 4]


def test_a_full_hour_holds_until_there_is_room() -> None:
    messages = [ago(minutes=m) for m in (50, 40, 30, 20, 10, 5)]
    found = decide(NOW, [Item(1, NOW, 7, CART)], {}, messages, S)
    assert found.hold == {1: ago(minutes=50) + timedelta(hours=1)}
    assert decide(NOW, [Item(1, NOW, 7, CART)], {}, messages[:5], S).send


def test_quiet_hours_hold_and_release() -> None:
    quiet = Settings(quiet=(time(11), time(14)))
    assert decide(NOW, [Item(1, NOW, 7, CART)], {}, [], quiet).hold == {1: NOW + timedelta(hours=2)}


def test_what_is_too_old_is_not_told() -> None:
    old = Item(1, ago(hours=13), 7, CART)
    assert decide(NOW, [old], {}, [], S).drop == {1: LATE}
    assert decide(NOW, [old], {}, [ago(minutes=m) for m in range(6)], S).drop == {1: HOURLY}


SECONDS = st.integers(0, 86_400)
ROWS = st.lists(
    st.tuples(st.integers(1, 2), SECONDS, st.integers(1, 3), st.sampled_from([CART, OPEN])), max_size=40
)


@settings(max_examples=100, deadline=None)
@given(
    ROWS,
    st.sampled_from([None, (time(22), time(8)), (time(3), time(9))]),
    st.integers(1, 4),
    st.sampled_from([5, 30, 120]),
)
def test_each_is_told_once_or_has_a_reason(
    rows: list[tuple[int, int, int, tuple[int, int]]],
    quiet: tuple[time, time] | None,
    per_hour: int,
    minutes: int,
) -> None:
    s = Settings(quiet=quiet, per_hour=per_hour, window=timedelta(minutes=minutes), keep=timedelta(hours=6))
    items = [
        (guide, Item(n, NOW + timedelta(seconds=sec), c, what))
        for n, (guide, sec, c, what) in enumerate(rows)
    ]
    out = rehearse(items, s)
    assert out.n_sent + sum(out.dropped.values()) == len(items)
    assert out.n_messages <= out.n_sent
    assert out.guides <= {guide for guide, _item in items}
    assert set(out.dropped) <= {SAME, HOURLY, LATE}


def test_told_of_a_message() -> None:
    told = alerting.told_of(NOW, [Item(1, NOW, 7, CART), Item(2, NOW, 7, OPEN), Item(3, NOW, 8, CART)])
    assert told == {7: Told(NOW, frozenset({CART, OPEN})), 8: Told(NOW, frozenset({CART}))}
