"""A batch of relations merged by two connections side by side, each with half of the customers.

One connection keeps one processor busy and leaves the others idle. Customers are parted by their id, so the halves do
not touch the same people; where they do after all (two ids of one person), the second one is rolled back and repeated.
Each half is a transaction of its own with its counts; the one that ends last moves the position on. Killed between the
two, the batch is read again, and what is there already changes nothing.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from contextvars import copy_context
from threading import Lock
from typing import Any, Self

from django.db import DatabaseError, IntegrityError, connection, transaction

from contacts.services.positions import Places
from contacts.services.sync_merge import merge
from contacts.services.sync_run import Run
from contacts.services.sync_types import Conflict, Merged, Row

TRIES = 4
WAIT_S = 30  # of one half for the other's saving
HALF_FROM = 1_000  # relations; fewer are merged by one connection
Save = Callable[[Merged, bool], None]


class Halves:
    """Merges batches of one step; leave the block to close the second connection.

    Args:
        save: saves what a half has done, in its transaction; True: with the position behind the whole batch.
    """

    def __init__(self, run: Run, save: Save) -> None:
        self.run, self.save = run, save
        self._helper: ThreadPoolExecutor | None = None
        self._places = (Places(run.brand), Places(run.brand))
        self._end = Lock()  # of a half: from its saving to behind its commit
        self._left = 0
        done = run.job.result
        self._new_share = min(1.0, done.get("new_contacts", 0) / max(1, done.get("relations", 0)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_problem: Any) -> None:
        for places in self._places:
            places.leave()
        if self._helper:
            # looked up over there: a connection belongs to its thread
            self._helper.submit(lambda: connection.close()).result()
            self._helper.shutdown()

    def merge(self, rows: Sequence[Row]) -> None:
        """Merge a batch and save the position behind it; each relation comes once."""
        parts: tuple[list[Row], list[Row]] = ([], [])
        if len(rows) < HALF_FROM:
            parts[0].extend(rows)
        else:
            for row in rows:
                parts[ord(row.external_userid[-1]) & 1].append(row)
        here, there = sorted(parts, key=len, reverse=True)
        self._left = 2 if there else 1
        other: Future | None = None
        if there:
            self._helper = self._helper or ThreadPoolExecutor(1, thread_name_prefix="sync-half")
            other = self._helper.submit(copy_context().run, self._half, there, self._places[1])
        try:
            self._half(here, self._places[0])
        finally:
            problem = other.exception() if other else None
        if problem:
            raise problem

    def _half(self, rows: Sequence[Row], places: Places) -> None:
        for attempt in range(TRIES):
            try:
                return self._once(rows, places, careful=attempt > 0)
            except (Conflict, DatabaseError) as error:
                # an arrival made the same customer, or both waited for each other
                if attempt == TRIES - 1 or not may_repeat(error):
                    raise
        return None

    def _once(self, rows: Sequence[Row], places: Places, *, careful: bool) -> None:
        places.provide(int(len(rows) * self._new_share))
        with ExitStack() as end:
            saving = False
            try:
                with transaction.atomic():
                    hurry()
                    merged = merge(self.run.brand, self.run.corp, rows, careful=careful, places=places)
                    # Postgres does not see this wait, so it has an end: rolled back and repeated
                    if not self._end.acquire(timeout=WAIT_S):
                        raise Conflict
                    end.callback(self._end.release)
                    saving = True
                    self.save(merged, self._left == 1)
                self._left -= 1
            except DatabaseError:
                if saving:
                    with transaction.atomic():
                        self.run.job.refresh_from_db()  # what was counted is rolled back
                raise


def hurry() -> None:
    """The commit of this transaction waits for no disk. If Postgres falls in that moment, rows and position are gone
    together, and what others have committed since is gone as well: it lies behind in the same log."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit = off")


def may_repeat(error: Exception) -> bool:
    """Whether a merge that ended so may go well the next time."""
    deadlock = getattr(error.__cause__, "pgcode", "") in ("40P01", "40001")
    return deadlock or isinstance(error, (Conflict, IntegrityError))
