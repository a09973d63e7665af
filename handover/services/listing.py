"""What pages and API show of runs: figures of some runs, of a run by receiver."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Count, QuerySet

from handover.models import HandoverItem, HandoverRun, HandoverShare
from org.models import Staff

State = HandoverItem.State
Kind = HandoverItem.Kind
OPEN = (State.PLANNED, State.CALLING)
BAD = (State.REFUSED, State.FAILED, State.SKIPPED)
# key of the filter → states
GROUPED: dict[str, tuple[int, ...]] = {
    "waiting": (State.WAITING,),
    "open": OPEN,
    "done": (State.DONE,),
    "bad": BAD,
    "cancelled": (State.CANCELLED,),
}


@dataclass
class Figures:
    """How many customers and groups of a run are in which state."""

    customers: dict[int, int] = field(default_factory=dict)
    groups: dict[int, int] = field(default_factory=dict)

    def _n(self, states: Iterable[int]) -> int:
        return sum(self.customers.get(s, 0) + self.groups.get(s, 0) for s in states)

    @property
    def n_customers(self) -> int:
        return sum(self.customers.values())

    @property
    def n_groups(self) -> int:
        return sum(self.groups.values())

    @property
    def n_open(self) -> int:
        """Not given to WeCom yet."""
        return self._n(OPEN)

    @property
    def n_waiting(self) -> int:
        return self._n([State.WAITING])

    @property
    def n_done(self) -> int:
        return self._n([State.DONE])

    @property
    def n_bad(self) -> int:
        """Refused, not possible, or left out because WeCom would refuse."""
        return self._n(BAD)

    @property
    def n_cancelled(self) -> int:
        return self._n([State.CANCELLED])


def visible(runs: QuerySet[HandoverRun], staff: Staff) -> QuerySet[HandoverRun]:
    """Runs of members whom this person may see."""
    if staff.sees_brand:
        return runs
    return runs.filter(giver__in=Staff.objects.visible_to(staff).values("pk"))


def figures(run_ids: Iterable[int]) -> dict[int, Figures]:
    """Figures by run: one statement."""
    ids = list(run_ids)
    found = {pk: Figures() for pk in ids}
    rows = HandoverItem.objects.filter(run__in=ids).order_by().values_list("run", "kind", "state")
    for run_id, kind, state, n in rows.annotate(n=Count("pk")):
        side = found[run_id].customers if kind == Kind.CUSTOMER else found[run_id].groups
        side[state] = n
    return found


def by_receiver(run: HandoverRun) -> list[dict[str, Any]]:
    """{receiver, weight, figures} in the order of the form."""
    rows = HandoverItem.objects.filter(run=run).order_by().values_list("receiver", "kind", "state")
    found: dict[int, Figures] = {}
    for receiver_id, kind, state, n in rows.annotate(n=Count("pk")):
        mine = found.setdefault(receiver_id, Figures())
        (mine.customers if kind == Kind.CUSTOMER else mine.groups)[state] = n
    shares = run.shares.select_related("receiver__store").order_by("pk")
    return [
        {"receiver": s.receiver, "weight": s.weight, "figures": found.get(s.receiver_id, Figures())}
        for s in shares
    ]


def receivers_of(run_ids: Iterable[int]) -> dict[int, list[str]]:
    """Run → names of its receivers: one statement."""
    found: dict[int, list[str]] = {}
    shares = HandoverShare.objects.filter(run__in=list(run_ids)).order_by("pk")
    for run_id, name in shares.values_list("run", "receiver__name"):
        found.setdefault(run_id, []).append(name)
    return found
