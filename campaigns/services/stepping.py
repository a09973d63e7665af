"""Each minute: people whose next step is due are found by an index and moved on in sets.

One batch is one transaction: it claims up to 5,000 due enrolments, asks the gate once for all of them, chooses their
senders, writes send tasks, touches and keys, and moves the enrolments on. A killed worker loses an uncommitted batch
and nothing else: the next tick finds the same people due.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import connection, transaction

from campaigns.models import Enrolment, Sop, SopStep, Touch
from campaigns.services import enrolments, planning, policy, schedule, senders, sops, touches
from campaigns.services.schedule import Due, StepTime
from campaigns.services.senders import Sender
from contacts.models import Contact, EventType
from contacts.services.timeline import EventRow, record_events
from tenants.models import Brand

BATCH = 5_000
MAX_BATCHES = 1_000  # of one tick; the next one goes on

_CLAIM = """
    SELECT id, sop_id, contact_id, joined_at, next_run_at FROM campaigns_enrolment
     WHERE brand_id = %s AND ended_at IS NULL AND NOT is_parked AND next_run_at <= %s
     ORDER BY next_run_at LIMIT %s FOR UPDATE SKIP LOCKED
"""
_ADVANCE = """
    UPDATE campaigns_enrolment e
       SET position = v.position, next_run_at = v.next_at, end_kind = coalesce(v.end_kind, ''),
           ended_at = CASE WHEN v.end_kind IS NULL THEN NULL ELSE %s END
      FROM unnest(%s::bigint[], %s::int[], %s::timestamptz[], %s::text[]) AS v(id, position, next_at, end_kind)
     WHERE e.brand_id = %s AND e.id = v.id
"""


class Person(NamedTuple):
    """A due enrolment."""

    id: int
    sop_id: int
    contact_id: int
    joined_at: datetime
    next_run_at: datetime


@dataclass
class Outcome:
    """What one batch (or a whole tick) did.

    Attributes:
        n: enrolments moved on.
        n_planned, n_blocked: touches written.
        is_busy: another process holds the brand's gate; nothing was done.
    """

    n: int = 0
    n_planned: int = 0
    n_blocked: int = 0
    n_ended: int = 0
    is_busy: bool = False

    def add(self, other: "Outcome") -> None:
        self.n += other.n
        self.n_planned += other.n_planned
        self.n_blocked += other.n_blocked
        self.n_ended += other.n_ended


def run(brand: Brand, at: datetime, *, batch: int = BATCH) -> Outcome:
    """Move everybody on whose step is due at `at`. Stops when nobody is left, or when another process is at it."""
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
        people = _claim(brand, at, 1)  # one index probe: a minute with nothing due ends here
        if not people:
            return Outcome()
        if not policy.try_gate(brand):
            return Outcome(is_busy=True)
        return _Batch(brand, at).work(_claim(brand, at, limit))


def _claim(brand: Brand, at: datetime, limit: int) -> list[Person]:
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, [brand.pk, at, limit])
        return [Person(*row) for row in cursor]


@dataclass
class _Batch:
    brand: Brand
    at: datetime
    sops: dict[int, Sop] = field(default_factory=dict)
    steps: dict[int, list[SopStep]] = field(default_factory=dict)
    tables: dict[tuple[int, object], list[tuple[datetime, StepTime]]] = field(default_factory=dict)

    def work(self, claimed: list[Person]) -> Outcome:
        # one step for a person and batch: the gate has to see the first touch before it is asked about the second
        people = list({p.contact_id: p for p in reversed(claimed)}.values())
        self._load({p.sop_id for p in people})
        by_state: dict[str, list[Person]] = defaultdict(list)
        for person in people:
            by_state[self.sops[person.sop_id].state].append(person)
        self._park(by_state.pop(Sop.State.PAUSED, []))
        running = by_state.pop(Sop.State.ON, [])
        closed = [p for rows in by_state.values() for p in rows]
        outcome = self._move(running)
        self._advance([(p.id, 0, None, Enrolment.End.SOP_ENDED) for p in closed])
        self._tell_ended([(p, Enrolment.End.SOP_ENDED) for p in closed])
        outcome.n = len(people)
        outcome.n_ended += len(closed)
        return outcome

    def _load(self, sop_ids: set[int]) -> None:
        self.sops = {sop.pk: sop for sop in Sop.objects.filter(pk__in=sop_ids)}
        steps = SopStep.objects.filter(sop__in=sop_ids, removed_at=None).order_by("position")
        for step in steps:
            self.steps.setdefault(step.sop_id, []).append(step)

    def _due(self, person: Person) -> Due:
        zone = self.brand.timezone
        day_0 = schedule.joining_date(person.joined_at, zone)
        key = (person.sop_id, day_0)
        if (table := self.tables.get(key)) is None:
            times = sops.step_times(self.steps.get(person.sop_id, []))
            table = self.tables[key] = schedule.timetable(times, day_0, zone)
        late = timedelta(days=self.sops[person.sop_id].late_days)
        return schedule.what_is_due(table, person.next_run_at, self.at, late)

    def _park(self, people: Sequence[Person]) -> None:
        """Off the due index until the SOP goes on: a paused SOP costs nothing each minute."""
        if people:
            Enrolment.objects.filter(pk__in=[p.id for p in people]).update(is_parked=True)

    def _move(self, people: Sequence[Person]) -> Outcome:
        due = {p.id: self._due(p) for p in people}
        wanted = [p.contact_id for p in people if due[p.id].send]
        refused = policy.ask(self.brand, wanted, self.at)
        chosen = senders.choose(self.brand, [i for i in wanted if i not in refused])
        lost = self._lost([i for i, reason in refused.items() if reason == Touch.Reason.NOT_FOLLOWED])

        plan: list[tuple[Person, StepTime, Sender]] = []
        held: list[tuple[Person, StepTime, Touch.Reason]] = []
        moves: list[tuple[int, int, datetime | None, str | None]] = []
        ended: list[tuple[Person, str]] = []
        for p in people:
            step = due[p.id]
            held += [(p, missed, Touch.Reason.TOO_LATE) for missed in step.missed]
            end: str | None = None if step.next_at else Enrolment.End.DONE
            if step.send:
                reason = refused.get(p.contact_id)
                sender = chosen.get(p.contact_id)
                if reason is None and sender is not None:
                    plan.append((p, step.send, sender))
                else:
                    held.append((p, step.send, reason or Touch.Reason.NOT_FOLLOWED))
                    end = Enrolment.End.LOST if p.contact_id in lost else end
            moves.append((p.id, step.next_position, None if end else step.next_at, end))
            if end:
                ended.append((p, end))
        self._advance(moves)
        n_planned = self._write(plan, held)
        self._tell_ended(ended)
        return Outcome(n_planned=n_planned, n_blocked=len(held), n_ended=len(ended))

    def _lost(self, contact_ids: Sequence[int]) -> set[int]:
        """Who has lost the last guide, and leaves the SOP; somebody half added only waits."""
        if not contact_ids:
            return set()
        return set(
            Contact.objects.filter(pk__in=contact_ids, lost_at__isnull=False).values_list("pk", flat=True)
        )

    def _write(
        self,
        plan: Sequence[tuple[Person, StepTime, Sender]],
        held: Sequence[tuple[Person, StepTime, Touch.Reason]],
    ) -> int:
        """Keys, send tasks, touches; a touch whose key is taken was written before and is left out."""
        keys = [f"s:{p.id}:{step.step_id}" for p, step, _ in (*plan, *held)]
        ids = touches.take_keys(self.brand, keys, self.at)
        steps = {s.pk: s for rows in self.steps.values() for s in rows}
        wanted = [
            planning.Wanted(p.contact_id, steps[step.step_id], sender, ids[f"s:{p.id}:{step.step_id}"])
            for p, step, sender in plan
            if f"s:{p.id}:{step.step_id}" in ids
        ]
        planning.write_plan(self.brand, self.at, wanted)
        rows = [
            (ids[f"s:{p.id}:{step.step_id}"], p.contact_id, None, p.sop_id, step.step_id, None, int(reason))
            for p, step, reason in held
            if f"s:{p.id}:{step.step_id}" in ids
        ]
        touches.write(self.brand, self.at, Touch.Kind.SOP, rows)
        planning.count_blocked(self.brand, self.at, Counter((row[3], row[4], row[6]) for row in rows))
        self._tell_held(rows)
        return len(wanted)

    def _tell_held(self, rows: Iterable[Sequence]) -> None:
        events: list[EventRow] = [
            {
                "contact_id": contact_id,
                "type": EventType.TOUCH_BLOCKED,
                "at": self.at,
                "object_id": touch_id,
                "source": "sop",
                "data": {"sop": self.sops[sop_id].name, "reason": Touch.Reason(reason).name.lower()},
            }
            for touch_id, contact_id, _, sop_id, _, _, reason in rows
        ]
        record_events(self.brand, events)

    def _advance(self, moves: Sequence[tuple[int, int, datetime | None, str | None]]) -> None:
        if not moves:
            return
        ids, positions, next_ats, ends = zip(*moves, strict=True)
        with connection.cursor() as cursor:
            cursor.execute(
                _ADVANCE,
                [
                    self.at,
                    touches.array(ids),
                    touches.array(positions),
                    touches.array(at and at.isoformat() for at in next_ats),
                    touches.array(ends),
                    self.brand.pk,
                ],
            )

    def _tell_ended(self, rows: Iterable[tuple[Person, str]]) -> None:
        record_events(
            self.brand,
            [
                enrolments.ended_event(p.id, p.contact_id, p.sop_id, kind, self.at, self.sops[p.sop_id].name)
                for p, kind in rows
            ],
        )
