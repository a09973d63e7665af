"""Numbers for `Contact.position`: dense within the brand, gaps allowed."""

import threading
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction

from tenants.db.commits import hurry
from tenants.db.joins import joined_by_hash
from tenants.db.statistics import is_surprised
from tenants.models import Brand

BLOCK = 32
MARGIN = 16
_lock = threading.Lock()
_spare: dict[int, deque[int]] = defaultdict(deque)  # brand id → numbers this process owns and has not used


def take(brand: Brand, n: int = 1) -> int:
    """The first of `n` consecutive positions, inside the caller's transaction.

    Single positions come from a block that this process owns, so that arrivals of one brand do not queue
    for the counter's row until each other's commit. The rest of a block is used only after the transaction
    that took it has
    committed: rolled back, the counter is rolled back as well. What a process leaves unused stays a gap.
    """
    if n == 1:
        with _lock:
            if spare := _spare[brand.pk]:
                return spare.popleft()
        first = _advance(brand, BLOCK)
        transaction.on_commit(lambda: _keep(brand.pk, range(first + 1, first + BLOCK)))
        return first
    return _advance(brand, n)


class Places:
    """Positions for transactions that run side by side: the counter's row stays locked until the end of whoever took from
    it, so blocks are taken beforehand, a little more than the last transaction needed of what it was given; the rest is
    there for the next one."""

    def __init__(self, brand: Brand) -> None:
        self.brand = brand
        self._spare: deque[int] = deque()
        self._share: float | None = None  # of the rows of the last transaction that needed one
        self._n_rows = 0

    def provide(self, n_rows: int, guess: float) -> None:
        """Before a transaction, in one of its own.

        Args:
            n_rows: with so many rows.
            guess: such a share of the rows of the first one needs a position.
        """
        self._n_rows = n_rows
        share = guess if self._share is None else self._share
        wanted = min(n_rows, int(n_rows * share * 1.1) + MARGIN) if share else 0
        if (n := wanted - len(self._spare)) > 1:
            with transaction.atomic():
                hurry()
                first = _advance(self.brand, n)
            self._spare.extend(range(first, first + n))

    def take(self, n: int) -> list[int]:
        """`n` positions, inside the transaction; after a rollback they are a gap."""
        self._share = n / max(self._n_rows, n)
        if n <= len(self._spare):
            return [self._spare.popleft() for _ in range(n)]
        first = _advance(self.brand, n)
        return list(range(first, first + n))

    def leave(self) -> None:
        """What is left is for single contacts."""
        _keep(self.brand.pk, self._spare)
        self._spare = deque()


def _keep(brand_id: int, numbers: Iterable[int]) -> None:
    with _lock:
        _spare[brand_id].extend(numbers)


def _advance(brand: Brand, n: int) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO contacts_brandcounter AS c (brand_id, name, next_value) VALUES (%s, 'contact', %s)"
            " ON CONFLICT (brand_id, name) DO UPDATE SET next_value = c.next_value + %s"
            " RETURNING c.next_value",
            [brand.pk, n, n],
        )
        return cursor.fetchone()[0] - n


LARGE = 5_000  # contacts, from which on it matters what Postgres knows of them


def n_taken(brand: Brand) -> int:
    """How many positions the brand has taken: no fewer than it has contacts."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(max(next_value), 0) FROM contacts_brandcounter WHERE brand_id = %s AND name = 'contact'",
            [brand.pk],
        )
        return cursor.fetchone()[0]


@contextmanager
def joined(brand: Brand) -> Iterator[Any]:
    """A cursor for one statement over everybody of a brand: where Postgres does not know of them, nothing goes from row to
    row. In the caller's transaction."""
    n_rows = None if are_unknown(brand) else 0
    with connection.cursor() as cursor, joined_by_hash(cursor, n_rows):
        yield cursor


def are_unknown(brand: Brand) -> bool:
    """Whether Postgres knows nothing of the brand's many contacts: joining them it would compare each with each. In the
    caller's transaction."""
    n = n_taken(brand)
    return n > LARGE and is_surprised(brand, "contacts_contactstat", n)
