"""Ready conditions to begin with; pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _

from tagging.conditions.shapes import Condition, FieldType


@dataclass(frozen=True)
class Template:
    key: str
    name: Any
    note: Any
    condition: Condition


def _last(n: int) -> dict[str, Any]:
    return {"type": "last", "n": n}


def _at_least(n: float) -> dict[str, Any]:
    return {"op": "ge", "value": n}


def _orders(n: int, days: int) -> Condition:
    return {"kind": "orders", "measure": "count", "compare": _at_least(n), "window": _last(days)}


def _event(event: str, n: int, days: int) -> Condition:
    return {"kind": "event", "event": event, "compare": _at_least(n), "window": _last(days)}


_REACHABLE: Condition = {"kind": "follow", "values": ["reachable"]}
_NO_ORDER: Condition = {"kind": "last_order", "window": {"type": "never"}}

TEMPLATES: tuple[Template, ...] = (
    Template(
        "cart_not_bought",
        _("In the cart, not bought"),
        _("Added to cart in the last 7 days and has not ordered since: a reminder or a small coupon"),
        {"all": [_event("cart", 1, 7), {"not": _orders(1, 7)}, _REACHABLE]},
    ),
    Template(
        "frequent",
        _("Buys often"),
        _("At least 4 orders in the last 30 days: first to hear of what is new"),
        {"all": [_orders(4, 30)]},
    ),
    Template(
        "new_without_order",
        _("New, no order yet"),
        _("Added in the last 30 days and has never ordered: the first order decides"),
        {"all": [{"kind": "added", "window": _last(30)}, _NO_ORDER, _REACHABLE]},
    ),
    Template(
        "drowsy",
        _("Going dormant"),
        _("Has ordered twice or more, but not in the last 90 days: time to be asked how things are"),
        {
            "all": [
                {"kind": "number", "measure": "n_orders", "compare": _at_least(2)},
                {"kind": "last_order", "window": {"type": "before", "n": 90}},
                _REACHABLE,
            ]
        },
    ),
    Template(
        "viewed_silent",
        _("Looked, did not buy"),
        _("Viewed products 3 times or more in 30 days without ordering"),
        {"all": [_event("viewed", 3, 30), {"not": _orders(1, 30)}]},
    ),
    Template(
        "big_spenders",
        _("Spent much in a year"),
        _("Orders of ¥1,000 or more in the last 365 days"),
        {"all": [{"kind": "orders", "measure": "sum", "compare": _at_least(100_000), "window": _last(365)}]},
    ),
    Template(
        "one_order",
        _("One order, no second"),
        _("Exactly one order, between 20 and 60 days ago: the second one makes a regular customer"),
        {
            "all": [
                {"kind": "number", "measure": "n_orders", "compare": {"op": "eq", "value": 1}},
                {"kind": "last_order", "window": {"type": "before", "n": 20}},
                {"not": {"kind": "last_order", "window": {"type": "before", "n": 60}}},
            ]
        },
    ),
    Template(
        "lost_lately",
        _("Lost lately"),
        _("The last guide was deleted in the last 30 days: why?"),
        {"all": [{"kind": "lost", "window": _last(30)}]},
    ),
)


def templates(fields: Mapping[str, FieldType]) -> list[Template]:
    """All templates that make sense for the brand: with birthdays where it has a field for them."""
    found = list(TEMPLATES)
    for key, field in fields.items():
        if field.type == "date" and ("生日" in field.label or "birth" in key.lower()):
            window = {"type": "month", "of": "this"}
            found.append(
                Template(
                    "birthday",
                    _("Birthday this month"),
                    _("Wishes come best from the guide herself"),
                    {"all": [{"kind": "field", "key": key, "test": "window", "window": window}, _REACHABLE]},
                )
            )
            break
    return found
