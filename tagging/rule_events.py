"""What automatic tag rules can react to: one table of events, one of filters. Pure: no database.

An event of the table may come from a part of the product that writes it later than this one; what counts is its
number (contacts.models.EventType) and the shape of its data.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _

from contacts.models import EventType as T
from scrm.errors import InvalidError
from tagging.event_text import holds_sql


@dataclass(frozen=True)
class RuleEvent:
    """One kind of event.

    Attributes:
        filters: names of FILTERS that make sense for it.
        has_amount: a threshold of money in a window is possible (`amount_fen` of the order or of the data).
        note: where it comes from, if not from what the product itself sees.
    """

    key: str
    type: int
    label: Any
    group: Any
    filters: tuple[str, ...] = ()
    has_amount: bool = False
    note: Any = ""


_ORDERS, _CONTENT, _GROUPS = _("Orders"), _("Content"), _("Groups")
_GUIDES, _BEHAVIOUR, _TAGS = _("Guides"), _("Behaviour"), _("Tags")
_SEEN, _CONTENT_FILTERS = ("seen_product_ids", "seen_categories"), ("object_ids", "words")
_MOMENT_FILTERS = ("object_ids", "words", "staff_ids")
_ORDER_FILTERS = ("amount_from_fen", "amount_to_fen", "product_ids", "categories", "stores", "order_channels")
_TOLD = _(
    "Told by your shop through the behaviour API or a file; words are looked for in the coupon's name and number."
)
_WORDS_TOLD = _(
    "WeCom tells nothing said in chats: your chat archive does, through the behaviour API or a file."
)

EVENTS: dict[str, RuleEvent] = {
    event.key: event
    for event in (
        RuleEvent("order_paid", T.ORDER_PAID, _("Paid an order"), _ORDERS, _ORDER_FILTERS, True),
        RuleEvent("order_refunded", T.ORDER_REFUNDED, _("Got money back"), _ORDERS, _ORDER_FILTERS),
        RuleEvent("coupon_used", T.COUPON_USED, _("Used a coupon"), _ORDERS, ("words",), note=_TOLD),
        RuleEvent("content_opened", T.OPENED, _("Opened a link"), _CONTENT, _CONTENT_FILTERS),
        RuleEvent("content_read", T.READ, _("Read a page"), _CONTENT, _CONTENT_FILTERS),
        RuleEvent("content_shared", T.SHARED, _("Shared a link"), _CONTENT, _CONTENT_FILTERS),
        RuleEvent("form_answered", T.FORM_ANSWERED, _("Answered a form"), _CONTENT, ("object_ids", "answers")),
        RuleEvent("moment_liked", T.MOMENT_LIKED, _("Liked a moment"), _CONTENT, _MOMENT_FILTERS),
        RuleEvent("moment_commented", T.MOMENT_COMMENTED, _("Commented on a moment"), _CONTENT, _MOMENT_FILTERS),
        RuleEvent("group_joined", T.GROUP_JOINED, _("Joined a group"), _GROUPS, ("object_ids",)),
        RuleEvent("group_left", T.GROUP_LEFT, _("Left a group"), _GROUPS, ("object_ids",)),
        RuleEvent("word_said", T.WORD_SAID, _("Said a word in a chat"), _GROUPS, ("words",), note=_WORDS_TOLD),
        RuleEvent("added", T.ADDED, _("Added a guide"), _GUIDES, ("code_ids", "staff_ids")),
        RuleEvent("added_again", T.ADDED_AGAIN, _("Added a guide again"), _GUIDES, ("code_ids", "staff_ids")),
        RuleEvent("lost_by_customer", T.LOST_BY_CUSTOMER, _("Deleted the guide"), _GUIDES, ("staff_ids",)),
        RuleEvent("touch_sent", T.TOUCH_SENT, _("Received a message"), _GUIDES, ("staff_ids",)),
        RuleEvent("viewed", T.VIEWED, _("Viewed a product"), _BEHAVIOUR, _SEEN),
        RuleEvent("favourited", T.FAVOURITED, _("Kept a product as a favourite"), _BEHAVIOUR, _SEEN),
        RuleEvent("carted", T.CARTED, _("Put a product into the cart"), _BEHAVIOUR, _SEEN),
        RuleEvent("checked_out", T.CHECKED_OUT, _("Began to check out"), _BEHAVIOUR, _SEEN),
        RuleEvent("searched", T.SEARCHED, _("Searched"), _BEHAVIOUR, ("words",)),
        RuleEvent("behaviour", T.CUSTOM, _("Behaviour of the brand's own kind"), _BEHAVIOUR, ("behaviour_ids", "words")),
        RuleEvent("tagged", T.TAGGED, _("Got a tag"), _TAGS, ("tag_ids",)),
        RuleEvent("untagged", T.UNTAGGED, _("Lost a tag"), _TAGS, ("tag_ids",)),
    )
}  # fmt: skip

IDS, WORDS, MONEY, ANSWERS = "ids", "words", "money", "answers"
MAX_VALUES, MAX_WORD = 200, 40
# filters of ids that are chosen from a list: name → source of tagging/services/segments/naming.py
CHOSEN = {
    "tag_ids": "tags", "staff_ids": "staff", "code_ids": "codes", "stores": "stores", "product_ids": "products",
    "seen_product_ids": "products", "behaviour_ids": "behaviours",
}  # fmt: skip
# what `object_ids` of an event are: event → source; of an event that is not here, plain numbers
OBJECTS = {
    "content_opened": "links", "content_read": "links", "content_shared": "links", "form_answered": "pages",
    "moment_liked": "moments", "moment_commented": "moments",
    "group_joined": "groups", "group_left": "groups",
}  # fmt: skip
OBJECT_WORDS = {
    "links": _("One of these tracked links"),
    "pages": _("One of these forms"),
    "moments": _("One of these moments"),
    "groups": _("One of these groups"),
}


@dataclass(frozen=True)
class Filter:
    """One filter: how its value looks and the SQL that asks it of an event `e` (`{}`: the parameter's name)."""

    label: Any
    kind: str
    sql: str


_ORDER = "EXISTS (SELECT 1 FROM commerce_order o WHERE o.brand_id = %(brand)s AND o.id = e.object_id AND {})"
_LINE = (
    "EXISTS (SELECT 1 FROM commerce_orderline l"
    " JOIN commerce_product p ON p.brand_id = %(brand)s AND p.id = l.product_id"
    " WHERE l.brand_id = %(brand)s AND l.order_id = e.object_id AND {})"
)
_SEEN_PRODUCT = (
    "EXISTS (SELECT 1 FROM commerce_product p WHERE p.brand_id = %(brand)s AND p.id = e.object_id AND {})"
)
_OBJECT = "e.object_id = ANY(%({})s)"
_ANSWER = (
    "EXISTS (SELECT 1 FROM jsonb_array_elements(%({})s::jsonb) a"
    " WHERE e.data -> 'answers' ->> (a ->> 'question') = a ->> 'answer'"
    " OR e.data -> 'answers' -> (a ->> 'question') ? (a ->> 'answer'))"
)
FILTERS: dict[str, Filter] = {
    "amount_from_fen": Filter(_("Amount from"), MONEY, _ORDER.format("o.amount_fen >= %({})s")),
    "amount_to_fen": Filter(_("Amount below"), MONEY, _ORDER.format("o.amount_fen < %({})s")),
    "product_ids": Filter(_("With one of these products"), IDS, _LINE.format("p.id = ANY(%({})s)")),
    "categories": Filter(_("With a product of these categories"), WORDS, _LINE.format("p.category = ANY(%({})s)")),
    "stores": Filter(_("In one of these stores"), IDS, _ORDER.format("o.store_id = ANY(%({})s)")),
    "order_channels": Filter(_("Sold through"), WORDS, _ORDER.format("o.channel = ANY(%({})s)")),
    "seen_product_ids": Filter(_("One of these products"), IDS, _OBJECT),
    "seen_categories": Filter(_("A product of these categories"), WORDS, _SEEN_PRODUCT.format("p.category = ANY(%({})s)")),
    "object_ids": Filter(_("One of these (numbers)"), IDS, _OBJECT),
    "code_ids": Filter(_("Through one of these channel codes"), IDS, _OBJECT),
    "behaviour_ids": Filter(_("One of these behaviours"), IDS, _OBJECT),
    "tag_ids": Filter(_("One of these tags"), IDS, _OBJECT),
    "staff_ids": Filter(_("With one of these guides"), IDS, "e.staff_id = ANY(%({})s)"),
    "words": Filter(_("Text holds one of these words"), WORDS, holds_sql("e.data", "%({})s")),
    "answers": Filter(_("Answered"), ANSWERS, _ANSWER),
}  # fmt: skip


def source_of(name: str, event: str) -> str:
    """The source that the ids of a filter of an event are chosen from; empty where there is none."""
    return OBJECTS.get(event, "") if name == "object_ids" else CHOSEN.get(name, "")


def label_of(name: str, event: str) -> str:
    """What a filter of an event is called."""
    words = OBJECT_WORDS.get(source_of(name, event), "") if name == "object_ids" else ""
    return str(words or FILTERS[name].label)


def yuan_of(fen: Any) -> str:
    """An amount of a filter as people write it: 12345 → 123.45, 10000 → 100; empty when it is none."""
    return f"{fen / 100:.2f}".removesuffix(".00") if isinstance(fen, int) else ""


def value_words(name: str, value: Any, event: str, known: Mapping[Any, Any]) -> list[str]:
    """The values of a filter of an event, each in words.

    Args:
        known: {id: name} of the filter's source (`source_of`).

    Raises:
        KeyError, TypeError: no value of this filter, as a draft may hold.
    """
    if FILTERS[name].kind == MONEY:
        return [f"¥{amount}" if (amount := yuan_of(value)) else "—"]
    if FILTERS[name].kind == ANSWERS:
        return [f"{row['question']} = {row['answer']}" for row in value]
    if not source_of(name, event):
        return [str(one) for one in value]
    return [str(known.get(one) or f"#{one}") for one in value]


def event_of(key: str) -> RuleEvent:
    """The event of a key.

    Raises:
        InvalidError: none of the table.
    """
    if (event := EVENTS.get(key)) is None:
        raise InvalidError(_("Choose an event"), fields={"event": _("Choose one of the list")})
    return event


def clean_filters(event: RuleEvent, given: Any) -> dict[str, Any]:
    """Filters of an event with values of the right kind; empty ones are left out.

    Raises:
        InvalidError: unknown for this event, not of its kind, or limits that leave nothing; `fields` names it.
    """
    if not isinstance(given, dict):
        raise InvalidError(_("Filters must be an object"), fields={"filters": "{…}"})
    found: dict[str, Any] = {}
    for name, value in given.items():
        if name not in event.filters:
            text = _("%(name)s is not a filter of this event") % {"name": name}
            raise InvalidError(text, fields={"filters": text})
        if value in (None, "", []):
            continue
        try:
            found[name] = _CLEAN[FILTERS[name].kind](value)
        except (TypeError, ValueError, KeyError) as error:
            text = _("%(name)s cannot be read") % {"name": FILTERS[name].label}
            raise InvalidError(text, fields={"filters": text}) from error
    least, below = found.get("amount_from_fen"), found.get("amount_to_fen")
    if least is not None and below is not None and least >= below:
        text = str(_("No amount is both: “Amount below” has to be more than “Amount from”"))
        raise InvalidError(text, fields={"filters": text})
    return found


def filter_sql(event: RuleEvent, filters: dict[str, Any], prefix: str) -> tuple[str, dict[str, Any]]:
    """SQL over an event `e`, and its parameters, each named with the prefix; `true` without filters."""
    parts, params = [], {}
    for name, value in sorted(filters.items()):
        key = f"{prefix}_{name}"
        parts.append(FILTERS[name].sql.format(key))
        params[key] = _AS_PARAMETER.get(FILTERS[name].kind, lambda v: v)(value)
    return " AND ".join(parts) or "true", params


def _ids(value: Any) -> list[int]:
    ids = [int(n) for n in value]
    if any(not 0 < n < 2**63 for n in ids) or not 0 < len(ids) <= MAX_VALUES:
        raise ValueError
    return sorted(set(ids))


def _words(value: Any) -> list[str]:
    if isinstance(value, str):
        raise TypeError
    words = [" ".join(str(word).replace("\x00", "").split()) for word in value]
    words = [word for word in words if word]
    if not 0 < len(words) <= MAX_VALUES or any(len(word) > MAX_WORD for word in words):
        raise ValueError
    return list(dict.fromkeys(words))


def _money(value: Any) -> int:
    number = int(value)
    if isinstance(value, bool) or number != float(value) or not 0 <= number < 2**53:
        raise ValueError
    return number


def _answers(value: Any) -> list[dict[str, str]]:
    found = [{"question": str(row["question"])[:200], "answer": str(row["answer"])[:200]} for row in value]
    if not 0 < len(found) <= MAX_VALUES:
        raise ValueError
    return found


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


_CLEAN: dict[str, Callable[[Any], Any]] = {IDS: _ids, WORDS: _words, MONEY: _money, ANSWERS: _answers}
_AS_PARAMETER: dict[str, Callable[[Any], Any]] = {ANSWERS: _json}
