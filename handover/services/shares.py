"""Who gets how many: pure."""

from collections.abc import Sequence
from functools import reduce
from math import gcd

MAX_WEIGHT = 100


def deal(n: int, weights: Sequence[int]) -> list[int]:
    """`n` places dealt by weight: for each place the number of its receiver, mixed so that any beginning of
    the list is fair too.

    Raises:
        ValueError: no receivers, or a weight below 1.
    """
    if not weights or min(weights) < 1:
        raise ValueError("weights must be 1 or more")
    divisor = reduce(gcd, weights)
    round_ = sorted(
        ((turn + 0.5) / (weight // divisor), who)
        for who, weight in enumerate(weights)
        for turn in range(weight // divisor)
    )
    return [round_[place % len(round_)][1] for place in range(n)]
