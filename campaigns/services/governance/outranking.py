"""A planned touch gives way to a later campaign, broadcast or SOP, of strictly higher priority.

Somebody for whom a cap, the gap or the allowance is in the way may be so because of touches that are only planned: held by
quiet hours, by a pause, or waiting for their turn. Those of lower priority are taken back, the lowest first and no more
than needed; where even all of them would not help, none is. What WeCom has already is never taken back. Messages of an
SOP have its priority. Under the brand's gate, so no send task is claimed meanwhile.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection

from campaigns.governance import Rules
from campaigns.models import SendTask, Touch, Wave, WaveSet
from campaigns.services.governance import gate, workload
from campaigns.services.governance.rules import rules_of
from campaigns.services.ledger import planes, planning
from campaigns.services.ledger.touches import array
from campaigns.services.sending import senders
from contacts.models import EventType
from contacts.services.timeline import EventRow, record_events
from tagging.services.bits import frames
from tagging.services.bits.frames import Bits, Frame
from tenants.db.joins import joined_by_loop
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

# of a few people: from their own touches, however much is planned for others
_LOWER_OF_FEW = """
    SELECT s.position, t.id, t.at, t.kind, t.contact_id, k.id, k.priority
      FROM (SELECT contact_id, position FROM contacts_contactstat
             WHERE brand_id = (SELECT %(b)s) AND contact_id = ANY(%(few)s::bigint[]) OFFSET 0) s
     CROSS JOIN LATERAL (
           SELECT t.id, t.at, t.kind, t.contact_id, t.send_task_id FROM campaigns_touch t
            WHERE t.brand_id = (SELECT %(b)s) AND t.contact_id = s.contact_id AND t.at >= %(since)s AND t.at < %(until)s
              AND t.state = %(planned)s OFFSET 0) t
     CROSS JOIN LATERAL (
           SELECT k.id, k.at, k.state, k.priority FROM campaigns_sendtask k
            WHERE k.brand_id = (SELECT %(b)s) AND k.id = t.send_task_id OFFSET 0) k
     WHERE k.at = t.at AND k.state = 'planned' AND k.priority < %(priority)s
     ORDER BY k.priority, t.id
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
    few: Collection[int] | None = None,
) -> tuple[Bits, list[Planned]]:
    """Whom the gate would let through if planned touches of lower priority gave way, and these touches.

    Args:
        few: the contacts who were refused, where they are few.
    """
    in_the_way = frame.empty()
    for reason in gate.BY_NUMBER:
        in_the_way = in_the_way | refused.get(reason, frame.empty())
    if not in_the_way.any() or not _is_any_below(priority):
        return frame.empty(), []
    given: dict[str, Any] = {"b": brand.pk, "priority": priority, "planned": int(Touch.State.PLANNED)}
    if few is None:
        chunks = list(frame.rows(in_the_way))
        given |= {"chunks": [row[0] for row in chunks], "bits": [row[1] for row in chunks]}
    else:
        since, until = gate.span_of(at, rules)
        given |= {"few": array(few), "since": since, "until": until}
    lower: dict[int, list[Planned]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(_LOWER if few is None else _LOWER_OF_FEW, given)
        for row in cursor:
            lower[row[4]].append(Planned(*row))
    if not lower:
        return frame.empty(), []
    counted: dict[int, list[tuple[int, datetime]]] = defaultdict(list)
    for contact_id, of_kind, moment in gate.counted_touches(brand, list(lower), at, rules):
        counted[contact_id].append((of_kind, moment))
    taken: list[Planned] = []
    for contact_id, rows in lower.items():
        taken += needed(rows, counted[contact_id], at, kind, rules)
    return frame.of_positions(row.position for row in taken), taken


def _is_any_below(priority: int) -> bool:
    return SendTask.objects.filter(state="planned", priority__lt=priority).exists()


def make_room(
    brand: Brand,
    refused: dict[int, Touch.Reason],
    priorities: Mapping[int, int],
    *,
    at: datetime,
    now: datetime,
) -> dict[int, Touch.Reason]:
    """Of people whom the gate has refused a message of an SOP: who still is after planned touches of lower campaigns have
    given way, which are taken back here. In the caller's transaction, which holds the gate.

    Args:
        priorities: {contact: priority of the SOP that speaks to them}.
    """
    asked = [contact_id for contact_id, reason in refused.items() if reason in gate.BY_NUMBER]
    if not asked or not _is_any_below(max(priorities[contact_id] for contact_id in asked)):
        return refused
    # who has no guide now, or one without room on that day, would get nothing for what is taken
    by_priority: dict[int, dict[int, int]] = defaultdict(dict)
    for contact_id, sender in senders.choose(brand, asked).items():
        by_priority[priorities[contact_id]][contact_id] = sender.staff_id
    rules, freed = rules_of(brand), set()
    for priority, guides in sorted(by_priority.items(), reverse=True):
        contact_ids = workload.with_room(brand, guides, at=at, priority=priority)
        frame, places = frames.frame_of(brand, contact_ids)
        position_of = {contact_id: position for position, contact_id in places.items()}
        in_the_way = {
            reason: frame.of_positions(
                position_of[pk] for pk in contact_ids if pk in position_of and refused[pk] == reason
            )
            for reason in gate.BY_NUMBER
        }
        room, taken = find(
            brand,
            frame,
            in_the_way,
            at=at,
            kind=Touch.Kind.SOP,
            priority=priority,
            rules=rules,
            few=contact_ids,
        )
        take_back(brand, frame, taken, now)
        freed |= {places[position] for position in frame.positions(room)}
    return {contact_id: reason for contact_id, reason in refused.items() if contact_id not in freed}


def needed(
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


def take_back(
    brand: Brand,
    frame: Frame | None,
    taken: Sequence[Planned],
    now: datetime,
    reason: Touch.Reason = Reason.OUTRANKED,
) -> None:
    """Write it: touches held back with their reason, send tasks without them, figures of their waves and steps. By sets: a
    campaign that waits may lose a few people from each of a thousand tasks.

    Args:
        frame: of their people; None where all are messages of SOPs, which have no waves.
    """
    if not taken:
        return
    by_task: dict[int, list[Planned]] = defaultdict(list)
    for row in taken:
        by_task[row.task_id].append(row)
    locked = (
        SendTask.objects.select_for_update(of=("self",)).select_related("broadcast", "sop").order_by("pk")
    )
    # cancelled meanwhile: left alone
    tasks = list(locked.filter(pk__in=by_task, state=SendTask.State.PLANNED))
    # who is not planned any more keeps what they have
    done = _block(brand, [row for task in tasks for row in by_task[task.pk]], now, reason)
    blocked: dict[tuple[int, int, int], int] = defaultdict(int)
    of_wave: dict[int, list[int]] = defaultdict(list)
    events: list[EventRow] = []
    left: list[tuple[int, list[int]]] = []
    for task in tasks:
        rows = [row for row in by_task[task.pk] if row.touch_id in done]
        gone = {row.contact_id for row in rows}
        left.append((task.pk, [pk for pk in task.contact_ids if pk not in gone]))
        events += _told(task, {row.touch_id: done[row.touch_id] for row in rows}, now, reason)
        if task.sop_id and task.step_id:
            blocked[(task.sop_id, task.step_id, int(reason))] += len(rows)
        if task.wave_id:
            of_wave[task.wave_id] += [row.position for row in rows]
    record_events(brand, events)
    _shorten(brand, left)
    planning.count_blocked(brand, now, {key: n for key, n in blocked.items() if n})
    for wave_id, positions in sorted(of_wave.items()):
        assert frame is not None  # messages of SOPs have no wave
        note_held(brand, frame, wave_id, reason, positions)


def _block(brand: Brand, rows: Sequence[Planned], now: datetime, reason: Touch.Reason) -> dict[int, int]:
    """{touch: contact} of those that are held back now; one statement for each moment that they were planned for."""
    by_moment: dict[datetime, list[int]] = defaultdict(list)
    for row in rows:
        by_moment[row.at].append(row.touch_id)
    held: dict[int, int] = {}
    for at, touch_ids in sorted(by_moment.items()):
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE campaigns_touch SET state = %s, reason = %s, done_at = %s WHERE brand_id = %s AND at = %s"
                " AND id = ANY(%s::bigint[]) AND state = %s RETURNING id, contact_id",
                [
                    int(Touch.State.BLOCKED), int(reason), now, brand.pk, at, array(sorted(touch_ids)),
                    int(Touch.State.PLANNED),
                ],
            )  # fmt: skip
            done = cursor.fetchall()
        planes.mark_dirty(brand, at, [contact_id for _touch_id, contact_id in done])
        held |= dict(done)
    return held


def _told(task: SendTask, held: dict[int, int], now: datetime, reason: Touch.Reason) -> list[EventRow]:
    name = (
        {"broadcast": task.broadcast.name} if task.broadcast else {"sop": task.sop.name if task.sop else ""}
    )
    data = {**name, "reason": reason.name.lower()}
    source = "broadcast" if task.broadcast_id else "sop"
    return [
        {
            "contact_id": contact_id, "type": EventType.TOUCH_BLOCKED, "at": now, "staff_id": task.staff_id,
            "object_id": touch_id, "source": source, "data": data,
        }
        for touch_id, contact_id in held.items()
    ]  # fmt: skip


def _shorten(brand: Brand, left: Sequence[tuple[int, list[int]]]) -> None:
    """Send tasks keep those who are left; a task without anybody is cancelled."""
    if not left:
        return
    with connection.cursor() as cursor, joined_by_loop(cursor):
        cursor.execute(
            "UPDATE campaigns_sendtask t SET contact_ids = v.ids::bigint[], n = v.n,"
            " state = CASE v.n WHEN 0 THEN %s ELSE %s END"
            " FROM unnest(%s::bigint[], %s::text[], %s::int[]) AS v(id, ids, n) WHERE t.brand_id = %s AND t.id = v.id",
            [
                SendTask.State.CANCELLED.value,
                SendTask.State.PLANNED.value,
                [task_id for task_id, _ids in left],
                [array(ids) for _task_id, ids in left],
                [len(ids) for _task_id, ids in left],
                brand.pk,
            ],
        )


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
