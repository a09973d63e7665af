"""The thread that lets time act: what is due happens (life.py)."""

import logging
import threading
import time

from django.db import close_old_connections

from . import clock, life
from . import happenings as happenings  # fills the tables of life.py

TICK_S = 0.1
TURN_S = 0.5

log = logging.getLogger(__name__)


def tick() -> None:
    """Play what is due now, for a moment: a clock that runs too fast for its people must not keep others waiting.

    The clock is read with `playing` held, for each happening: whoever held it before may have set it back.
    """
    with life.playing:
        end = time.monotonic() + TURN_S
        while life.step(clock.running()) and time.monotonic() < end:
            pass


def _run() -> None:
    while True:
        try:
            tick()
        except Exception:  # one bad moment must not stop time
            log.exception("tick")
        finally:
            close_old_connections()
        time.sleep(TICK_S)


def start() -> None:
    """Start the thread."""
    threading.Thread(target=_run, name="ticker", daemon=True).start()
