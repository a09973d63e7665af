"""The one clock: every 'now' of the product comes from here, so that a rehearsal or a test can move it."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

_frozen: ContextVar[datetime | None] = ContextVar("clock", default=None)


def now() -> datetime:
    """Aware UTC datetime: the real time, or the one that `at()` has set in this context."""
    return _frozen.get() or datetime.now(UTC)


def today(zone: str) -> date:
    """The date in a brand's zone (an IANA name)."""
    return now().astimezone(ZoneInfo(zone)).date()


@contextmanager
def at(moment: datetime) -> Iterator[None]:
    """Run a block as if it were `moment` (aware)."""
    token = _frozen.set(moment.astimezone(UTC))
    try:
        yield
    finally:
        _frozen.reset(token)
