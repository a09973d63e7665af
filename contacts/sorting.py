"""Orders of the contact list: what the address says, as a value; pure."""

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from scrm.errors import FilterError

# name in the address → column that Contact or its ContactStat holds
SORTS = {
    "added": "added_at",
    "last_order": "last_order_at",
    "spent": "spent_fen",
    "orders": "n_orders",
    "score": "value_score",
    "lost": "lost_at",
}
EMPTY = {"last_order", "score", "lost"}  # may have no value: such people stand last, whatever the direction


@dataclass(frozen=True)
class Sort:
    """`-spent`: most first; `spent`: least first."""

    name: str
    is_down: bool

    @property
    def column(self) -> str:
        return SORTS[self.name]

    def __str__(self) -> str:
        return ("-" if self.is_down else "") + self.name


def parse_sort(value: Any) -> Sort | None:
    """None: the list's own order.

    Raises:
        FilterError: no such order. It never means the list's own.
    """
    if value in (None, ""):
        return None
    name = value.removeprefix("-") if isinstance(value, str) else ""
    if name not in SORTS:
        text = _("The list has no such order; there are %(names)s, each with a minus for the largest first")
        text %= {"names": ", ".join(SORTS)}
        raise FilterError(text, code="bad_sort", fields={"sort": text})
    return Sort(name, is_down=value.startswith("-"))
