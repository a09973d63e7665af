"""A planned touch gives way to a later broadcast of strictly higher priority.

Somebody for whom a cap, the gap or the allowance is in the way may be so because of touches that are only planned: held by
quiet hours, by a pause, or waiting for their turn. Those of lower priority are taken back, the lowest first and no more
than needed; where even all of them would not help, none is. What WeCom has already is never taken back. SOP messages
have priority 5. Under the brand's gate, so no send task is claimed meanwhile.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection

from campaigns.governance import Rules
from campaigns.models import SendTask, Touch, Wave, WaveSet
from campaigns.services import gate, planes, planning, touches
from campaigns.services.touches import array
from contacts.models import EventType
from tagging.services.frames import Bits, Frame
from tenants.models import Brand

Reason = Touch.Reason


class Planned(NamedTuple):
    """A touch that could give way."""

    position: int
    touch_id: int
    at: datetime
    kind: int
    contact_id: int
    task_id: int
    priority: int


# of the people asked about only: a brand may have millions of planned touches, and the gate is held meanwhile
_LOWER = """
    WITH asked AS MATERIALIZED (
        SELECT r.chunk, r.bits::bit(8192) AS bits FROM unnest(%(chunks)s::int[], %(bits)s::text[]) AS r(chunk, bits)
    ), person AS MATERIALIZED (
        SELECT s.position, c.id AS contact_id, k.id AS task_id, k.at, k.priority
          FROM campaigns_sendtask k CROSS JOIN LATERAL unnest(k.contact_ids) AS c(id)
          JOIN contacts_contactstat s ON s.brand_id = %(b)s AND s.contact_id = c.id
          JOIN asked a ON a.chunk = s.position / 8192
         WHERE k.brand_id = %(b)s AND k.state = 'planned' AND k.priority < %(priority)s
           AND get_bit(a.bits, (s.position %% 8192)::int) = 1
    )
    SELECT p.position, t.id, t.at, t.kind, t.contact_id, p.task_id, p.priority
      FROM person p
      JOIN campaigns_touch t ON t.brand_id = %(b)s AND t.contact_id = p.contact_id AND t.at = p.at
       AND t.send_task_id = p.task_id
     WHERE t.state = %(planned)s
     ORDER BY p.priority, t.id
"""


def find(
    brand: Brand,
    frame: Frame,
    refused: dict[Touch.Reason, Bits],
    *,
    at: datetime,
    kind: int,
    priority: int,
    rules: Rules,
) -> tuple[Bits, list[Planned]]:
    """Whom the gate would let through if planned touches of lower priority gave way, and these touches."""
    in_the_way = frame.empty()
    for reason in gate.BY_NUMBER:
        in_the_way = in_the_way | refused.get(reason, frame.empty())
    if not in_the_way.any() or not SendTask.objects.filter(state="planned", priority__lt=priority).exists():
        return frame.empty(), []
    chunks = list(frame.rows(in_the_way))
    given: dict[str, Any] = {
        "b": brand.pk,
        "priority": priority,
        "planned": int(Touch.State.PLANNED),
        "chunks": [row[0] for row in chunks],
        "bits": [row[1] for row in chunks],
    }
    lower: dict[int, list[Planned]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(_LOWER, given)
        for row in cursor:
            lower[row[4]].append(Planned(*row))
    if not lower:
        return frame.empty(), []
    counted: dict[int, list[tuple[int, datetime]]] = defaultdict(list)
    for contact_id, of_kind, moment in gate.counted_touches(brand, list(lower), at, rules):
        counted[contact_id].append((of_kind, moment))
    taken: list[Planned] = []
    for contact_id, rows in lower.items():
        taken += _needed(rows, counted[contact_id], at, kind, rules)
    return frame.of_positions(row.position for row in taken), taken


def _needed(
    lower: Sequence[Planned], counted: list[tuple[int, datetime]], at: datetime, kind: int, rules: Rules
) -> list[Planned]:
    """The touches of one person that have to go, the lowest first; none when all of them would not help."""
    left, given = list(counted), []
    for row in lower:
        if (row.kind, row.at) not in left:
            continue  # too far away to matter
        left.remove((row.kind, row.at))
        given.append(row)
        if gate.reason_of(rules, left, at, kind) is None:
            # one that was taken first may not have been in the way at all
            for earlier in list(given):
                back = [*left, (earlier.kind, earlier.at)]
                if gate.reason_of(rules, back, at, kind) is None:
                    left, given = back, [one for one in given if one is not earlier]
            return given
    return []


def take_back(brand: Brand, frame: Frame, taken: Sequence[Planned], now: datetime) -> None:
    """Write it: touches held back with their reason, send tasks without them, figures of their waves and steps."""
    if not taken:
        return
    by_task: dict[int, list[Planned]] = defaultdict(list)
    for row in taken:
        by_task[row.task_id].append(row)
    tasks = SendTask.objects.select_for_update(of=("self",)).select_related("broadcast", "sop").order_by("pk")
    blocked: dict[tuple[int, int, int], int] = defaultdict(int)
    of_wave: dict[int, list[Planned]] = defaultdict(list)
    for task in tasks.filter(pk__in=by_task, state=SendTask.State.PLANNED):  # cancelled meanwhile: left alone
        done = _block(brand, task, by_task[task.pk], now)
        taken_ids = {
            touch_id for touch_id, _contact_id in done
        }  # who is not planned any more keeps what they have
        rows = [row for row in by_task[task.pk] if row.touch_id in taken_ids]
        gone = {row.contact_id for row in rows}
        touches.tell(
            brand, EventType.TOUCH_BLOCKED, done, at=now, staff_id=task.staff_id, reason=Reason.OUTRANKED,
            data={"broadcast": task.broadcast.name} if task.broadcast else {"sop": task.sop.name if task.sop else ""},
            source="broadcast" if task.broadcast_id else "sop",
        )  # fmt: skip
        left = [pk for pk in task.contact_ids if pk not in gone]
        state = SendTask.State.PLANNED if left else SendTask.State.CANCELLED
        SendTask.objects.filter(pk=task.pk).update(contact_ids=left, n=len(left), state=state)
        if task.sop_id and task.step_id:
            blocked[(task.sop_id, task.step_id, int(Reason.OUTRANKED))] += len(done)
        if task.wave_id:
            of_wave[task.wave_id] += rows
    planning.count_blocked(brand, now, blocked)
    for wave_id, rows in sorted(of_wave.items()):
        note_held(brand, frame, wave_id, Reason.OUTRANKED, [row.position for row in rows])


def _block(brand: Brand, task: SendTask, rows: Sequence[Planned], now: datetime) -> list[tuple[int, int]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE campaigns_touch SET state = %s, reason = %s, done_at = %s WHERE brand_id = %s AND at = %s"
            " AND id = ANY(%s::bigint[]) AND state = %s RETURNING id, contact_id",
            [
                int(Touch.State.BLOCKED), int(Reason.OUTRANKED), now, brand.pk, task.at, array(row.touch_id for row in rows),
                int(Touch.State.PLANNED),
            ],
        )  # fmt: skip
        done = cursor.fetchall()
    planes.mark_dirty(brand, task.at, [contact_id for _touch_id, contact_id in done])
    return done


def note_held(
    brand: Brand, frame: Frame, wave_id: int, reason: Touch.Reason, positions: Sequence[int]
) -> None:
    """People of a planned wave are held back after all: its figures and its lists of people say so."""
    wave = Wave.objects.select_for_update(of=("self",)).get(pk=wave_id)
    name = reason.name.lower()
    wave.numbers[name] = int(wave.numbers.get(name, 0)) + len(positions)
    wave.numbers["planned"] = int(wave.numbers.get("planned", 0)) - len(positions)
    wave.save(update_fields=["numbers"])
    rows = list(frame.rows(frame.of_positions(positions)))
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {WaveSet._meta.db_table} AS w (brand_id, wave_id, what, chunk, bits)"  # noqa: S608
            " SELECT %s, %s, %s, r.chunk, r.bits::bit(8192) FROM unnest(%s::int[], %s::text[]) AS r(chunk, bits)"
            " ON CONFLICT (brand_id, wave_id, what, chunk) DO UPDATE SET bits = w.bits | excluded.bits",
            [brand.pk, wave_id, int(reason), [row[0] for row in rows], [row[1] for row in rows]],
        )
