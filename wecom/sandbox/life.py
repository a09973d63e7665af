"""What will happen and when: one line of time for everything that nobody presses a button for.

The ticker plays it as the clock goes; a scenario that is stepped plays it without waiting. Each happening takes
place at its own moment (clock.at), once, in one transaction, in the order of moments.
"""

import logging
import threading
from collections.abc import Callable
from typing import Any

from django.db import transaction

from . import clock, store
from .errors import Refused
from .models import Due

Act = Callable[[str, dict[str, Any]], Any]
Source = tuple[Callable[[], tuple[float, int] | None], Callable[[int], Any], Callable[[int], Any]]

ACTS: dict[str, Act] = {}  # kind of a Due row → what is done; filled by happenings.py
SOURCES: list[
    Source
] = []  # other tables with moments: (earliest (moment, key) or None, play one, drop one); ditto

log = logging.getLogger(__name__)
playing = threading.Lock()  # one thread at a time lets things happen


def plan(at: float, corpid: str, kind: str, /, **given: Any) -> None:
    """Let something happen at a moment."""
    Due.objects.create(at=at, corpid=corpid, kind=kind, given=given)


def plan_many(rows: list[Due]) -> None:
    """The same for many at once."""
    Due.objects.bulk_create(rows, batch_size=2000)


def _earliest() -> tuple[float, int, int] | None:
    """(moment, which table, key) of what comes next; -1 is the table of Due rows."""
    found: list[tuple[float, int, int]] = []
    row = Due.objects.order_by("at", "id").values_list("at", "id").first()
    if row is not None:
        found.append((row[0], -1, row[1]))
    for place, (earliest, _, _) in enumerate(SOURCES):
        other = earliest()
        if other is not None:
            found.append((other[0], place, other[1]))
    return min(found, default=None)


def next_at() -> float | None:
    """When something happens next."""
    found = _earliest()
    return found[0] if found else None


def step(until: float) -> bool:
    """Play the next happening if it is due by then; whether there was one. Call it with `playing` held."""
    found = _earliest()
    if found is None or found[0] > until:
        return False
    moment, place, key = found
    play, drop = (_play, _drop) if place < 0 else SOURCES[place][1:]
    try:
        with clock.at(moment):
            play(key)
    except Exception:  # what cannot happen must not stop everything after it
        log.exception("happening %s of %s", key, "the line" if place < 0 else f"table {place}")
        with store.writing():
            drop(key)
    return True


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
