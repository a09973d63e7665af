"""Messages of an SOP that are planned for somebody who leaves it.

Between plan and hand-over may lie quiet hours, a guide's full day (up to seven days) or a pause. Who leaves meanwhile by a
goal or an exit, by hand, with a version that has no place for them or with the last guide gets nothing of that SOP any
more: what is planned is held back with the reason LEFT_SOP. Who has come to the end gets what was planned on the way, unless
what is a goal or exit of the SOP happens before it is handed over: whoever has bought since is not called back. Of an SOP
that has ended all of it is cancelled (sops.cancel_planned). What WeCom has already stays there.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection

from campaigns.models import Enrolment, SendTask, SopStep, Touch
from campaigns.services.governance import outranking
from campaigns.services.journeys.happened import first_after
from campaigns.services.ledger.touches import array
from tenants.db.joins import joined_by_loop
from tenants.models import Brand

End = Enrolment.End
REASON = Touch.Reason.LEFT_SOP
GOES_WITH = frozenset({End.GOAL, End.EXIT, End.REMOVED, End.VERSION, End.LOST})


class Gone(NamedTuple):
    """Somebody who leaves."""

    contact_id: int
    sop_id: int


# the first of each SOP by an index (send_task_planned), however much the SOP has sent already
_PLANNED_SINCE = """
    SELECT min(k.at)
      FROM unnest(%s::bigint[]) AS g(sop_id)
     CROSS JOIN LATERAL (
           SELECT k.at FROM campaigns_sendtask k
            WHERE k.brand_id = %s AND k.sop_id = g.sop_id AND k.state = 'planned' ORDER BY k.at LIMIT 1) k
"""
# each from their own touches, however much the SOP has planned for others
_PLANNED = """
    SELECT 0, t.id, t.at, t.kind, t.contact_id, k.id, k.priority
      FROM unnest(%(contacts)s::bigint[], %(sops)s::bigint[]) AS g(contact_id, sop_id)
     CROSS JOIN LATERAL (
           SELECT t.id, t.at, t.kind, t.contact_id, t.send_task_id, t.sop_id FROM campaigns_touch t
            WHERE t.brand_id = (SELECT %(b)s) AND t.contact_id = g.contact_id AND t.at >= %(since)s
              AND t.state = %(planned)s OFFSET 0) t
     CROSS JOIN LATERAL (
           SELECT k.id, k.priority, k.state FROM campaigns_sendtask k
            WHERE k.brand_id = (SELECT %(b)s) AND k.id = t.send_task_id OFFSET 0) k
     WHERE t.sop_id = g.sop_id AND k.state = 'planned'
"""
# of two records that are one now, the one that was closed does not count beside the open one
_OF_TASKS = """
    SELECT g.task_id, g.contact_id, e.end_kind, e.joined_at
      FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[]) AS g(task_id, contact_id, sop_id)
     CROSS JOIN LATERAL (
           SELECT e.ended_at, e.end_kind, e.joined_at
             FROM (SELECT e.id, e.sop_id, e.ended_at, e.end_kind, e.joined_at FROM campaigns_enrolment e
                    WHERE e.brand_id = (SELECT %s) AND e.contact_id = g.contact_id OFFSET 0) e
            WHERE e.sop_id = g.sop_id ORDER BY e.ended_at IS NULL DESC, e.id DESC LIMIT 1) e
     WHERE e.ended_at IS NOT NULL AND e.end_kind = ANY(%s)
"""


def take_back(brand: Brand, gone: Sequence[Gone], now: datetime) -> None:
    """What is planned for people who leave is held back, in the caller's transaction, which holds the gate: no send task is
    claimed meanwhile."""
    since = _planned_since(brand, {one.sop_id for one in gone}) if gone else None
    if since is None:
        return
    with connection.cursor() as cursor, joined_by_loop(cursor):
        cursor.execute(
            _PLANNED,
            {
                "b": brand.pk,
                "contacts": array(one.contact_id for one in gone),
                "sops": array(one.sop_id for one in gone),
                "since": since,
                "planned": int(Touch.State.PLANNED),
            },
        )
        planned = [outranking.Planned(*row) for row in cursor.fetchall()]
    outranking.take_back(brand, None, planned, now, REASON)


def _planned_since(brand: Brand, sop_ids: Collection[int]) -> datetime | None:
    """The earliest moment of what some SOPs have planned and WeCom does not have; None: nothing."""
    with connection.cursor() as cursor, joined_by_loop(cursor):
        cursor.execute(_PLANNED_SINCE, [array(sop_ids), brand.pk])
        found: datetime | None = cursor.fetchone()[0]
    return found


def of_tasks(brand: Brand, tasks: Collection[SendTask]) -> dict[int, set[int]]:
    """{send task: who of its people gets nothing of its SOP any more}, of tasks that are about to be claimed. While a call is
    under way whoever leaves is not taken out of it, and it may not have been made; nobody takes out who was at the end."""
    found: dict[int, set[int]] = {}
    again = [task for task in tasks if task.sop_id and task.n_tries]
    for task_id, contact_id, _end, _joined in _ended(brand, again, GOES_WITH):
        found.setdefault(task_id, set()).add(contact_id)
    for task_id, contact_id in _reached_since(brand, tasks):
        found.setdefault(task_id, set()).add(contact_id)
    return found


def _ended(
    brand: Brand, tasks: Collection[SendTask], kinds: Collection[End]
) -> list[tuple[int, int, str, datetime]]:
    """(send task, contact, how it ended, when they had come in), of those who are in the task's SOP no more."""
    rows = [(task.pk, pk, task.sop_id) for task in tasks for pk in task.contact_ids]
    if not rows:
        return []
    with connection.cursor() as cursor, joined_by_loop(cursor):
        columns = [array(column) for column in zip(*rows, strict=True)]
        cursor.execute(_OF_TASKS, [*columns, brand.pk, [str(kind) for kind in kinds]])
        return cursor.fetchall()


def _reached_since(brand: Brand, tasks: Collection[SendTask]) -> Iterator[tuple[int, int]]:
    """(send task, contact) of those who were at the end, and to whom what is a goal or exit of the message's version has
    happened since they came in. What the SOP has done itself (its tags, its messages) is none. Conditions are not asked:
    they may hold by what the SOP did on the way."""
    of_step = {task.step_id for task in tasks if task.sop and task.sop.is_graph and task.step_id}
    chosen = SopStep.objects.filter(pk__in=of_step).values_list("pk", "version__graph__settings")
    rows_of = {pk: rows for pk, settings in chosen if (rows := _by_event(settings))} if of_step else {}
    for step_id, rows in rows_of.items():
        mine = [task for task in tasks if task.step_id == step_id]
        done = _ended(brand, mine, {End.DONE})
        people = {contact_id: joined_at for _task, contact_id, _end, joined_at in done}
        own = ("sop", f"sop:{mine[0].sop_id}")
        reached = {pk for row in rows for pk in first_after(brand, row, list(people.items()), but_by=own)}
        yield from ((task_id, pk) for task_id, pk, _end, _joined in done if pk in reached)


def _by_event(settings: dict[str, Any]) -> list[dict[str, Any]]:
    return [row for what in ("goals", "exits") for row in settings.get(what) or [] if row.get("event")]
