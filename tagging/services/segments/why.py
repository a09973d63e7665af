"""Why one person is in a segment or not: the condition as a tree, each place with what is true of this person."""

from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from scrm import clock
from scrm.errors import NotFoundError
from tagging.conditions import Condition, Context, Known, Person, holds, references
from tagging.conditions.evaluate import events_of, messages_of, sales_measure
from tagging.conditions.leaves import LEAVES
from tagging.conditions.summary import WORDS, amount, leaf_sentence, listed
from tagging.models import BITS, Dim, Segment
from tagging.services.bits import bits
from tagging.services.segments import naming, persons
from tagging.services.segments.nesting import nested_segments
from tenants.models import Brand


def explain(
    brand: Brand, condition: Condition, contact_id: int, *, now: datetime | None = None
) -> dict[str, Any]:
    """The tree: {holds, word ("all", "any", "not", "leaf"), items}; a leaf has text and fact, and its items are the trees
    of the segments that it names, each with its name.

    Raises:
        NotFoundError: no such contact.
    """
    person = persons.load(contact_id)
    if person is None:
        raise NotFoundError()
    segments = nested_segments(condition)
    context = Context(now or clock.now(), brand.timezone, _inside(brand, segments, contact_id))
    wanted: dict[str, set[int]] = {}
    for part in [condition, *(s for s in segments.values() if isinstance(s, dict))]:
        for source, ids in references(part).items():
            wanted.setdefault(source, set()).update(ids)
    for source in ("tags", "codes", "staff", "stores", "regions", "groups"):
        if source in wanted:  # what the person has is told by name
            wanted[source] |= person.sets.get(source, set())
    for source, number in (
        ("stages", person.stage),
        ("lifecycle_stages", person.lifecycle),
        ("value_groups", person.value_group),
    ):
        if source in wanted and number:
            wanted[source].add(number)
    return _tree(condition, person, context, Known(naming.names(wanted), naming.fields()))


def _inside(brand: Brand, segments: dict[int, Any], contact_id: int) -> dict[int, Condition | bool]:
    """Segments as conditions, lists as whether the contact is on them."""
    versions = {pk: found for pk, found in segments.items() if isinstance(found, int)}
    on_list: set[int] = set()
    if versions:
        from django.db import connection

        bits.flush()
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT d.val FROM contacts_contactstat s JOIN tagging_dimbits d"  # noqa: S608
                f"  ON d.brand_id = %s AND d.dim = {Dim.SEGMENT:d} AND d.val = ANY(%s) AND d.chunk = s.position / {BITS}"
                f" WHERE s.brand_id = %s AND s.contact_id = %s AND get_bit(d.bits, s.position %% {BITS}) = 1",
                [brand.pk, list(versions.values()), brand.pk, contact_id],
            )
            on_list = {row[0] for row in cursor.fetchall()}
    return {pk: found in on_list if isinstance(found, int) else found for pk, found in segments.items()}


def _tree(node: Condition, person: Person, context: Context, known: Known) -> dict[str, Any]:
    result: dict[str, Any] = {"holds": holds(node, person, context)}
    for word in ("all", "any"):
        if word in node:
            items = [_tree(item, person, context, known) for item in node[word]]
            return result | {"word": word, "items": items}
    if "not" in node:
        return result | {"word": "not", "items": [_tree(node["not"], person, context, known)]}
    result |= {
        "word": "leaf",
        "text": leaf_sentence(node, known),
        "fact": _fact(node, person, context, known),
        "items": [],
    }
    if node["kind"] == "segment":
        result["items"] = [
            _tree(found, person, context, known) | {"name": known.names["segments"].get(pk, "")}
            for pk in node["ids"]
            if isinstance(found := context.segments[pk], dict)
        ]
    return result


_SETS = {
    "tags": "tags",
    "code": "codes",
    "staff": "staff",
    "store": "stores",
    "region": "regions",
    "group": "groups",
}
_MOMENTS = {
    "added": "added_at",
    "lost": "lost_at",
    "first_order": "first_order_at",
    "last_order": "last_order_at",
}


def _fact(leaf: Condition, person: Person, context: Context, known: Known) -> str:
    """What is true of the person about one leaf; empty where the leaf itself says it."""
    kind = leaf["kind"]
    if kind in _SETS:
        names = known.names.get(_SETS[kind], {})
        there = person.sets.get(_SETS[kind], set())
        asked = there & set(leaf["ids"]) or there
        return listed(names.get(n) or f"#{n}" for n in sorted(asked)) or _("none")
    if kind in _MOMENTS:
        return _moment(getattr(person, _MOMENTS[kind]), context)
    if kind == "next_order":
        return str(person.next_order_on or _("not known"))
    if kind == "orders":
        value = sales_measure(leaf, person, context)
        return _("none") if value is None else amount(value, leaf["measure"])
    if kind in ("event", "touch"):
        found: Any = (events_of if kind == "event" else messages_of)(leaf, person, context)
        if not found:
            return _("not once")
        times = ngettext("%(n)d time", "%(n)d times", len(found)) % {"n": len(found)}
        return _("%(times)s, last on %(at)s") % {
            "times": times,
            "at": _moment(max(f.at for f in found), context),
        }
    if kind == "number":
        value = person.numbers.get(leaf["measure"])
        return _("not known") if value is None else amount(value, leaf["measure"])
    if kind == "field":
        value = person.fields.get(leaf["key"])
        return _("empty") if value is None else str(value)
    if kind in ("stage", "value_group", "lifecycle"):
        number = getattr(person, kind)
        names = known.names.get(LEAVES[kind].params[0].source, {})
        return _("not known") if number is None else names.get(number) or f"#{number}"
    if kind in ("follow", "gender", "contact_kind"):
        words = LEAVES[kind].params[0].options
        true = [word for word in words if holds({"kind": kind, "values": [word]}, person, context)]
        return listed(WORDS[word] for word in true) or _("none")
    if kind == "segment":
        inside = [
            pk for pk in leaf["ids"] if holds({"kind": kind, "mode": "any", "ids": [pk]}, person, context)
        ]
        return listed(known.names["segments"].get(pk) or f"#{pk}" for pk in inside) or _("none")
    return ""


def _moment(at: datetime | None, context: Context) -> str:
    from zoneinfo import ZoneInfo

    return f"{at.astimezone(ZoneInfo(context.zone)):%Y-%m-%d %H:%M}" if at else _("never")


def explain_segment(brand: Brand, segment: Segment, contact_id: int) -> dict[str, Any]:
    """`explain` of a segment; of a list or a frozen one it says whether the person is on it."""
    if segment.kind == Segment.Kind.DYNAMIC:
        return explain(brand, segment.condition or {}, contact_id)
    tree = explain(brand, {"kind": "segment", "mode": "any", "ids": [segment.pk]}, contact_id)
    fact = _("on the list") if tree["holds"] else _("not on the list")
    return tree | {"text": segment.name, "fact": fact}
