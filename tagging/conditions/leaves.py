"""The kinds of conditions and their parameters: one table, read by the parser, the builder's page and the API's
documentation; pure."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

# types of windows
MOMENTS = ("last", "before", "between", "this", "previous")
DAYS = ("last", "before", "next", "between", "this", "previous", "anniversary", "month")

# event → number of contacts.models.EventType and what its object_id names ("" nothing that can be chosen)
EVENTS: dict[str, tuple[int, str]] = {
    "viewed": (90, "products"),
    "favourited": (91, "products"),
    "cart": (92, "products"),
    "checked_out": (93, "products"),
    "searched": (94, ""),
    "custom": (99, "behaviours"),
    "content_opened": (70, "links"),
    "content_read": (71, "links"),
    "content_shared": (72, "links"),
    "form_answered": (73, "pages"),
    "moment_liked": (78, "moments"),
    "moment_commented": (79, "moments"),
    "order_paid": (50, ""),
    "order_refunded": (51, ""),
    "coupon_used": (74, ""),
    "word_said": (62, ""),
    "group_joined": (60, "groups"),
    "group_left": (61, "groups"),
    "half_added": (3, "codes"),
    "added": (1, "codes"),
    "added_again": (2, "codes"),
    "lead_added": (84, ""),
    "lost_by_customer": (4, ""),
    "lost_by_staff": (5, ""),
    "gone": (7, ""),
    "transferred": (6, ""),
    "welcomed": (20, ""),
    "touch_sent": (22, ""),
    "touch_failed": (23, ""),
    "touch_blocked": (24, ""),
    "sop_entered": (30, "sops"),
    "sop_ended": (31, "sops"),
    "task_done": (81, ""),
    "note": (40, ""),
    "tagged": (10, "tags"),
    "untagged": (11, "tags"),
    "stage_changed": (42, ""),
    "lifecycle_changed": (17, ""),
}
# what an event may be about → the parameter that chooses it
OBJECTS: dict[str, str] = {
    "products": "product_ids",
    "behaviours": "behaviour_ids",
    "links": "link_ids",
    "pages": "page_ids",
    "moments": "moment_ids",
    "groups": "group_ids",
    "codes": "code_ids",
    "sops": "sop_ids",
    "tags": "tag_ids",
}
WORDED = ("searched", "custom", "coupon_used", "word_said")  # events that may be asked by words of their text
# word → number of campaigns.models.Touch.Kind
TOUCH_KINDS = {"welcome": 1, "sop": 2, "broadcast": 3, "direct": 4}
# what became of a message; opened, replied and bought as campaigns/services/ledger/marks.py sets them
RESULTS = (
    "delivered", "opened", "not_opened", "replied", "not_replied", "bought", "not_bought", "waiting", "failed",
    "held_back",
)  # fmt: skip
# ContactStat column → may be asked as a number
NUMBERS = (
    "n_orders", "spent_fen", "avg_fen", "value_score", "recency", "frequency", "monetary", "ltv_fen", "alive_ratio",
)  # fmt: skip
MEASURES = ("count", "sum", "avg", "max", "quantity")


@dataclass(frozen=True)
class Param:
    """One parameter of a leaf.

    Attributes:
        type: ids, words, word, texts, text, bool, int, compare, window.
        options: what a word or the type of a window may be.
        source: where the choices of ids and texts come from.
        default: what a missing one means; None and `needed`: it must be there.
        unit: `hour`: a window may count hours.
    """

    name: str
    type: str
    options: tuple[Any, ...] = ()
    source: str = ""
    default: Any = None
    needed: bool | Callable[[Mapping[str, Any]], bool] = True
    missing: Any = ""
    unit: str = ""

    def required(self, leaf: Mapping[str, Any]) -> bool:
        return self.needed(leaf) if callable(self.needed) else self.needed


@dataclass(frozen=True)
class Leaf:
    """A kind of condition.

    Attributes:
        group: heading under which the builder lists it.
        check: further problems of a leaf whose parameters are right by themselves: (parameter, text).
    """

    label: Any
    group: str
    params: tuple[Param, ...]
    check: Callable[[Mapping[str, Any], Any], Iterable[tuple[str, str]]] | None = None


GROUPS: dict[str, Any] = {
    "person": gettext_lazy("Customer"),
    "tags": gettext_lazy("Tags and origin"),
    "orders": gettext_lazy("Orders"),
    "behaviour": gettext_lazy("Behaviour"),
    "value": gettext_lazy("Value"),
    "sets": gettext_lazy("Segments"),
}

_CHOOSE = gettext_lazy("Choose at least one")


def _set(
    label: Any, source: str, group: str = "tags", modes: tuple[str, ...] = ("any", "all", "none")
) -> Leaf:
    params = [
        Param("mode", "word", options=modes, default="any"),
        Param("ids", "ids", source=source, missing=_CHOOSE),
    ]
    if "at_least" in modes:
        params.append(Param("n", "int", needed=lambda leaf: leaf.get("mode") == "at_least"))
    return Leaf(label, group, tuple(params), _check_n if "at_least" in modes else None)


def _check_n(leaf: Mapping[str, Any], known: Any) -> Iterable[tuple[str, str]]:
    if leaf.get("mode") == "at_least" and leaf["n"] > len(leaf["ids"]):
        yield "n", _("Fewer are chosen than asked for")


def _words(label: Any, *options: str) -> Leaf:
    return Leaf(label, "person", (Param("values", "words", options=options, missing=_CHOOSE),))


def _yes_no(label: Any) -> Leaf:
    return Leaf(label, "person", (Param("value", "bool", default=True),))


def _when(label: Any, group: str, *more: str, types: tuple[str, ...] = MOMENTS) -> Leaf:
    return Leaf(label, group, (Param("window", "window", options=(*types, *more)),))


_COUNT = Param("compare", "compare", default={"op": "ge", "value": 1})
_SPAN = Param("window", "window", options=("ever", *MOMENTS), default={"type": "ever"}, unit="hour")


def _check_order(leaf: Mapping[str, Any], known: Any) -> Iterable[tuple[str, str]]:
    if leaf["measure"] == "quantity" and not (leaf.get("product_ids") or leaf.get("categories")):
        yield "measure", _("Quantities are counted of products or categories: choose some")


def event_params(event: str) -> list[str]:
    """The parameters that say more of an event: what it is about, words of its text."""
    source = EVENTS[event][1]
    return ([OBJECTS[source]] if source else []) + (["words"] if event in WORDED else [])


def _check_event(leaf: Mapping[str, Any], known: Any) -> Iterable[tuple[str, str]]:
    event, allowed = leaf["event"], event_params(leaf["event"])
    for name in (*OBJECTS.values(), "words"):
        if leaf.get(name) and name not in allowed:
            yield name, _("This cannot be chosen for this behaviour")
    if event == "custom" and not leaf.get("behaviour_ids"):
        yield "behaviour_ids", _("Choose at least one")


def _check_touch(leaf: Mapping[str, Any], known: Any) -> Iterable[tuple[str, str]]:
    for name, kind in (("sop_ids", "sop"), ("broadcast_ids", "broadcast")):
        if leaf.get(name) and leaf.get("kinds") and kind not in leaf["kinds"]:
            yield name, _("These messages are not of the kinds chosen")


# what a test of a custom field needs, by the field's type
FIELD_TESTS: dict[str, tuple[str, ...]] = {
    "text": ("eq", "contains", "starts", "filled", "empty"),
    "choice": ("in", "filled", "empty"),
    "number": ("compare", "filled", "empty"),
    "date": ("window", "filled", "empty"),
    "bool": ("yes", "no", "filled", "empty"),
}
_NEEDS = {
    "eq": "text",
    "contains": "text",
    "starts": "text",
    "in": "texts",
    "compare": "compare",
    "window": "window",
}


def _check_field(leaf: Mapping[str, Any], known: Any) -> Iterable[tuple[str, str]]:
    need = _NEEDS.get(leaf["test"])
    for name in ("text", "texts", "compare", "window"):
        if name == need and name not in leaf:
            yield name, _("This is needed")
        elif name != need and name in leaf:
            yield name, _("This does not belong to the test")
    if known is None:
        return
    field = known.fields.get(leaf["key"])
    if field is None:
        yield "key", _("There is no such field")
    elif leaf["test"] not in FIELD_TESTS[field.type]:
        yield "test", _("A field of this type cannot be asked so")
    elif field.type == "choice" and (gone := [t for t in leaf.get("texts", []) if t not in field.options]):
        yield "texts", _("Unknown: %(name)s") % {"name": gone[0]}


LEAVES: dict[str, Leaf] = {
    "everybody": Leaf(gettext_lazy("Everybody"), "person", ()),
    "follow": _words(gettext_lazy("Friendship"), "reachable", "lost", "pending", "member"),
    "do_not_contact": _yes_no(gettext_lazy("Do not contact")),
    "named": _yes_no(gettext_lazy("Has a name")),
    "gender": _words(gettext_lazy("Gender"), "male", "female", "unknown"),
    "contact_kind": _words(gettext_lazy("Kind of account"), "wechat", "wecom"),
    "stage": Leaf(gettext_lazy("Stage"), "person", (Param("ids", "ids", source="stages", missing=_CHOOSE),)),
    "added": _when(gettext_lazy("First added"), "person"),
    "lost": _when(gettext_lazy("Lost"), "person"),
    "field": Leaf(
        gettext_lazy("Own field"),
        "person",
        (
            Param("key", "text", source="fields"),
            Param(
                "test", "word", options=tuple(sorted({t for tests in FIELD_TESTS.values() for t in tests}))
            ),
            Param("text", "text", needed=False),
            Param("texts", "texts", needed=False),
            Param("compare", "compare", needed=False),
            Param("window", "window", options=DAYS, needed=False),
        ),
        _check_field,
    ),
    "tags": _set(gettext_lazy("Tags"), "tags", modes=("any", "all", "none", "at_least")),
    "code": _set(gettext_lazy("Channel code"), "codes"),
    "staff": _set(gettext_lazy("Guide"), "staff"),
    "store": _set(gettext_lazy("Store"), "stores", modes=("any", "none")),
    "region": _set(gettext_lazy("Region"), "regions", modes=("any", "none")),
    "group": _set(gettext_lazy("Group chat"), "groups"),
    "orders": Leaf(
        gettext_lazy("Orders in a period"),
        "orders",
        (
            Param("measure", "word", options=MEASURES, default="count"),
            _COUNT,
            _SPAN,
            Param("product_ids", "ids", source="products", needed=False),
            Param("categories", "texts", source="categories", needed=False),
            Param("store_ids", "ids", source="stores", needed=False),
            Param("channels", "texts", source="order_channels", needed=False),
            Param("sources", "texts", source="order_sources", needed=False),
        ),
        _check_order,
    ),
    "first_order": _when(gettext_lazy("First order"), "orders", "ever", "never"),
    "last_order": _when(gettext_lazy("Last order"), "orders", "ever", "never"),
    "event": Leaf(
        gettext_lazy("Behaviour"),
        "behaviour",
        (
            Param("event", "word", options=tuple(EVENTS)),
            _COUNT,
            _SPAN,
            *(Param(name, "ids", source=source, needed=False) for source, name in OBJECTS.items()),
            Param("words", "texts", source="words", needed=False),
        ),
        _check_event,
    ),
    "touch": Leaf(
        gettext_lazy("Messages received"),
        "behaviour",
        (
            _COUNT,
            _SPAN,
            Param("result", "word", options=RESULTS, default="delivered"),
            Param("kinds", "words", options=tuple(TOUCH_KINDS), needed=False),
            Param("sop_ids", "ids", source="sops", needed=False),
            Param("broadcast_ids", "ids", source="broadcasts", needed=False),
        ),
        _check_touch,
    ),
    "number": Leaf(
        gettext_lazy("Orders and value"),
        "value",
        (Param("measure", "word", options=NUMBERS), Param("compare", "compare")),
    ),
    "value_group": Leaf(
        gettext_lazy("Value group"), "value", (Param("ids", "ids", source="value_groups", missing=_CHOOSE),)
    ),
    "lifecycle": Leaf(
        gettext_lazy("Lifecycle stage"),
        "value",
        (Param("ids", "ids", source="lifecycle_stages", missing=_CHOOSE),),
    ),
    "next_order": _when(
        gettext_lazy("Next order expected"), "value", types=("last", "before", "next", "between", "this")
    ),
    "segment": _set(gettext_lazy("Segment"), "segments", "sets"),
}
