"""Several at the same time: each act in a thread of its own, with connections of its own, as in another process."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import connection, connections


def together(*acts: Callable[[], Any]) -> list[Any]:
    """What some acts gave that began at the same moment, in their order; raises what one of them has raised, once all
    have come to an end."""
    ready = threading.Barrier(len(acts))

    def run(act: Callable[[], Any]) -> Any:
        ready.wait(60)
        return _apart(act)

    with ThreadPoolExecutor(len(acts)) as pool:
        begun = [pool.submit(run, act) for act in acts]
    return [one.result() for one in begun]


def elsewhere(act: Callable[[], Any]) -> Any:
    """What an act of another process gave; it has come to an end."""
    return together(act)[0]


def meanwhile(act: Callable[[], Any], wait_s: float = 60.0) -> threading.Thread:
    """Another process does something: it has come to an end, or to what this one has locked. Join it later."""
    thread = threading.Thread(target=_apart, args=(act,))
    thread.start()
    until = time.monotonic() + wait_s
    while thread.is_alive() and not somebody_waits() and time.monotonic() < until:
        thread.join(0.01)
    return thread


def somebody_waits() -> bool:
    """Whether another connection waits for what this one has locked."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid)))"
        )
        return cursor.fetchone()[0]


def _apart(act: Callable[[], Any]) -> Any:
    try:
        return act()
    finally:
        connections.close_all()
