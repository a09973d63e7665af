"""What the canvas in the browser knows: kinds of nodes with their forms, words, names, a graph and how it reads."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy

from campaigns import graph as graphs
from campaigns.graph import kinds
from campaigns.graph.kinds import Kind, Param
from campaigns.services.graphs import graph_checks
from campaigns.services.journeys import dates, slots
from campaigns.services.sending import variables
from contacts.services.fields import live_fields
from content.models import Content
from tagging.rule_events import CHOSEN, EVENTS, FILTERS, OBJECT_WORDS, OBJECTS, source_of
from tagging.services.segments import naming
from tenants.models import Brand

# kind → icon (lucide), colour
LOOKS: dict[str, tuple[str, str]] = {
    "entry": ("log-in", "green"), "wait": ("clock", "amber"), "branch": ("git-branch", "violet"),
    "split": ("shuffle", "violet"), "end": ("flag", "grey"), "touch": ("message-circle", "blue"),
    "moments": ("aperture", "blue"), "task": ("clipboard-list", "teal"), "coupon": ("ticket", "amber"),
    "group": ("users", "teal"), "tag": ("tag", "pink"), "field": ("square-pen", "pink"), "hook": ("webhook", "grey"),
}  # fmt: skip

# what a node of a kind begins with
FRESH: dict[str, dict[str, Any]] = {
    "split": {"shares": [{"key": "a", "title": "A", "percent": 50}, {"key": "b", "title": "B", "percent": 50}]},
}  # fmt: skip

SOURCES = {"tags", "codes", "segments", "group_codes", *CHOSEN.values(), *OBJECTS.values()}

WORDS: dict[str, Any] = {
    "add": lazy("Add a node"), "add_after": lazy("A node after this one"), "remove": lazy("Delete"),
    "up": lazy("Move up"), "down": lazy("Move down"),
    "close": lazy("Close"), "choose": lazy("Choose…"), "title": lazy("Name of this node"),
    "not_set": lazy("not set yet"), "empty": lazy("Nothing here yet"), "goes_on": lazy("Goes on to"),
    "nowhere": lazy("— nowhere yet"), "goes_to": lazy("goes on at “{name}”"),
    "leads_to": lazy("{out} leads to {next}"), "leads_nowhere": lazy("{out} leads nowhere"),
    "settings": lazy("Settings of the SOP"),
    "settings_help": lazy("They hold for everybody in it. Choose a node to edit it."),
    "n_chosen": lazy("{n} nodes are chosen"), "to_mend": lazy("To fix before publishing"),
    "n_problems": lazy("{n} to fix"), "to_consider": lazy("May be published, but look at it"),
    "slot": lazy("This works once the part of the product that it belongs to is there."),
    "find_tags": lazy("Find a tag…"), "find_codes": lazy("Find a channel code…"),
    "find_segments": lazy("Find a segment…"), "find_group_codes": lazy("Find a group code…"), "find_staff": lazy("Find a guide…"),
    "find_stores": lazy("Find a store…"), "find_products": lazy("Find a product…"),
    "find_links": lazy("Find a tracked link…"), "find_pages": lazy("Find a form…"), "find_moments": lazy("Find a moment…"),
    "find_groups": lazy("Find a group…"),
    "find_behaviours": lazy("Find a kind of behaviour…"), "none_found": lazy("Nothing found"),
    "condition_edit": lazy("Edit the condition"), "condition_set": lazy("A condition is set"),
    "condition_none": lazy("No condition yet"), "case": lazy("Case"), "share": lazy("Add a share"),
    "percent": lazy("Per cent"), "happens": lazy("Something happens"), "holds": lazy("A condition holds"),
    "message_hint": lazy("What the guide says"),
    "test_message": lazy("Send me a test"),
    "from_library": lazy("What is in force in the library when it is sent goes out."),
    "no_customer": lazy("The customer's name cannot be used here: WeCom sends one text to all customers of a guide."),
    "unsaved": lazy("Not saved yet"), "saving": lazy("Saving…"), "saved": lazy("Saved"),
    "not_saved": lazy("Could not be saved; trying again"), "conflict": lazy("Somebody else has changed this draft"),
    "take_theirs": lazy("Show the other one"), "keep_mine": lazy("Keep mine, drop the other one"),
    "n_in": lazy("came in"), "n_waiting": lazy("now here"), "n_out": lazy("out"), "n_touched": lazy("reached"),
    "n_blocked": lazy("held"),
}  # fmt: skip


def meta() -> dict[str, Any]:
    """Kinds, settings, events and words: the same for every graph of the brand."""
    fields = list(live_fields())
    return {
        "kinds": [_kind(kind) for kind in kinds.KINDS.values()],
        "settings": [_param(param) for param in kinds.SETTINGS],
        "weekdays": [[n, str(day)] for n, day in enumerate(graph_checks.WEEKDAYS) if n],
        "events": [
            {
                "kind": key,
                "label": str(e.label),
                "group": str(e.group),
                "filters": list(e.filters),
                # what its `object_ids` are
                "objects": OBJECTS.get(key, ""),
                "objects_label": str(OBJECT_WORDS.get(OBJECTS.get(key, ""), "")),
            }
            for key, e in EVENTS.items()
        ],
        "filters": {
            name: {"label": _filter_label(name), "kind": f.kind, "source": CHOSEN.get(name, "")}
            for name, f in FILTERS.items()
        },
        "fields": [
            {"key": f.key, "label": f.label, "type": f.type, "options": list(f.options)} for f in fields
        ],
        "date_fields": [[key, str(label)] for key, label in dates.choices(fields).items()],
        "variables": list(variables.NAMES),
        "words": {key: str(text) for key, text in WORDS.items()},
    }


def _filter_label(name: str) -> str:
    label = str(FILTERS[name].label)
    return _("%(what)s (yuan)") % {"what": label} if FILTERS[name].kind == "money" else label


def _kind(kind: Kind) -> dict[str, Any]:
    icon, tone = LOOKS[kind.key]
    return {
        "kind": kind.key, "label": str(kind.label), "group": str(kind.group), "help": str(kind.help),
        "slot": kind.slot and bool(slots.missing(kind.key)),
        "icon": icon, "tone": tone, "params": [_param(param) for param in kind.params], "outs": _outs(kind),
        "fresh": FRESH.get(kind.key, {}),
    }  # fmt: skip


def _param(param: Param) -> dict[str, Any]:
    return {
        "name": param.name, "of": param.of, "label": str(param.label), "needed": param.needed, "help": str(param.help),
        "default": list(param.default) if isinstance(param.default, tuple) else param.default,
        "choices": [[key, str(label)] for key, label in param.choices],
        "when": {param.when[0]: list(param.when[1])} if param.when else None, "least": param.least, "most": param.most,
    }  # fmt: skip


def _outs(kind: Kind) -> list[dict[str, Any]]:
    """Ways out as the browser finds them; the same as graph.shape.outs_of, which tests compare."""
    way = {"next": _("next"), "timeout": _("time is over"), "yes": _("yes"), "no": _("no"), "else": _("else")}
    match kind.key:
        case "branch":
            return [
                {"key": "yes", "label": way["yes"], "when": {"mode": ["yes_no"]}},
                {"key": "no", "label": way["no"], "when": {"mode": ["yes_no"]}},
                {"each": "cases", "key": "key", "label": "title", "when": {"mode": ["cases"]}},
                {"key": "else", "label": way["else"], "when": {"mode": ["cases"]}},
            ]
        case "split":
            return [{"each": "shares", "key": "key", "label": "title"}]
        case "wait":
            return [
                {"key": "next", "label": way["next"], "when": {"mode": ["for", "time", "day", "date"]}},
                {"key": "next", "label": _("it happens"), "when": {"mode": ["event"]}},
                {"key": "timeout", "label": way["timeout"], "when": {"mode": ["event"]}},
            ]
    return [{"key": out, "label": way[out]} for out in kind.outs]


# ---- one graph


def of_graph(brand: Brand, graph: graphs.Graph) -> dict[str, Any]:
    """A graph with names of what it names, and how its nodes and conditions read."""
    say = graph_checks.say_for(brand)
    return {
        "graph": graph,
        "names": _names(graph),
        "summaries": {node["id"]: _short(node, say) for node in graph["nodes"]},
        "sentences": {
            json.dumps(condition, ensure_ascii=False, separators=(",", ":")): say(kinds.CONDITION, condition)
            for condition in _conditions(graph)
        },
    }


def _short(node: Mapping[str, Any], say: Any) -> str:
    """The sentence of a node without the word that its card bears anyway."""
    text = graphs.words.describe(dict(node), say)
    label = str(kinds.KINDS[node["kind"]].label)
    if text.startswith(label):
        text = text[len(label) :].lstrip(" :：")
    return text


def _conditions(graph: graphs.Graph) -> Iterator[Any]:
    for holder in (*graph["nodes"], graph["settings"]):
        for value in holder.values():
            rows = value if isinstance(value, list) else [holder]
            for row in rows:
                if isinstance(row, dict) and isinstance(row.get("condition"), dict) and row["condition"]:
                    yield row["condition"]


def _names(graph: graphs.Graph) -> dict[str, dict[Any, str]]:
    wanted: dict[str, set[int]] = {}

    def want(source: str, ids: Any) -> None:
        found = ids if isinstance(ids, list) else [ids]
        wanted.setdefault(source, set()).update(n for n in found if type(n) is int and 0 < n < 2**63)

    sources = {
        kinds.TAGS: "tags",
        kinds.CODES: "codes",
        kinds.SEGMENT: "segments",
        kinds.GROUP_CODE: "group_codes",
    }
    for node in graph["nodes"]:
        for param in kinds.KINDS[node["kind"]].params:
            if param.of in sources:
                want(sources[param.of], node.get(param.name))
    for holder in (
        *graph["nodes"],
        *(graph["settings"].get("goals") or []),
        *(graph["settings"].get("exits") or []),
    ):
        filters = holder.get("filters") if isinstance(holder, dict) else None
        for name, ids in (filters if isinstance(filters, dict) else {}).items():
            if source := source_of(name, str(holder.get("event"))):
                want(source, ids)
    found: dict[str, dict[Any, str]] = dict(naming.names({s: ids for s, ids in wanted.items() if ids}))
    picked = {n for node in graph["nodes"] if type(n := node.get("content_id")) is int and 0 < n < 2**63}
    return found | {"content": dict(Content.objects.filter(pk__in=picked).values_list("pk", "name"))}
