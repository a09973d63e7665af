"""Figures of tasks: of a brand, of each guide, of a batch. A send that a guide has to confirm is no row of its own: it
is the send task itself while it is handed over and not confirmed (closed by the polling of its results)."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connection
from django.db.models import QuerySet

from campaigns.models import Moment, MomentGuide, SendTask
from org.models import Staff
from scrm import clock
from tenants.models import Brand

PERIOD = timedelta(days=30)


@dataclass(frozen=True)
class Numbers:
    """Of one guide, or of all together; `n_done` and what follows of the last 30 days."""

    n_open: int = 0
    n_late: int = 0  # open, and the deadline is over
    n_done: int = 0
    n_in_time: int = 0
    n_missed: int = 0  # ended without having been done
    n_sends: int = 0  # to confirm now
    n_confirmed: int = 0  # sends of the last 30 days that were confirmed
    n_handed: int = 0  # sends of the last 30 days
    n_later: int = 0  # times that open tasks, and those that ended in the last 30 days, were put off
    n_off: int = 0  # open, put off until later
    n_reached: int = 0  # done in the last 30 days, by how it ended with the customer; some say nothing
    n_agreed: int = 0
    n_declined: int = 0
    n_unreached: int = 0

    @property
    def done_ratio(self) -> float | None:
        """Completion rate: done ÷ (done + not done in time, ended or still open). None when nothing was due."""
        whole = self.n_done + self.n_missed + self.n_late
        return self.n_done / whole if whole else None

    @property
    def in_time_ratio(self) -> float | None:
        """Done by the deadline as it was given: putting off does not better it."""
        return self.n_in_time / self.n_done if self.n_done else None

    @property
    def confirmed_ratio(self) -> float | None:
        return self.n_confirmed / self.n_handed if self.n_handed else None


_FIGURES = """
    SELECT staff_id, sum(n_open)::int, sum(n_late)::int, sum(n_done)::int, sum(n_in_time)::int, sum(n_missed)::int,
           sum(n_sends)::int, sum(n_confirmed)::int, sum(n_handed)::int, sum(n_later)::int, sum(n_off)::int,
           sum(n_reached)::int, sum(n_agreed)::int, sum(n_declined)::int, sum(n_unreached)::int
      FROM (
        SELECT staff_id, count(*) AS n_open, count(*) FILTER (WHERE due_at <= %(now)s) AS n_late, 0 AS n_done,
               0 AS n_in_time, 0 AS n_missed, 0 AS n_sends, 0 AS n_confirmed, 0 AS n_handed, sum(n_later) AS n_later,
               count(*) FILTER (WHERE later_at > %(now)s) AS n_off, 0 AS n_reached, 0 AS n_agreed, 0 AS n_declined,
               0 AS n_unreached
          FROM campaigns_stafftask WHERE brand_id = %(brand)s AND state = 'open' {only} GROUP BY staff_id
        UNION ALL
        SELECT staff_id, 0, 0, count(*) FILTER (WHERE state = 'done'),
               count(*) FILTER (WHERE state = 'done' AND done_at <= coalesce(first_due_at, due_at)),
               count(*) FILTER (WHERE state = 'expired'), 0, 0, 0, sum(n_later), 0,
               count(*) FILTER (WHERE outcome = 'reached'), count(*) FILTER (WHERE outcome = 'agreed'),
               count(*) FILTER (WHERE outcome = 'declined'), count(*) FILTER (WHERE outcome = 'unreached')
          FROM campaigns_stafftask
         WHERE brand_id = %(brand)s AND state IN ('done', 'expired') AND done_at >= %(since)s {only} GROUP BY staff_id
        UNION ALL
        SELECT staff_id, 0, 0, 0, 0, 0,
               count(*) FILTER (WHERE state = 'handed' AND confirmed_at IS NULL AND cancelled_at IS NULL),
               count(*) FILTER (WHERE confirmed_at IS NOT NULL AND called_at >= %(since)s),
               count(*) FILTER (WHERE called_at >= %(since)s AND cancelled_at IS NULL), 0, 0, 0, 0, 0, 0
          FROM campaigns_sendtask
         WHERE brand_id = %(brand)s AND called_at IS NOT NULL AND state IN ('handed', 'final', 'cancelled')
           AND (at >= %(since)s OR state = 'handed') {only} GROUP BY staff_id
      ) x GROUP BY staff_id
"""


def of_guides(brand: Brand, staff_ids: Collection[int] | None = None) -> dict[int, Numbers]:
    """Guide → figures, of those who have any; one statement.

    Args:
        staff_ids: these guides only; None: all of the brand.
    """
    now = clock.now()
    only = "" if staff_ids is None else "AND staff_id = ANY(%(guides)s::bigint[])"
    given: dict[str, Any] = {
        "brand": brand.pk,
        "now": now,
        "since": now - PERIOD,
        "guides": list(staff_ids or ()),
    }
    with connection.cursor() as cursor:
        cursor.execute(_FIGURES.format(only=only), given)
        return {row[0]: Numbers(*row[1:]) for row in cursor}


def total(rows: Collection[Numbers]) -> Numbers:
    """The sum of some guides' figures."""
    names = Numbers.__dataclass_fields__
    return Numbers(**{name: sum(getattr(row, name) for row in rows) for name in names})


def visible_ids(staff: Staff) -> list[int] | None:
    """Guides whose tasks a person sees; None: all."""
    if staff.sees_brand:
        return None
    return list(Staff.objects.visible_to(staff).values_list("pk", flat=True))


def sends_to_confirm(staff: Staff) -> QuerySet[SendTask]:
    """Sends that wait for a guide's confirmation in WeCom, oldest first."""
    rows = SendTask.objects.to_confirm().filter(staff=staff, called_at__isnull=False)
    return rows.select_related("sop", "step", "broadcast").order_by("called_at", "pk")


def moments_to_publish(staff: Staff) -> QuerySet[MomentGuide]:
    """Moments that wait for a guide to publish them in WeCom, the newest first."""
    rows = MomentGuide.objects.filter(staff=staff, state=MomentGuide.State.WAITING)
    rows = rows.filter(moment__state=Moment.State.OUT, moment__cancelled_at=None)
    return rows.select_related("moment").order_by("-pk")


def of_batches(brand: Brand, job_ids: Collection[int]) -> dict[int, dict[str, int]]:
    """Job → {state: tasks}, of batches of tasks."""
    found: dict[int, dict[str, int]] = {job_id: {} for job_id in job_ids}
    if not job_ids:
        return found
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT source_id, state, count(*) FROM campaigns_stafftask WHERE brand_id = %s AND source = 'job'"
            " AND source_id = ANY(%s::bigint[]) GROUP BY 1, 2",
            [brand.pk, list(job_ids)],
        )
        for job_id, state, n in cursor:
            found[job_id][state] = n
    return found
