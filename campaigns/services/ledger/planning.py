"""From people and their steps to send tasks: chunks of at most 1,000 for each guide and step."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from django.db import connection

from campaigns.models import SendTask, SopStep, Touch
from campaigns.services.ledger import touches
from campaigns.services.sending import variables
from campaigns.services.sending.senders import Sender
from org.models import Staff
from tenants.db.joins import joined_by_loop
from tenants.models import Brand

USUAL = 5  # priority of a campaign for which nobody has chosen another
NO_PRIORITIES: Mapping[int, int] = {}
CHUNK = 1_000  # contacts in one send task; WeCom allows 10,000 in one call


class Wanted(NamedTuple):
    """Touches of one step to be planned, all by one sender."""

    step: SopStep
    sender: Sender
    contact_ids: Sequence[int]
    touch_ids: Sequence[int]


def digest_of(text: str, attachments: Sequence[Mapping[str, Any]]) -> str:
    """Of a content as we store it; two send tasks with the same one look the same to WeCom."""
    plain = json.dumps([text, list(attachments)], ensure_ascii=False, sort_keys=True)
    return hashlib.sha1(plain.encode(), usedforsecurity=False).hexdigest()


def write_tasks(
    brand: Brand,
    at: datetime,
    wanted: Sequence[Wanted],
    priorities: Mapping[int, int] = NO_PRIORITIES,
) -> list[touches.TouchSet]:
    """Send tasks, in the caller's transaction, which holds the gate; gives their touches, which are still to be written.

    Args:
        wanted: each step and guide once.
        priorities: of the SOPs; one that is not named has that of any campaign.

    A task of the same tick that still has room is filled up first: a guide confirms each task by hand, so a
    tick of many batches must not leave many small ones.
    """
    if not wanted:
        return []
    staff = Staff.objects.select_related("store").in_bulk({one.sender.staff_id for one in wanted})
    with_room = _tasks_with_room(at, {one.step.id for one in wanted})
    new: list[tuple[SendTask, slice, Wanted]] = []
    filled: list[tuple[SendTask, slice, Wanted]] = []
    for one in wanted:
        step, (corp_id, staff_id) = one.step, one.sender
        text = variables.fill_in(step.text, brand=brand, staff=staff[staff_id])
        digest, first = digest_of(text, step.attachments), 0
        if task := with_room.get((staff_id, step.id, digest)):
            first = CHUNK - task.n
            filled.append((task, slice(0, first), one))
        for start in range(first, len(one.contact_ids), CHUNK):
            chunk = slice(start, start + CHUNK)
            contact_ids = list(one.contact_ids[chunk])
            task = SendTask(
                corp_id=corp_id,
                staff_id=staff_id,
                sop_id=step.sop_id,
                step_id=step.id,
                at=at,
                text=text,
                attachments=step.attachments,
                content_id=step.content_id,
                content_digest=digest,
                contact_ids=contact_ids,
                n=len(contact_ids),
                next_try_at=at,
                kind=int(Touch.Kind.SOP),
                priority=priorities.get(step.sop_id, USUAL),
            )
            new.append((task, chunk, one))
    _fill_up(brand, [(task, one.contact_ids[chunk]) for task, chunk, one in filled])
    SendTask.objects.bulk_create([task for task, _chunk, _one in new])  # gives the ids
    return [
        touches.TouchSet(
            one.touch_ids[chunk],
            one.contact_ids[chunk],
            one.sender.staff_id,
            one.step.sop_id,
            one.step.id,
            task.pk,
        )
        for task, chunk, one in (*filled, *new)
    ]


def _tasks_with_room(at: datetime, step_ids: set[int]) -> dict[tuple[int, int | None, str], SendTask]:
    """Tasks that earlier batches of this tick have begun, by guide, step and content."""
    rows = SendTask.objects.select_for_update().filter(
        next_try_at=at, at=at, state=SendTask.State.PLANNED, step__in=step_ids, n__lt=CHUNK
    )
    return {
        (t.staff_id, t.step_id, t.content_digest): t
        for t in rows.only("staff", "step", "sop", "content_digest", "n", "brand")
    }


def _fill_up(brand: Brand, filled: Sequence[tuple[SendTask, Sequence[int]]]) -> None:
    if not filled:
        return
    with connection.cursor() as cursor, joined_by_loop(cursor):
        cursor.execute(
            "UPDATE campaigns_sendtask t SET contact_ids = t.contact_ids || v.ids::bigint[], n = t.n + v.n"
            " FROM unnest(%s::bigint[], %s::text[], %s::int[]) AS v(id, ids, n) WHERE t.brand_id = %s AND"
            " t.id = v.id",
            [
                [task.pk for task, _ in filled],
                [touches.array(contact_ids) for _, contact_ids in filled],
                [len(contact_ids) for _, contact_ids in filled],
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
