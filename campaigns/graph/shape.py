"""The shape of a graph: what may be kept as a draft, and what is wrong with one that shall be published."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, time
from typing import Any

from django.utils.translation import gettext as _

from campaigns.graph import kinds, raw_values
from campaigns.graph.kinds import KINDS, MESSAGES, SETTINGS, Param, outs_of_parts
from campaigns.graph.raw_values import plain
from scrm.errors import InvalidError

Graph = dict[str, Any]
Node = dict[str, Any]
Problem = dict[str, str]

MAX_NODES, MAX_EDGES, MAX_TITLE = 200, 600, 40
MAX_PARTS = 10
MAX_PLACE = 100_000
_ID = re.compile(r"[A-Za-z0-9_-]{1,12}")
_KEY = re.compile(r"[a-z0-9_]{1,12}")

# What the brand has to be asked about: of a parameter → (clean value, message; empty when all is well)
Check = Callable[[Any, Node], tuple[Any, str]]
Checks = Mapping[str, Check]


def problem(node: str, field: str, message: Any) -> Problem:
    """One thing that is wrong; `node` empty: of the whole, `field` empty: of the whole node."""
    return {"node": node, "field": field, "message": str(message)}


def outs_of(node: Mapping[str, Any]) -> tuple[str, ...]:
    """The ways out of a node, in order."""
    kind = node.get("kind")
    if kind == "branch" and node.get("mode") == "cases":
        return (*outs_of_parts(node.get("cases") or []), "else")
    if kind == "split":
        return outs_of_parts(node.get("shares") or [])
    if kind == "wait" and node.get("mode") == "event":
        return ("next", "timeout")
    return KINDS[str(kind)].outs


# ---- drafts


def tidy(raw: Any) -> Graph:
    """A graph as it may be kept, however unfinished: known kinds and parameters, defaults filled in.

    Raises:
        InvalidError: not a graph at all, too large, a kind that does not exist, two nodes with one id.
    """
    if not isinstance(raw, dict) or not _is_list(raw.get("nodes", [])) or not _is_list(raw.get("edges", [])):
        raise InvalidError(_("This is not a valid canvas"), code="graph")
    nodes, edges = raw.get("nodes", []), raw.get("edges", [])
    if len(nodes) > MAX_NODES or len(edges) > MAX_EDGES:
        raise InvalidError(_("At most %(n)s nodes") % {"n": MAX_NODES}, code="graph")
    found = [_tidy_node(node) for node in nodes]
    ids = {node["id"] for node in found}
    if len(ids) < len(found):
        raise InvalidError(_("Two nodes have the same id"), code="graph")
    settings = {} if raw.get("settings") is None else raw["settings"]
    if not isinstance(settings, dict):
        raise InvalidError(_("This is not a valid canvas"), code="graph")
    kept: dict[tuple[str, str], str] = {}
    for edge in edges:
        if not isinstance(edge, dict):
            raise InvalidError(_("This is not a valid canvas"), code="graph")
        start, out, to = (str(edge.get(name, "")) for name in ("from", "out", "to"))
        if start in ids and to in ids and _ID.fullmatch(out):  # what leads nowhere is dropped
            kept[start, out] = to
    return {
        "nodes": found,
        "edges": [{"from": start, "out": out, "to": to} for (start, out), to in kept.items()],
        "settings": _with_defaults(SETTINGS, settings),
    }


def _tidy_node(raw: Any) -> Node:
    if not isinstance(raw, dict) or not _ID.fullmatch(str(raw.get("id", ""))):
        raise InvalidError(_("A node has no id"), code="graph")
    if (kind := KINDS.get(str(raw.get("kind")))) is None:
        text = _("Unknown kind of node: %(kind)s") % {"kind": plain(str(raw.get("kind")))[:40]}
        raise InvalidError(text, code="graph")
    node: Node = {
        "id": str(raw["id"]),
        "kind": kind.key,
        "x": _place(raw.get("x")),
        "y": _place(raw.get("y")),
    }
    title = raw.get("title")
    node["title"] = plain(title)[:MAX_TITLE] if isinstance(title, str) else ""
    return node | _with_defaults(kind.params, raw, node["id"])


def _with_defaults(params: Sequence[Param], raw: Mapping[str, Any], node_id: str = "") -> dict[str, Any]:
    found = {}
    for param in params:
        value = raw_values.storable(raw.get(param.name))
        if value == "" and not param.default:
            value = None
        if value is None and param.default is not None:
            value = list(param.default) if isinstance(param.default, tuple) else param.default
        if value is not None and (wrong := raw_values.wrong(value, param.of)):
            text = _("“%(field)s” is no %(what)s") % {"field": param.label, "what": wrong}
            raise InvalidError(text, code="graph", problems=[problem(node_id, param.name, text)])
        found[param.name] = raw_values.rows(value, param.of) if value else value
    return found


def _place(value: Any) -> int:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= MAX_PLACE
    return round(value) if is_number else 0


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


# ---- checks


def validate(graph: Graph, checks: Checks | None = None) -> list[Problem]:
    """Everything that keeps a graph from being published, each at its node and field."""
    return read(graph, checks)[1]


def read(graph: Graph, checks: Checks | None = None) -> tuple[Graph, list[Problem]]:
    """A tidy graph with clean values, and what is wrong with it.

    Args:
        checks: what the brand knows, by `Param.of`; without one the value stands as it is.
    """
    checks, wrong, nodes = checks or {}, [], []
    for node in graph["nodes"]:
        clean, found = _read_params(KINDS[node["kind"]].params, node, checks, node["id"])
        base = {name: node[name] for name in ("id", "kind", "x", "y", "title")}
        wrong += found + _of_kind(base | clean)
        nodes.append(base | clean)
    settings, found = _read_params(SETTINGS, graph["settings"], checks, "")
    if settings.get("hours") and settings.get("hours_from") == settings.get("hours_until"):
        found.append(problem("", "hours_until", _("The times are the same")))
    clean_graph = {"nodes": nodes, "edges": graph["edges"], "settings": settings}
    return clean_graph, wrong + found + _of_edges(clean_graph)


def _read_params(
    params: Sequence[Param], raw: Mapping[str, Any], checks: Checks, node_id: str
) -> tuple[dict[str, Any], list[Problem]]:
    clean: dict[str, Any] = {}
    wrong: list[Problem] = []
    for param in params:
        if not param.holds_for(raw):
            continue
        value = raw.get(param.name)
        if value in (None, "", [], {}):
            if param.needed:
                wrong.append(problem(node_id, param.name, _("%(name)s is missing") % {"name": param.label}))
            clean[param.name] = [] if isinstance(param.default, tuple) else value
            continue
        value, message = READERS[param.of](value, param) if param.of in READERS else (value, "")
        if not message and param.of in checks:
            value, message = checks[param.of](value, dict(raw))
        clean[param.name] = value
        if message:
            wrong.append(problem(node_id, param.name, message))
        elif param.of in (kinds.CASES, kinds.EVENTS):
            wrong += _inside(value, param, checks, node_id)
    return clean, wrong


def _inside(rows: list[dict[str, Any]], param: Param, checks: Checks, node_id: str) -> list[Problem]:
    """Conditions and filters inside of cases, goals and exits; cleaned in place."""
    wrong = []
    for n, row in enumerate(rows):
        for name in (kinds.EVENT, kinds.CONDITION, kinds.FILTERS):
            if row.get(name) and name in checks:
                row[name], message = checks[name](row[name], row)
                if message:
                    wrong.append(problem(node_id, f"{param.name}.{n}.{name}", message))
    return wrong


def _of_kind(node: Node) -> list[Problem]:
    """What no single parameter can tell."""
    kind, found = node["kind"], []
    if kind in ("touch", "moments") and not (
        node.get("text", "").strip() or node.get("attachments") or node.get("content_id")
    ):
        found.append(
            problem(node["id"], "text", _("Write a text, add an attachment or choose from the library"))
        )
    if kind == "tag":
        on, off = node.get("add_tag_ids") or [], node.get("remove_tag_ids") or []
        if not on and not off:
            found.append(problem(node["id"], "add_tag_ids", _("Choose a tag")))
        if set(on) & set(off):
            found.append(problem(node["id"], "remove_tag_ids", _("The same tag is put on and taken off")))
    return found


def _of_edges(graph: Graph) -> list[Problem]:
    nodes = {node["id"]: node for node in graph["nodes"]}
    ways: dict[str, dict[str, str]] = {node_id: {} for node_id in nodes}
    found: list[Problem] = []
    for edge in graph["edges"]:
        if edge["out"] in outs_of(nodes[edge["from"]]):
            ways[edge["from"]][edge["out"]] = edge["to"]
        if nodes[edge["to"]]["kind"] == "entry":
            found.append(problem(edge["to"], "", _("Nothing can lead into an entry")))
    entries = [node["id"] for node in graph["nodes"] if node["kind"] == "entry"]
    if not entries:
        found.append(problem("", "", _("An entry is needed")))
    if len(graph["nodes"]) == len(entries):
        found.append(problem("", "", _("Nothing happens after the entry")))
    for node in graph["nodes"]:
        for out in outs_of(node):
            if out not in ways[node["id"]]:
                text = (
                    _("Leads nowhere")
                    if out == "next"
                    else _("The way “%(out)s” leads nowhere") % {"out": way_name(node, out)}
                )
                found.append(problem(node["id"], "", text))
    found += [problem(n, "", _("No path leads here")) for n in _cut_off(entries, ways)]
    found += [
        problem(n, "", _("The way comes back here without a wait in between")) for n in _circle(nodes, ways)
    ]
    return found


def way_name(node: Mapping[str, Any], out: str) -> str:
    """A way out as people call it."""
    parts = (node.get("cases") or []) if node["kind"] == "branch" else (node.get("shares") or [])
    for part in parts if node["kind"] in ("branch", "split") else []:
        if isinstance(part, dict) and part.get("key") == out and part.get("title"):
            return str(part["title"])
    fixed = {
        "next": _("next"),
        "timeout": _("time is over"),
        "yes": _("yes"),
        "no": _("no"),
        "else": _("else"),
    }
    return str(fixed.get(out, out))


def _cut_off(entries: Iterable[str], ways: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Where what nobody can reach begins: what follows there is mended with it. Of a circle any one of its nodes."""
    reached = _reached(entries, ways)
    lost = [node_id for node_id in ways if node_id not in reached]
    led = {to for node_id in lost for to in ways[node_id].values()}
    heads = [node_id for node_id in lost if node_id not in led]
    below = _reached(heads, ways)
    for node_id in lost:
        if node_id not in below:
            heads.append(node_id)
            below |= _reached([node_id], ways)
    return heads


def _reached(entries: Iterable[str], ways: Mapping[str, Mapping[str, str]]) -> set[str]:
    reached, todo = set(entries), list(entries)
    while todo:
        for to in ways[todo.pop()].values():
            if to not in reached:
                reached.add(to)
                todo.append(to)
    return reached


def before_messages(graph: Graph) -> set[str]:
    """Nodes at which people stand and from which one move, without a pause between, may bring them to a message; a message
    itself counts: business hours hold people at it. Of a wait for an event the way is that of its time-out."""
    nodes = {node["id"]: node for node in graph["nodes"]}
    ways: dict[str, list[str]] = defaultdict(list)
    for edge in graph["edges"]:
        start = nodes[edge["from"]]
        if start["kind"] != "wait" or edge["out"] == outs_of(start)[-1]:
            ways[edge["to"]].append(edge["from"])
    found = {node_id for node_id, node in nodes.items() if node["kind"] in MESSAGES}
    open_ids = list(found)
    while open_ids:
        for node_id in ways[open_ids.pop()]:
            if node_id not in found:
                found.add(node_id)
                if nodes[node_id]["kind"] != "wait":
                    open_ids.append(node_id)
    return found


def is_pause(node: Mapping[str, Any]) -> bool:
    """Whether time passes here each time somebody comes by; a date or a day after coming in may be over."""
    return node["kind"] == "wait" and node.get("mode") in ("for", "time", "event")


def _circle(nodes: Mapping[str, Node], ways: Mapping[str, Mapping[str, str]]) -> list[str]:
    """A node that is come back to without a pause, if there is one."""
    state: dict[str, int] = {}  # 1: on the way, 2: safe
    for start in nodes:
        stack: list[tuple[str, list[str]]] = [(start, [])]
        if start in state or is_pause(nodes[start]):
            continue
        state[start], stack = 1, [(start, list(ways[start].values()))]
        while stack:
            node_id, rest = stack[-1]
            if not rest:
                state[node_id] = 2
                stack.pop()
                continue
            to = rest.pop()
            if is_pause(nodes[to]) or state.get(to) == 2:
                continue
            if state.get(to) == 1:
                return [to]
            state[to] = 1
            stack.append((to, list(ways[to].values())))
    return []


# ---- readers of plain values: (clean value, message)


def _text(value: Any, param: Param) -> tuple[Any, str]:
    text = str(value).strip()
    return text, _("At most %(n)s characters") % {"n": param.most} if len(text) > param.most else ""


def _int(value: Any, param: Param) -> tuple[Any, str]:
    message = _("Between %(least)s and %(most)s") % {"least": param.least, "most": param.most}
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        return value, message
    good = param.least <= number <= param.most and number == float(value) and not isinstance(value, bool)
    return (number, "") if good else (value, message)


def _bool(value: Any, param: Param) -> tuple[Any, str]:
    return value, "" if isinstance(value, bool) else _("Yes or no")


def _choice(value: Any, param: Param) -> tuple[Any, str]:
    return value, "" if value in {key for key, _label in param.choices} else _("Choose one of the list")


def _time(value: Any, param: Param) -> tuple[Any, str]:
    try:
        return time.fromisoformat(str(value)).strftime("%H:%M"), ""
    except ValueError:
        return value, _("A time like 10:00")


def _date(value: Any, param: Param) -> tuple[Any, str]:
    try:
        return date.fromisoformat(str(value)).isoformat(), ""
    except ValueError:
        return value, _("A date like 2026-12-31")


def _weekdays(value: Any, param: Param) -> tuple[Any, str]:
    good = isinstance(value, list) and all(
        isinstance(n, int) and not isinstance(n, bool) and 1 <= n <= 7 for n in value
    )
    return (sorted(set(value)), "") if good else (value, _("Days from 1 (Monday) to 7"))


def _parts(value: Any) -> list[dict[str, Any]] | None:
    if not isinstance(value, list) or not all(isinstance(part, dict) for part in value):
        return None
    keys = [str(part.get("key", "")) for part in value]
    if len(set(keys)) < len(keys) or not all(_KEY.fullmatch(k) and k != "else" for k in keys):
        return None
    return [
        part | {"key": str(part["key"]), "title": str(part.get("title") or "")[:MAX_TITLE]} for part in value
    ]


def _cases(value: Any, param: Param) -> tuple[Any, str]:
    parts = _parts(value)
    if parts is None or len(parts) > MAX_PARTS:
        return value, _("1 to %(n)s cases") % {"n": MAX_PARTS}
    if not all(part.get("condition") for part in parts):
        return value, _("Each case needs its condition")
    return parts, ""


def _shares(value: Any, param: Param) -> tuple[Any, str]:
    parts = _parts(value)
    if parts is None or not 2 <= len(parts) <= MAX_PARTS:
        return value, _("2 to %(n)s shares") % {"n": MAX_PARTS}
    numbers = [part.get("percent") for part in parts]
    if not all(isinstance(n, int) and not isinstance(n, bool) and 0 < n < 100 for n in numbers):
        return value, _("Each share is a whole number of per cent")
    return parts, "" if sum(int(n or 0) for n in numbers) == 100 else _("The shares must make 100 per cent")


def _events(value: Any, param: Param) -> tuple[Any, str]:
    """Goals and exits: rows {"event", "filters"} or {"condition"}."""
    if not isinstance(value, list) or len(value) > MAX_PARTS or not all(isinstance(v, dict) for v in value):
        return value, _("At most %(n)s") % {"n": MAX_PARTS}
    rows = [{key: row[key] for key in ("event", "filters", "condition") if row.get(key)} for row in value]
    if not all(bool(row.get("event")) != bool(row.get("condition")) for row in rows):
        return value, _("Each one is an event or a condition")
    return rows, ""


READERS: dict[str, Callable[[Any, Param], tuple[Any, str]]] = {
    kinds.TEXT: _text,
    kinds.LONG: _text,
    kinds.INT: _int,
    kinds.BOOL: _bool,
    kinds.CHOICE: _choice,
    kinds.TIME: _time,
    kinds.DATE: _date,
    kinds.WEEKDAYS: _weekdays,
    kinds.CASES: _cases,
    kinds.SHARES: _shares,
    kinds.EVENTS: _events,
}
