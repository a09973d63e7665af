"""The sandbox's one clock: real time, moved by an offset and run at a speed. Every other file asks here."""

import contextlib
import time
from collections.abc import Iterator
from contextvars import ContextVar

_anchor = (0.0, 0.0, 1.0)  # a real moment, what the clock showed then, its speed since; changed as one
_pinned: ContextVar[float | None] = ContextVar("pinned", default=None)


def now() -> float:
    """Unix seconds of the sandbox: the clock's, or the moment of the happening that is being played."""
    pinned = _pinned.get()
    return running() if pinned is None else pinned


def running() -> float:
    """What the clock itself shows."""
    real, shown, speed = _anchor
    return shown + (time.time() - real) * speed


@contextlib.contextmanager
def at(moment: float) -> Iterator[None]:
    """What happens inside happens at this moment, though the clock may have gone on a little since."""
    before = _pinned.set(moment)
    try:
        yield
    finally:
        _pinned.reset(before)


def for_machines(seconds: float) -> float:
    """Sandbox seconds of a wait that WeCom grants to a program: it has its real time, however fast the clock runs."""
    return seconds * max(1.0, speed())


def speed() -> float:
    """Sandbox seconds per real second; 0: the clock stands."""
    return _anchor[2]


def set_anchor(*, real: float, shown: float, speed: float) -> None:
    """Let the clock show `shown` at the real moment `real` and run at `speed` from there."""
    global _anchor
    _anchor = (real, shown, speed)


def anchor() -> dict[str, float]:
    """What set_anchor needs, for the database."""
    return dict(zip(("real", "shown", "speed"), _anchor, strict=True))
