"""The sandbox's one clock: real time, moved by an offset and run at a speed. Every other file asks here."""

import time

_real = 0.0  # real moment at which the pair was set
_shown = 0.0  # what the clock showed then
_speed = 1.0


def now() -> float:
    """Unix seconds of the sandbox."""
    real = time.time()
    return _shown + (real - _real) * _speed


def set_anchor(*, real: float, shown: float, speed: float) -> None:
    """Let the clock show `shown` at the real moment `real` and run at `speed` from there."""
    global _real, _shown, _speed
    _real, _shown, _speed = real, shown, speed


def anchor() -> dict[str, float]:
    """What set_anchor needs, for the database."""
    return {"real": _real, "shown": _shown, "speed": _speed}


def real_seconds_until(moment: float) -> float:
    """Real seconds to wait for a sandbox moment (0 when it has come; far away when the clock stands)."""
    left = moment - now()
    if left <= 0:
        return 0.0
    return left / _speed if _speed > 0 else 3600.0
