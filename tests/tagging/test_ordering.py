"""New numbers for an order: falling, and as few changes as can be."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tagging.ordering import MOST, new_orders


def applied(numbers: list[int]) -> list[int]:
    return [new_orders(numbers).get(i, n) for i, n in enumerate(numbers)]


@given(st.lists(st.integers(0, MOST), max_size=40))
def test_numbers_fall_and_stay_in_range(numbers: list[int]) -> None:
    found = applied(numbers)
    assert all(a > b for a, b in pairwise(found))
    assert all(0 <= n <= MOST for n in found)
    assert new_orders(found) == {}


@given(st.integers(2, 30), st.data())
def test_one_move_changes_one_number(n: int, data: st.DataObject) -> None:
    numbers = [(n - i) * 1000 for i in range(n)]
    moved = numbers.pop(data.draw(st.integers(0, n - 1)))
    numbers.insert(data.draw(st.integers(0, n - 1)), moved)
    assert len(new_orders(numbers)) <= 1
