"""A batch of relations merged by two connections side by side, each with half of the customers.

One connection keeps one processor busy and leaves the others idle; while both are at work the next batch is made ready.
Customers are parted by their id, so the halves do
not touch the same people; where they do after all (two ids of one person), the second one is rolled back and repeated.
Each half is a transaction of its own with its counts; the one that ends last moves the position on. Killed between the
two, the batch is read again, and what is there already changes nothing.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from contextvars import copy_context
from threading import Lock
from typing import Any, Self

from django.db import DatabaseError, IntegrityError, connection, transaction

from contacts.services.positions import Places
from contacts.services.sync.sync_merge import merge
from contacts.services.sync.sync_rows import lines
from contacts.services.sync.sync_run import Run
from contacts.services.sync.sync_types import Conflict, Merged, Row
from tenants.db.clash import is_clash, turns
from tenants.db.commits import hurry

TRIES = 12  # each finds a few more of those who arrive at the same time
WAIT_S = 30  # of one half for the other's saving
HALF_FROM = 1_000  # relations; fewer are merged by one connection
Save = Callable[[Merged, bool], None]


class Batch:
    """Relations to be merged, each once, parted and written as Postgres copies them: what can be done before the batch
    before this one is merged."""

    def __init__(self, rows: Iterable[Row]) -> None:
        once = {(row.staff_id, row.external_userid): row for row in rows}
        parts: tuple[list[Row], list[Row]] = ([], [])
        if len(once) < HALF_FROM:
            parts[0].extend(once.values())
        else:
            for row in once.values():
                parts[ord(row.external_userid[-1]) & 1].append(row)
        self.n = len(once)
        self.parts = [(part, lines(part)) for part in parts if part]


class Halves:
    """Merges batches of one step, one after the other, while the caller gets the next one ready; leave the block to close
    the further connections.

    Args:
        save: saves what a half has done, in its transaction; True: with the position behind the whole batch.
    """

    def __init__(self, run: Run, save: Save) -> None:
        self.run, self.save = run, save
        self._helpers = [ThreadPoolExecutor(1, thread_name_prefix="sync-half") for _ in range(2)]
        self._places = (Places(run.brand), Places(run.brand))
        self._work: list[Future] = []
        self._end = Lock()  # of a half: from its saving to behind its commit
        self._left = 0
        done = run.job.result
        self._new_share = min(1.0, done.get("new_contacts", 0) / max(1, done.get("relations", 0)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_problem: Any) -> None:
        for one in self._work:
            one.exception()  # of a block that is left by another one
        for places in self._places:
            places.leave()
        for helper in self._helpers:
            # looked up over there: a connection belongs to its thread
            helper.submit(lambda: connection.close()).result()
            helper.shutdown()

    def begin(self, batch: Batch) -> None:
        """Begin to merge a batch, when the one before it is merged; the position must not move until `wait` is back. What
        is not worth two connections is merged at once, by the caller's own."""
        self.wait()
        self.run.n_read, self._left = batch.n, max(1, len(batch.parts))
        if len(batch.parts) < 2:
            rows, text = batch.parts[0] if batch.parts else ([], b"")
            return self._half(rows, text, self._places[0])
        for helper, places, (rows, text) in zip(self._helpers, self._places, batch.parts, strict=True):
            self._work.append(helper.submit(copy_context().run, self._half, rows, text, places))
        return None

    def wait(self) -> None:
        """Until the batch that was begun is merged and saved; raises what has stopped it."""
        work, self._work = self._work, []
        for problem in [one.exception() for one in work]:
            if problem:
                raise problem

    def _half(self, rows: Sequence[Row], text: bytes, places: Places) -> None:
        # an arrival made the same customer, or both waited for each other
        for turn in turns(TRIES, may_repeat):
            with turn:
                return self._once(rows, text, places, careful=turn.n > 0)
        return None

    def _once(self, rows: Sequence[Row], text: bytes, places: Places, *, careful: bool) -> None:
        places.provide(len(rows), self._new_share)
        with ExitStack() as end:
            saving = False
            try:
                with transaction.atomic():
                    hurry()
                    merged = merge(self.run.brand, self.run.corp, rows, text, careful=careful, places=places)
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


def may_repeat(error: Exception) -> bool:
    """Whether a merge that ended so may go well the next time."""
    return is_clash(error) or isinstance(error, (Conflict, IntegrityError))
