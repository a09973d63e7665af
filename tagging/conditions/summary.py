"""A condition in words, in the reader's language; pure."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from tagging.conditions.leaves import LEAVES, OBJECTS
from tagging.conditions.shapes import Condition, Known

MAX_NAMES = 5

WORDS: dict[str, Any] = {
    "reachable": gettext_lazy("reachable"),
    "lost": gettext_lazy("lost"),
    "pending": gettext_lazy("not confirmed yet"),
    "member": gettext_lazy("member without a guide"),
    "male": gettext_lazy("male"),
    "female": gettext_lazy("female"),
    "unknown": gettext_lazy("unknown"),
    "wechat": gettext_lazy("WeChat"),
    "wecom": gettext_lazy("another company's WeCom"),
}
EVENTS: dict[str, Any] = {
    "viewed": gettext_lazy("viewed a product"),
    "favourited": gettext_lazy("favourited a product"),
    "cart": gettext_lazy("added to cart"),
    "checked_out": gettext_lazy("began to check out"),
    "searched": gettext_lazy("searched"),
    "custom": gettext_lazy("did something of the brand's own"),
    "content_opened": gettext_lazy("opened a link"),
    "content_read": gettext_lazy("read a page"),
    "content_shared": gettext_lazy("shared a link"),
    "form_answered": gettext_lazy("answered a form"),
    "moment_liked": gettext_lazy("liked a moment"),
    "moment_commented": gettext_lazy("commented on a moment"),
    "order_paid": gettext_lazy("paid an order"),
    "order_refunded": gettext_lazy("got a refund"),
    "coupon_used": gettext_lazy("used a coupon"),
    "word_said": gettext_lazy("said a word in a chat"),
    "group_joined": gettext_lazy("joined a group"),
    "group_left": gettext_lazy("left a group"),
    "half_added": gettext_lazy("asked to be added"),
    "added": gettext_lazy("added a guide"),
    "added_again": gettext_lazy("added a guide again"),
    "lead_added": gettext_lazy("was added from a list of numbers"),
    "lost_by_customer": gettext_lazy("deleted a guide"),
    "lost_by_staff": gettext_lazy("was deleted by a guide"),
    "gone": gettext_lazy("was gone from WeCom"),
    "transferred": gettext_lazy("was handed over to another guide"),
    "welcomed": gettext_lazy("was welcomed"),
    "touch_sent": gettext_lazy("received a message"),
    "touch_failed": gettext_lazy("was sent a message that did not arrive"),
    "touch_blocked": gettext_lazy("had a message held back"),
    "sop_entered": gettext_lazy("entered an SOP"),
    "sop_ended": gettext_lazy("left an SOP"),
    "task_done": gettext_lazy("had a task done by a guide"),
    "note": gettext_lazy("got a note"),
    "tagged": gettext_lazy("got a tag"),
    "untagged": gettext_lazy("lost a tag"),
    "stage_changed": gettext_lazy("changed the follow-up stage"),
    "lifecycle_changed": gettext_lazy("changed the lifecycle stage"),
}
TOUCH_KINDS: dict[str, Any] = {
    "welcome": gettext_lazy("welcome message"),
    "sop": gettext_lazy("SOP message"),
    "broadcast": gettext_lazy("broadcast"),
    "direct": gettext_lazy("message in the chat"),
}
RESULTS: dict[str, Any] = {
    "delivered": gettext_lazy("received a message"),
    "opened": gettext_lazy("received a message and opened its link"),
    "not_opened": gettext_lazy("received a message and did not open its link"),
    "replied": gettext_lazy("received a message and replied"),
    "not_replied": gettext_lazy("received a message and did not reply"),
    "bought": gettext_lazy("received a message and bought"),
    "not_bought": gettext_lazy("received a message and did not buy"),
    "waiting": gettext_lazy("has a message that waits for the guide"),
    "failed": gettext_lazy("was sent a message that did not arrive"),
    "held_back": gettext_lazy("had a message held back"),
}
MEASURES: dict[str, Any] = {
    "count": gettext_lazy("number of orders"),
    "sum": gettext_lazy("amount of orders"),
    "avg": gettext_lazy("average order"),
    "max": gettext_lazy("largest order"),
    "quantity": gettext_lazy("pieces bought"),
}
NUMBERS: dict[str, Any] = {
    "n_orders": gettext_lazy("orders in all"),
    "spent_fen": gettext_lazy("spent in all"),
    "avg_fen": gettext_lazy("average of all orders"),
    "value_score": gettext_lazy("value score"),
    "recency": gettext_lazy("recency (R)"),
    "frequency": gettext_lazy("frequency (F)"),
    "monetary": gettext_lazy("money (M)"),
    "ltv_fen": gettext_lazy("lifetime value"),
    "alive_ratio": gettext_lazy("chance of buying again"),
}
MONEY = {"sum", "avg", "max", "spent_fen", "avg_fen", "ltv_fen"}
PERCENT = {"alive_ratio"}
SIGNS = {"eq": "=", "ne": "≠", "ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


def sentence(condition: Condition, known: Known) -> str:
    """The whole condition in one sentence."""
    text = _sentence(condition, known, top=True)
    return text[:1].upper() + text[1:]


def _sentence(node: Condition, known: Known, *, top: bool = False) -> str:
    for key, word in (("all", _(" and ")), ("any", _(" or "))):
        if key in node:
            parts = [_sentence(item, known) for item in node[key]]
            text = word.join(parts)
            return text if top or len(parts) == 1 else _("(%(what)s)") % {"what": text}
    if "not" in node:
        return _("not (%(what)s)") % {"what": _sentence(node["not"], known, top=True)}
    return leaf_sentence(node, known)


def leaf_sentence(leaf: Condition, known: Known) -> str:
    """One leaf in words."""
    return _SENTENCES[leaf["kind"]](leaf, known)


def listed(names: Iterable[Any]) -> str:
    """Some names, and how many there are when they are many."""
    found = [str(name) for name in names]
    shown = _(", ").join(found[:MAX_NAMES])
    if len(found) > MAX_NAMES:
        return _("%(names)s and others, %(n)d in all") % {"names": shown, "n": len(found)}
    return shown


def named(leaf: Condition, name: str, known: Known) -> str:
    """The names of the ids of a parameter."""
    source = next(param.source for param in LEAVES[leaf["kind"]].params if param.name == name)
    names = known.names.get(source, {})
    return listed(names.get(n) or f"#{n}" for n in leaf[name])


# ---- parts


def when(window: Mapping[str, Any]) -> str:
    """A window of time; empty for `ever`."""
    kind, n = window["type"], window.get("n", 0)
    match kind:
        case "ever":
            return ""
        case "last":
            hours = window.get("unit") == "hour"
            return (_("in the last %(n)d hours") if hours else _("in the last %(n)d days")) % {"n": n}
        case "before":
            return _("more than %(n)d days ago") % {"n": n}
        case "next":
            return _("within the next %(n)d days") % {"n": n}
        case "anniversary":
            return _("comes round within %(n)d days") % {"n": n} if n else _("is today's day of the year")
        case "month":
            return str(_("is in this month") if window["of"] == "this" else _("is in next month"))
        case "between":
            start, end = window.get("from"), window.get("to")
            if start and end:
                return _("from %(start)s to %(end)s") % {"start": start, "end": end}
            return _("since %(start)s") % {"start": start} if start else _("until %(end)s") % {"end": end}
    return str(_CALENDAR[kind, window["unit"]])


_CALENDAR: dict[tuple[str, str], Any] = {
    ("this", "day"): gettext_lazy("today"),
    ("this", "week"): gettext_lazy("this week"),
    ("this", "month"): gettext_lazy("this month"),
    ("this", "year"): gettext_lazy("this year"),
    ("previous", "day"): gettext_lazy("yesterday"),
    ("previous", "week"): gettext_lazy("last week"),
    ("previous", "month"): gettext_lazy("last month"),
    ("previous", "year"): gettext_lazy("last year"),
}


def amount(value: float, measure: str = "") -> str:
    """A number as people read it: yuan of fen, per cent of ratios."""
    if measure in MONEY:
        yuan = f"{value / 100:,.2f}".removesuffix(".00")
        return f"¥{yuan}"
    if measure in PERCENT:
        return f"{value * 100:g}%"
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def comparison(compare: Mapping[str, Any], measure: str = "") -> str:
    value = amount(compare["value"], measure)
    if compare["op"] == "between":
        return _("from %(start)s to %(end)s") % {"start": value, "end": amount(compare["to"], measure)}
    return f"{SIGNS[compare['op']]} {value}"


def _spaced(*parts: str) -> str:
    return " ".join(part for part in parts if part)


# ---- kinds


def _set(one: Any) -> Callable[[Condition, Known], str]:
    def text(leaf: Condition, known: Known) -> str:
        names = named(leaf, "ids", known)
        values = {"what": one, "names": names, "n": leaf.get("n", 0)}
        if leaf["mode"] == "at_least":
            return _("%(what)s: at least %(n)d of %(names)s") % values
        if leaf["mode"] == "none":
            return _("%(what)s: none of %(names)s") % values
        if len(leaf["ids"]) == 1:
            return _("%(what)s: %(names)s") % values
        return (
            _("%(what)s: all of %(names)s") if leaf["mode"] == "all" else _("%(what)s: any of %(names)s")
        ) % values

    return text


def _words(leaf: Condition, known: Known) -> str:
    names = listed(WORDS[value] for value in leaf["values"])
    return _("%(what)s: %(names)s") % {"what": LEAVES[leaf["kind"]].label, "names": names}


def _one_of(leaf: Condition, known: Known) -> str:
    return _("%(what)s: %(names)s") % {"what": LEAVES[leaf["kind"]].label, "names": named(leaf, "ids", known)}


def _yes_no(yes: Any, no: Any) -> Callable[[Condition, Known], str]:
    return lambda leaf, known: str(yes if leaf["value"] else no)


def _dated(leaf: Condition, known: Known) -> str:
    label = str(LEAVES[leaf["kind"]].label)
    match leaf["window"]["type"]:
        case "ever":
            return _("%(what)s: there is one") % {"what": label}
        case "never":
            return _("%(what)s: there is none") % {"what": label}
    return _("%(what)s %(when)s") % {"what": label, "when": when(leaf["window"])}


def _about(leaf: Condition, known: Known) -> str:
    """Products, categories and other objects in brackets."""
    parts = [named(leaf, name, known) for name in _OBJECTS if leaf.get(name)]
    parts += [listed(leaf[name]) for name in _TEXTS if leaf.get(name)]
    if leaf.get("kinds"):
        parts.append(listed(TOUCH_KINDS[word] for word in leaf["kinds"]))
    return _("(%(what)s)") % {"what": _("; ").join(parts)} if parts else ""


_OBJECTS = (*OBJECTS.values(), "store_ids", "broadcast_ids")
_TEXTS = ("categories", "channels", "sources", "words")


def _orders(leaf: Condition, known: Known) -> str:
    what = _spaced(str(MEASURES[leaf["measure"]]), _about(leaf, known))
    values = {
        "when": when(leaf["window"]),
        "what": what,
        "compare": comparison(leaf["compare"], leaf["measure"]),
    }
    if not values["when"]:
        return _("%(what)s %(compare)s") % values
    return _("%(when)s %(what)s %(compare)s") % values


def _did(leaf: Condition, did: str, about: str) -> str:
    compare = leaf["compare"]
    values = {"when": when(leaf["window"]), "did": _spaced(did, about), "compare": comparison(compare)}
    op, value = compare["op"], compare["value"]
    at_all = (op, value) in (("ge", 1), ("gt", 0))
    never = (op, value) in (("eq", 0), ("lt", 1), ("le", 0))
    if not values["when"]:
        if at_all:
            return _("has ever: %(did)s") % values
        return _("has never: %(did)s") % values if never else _("%(did)s, times %(compare)s") % values
    if at_all:
        return _("%(when)s: %(did)s") % values
    return (
        _("%(when)s not: %(did)s") % values if never else _("%(when)s: %(did)s, times %(compare)s") % values
    )


def _event(leaf: Condition, known: Known) -> str:
    return _did(leaf, str(EVENTS[leaf["event"]]), _about(leaf, known))


def _touch(leaf: Condition, known: Known) -> str:
    return _did(leaf, str(RESULTS[leaf.get("result", "delivered")]), _about(leaf, known))


def _number(leaf: Condition, known: Known) -> str:
    return f"{NUMBERS[leaf['measure']]} {comparison(leaf['compare'], leaf['measure'])}"


def _field(leaf: Condition, known: Known) -> str:
    field = known.fields.get(leaf["key"])
    values = {"what": field.label if field else leaf["key"], "value": leaf.get("text", "")}
    match leaf["test"]:
        case "filled":
            return _("%(what)s is filled in") % values
        case "empty":
            return _("%(what)s is empty") % values
        case "yes":
            return _("%(what)s: yes") % values
        case "no":
            return _("%(what)s: no") % values
        case "contains":
            return _("%(what)s contains “%(value)s”") % values
        case "starts":
            return _("%(what)s begins with “%(value)s”") % values
        case "eq":
            return _("%(what)s is “%(value)s”") % values
        case "in":
            return _("%(what)s: %(names)s") % {**values, "names": listed(leaf["texts"])}
        case "compare":
            return f"{values['what']} {comparison(leaf['compare'])}"
    return _("%(what)s %(when)s") % {**values, "when": when(leaf["window"])}


_SENTENCES: dict[str, Callable[[Condition, Known], str]] = {
    "everybody": lambda leaf, known: _("everybody"),
    "follow": _words,
    "gender": _words,
    "contact_kind": _words,
    "do_not_contact": _yes_no(gettext_lazy("on do-not-contact"), gettext_lazy("not on do-not-contact")),
    "named": _yes_no(gettext_lazy("has a name"), gettext_lazy("has no name")),
    "added": _dated,
    "lost": _dated,
    "first_order": _dated,
    "last_order": _dated,
    "next_order": _dated,
    "field": _field,
    "tags": _set(gettext_lazy("tag")),
    "code": _set(gettext_lazy("channel code")),
    "staff": _set(gettext_lazy("guide")),
    "store": _set(gettext_lazy("store")),
    "region": _set(gettext_lazy("region")),
    "group": _set(gettext_lazy("group chat")),
    "segment": _set(gettext_lazy("segment")),
    "orders": _orders,
    "event": _event,
    "touch": _touch,
    "number": _number,
    "stage": _one_of,
    "value_group": _one_of,
    "lifecycle": _one_of,
}
