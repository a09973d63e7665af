"""Numbers by which computed tags sort people: in SQL for everybody, in Python for one (tests compare them). Pure."""

import calendar
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.utils.translation import gettext_lazy as _

_DAY = "({} AT TIME ZONE %(zone)s)::date"
_MONTHS_RAW = (
    "((extract(year FROM %(today)s::date) - extract(year FROM {d})) * 12"
    " + extract(month FROM %(today)s::date) - extract(month FROM {d}))::int"
)


def _months(d: str) -> str:
    """Whole months from a date to today: a month is full on the same day of a later month, or on its last day."""
    raw = _MONTHS_RAW.format(d=d)
    return f"({raw} - (({d} + make_interval(months => {raw}))::date > %(today)s::date)::int)"


def _until(d: str) -> str:
    """Days to the next anniversary of a date; 0 on the day itself."""
    years = f"(extract(year FROM %(today)s::date) - extract(year FROM {d}))::int"
    this = f"({d} + make_interval(years => {years}))::date"
    next_ = f"({d} + make_interval(years => {years} + 1))::date"
    return f"(CASE WHEN {this} >= %(today)s::date THEN {this} ELSE {next_} END - %(today)s::date)"


@dataclass(frozen=True)
class Measure:
    """One number of a person.

    Attributes:
        sql: over ContactStat `s`, or over CustomValue `v` when `field_type` is set; parameters today and zone.
        unit: words behind the number on pages; money is typed in yuan.
    """

    sql: str
    unit: Any
    field_type: str = ""
    is_money: bool = False


_JOINED, _ORDERED = _DAY.format("s.added_at"), _DAY.format("s.last_order_at")
MEASURES: dict[str, Measure] = {
    "months_joined": Measure(_months(_JOINED), _("months")),
    "days_joined": Measure(f"(%(today)s::date - {_JOINED})", _("days")),
    "days_since_order": Measure(f"(%(today)s::date - {_ORDERED})", _("days")),
    "n_orders": Measure("s.n_orders", _("orders")),
    "spent_fen": Measure("s.spent_fen", _("yuan"), is_money=True),
    "age_months": Measure(_months("v.value_date"), _("months"), "date"),
    "age_years": Measure(f"floor({_months('v.value_date')} / 12.0)::int", _("years"), "date"),
    "days_until": Measure(_until("v.value_date"), _("days"), "date"),
    "number": Measure("v.value_number", "", "number"),
}


def add_months(day: date, n: int) -> date:
    """As Postgres adds months: the last day of the month where the day does not exist."""
    index = day.year * 12 + day.month - 1 + n
    year, month = divmod(index, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def months_between(day: date, today: date) -> int:
    raw = (today.year - day.year) * 12 + today.month - day.month
    return raw - (add_months(day, raw) > today)


def days_until(day: date, today: date) -> int:
    years = (today.year - day.year) * 12
    this = add_months(day, years)
    return ((this if this >= today else add_months(day, years + 12)) - today).days


@dataclass(frozen=True)
class Bracket:
    """low ≤ value < high; either may be open. `is_none`: those without a value."""

    low: float | None = None
    high: float | None = None
    is_none: bool = False

    def holds(self, value: float | None) -> bool:
        if value is None or self.is_none:
            return value is None and self.is_none
        return (self.low is None or value >= self.low) and (self.high is None or value < self.high)


def problems(brackets: Sequence[Bracket]) -> Iterable[tuple[int, Any]]:
    """(index, words) of what is wrong: empty ones, ones that overlap, two for those without a value."""
    seen: list[tuple[int, Bracket]] = []
    for index, bracket in enumerate(brackets):
        if bracket.is_none:
            if any(other.is_none for _i, other in seen):
                yield index, _("Only one bracket can be for those without a value")
        elif bracket.low is not None and bracket.high is not None and bracket.low >= bracket.high:
            yield index, _("“From” must be less than “below”")
        elif any(not other.is_none and _overlap(bracket, other) for _i, other in seen):
            yield index, _("This bracket overlaps another one")
        seen.append((index, bracket))


def _overlap(a: Bracket, b: Bracket) -> bool:
    return (a.low is None or b.high is None or a.low < b.high) and (
        b.low is None or a.high is None or b.low < a.high
    )
