"""A graph in words, and what differs between two of them."""

from collections.abc import Callable, Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from campaigns.graph import kinds
from campaigns.graph.kinds import KINDS, SETTINGS, Param
from campaigns.graph.shape import Graph, Node, outs_of, way_name

# What a value is called: (Param.of, value) → words. Without names, ids stand for themselves.
Say = Callable[[str, Any], str]
EXCERPT = 40


def say_plainly(of: str, value: Any) -> str:
    """Names of nothing: for whoever has none."""
    if of in (kinds.TAGS, kinds.CODES) and isinstance(value, list):
        return _(", ").join(f"#{n}" for n in value)
    if of == kinds.CONDITION:
        return _("a condition")
    return str(value)


def name_of(node: Mapping[str, Any]) -> str:
    """The title of a node, or its kind."""
    return node.get("title") or str(KINDS[node["kind"]].label)


def place_of(node: Node, say: Say = say_plainly) -> str:
    """A node where people stand: its title, or what it does, because most waits have no title of their own."""
    return node["title"] or describe(node, say)


def describe(node: Node, say: Say = say_plainly) -> str:
    """One node in a sentence."""
    return _SENTENCES[node["kind"]](node, say)


def summary(graph: Graph, say: Say = say_plainly) -> list[str]:
    """The whole graph, a sentence for each node in the order in which people come through."""
    nodes = {node["id"]: node for node in graph["nodes"]}
    names = {node_id: name_of(node) for node_id, node in nodes.items()}
    lines = []
    for node_id in order(graph):
        node = nodes[node_id]
        ways = [
            f"{way_name(node, edge['out'])} → {names[edge['to']]}"
            for out in outs_of(node)
            for edge in graph["edges"]
            if edge["from"] == node_id and edge["out"] == out and (len(outs_of(node)) > 1)
        ]
        line = (
            _("%(name)s: %(text)s") % {"name": names[node_id], "text": describe(node, say)}
            if names[node_id] != str(KINDS[node["kind"]].label)
            else describe(node, say)
        )
        lines.append(line + (f" ({'; '.join(ways)})" if ways else ""))
    return lines


def order(graph: Graph) -> list[str]:
    """Ids of the nodes from the entries on, breadth first; those that nothing leads to at the end."""
    nodes = {node["id"]: node for node in graph["nodes"]}
    after: dict[str, list[str]] = {node_id: [] for node_id in nodes}
    for node_id, node in nodes.items():
        for out in outs_of(node):
            after[node_id] += [e["to"] for e in graph["edges"] if (e["from"], e["out"]) == (node_id, out)]
    found = [node_id for node_id, node in nodes.items() if node["kind"] == "entry"]
    seen = set(found)
    for node_id in found:  # grows while it is gone through
        for to in after[node_id]:
            if to not in seen:
                seen.add(to)
                found.append(to)
    return found + [node_id for node_id in nodes if node_id not in seen]


# ---- sentences


def _number(value: Any) -> int:
    """Of a draft, in which anything may stand."""
    try:
        return int(value or 0)
    except (TypeError, ValueError):
        return 0


def _duration(node: Node) -> str:
    n = _number(node.get("n"))
    match node.get("unit"):
        case "minutes":
            return ngettext("%(n)s minute", "%(n)s minutes", n) % {"n": n}
        case "hours":
            return ngettext("%(n)s hour", "%(n)s hours", n) % {"n": n}
    return ngettext("%(n)s day", "%(n)s days", n) % {"n": n}


def _happening(row: Mapping[str, Any], say: Say) -> str:
    text = say(kinds.EVENT, row.get("event"))
    return f"{text} ({_filters(row, say)})" if row.get("filters") else text


def _filters(row: Mapping[str, Any], say: Say) -> str:
    return say(kinds.FILTERS, _with_event(row, row["filters"]))


def _with_event(row: Mapping[str, Any], filters: Any) -> Any:
    """What the numbers of a filter stand for hangs on the event."""
    return {**filters, "event": row.get("event")} if isinstance(filters, dict) and filters else filters


def _entry(node: Node, say: Say) -> str:
    match node.get("by"):
        case "event":
            text = _("Comes in when: %(what)s") % {"what": _happening(node, say)}
        case "segment":
            text = _("Comes in with segment “%(name)s”") % {
                "name": say(kinds.SEGMENT, node["segment_id"]) if node.get("segment_id") else _("not set yet")
            }
        case "date":
            days = _number(node.get("offset_days"))
            name = say(kinds.DATE_FIELD, node.get("date_field"))
            if days > 0:
                text = _("Comes in %(n)s days after %(date)s") % {"n": days, "date": name}
            elif days < 0:
                text = _("Comes in %(n)s days before %(date)s") % {"n": -days, "date": name}
            else:
                text = _("Comes in on %(date)s") % {"date": name}
            text += f" {node.get('time', '')}"
        case "code":
            text = _("Comes in through: %(codes)s") % {"codes": say(kinds.CODES, node.get("code_ids"))}
        case _:
            text = _("Is put in by hand")
    if node.get("condition"):
        text += _(", if %(condition)s") % {"condition": say(kinds.CONDITION, node["condition"])}
    return text


def _wait(node: Node, say: Say) -> str:
    match node.get("mode"):
        case "time":
            days = say(kinds.WEEKDAYS, node["weekdays"]) if node.get("weekdays") else ""
            return _("Wait until %(time)s") % {"time": f"{days} {node.get('time')}".strip()}
        case "day":
            return _("Wait until day %(day)s, %(time)s") % {"day": node.get("day"), "time": node.get("time")}
        case "date":
            return _("Wait until %(time)s") % {"time": f"{node.get('date')} {node.get('time')}"}
        case "event":
            what = {"what": _happening(node, say), "time": _duration(node)}
            return _("Wait until: %(what)s, at most %(time)s") % what
    text = _("Wait %(time)s") % {"time": _duration(node)}
    return text + (_(", then until %(time)s") % {"time": node["then"]} if node.get("then") else "")


def _branch(node: Node, say: Say) -> str:
    if node.get("mode") == "cases":
        cases = [
            _("%(name)s: %(text)s")
            % {"name": way_name(node, case["key"]), "text": say(kinds.CONDITION, case.get("condition"))}
            for case in node.get("cases") or []
        ]
        return _("Branch: %(cases)s") % {"cases": "; ".join(cases)}
    return _("Branch: %(condition)s?") % {"condition": say(kinds.CONDITION, node.get("condition"))}


def _split(node: Node, say: Say) -> str:
    shares = [f"{way_name(node, s['key'])} {s.get('percent')}%" for s in node.get("shares") or []]
    return _("Split by chance: %(shares)s") % {"shares": ", ".join(shares)}


def _content(node: Node, say: Say) -> str:
    if node.get("content_id"):
        return say(kinds.CONTENT, node["content_id"])
    text = " ".join(str(node.get("text") or "").split())
    n = len(node.get("attachments") or [])
    shown = f"“{text[:EXCERPT]}{'…' if len(text) > EXCERPT else ''}”" if text else ""
    more = ngettext("%(n)s attachment", "%(n)s attachments", n) % {"n": n} if n else ""
    return " + ".join(part for part in (shown, more) if part) or _("not set yet")


def _tag(node: Node, say: Say) -> str:
    parts = []
    if node.get("add_tag_ids"):
        parts.append(_("put on %(tags)s") % {"tags": say(kinds.TAGS, node["add_tag_ids"])})
    if node.get("remove_tag_ids"):
        parts.append(_("take off %(tags)s") % {"tags": say(kinds.TAGS, node["remove_tag_ids"])})
    return _("Tags: %(what)s") % {"what": "; ".join(parts)}


def _given(of: str, value: Any, say: Say) -> str:
    return _("not set yet") if value in (None, "") else say(of, value)


def _slot(node: Node, say: Say) -> str:
    return str(KINDS[node["kind"]].label)


_SENTENCES: dict[str, Callable[[Node, Say], str]] = {
    "entry": _entry,
    "wait": _wait,
    "branch": _branch,
    "split": _split,
    "touch": lambda node, say: _("Message: %(what)s") % {"what": _content(node, say)},
    "moments": lambda node, say: _("Moments: %(what)s") % {"what": _content(node, say)},
    "task": lambda node, say: (
        _("Task for the guide: %(what)s, within %(n)s hours")
        % {"what": node.get("subject") or _("not set yet"), "n": node.get("due_hours")}
    ),
    "coupon": _slot,
    "group": lambda node, say: (
        _("Invite by the group code %(name)s")
        % {"name": _given(kinds.GROUP_CODE, node.get("group_code_id"), say)}
    ),
    "tag": _tag,
    "field": lambda node, say: (
        _("Set %(field)s to “%(value)s”")
        % {
            "field": _given(kinds.FIELD, node.get("field"), say),
            "value": _given(kinds.TEXT, node.get("value"), say),
        }
    ),
    "hook": lambda node, say: _("Web hook %(url)s") % {"url": _given(kinds.TEXT, node.get("url"), say)},
    "end": _slot,
}


# ---- differences


def differences(old: Graph, new: Graph, say: Say = say_plainly) -> list[dict[str, str]]:
    """What is different, as rows {what, node, text}: what is added, removed, changed, way, settings. Places on the canvas
    do not count."""
    before, after = ({node["id"]: node for node in graph["nodes"]} for graph in (old, new))
    rows = [
        _row("removed", i, _("Gone: %(what)s") % {"what": describe(n, say)})
        for i, n in before.items()
        if i not in after
    ]
    rows += [
        _row("added", i, _("New: %(what)s") % {"what": describe(n, say)})
        for i, n in after.items()
        if i not in before
    ]
    for node_id, node in after.items():
        if (was := before.get(node_id)) is not None:
            rows += [_row("changed", node_id, text) for text in _changes(was, node, say)]
    rows += _ways(old, new, before, after)
    rows += [
        _row("settings", "", text) for text in _param_changes(SETTINGS, old["settings"], new["settings"], say)
    ]
    return rows


def _row(what: str, node: str, text: str) -> dict[str, str]:
    return {"what": what, "node": node, "text": text}


def _changes(was: Node, now: Node, say: Say) -> list[str]:
    if was["kind"] != now["kind"]:
        return [f"{describe(was, say)} → {describe(now, say)}"]
    found = _param_changes(KINDS[now["kind"]].params, was, now, say)
    if was["title"] != now["title"]:
        found.append(_("Title: %(old)s → %(new)s") % {"old": was["title"] or "—", "new": now["title"] or "—"})
    return [_("%(name)s: %(text)s") % {"name": name_of(now), "text": text} for text in found]


def _param_changes(params: tuple[Param, ...], was: Mapping, now: Mapping, say: Say) -> list[str]:
    found = []
    for param in params:
        old = was.get(param.name) if param.holds_for(was) else None
        new = now.get(param.name) if param.holds_for(now) else None
        if (old or None) != (new or None):
            if param.of == kinds.FILTERS:
                old, new = (_with_event(row, filters) for row, filters in ((was, old), (now, new)))
            values = f"{_value(param, old, say)} → {_value(param, new, say)}"
            found.append(_("%(name)s: %(text)s") % {"name": param.label, "text": values})
    return found


def _value(param: Param, value: Any, say: Say) -> str:
    if value in (None, "", [], {}):
        return "—"
    if param.of == kinds.CHOICE:
        return str(dict(param.choices).get(value, value))
    if param.of == kinds.BOOL:
        return _("yes") if value else _("no")
    if isinstance(value, list) and param.of in _ROWS:
        return "; ".join(_ROWS[param.of](row, say) for row in value if isinstance(row, dict)) or "—"
    return say(param.of, value)


def _case(row: Mapping[str, Any], say: Say) -> str:
    name = row.get("title") or row.get("key") or ""
    return _("%(name)s: %(text)s") % {"name": name, "text": say(kinds.CONDITION, row.get("condition"))}


def _goal(row: Mapping[str, Any], say: Say) -> str:
    return _happening(row, say) if row.get("event") else say(kinds.CONDITION, row.get("condition"))


def _attachment(row: Mapping[str, Any], say: Say) -> str:
    kinds_of = {
        "link": _("Link"),
        "image": _("Image"),
        "video": _("Video"),
        "file": _("File"),
        "miniprogram": _("Mini-program"),
    }
    name = row.get("title") or row.get("url") or ""
    which = f"“{name}”" if name else f"#{row['file_id']}" if row.get("file_id") else ""
    return f"{kinds_of.get(str(row.get('type')), '?')} {which}".strip()


# what is a list: its rows, not how many they are, or a change among them would not be seen
_ROWS: dict[str, Callable[[Mapping[str, Any], Say], str]] = {
    kinds.CASES: _case,
    kinds.SHARES: lambda row, say: f"{row.get('title') or row.get('key') or ''} {row.get('percent')}%",
    kinds.EVENTS: _goal,
    kinds.ATTACHMENTS: _attachment,
}


def _ways(
    old: Graph, new: Graph, before: Mapping[str, Node], after: Mapping[str, Node]
) -> list[dict[str, str]]:
    def by_start(graph: Graph) -> dict[tuple[str, str], str]:
        return {(edge["from"], edge["out"]): edge["to"] for edge in graph["edges"]}

    was, now, rows = by_start(old), by_start(new), []
    for key in sorted(was.keys() | now.keys()):
        if was.get(key) == now.get(key) or key[0] not in before or key[0] not in after:
            continue
        names = [
            name_of(nodes[edges[key]]) if key in edges else "—"
            for edges, nodes in ((was, before), (now, after))
        ]
        text = _("%(node)s, way “%(out)s”: %(old)s → %(new)s") % {
            "node": name_of(after[key[0]]), "out": way_name(after[key[0]], key[1]), "old": names[0], "new": names[1],
        }  # fmt: skip
        rows.append(_row("way", key[0], text))
    return rows
