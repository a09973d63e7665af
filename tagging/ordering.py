"""New numbers for a changed order with as few changes as possible: each change of a corp tag is a call to WeCom. Pure."""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise

STEP = 1_000  # room between two numbers, so that the next move changes one number only
MOST = 2**32 - 1  # WeCom's largest order


def new_orders(wanted: Sequence[int]) -> dict[int, int]:
    """Index → new number for those that must change, so that numbers fall along the list.

    Args:
        wanted: present numbers in the wanted order, the first one on top; a larger number comes first.
    """
    kept = _falling(wanted)
    found: dict[int, int] = {}
    n = len(wanted)
    # between two kept ones there must be room for those in between
    edges = [-1, *kept, n]
    for left, right in pairwise(edges):
        between = range(left + 1, right)
        if not between:
            continue
        high = wanted[left] if left >= 0 else None
        low = wanted[right] if right < n else None
        if high is None:
            high = (low if low is not None else 0) + STEP * (len(between) + 1)
        if low is None:
            low = max(high - STEP * (len(between) + 1), -1)
        room = high - low - 1
        if room < len(between) or high > MOST + 1:
            return _afresh(wanted)
        gap = (high - low) // (len(between) + 1)
        for k, index in enumerate(between, start=1):
            found[index] = high - k * max(gap, 1)
    return found


def _afresh(wanted: Sequence[int]) -> dict[int, int]:
    n = len(wanted)
    return {i: (n - i) * STEP for i in range(n) if wanted[i] != (n - i) * STEP}


def _falling(numbers: Sequence[int]) -> list[int]:
    """Indexes of a longest strictly falling run of numbers: they may stay."""
    tails: list[int] = []  # negated last numbers of the best run of each length
    ends: list[int] = []
    before = [-1] * len(numbers)
    for index, number in enumerate(numbers):
        place = bisect_left(tails, -number)
        before[index] = ends[place - 1] if place else -1
        if place == len(tails):
            tails.append(-number)
            ends.append(index)
        else:
            tails[place], ends[place] = -number, index
    run: list[int] = []
    index = ends[-1] if ends else -1
    while index >= 0:
        run.append(index)
        index = before[index]
    return run[::-1]
