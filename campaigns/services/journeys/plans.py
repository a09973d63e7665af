"""A version as the engine needs it: nodes by id, where each way leads, the rows that messages are written under."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from campaigns.graph import words
from campaigns.graph.shape import Graph, Node
from campaigns.models import Enrolment, SopStep, SopVersion


@dataclass
class Plan:
    """One version, compiled.

    Attributes:
        place: {node: its place from the entries on}; sets are worked on in this order, so that people meet.
        steps: {node: row of SopStep} of messages.
    """

    version_id: int
    sop_id: int
    graph: Graph
    steps: dict[str, SopStep] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.nodes: dict[str, Node] = {node["id"]: node for node in self.graph["nodes"]}
        self.ways = {(edge["from"], edge["out"]): edge["to"] for edge in self.graph["edges"]}
        self.place = {node_id: n for n, node_id in enumerate(words.order(self.graph))}

    @property
    def settings(self) -> dict[str, Any]:
        return self.graph["settings"]

    def entries(self, by: str | None = None) -> list[Node]:
        return [n for n in self.graph["nodes"] if n["kind"] == "entry" and (by is None or n["by"] == by)]

    def entry_for_hand(self) -> Node:
        """Where people come in who are put in by hand, by a list or by a channel code that names the SOP."""
        return (self.entries("hand") or self.entries())[0]

    def waits_for_events(self) -> list[Node]:
        return [n for n in self.graph["nodes"] if n["kind"] == "wait" and n["mode"] == "event"]


def load(version_ids: Iterable[int]) -> dict[int, Plan]:
    """{version: its plan}; two queries."""
    plans = {
        version.pk: Plan(version.pk, version.sop_id, version.graph)
        for version in SopVersion.objects.filter(pk__in=set(version_ids))
    }
    for step in SopStep.objects.filter(version__in=plans):
        plans[step.version_id or 0].steps[step.node] = step
    return plans


def places(rows: Iterable[Enrolment], say: words.Say = words.say_plainly) -> dict[int, str]:
    """{enrolment: the node at which the person stands, in words}, of those in graphs; two queries and those of `say`."""
    rows = [row for row in rows if row.version_id]
    found = load({row.version_id for row in rows if row.version_id}) if rows else {}
    names = {}
    for row in rows:
        if (plan := found.get(row.version_id or 0)) and row.node in plan.nodes:
            names[row.pk] = words.place_of(plan.nodes[row.node], say)
    return names
