"""What became of send tasks: asked of WeCom with growing pauses until everybody's answer is there, or 30
days are over.

Nothing reaches a customer before the guide confirms in the WeCom client; a person can remind the guide or
stop the task.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils.translation import gettext as _

from campaigns.models import SendTask, Touch
from campaigns.services.governance import gate
from campaigns.services.ledger import marks, touches
from campaigns.services.sending import claims
from contacts.models import EventType, Identity
from org import audit
from org.access import Actor
from scrm import clock
from scrm.errors import ConflictError, LimitError, NotFoundError
from tenants.models import Brand
from wecom.api import messages
from wecom.client import WeComClient, client_for
from wecom.errors import WeComForbidden, WeComRejected, WeComUnavailable

State = SendTask.State

LEASE = timedelta(minutes=2)
SHORTEST, LONGEST = (
    timedelta(seconds=60),
    timedelta(minutes=30),
)  # between two polls: a tenth of the task's age
UNCONFIRMED = timedelta(days=30)
SENDING = timedelta(hours=1)  # after the guide has pressed send, whoever has no result may still get it
REMINDERS, REMINDERS_IN = 3, timedelta(hours=24)  # WeCom's limit for one task
REMIND_GAP = timedelta(minutes=30)  # a button that is pressed twice nags nobody twice, nor uses up the day

# WeCom's status of one receiver; 0 is 'not sent yet'
_OUTCOMES: dict[int, tuple[Touch.State, Touch.Reason, EventType]] = {
    1: (Touch.State.DELIVERED, Touch.Reason.NONE, EventType.TOUCH_SENT),
    2: (Touch.State.FAILED, Touch.Reason.NOT_FRIEND, EventType.TOUCH_FAILED),
    3: (Touch.State.FAILED, Touch.Reason.WECOM_LIMIT, EventType.TOUCH_FAILED),
}


def poll(brand: Brand, task_id: int) -> None:
    """Ask WeCom about one task that waits for its guide. Safe to repeat; an answer that fails is asked for
    again."""
    now = clock.now()
    with transaction.atomic():
        mine = SendTask.objects.filter(pk=task_id, state=State.HANDED, next_try_at__lte=now)
        if not mine.update(next_try_at=now + LEASE):
            return
        task = _load(task_id)
    client = client_for(task.corp)
    try:
        if task.cancelled_at is not None:
            _close(brand, client, task)
            return
        confirmed_at = _confirmed_at(client, task)
        if confirmed_at is not None:
            rows = messages.groupmsg_send_result(client, task.msgid, task.staff.userid)
            record_results(brand, task, rows, confirmed_at)
        elif claims.is_ended(task) or now - (task.called_at or task.at) > UNCONFIRMED:
            _stop(
                brand, client, task
            )  # handed over while it was being stopped; or nobody looks at it any more
        else:
            _later(task)
    except WeComUnavailable as error:
        _later(task, SHORTEST, "" if error.errcode == 41063 else str(error))
    except WeComRejected as error:
        if now - (task.called_at or task.at) > UNCONFIRMED and not isinstance(error, WeComForbidden):
            record_results(brand, task, [], now, is_last=True)  # its guide has left, for example
        else:
            _later(task, LONGEST, str(error))


def _load(task_id: int) -> SendTask:
    task = SendTask.objects.select_related(*claims.WITH).defer(*claims.WITHOUT).filter(pk=task_id).first()
    if task is None:
        raise NotFoundError()
    return task


def _confirmed_at(client: WeComClient, task: SendTask) -> datetime | None:
    """When the guide pressed send; None as long as that has not happened."""
    userid = task.staff.userid.lower()
    for row in messages.groupmsg_task(client, task.msgid):
        if str(row.get("userid", "")).lower() == userid and row.get("status"):
            return datetime.fromtimestamp(row["send_time"], UTC) if row.get("send_time") else clock.now()
    return None


def _later(task: SendTask, pause: timedelta | None = None, error: str = "") -> None:
    now = clock.now()
    if pause is None:
        pause = min(max((now - (task.called_at or task.at)) / 10, SHORTEST), LONGEST)
    with transaction.atomic():
        SendTask.objects.filter(pk=task.pk, state=State.HANDED).update(
            next_try_at=now + pause, error=error[:500]
        )


def record_results(
    brand: Brand,
    task: SendTask,
    rows: Sequence[messages.SendResult],
    confirmed_at: datetime,
    *,
    is_last: bool = False,
) -> None:
    """Write the answers for each receiver into the ledger and the timeline, set-based, in its own
    transaction.

    A task all of whose receivers have an answer is final. A repeat changes nothing.

    Args:
        is_last: no answer will come any more: who has none is cancelled.
    """
    by_status: dict[int, list[str]] = defaultdict(list)
    for row in rows:
        if external := row.get("external_userid"):
            by_status[int(row.get("status") or 0)].append(external)
    with transaction.atomic():
        # the send task before its touches: as everybody who writes both
        SendTask.objects.select_for_update().filter(pk=task.pk).values_list("pk").first()
        known = _contacts_of(task, [e for external in by_status.values() for e in external])
        changed = {Touch.State.DELIVERED: 0, Touch.State.FAILED: 0}
        for status, (state, reason, event) in _OUTCOMES.items():
            ids = [known[e] for e in by_status.get(status, []) if e in known]
            if not ids:
                continue
            done = touches.settle(
                brand,
                send_task_id=task.pk,
                at=task.at,
                state=state,
                reason=reason,
                done_at=confirmed_at,
                contact_ids=ids,
            )
            changed[state] += len(done)
            if state == Touch.State.DELIVERED:
                marks.look_back(brand, [contact_id for _touch_id, contact_id in done], confirmed_at)
            touches.tell(
                brand,
                event,
                done,
                at=confirmed_at,
                staff_id=task.staff_id,
                data=claims.about(task),
                source=claims.source_of(task),
                reason=reason,
            )
        waiting = any(status not in _OUTCOMES for status in by_status)
        if is_last or not waiting:
            _finish(brand, task, confirmed_at, is_last=is_last, changed=changed)
        update: dict[str, Any] = {
            "n_sent": F("n_sent") + changed[Touch.State.DELIVERED],
            "n_failed": F("n_failed") + changed[Touch.State.FAILED],
        }
        if by_status.get(1):
            update["confirmed_at"] = confirmed_at
        SendTask.objects.filter(pk=task.pk).update(**update)
    if waiting and not is_last:
        _later(task)


def _finish(
    brand: Brand, task: SendTask, at: datetime, *, is_last: bool, changed: dict[Touch.State, int]
) -> None:
    """The task is over; whoever WeCom did not speak of has their reason too."""
    from campaigns.services.sending import reassign

    state = State.CANCELLED if is_last else State.FINAL
    SendTask.objects.filter(pk=task.pk, state=State.HANDED).update(state=state, error="")
    if is_last and task.is_moving and not claims.is_ended(task):
        reassign.move(brand, task, clock.now())
        return
    if is_last:
        touches.settle(
            brand, send_task_id=task.pk, at=task.at, state=Touch.State.CANCELLED, done_at=clock.now()
        )
        return
    silent = touches.settle(
        brand,
        send_task_id=task.pk,
        at=task.at,
        state=Touch.State.FAILED,
        reason=Touch.Reason.REFUSED,
        error=_("WeCom gave no result for this customer"),
        done_at=at,
    )
    changed[Touch.State.FAILED] += len(silent)
    touches.tell(
        brand,
        EventType.TOUCH_FAILED,
        silent,
        at=at,
        staff_id=task.staff_id,
        data=claims.about(task),
        source=claims.source_of(task),
        reason=Touch.Reason.REFUSED,
    )


def _contacts_of(task: SendTask, external_userids: Sequence[str]) -> dict[str, int]:
    """{external_userid: contact}, by identity: it stays with a contact that was joined with another one."""
    rows = Identity.objects.filter(
        kind=Identity.Kind.EXTERNAL_USERID, scope=task.corp.corpid, value__in=external_userids
    )
    return dict(rows.values_list("value", "contact_id"))


# ---- stop, remind


def cancel(brand: Brand, *, task_id: int, by: Actor) -> None:
    """Stop what the guide has not sent yet. Calls WeCom: outside a transaction.

    Raises:
        ConflictError: it is just being handed over, or is over.
    """
    now = clock.now()
    with transaction.atomic():
        gate.enter_gate(brand)  # nobody counts with these touches, or takes them back, meanwhile
        task = SendTask.objects.select_for_update().filter(pk=task_id).first()
        if task is None:
            raise NotFoundError()
        if task.state == State.CALLING:
            raise ConflictError(_("It is just being handed to WeCom; try again in a minute"))
        if task.state not in (State.PLANNED, State.HANDED):
            raise ConflictError(_("It is over already"))
        audit.record(by, "send_task.cancel", task, name=str(task.pk), after={"n": task.n})
        task.cancelled_at = now
        task.save(update_fields=["cancelled_at"])
        if task.state == State.PLANNED:
            touches.settle(brand, send_task_id=task.pk, at=task.at, state=Touch.State.CANCELLED, done_at=now)
            SendTask.objects.filter(pk=task.pk).update(state=State.CANCELLED)
            return
        # a process that is killed from here on leaves it to the next poll
        SendTask.objects.filter(pk=task.pk).update(next_try_at=now + LEASE)
    close(brand, task_id)


def close(brand: Brand, task_id: int) -> None:
    """Stop a task that is marked so at WeCom and take its last results. Calls WeCom: outside a transaction."""
    with transaction.atomic():
        task = _load(task_id)
    _close(brand, client_for(task.corp), task)


def _stop(brand: Brand, client: WeComClient, task: SendTask) -> None:
    with transaction.atomic():
        SendTask.objects.filter(pk=task.pk, state=State.HANDED).update(cancelled_at=clock.now())
    _close(brand, client, task)


def _close(brand: Brand, client: WeComClient, task: SendTask) -> None:
    """Stop the task at WeCom, then take the last results: the guide may have been quicker, and WeCom still sending."""
    now = clock.now()
    messages.cancel(client, task.msgid)
    confirmed_at = _confirmed_at(client, task)
    rows = messages.groupmsg_send_result(client, task.msgid, task.staff.userid)
    is_sending = confirmed_at is not None and now - confirmed_at < SENDING
    record_results(brand, task, rows, confirmed_at or now, is_last=not is_sending)


def remind(brand: Brand, *, task_id: int, by: Actor) -> None:
    """Remind the guide, who has not confirmed yet. Calls WeCom: outside a transaction.

    Raises:
        ConflictError: nobody to remind.
        LimitError: reminded three times within 24 hours already, or just now.
    """
    now = clock.now()
    with transaction.atomic():
        row = SendTask.objects.select_for_update().filter(pk=task_id).first()
        if row is None:
            raise NotFoundError()
        if row.state != State.HANDED or row.confirmed_at or row.cancelled_at:
            raise ConflictError(_("The guide has nothing to confirm here"))
        recent = [at for at in row.reminded_at if at > now - REMINDERS_IN]
        if len(recent) >= REMINDERS:
            raise LimitError(
                _("WeCom allows %(n)s reminders in 24 hours") % {"n": REMINDERS},
                retry_after_s=int((recent[0] + REMINDERS_IN - now).total_seconds()),
            )
        if recent and recent[-1] > now - REMIND_GAP:
            raise LimitError(
                _("The guide was reminded less than %(n)s minutes ago")
                % {"n": REMIND_GAP // timedelta(minutes=1)},
                retry_after_s=int((recent[-1] + REMIND_GAP - now).total_seconds()),
            )
        # counted before the call: a reminder too many would be refused, one too few is only a pity
        row.reminded_at = [*recent, now]
        row.save(update_fields=["reminded_at"])
        audit.record(by, "send_task.remind", row, name=str(row.pk))
        task = _load(task_id)
    messages.remind(client_for(task.corp), task.msgid)
