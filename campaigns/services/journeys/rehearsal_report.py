"""The result of a rehearsal as JSON: calendar, refusals with their reasons, load of the guides, people at each node."""

from collections import Counter, defaultdict
from datetime import date, datetime
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from campaigns.graph.shape import Graph
from campaigns.graph.words import name_of, order
from campaigns.models import Touch
from campaigns.services.calendar import calendar
from campaigns.services.journeys import rehearsal_load
from campaigns.services.journeys.rehearsal import Totals
from campaigns.services.journeys.rehearsal_load import MESSAGE, TASK, Wanted
from tenants.models import Brand

TOP_GUIDES = 50


def report(
    brand: Brand,
    graph: Graph,
    totals: Totals,
    since: datetime,
    until: datetime,
    n_people: int,
    notes: list[str],
    sop_id: int = 0,
) -> dict[str, Any]:
    """
    {"since", "until", "n_people", "n_in", "n_waiting", "ends": {end: n}, "n_touches", "n_blocked", "n_gives_way", "n_tasks",
     "calendar": [{"on", "touches", "blocked", "tasks", "guides", "most"}],
     "blocks": [{"node", "title", "reason", "label", "n"}],
     "nodes": [{"node", "kind", "title", "in", "outs": {way: n}, "waiting", "touched", "blocked"}],
     "guides": [{"staff_id", "name", "touches", "tasks", "days", "most", "most_on"}], "workload": rehearsal_load.report,
     "notes": [text]}

    `n_gives_way`: planned messages of campaigns of lower priority that would be taken back. `most` is the work of the busiest
    guide on a day: send tasks to confirm and tasks to do.
    """
    nodes = {node["id"]: node for node in graph["nodes"]}
    touched, blocked = Counter[str](), Counter[str]()
    by_reason: Counter[tuple[str, int]] = Counter()
    for (node, _day), n in totals.sent.items():
        touched[node] += n
    for (node, reason, _day), n in totals.held.items():
        blocked[node] += n
        by_reason[node, reason] += n
    rows = []
    for node_id in order(graph):
        ways = {way: n for (node, way), n in totals.flows.items() if node == node_id}
        n_in = ways.pop("in", 0)
        rows.append(
            {
                "node": node_id,
                "kind": nodes[node_id]["kind"],
                "title": name_of(nodes[node_id]),
                "in": n_in,
                "outs": ways,
                "waiting": n_in - sum(ways.values()),
                "touched": touched[node_id],
                "blocked": blocked[node_id],
            }
        )
    if totals.is_cut:
        notes = [*notes, _("A loop goes round too often; it was cut off.")]
    if n := sum(totals.taken.values()):
        words = ngettext(
            "%(n)s planned message of a campaign of lower priority would have given way to it.",
            "%(n)s planned messages of campaigns of lower priority would have given way to it.",
            n,
        )
        notes = [*notes, words % {"n": f"{n:,}"}]
    return {
        "since": since.isoformat(),
        "until": until.isoformat(),
        "n_people": n_people,
        "n_in": sum(row["in"] for row in rows if row["kind"] == "entry"),
        "n_waiting": sum(row["waiting"] for row in rows),
        "ends": dict(totals.ends),
        "n_touches": sum(touched.values()),
        "n_blocked": sum(blocked.values()),
        "n_gives_way": sum(totals.taken.values()),
        "n_tasks": sum(totals.tasks.values()),
        "calendar": _calendar(totals, nodes),
        "blocks": [
            {
                "node": node,
                "title": name_of(nodes[node]),
                "reason": Touch.Reason(reason).name.lower(),
                "label": str(Touch.Reason(reason).label),
                "n": n,
            }
            for (node, reason), n in by_reason.most_common()
        ],
        "nodes": rows,
        "guides": _guides(totals, nodes),
        "workload": rehearsal_load.report(brand, sop_id, _wanted(totals, graph)),
        "notes": [
            *notes,
            _(
                "Conditions, tags, wishes and guides are those of today; people, events and other touches are real."
            ),
        ],
    }


def _work(totals: Totals, nodes: dict[str, Any]) -> dict[tuple[int, int], int]:
    """{(guide, day): things to do}: a message to many is one thing to confirm, a task is one for each customer."""
    work: dict[tuple[int, int], int] = defaultdict(int)
    for (guide, day, node), n in totals.guides.items():
        work[guide, day] += n if nodes[node]["kind"] == "task" else -(-n // 1_000)
    return work


def _wanted(totals: Totals, graph: Graph) -> dict[tuple[int, int], list[Wanted]]:
    """What nodes want of each guide and day, in the order of the nodes."""
    place = {node: n for n, node in enumerate(order(graph))}
    kinds = {node["id"]: TASK if node["kind"] == "task" else MESSAGE for node in graph["nodes"]}
    found: dict[tuple[int, int], list[Wanted]] = defaultdict(list)
    for (guide, day, node), n in sorted(totals.guides.items(), key=lambda row: place[row[0][2]]):
        if guide > 0:  # of people who have no guide any more nobody's day is filled
            found[guide, day].append(Wanted(kinds[node], n))
    return found


def _calendar(totals: Totals, nodes: dict[str, Any]) -> list[dict[str, Any]]:
    days: dict[int, dict[str, Any]] = defaultdict(
        lambda: {"touches": 0, "blocked": 0, "tasks": 0, "guides": 0, "most": 0}
    )
    for (_node, day), n in totals.sent.items():
        days[day]["touches"] += n
    for (_node, _reason, day), n in totals.held.items():
        days[day]["blocked"] += n
    for (_node, day), n in totals.tasks.items():
        days[day]["tasks"] += n
    for (_guide, day), n in _work(totals, nodes).items():
        days[day]["guides"] += 1
        days[day]["most"] = max(days[day]["most"], n)
    return [{"on": date.fromordinal(day).isoformat(), **days[day]} for day in sorted(days)]


def _guides(totals: Totals, nodes: dict[str, Any]) -> list[dict[str, Any]]:
    found: dict[int, dict[str, Any]] = defaultdict(
        lambda: {"touches": 0, "tasks": 0, "days": 0, "most": 0, "most_on": ""}
    )
    for (guide, _day, node), n in totals.guides.items():
        found[guide]["tasks" if nodes[node]["kind"] == "task" else "touches"] += n
    for (guide, day), n in _work(totals, nodes).items():
        row = found[guide]
        row["days"] += 1
        if n > row["most"]:
            row["most"], row["most_on"] = n, date.fromordinal(day).isoformat()
    found.pop(0, None)  # of people who have no guide any more
    top = sorted(found.items(), key=lambda item: (-item[1]["touches"] - item[1]["tasks"], item[0]))[
        :TOP_GUIDES
    ]
    names = calendar.names_of([guide for guide, _row in top])
    return [{"staff_id": guide, "name": names.get(guide, "—"), **row} for guide, row in top]
