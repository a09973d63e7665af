"""Numbers for `Contact.position`: dense within the brand, gaps allowed."""

import threading
from collections import defaultdict, deque

from django.db import connection, transaction

from tenants.models import Brand

BLOCK = 32
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


def _keep(brand_id: int, numbers: range) -> None:
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
