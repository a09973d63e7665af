"""What may be published and will not do what is meant: nodes that ask who has opened a message, after messages of which nobody
is ever seen to open one because they have no tracked link. Broadcasts say the same of their waves (launch_checks.py)."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from django.utils.translation import gettext as _

from campaigns.graph import words
from campaigns.graph.kinds import MESSAGES
from campaigns.graph.shape import Graph, Node, Problem, problem
from content.services import library, links
from scrm.errors import SCRMError
from tagging.conditions import leaves
from tenants.models import Brand

OPENED = "content_opened"  # of tagging.rule_events
LINKED = (*MESSAGES, "moments")  # kinds whose links are followed


def warnings(brand: Brand, graph: Graph, sop_id: int | None = None) -> list[Problem]:
    """Rows {node, field, message} as those of graphs.validate, of a tidy graph; nothing is looked up unless a node asks.

    Args:
        sop_id: whose graph it is, where a condition may name it.
    """
    asking = [(node, field) for node in graph["nodes"] for field in _asking(node, sop_id)]
    if not asking:
        return []
    nodes = {node["id"]: node for node in graph["nodes"]}
    before = _before(graph, {node["id"] for node, _field in asking})
    text = _("No message before it has a tracked link: nobody is ever seen to have opened one.")
    seen: dict[str, bool] = {}
    found = []
    for node, field in asking:
        sent = [nodes[pk] for pk in sorted(before[node["id"]]) if nodes[pk]["kind"] in LINKED]
        if any(one["kind"] in MESSAGES for one in sent) and not any(
            _is_seen(brand, one, seen) for one in sent
        ):
            found.append(problem(node["id"], field, text))
    return found


def in_words(brand: Brand, graph: Graph, sop_id: int | None = None) -> list[str]:
    """The same as sentences that name their node."""
    nodes = {node["id"]: node for node in graph["nodes"]}
    return [
        _("%(name)s: %(text)s") % {"name": words.name_of(nodes[row["node"]]), "text": row["message"]}
        for row in warnings(brand, graph, sop_id)
    ]


def _asking(node: Node, sop_id: int | None) -> Iterator[str]:
    """Fields of a node that ask who has opened something, whichever it is."""
    if node["kind"] == "wait" and node.get("mode") == "event":
        if node.get("event") == OPENED and not node.get("filters"):
            yield "event"
    elif node["kind"] == "branch":
        if node.get("mode") == "cases":
            cases = node.get("cases")
            for n, case in enumerate(cases if isinstance(cases, list) else ()):
                if isinstance(case, dict) and _asks(case.get("condition"), sop_id):
                    yield f"cases.{n}.condition"
        elif _asks(node.get("condition"), sop_id):
            yield "condition"


def _asks(condition: Any, sop_id: int | None) -> bool:
    try:
        return any(_is_opening(leaf, sop_id) for leaf in leaves(condition or {}))
    except (AttributeError, TypeError):  # not a condition: said by the checks
        return False


def _is_opening(leaf: Any, sop_id: int | None) -> bool:
    if leaf["kind"] == "event":
        return leaf.get("event") == OPENED and not any(
            value for name, value in leaf.items() if name.endswith("_ids")
        )
    if leaf["kind"] != "touch" or leaf.get("result") not in ("opened", "not_opened"):
        return False
    sops, others = leaf.get("sop_ids") or [], leaf.get("broadcast_ids") or []
    return "sop" in (leaf.get("kinds") or ["sop"]) and (sop_id in sops if sops or others else True)


def _before(graph: Graph, node_ids: Iterable[str]) -> dict[str, set[str]]:
    """{node: all nodes from which a way leads to it}, of some nodes."""
    into: dict[str, set[str]] = defaultdict(set)
    for edge in graph["edges"]:
        into[edge["to"]].add(edge["from"])
    found: dict[str, set[str]] = {}
    for node_id in node_ids:
        seen: set[str] = set()
        left = [node_id]
        while left:
            new = into[left.pop()] - seen
            seen |= new
            left += new
        found[node_id] = seen
    return found


def _is_seen(brand: Brand, node: Node, seen: dict[str, bool]) -> bool:
    """Whether it is known who opens what a node sends; what cannot be read is left to the checks."""
    if node["id"] not in seen:
        try:
            text, attached = node.get("text") or "", node.get("attachments") or []
            if node.get("content_id"):
                usable = library.usable(brand, node["content_id"])
                text, attached = usable.text, usable.attachments
            seen[node["id"]] = links.names_openers(text, attached)
        except (SCRMError, AttributeError, KeyError, TypeError, ValueError):
            seen[node["id"]] = True
    return seen[node["id"]]
