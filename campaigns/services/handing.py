"""Send tasks to WeCom: claimed, called, recorded; found again when the third step was lost.

`add_msg_template` knows no id of ours, so a call whose answer is missing may have been made. Such a task
stays in `calling`: it is looked for among WeCom's records by content, time and receivers, and only when ten
minutes have shown nothing is it sent again. A unique index lets one task of a guide and content be in
`calling` at a time, so that a record found cannot belong to a twin.
"""

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from campaigns import governance
from campaigns.models import Broadcast, SendTask, Sop, Touch
from campaigns.services import gate, planning, rules, senders, touches
from contacts.models import Contact, EventType
from content.services import links
from scrm import clock
from scrm.errors import InvalidError
from tenants.models import Brand
from wecom.api import messages
from wecom.client import WeComClient, client_for
from wecom.errors import LostAnswer, WeComForbidden, WeComRejected, WeComUnavailable
from wecom.services import attachments

log = logging.getLogger(__name__)
State = SendTask.State

LEASE = timedelta(seconds=90)  # a call ends after 20 s; then the process is gone, or its answer is
MAX_CLAIM_AGE_S = 30.0  # between claim and call: a process that slept longer must not call any more
GIVE_UP_LOOKING = timedelta(minutes=10)  # a call that WeCom does not show after this was not made
CLOCKS_DIFFER = timedelta(minutes=10)
LOOK_AGAIN = timedelta(seconds=60)
FIRST_POLL = timedelta(seconds=30)
PAUSES = [timedelta(seconds=s) for s in (30, 60, 300, 900, 1800, 3600)]
WAIT_WHILE_PAUSED = timedelta(minutes=10)
LATE_DAYS = 3  # of a task without SOP


@dataclass(frozen=True)
class Claim:
    """A task in `calling`, all that the call needs, and when it was claimed (monotonic seconds)."""

    task: SendTask
    userid: str
    receivers: dict[str, int]  # external_userid → contact
    claimed_s: float


def hand_over(brand: Brand, task_id: int) -> None:
    """Give one planned task to WeCom. Does nothing when somebody else has it or it is not its time.

    Safe to be killed anywhere; what WeCom refuses or misses is written on the task.
    """
    task = _look(task_id)
    if task is None or task.state != State.PLANNED:
        return
    client = client_for(task.corp)
    try:
        # before the claim: an upload may take long, and a claim must be followed by its call at once
        _, stored = _with_tails(brand, task)
        content = attachments.to_wecom(task.corp, client, stored)
    except WeComUnavailable as error:
        _postpone(task, error)
        return
    except (WeComRejected, InvalidError) as error:
        _refused(brand, task, error)
        return
    if claim := _claim(brand, task_id):
        _call(brand, client, claim, content)


def _call(brand: Brand, client: WeComClient, claim: Claim, content: Sequence[messages.Attachment]) -> None:
    task = claim.task
    if time.monotonic() - claim.claimed_s > MAX_CLAIM_AGE_S:
        _postpone(task, None)
        return
    try:
        made = messages.add_msg_template(
            client,
            sender=claim.userid,
            external_userids=list(claim.receivers),
            text=task.text,
            attachments=content,
        )
    except LostAnswer as error:
        _lost(task, error)
    except WeComUnavailable as error:
        _postpone(task, error)
    except (WeComRejected, InvalidError) as error:
        _refused(brand, task, error)
    else:
        refused = {claim.receivers[e] for e in made["fail_list"] if e in claim.receivers}
        if not record_handed(brand, task, msgid=made["msgid"], refused=refused):
            # the process slept through ten minutes in the middle of its call, and another one has sent it
            log.warning("send task %s was handed over twice; stopping %s", task.pk, made["msgid"])
            messages.cancel(client, made["msgid"])


def recover(brand: Brand, task_id: int) -> None:
    """Look for a task whose call was made and not recorded (or never made); send again only when it is
    certain."""
    now = clock.now()
    with transaction.atomic():
        # the look-up is claimed too: two at once would both be right, but cost twice
        mine = SendTask.objects.filter(pk=task_id, state=State.CALLING, next_try_at__lte=now)
        if not mine.update(next_try_at=now + LOOK_AGAIN):
            return
        task = _look(task_id)
        if task is None or task.called_at is None:
            return
        receivers = senders.external_ids(brand, task.corp.corpid, task.contact_ids)
    client = client_for(task.corp)
    try:
        record = _find_record(brand, client, task, receivers)
    except WeComUnavailable:
        return  # the next tick looks again
    except WeComRejected as error:
        _note(task, error)
        return
    if record is not None:
        msgid, reached = record
        missing = set(task.contact_ids) - {receivers[external] for external in reached}
        record_handed(brand, task, msgid=msgid, refused=missing)
    elif now - task.called_at >= GIVE_UP_LOOKING:
        _postpone(task, None)


def _look(task_id: int) -> SendTask | None:
    with transaction.atomic():
        return SendTask.objects.select_related("corp", "staff", "sop", "broadcast").filter(pk=task_id).first()


# ---- claim


def _claim(brand: Brand, task_id: int) -> Claim | None:
    """planned → calling, with those left out who may not be written to any more. None: not now, or nobody is
    left."""
    try:
        with transaction.atomic():
            return _claim_row(brand, task_id)
    except IntegrityError:
        # its twin is being called: the next tick
        with transaction.atomic():
            SendTask.objects.filter(pk=task_id, state=State.PLANNED).update(
                next_try_at=clock.now() + LOOK_AGAIN
            )
        return None


def _claim_row(brand: Brand, task_id: int) -> Claim | None:
    now = clock.now()
    gate.enter_gate(brand)  # counts of what was held back have one writer
    row = SendTask.objects.select_for_update(skip_locked=True, of=("self",)).select_related(
        "corp", "staff", "sop", "broadcast"
    )
    task = row.filter(pk=task_id, state=State.PLANNED, next_try_at__lte=now).first()
    if task is None:
        return None
    if _is_paused(task):
        SendTask.objects.filter(pk=task.pk).update(next_try_at=now + WAIT_WHILE_PAUSED)
        return None
    if _is_ended(task):
        touches.settle(brand, send_task_id=task.pk, at=task.at, state=Touch.State.CANCELLED, done_at=now)
        SendTask.objects.filter(pk=task.pk).update(state=State.CANCELLED)
        return None
    allowed = rules.rules_of(brand)
    if (release := governance.release_at(now, allowed.quiet, allowed.zone)) > now:
        SendTask.objects.filter(pk=task.pk).update(next_try_at=release)
        return None
    if (task.moved_at or task.at) < now - _late_after(task):
        _hold_back(brand, task, task.contact_ids, Touch.Reason.TOO_LATE, now)
        SendTask.objects.filter(pk=task.pk).update(state=State.FAILED, contact_ids=[], n=0)
        return None
    receivers = _receivers(brand, task, now)
    if not receivers:
        SendTask.objects.filter(pk=task.pk).update(state=State.FAILED, contact_ids=[], n=0)
        return None
    task.contact_ids, task.n = list(receivers.values()), len(receivers)
    task.state, task.called_at, task.next_try_at, task.n_tries = (
        State.CALLING,
        now,
        now + LEASE,
        task.n_tries + 1,
    )
    changed = ["contact_ids", "n", "state", "called_at", "next_try_at", "n_tries"]
    text, stored = _with_tails(brand, task)
    if (text, stored) != (task.text, task.attachments):
        task.text, task.attachments = text, stored
        task.content_digest = planning.digest_of(text, stored)
        changed += ["text", "attachments", "content_digest"]
    task.save(update_fields=changed)
    return Claim(task, task.staff.userid, receivers, time.monotonic())


def _with_tails(brand: Brand, task: SendTask) -> tuple[str, list[dict[str, Any]]]:
    """Text and attachments as they are handed over: tracked links say whose message it is. What was handed over is
    kept on the task, for a call whose answer is lost is found by its content."""
    return links.personalise(
        brand, task.text, task.attachments, staff_id=task.staff_id, send_task_id=task.pk, via=task.kind
    )


def _is_paused(task: SendTask) -> bool:
    return (task.sop is not None and task.sop.state == Sop.State.PAUSED) or (
        task.broadcast is not None and task.broadcast.state == Broadcast.State.PAUSED
    )


def _is_ended(task: SendTask) -> bool:
    return (task.sop is not None and task.sop.state == Sop.State.ENDED) or (
        task.broadcast is not None and task.broadcast.state == Broadcast.State.CANCELLED
    )


def _late_after(task: SendTask) -> timedelta:
    if task.broadcast:
        return timedelta(hours=task.broadcast.late_hours)
    return timedelta(days=task.sop.late_days if task.sop else LATE_DAYS, hours=1)


def _receivers(brand: Brand, task: SendTask, now: datetime) -> dict[str, int]:
    """Who is still to get it: between plan and call a person may have gone, or asked to be left alone."""
    quiet = set(
        Contact.objects.filter(pk__in=task.contact_ids, do_not_contact=True).values_list("pk", flat=True)
    )
    receivers = senders.receivers(brand, task.staff_id, [i for i in task.contact_ids if i not in quiet])
    gone = set(task.contact_ids) - quiet - set(receivers.values())
    _hold_back(brand, task, quiet, Touch.Reason.DO_NOT_CONTACT, now)
    _hold_back(brand, task, gone, Touch.Reason.NOT_FOLLOWED, now)
    return receivers


def _hold_back(
    brand: Brand, task: SendTask, contact_ids: Iterable[int], reason: Touch.Reason, now: datetime
) -> None:
    ids = list(contact_ids)
    if not ids:
        return
    done = touches.settle(
        brand,
        send_task_id=task.pk,
        at=task.at,
        state=Touch.State.BLOCKED,
        reason=reason,
        done_at=now,
        contact_ids=ids,
    )
    touches.tell(
        brand,
        EventType.TOUCH_BLOCKED,
        done,
        at=now,
        staff_id=task.staff_id,
        data=about(task),
        reason=reason,
        source=source_of(task),
    )
    if task.sop_id and task.step_id:
        planning.count_blocked(brand, now, {(task.sop_id, task.step_id, int(reason)): len(done)})


# ---- record


def record_handed(brand: Brand, task: SendTask, *, msgid: str, refused: Iterable[int]) -> bool:
    """WeCom has the task: its id, and which contacts it would not take (`refused`). Own transaction.

    False: it is known under another msgid, so this one is too much.
    """
    now, refused = clock.now(), set(refused)
    with transaction.atomic():
        n_failed = len(refused)
        mine = SendTask.objects.filter(pk=task.pk, state__in=[State.CALLING, State.PLANNED], msgid="")
        if not mine.update(
            state=State.HANDED,
            msgid=msgid,
            next_try_at=now + FIRST_POLL,
            n_tries=0,
            error="",
            n_failed=n_failed,
        ):
            return SendTask.objects.filter(pk=task.pk, msgid=msgid).exists()
        if refused:
            _fail(brand, task, refused, Touch.Reason.NOT_FRIEND, now)
        rest = touches.settle(
            brand,
            send_task_id=task.pk,
            at=task.at,
            state=Touch.State.HANDED,
            done_at=now,
            was=[Touch.State.PLANNED],
        )
        # a broadcast's thousand at once would only fill the timelines: the ledger has it
        if not task.broadcast_id:
            touches.tell(
                brand, EventType.TOUCH_HANDED, rest, at=now, staff_id=task.staff_id, data=about(task)
            )
    return True


def about(task: SendTask) -> dict[str, Any]:
    """What a timeline entry says of the message."""
    campaign = (
        {"broadcast": task.broadcast.name} if task.broadcast else {"sop": task.sop.name if task.sop else ""}
    )
    return {**campaign, "text": task.text[: touches.EXCERPT]}


def source_of(task: SendTask) -> str:
    """Where its timeline entries come from."""
    return "broadcast" if task.broadcast_id else "sop"


def _mine(task: SendTask) -> "QuerySet[SendTask]":
    """The row, as long as it is what this process has seen: nobody has taken it over."""
    states = [State.PLANNED, State.CALLING]
    return SendTask.objects.filter(pk=task.pk, state__in=states, called_at=task.called_at, msgid="")


def _lost(task: SendTask, error: LostAnswer) -> None:
    """No answer: perhaps done. It stays in `calling` until it is found or ten minutes have passed."""
    with transaction.atomic():
        _mine(task).update(next_try_at=clock.now() + PAUSES[0], error=str(error)[:500])


def _postpone(task: SendTask, error: WeComUnavailable | WeComForbidden | None) -> None:
    """Certainly not done: planned again, a little later each time; at once if nothing was wrong."""
    pause = timedelta(0)
    if error is not None:
        growing = PAUSES[min(task.n_tries, len(PAUSES) - 1)]
        pause = max(growing, timedelta(seconds=getattr(error, "retry_after_s", 0)))
    with transaction.atomic():
        _mine(task).update(
            state=State.PLANNED,
            called_at=None,
            next_try_at=clock.now() + pause,
            n_tries=task.n_tries + (error is not None),
            error=str(error)[:500] if error else "",
        )


def _refused(brand: Brand, task: SendTask, error: WeComRejected | InvalidError) -> None:
    """WeCom says no. What a person can mend (secret, trusted IP, rights) waits for it; the rest is final."""
    if isinstance(error, WeComForbidden):
        _postpone(task, error)
        return
    now, words = clock.now(), _words(error)
    with transaction.atomic():
        if not _mine(task).update(state=State.FAILED, n_failed=task.n, error=words[:500]):
            return
        _fail(brand, task, None, Touch.Reason.REFUSED, now, words)


def _fail(
    brand: Brand,
    task: SendTask,
    contact_ids: Iterable[int] | None,
    reason: Touch.Reason,
    now: datetime,
    error: str = "",
) -> None:
    done = touches.settle(
        brand,
        send_task_id=task.pk,
        at=task.at,
        state=Touch.State.FAILED,
        reason=reason,
        error=error,
        done_at=now,
        contact_ids=contact_ids,
    )
    touches.tell(
        brand,
        EventType.TOUCH_FAILED,
        done,
        at=now,
        staff_id=task.staff_id,
        data=about(task),
        reason=reason,
        source=source_of(task),
    )


def _note(task: SendTask, error: WeComRejected) -> None:
    with transaction.atomic():
        SendTask.objects.filter(pk=task.pk).update(
            error=_words(error)[:500], next_try_at=clock.now() + PAUSES[3]
        )


def _words(error: WeComRejected | InvalidError) -> str:
    number = getattr(error, "errcode", None)
    return f"{error} ({number})" if number else str(error)


# ---- look


def _find_record(
    brand: Brand, client: WeComClient, task: SendTask, receivers: Mapping[str, int]
) -> tuple[str, set[str]] | None:
    """(msgid, external_userids it will reach) of WeCom's record of this task's call, or None.

    Ours is a record made by the API after our call, with our content, that we know under no other task, and
    whose receivers at this guide are all among ours.
    """
    assert task.called_at is not None
    records = messages.groupmsg_list(
        client, start_at=task.called_at - CLOCKS_DIFFER, end_at=clock.now() + CLOCKS_DIFFER
    )
    alike = [r for r in records if is_alike(task, r)]
    if not alike:
        return None
    with transaction.atomic():
        known = set(
            SendTask.objects.filter(
                staff=task.staff_id, content_digest=task.content_digest, at__gte=task.at - timedelta(days=60)
            ).values_list("msgid", flat=True)
        )
    for record in alike:
        if record["msgid"] in known:
            continue
        try:
            rows = messages.groupmsg_send_result(client, record["msgid"], task.staff.userid)
        except WeComRejected:
            continue  # of another guide
        reached = {row["external_userid"] for row in rows if row.get("external_userid")}
        if reached and reached <= receivers.keys():
            return record["msgid"], reached
    return None


def is_alike(task: SendTask, record: Mapping[str, Any]) -> bool:
    """Whether a record of WeCom has the content of this task and was made by a program, not before its
    call."""
    if record.get("creator") or int(record.get("create_type") or 0) != 0 or task.called_at is None:
        return False
    made_at = datetime.fromtimestamp(int(record.get("create_time") or 0), UTC)
    if made_at < task.called_at - CLOCKS_DIFFER:
        return False
    text = str((record.get("text") or {}).get("content") or "")
    kinds = [a.get("msgtype") for a in record.get("attachments") or []]
    return _plain(text) == _plain(task.text) and kinds == _kinds(task.attachments)


def _plain(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.replace("\r\n", "\n").strip().split("\n"))


def _kinds(stored: Sequence[Mapping[str, Any]]) -> list[Any]:
    return [a["type"] for a in stored]
