"""Records that have become one since their messages were planned: the person gets each message once, and nothing of an
SOP's enrolment that the merge has closed.

A merge holds its customers' rows and must not wait for planners, so the claim of send tasks looks, when it is decided what
goes out. Of two that are the same the one that WeCom has goes first, then the one that was written first of those that can
still go: their guide has the customer, and it is not too late. What both of two calls under way had when the records became
one goes out: it cannot be had back. The same are messages of one step that were on the way of both records, not of somebody
who comes to it again; and of a broadcast the waves of which everybody gets one.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection

from campaigns.models import SendTask, Touch, Wave
from campaigns.services.broadcasts import rest_waves
from campaigns.services.ledger.leftovers import GOES_WITH, REASON
from campaigns.services.ledger.touches import array
from contacts.models import Merge
from tenants.db.joins import joined_by_loop
from tenants.models import Brand

State = Touch.State
AHEAD = timedelta(days=30)  # a wave and its rests lie no further apart
SAME_STEP = timedelta(days=1)  # who enters an SOP again gets its steps again
_ALIVE = [int(State.PLANNED), int(State.HANDED), int(State.DELIVERED)]
_BEGUN = {SendTask.State.CALLING, SendTask.State.HANDED, SendTask.State.FINAL}

# whoever was joined is looked up by themselves, however many the brand has joined
_MERGES = """
    SELECT m.contact_id, m.at, m.enrolments::text
      FROM unnest(%(people)s::bigint[]) AS p(id)
     CROSS JOIN LATERAL (
           SELECT m.contact_id, m.at, m.moved -> 'campaigns.Enrolment.contact_id' AS enrolments FROM contacts_merge m
            WHERE m.brand_id = (SELECT %(b)s) AND m.contact_id = p.id AND m.parted_at IS NULL OFFSET 0) m
"""
_TOUCHES = """
    SELECT t.id, t.contact_id, t.at, t.state, t.step_id, t.wave_id, t.send_task_id, coalesce(k.state, ''),
           coalesce(k.moved_at, t.at), coalesce(f.has, false)
      FROM unnest(%(people)s::bigint[]) AS p(id)
     CROSS JOIN LATERAL (
           SELECT t.id, t.contact_id, t.at, t.state, t.step_id, t.wave_id, t.send_task_id, t.staff_id FROM campaigns_touch t
            WHERE t.brand_id = (SELECT %(b)s) AND t.contact_id = p.id AND t.at >= %(since)s
              AND t.state = ANY(%(states)s) OFFSET 0) t
      LEFT JOIN LATERAL (
           SELECT k.state, k.moved_at FROM campaigns_sendtask k
            WHERE k.brand_id = (SELECT %(b)s) AND k.id = t.send_task_id OFFSET 0) k ON true
      LEFT JOIN LATERAL (
           SELECT f.ended_at IS NULL AND NOT f.is_pending AS has FROM contacts_follow f
            WHERE f.brand_id = (SELECT %(b)s) AND f.contact_id = t.contact_id AND f.staff_id = t.staff_id OFFSET 0) f ON true
     ORDER BY t.id
"""
# which enrolment has sent what: ';' comes after ':'
_ENROLLED = """
    SELECT k.touch_id, e.id, e.entered_at, e.end_kind
      FROM unnest(%(people)s::bigint[]) AS p(id)
     CROSS JOIN LATERAL (
           SELECT e.id, e.sop_id, e.entered_at, e.end_kind FROM campaigns_enrolment e
            WHERE e.brand_id = (SELECT %(b)s) AND e.contact_id = p.id OFFSET 0) e
     CROSS JOIN LATERAL (
           SELECT k.touch_id, k.touch_at FROM campaigns_touchkey k
            WHERE k.brand_id = (SELECT %(b)s) AND k.key > 's:' || e.id || ':' AND k.key < 's:' || e.id || ';' OFFSET 0) k
     WHERE e.sop_id = ANY(%(sops)s) AND k.touch_at >= %(since)s
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
    goes_at: datetime  # what is too late is counted from here
    has_guide: bool  # whoever is to send it has this customer


class Joined(NamedTuple):
    """A merge, and the enrolments that were the other record's."""

    at: datetime
    enrolments: frozenset[int]


class Enrolled(NamedTuple):
    """The enrolment that a touch is of."""

    enrolment_id: int
    entered_at: datetime
    is_closed: bool


@dataclass(frozen=True)
class _Known:
    """What is known of some people who were joined.

    Attributes:
        merges: {contact: their merges}.
        enrolled: {touch: its enrolment}.
        waves: {wave: (broadcast, which of those that everybody gets one of)}.
        in_time: {send task: what was planned before it is too late by now}.
    """

    merges: Mapping[int, Sequence[Joined]]
    enrolled: Mapping[int, Enrolled]
    waves: Mapping[int, tuple[int, int]]
    in_time: Mapping[int, datetime]


class Surplus(NamedTuple):
    """What does not go out of a send task.

    Attributes:
        touches: {reason: touches}.
        gone: contacts of whom nothing is left in the task.
    """

    touches: dict[Touch.Reason, list[int]]
    gone: set[int]


def surplus(brand: Brand, tasks: Collection[SendTask], in_time: Mapping[int, datetime]) -> dict[int, Surplus]:
    """{send task: what does not go out}, of tasks that are about to be claimed.

    Args:
        in_time: {send task: what was planned before it is too late by now}.
    """
    # in the order of an index: asked for any one, Postgres may gather all that the brand has
    if not tasks or not Merge.objects.order_by("at").values_list("pk")[:1]:
        return {}
    merges = _merges(brand, {pk for task in tasks for pk in task.contact_ids})
    if not merges:
        return {}
    since = min(task.at for task in tasks) - AHEAD
    rows = _touches(brand, merges, since)
    sops = {task.sop_id for task in tasks if task.sop_id}
    known = _Known(
        merges,
        _enrolled(brand, merges, sops, since) if sops else {},
        _waves({row.wave_id for row in rows if row.wave_id}),
        in_time,
    )
    of_person: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        of_person[row.contact_id].append(row)
    mine = {task.pk for task in tasks}
    found: dict[int, Surplus] = {}
    for theirs in of_person.values():
        out = _out(theirs, mine, known)
        for row in theirs:
            if row.touch_id in out and row.task_id:
                one = found.setdefault(row.task_id, Surplus({}, set()))
                one.touches.setdefault(out[row.touch_id], []).append(row.touch_id)
        for task_id in {row.task_id for row in theirs if row.touch_id in out and row.task_id}:
            if all(row.touch_id in out for row in theirs if row.task_id == task_id):
                found[task_id].gone.add(theirs[0].contact_id)
    return found


def _out(theirs: Sequence[Row], mine: Collection[int], known: _Known) -> dict[int, Touch.Reason]:
    """{touch: why not}, of one person; oldest first."""
    out: dict[int, Touch.Reason] = {}
    for row in theirs:
        if row.state != State.PLANNED or row.task_id not in mine:
            continue
        if _is_closed(row, known):
            out[row.touch_id] = REASON
        elif any(
            other is not row
            and other.touch_id not in out
            and _is_same(row, other, known)
            and (_has_it(other) or (other.touch_id < row.touch_id and _can_go(other, row.task_id, known)))
            for other in theirs
        ):
            out[row.touch_id] = Touch.Reason.JOINED
    return out


def _is_closed(row: Row, known: _Known) -> bool:
    return row.touch_id in known.enrolled and known.enrolled[row.touch_id].is_closed


def _is_same(one: Row, other: Row, known: _Known) -> bool:
    if one.task_id == other.task_id:
        return True
    if one.wave_id and other.wave_id:
        return known.waves[one.wave_id] == known.waves[other.wave_id]
    if not one.step_id or one.step_id != other.step_id or abs(one.at - other.at) >= SAME_STEP:
        return False
    mine, theirs = known.enrolled.get(one.touch_id), known.enrolled.get(other.touch_id)
    if mine is None or theirs is None:
        return False
    return any(
        (mine.enrolment_id in merge.enrolments) != (theirs.enrolment_id in merge.enrolments)
        and max(mine.entered_at, theirs.entered_at) <= merge.at
        for merge in known.merges[one.contact_id]
    )


def _has_it(row: Row) -> bool:
    """Whether WeCom has it, or is just told. Of a broadcast the send task alone says so (services/ledger/waiting.py)."""
    return row.state != State.PLANNED or row.task_state in _BEGUN


def _can_go(other: Row, task_id: int | None, known: _Known) -> bool:
    """Whether one that is planned will not be left out itself; as late as that of this task may be."""
    return other.has_guide and other.goes_at >= known.in_time[task_id or 0] and not _is_closed(other, known)


def _rows(sql: str, brand: Brand, people: Iterable[int], **given: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor, joined_by_loop(cursor):
        cursor.execute(sql, {"b": brand.pk, "people": array(sorted(people)), **given})
        return cursor.fetchall()


def _merges(brand: Brand, people: Collection[int]) -> dict[int, list[Joined]]:
    found: dict[int, list[Joined]] = defaultdict(list)
    for contact_id, at, enrolments in _rows(_MERGES, brand, people):
        found[contact_id].append(Joined(at, frozenset(json.loads(enrolments or "[]"))))
    return found


def _touches(brand: Brand, people: Iterable[int], since: datetime) -> list[Row]:
    return [Row(*row) for row in _rows(_TOUCHES, brand, people, since=since, states=_ALIVE)]


def _enrolled(
    brand: Brand, people: Iterable[int], sops: Collection[int], since: datetime
) -> dict[int, Enrolled]:
    rows = _rows(_ENROLLED, brand, people, sops=sorted(sops), since=since)
    return {touch_id: Enrolled(pk, entered, end in GOES_WITH) for touch_id, pk, entered, end in rows}


def _waves(wave_ids: Collection[int]) -> dict[int, tuple[int, int]]:
    """Waves beside each other are for different people; a repeat, or one after another one, is a message of its own."""
    waves = Wave.objects.filter(pk__in=wave_ids).select_related("broadcast")
    return {
        wave.pk: (
            wave.broadcast_id,
            rest_waves.root_of(wave) if wave.broadcast.repeat or wave.condition.get("after") else 0,
        )
        for wave in waves.only("broadcast_id", "n", "condition", "broadcast__repeat")
    }
