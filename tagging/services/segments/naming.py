"""What conditions may name: tags, guides, codes, products … of the brand, by id; and choices for people."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django.apps import apps
from django.db.models import QuerySet

from commerce.models import Order, Product
from contacts.models import BehaviourKind, CustomField, Stage
from org.models import Region, Staff, Store
from tagging.conditions import FieldType, Known
from tagging.models import LifecycleStage, Segment, Tag, ValueGroup

MAX_CHOICES = 50
RECENT = 2_000  # orders that are looked at for their channels


def _model(label: str) -> Any:
    """A model of an app above this one, by name."""
    return apps.get_model(label)


def _tags() -> QuerySet[Any]:
    return Tag.objects.filter(deleted_at=None).order_by("-group__order", "group_id", "-order", "pk")


# source → the rows that may be chosen, and the field that names them
SOURCES: dict[str, tuple[Callable[[], QuerySet[Any]], str]] = {
    "tags": (_tags, "name"),
    "codes": (lambda: _model("livecodes.ChannelCode").objects.order_by("-pk"), "name"),
    "staff": (lambda: Staff.objects.order_by("name", "pk"), "name"),
    "stores": (lambda: Store.objects.order_by("name", "pk"), "name"),
    "regions": (lambda: Region.objects.order_by("name", "pk"), "name"),
    "group_codes": (
        lambda: _model("groups.GroupCode").objects.filter(deleted_at=None).order_by("-pk"),
        "name",
    ),
    "groups": (lambda: _model("groups.GroupChat").objects.order_by("-pk"), "name"),
    "links": (lambda: _model("content.TrackedLink").objects.order_by("-pk"), "name"),
    "pages": (lambda: _model("content.Content").objects.filter(kind="page").order_by("-pk"), "name"),
    "moments": (lambda: _model("campaigns.Moment").objects.order_by("-pk"), "name"),
    "products": (lambda: Product.objects.order_by("name", "pk"), "name"),
    "behaviours": (lambda: BehaviourKind.objects.order_by("label", "pk"), "label"),
    "sops": (lambda: _model("campaigns.Sop").objects.order_by("-pk"), "name"),
    "broadcasts": (lambda: _model("campaigns.Broadcast").objects.order_by("-pk"), "name"),
    "stages": (lambda: Stage.objects.order_by("position", "pk"), "name"),
    "segments": (lambda: Segment.objects.filter(deleted_at=None).order_by("name", "pk"), "name"),
}


def names(ids: Mapping[str, Iterable[int]]) -> dict[str, dict[int, str]]:
    """{source: {id: name}} of the ids that exist; one query for each source."""
    found: dict[str, dict[int, str]] = {}
    for source, wanted in ids.items():
        if source in FIXED:
            found[source] = {n: str(label) for n, label in FIXED[source]().items() if n in set(wanted)}
        else:
            rows, column = SOURCES[source]
            found[source] = dict(rows().filter(pk__in=set(wanted)).values_list("pk", column))
    return found


def choices(source: str, text: str = "") -> list[tuple[Any, str]]:
    """What a person may choose from a source, by a part of its name."""
    text = text.replace("\x00", "").strip()[:60]  # Postgres takes none in a text
    if source in TEXTS:
        return [(word, word) for word in TEXTS[source](text)[:MAX_CHOICES]]
    if source in FIXED:
        return [(n, str(label)) for n, label in FIXED[source]().items() if text.lower() in str(label).lower()]
    rows, column = SOURCES[source]
    found = rows().filter(**{f"{column}__icontains": text}) if text else rows()
    if source == "tags":
        return [
            (tag.pk, f"{tag.group.name} / {tag.name}") for tag in found.select_related("group")[:MAX_CHOICES]
        ]
    return [(pk, name or f"#{pk}") for pk, name in found.values_list("pk", column)[:MAX_CHOICES]]


def fields() -> dict[str, FieldType]:
    """The brand's own fields by key."""
    rows = CustomField.objects.filter(archived_at=None).order_by("position", "pk")
    return {f.key: FieldType(f.label, f.type, tuple(f.options)) for f in rows}


def known(condition: Any) -> Known:
    """What a condition names, as far as it exists, read from a condition that may still be wrong."""
    wanted: dict[str, set[int]] = {}
    _collect(condition, wanted, 0)
    return Known(names(wanted), fields())


def _collect(node: Any, wanted: dict[str, set[int]], depth: int) -> None:
    from tagging.conditions.leaves import LEAVES

    if not isinstance(node, dict) or depth > 20:
        return
    for key in ("all", "any"):
        if isinstance(node.get(key), list):
            for item in node[key]:
                _collect(item, wanted, depth + 1)
    _collect(node.get("not"), wanted, depth + 1)
    leaf = LEAVES.get(node["kind"]) if isinstance(node.get("kind"), str) else None
    for param in leaf.params if leaf else ():
        ids = node.get(param.name)
        if param.type == "ids" and isinstance(ids, list):
            good = {n for n in ids[:1_000] if type(n) is int and 0 < n < 2**63}
            wanted.setdefault(param.source, set()).update(good)


def _categories(text: str) -> list[str]:
    products = Product.objects.exclude(category="").filter(category__icontains=text)
    return list(products.values_list("category", flat=True).distinct().order_by("category")[:MAX_CHOICES])


def _of_orders(column: str) -> Callable[[str], list[str]]:
    """What the newest orders say; a word that none of them has may be typed."""

    def found(text: str) -> list[str]:
        newest = Order.objects.order_by("-placed_at", "-pk").values_list(column, flat=True)[:RECENT]
        words = sorted(word for word in set(newest) if word and text.lower() in word.lower())
        return words if not text or text in words else [text, *words]

    return found


# Sources of words: source → those that have a text in them
TEXTS: dict[str, Callable[[str], list[str]]] = {
    "categories": _categories,
    "order_channels": _of_orders("channel"),
    "order_sources": _of_orders("source"),
    "words": lambda text: [text] if text else [],
}


# Numbers of ContactStat with names: source → {number: name}. Stages of the lifecycle are a brand's own.
FIXED: dict[str, Callable[[], Mapping[int, Any]]] = {
    "value_groups": lambda: {int(group): str(group.label) for group in ValueGroup},
    "lifecycle_stages": lambda: dict(LifecycleStage.objects.values_list("number", "name")),
}
