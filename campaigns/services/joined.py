"""Records that have become one since their messages were planned: the person gets each message once, and nothing of an
SOP's enrolment that the merge has closed.

A merge holds its customers' rows and must not wait for planners, so the claim of send tasks looks, when it is decided what
goes out. Of two that are the same the one that WeCom has goes first, then the one that was written first. What both of two
calls under way had when the records became one goes out: it cannot be had back.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import connection

from campaigns.models import SendTask, Touch, Wave
from campaigns.services import rest_waves
from campaigns.services.leftovers import GOES_WITH, REASON
from campaigns.services.touches import array
from contacts.models import Merge
from tenants.db.joins import joined_by_loop
from tenants.models import Brand

State = Touch.State
AHEAD = timedelta(days=30)  # a wave and its rests lie no further apart
SAME_STEP = timedelta(days=1)  # who enters an SOP again gets its steps again
_ALIVE = [int(State.PLANNED), int(State.HANDED), int(State.DELIVERED)]
_BEGUN = {SendTask.State.CALLING, SendTask.State.HANDED, SendTask.State.FINAL}

_TOUCHES = """
    SELECT t.id, t.contact_id, t.at, t.state, t.step_id, t.wave_id, t.send_task_id, coalesce(k.state, '')
      FROM unnest(%(people)s::bigint[]) AS p(id)
     CROSS JOIN LATERAL (
           SELECT t.id, t.contact_id, t.at, t.state, t.step_id, t.wave_id, t.send_task_id FROM campaigns_touch t
            WHERE t.brand_id = (SELECT %(b)s) AND t.contact_id = p.id AND t.at >= %(since)s
              AND t.state = ANY(%(states)s) OFFSET 0) t
      LEFT JOIN LATERAL (
           SELECT k.state FROM campaigns_sendtask k
            WHERE k.brand_id = (SELECT %(b)s) AND k.id = t.send_task_id OFFSET 0) k ON true
     ORDER BY t.id
"""
# of enrolments that were closed: ';' comes after ':'
_CLOSED = """
    SELECT k.touch_id
      FROM unnest(%(people)s::bigint[]) AS p(id)
     CROSS JOIN LATERAL (
           SELECT e.id FROM campaigns_enrolment e
            WHERE e.brand_id = (SELECT %(b)s) AND e.contact_id = p.id AND e.end_kind = ANY(%(ends)s) OFFSET 0) e
     CROSS JOIN LATERAL (
           SELECT k.touch_id FROM campaigns_touchkey k
            WHERE k.brand_id = (SELECT %(b)s) AND k.key > 's:' || e.id || ':' AND k.key < 's:' || e.id || ';' OFFSET 0) k
"""


class Row(NamedTuple):
    """A touch of somebody who was two records."""

    touch_id: int
    contact_id: int
    at: datetime
    state: int
    step_id: int | None
    wave_id: int | None
    task_id: int | None
    task_state: str


class Surplus(NamedTuple):
    """What does not go out of a send task.

    Attributes:
        touches: {reason: touches}.
        gone: contacts of whom nothing is left in the task.
    """

    touches: dict[Touch.Reason, list[int]]
    gone: set[int]


def surplus(brand: Brand, tasks: Collection[SendTask]) -> dict[int, Surplus]:
    """{send task: what does not go out}, of tasks that are about to be claimed."""
    if not tasks or not Merge.objects.filter(parted_at=None).exists():
        return {}
    people = {pk for task in tasks for pk in task.contact_ids}
    joined = Merge.objects.filter(contact__in=people, parted_at=None).order_by()
    people = set(joined.values_list("contact_id", flat=True))
    if not people:
        return {}
    rows = _touches(brand, people, min(task.at for task in tasks) - AHEAD)
    closed = _closed(brand, people) if any(row.step_id for row in rows) else set()
    roots = _roots({row.wave_id for row in rows if row.wave_id})
    of_person: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        of_person[row.contact_id].append(row)
    mine = {task.pk for task in tasks}
    found: dict[int, Surplus] = {}
    for theirs in of_person.values():
        out = _out(theirs, mine, closed, roots)
        for row in theirs:
            if row.touch_id in out and row.task_id:
                one = found.setdefault(row.task_id, Surplus({}, set()))
                one.touches.setdefault(out[row.touch_id], []).append(row.touch_id)
        for task_id in {row.task_id for row in theirs if row.touch_id in out and row.task_id}:
            if all(row.touch_id in out for row in theirs if row.task_id == task_id):
                found[task_id].gone.add(theirs[0].contact_id)
    return found


def _out(
    theirs: Sequence[Row], mine: Collection[int], closed: set[int], roots: Mapping[int, tuple[int, int]]
) -> dict[int, Touch.Reason]:
    """{touch: why not}, of one person; oldest first."""
    out: dict[int, Touch.Reason] = {}
    for row in theirs:
        if row.state != State.PLANNED or row.task_id not in mine:
            continue
        if row.touch_id in closed:
            out[row.touch_id] = REASON
        elif any(
            _is_same(row, other, roots) and _is_first(other, row)
            for other in theirs
            if other is not row and (_has_it(other) or other.touch_id not in out.keys() | closed)
        ):
            out[row.touch_id] = Touch.Reason.JOINED
    return out


def _is_same(one: Row, other: Row, roots: Mapping[int, tuple[int, int]]) -> bool:
    if one.wave_id and other.wave_id:
        return roots[one.wave_id] == roots[other.wave_id]
    return bool(one.step_id) and one.step_id == other.step_id and abs(one.at - other.at) < SAME_STEP


def _is_first(other: Row, row: Row) -> bool:
    return _has_it(other) or other.touch_id < row.touch_id


def _has_it(row: Row) -> bool:
    """Whether WeCom has it, or is just told. Of a broadcast the send task alone says so (services/waiting.py)."""
    return row.state != State.PLANNED or row.task_state in _BEGUN


def _touches(brand: Brand, people: Collection[int], since: datetime) -> list[Row]:
    with connection.cursor() as cursor, joined_by_loop(cursor):
        cursor.execute(
            _TOUCHES, {"b": brand.pk, "people": array(sorted(people)), "since": since, "states": _ALIVE}
        )
        return [Row(*row) for row in cursor.fetchall()]


def _closed(brand: Brand, people: Collection[int]) -> set[int]:
    """Touches of enrolments that somebody or something has closed."""
    with connection.cursor() as cursor, joined_by_loop(cursor):
        ends = [str(kind) for kind in GOES_WITH]
        cursor.execute(_CLOSED, {"b": brand.pk, "people": array(sorted(people)), "ends": ends})
        return {row[0] for row in cursor.fetchall()}


def _roots(wave_ids: Collection[int]) -> dict[int, tuple[int, int]]:
    """{wave: (broadcast, number of the wave that somebody has written)}."""
    waves = Wave.objects.filter(pk__in=wave_ids).only("broadcast_id", "n", "condition")
    return {wave.pk: (wave.broadcast_id, rest_waves.root_of(wave)) for wave in waves}
