"""What will happen and when: one line of time for everything that nobody presses a button for.

The ticker plays it as the clock goes; a scenario that is stepped plays it without waiting. Each happening takes
place at its own moment (clock.at), once, in one transaction, in the order of moments.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

from . import clock, store
from .errors import Refused
from .models import Due

Act = Callable[[str, dict[str, Any]], Any]
Next = tuple[float, int, int]  # moment, which table (-1: Due), key


@dataclass(frozen=True)
class Source:
    """Another table with moments. sql: its rows (at, id), the earliest first."""

    sql: str
    play: Callable[[int], Any]
    drop: Callable[[int], Any]


ACTS: dict[str, Act] = {}  # kind of a Due row → what is done; filled by happenings.py
SOURCES: list[Source] = []  # ditto

log = logging.getLogger(__name__)
playing = threading.Lock()  # one thread at a time lets things happen


def plan(at: float, corpid: str, kind: str, /, **given: Any) -> None:
    """Let something happen at a moment."""
    Due.objects.create(at=at, corpid=corpid, kind=kind, given=given)


def plan_many(rows: list[Due]) -> None:
    """The same for many at once."""
    Due.objects.bulk_create(rows, batch_size=2000)


def peek() -> Next | None:
    """What happens next; it may be asked often, so it is one statement."""
    parts = ["SELECT at, -1, id FROM (SELECT at, id FROM sandbox_due ORDER BY at, id LIMIT 1)"]
    parts += [f"SELECT at, {place}, id FROM ({source.sql} LIMIT 1)" for place, source in enumerate(SOURCES)]  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(parts))
        return min(cursor.fetchall(), default=None)


def step(until: float) -> bool:
    """Play the next happening if it is due by then; whether there was one. Call it with `playing` held."""
    found = peek()
    if found is None or found[0] > until:
        return False
    play(found)
    return True


def play(found: Next) -> None:
    """Let it happen, at its moment."""
    moment, place, key = found
    act, drop = (_play, _drop) if place < 0 else (SOURCES[place].play, SOURCES[place].drop)
    try:
        with clock.at(moment):
            act(key)
    except Exception:  # what cannot happen must not stop everything after it
        log.exception("happening %s of %s", key, "the line" if place < 0 else f"table {place}")
        with store.writing():
            drop(key)


def _drop(key: int) -> None:
    Due.objects.filter(pk=key).delete()


def _play(key: int) -> None:
    with store.writing():
        row = Due.objects.filter(pk=key).first()
        if row is None:
            return
        Due.objects.filter(pk=key).delete()
        try:
            with transaction.atomic():
                ACTS[row.kind](row.corpid, row.given)
        except Refused as reason:  # the world changed since it was planned: he is no customer any more …
            log.info("%s at %s: %s", row.kind, row.corpid, reason)
