"""Who gets how many: evenly, by store, with a bound, and never anything twice."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guides.spread import Wanted, spread


def sizes(shares: object) -> dict[int, int]:
    return {guide: len(ids) for guide, ids in shares.of.items()}  # type: ignore[attr-defined]


def test_evenly_and_whoever_has_less_comes_first() -> None:
    rows = [Wanted(n) for n in range(7)]
    assert sizes(spread(rows, {1: None, 2: None, 3: None})) == {1: 3, 2: 2, 3: 2}
    assert sizes(spread(rows[:2], {1: None, 2: None, 3: None}, has={1: 5})) == {2: 1, 3: 1}


def test_whom_the_list_means_comes_first_and_counts() -> None:
    rows = [
        Wanted(1, guide=1),
        Wanted(2, guide=1),
        Wanted(3),
        Wanted(4),
        Wanted(5, guide=9),
        Wanted(6, guide=77),
    ]
    shares = spread(rows, {1: None, 2: None}, meant={9})
    assert shares.of[9] == [5] and shares.of[1][:2] == [1, 2] and sorted(shares.of[2]) == [3, 4]
    assert shares.n == 6 and shares.left == []


def test_by_store_and_with_a_bound() -> None:
    rows = [Wanted(n, store=1 + n % 3) for n in range(9)]
    shares = spread(rows, {10: 1, 11: 1, 20: 2}, by_store=True, most=2)
    assert sizes(shares) == {10: 2, 11: 1, 20: 2}
    assert len(shares.left) == 4  # one of store 2, and those of store 3, of which nobody is chosen
    assert sizes(spread(rows, {10: 1, 11: 1, 20: 2}, most=2)) == {10: 2, 11: 2, 20: 2}


@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.tuples(st.none() | st.integers(1, 4), st.none() | st.integers(1, 2)), max_size=40),
    st.dictionaries(st.integers(1, 5), st.none() | st.integers(1, 2), max_size=5),
    st.booleans(),
    st.none() | st.integers(1, 4),
)
def test_everything_goes_somewhere_once(
    wanted: list[tuple[int | None, int | None]],
    guides: dict[int, int | None],
    by_store: bool,
    most: int | None,
) -> None:
    rows = [Wanted(n, guide, store) for n, (guide, store) in enumerate(wanted)]
    shares = spread(rows, guides, by_store=by_store, most=most)
    assert sorted([*shares.left, *(n for ids in shares.of.values() for n in ids)]) == list(range(len(rows)))
    assert set(shares.of) <= set(guides)
    if most is not None:
        assert all(len(ids) <= most for ids in shares.of.values())
    if not by_store and most is None and guides and not any(guide in guides for guide, _store in wanted):
        counts = [len(shares.of.get(guide, [])) for guide in guides]
        assert max(counts) - min(counts) <= 1
