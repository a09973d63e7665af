"""Transactions that met each other, and are made again."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any


def is_clash(error: BaseException) -> bool:
    """Whether Postgres has taken a transaction back because of another one (deadlock, no order of the two): made again it
    goes well, because the other one is through by then."""
    return getattr(error.__cause__, "pgcode", None) in ("40P01", "40001")


@dataclass(frozen=True)
class Turn:
    """One try. An error that may go well the next time ends it quietly, unless it is the last one.

    Attributes:
        n: from 0.
    """

    n: int
    is_last: bool
    may_repeat: Callable[[Any], bool]

    def __enter__(self) -> "Turn":
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> bool:
        return isinstance(error, Exception) and not self.is_last and self.may_repeat(error)


def turns(tries: int, may_repeat: Callable[[Any], bool] = is_clash) -> Iterator[Turn]:
    """Tries of a transaction that others may meet; what stands after the `with` happens before the next one.

    for turn in turns(TRIES):
        with turn, transaction.atomic():
            return write()
        log.warning("it met another one and is made again")
    raise AssertionError  # the last turn raises
    """
    return (Turn(n, n == tries - 1, may_repeat) for n in range(tries))
