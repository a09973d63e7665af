"""Each minute: people in SOPs of steps whose next step is due are found by an index and moved on in sets.

One batch is one transaction: it claims up to 10,000 due enrolments, asks the gate once for all of them,
chooses their senders, writes send tasks, touches and keys, and moves the enrolments on. A killed worker
loses an uncommitted batch and nothing else: the next tick finds the same people due.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection, transaction

from campaigns import governance
from campaigns.models import Enrolment, Sop, SopStep, Touch
from campaigns.services.governance import gate, outranking, rules, workload_steps
from campaigns.services.journeys import leaving
from campaigns.services.ledger import leftovers, touches
from campaigns.services.sending import senders
from campaigns.services.sending.senders import Sender
from campaigns.services.sops import dues, schedule, sops, step_touches
from campaigns.services.sops.schedule import Due
from contacts.models import Contact
from contacts.services.timeline import EventRow, record_events
from tagging.services.bits import frames
from tenants.models import Brand

BATCH = 10_000  # a statement has its price, however many people it is about
MAX_BATCHES = 1_000  # of one tick; the next one goes on

# people who joined on one date and wait for one moment come as one row: thousands of rows cost more than their claim
_CLAIM = """
    WITH due AS MATERIALIZED ({claim})
    SELECT sop_id, (joined_at AT TIME ZONE %(zone)s)::date, next_run_at, position, string_agg(id::text, ','),
           string_agg(contact_id::text, ','), array_agg(place)::text
      FROM due GROUP BY 1, 2, 3, 4 ORDER BY 3, 1, 2, 4
"""
_COLUMNS = "e.id, e.ctid AS place, e.sop_id, e.contact_id, e.joined_at, e.next_run_at, e.position"
_ADVANCE = dues.listing(
    """
    UPDATE campaigns_enrolment e
       SET position = v.position, next_run_at = v.next_at, end_kind = coalesce(v.end_kind, ''),
           ended_at = CASE WHEN v.end_kind IS NULL THEN NULL ELSE %s END
      FROM unnest(%s::text[], %s::int[], %s::timestamptz[], %s::text[]) AS v(places, position, next_at, end_kind)
     CROSS JOIN LATERAL unnest(v.places::tid[]) AS p(place)
     WHERE e.brand_id = %s AND e.ctid = p.place
"""
)


@dataclass(eq=False, slots=True)
class Group:
    """Due enrolments that have everything in common: the same is due for all of them.

    Attributes:
        places: where the enrolments lie in their table (dues.advancing).
    """

    sop_id: int
    day_0: date
    next_run_at: datetime
    position: int
    ids: list[int]
    contact_ids: list[int]
    places: list[str]

    def people(self) -> Iterator[tuple[int, int]]:
        """(enrolment, contact)."""
        return zip(self.ids, self.contact_ids, strict=True)


class Move(NamedTuple):
    """Where enrolments go: to the step at `position` at `next_at`, or out."""

    position: int
    next_at: datetime | None
    end: str | None


@dataclass
class Outcome:
    """What one batch (or a whole tick) did.

    Attributes:
        n: enrolments moved on.
        n_planned, n_blocked: touches written.
        n_settled: people whose place in a list is done with, who may have moved before; none: nobody is left to be had.
        is_busy: another process holds the brand's gate; nothing was done.
    """

    n: int = 0
    n_planned: int = 0
    n_blocked: int = 0
    n_ended: int = 0
    n_settled: int = 0
    is_busy: bool = False

    def add(self, other: "Outcome") -> None:
        self.n += other.n
        self.n_planned += other.n_planned
        self.n_blocked += other.n_blocked
        self.n_ended += other.n_ended


@transaction.atomic
def probe(brand: Brand, at: datetime) -> tuple[bool, bool]:
    """Whether anybody may be due in an SOP of steps, and in a graph; two index probes when nobody is."""
    return dues.probe(brand, at)


@transaction.atomic
def mend(brand: Brand, at: datetime) -> int:
    """Each night: nobody waits for a moment that has passed without standing in a list; gives how many did."""
    gate.enter_gate(brand)
    return dues.mend(brand, at)


def run(brand: Brand, at: datetime, *, batch: int = BATCH) -> Outcome:
    """Move everybody on whose step is due at `at`. Stops when nobody is left, or when another process is at
    it."""
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
        if not dues.is_any(brand, at, is_graph=False):  # a minute with nothing due ends here
            return Outcome()
        if not gate.try_gate(brand):
            return Outcome(is_busy=True)
        n_listed, listed = dues.take(brand, at, limit, is_graph=False)
        groups = _once_each(_claim(brand, at, limit, n_listed, listed)) if n_listed else []
        had = [pk for group in groups for pk in group.ids]
        n_back = dues.put_back(brand, at, listed, had, is_graph=False) if len(had) < n_listed else 0
        outcome = _Batch(brand, at).work(groups) if groups else Outcome()
        outcome.n_settled = n_listed - n_back
        return outcome


def _claim(brand: Brand, at: datetime, limit: int, n_listed: int, listed: str) -> list[Group]:
    """Those of some lists who are due, whose moment is the earliest first."""
    sql = _CLAIM.format(claim=dues.claim(brand, n_listed, columns=_COLUMNS))
    given: dict[str, Any] = {
        "b": brand.pk,
        "ids": listed,
        "at": at,
        "graph": False,
        "limit": limit,
        "zone": brand.timezone,
    }
    with connection.cursor() as cursor:
        cursor.execute(sql, given)
        return [
            Group(sop_id, day_0, due_at, position, _numbers(ids), _numbers(of), dues.places_of(places))
            for sop_id, day_0, due_at, position, ids, of, places in cursor.fetchall()
        ]


def _numbers(text: str) -> list[int]:
    return list(map(int, text.split(",")))


def _once_each(groups: Sequence[Group]) -> list[Group]:
    """One step for a person and batch: the gate has to see the first touch before it is asked about the second."""
    seen: set[int] = set()
    for group in groups:
        here = set(group.contact_ids)
        if not seen.isdisjoint(here):
            left = [n for n, contact_id in enumerate(group.contact_ids) if contact_id not in seen]
            group.ids, group.contact_ids = [group.ids[n] for n in left], [group.contact_ids[n] for n in left]
            group.places = [group.places[n] for n in left]
        seen |= here
    return [group for group in groups if group.ids]


@dataclass
class _Batch:
    brand: Brand
    at: datetime
    send_at: datetime = field(init=False)
    sops: dict[int, Sop] = field(default_factory=dict)
    steps: dict[int, list[SopStep]] = field(default_factory=dict)
    moves: dict[Move, list[int]] = field(default_factory=lambda: defaultdict(list))
    events: list[EventRow] = field(default_factory=list)
    lost: list[leftovers.Gone] = field(default_factory=list)

    def work(self, groups: Sequence[Group]) -> Outcome:
        allowed = rules.rules_of(self.brand)
        self.send_at = governance.release_at(
            self.at, allowed.quiet, allowed.zone
        )  # quiet hours hold, and release
        self._load({group.sop_id for group in groups})
        by_state: dict[str, list[Group]] = defaultdict(list)
        for group in groups:
            by_state[self.sops[group.sop_id].state].append(group)
        self._park(by_state.pop(Sop.State.PAUSED, []))
        on = by_state.pop(Sop.State.ON, [])
        for closed in by_state.values():
            for group in closed:
                for pk, contact_id in group.people():
                    self._end(group, pk, contact_id, 0, Enrolment.End.SOP_ENDED)
        outcome = self._move(on, groups)
        record_events(self.brand, self.events)
        leftovers.take_back(self.brand, self.lost, self.at)
        outcome.n = sum(len(group.ids) for group in groups)
        outcome.n_ended = len(self.events)
        return outcome

    def _load(self, sop_ids: set[int]) -> None:
        self.sops = {sop.pk: sop for sop in Sop.objects.filter(pk__in=sop_ids)}
        steps = SopStep.objects.filter(sop__in=sop_ids, removed_at=None).order_by("position")
        for step in steps:
            self.steps.setdefault(step.sop_id, []).append(step)

    def _due(self, group: Group) -> Due:
        times = sops.step_times(self.steps.get(group.sop_id, []))
        table = schedule.timetable(times, group.day_0, self.brand.timezone)
        late = timedelta(days=self.sops[group.sop_id].late_days)
        # the brand's zone may have changed meanwhile: the step waited for lies earlier then
        since = min([group.next_run_at, *(at for at, step in table if step.position == group.position)])
        return schedule.what_is_due(table, since, self.at, late)

    def _park(self, groups: Sequence[Group]) -> None:
        """In no list until the SOP goes on: a paused SOP costs nothing each minute."""
        if groups:
            ids = [pk for group in groups for pk in group.ids]
            Enrolment.objects.filter(pk__in=ids).update(is_parked=True)

    def _move(self, groups: Sequence[Group], everybody: Sequence[Group]) -> Outcome:
        due = {group: self._due(group) for group in groups}
        asked = [group for group in groups if due[group].send]
        wanted = [contact_id for group in asked for contact_id in group.contact_ids]
        frame, places = frames.frame_of(self.brand, wanted)
        refused = gate.ask(self.brand, wanted, self.send_at, found=(frame, places))
        priorities = {
            contact_id: self.sops[group.sop_id].priority
            for group in asked
            for contact_id in group.contact_ids
            if contact_id in refused
        }
        left = outranking.make_room(self.brand, refused, priorities, at=self.send_at, now=self.at)
        refused, freed = left, refused.keys() - left.keys()
        chosen = senders.choose(self.brand, [i for i in wanted if i not in refused])
        placed = workload_steps.place(
            self.brand,
            [
                workload_steps.Wanted(send.step_id, self.sops[group.sop_id].priority, group.contact_ids)
                for group in asked
                if (send := due[group].send)
            ],
            chosen,
            at=self.send_at,
            now=self.at,
            first=freed,
        )
        refused = refused | placed.refused
        lost = self._lost([i for i, reason in refused.items() if reason == Touch.Reason.NOT_FOLLOWED])
        for group in groups:
            self._go_on(group, due[group], lost)
        with self._advancing(everybody):
            piles = self._piles(groups, due, chosen, refused, placed.later)
        n_planned, n_blocked = step_touches.write_all(
            self.brand, piles, at=self.at, send_at=self.send_at, sops=self.sops, places=places
        )
        return Outcome(n_planned=n_planned, n_blocked=n_blocked)

    def _go_on(self, group: Group, due: Due, lost: Collection[int]) -> None:
        """Everybody of a group to the next step, or out: after the last one, or with one that nobody can send any more."""
        gone = {pk: of for pk, of in group.people() if of in lost} if due.send and lost else {}
        if not due.next_at:
            for pk, contact_id in group.people():
                end = Enrolment.End.LOST if pk in gone else Enrolment.End.DONE
                self._end(group, pk, contact_id, due.next_position, end)
            return
        for pk, contact_id in gone.items():
            self._end(group, pk, contact_id, due.next_position, Enrolment.End.LOST)
        on = [pk for pk in group.ids if pk not in gone] if gone else group.ids
        self.moves[Move(due.next_position, due.next_at, None)] += on

    def _piles(
        self,
        groups: Sequence[Group],
        due: Mapping[Group, Due],
        chosen: Mapping[int, Sender],
        refused: Mapping[int, Touch.Reason],
        later: Mapping[int, datetime],
    ) -> step_touches.Piles:
        """Messages for everybody in some groups."""
        piles = step_touches.Piles(later)
        steps = {s.pk: s for steps in self.steps.values() for s in steps}
        for group in groups:
            found = due[group]
            for missed in found.missed:
                late = piles.now.held(steps[missed.step_id], Touch.Reason.TOO_LATE)
                late.keys += [f"s:{pk}:{missed.step_id}" for pk in group.ids]
                late.contact_ids += group.contact_ids
            if not found.send:
                continue
            step, step_id = steps[found.send.step_id], found.send.step_id
            for pk, contact_id in group.people():
                if sender := chosen.get(contact_id):
                    one = piles.of(contact_id).planned(step, sender)
                else:
                    one = piles.now.held(step, refused.get(contact_id, Touch.Reason.NOT_FOLLOWED))
                one.keys.append(f"s:{pk}:{step_id}")
                one.contact_ids.append(contact_id)
        return piles

    def _lost(self, contact_ids: Sequence[int]) -> set[int]:
        """Who has lost the last guide, and leaves the SOP; somebody half added only waits."""
        if not contact_ids:
            return set()
        return set(
            Contact.objects.filter(pk__in=contact_ids, lost_at__isnull=False).values_list("pk", flat=True)
        )

    def _end(self, group: Group, pk: int, contact_id: int, position: int, kind: Enrolment.End) -> None:
        self.moves[Move(position, None, kind)].append(pk)
        if kind in leftovers.GOES_WITH:
            self.lost.append(leftovers.Gone(contact_id, group.sop_id))
        name = self.sops[group.sop_id].name
        self.events.append(leaving.ended_event(pk, contact_id, group.sop_id, kind, self.at, name))

    @contextmanager
    def _advancing(self, groups: Sequence[Group]) -> Iterator[None]:
        """Write the moves, while the block prepares what comes next."""
        moves = {move: ids for move, ids in self.moves.items() if ids}
        if not moves:
            yield
            return
        place_of: dict[int, str] = {}
        for group in groups:
            place_of.update(zip(group.ids, group.places, strict=True))
        positions, next_ats, ends = zip(*moves, strict=True)

        def given(places: Mapping[int, str]) -> list[Any]:
            return [
                self.at,
                [touches.quoted([places[pk] for pk in ids]) for ids in moves.values()],
                touches.array(positions),
                touches.array(at and at.isoformat() for at in next_ats),
                touches.array(ends),
                self.brand.pk,
            ]

        moved = {pk: place_of[pk] for ids in moves.values() for pk in ids}
        with dues.advancing(self.brand, _ADVANCE, moved, given):
            yield
