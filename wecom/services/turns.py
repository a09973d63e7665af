"""One at a time per subject (a customer, a member): a short-lived lock in Redis, given back by its owner
only.

It keeps two workers from working on one customer at once. Correctness does not hang on it: unique constraints
and row locks below would still hold if Redis forgot it.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from scrm.redis import redis_client
from tenants.models import Brand
from wecom.tokens import delete_if

POLL_S = 0.03


class Busy(Exception):
    """Somebody else is at this subject."""


@contextmanager
def turn(
    brand: Brand, topic: str, subject: str, *, wait_s: float, hold_s: float, me: str = ""
) -> Iterator[None]:
    """Hold the turn of `subject` (empty: nothing to hold).

    Args:
        topic: e.g. `inbox`; subjects of different topics do not wait for each other.
        hold_s: a killed process gives the turn back after this.
        me: names the work; the same work, begun again after its process was killed, has the turn already.

    Raises:
        Busy: not free within `wait_s`.
    """
    if not subject:
        yield
        return
    client, me = redis_client(), me or uuid4().hex
    key, end = f"turn:{brand.pk}:{topic}:{subject}", time.monotonic() + wait_s
    while not client.set(key, me, nx=True, px=int(hold_s * 1000)) and client.get(key) != me.encode():
        if time.monotonic() >= end:
            raise Busy
        time.sleep(POLL_S)
    try:
        yield
    finally:
        delete_if(client, key, me)
