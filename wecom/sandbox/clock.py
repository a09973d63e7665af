"""The sandbox's one clock: real time, moved by an offset and run at a speed. Every other file asks here."""

import contextlib
import time
from collections.abc import Iterator
from contextvars import ContextVar

_real = 0.0  # real moment at which the pair was set
_shown = 0.0  # what the clock showed then
_speed = 1.0
_pinned: ContextVar[float | None] = ContextVar("pinned", default=None)


def now() -> float:
    """Unix seconds of the sandbox: the clock's, or the moment of the happening that is being played."""
    pinned = _pinned.get()
    return running() if pinned is None else pinned


def running() -> float:
    """What the clock itself shows."""
    return _shown + (time.time() - _real) * _speed


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
    return seconds * max(1.0, _speed)


def speed() -> float:
    """Sandbox seconds per real second; 0: the clock stands."""
    return _speed


def set_anchor(*, real: float, shown: float, speed: float) -> None:
    """Let the clock show `shown` at the real moment `real` and run at `speed` from there."""
    global _real, _shown, _speed
    _real, _shown, _speed = real, shown, speed


def anchor() -> dict[str, float]:
    """What set_anchor needs, for the database."""
    return {"real": _real, "shown": _shown, "speed": _speed}
