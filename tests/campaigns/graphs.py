"""Small graphs for tests: `graph(entry(), wait(n=1), touch("a"))` is a line of nodes n1, n2, n3 with an end."""

from itertools import pairwise
from typing import Any

from campaigns import graph as graphs


def entry(by: str = "hand", **over: Any) -> dict[str, Any]:
    return {"kind": "entry", "by": by, **over}


def wait(mode: str = "for", **over: Any) -> dict[str, Any]:
    return {"kind": "wait", "mode": mode, **over}


def touch(text: str, **over: Any) -> dict[str, Any]:
    return {"kind": "touch", "text": text, **over}


def end() -> dict[str, Any]:
    return {"kind": "end"}


def line(*nodes: dict[str, Any], **settings: Any) -> dict[str, Any]:
    """A tidy graph of nodes n1, n2 … one after the other, with an end behind them."""
    rows = [{"id": f"n{i}", **node} for i, node in enumerate((*nodes, end()), 1)]
    edges = [
        {"from": a["id"], "out": out, "to": b["id"]} for a, b in pairwise(rows) for out in graphs.outs_of(a)
    ]
    return graphs.tidy({"nodes": rows, "edges": edges, "settings": settings})


def rewired(
    graph: dict[str, Any], *edges: tuple[str, str, str], more: tuple[dict[str, Any], ...] = ()
) -> Any:
    """The graph with more nodes and with ways (from, out, to) in the place of those that were there."""
    given = {(start, out): to for start, out, to in edges}
    kept = [e for e in graph["edges"] if (e["from"], e["out"]) not in given]
    return graphs.tidy(
        {
            "nodes": [*graph["nodes"], *more],
            "edges": kept + [{"from": s, "out": o, "to": t} for (s, o), t in given.items()],
            "settings": graph["settings"],
        }
    )
