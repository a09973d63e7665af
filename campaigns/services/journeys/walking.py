"""Each minute: people in graphs whose time has come are moved on in sets.

One batch is one transaction: it claims up to 5,000 due enrolments, takes out who has reached a goal, and then works
through the nodes in the order of each graph: everybody who stands at one node of one version is asked about, written to
and sent on together, until all of them wait or have ended. A killed worker loses an uncommitted batch and nothing else:
the next tick finds the same people due.

Each person has a time of their own (`base`): the moment planned for, not the moment at which the tick came by. So a
delay is not carried on, and a wait that is over already is passed at once. In such a catching up one message goes out;
those after it are too late.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models.functions import Coalesce

from campaigns import governance
from campaigns.graph.shape import Node
from campaigns.models import Enrolment, Sop
from campaigns.services import gate, rules
from campaigns.services.journeys import flows, leaving, nodes, plans, trouble
from campaigns.services.journeys.flows import Flow
from campaigns.services.journeys.goals import leavers
from campaigns.services.journeys.plans import Plan
from campaigns.services.touches import array
from contacts.models import Contact
from contacts.services.timeline import record_events
from scrm.errors import SCRMError
from tenants.db.joins import joined_by_loop
from tenants.models import Brand

BATCH = 5_000
MAX_BATCHES = 1_000  # of one tick; the next one goes on
MAX_PASSED = 60  # nodes that one person passes in one batch

_CLAIM = """
    SELECT id, sop_id, contact_id, version_id, node, position, joined_at, coalesce(held_from, next_run_at), woken_at,
           node_at
      FROM campaigns_enrolment
     WHERE brand_id = %s AND ended_at IS NULL AND NOT is_parked AND next_run_at <= %s AND version_id IS NOT NULL
     ORDER BY next_run_at LIMIT %s FOR UPDATE SKIP LOCKED
"""
_ADVANCE = """
    UPDATE campaigns_enrolment e
       SET position = v.position, node = v.node, next_run_at = v.next_at, node_at = v.node_at, woken_at = NULL,
           held_from = v.held_from, end_kind = coalesce(v.end_kind, ''),
           ended_at = CASE WHEN v.end_kind IS NULL THEN NULL ELSE %s END
      FROM unnest(%s::bigint[], %s::int[], %s::text[], %s::timestamptz[], %s::timestamptz[],
                  %s::timestamptz[], %s::text[])
           AS v(id, position, node, next_at, node_at, held_from, end_kind)
     WHERE e.brand_id = %s AND e.id = v.id
"""


@dataclass(slots=True)
class Walker:
    """A due enrolment on its way through the batch.

    Attributes:
        base: the moment that this person has come to.
        woken: what was waited for has happened.
        since: came to its node then.
        stood: came to its node before this batch.
        got_one: a message was written in this batch.
        next_at, end: how it ends: waits until, or has left; held_from: for what cannot be read, `base` goes on from there.
    """

    id: int
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
        is_busy: another process holds the brand's gate; nothing was done.
        hooks: calls of web hooks were ordered.
    """

    n: int = 0
    n_nodes: int = 0
    n_planned: int = 0
    n_blocked: int = 0
    n_ended: int = 0
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
        if one.is_busy or not one.n:
            break
    return total


def run_batch(brand: Brand, at: datetime, limit: int) -> Outcome:
    """One transaction; see the module."""
    with transaction.atomic():
        if not gate.try_gate(brand):
            return Outcome(is_busy=True)
        people = _claim(brand, at, limit)
        return Batch(brand, at).work(people) if people else Outcome()


def _claim(brand: Brand, at: datetime, limit: int) -> list[Walker]:
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, [brand.pk, at, limit])
        return [Walker(*row) for row in cursor.fetchall()]


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
            # off the due index until the SOP goes on: a paused SOP costs nothing each minute
            Enrolment.objects.filter(pk__in=[w.id for w in parked]).update(is_parked=True)
            for walker in parked:
                walker.passed = -1
        return running

    def _hold(self, plan: Plan, people: Sequence[Walker], error: SCRMError) -> None:
        """Goals or exits cannot be read: people stay as they stand, and are asked about again later. Their clock stays too:
        they go on as if it had never been."""
        trouble.note(plan.version_id, trouble.WHOLE, error)
        rows = Enrolment.objects.filter(pk__in=[w.id for w in people])
        rows.update(held_from=Coalesce("held_from", "next_run_at"), next_run_at=self.at + trouble.AGAIN)
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

    def is_late(self, plan: Plan, walker: Walker) -> bool:
        return self.at - walker.base > timedelta(hours=plan.settings["late_hours"])

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
        with connection.cursor() as cursor, joined_by_loop(cursor):
            cursor.execute(
                _ADVANCE,
                [
                    self.at,
                    array(w.id for w in moved),
                    array(w.position for w in moved),
                    [w.node for w in moved],
                    array(_texts(w.next_at for w in moved)),
                    array(_texts(w.node_at for w in moved)),
                    array(_texts(w.held_from for w in moved)),
                    [w.end for w in moved],
                    self.brand.pk,
                ],
            )
        flows.add(self.brand, self.at, self.flows)
        self.outcome.n_ended += len(ended)
        record_events(
            self.brand,
            [
                leaving.ended_event(
                    w.id, w.contact_id, w.sop_id, str(w.end), self.at, self.sops[w.sop_id].name
                )
                for w in ended
            ],
        )


def _texts(moments: Iterable[datetime | None]) -> Iterator[str | None]:
    """Moments as Postgres reads them; many people share few of them."""
    seen: dict[datetime | None, str | None] = {None: None}
    for at in moments:
        if at not in seen:
            seen[at] = at.isoformat() if at else None
        yield seen[at]
