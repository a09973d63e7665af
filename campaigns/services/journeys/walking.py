"""Each minute: people in graphs whose time has come are moved on in sets.

One batch is one transaction: it claims up to 10,000 due enrolments, takes out who has reached a goal, and then works
through the nodes in the order of each graph: everybody who stands at one node of one version is asked about, written to
and sent on together, until all of them wait or have ended. A killed worker loses an uncommitted batch and nothing else:
the next tick finds the same people due.

Each person has a time of their own (`base`): the moment planned for, not the moment at which the tick came by. So a
delay is not carried on, and a wait that is over already is passed at once. In such a catching up one message goes out;
those after it are too late.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from django.db import connection, transaction

from campaigns import governance
from campaigns.graph.shape import Node
from campaigns.models import Enrolment, Sop
from campaigns.services.governance import gate, rules
from campaigns.services.journeys import flows, leaving, nodes, plans, trouble
from campaigns.services.journeys.flows import Flow
from campaigns.services.journeys.goals import leavers
from campaigns.services.journeys.plans import Plan
from campaigns.services.ledger import leftovers
from campaigns.services.ledger.touches import array, quoted
from campaigns.services.sops import dues
from contacts.models import Contact
from contacts.services.timeline import record_events
from scrm.errors import SCRMError
from tenants.models import Brand

BATCH = 10_000  # a statement has its price, however many people it is about
MAX_BATCHES = 1_000  # of one tick; the next one goes on
MAX_PASSED = 60  # nodes that one person passes in one batch

_COLUMNS = """
    e.id, e.ctid::text, e.sop_id, e.contact_id, e.version_id, e.node, e.position, e.joined_at::text AS joined_at,
    coalesce(e.held_from, e.next_run_at)::text, e.woken_at::text, e.node_at::text, e.next_run_at
"""
_ADVANCE = dues.listing(
    """
    UPDATE campaigns_enrolment e
       SET position = v.position, node = v.node, next_run_at = m.at[v.next_n], node_at = m.at[v.node_n], woken_at = NULL,
           held_from = m.at[v.held_n], end_kind = coalesce(v.end_kind, ''),
           ended_at = CASE WHEN v.end_kind IS NULL THEN NULL ELSE %s END
      FROM (SELECT %s::timestamptz[] AS at) m,
           unnest(%s::tid[], %s::int[], %s::text[], %s::int[], %s::int[], %s::int[], %s::text[])
           AS v(place, position, node, next_n, node_n, held_n, end_kind)
     WHERE e.brand_id = %s AND e.ctid = v.place
"""
)
_HOLD = dues.listing(
    "UPDATE campaigns_enrolment e SET held_from = coalesce(e.held_from, e.next_run_at), next_run_at = %s"
    " WHERE e.brand_id = %s AND e.id = ANY(%s::bigint[])"
)


@dataclass(slots=True)
class Walker:
    """A due enrolment on its way through the batch.

    Attributes:
        place: where the enrolment lies in its table (dues.advancing).
        base: the moment that this person has come to.
        woken: what was waited for has happened.
        since: came to its node then.
        stood: came to its node before this batch.
        got_one: a message was written in this batch.
        next_at, end: how it ends: waits until, or has left; held_from: for what cannot be read, `base` goes on from there.
    """

    id: int
    place: str
    sop_id: int
    contact_id: int
    version_id: int
    node: str
    position: int
    joined_at: datetime
    base: datetime
    woken: datetime | None
    since: datetime | None
    stood: bool = True
    got_one: bool = False
    passed: int = 0
    next_at: datetime | None = None
    node_at: datetime | None = None
    held_from: datetime | None = None
    end: str | None = None


@dataclass
class Outcome:
    """What one batch (or a whole tick) did.

    Attributes:
        n: enrolments moved on; n_nodes: nodes that they have passed.
        n_planned, n_blocked: messages written.
        n_settled: people whose place in a list is done with, who may have moved before; none: nobody is left to be had.
        is_busy: another process holds the brand's gate; nothing was done.
        hooks: calls of web hooks were ordered.
    """

    n: int = 0
    n_nodes: int = 0
    n_planned: int = 0
    n_blocked: int = 0
    n_ended: int = 0
    n_settled: int = 0
    is_busy: bool = False
    hooks: bool = False

    def add(self, other: "Outcome") -> None:
        for name in ("n", "n_nodes", "n_planned", "n_blocked", "n_ended"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.hooks = self.hooks or other.hooks


def run(brand: Brand, at: datetime, *, batch: int = BATCH) -> Outcome:
    """Move everybody on whose time has come at `at`. Stops when nobody is left, or when another process is at it."""
    total = Outcome()
    for _ in range(MAX_BATCHES):
        one = run_batch(brand, at, batch)
        total.add(one)
        total.is_busy = one.is_busy
        if one.is_busy or not one.n_settled:
            break
    return total


def run_batch(brand: Brand, at: datetime, limit: int) -> Outcome:
    """One transaction; see the module."""
    with transaction.atomic():
        if not gate.try_gate(brand):
            return Outcome(is_busy=True)
        n_listed, listed = dues.take(brand, at, limit, is_graph=True)
        people = _claim(brand, at, limit, n_listed, listed) if n_listed else []
        had = [walker.id for walker in people]
        n_back = dues.put_back(brand, at, listed, had, is_graph=True) if len(had) < n_listed else 0
        outcome = Batch(brand, at).work(people) if people else Outcome()
        outcome.n_settled = n_listed - n_back
        return outcome


def _claim(brand: Brand, at: datetime, limit: int, n_listed: int, listed: str) -> list[Walker]:
    given: dict[str, Any] = {"b": brand.pk, "ids": listed, "at": at, "graph": True, "limit": limit}
    with connection.cursor() as cursor:
        cursor.execute(dues.claim(brand, n_listed, columns=_COLUMNS), given)
        rows = cursor.fetchall()
    moment = cache(datetime.fromisoformat)  # thousands share few moments: each is read once
    return [
        Walker(
            pk,
            place,
            sop_id,
            contact_id,
            version_id,
            node,
            position,
            moment(joined_at),
            moment(base),
            moment(woken) if woken else None,
            moment(since) if since else None,
        )
        for pk, place, sop_id, contact_id, version_id, node, position, joined_at, base, woken, since, _due in rows
    ]


@dataclass
class Batch:
    """What the nodes need to know, and where everybody is."""

    brand: Brand
    at: datetime
    send_at: datetime = field(init=False)
    sops: dict[int, Sop] = field(default_factory=dict)
    plans: dict[int, Plan] = field(default_factory=dict)
    flows: Counter[Flow] = field(default_factory=Counter)
    outcome: Outcome = field(default_factory=Outcome)
    troubled: set[tuple[int, str]] = field(
        default_factory=set
    )  # (version, node) of what could not be read before
    # who stands where, by (version, node)
    queue: dict[tuple[int, str], list[Walker]] = field(default_factory=lambda: defaultdict(list))

    def work(self, people: list[Walker]) -> Outcome:
        allowed = rules.rules_of(self.brand)
        self.send_at = governance.release_at(self.at, allowed.quiet, allowed.zone)
        self.sops = {sop.pk: sop for sop in Sop.objects.filter(pk__in={p.sop_id for p in people})}
        self.plans = plans.load({p.version_id for p in people})
        self.troubled = trouble.known(list(self.plans))
        for version_id, running in self._of_running(people).items():
            plan = self.plans[version_id]
            try:
                gone = leavers(self.brand, plan, running, self.at)
            except SCRMError as error:  # whoever should have left must not go on
                self._hold(plan, running, error)
                continue
            self.can_be_read(plan, trouble.WHOLE)
            for walker, kind in gone:
                self.leave(walker, kind)
            for walker in running:
                if walker.end is None:
                    self.queue[walker.version_id, walker.node].append(walker)
        while self.queue:
            key = min(self.queue, key=lambda key: (key[0], self.plans[key[0]].place.get(key[1], 0)))
            self._at_node(self.plans[key[0]], key[1], self.queue.pop(key))
        self._save(people)
        self.outcome.n = len(people)
        return self.outcome

    def _of_running(self, people: Sequence[Walker]) -> dict[int, list[Walker]]:
        """Those of SOPs that are on, by version; of paused ones they are parked, of ended ones they leave."""
        running: dict[int, list[Walker]] = defaultdict(list)
        parked = []
        for walker in people:
            state = self.sops[walker.sop_id].state
            if state == Sop.State.ON:
                running[walker.version_id].append(walker)
            elif state == Sop.State.PAUSED:
                parked.append(walker)
            else:
                self.leave(walker, Enrolment.End.SOP_ENDED)
        if parked:
            # in no list until the SOP goes on: a paused SOP costs nothing each minute
            Enrolment.objects.filter(pk__in=[w.id for w in parked]).update(is_parked=True)
            for walker in parked:
                walker.passed = -1
        return running

    def _hold(self, plan: Plan, people: Sequence[Walker], error: SCRMError) -> None:
        """Goals or exits cannot be read: people stay as they stand, and are asked about again later. Their clock stays too:
        they go on as if it had never been."""
        trouble.note(plan.version_id, trouble.WHOLE, error)
        with connection.cursor() as cursor:
            cursor.execute(
                _HOLD, [self.at + trouble.AGAIN, self.brand.pk, array(walker.id for walker in people)]
            )
        for walker in people:
            walker.passed = -1

    def wait_for_it(self, plan: Plan, node: Node, people: Sequence[Walker], error: SCRMError) -> None:
        """What a node asks cannot be read any more: people stay before it, and are asked about again later; from then on
        their clock is what it was."""
        trouble.note(plan.version_id, node["id"], error)
        self.troubled.add((plan.version_id, node["id"]))
        for walker in people:
            self.stay(walker, self.at + trouble.AGAIN)
            walker.held_from = walker.base

    def can_be_read(self, plan: Plan, node_id: str) -> None:
        if (plan.version_id, node_id) in self.troubled:
            trouble.over(plan.version_id, node_id)
            self.troubled.discard((plan.version_id, node_id))

    def _at_node(self, plan: Plan, node_id: str, people: list[Walker]) -> None:
        node = plan.nodes.get(node_id)
        if node is None:  # cannot be: nodes of a version never change
            raise LookupError(f"version {plan.version_id} has no node {node_id}")
        if node["kind"] == "entry":  # who was moved here from another version is counted already
            self.flows[plan.sop_id, plan.version_id, node_id, flows.IN] += sum(
                w.position == 0 for w in people
            )
        for out, gone in nodes.HANDLERS[node["kind"]](self, plan, node, people).items():
            self._send_on(plan, node, out, gone)

    def _send_on(self, plan: Plan, node: Node, out: str, people: Sequence[Walker]) -> None:
        """By one way to the next node."""
        if not people:
            return
        to = plan.ways[node["id"], out]
        self.flows[plan.sop_id, plan.version_id, node["id"], out] += len(people)
        self.flows[plan.sop_id, plan.version_id, to, flows.IN] += len(people)
        self.outcome.n_nodes += len(people)
        for walker in people:
            walker.node, walker.stood, walker.woken = to, False, None
            walker.position += 1
            walker.passed += 1
            # a loop that catches up a long time: the next batch goes on. Not at a wait, which it would take for over
            if walker.passed >= MAX_PASSED and plan.nodes[to]["kind"] != "wait":
                walker.next_at = walker.node_at = walker.base
            else:
                self.queue[plan.version_id, to].append(walker)

    def stay(self, walker: Walker, until: datetime) -> None:
        """Wait at the node."""
        walker.next_at, walker.node_at = until, walker.base

    def leave(self, walker: Walker, kind: str) -> None:
        """Out of the SOP; by the way of that name unless it came to an end."""
        walker.end = kind
        if walker.position == 0:
            self.flows[walker.sop_id, walker.version_id, walker.node, flows.IN] += 1
            walker.position = 1
        self.flows[walker.sop_id, walker.version_id, walker.node, str(kind)] += 1

    def late_since(self, plan: Plan) -> datetime:
        """Whoever should have gone on before this moment is late."""
        return self.at - timedelta(hours=plan.settings["late_hours"])

    def lost(self, contact_ids: Sequence[int]) -> set[int]:
        """Who has lost the last guide, and leaves; somebody half added only waits."""
        rows = Contact.objects.filter(pk__in=list(contact_ids), lost_at__isnull=False)
        return set(rows.values_list("pk", flat=True)) if contact_ids else set()

    def _save(self, people: Sequence[Walker]) -> None:
        # in the order of the table: people of a batch lie scattered over its pages
        moved = sorted((w for w in people if w.passed >= 0), key=lambda w: w.id)
        if not moved:
            return
        ended = [w for w in moved if w.end is not None]
        number: dict[datetime | None, int | None] = {None: None}  # many people share few moments
        for w in moved:
            for moment in (w.next_at, w.node_at, w.held_from):
                if moment not in number:
                    number[moment] = len(number)

        def given(places: Mapping[int, str]) -> list[Any]:
            return [
                self.at,
                array(moment.isoformat() for moment in number if moment),
                quoted(places[w.id] for w in moved),
                array(w.position for w in moved),
                quoted(w.node for w in moved),
                array(number[w.next_at] for w in moved),
                array(number[w.node_at] for w in moved),
                array(number[w.held_from] for w in moved),
                array(w.end for w in moved),
                self.brand.pk,
            ]

        with dues.advancing(self.brand, _ADVANCE, {w.id: w.place for w in moved}, given):
            events = [
                leaving.ended_event(
                    w.id, w.contact_id, w.sop_id, str(w.end), self.at, self.sops[w.sop_id].name
                )
                for w in ended
            ]
        flows.add(self.brand, self.at, self.flows)
        self.outcome.n_ended += len(ended)
        record_events(self.brand, events)
        gone = [leftovers.Gone(w.contact_id, w.sop_id) for w in ended if w.end in leftovers.GOES_WITH]
        leftovers.take_back(self.brand, gone, self.at)
