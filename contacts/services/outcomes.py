"""What became of each row that was told."""

from dataclasses import dataclass
from enum import StrEnum


class Result(StrEnum):
    ACCEPTED = "accepted"  # something is new or has changed
    REPEATED = "repeated"  # known already, or older than what is known
    REFUSED = "refused"


@dataclass(frozen=True)
class Outcome:
    """One row's.

    Attributes:
        id: of our row (product, order, refund); None when refused.
        reason: why it was refused, or a remark on an accepted one (`unknown_person`: it waits).
    """

    result: Result
    id: int | None = None
    reason: str = ""


@dataclass
class Counts:
    """Sums of a merge. `n_waiting`: accepted, but their person or order is not known yet."""

    n_new: int = 0
    n_changed: int = 0
    n_same: int = 0
    n_waiting: int = 0

    def __iadd__(self, other: "Counts") -> "Counts":
        self.n_new += other.n_new
        self.n_changed += other.n_changed
        self.n_same += other.n_same
        self.n_waiting += other.n_waiting
        return self
