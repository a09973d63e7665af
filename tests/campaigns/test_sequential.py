"""The comparison of contents: chance is not taken for a winner however often one looks, and a better content is found."""

import numpy as np
import pytest

from campaigns.sequential import Share, difference, look, p_value


def first_winner(
    rates: list[float], rng: np.random.Generator, *, n: int, step: int, least: int = 100, spread: float = 0.05
) -> tuple[int | None, int]:
    """Look after every `step` people of each content and stop at the first winner: (content, people of each)."""
    hits = [np.cumsum(rng.random(n) < rate) for rate in rates]
    for seen in range(step, n + 1, step):
        shares = {k: Share(seen, int(h[seen - 1])) for k, h in enumerate(hits)}
        found = look(shares, spread=spread, confidence=0.95, least=least)
        if found.winner is not None:
            return found.winner, seen
    return None, n


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.2, 0.5])
@pytest.mark.parametrize("contents", [2, 4])
def test_no_winner_among_the_same(rate: float, contents: int) -> None:
    """400 comparisons of the same content with itself, looked at 95 times each: at most 5 % may name a winner."""
    rng = np.random.default_rng(int(rate * 1000) + contents)
    runs = 400
    false = sum(first_winner([rate] * contents, rng, n=10_000, step=105)[0] is not None for _ in range(runs))
    assert false / runs <= 0.05


def test_looking_as_often_with_a_usual_test_would_cheat() -> None:
    """What the method is for: the z-test of two shares, looked at as often, is wrong far more often than 5 %."""
    rng = np.random.default_rng(7)
    false = 0
    for _ in range(200):
        a, b = (np.cumsum(rng.random(10_000) < 0.2) for _ in "ab")
        n = np.arange(105, 10_001, 105)
        pooled = (a[n - 1] + b[n - 1]) / (2 * n)
        z = np.abs(a[n - 1] - b[n - 1]) / n / np.sqrt(pooled * (1 - pooled) * 2 / n)
        false += bool((z > 1.96).any())
    assert false / 200 > 0.2


@pytest.mark.parametrize(
    "rates, spread", [([0.10, 0.15], 0.05), ([0.20, 0.20, 0.27], 0.05), ([0.02, 0.035], 0.01)]
)
def test_the_better_one_is_found(rates: list[float], spread: float) -> None:
    rng = np.random.default_rng(3)
    found = [first_winner(rates, rng, n=10_000, step=100, spread=spread) for _ in range(60)]
    right = sum(winner == len(rates) - 1 for winner, _n in found)
    assert right >= 54
    assert sum(winner not in (None, len(rates) - 1) for winner, _n in found) <= 3
    assert np.median([n for _winner, n in found]) < 8_000


def test_the_difference_holds_the_truth_at_every_look() -> None:
    rng = np.random.default_rng(11)
    wrong = 0
    for _ in range(300):
        a, b = np.cumsum(rng.random(5_000) < 0.10), np.cumsum(rng.random(5_000) < 0.13)
        for n in range(100, 5_001, 100):
            low, high = difference(Share(n, int(a[n - 1])), Share(n, int(b[n - 1])), 0.05, 0.05)
            if not low <= 0.03 <= high:
                wrong += 1
                break
    assert wrong / 300 <= 0.05


def test_edges() -> None:
    nothing, some = Share(0, 0), Share(500, 50)
    assert p_value(nothing, some, 0.05) == 1.0 and p_value(some, some, 0.05) == 1.0
    assert difference(nothing, some, 0.05, 0.05) == (-1.0, 1.0)
    assert look({1: some}, spread=0.05, confidence=0.95, least=1).winner is None
    assert look({1: Share(500, 0), 2: Share(500, 0)}, spread=0.05, confidence=0.95, least=1).leader is None
    clear = {1: Share(5_000, 100), 2: Share(5_000, 900)}
    assert look(clear, spread=0.05, confidence=0.95, least=100).winner == 2
    assert look(clear, spread=0.05, confidence=0.95, least=5_001).winner is None
    assert 0 <= p_value(Share(10**6, 0), Share(10**6, 10**6), 0.05) < 1e-12
