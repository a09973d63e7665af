"""From people and their steps to send tasks: chunks of at most 1,000 for each guide and step."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from django.db import connection

from campaigns.models import SendTask, SopStep, Touch
from campaigns.services import touches, variables
from campaigns.services.senders import Sender
from org.models import Staff
from tenants.db.joins import joined_by_loop
from tenants.models import Brand

CHUNK = 1_000  # contacts in one send task; WeCom allows 10,000 in one call


class Wanted(NamedTuple):
    """A touch to be planned."""

    contact_id: int
    step: SopStep
    sender: Sender
    touch_id: int


def digest_of(text: str, attachments: Sequence[Mapping[str, Any]]) -> str:
    """Of a content as we store it; two send tasks with the same one look the same to WeCom."""
    plain = json.dumps([text, list(attachments)], ensure_ascii=False, sort_keys=True)
    return hashlib.sha1(plain.encode(), usedforsecurity=False).hexdigest()


def write_plan(brand: Brand, at: datetime, wanted: Sequence[Wanted]) -> None:
    """Send tasks and their touches, in the caller's transaction, which holds the gate.

    A task of the same tick that still has room is filled up first: a guide confirms each task by hand, so a
    tick of many batches must not leave many small ones.
    """
    groups: dict[tuple[int, int], list[Wanted]] = defaultdict(list)
    for one in wanted:
        groups[(one.sender.staff_id, one.step.pk)].append(one)
    if not groups:
        return
    staff = Staff.objects.select_related("store").in_bulk({staff_id for staff_id, _ in groups})
    with_room = _tasks_with_room(at, {step_id for _, step_id in groups})
    new: list[tuple[SendTask, list[Wanted]]] = []
    filled: list[tuple[SendTask, list[Wanted]]] = []
    for (staff_id, step_id), rows in groups.items():
        step = rows[0].step
        text = variables.fill_in(step.text, brand=brand, staff=staff[staff_id])
        digest = digest_of(text, step.attachments)
        if task := with_room.get((staff_id, step_id, digest)):
            filled.append((task, rows[: CHUNK - task.n]))
            rows = rows[CHUNK - task.n :]
        for start in range(0, len(rows), CHUNK):
            chunk = rows[start : start + CHUNK]
            task = SendTask(
                corp_id=rows[0].sender.corp_id,
                staff_id=staff_id,
                sop_id=step.sop_id,
                step_id=step_id,
                at=at,
                text=text,
                attachments=step.attachments,
                content_id=step.content_id,
                content_digest=digest,
                contact_ids=[one.contact_id for one in chunk],
                n=len(chunk),
                next_try_at=at,
                kind=int(Touch.Kind.SOP),
            )
            new.append((task, chunk))
    _fill_up(brand, filled)
    SendTask.objects.bulk_create([task for task, _ in new])  # gives the ids
    rows_of_ledger = [
        (one.touch_id, one.contact_id, task.staff_id, task.sop_id, task.step_id, task.pk, 0)
        for task, chunk in (*filled, *new)
        for one in chunk
    ]
    touches.write(brand, at, Touch.Kind.SOP, rows_of_ledger)


def _tasks_with_room(at: datetime, step_ids: set[int]) -> dict[tuple[int, int | None, str], SendTask]:
    """Tasks that earlier batches of this tick have begun, by guide, step and content."""
    rows = SendTask.objects.select_for_update().filter(
        next_try_at=at, at=at, state=SendTask.State.PLANNED, step__in=step_ids, n__lt=CHUNK
    )
    return {
        (t.staff_id, t.step_id, t.content_digest): t
        for t in rows.only("staff", "step", "sop", "content_digest", "n", "brand")
    }


def _fill_up(brand: Brand, filled: Sequence[tuple[SendTask, list[Wanted]]]) -> None:
    if not filled:
        return
    with connection.cursor() as cursor, joined_by_loop(cursor):
        cursor.execute(
            "UPDATE campaigns_sendtask t SET contact_ids = t.contact_ids || v.ids::bigint[], n = t.n + v.n"
            " FROM unnest(%s::bigint[], %s::text[], %s::int[]) AS v(id, ids, n) WHERE t.brand_id = %s AND"
            " t.id = v.id",
            [
                [task.pk for task, _ in filled],
                [touches.array(one.contact_id for one in rows) for _, rows in filled],
                [len(rows) for _, rows in filled],
                brand.pk,
            ],
        )


def count_blocked(brand: Brand, at: datetime, counts: Mapping[tuple[int, int, int], int]) -> None:
    """Add to StepBlocked: {(sop, step, reason): n}, in the caller's transaction, which holds the gate or
    keeps planners out of it; in one order, so that nobody deadlocks."""
    if not counts:
        return
    on = at.astimezone(ZoneInfo(brand.timezone)).date()
    rows = sorted(counts.items())
    with connection.cursor() as cursor:
        cursor.execute(
            'INSERT INTO campaigns_stepblocked AS b (brand_id, sop_id, step_id, reason, n, "on")'
            " SELECT %s, v.*, %s FROM unnest(%s::bigint[], %s::bigint[], %s::smallint[], %s::bigint[])"
            " AS v(sop_id, step_id, reason, n)"
            ' ON CONFLICT (brand_id, step_id, "on", reason) DO UPDATE SET n = b.n + excluded.n',
            [
                brand.pk,
                on,
                [key[0] for key, _ in rows],
                [key[1] for key, _ in rows],
                [key[2] for key, _ in rows],
                [n for _, n in rows],
            ],
        )
