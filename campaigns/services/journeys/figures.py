"""The figures of a graph's nodes: people from the fold of flows, messages from send tasks and the fold of refusals."""

from dataclasses import dataclass, field

from django.db.models import Sum

from campaigns.models import NodeFlow, Sop, SopStep, Touch
from campaigns.services.journeys.flows import BUSY, IN
from campaigns.services.sops import numbers


@dataclass
class NodeNumbers:
    """One node.

    Attributes:
        n_in, n_out: people who came to it, and who left it, by way in `outs` (goal, exit, lost … are ways as well).
        n_waiting: who stands there now.
        touched, blocked, waiting_for_guide, failed, cancelled: messages of a touch; of a task blocked alone: not given.
    """

    n_in: int = 0
    n_waiting: int = 0
    outs: dict[str, int] = field(default_factory=dict)
    touched: int = 0
    waiting_for_guide: int = 0
    failed: int = 0
    cancelled: int = 0
    blocked: dict[int, int] = field(default_factory=dict)

    @property
    def n_out(self) -> int:
        return sum(self.outs.values())

    @property
    def n_blocked(self) -> int:
        return sum(self.blocked.values())


def of_nodes(sop: Sop, *, version_id: int | None = None) -> dict[str, NodeNumbers]:
    """{node: its numbers} of all versions, or of one; a constant number of queries."""
    rows = NodeFlow.objects.filter(sop_id=sop.pk).order_by()
    steps = SopStep.objects.filter(sop=sop.pk, version__isnull=False)
    if version_id is not None:
        rows, steps = rows.filter(version_id=version_id), steps.filter(version=version_id)
    found: dict[str, NodeNumbers] = {}
    for node, way, n in rows.values_list("node", "way").annotate(n=Sum("n")):
        row = found.setdefault(node, NodeNumbers())
        if way == IN:
            row.n_in = n
        elif way == BUSY:
            row.blocked[Touch.Reason.GUIDE_BUSY] = n
        else:
            row.outs[way] = n
    for row in found.values():
        row.n_waiting = max(row.n_in - row.n_out, 0)
    by_step = numbers.of_steps([sop.pk])
    for step_id, node in steps.values_list("pk", "node"):
        if step_id in by_step:
            row, of_step = found.setdefault(node, NodeNumbers()), by_step[step_id]
            row.touched += of_step.n_sent
            row.failed += of_step.n_failed
            row.cancelled += of_step.n_cancelled
            row.waiting_for_guide += of_step.n_waiting
            for reason, n in of_step.blocked.items():
                row.blocked[reason] = row.blocked.get(reason, 0) + n
    return found
