"""Unsent chunks of a broadcast go to other guides of the same customers.

What a guide has already is stopped at WeCom first, and its last results are taken: only whoever has not got it moves. The
wish stands on the send task before WeCom is asked, so a process that is killed leaves it to the next poll. The touches
stay the same rows of the ledger; they only change their send task and guide. Whom no other guide has stays with theirs.
"""

from collections import defaultdict
from datetime import datetime

from django.db import connection, transaction
from django.utils.translation import gettext as _

from campaigns.models import SendTask, Touch, TouchPolicy, Variant
from campaigns.services.broadcasts.fanout import ORDERS
from campaigns.services.governance import gate
from campaigns.services.governance.rules import policy_of
from campaigns.services.ledger import planning, touches
from campaigns.services.ledger.touches import array
from campaigns.services.sending import results, variables
from campaigns.services.sending.senders import Sender
from org import audit
from org.access import Actor
from org.models import Staff
from scrm import clock
from scrm.errors import ConflictError, NotFoundError
from tenants.models import Brand

State = SendTask.State
CHUNK = planning.CHUNK

_OTHERS = """
    SELECT DISTINCT ON (f.contact_id) f.contact_id, f.corp_id, f.staff_id
      FROM contacts_follow f JOIN org_staff s ON s.brand_id = f.brand_id AND s.id = f.staff_id
     WHERE f.brand_id = %s AND f.contact_id = ANY(%s::bigint[]) AND f.staff_id <> %s AND f.ended_at IS NULL
       AND NOT f.is_pending AND s.state = 'active' AND s.is_guide
     ORDER BY f.contact_id, {order}
"""


def others(brand: Brand, contact_ids: list[int], staff_id: int) -> dict[int, Sender]:
    """{contact: another guide who has them}, by the brand's rule; those without one are left out."""
    order = ORDERS[TouchPolicy.Sender(policy_of(brand).sender)]
    with connection.cursor() as cursor:
        cursor.execute(_OTHERS.format(order=order), [brand.pk, array(contact_ids), staff_id])
        return {contact_id: Sender(corp_id, staff) for contact_id, corp_id, staff in cursor}


def reassign(brand: Brand, *, task_id: int, by: Actor) -> None:
    """Give what a guide has not sent to other guides of these customers. Calls WeCom: outside a transaction.

    Raises:
        ConflictError: it is just being handed over, or over, or nobody else has any of these customers.
    """
    now = clock.now()
    with transaction.atomic():
        gate.enter_gate(brand)
        task = SendTask.objects.select_for_update().filter(pk=task_id).first()
        if task is None or task.broadcast_id is None:
            raise NotFoundError()
        if task.state == State.CALLING:
            raise ConflictError(_("It is just being handed to WeCom; try again in a minute"))
        if task.state not in (State.PLANNED, State.HANDED) or task.cancelled_at:
            raise ConflictError(_("It is over already"))
        if not others(brand, task.contact_ids, task.staff_id):
            raise ConflictError(_("No other guide has any of these customers"))
        audit.record(by, "send_task.reassign", task, name=str(task.pk), after={"n": task.n})
        if task.state == State.PLANNED:
            move(brand, task, now)
            return
        mine = SendTask.objects.filter(pk=task.pk)
        mine.update(is_moving=True, cancelled_at=now, next_try_at=now + results.LEASE)
    results.close(brand, task_id)


def move(brand: Brand, task: SendTask, now: datetime) -> int:
    """The touches of a task that nobody has got, into new tasks; in the caller's transaction. Gives how many moved.

    A task that is still planned keeps those whom no other guide has; of one that was stopped at WeCom they are planned
    anew for the same guide.
    """
    where, more = touches.within(brand, task.pk)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT contact_id FROM campaigns_touch WHERE brand_id = %s AND at = %s AND send_task_id = %s"  # noqa: S608
            f" AND state = ANY(%s){where} ORDER BY contact_id",
            [brand.pk, task.at, task.pk, [int(Touch.State.PLANNED), int(Touch.State.HANDED)], *more],
        )
        waiting = [row[0] for row in cursor.fetchall()]
    found = others(brand, waiting, task.staff_id)
    if task.state != State.PLANNED:
        found = {pk: found.get(pk) or Sender(task.corp_id, task.staff_id) for pk in waiting}
    groups: dict[Sender, list[int]] = defaultdict(list)
    for contact_id, sender in found.items():
        groups[sender].append(contact_id)
    staff = Staff.objects.select_related("store").in_bulk({sender.staff_id for sender in groups})
    variant = Variant.objects.get(pk=task.variant_id or 0)
    for sender, ids in sorted(groups.items()):
        text = variables.fill_in(variant.text, brand=brand, staff=staff[sender.staff_id])
        for start in range(0, len(ids), CHUNK):
            _move_chunk(brand, task, sender, ids[start : start + CHUNK], text, now)
    left = [pk for pk in task.contact_ids if pk not in found]
    values = {"contact_ids": left, "n": len(left)}
    if task.state == State.PLANNED and not left:
        values["state"] = State.CANCELLED
    SendTask.objects.filter(pk=task.pk).update(**values)
    return len(found)


def _move_chunk(
    brand: Brand, old: SendTask, sender: Sender, ids: list[int], text: str, now: datetime
) -> None:
    new = SendTask.objects.create(
        kind=old.kind,
        priority=old.priority,
        corp_id=sender.corp_id,
        staff_id=sender.staff_id,
        broadcast_id=old.broadcast_id,
        wave_id=old.wave_id,
        variant_id=old.variant_id,
        content_id=old.content_id,
        at=old.at,
        text=text,
        attachments=old.attachments,
        content_digest=planning.digest_of(text, old.attachments),
        contact_ids=ids,
        n=len(ids),
        next_try_at=now,
        touch_first=old.touch_first,
        touch_last=old.touch_last,
        moved_at=now,
        moved_from=old.pk,
    )
    where, more = touches.within(brand, old.pk)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE campaigns_touch SET send_task_id = %s, staff_id = %s, state = %s, done_at = NULL"  # noqa: S608
            f" WHERE brand_id = %s AND at = %s AND send_task_id = %s{where} AND contact_id = ANY(%s::bigint[])"
            " AND state = ANY(%s)",
            [
                new.pk, sender.staff_id, int(Touch.State.PLANNED), brand.pk, old.at, old.pk, *more, array(ids),
                [int(Touch.State.PLANNED), int(Touch.State.HANDED)],
            ],
        )  # fmt: skip
