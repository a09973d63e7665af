"""Whether a condition is true of one person: the meaning of conditions, written down as plainly as possible; pure.

tagging/services/segments/compile.py says the same in SQL for a million people at once; a property test proves that both agree.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from tagging.conditions import windows
from tagging.conditions.leaves import EVENTS, OBJECTS, TOUCH_KINDS
from tagging.conditions.shapes import Condition


@dataclass(frozen=True)
class Line:
    """A product in an order; `category` of the product, empty for one we do not know."""

    product_id: int | None
    category: str
    quantity: int
    amount_fen: int


@dataclass(frozen=True)
class Sale:
    """A paid order that counts; `net_fen` after refunds."""

    paid_at: datetime
    net_fen: int
    lines: tuple[Line, ...] = ()
    store_id: int | None = None
    channel: str = ""
    source: str = ""


@dataclass(frozen=True)
class Happening:
    """An event: number of EventType, what it is about, its text (tagging/event_text.py)."""

    type: int
    at: datetime
    object_id: int | None = None
    text: str = ""


@dataclass(frozen=True)
class Message:
    """A touch: number of Touch.Kind, `state` delivered, waiting, failed, held_back or empty, what came of it."""

    at: datetime
    sop_id: int | None = None
    broadcast_id: int | None = None
    kind: int = 2
    state: str = "delivered"
    is_opened: bool = False
    has_replied: bool = False
    has_bought: bool = False


@dataclass
class Person:
    """What conditions ask of a contact."""

    name: str = ""
    gender: int = 0
    kind: int = 1
    n_follows: int = 0
    is_member: bool = False  # known from a list of members
    do_not_contact: bool = False
    added_at: datetime | None = None
    lost_at: datetime | None = None
    first_order_at: datetime | None = None
    last_order_at: datetime | None = None
    next_order_on: date | None = None
    numbers: dict[str, float | None] = field(default_factory=dict)  # by leaves.NUMBERS
    stage: int | None = None
    value_group: int | None = None
    lifecycle: int | None = None
    sets: dict[str, set[int]] = field(
        default_factory=dict
    )  # tags, staff, stores, regions, codes, groups → ids
    fields: dict[str, Any] = field(default_factory=dict)  # key → text, number, date or bool; no key: no value
    sales: list[Sale] = field(default_factory=list)
    events: list[Happening] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)


@dataclass(frozen=True)
class Context:
    """When, and what other segments are.

    Attributes:
        segments: id → the condition of a dynamic one, or whether the person is in a list.
    """

    now: datetime
    zone: str
    segments: Mapping[int, Condition | bool] = field(default_factory=dict)

    @property
    def today(self) -> date:
        from zoneinfo import ZoneInfo

        return self.now.astimezone(ZoneInfo(self.zone)).date()


def holds(condition: Condition, person: Person, context: Context) -> bool:
    """Whether a condition that has been read is true of a person.

    Raises:
        KeyError: an unknown kind; `parse` refuses those.
    """
    if "all" in condition:
        return all(holds(item, person, context) for item in condition["all"])
    if "any" in condition:
        return any(holds(item, person, context) for item in condition["any"])
    if "not" in condition:
        return not holds(condition["not"], person, context)
    return TESTS[condition["kind"]](condition, person, context)


def compared(value: float | None, compare: Mapping[str, Any]) -> bool:
    """A comparison; nothing compares with a missing value."""
    if value is None:
        return False
    wanted = compare["value"]
    match compare["op"]:
        case "eq":
            return value == wanted
        case "ne":
            return value != wanted
        case "ge":
            return value >= wanted
        case "gt":
            return value > wanted
        case "le":
            return value <= wanted
        case "lt":
            return value < wanted
        case "between":
            return wanted <= value <= compare["to"]
    raise KeyError(compare["op"])


def _within(at: datetime | None, window: windows.Window, context: Context) -> bool:
    if window["type"] == "never":
        return at is None
    if at is None:
        return False
    start, end = windows.moments(window, context.now, context.zone)
    return (start is None or at >= start) and (end is None or at < end)


def _on(day: date | None, window: windows.Window, context: Context) -> bool:
    if day is None:
        return False
    if window["type"] in ("anniversary", "month"):
        return day.month * 100 + day.day in windows.year_days(window, context.today)
    start, end = windows.days(window, context.today)
    return (start is None or day >= start) and (end is None or day < end)


def chosen(mode: str, n_there: int, n_asked: int, at_least: int = 0) -> bool:
    """Of `n_asked` things chosen a person has `n_there`."""
    match mode:
        case "any":
            return n_there > 0
        case "all":
            return n_there == n_asked
        case "none":
            return n_there == 0
        case "at_least":
            return n_there >= at_least
    raise KeyError(mode)


def _in_set(source: str) -> Callable[[Condition, Person, Context], bool]:
    def test(leaf: Condition, person: Person, context: Context) -> bool:
        there = person.sets.get(source, set()) & set(leaf["ids"])
        return chosen(leaf["mode"], len(there), len(leaf["ids"]), leaf.get("n", 0))

    return test


def _segment(leaf: Condition, person: Person, context: Context) -> bool:
    def inside(segment_id: int) -> bool:
        found = context.segments[segment_id]
        return found if isinstance(found, bool) else holds(found, person, context)

    return chosen(leaf["mode"], sum(map(inside, leaf["ids"])), len(leaf["ids"]))


def _follow(leaf: Condition, person: Person, context: Context) -> bool:
    if person.n_follows or person.lost_at:
        return ("reachable" if person.n_follows else "lost") in leaf["values"]
    return ("member" if person.is_member else "pending") in leaf["values"]


def sales_measure(leaf: Condition, person: Person, context: Context) -> float | None:
    """The number that an `orders` leaf compares; None where there is none (the average of no orders)."""
    products, categories = set(leaf.get("product_ids", ())), set(leaf.get("categories", ()))
    sales = [
        sale
        for sale in person.sales
        if _within(sale.paid_at, leaf["window"], context)
        and (not leaf.get("store_ids") or sale.store_id in leaf["store_ids"])
        and (not leaf.get("channels") or sale.channel in leaf["channels"])
        and (not leaf.get("sources") or sale.source in leaf["sources"])
    ]
    amounts: list[int] = []
    quantity = 0
    for sale in sales:
        if products or categories:
            lines = [ln for ln in sale.lines if ln.product_id in products or ln.category in categories]
            if not lines:
                continue
            amounts.append(sum(line.amount_fen for line in lines))
            quantity += sum(line.quantity for line in lines)
        else:
            amounts.append(sale.net_fen)
    match leaf["measure"]:
        case "count":
            return len(amounts)
        case "sum":
            return sum(amounts)
        case "quantity":
            return quantity
        case "avg":
            return sum(amounts) / len(amounts) if amounts else None
        case "max":
            return max(amounts, default=None)
    raise KeyError(leaf["measure"])


def events_of(leaf: Condition, person: Person, context: Context) -> list[Happening]:
    """The events that an `event` leaf counts."""
    objects: set[int] = set()
    for name in OBJECTS.values():
        objects |= set(leaf.get(name, ()))
    words = [word.lower() for word in leaf.get("words", ())]
    return [
        event
        for event in person.events
        if event.type == EVENTS[leaf["event"]][0]
        and _within(event.at, leaf["window"], context)
        and (not objects or event.object_id in objects)
        and (not words or any(word in event.text.lower() for word in words))
    ]


def messages_of(leaf: Condition, person: Person, context: Context) -> list[Message]:
    """The touches that a `touch` leaf counts."""
    sops, broadcasts = set(leaf.get("sop_ids", ())), set(leaf.get("broadcast_ids", ()))
    kinds = {TOUCH_KINDS[word] for word in leaf.get("kinds", ())}
    return [
        message
        for message in person.messages
        if _within(message.at, leaf["window"], context)
        and RESULT_TESTS[leaf.get("result", "delivered")](message)
        and (not kinds or message.kind in kinds)
        and (not (sops or broadcasts) or message.sop_id in sops or message.broadcast_id in broadcasts)
    ]


def _arrived(message: Message) -> bool:
    return message.state == "delivered"


RESULT_TESTS: dict[str, Callable[[Message], bool]] = {
    "delivered": _arrived,
    "opened": lambda m: m.is_opened,
    "not_opened": lambda m: _arrived(m) and not m.is_opened,
    "replied": lambda m: m.has_replied,
    "not_replied": lambda m: _arrived(m) and not m.has_replied,
    "bought": lambda m: m.has_bought,
    "not_bought": lambda m: _arrived(m) and not m.has_bought,
    "waiting": lambda m: m.state == "waiting",
    "failed": lambda m: m.state == "failed",
    "held_back": lambda m: m.state == "held_back",
}


def _field(leaf: Condition, person: Person, context: Context) -> bool:
    value = person.fields.get(leaf["key"])
    match leaf["test"]:
        case "filled":
            return value is not None
        case "empty":
            return value is None
        case "eq":
            return value == leaf["text"]
        case "contains":
            return value is not None and leaf["text"].lower() in value.lower()
        case "starts":
            return value is not None and value.startswith(leaf["text"])
        case "in":
            return value in leaf["texts"]
        case "compare":
            return compared(value, leaf["compare"])
        case "window":
            return _on(value, leaf["window"], context)
        case "yes":
            return value is True
        case "no":
            return value is False
    raise KeyError(leaf["test"])


GENDERS = {1: "male", 2: "female"}  # WeCom's numbers

TESTS: dict[str, Callable[[Condition, Person, Context], bool]] = {
    "everybody": lambda leaf, person, context: True,
    "follow": _follow,
    "do_not_contact": lambda leaf, person, context: person.do_not_contact is leaf["value"],
    "named": lambda leaf, person, context: bool(person.name) is leaf["value"],
    "gender": lambda leaf, person, context: GENDERS.get(person.gender, "unknown") in leaf["values"],
    "contact_kind": lambda leaf, person, context: (
        ("wecom" if person.kind == 2 else "wechat") in leaf["values"]
    ),
    "added": lambda leaf, person, context: _within(person.added_at, leaf["window"], context),
    "lost": lambda leaf, person, context: _within(person.lost_at, leaf["window"], context),
    "first_order": lambda leaf, person, context: _within(person.first_order_at, leaf["window"], context),
    "last_order": lambda leaf, person, context: _within(person.last_order_at, leaf["window"], context),
    "next_order": lambda leaf, person, context: _on(person.next_order_on, leaf["window"], context),
    "field": _field,
    "tags": _in_set("tags"),
    "code": _in_set("codes"),
    "staff": _in_set("staff"),
    "store": _in_set("stores"),
    "region": _in_set("regions"),
    "group": _in_set("groups"),
    "segment": _segment,
    "orders": lambda leaf, person, context: compared(sales_measure(leaf, person, context), leaf["compare"]),
    "event": lambda leaf, person, context: compared(len(events_of(leaf, person, context)), leaf["compare"]),
    "touch": lambda leaf, person, context: compared(len(messages_of(leaf, person, context)), leaf["compare"]),
    "number": lambda leaf, person, context: compared(person.numbers.get(leaf["measure"]), leaf["compare"]),
    "stage": lambda leaf, person, context: person.stage in leaf["ids"],
    "value_group": lambda leaf, person, context: person.value_group in leaf["ids"],
    "lifecycle": lambda leaf, person, context: person.lifecycle in leaf["ids"],
}
