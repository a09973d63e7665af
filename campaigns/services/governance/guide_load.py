"""What guides have to do by hand on a day: send tasks to confirm, moments to publish, tasks by their deadline.

One definition for the calendar, which shows it, and for the brand's limit of a guide's day (workload.py), which keeps it. Read
from rows that are few, each by an index on its time; never from the ledger.
"""

from collections.abc import Collection
from datetime import date, datetime
from typing import Any

from django.db import connection

from campaigns import governance
from campaigns.services.ledger.touches import array
from tagging.models import Dim
from tenants.models import Brand

# what is looked up for each moment is said as such: a brand that Postgres does not know would be read whole.
# A moment that WeCom has made names its guides; before that they are those chosen, else all of its company, or with tags those
# whose customers have one of them (as moment_reach.py)
_MOMENTS = f"""
    SELECT m.at, g.staff_id FROM campaigns_moment m
     CROSS JOIN LATERAL (
           SELECT g.staff_id, g.state FROM campaigns_momentguide g
            WHERE g.brand_id = (SELECT %(b)s) AND g.moment_id = m.id OFFSET 0) g
     WHERE m.brand_id = %(b)s AND m.at >= %(start)s AND m.at < %(end)s AND m.n_guides > 0 AND g.staff_id IS NOT NULL
       AND (m.source <> 'sop' OR m.source_id IS DISTINCT FROM %(not_sop)s)
       AND (m.state IN ('out', 'done') OR g.state = 'published') AND (%(all)s OR g.staff_id = ANY(%(staff)s::bigint[]))
    UNION ALL
    SELECT m.at, s.id FROM campaigns_moment m
      JOIN org_staff s ON s.brand_id = %(b)s AND s.corp_id = m.corp_id AND s.is_guide AND s.state = 'active' AND s.userid <> ''
     WHERE m.brand_id = %(b)s AND m.at >= %(start)s AND m.at < %(end)s AND m.n_guides = 0
       AND (m.source <> 'sop' OR m.source_id IS DISTINCT FROM %(not_sop)s)
       AND m.state IN ('planned', 'calling', 'running', 'out') AND (%(all)s OR s.id = ANY(%(staff)s::bigint[]))
       AND CASE WHEN m.staff_ids <> '{{}}' THEN s.id = ANY(m.staff_ids) WHEN m.tag_ids = '{{}}' THEN true
                ELSE EXISTS (SELECT FROM tagging_dimbits d
                              CROSS JOIN LATERAL (
                                    SELECT t.bits FROM tagging_dimbits t
                                     WHERE t.brand_id = (SELECT %(b)s) AND t.dim = {int(Dim.TAG)} AND t.val = ANY(m.tag_ids)
                                       AND t.chunk = d.chunk OFFSET 0) t
                              WHERE d.brand_id = %(b)s AND d.dim = {int(Dim.STAFF)} AND d.val = s.id
                                AND bit_count(d.bits & t.bits) > 0) END
"""  # noqa: S608
_TASKS = """
    SELECT k.due_at AS at, k.staff_id FROM campaigns_stafftask k
     WHERE k.brand_id = %(b)s AND k.due_at >= %(start)s AND k.due_at < %(end)s AND k.state <> 'cancelled'
       AND (k.source <> 'sop' OR k.source_id IS DISTINCT FROM %(not_sop)s)
       AND (%(all)s OR k.staff_id = ANY(%(staff)s::bigint[]))
"""
# (at, staff_id) of everything but send tasks; parameters: b, start, end, all, staff, not_sop (this SOP does not count; 0: all do)
OTHERS = f"{_TASKS} UNION ALL {_MOMENTS}"
# (on_day, staff_id, n, people): n things to do, people in the send tasks; parameters: zone as well
BY_DAY = f"""
    SELECT (t.at AT TIME ZONE %(zone)s)::date AS on_day, t.staff_id, count(*) AS n, sum(t.n)::bigint AS people
      FROM campaigns_sendtask t
     WHERE t.brand_id = %(b)s AND t.at >= %(start)s AND t.at < %(end)s AND t.n > 0 AND t.state NOT IN ('cancelled', 'failed')
       AND t.sop_id IS DISTINCT FROM %(not_sop)s AND (%(all)s OR t.staff_id = ANY(%(staff)s::bigint[])) GROUP BY 1, 2
    UNION ALL
    SELECT (o.at AT TIME ZONE %(zone)s)::date, o.staff_id, count(*), 0 FROM ({OTHERS}) o GROUP BY 1, 2
"""  # noqa: S608


def params(
    brand: Brand, start: datetime, end: datetime, staff_ids: Collection[int] | None, not_sop: int = 0
) -> dict[str, Any]:
    """Of some guides, within some time; `staff_ids` None: of everybody."""
    return {
        "b": brand.pk, "start": start, "end": end, "zone": brand.timezone,
        "all": staff_ids is None, "staff": array(staff_ids or ()), "not_sop": not_sop,
    }  # fmt: skip


def by_days(
    brand: Brand, staff_ids: Collection[int], first: date, last: date, *, without_sop: int = 0
) -> dict[tuple[int, date], tuple[int, int]]:
    """{(guide, day): (things to do, customers in the send tasks)} of some days, both included; one statement."""
    start, end = (governance.midnight(on, brand.timezone) for on in (first.toordinal(), last.toordinal() + 1))
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT x.staff_id, x.on_day, sum(x.n)::bigint, sum(x.people)::bigint FROM ({BY_DAY}) x GROUP BY 1, 2",  # noqa: S608
            params(brand, start, end, staff_ids, without_sop),
        )
        return {(staff_id, on): (n, people) for staff_id, on, n, people in cursor.fetchall()}
