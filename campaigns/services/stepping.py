"""Each minute: people in SOPs of steps whose next step is due are found by an index and moved on in sets.

One batch is one transaction: it claims up to 5,000 due enrolments, asks the gate once for all of them,
chooses their senders, writes send tasks, touches and keys, and moves the enrolments on. A killed worker
loses an uncommitted batch and nothing else: the next tick finds the same people due.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import NamedTuple

from django.db import connection, transaction

from campaigns import governance
from campaigns.models import Enrolment, Sop, SopStep, Touch
from campaigns.services import gate, rules, schedule, senders, sops, step_touches, touches
from campaigns.services.journeys import leaving
from campaigns.services.schedule import Due, StepTime
from campaigns.services.senders import Sender
from contacts.models import Contact
from contacts.services.timeline import record_events
from tenants.db.joins import joined_by_loop
from tenants.models import Brand

BATCH = 5_000
MAX_BATCHES = 1_000  # of one tick; the next one goes on

# graphs (services/journeys/walking.py) share the index
_PROBE = """
    SELECT bool_or(version_id IS NULL), bool_or(version_id IS NOT NULL) FROM (
        SELECT version_id FROM campaigns_enrolment
         WHERE brand_id = %s AND ended_at IS NULL AND NOT is_parked AND next_run_at <= %s LIMIT %s) due
"""
_CLAIM = """
    SELECT id, sop_id, contact_id, (joined_at AT TIME ZONE %s)::date, next_run_at, position
      FROM campaigns_enrolment
     WHERE brand_id = %s AND ended_at IS NULL AND NOT is_parked AND next_run_at <= %s AND version_id IS NULL
     ORDER BY next_run_at LIMIT %s FOR UPDATE SKIP LOCKED
"""
_ADVANCE = """
    UPDATE campaigns_enrolment e
       SET position = v.position, next_run_at = v.next_at, end_kind = coalesce(v.end_kind, ''),
           ended_at = CASE WHEN v.end_kind IS NULL THEN NULL ELSE %s END
      FROM unnest(%s::bigint[], %s::int[], %s::timestamptz[], %s::text[])
           AS v(id, position, next_at, end_kind)
     WHERE e.brand_id = %s AND e.id = v.id
"""


class Person(NamedTuple):
    """A due enrolment."""

    id: int
    sop_id: int
    contact_id: int
    day_0: date
    next_run_at: datetime
    position: int


class Written(NamedTuple):
    """A touch that is about to be written; no reason means planned, and then it has a sender."""

    person: Person
    step: StepTime
    reason: Touch.Reason
    sender: Sender | None = None


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


def probe(brand: Brand, at: datetime) -> tuple[bool, bool]:
    """Whether anybody is due in an SOP of steps, and in a graph; one index probe when nobody is."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_PROBE, [brand.pk, at, BATCH])
        row = cursor.fetchone()
    return bool(row[0]), bool(row[1])


def run(brand: Brand, at: datetime, *, batch: int = BATCH) -> Outcome:
    """Move everybody on whose step is due at `at`. Stops when nobody is left, or when another process is at
    it."""
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
        if not gate.try_gate(brand):
            return Outcome(is_busy=True)
        return _Batch(brand, at).work(_claim(brand, at, limit))


def _claim(brand: Brand, at: datetime, limit: int) -> list[Person]:
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, [brand.timezone, brand.pk, at, limit])
        return list(map(Person._make, cursor.fetchall()))


@dataclass
class _Batch:
    brand: Brand
    at: datetime
    send_at: datetime = field(init=False)
    sops: dict[int, Sop] = field(default_factory=dict)
    steps: dict[int, list[SopStep]] = field(default_factory=dict)
    found: dict[tuple[int, date, datetime, int], Due] = field(default_factory=dict)

    def work(self, claimed: list[Person]) -> Outcome:
        # one step for a person and batch: the gate has to see the first touch before it is asked about the
        # second
        people = list({p.contact_id: p for p in reversed(claimed)}.values())
        allowed = rules.rules_of(self.brand)
        self.send_at = governance.release_at(
            self.at, allowed.quiet, allowed.zone
        )  # quiet hours hold, and release
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
        """The same for all who joined on one date and wait for one moment: worked out once for them."""
        key = (person.sop_id, person.day_0, person.next_run_at, person.position)
        if (due := self.found.get(key)) is None:
            times = sops.step_times(self.steps.get(person.sop_id, []))
            table = schedule.timetable(times, person.day_0, self.brand.timezone)
            late = timedelta(days=self.sops[person.sop_id].late_days)
            # the brand's zone may have changed meanwhile: the step waited for lies earlier then
            since = min([person.next_run_at, *(at for at, step in table if step.position == person.position)])
            due = self.found[key] = schedule.what_is_due(table, since, self.at, late)
        return due

    def _park(self, people: Sequence[Person]) -> None:
        """Off the due index until the SOP goes on: a paused SOP costs nothing each minute."""
        if people:
            Enrolment.objects.filter(pk__in=[p.id for p in people]).update(is_parked=True)

    def _move(self, people: Sequence[Person]) -> Outcome:
        wanted = [p.contact_id for p in people if self._due(p).send]
        refused = gate.ask(self.brand, wanted, self.send_at)
        chosen = senders.choose(self.brand, [i for i in wanted if i not in refused])
        lost = self._lost([i for i, reason in refused.items() if reason == Touch.Reason.NOT_FOLLOWED])

        rows: list[Written] = []
        moves: list[tuple[int, int, datetime | None, str | None]] = []
        ended: list[tuple[Person, str]] = []
        for p in people:
            due = self._due(p)
            end: str | None = None if due.next_at else Enrolment.End.DONE
            for missed in due.missed:
                rows.append(Written(p, missed, Touch.Reason.TOO_LATE))
            if due.send:
                sender = chosen.get(p.contact_id)
                reason = Touch.Reason.NONE if sender else refused.get(p.contact_id, Touch.Reason.NOT_FOLLOWED)
                rows.append(Written(p, due.send, reason, sender))
                if reason and p.contact_id in lost:
                    end = Enrolment.End.LOST
            moves.append((p.id, due.next_position, None if end else due.next_at, end))
            if end:
                ended.append((p, end))
        self._advance(moves)
        n_planned, n_blocked = self._write(rows)
        self._tell_ended(ended)
        return Outcome(n_planned=n_planned, n_blocked=n_blocked, n_ended=len(ended))

    def _lost(self, contact_ids: Sequence[int]) -> set[int]:
        """Who has lost the last guide, and leaves the SOP; somebody half added only waits."""
        if not contact_ids:
            return set()
        return set(
            Contact.objects.filter(pk__in=contact_ids, lost_at__isnull=False).values_list("pk", flat=True)
        )

    def _write(self, rows: Sequence[Written]) -> tuple[int, int]:
        """(planned, held back); a touch whose key is taken was written before and is left out."""
        steps = {s.pk: s for steps in self.steps.values() for s in steps}
        given = [
            step_touches.StepTouch(
                f"s:{p.id}:{step.step_id}", p.contact_id, steps[step.step_id], reason, sender
            )
            for p, step, reason, sender in rows
        ]
        names = {sop.pk: sop.name for sop in self.sops.values()}
        return step_touches.write(self.brand, given, at=self.at, send_at=self.send_at, names=names)

    def _advance(self, moves: Sequence[tuple[int, int, datetime | None, str | None]]) -> None:
        if not moves:
            return
        ids, positions, next_ats, ends = zip(*moves, strict=True)
        with connection.cursor() as cursor, joined_by_loop(cursor):
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
                leaving.ended_event(p.id, p.contact_id, p.sop_id, kind, self.at, self.sops[p.sop_id].name)
                for p, kind in rows
            ],
        )
