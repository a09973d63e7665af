"""SOPs as files: a graph with the names of what it speaks of, so that another brand can take it over.

    {"format": "scrm-sop", "version": 1, "name", "graph", "names": {source: {id: name}}}

Ids of one brand mean nothing in another: on import each is looked up by its name; what is not found is left open and
told, and the checks of the canvas stand at the node until somebody has chosen.
"""

import copy
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from campaigns import graph as graphs
from campaigns.graph import kinds
from campaigns.graph.raw_values import plain
from campaigns.graph.shape import Graph, Node
from campaigns.models import Sop
from campaigns.services.graphs import graphs as drawn
from campaigns.services.sops import sops
from content.models import Content
from org import audit
from org.access import Actor
from scrm.errors import InvalidError
from tagging.conditions.leaves import LEAVES
from tagging.models import Tag
from tagging.services.segments import naming
from tenants.models import Brand

FORMAT, VERSION = "scrm-sop", 1
MAX_NAMES = 5_000  # of one source
# filters of events that name something: the others are numbers and words
FILTER_SOURCES = {
    "product_ids": "products", "seen_product_ids": "products", "stores": "stores", "code_ids": "codes",
    "behaviour_ids": "behaviours", "tag_ids": "tags", "staff_ids": "staff",
}  # fmt: skip
PARAM_SOURCES = {
    kinds.TAGS: "tags",
    kinds.CODES: "codes",
    kinds.SEGMENT: "segments",
    kinds.GROUP_CODE: "group_codes",
    kinds.CONTENT: "contents",
}
NO_NAMES = ("object_ids",)  # numbers of one brand that nothing names
Swap = Callable[[str, Any], Any]  # (source, id) → id, or None where it is left out


def export_sop(brand: Brand, *, sop_id: int, by: Actor) -> dict[str, Any]:
    """The draft of an SOP as a file."""
    sop = drawn.get_graph_sop(sop_id)
    graph, wanted = graphs.tidy(sop.draft or drawn.EMPTY), defaultdict[str, set[Any]](set)

    def note(source: str, value: Any) -> Any:
        wanted[source].add(value)
        return value

    _swap(copy.deepcopy(graph), note)
    audit.record(by, "sop.export", sop)
    return {
        "format": FORMAT,
        "version": VERSION,
        "name": sop.name,
        "graph": graph,
        "names": {source: _names(source, ids) for source, ids in sorted(wanted.items())},
    }


@transaction.atomic
def import_sop(brand: Brand, data: Any, *, by: Actor, name: str = "") -> tuple[Sop, list[tuple[str, str]]]:
    """A draft from a file; and what it names that this brand has not: (source, name).

    Raises:
        InvalidError: not such a file, or of a newer version.
    """
    if not isinstance(data, dict) or data.get("format") != FORMAT or not isinstance(data.get("names"), dict):
        raise InvalidError(_("This is not an SOP file"), fields={"file": _("This is not an SOP file")})
    if data.get("version") != VERSION:
        text = _("The file comes from a newer version of the product")
        raise InvalidError(text, fields={"file": text})
    graph, names = graphs.tidy(data.get("graph")), _told(data["names"])
    found = {source: _found(source, rows) for source, rows in names.items()}
    missing: dict[tuple[str, str], None] = {}

    def swap(source: str, value: Any) -> Any:
        mine = found.get(source, {}).get(str(value))
        if mine is None:
            missing[source, names.get(source, {}).get(str(value), str(value))] = None
        return mine

    try:
        _swap(graph, swap)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise InvalidError(
            _("This is not an SOP file"), fields={"file": _("This is not an SOP file")}
        ) from error
    wanted = plain(name or str(data.get("name") or "SOP")).strip()[:60] or "SOP"
    if Sop.objects.filter(name=wanted).exists():
        wanted = sops.free_name(wanted)
    sop = drawn.create_graph_sop(brand, name=wanted, graph=graph, by=by)
    return sop, list(missing)


# ---- ids in a graph


def _swap(graph: Graph, swap: Swap) -> None:
    """Put every id through `swap`, in place."""
    for node in graph["nodes"]:
        _swap_params(node, graphs.KINDS[node["kind"]].params, swap)
    _swap_params(graph["settings"], graphs.SETTINGS, swap)


def _swap_params(node: Node, params: tuple[kinds.Param, ...], swap: Swap) -> None:
    for param in params:
        value = node.get(param.name)
        if not value:
            continue
        if source := PARAM_SOURCES.get(param.of):
            if isinstance(value, list):
                node[param.name] = _kept(source, value, swap)
            else:
                node[param.name] = _one(source, value, swap)
        elif param.of == kinds.FIELD:
            node[param.name] = _one("fields", value, swap)
        elif param.of == kinds.DATE_FIELD and str(value).startswith("field:"):
            key = _one("fields", str(value).removeprefix("field:"), swap)
            node[param.name] = f"field:{key}" if key else None
        elif param.of == kinds.ATTACHMENTS:
            # a file lies in the library of one brand
            node[param.name] = [a for a in value if not a.get("file_id") or _one("files", a["file_id"], swap)]
        elif param.of == kinds.OBJECT:
            node[param.name] = None
        elif param.of == kinds.FILTERS:
            _swap_filters(value, swap)
        elif param.of == kinds.CONDITION:
            _swap_condition(value, swap)
        elif param.of in (kinds.CASES, kinds.EVENTS):
            for row in value:
                _swap_filters(row.get("filters") or {}, swap)
                _swap_condition(row.get("condition") or {}, swap)


def _one(source: str, value: Any, swap: Swap) -> Any:
    """What an id becomes; in a draft there may be something that is none."""
    is_id = isinstance(value, str) if source == "fields" else type(value) is int and 0 < value < 2**63
    return swap(source, value) if is_id else None


def _kept(source: str, ids: Any, swap: Swap) -> list[Any]:
    given = ids if isinstance(ids, list) else []
    return [mine for value in given if (mine := _one(source, value, swap)) is not None]


def _swap_filters(filters: Any, swap: Swap) -> None:
    for name in list(filters) if isinstance(filters, dict) else ():
        if name in FILTER_SOURCES:
            filters[name] = _kept(FILTER_SOURCES[name], filters[name], swap)
        elif name in NO_NAMES:
            filters[name] = _kept("numbers", filters[name], swap)


def _swap_condition(condition: Any, swap: Swap) -> None:
    for leaf in _leaves(condition):
        for param in LEAVES[leaf["kind"]].params:
            value = leaf.get(param.name)
            if not value or not param.source or param.source in ("categories", *naming.FIXED):
                continue
            if isinstance(value, list):
                leaf[param.name] = _kept(param.source, value, swap)
            else:
                leaf[param.name] = _one(param.source, value, swap) or ""


def _leaves(condition: Any) -> Iterator[dict[str, Any]]:
    if isinstance(condition, list):
        for item in condition:
            yield from _leaves(item)
    elif isinstance(condition, dict):
        if isinstance(condition.get("kind"), str) and condition["kind"] in LEAVES:
            yield condition
        else:
            for value in condition.values():
                yield from _leaves(value)


# ---- names


def _names(source: str, ids: set[Any]) -> dict[str, str]:
    if source == "tags":
        rows = Tag.objects.filter(pk__in=ids, deleted_at=None).values_list("pk", "group__name", "name")
        return {str(pk): f"{group} / {name}" for pk, group, name in rows}
    if source == "contents":
        return {str(pk): name for pk, name in Content.objects.filter(pk__in=ids).values_list("pk", "name")}
    if source == "fields":
        return {key: field.label for key, field in naming.fields().items() if key in ids}
    if source in ("files", "numbers"):
        return {str(value): f"#{value}" for value in ids}
    return {str(pk): name for pk, name in naming.names({source: ids})[source].items()}


def _told(names: dict[Any, Any]) -> dict[str, dict[str, str]]:
    """{source: {id: name}} as a file tells them, without what is none."""
    return {
        str(source): {str(key): plain(str(name)) for key, name in list(rows.items())[:MAX_NAMES]}
        for source, rows in names.items()
        if isinstance(rows, dict)
    }


def _found(source: str, names: dict[str, str]) -> dict[str, Any]:
    """{id in the file: id here} of what has the same name here; a name that two have is nobody's."""
    wanted = set(names.values())
    pairs: list[tuple[Any, str]]
    if source == "tags":
        rows = Tag.objects.filter(deleted_at=None, name__in={name.split(" / ")[-1] for name in wanted})
        pairs = [
            (pk, f"{group} / {name}") for pk, group, name in rows.values_list("pk", "group__name", "name")
        ]
    elif source == "contents":
        pairs = list(Content.objects.live().filter(name__in=wanted).values_list("pk", "name"))
    elif source == "fields":
        pairs = [(key, field.label) for key, field in naming.fields().items()]
    elif source in naming.SOURCES:
        query, column = naming.SOURCES[source]
        pairs = list(query().filter(**{f"{column}__in": wanted}).values_list("pk", column))
    else:
        return {}
    by_name: dict[str, list[Any]] = defaultdict(list)
    for pk, name in pairs:
        by_name[name].append(pk)
    return {key: by_name[name][0] for key, name in names.items() if len(by_name[name]) == 1}
