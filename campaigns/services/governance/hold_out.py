"""The brand's hold-out group: a share of all customers gets no campaign at all; what that does is compared with the others.

Who is in it hangs on the contact and the round alone, so that it is the same for every SOP and broadcast and after every
restart. Broadcasts and winners cut their own shares with seeds that are never negative (fanout.py).
"""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
from django.core.cache import cache
from django.db import connection

from campaigns import chance
from campaigns.governance import Rules
from campaigns.services.governance.rules import policy_of
from tagging.services.bits.frames import Bits, Frame
from tenants.models import Brand

LIFE_S = 600  # the comparison reads every customer
Z = 1.959964  # of a 95 % interval
LEAST = 30  # people of each group; with fewer nothing is said


def seed_of(number: int) -> int:
    """The seed of a round."""
    return -number


def _below(percent: int) -> int:
    return percent * chance.BUCKETS // 100


def is_held(contact_ids: Any, rules: Rules) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """For each contact whether it is in the group."""
    return chance.buckets(contact_ids, seed_of(rules.hold_out_round)) < _below(rules.hold_out)


def of_places(frame: Frame, places: Mapping[int, int], rules: Rules) -> Bits:
    """The group among some people, given as {position: contact}."""
    if not rules.hold_out or not places:
        return frame.empty()
    positions = np.fromiter(places, dtype=np.int64)
    return frame.of_positions(positions[is_held(list(places.values()), rules)])


def of_all(frame: Frame, rules: Rules) -> Bits:
    """The group among everybody."""
    if not rules.hold_out:
        return frame.empty()
    return share_of_all(frame, seed_of(rules.hold_out_round), rules.hold_out)


def share_of_all(frame: Frame, seed: int, percent: int) -> Bits:
    """The same share of everybody for one seed, whoever cuts it."""
    return frame.select(
        f"SELECT position FROM contacts_contactstat WHERE brand_id = %s AND {chance.bucket_sql('contact_id', seed)} < %s",  # noqa: S608
        [frame.brand.pk, _below(percent)],
    )


class Group(NamedTuple):
    """One side of the comparison: customers whom a guide had when it began.

    Attributes:
        n: people; n_bought, n_lost: of them since.
        spent_fen: paid less refunded since, by all; spent_squares: sum of each one's square.
    """

    n: int = 0
    n_bought: int = 0
    n_lost: int = 0
    spent_fen: int = 0
    spent_squares: float = 0.0

    @property
    def bought(self) -> float:
        return self.n_bought / self.n if self.n else 0.0

    @property
    def lost(self) -> float:
        return self.n_lost / self.n if self.n else 0.0

    @property
    def spent(self) -> float:
        """Fen a person."""
        return self.spent_fen / self.n if self.n else 0.0

    @property
    def spent_variance(self) -> float:
        return max(self.spent_squares / self.n - self.spent**2, 0.0) if self.n else 0.0


class Difference(NamedTuple):
    """Others less hold-out, and its 95 % interval (normal approximation)."""

    value: float
    low: float
    high: float

    @property
    def is_certain(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.low > 0 or self.high < 0


class Effect(NamedTuple):
    """What the campaigns do, since `since`; differences are None while a group has fewer than LEAST people."""

    since: datetime
    percent: int
    held: Group
    others: Group
    bought: Difference | None
    spent: Difference | None
    lost: Difference | None


_COMPARE = """
    WITH spent AS (
        SELECT o.contact_id, sum(o.amount_fen - o.refunded_fen) AS fen FROM commerce_order o
         WHERE o.brand_id = %s AND o.paid_at >= %s AND o.is_sale AND o.contact_id IS NOT NULL GROUP BY o.contact_id
    )
    SELECT {bucket} < %s, count(*), count(spent.fen), count(s.lost_at),
           coalesce(sum(spent.fen), 0)::bigint, coalesce(sum(spent.fen::float8 * spent.fen), 0)
      FROM contacts_contactstat s LEFT JOIN spent ON spent.contact_id = s.contact_id
     WHERE s.brand_id = %s AND s.added_at < %s AND (s.lost_at IS NULL OR s.lost_at >= %s) GROUP BY 1
"""


def effect_of(brand: Brand) -> Effect | None:
    """The hold-out group beside everybody else; None where there is none. Kept for ten minutes."""
    policy = policy_of(brand)
    since, percent = policy.hold_out_since, policy.hold_out_percent
    if since is None or not percent:
        return None
    key = f"hold-out:{brand.pk}:{policy.hold_out_round}:{percent}:{since.timestamp()}"
    rows = cache.get(key)
    if rows is None:
        bucket = chance.bucket_sql("s.contact_id", seed_of(policy.hold_out_round))
        with connection.cursor() as cursor:
            cursor.execute(
                _COMPARE.format(bucket=bucket),
                [brand.pk, since, _below(percent), brand.pk, since, since],
            )
            rows = {held: list(row) for held, *row in cursor.fetchall()}
        cache.set(key, rows, LIFE_S)
    held, others = (Group(*rows.get(which, ())) for which in (True, False))
    return Effect(since, percent, held, others, *compare(held, others))


def compare(held: Group, others: Group) -> tuple[Difference | None, Difference | None, Difference | None]:
    """Differences of who bought, what a person spent, and who was lost."""
    if min(held.n, others.n) < LEAST:
        return None, None, None

    def between(a: float, b: float, variance_a: float, variance_b: float) -> Difference:
        error = Z * math.sqrt(variance_a / others.n + variance_b / held.n)
        return Difference(a - b, a - b - error, a - b + error)

    def share(a: float, b: float) -> Difference:
        return between(a, b, a * (1 - a), b * (1 - b))

    return (
        share(others.bought, held.bought),
        between(others.spent, held.spent, others.spent_variance, held.spent_variance),
        share(others.lost, held.lost),
    )
