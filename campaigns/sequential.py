"""Which of several contents is better, looked at as often as one likes. Pure.

The mixture sequential probability ratio test with a normal mixture: its p-values hold at every moment at once ("always
valid"), so that looking each minute and stopping at the first that is small enough cheats nobody. Normal approximation of
two shares, so it asks for a least number of people.

Source: R. Johari, P. Koomen, L. Pekelis, D. Walsh: Peeking at A/B Tests, KDD 2017; Always Valid Inference, Operations
Research 70 (2022). Pairs of more than two contents: Bonferroni.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from math import exp, log, sqrt

# standard deviation of differences one expects, set before anybody has looked: it decides how soon a difference of this
# size is found, not how often chance is taken for one
USUAL_DIFFERENCE = {"opened": 0.05, "replied": 0.03, "bought": 0.01}


@dataclass(frozen=True)
class Share:
    """People of a content, and those who did what was hoped for."""

    n: int
    hits: int

    @property
    def rate(self) -> float:
        return self.hits / self.n if self.n else 0.0


def _variance(a: Share, b: Share) -> float:
    # of the difference if both were the same; never nothing, also when nobody has done it yet
    rate = (a.hits + b.hits + 1) / (a.n + b.n + 2)
    return rate * (1 - rate) * (1 / a.n + 1 / b.n)


def p_value(a: Share, b: Share, spread: float) -> float:
    """The chance, at most, ever to see a difference as clear as this one if there was none."""
    if not a.n or not b.n:
        return 1.0
    v, t = _variance(a, b), spread**2
    log_ratio = 0.5 * log(v / (v + t)) + t * (a.rate - b.rate) ** 2 / (2 * v * (v + t))
    return min(1.0, exp(-log_ratio)) if log_ratio > -700 else 1.0


def difference(a: Share, b: Share, spread: float, alpha: float) -> tuple[float, float]:
    """Where b's rate minus a's lies, at every moment at once, but for a chance of `alpha`."""
    if not a.n or not b.n:
        return -1.0, 1.0
    v, t = _variance(a, b), spread**2
    half = sqrt(2 * v * (v + t) / t * (log(1 / alpha) + 0.5 * log((v + t) / v)))
    middle = b.rate - a.rate
    return max(middle - half, -1.0), min(middle + half, 1.0)


@dataclass(frozen=True)
class Look:
    """What is known at a moment.

    Attributes:
        leader: the content with the highest rate; None when nobody has done anything.
        winner: the leader, once it is better than each other one with the confidence asked for.
        p: of the leader against the one that it beats least clearly, for all pairs together.
        low, high: by how much the leader is better than that one.
        enough: every content has the least number of people.
    """

    leader: int | None
    winner: int | None
    p: float
    low: float
    high: float
    enough: bool


def look(shares: Mapping[int, Share], *, spread: float, confidence: float, least: int) -> Look:
    """Compare contents by their number of people and hits.

    Args:
        confidence: 0.95: at most once in twenty a winner is named where there is none.
        least: people of each content before anything is said.
    """
    enough = len(shares) > 1 and all(share.n >= least for share in shares.values())
    if len(shares) < 2 or not any(share.hits for share in shares.values()):
        return Look(None, None, 1.0, -1.0, 1.0, enough)
    leader = max(shares, key=lambda key: (shares[key].rate, -key))
    pairs = len(list(combinations(shares, 2)))
    others = {key: p_value(shares[leader], shares[key], spread) for key in shares if key != leader}
    nearest = max(others, key=lambda key: (others[key], shares[key].rate))
    p = min(1.0, others[nearest] * pairs)
    alpha = 1 - confidence
    low, high = difference(shares[nearest], shares[leader], spread, alpha / pairs)
    return Look(leader, leader if enough and p <= alpha else None, p, low, high, enough)
