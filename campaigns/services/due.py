"""What a minute's tick finds to do, in one statement: an index probe for each kind."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from django.db import connection, transaction
from django.db.models import QuerySet

from campaigns.models import Broadcast, Moment, SendTask, Wave
from scrm import clock
from tenants.scoping import current_brand_id

State = SendTask.State

TASKS = (State.PLANNED, State.CALLING, State.HANDED)
MOST_TASKS = 20_000  # in one minute
WAVE, MOMENT = "wave", "moment"
MOMENTS = [Moment.State.PLANNED, Moment.State.CALLING, Moment.State.RUNNING, Moment.State.OUT]


@dataclass
class Due:
    """Oldest first."""

    tasks: dict[str, list[tuple[int, int]]] = field(default_factory=lambda: {state: [] for state in TASKS})
    """(send task, guide) by state."""
    waves: list[int] = field(default_factory=list)
    moments: list[int] = field(default_factory=list)


def due_waves() -> QuerySet[Wave]:
    """Waves whose time has come."""
    return Wave.objects.filter(
        state=Wave.State.WAITING, at__lte=clock.now(), broadcast__state=Broadcast.State.ON
    )


def _words(states: Iterable[str]) -> str:
    return ", ".join(f"'{state}'" for state in states)


# as text: putting it together each minute for each brand cost more than the answer
_LOOK = f"""
    SELECT * FROM (
        SELECT id, staff_id, state, next_try_at FROM campaigns_sendtask
         WHERE brand_id = %(b)s AND state IN ({_words(TASKS)}) AND next_try_at <= %(now)s
         ORDER BY next_try_at, id LIMIT {MOST_TASKS}) tasks
     UNION ALL
    SELECT w.id, w.broadcast_id, '{WAVE}', w.at FROM campaigns_wave w
      JOIN campaigns_broadcast b ON b.brand_id = %(b)s AND b.id = w.broadcast_id AND b.state = '{Broadcast.State.ON.value}'
     WHERE w.brand_id = %(b)s AND w.state = '{Wave.State.WAITING.value}' AND w.at <= %(now)s
     UNION ALL
    SELECT id, corp_id, '{MOMENT}', next_try_at FROM campaigns_moment
     WHERE brand_id = %(b)s AND state IN ({_words(MOMENTS)}) AND next_try_at <= %(now)s
     ORDER BY 4, 1
"""  # noqa: S608


@transaction.atomic(savepoint=False)
def look() -> Due:
    """Send tasks and moments that want something now, and waves whose time has come."""
    found = Due()
    with connection.cursor() as cursor:
        cursor.execute(_LOOK, {"b": current_brand_id(), "now": clock.now()})
        rows = cursor.fetchall()
    for pk, staff_id, kind, _ in rows:
        if kind == WAVE:
            found.waves.append(pk)
        elif kind == MOMENT:
            found.moments.append(pk)
        else:
            found.tasks[kind].append((pk, staff_id))
    return found
