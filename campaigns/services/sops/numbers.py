"""The figures of SOPs and of send tasks, from rows that are few: chunks and daily folds, never the ledger
itself."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import date

from django.db import connection, transaction
from django.db.models import Count, Sum

from campaigns.models import Enrolment, SendTask, Sop, SopStep, StepBlocked, Touch
from campaigns.services.governance import gate
from campaigns.services.sops import schedule, sops
from scrm import clock
from tenants.models import Brand

CALENDAR_DAYS = 14


@dataclass
class StepNumbers:
    """Touches of one step.

    Attributes:
        n_waiting: planned, being handed over, or with a guide who has not confirmed.
        n_sent: delivered, as WeCom reports it.
        n_failed: WeCom or the customer's side refused it.
        n_cancelled: given up before the guide confirmed it.
        n_opened, n_replied, n_converted: of those delivered.
        blocked: held back before they went to WeCom, by reason.
    """

    n_waiting: int = 0
    n_sent: int = 0
    n_failed: int = 0
    n_cancelled: int = 0
    n_opened: int = 0
    n_replied: int = 0
    n_converted: int = 0
    blocked: dict[int, int] = field(default_factory=dict)

    @property
    def n_blocked(self) -> int:
        return sum(self.blocked.values())

    @property
    def n(self) -> int:
        """People whose turn came."""
        return self.n_waiting + self.n_sent + self.n_failed + self.n_cancelled + self.n_blocked

    @property
    def reasons(self) -> list[tuple[str, int, int]]:
        """(words, number, Reason) of what was held back, most frequent first."""
        rows = sorted(self.blocked.items(), key=lambda row: -row[1])
        return [(str(Touch.Reason(reason).label), n, reason) for reason, n in rows]

    def add(self, other: "StepNumbers") -> None:
        self.n_waiting += other.n_waiting
        self.n_sent += other.n_sent
        self.n_failed += other.n_failed
        self.n_cancelled += other.n_cancelled
        self.n_opened += other.n_opened
        self.n_replied += other.n_replied
        self.n_converted += other.n_converted
        for reason, n in other.blocked.items():
            self.blocked[reason] = self.blocked.get(reason, 0) + n


@dataclass
class SopNumbers(StepNumbers):
    """The same of a whole SOP, and its people: in it now, through all steps, left before that."""

    n_in: int = 0
    n_done: int = 0
    n_left: int = 0


def of_steps(sop_ids: Collection[int]) -> dict[int, StepNumbers]:
    """{step: its numbers} of some SOPs, steps that were taken out included."""
    found: dict[int, StepNumbers] = defaultdict(StepNumbers)
    tasks = SendTask.objects.filter(sop__in=sop_ids).order_by()
    grouped = tasks.values_list("step_id", "state").annotate(
        a=Sum("n"),
        b=Sum("n_sent"),
        c=Sum("n_failed"),
        d=Sum("n_opened"),
        e=Sum("n_replied"),
        f=Sum("n_converted"),
    )
    for step_id, state, n, sent, failed, opened, replied, converted in grouped:
        row = found[step_id]
        row.n_opened += opened
        row.n_replied += replied
        row.n_converted += converted
        row.n_sent += sent
        row.n_failed += failed
        rest = max(n - sent - failed, 0)
        if state in (SendTask.State.PLANNED, SendTask.State.CALLING, SendTask.State.HANDED):
            row.n_waiting += rest
        elif state == SendTask.State.CANCELLED:
            row.n_cancelled += rest
    held = StepBlocked.objects.filter(sop_id__in=sop_ids).order_by()
    for step_id, reason, n in held.values_list("step_id", "reason").annotate(n=Sum("n")):
        found[step_id].blocked[reason] = n
    return found


def of_sops(sop_ids: Sequence[int]) -> dict[int, SopNumbers]:
    """{SOP: its numbers}; three statements, however many SOPs."""
    found = {sop_id: SopNumbers() for sop_id in sop_ids}
    open_rows = Enrolment.objects.filter(sop__in=sop_ids, ended_at=None).order_by()
    for sop_id, n in open_rows.values_list("sop_id").annotate(n=Count("pk")):
        found[sop_id].n_in = n
    ended = Enrolment.objects.filter(sop__in=sop_ids, ended_at__isnull=False).order_by()
    for sop_id, kind, n in ended.values_list("sop_id", "end_kind").annotate(n=Count("pk")):
        if kind == Enrolment.End.DONE:
            found[sop_id].n_done += n
        else:
            found[sop_id].n_left += n
    owners = dict(SopStep.objects.filter(sop__in=sop_ids).values_list("pk", "sop_id"))
    for step_id, numbers in of_steps(sop_ids).items():
        if step_id in owners:
            found[owners[step_id]].add(numbers)
    return found


def steps_of(sop_ids: Sequence[int]) -> dict[int, list[SopStep]]:
    """{SOP: its steps in force, in order}."""
    found: dict[int, list[SopStep]] = defaultdict(list)
    for step in SopStep.objects.filter(sop__in=sop_ids, removed_at=None).order_by("position"):
        found[step.sop_id].append(step)
    return dict(found)


def waiting_at(sop_id: int) -> dict[int, int]:
    """{position: people in the SOP whose next step it is}."""
    rows = Enrolment.objects.filter(sop=sop_id, ended_at=None).order_by()
    return dict(rows.values_list("position").annotate(n=Count("pk")))


def calendar(brand: Brand, sop: Sop, days: int = CALENDAR_DAYS) -> dict[date, dict[int, int]]:
    """{date: {position: people}} of the next days, as if nobody came, left or was held back."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT (joined_at AT TIME ZONE %s)::date, count(*) FROM campaigns_enrolment"
            " WHERE brand_id = %s AND sop_id = %s AND ended_at IS NULL GROUP BY 1",
            [brand.timezone, brand.pk, sop.pk],
        )
        joined = dict(cursor.fetchall())
    times = sops.step_times(sops.live_steps(sop.pk))
    return schedule.calendar(joined, times, brand.timezone, clock.now(), days)


def unconfirmed(
    *, sop_id: int | None = None, broadcast_id: int | None = None, limit: int = 50
) -> list[SendTask]:
    """Send tasks that wait for their guide, the oldest first."""
    rows = SendTask.objects.to_confirm()
    if sop_id is not None:
        rows = rows.filter(sop=sop_id)
    if broadcast_id is not None:
        rows = rows.filter(broadcast=broadcast_id)
    return list(rows.select_related("staff", "sop", "step").order_by("at", "pk")[:limit])


@transaction.atomic
def rebuild(brand: Brand) -> None:
    """Count StepBlocked anew from the ledger; holds the gate meanwhile."""
    gate.enter_gate(brand)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM campaigns_stepblocked WHERE brand_id = %s", [brand.pk])
        cursor.execute(
            'INSERT INTO campaigns_stepblocked (brand_id, step_id, "on", reason, sop_id, n)'
            " SELECT brand_id, step_id, (done_at AT TIME ZONE %s)::date, reason, sop_id, count(*) FROM"
            " campaigns_touch"
            " WHERE brand_id = %s AND state = %s AND step_id IS NOT NULL GROUP BY 1, 2, 3, 4, 5",
            [brand.timezone, brand.pk, int(Touch.State.BLOCKED)],
        )
