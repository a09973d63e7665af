"""People in an SOP whose steps change: where each goes on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from django.db import connection

from campaigns.services.ledger.touches import array
from campaigns.services.sops import dues, schedule
from campaigns.services.sops.schedule import StepTime
from scrm import clock
from tenants.models import Brand


@dataclass(frozen=True)
class EditEffect:
    """What an edit means for the people in the SOP.

    Attributes:
        n_moved: get another next step, or get it at another time.
        n_finished: have no step before them any more; they leave at the next tick.
    """

    n_people: int
    n_moved: int
    n_finished: int


@dataclass(frozen=True)
class Plan:
    """People who joined on one date and wait for one moment, and what they wait for after the edit."""

    day_0: date
    next_at: datetime
    position: int
    n: int
    new_at: datetime | None
    new_position: int

    @property
    def is_same(self) -> bool:
        return (self.next_at, self.position) == (self.new_at, self.new_position)


def plans_after(brand: Brand, sop_id: int, old: Sequence[StepTime], new: Sequence[StepTime]) -> list[Plan]:
    """People of one joining date and next moment move together: a few hundred plans, however many people.

    A step that is settled for them stays so, wherever it is moved.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT (joined_at AT TIME ZONE %s)::date, next_run_at, position, count(*) FROM"
            " campaigns_enrolment"
            " WHERE brand_id = %s AND sop_id = %s AND ended_at IS NULL GROUP BY 1, 2, 3",
            [brand.timezone, brand.pk, sop_id],
        )
        rows = cursor.fetchall()
    now = clock.now()
    plans = []
    for day_0, next_at, position, n in rows:
        settled = {s.step_id for at, s in schedule.timetable(old, day_0, brand.timezone) if at < next_at}
        ahead = [s for s in new if s.step_id not in settled]
        table = schedule.timetable(ahead, day_0, brand.timezone)
        new_at, new_position = schedule.next_step(table, min(next_at, now))
        new_position = new_position if new_at else len(new)
        plans.append(Plan(day_0, next_at, position, n, new_at, new_position))
    return plans


def effect_of(plans: Sequence[Plan]) -> EditEffect:
    return EditEffect(
        n_people=sum(p.n for p in plans),
        n_moved=sum(p.n for p in plans if p.new_at and p.new_at != p.next_at),
        n_finished=sum(p.n for p in plans if p.new_at is None),
    )


def replan(brand: Brand, sop_id: int, old: Sequence[StepTime], new: Sequence[StepTime]) -> EditEffect:
    """Give everybody in the SOP their next step under the new times. The caller holds the gate."""
    plans = plans_after(brand, sop_id, old, new)
    changed = [p for p in plans if not p.is_same]
    if changed:
        now = clock.now()  # who has no step left is due now: the tick ends them
        columns = zip(
            *(
                (p.day_0, p.next_at.isoformat(), (p.new_at or now).isoformat(), p.new_position)
                for p in changed
            ),
            strict=True,
        )
        with connection.cursor() as cursor:
            cursor.execute(
                dues.listing(
                    "UPDATE campaigns_enrolment e SET next_run_at = v.new_at, position = v.position"
                    " FROM unnest(%s::date[], %s::timestamptz[], %s::timestamptz[], %s::int[]) AS v(day_0,"
                    " old_at, new_at, position)"
                    " WHERE e.brand_id = %s AND e.sop_id = %s AND e.ended_at IS NULL"
                    " AND (e.joined_at AT TIME ZONE %s)::date = v.day_0 AND e.next_run_at = v.old_at"
                ),
                [*map(array, columns), brand.pk, sop_id, brand.timezone],
            )
    return effect_of(plans)
