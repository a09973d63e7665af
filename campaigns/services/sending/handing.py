"""Send tasks to WeCom: claimed, called, recorded.

`add_msg_template` knows no id of ours, so a call whose answer is missing may have been made. Such a task
stays in `calling`: it is looked for among WeCom's records (looking.py). A unique index lets one task of a guide
and content be in `calling` at a time, so that a record found cannot belong to a twin.
"""

import json
import logging
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models import QuerySet

from campaigns.models import SendTask, Touch
from campaigns.services.journeys import slots
from campaigns.services.ledger import touches
from campaigns.services.sending import claims
from contacts.models import EventType
from scrm import clock
from scrm.errors import InvalidError
from tenants.db.joins import joined_by_loop
from tenants.models import Brand
from wecom.api import messages
from wecom.client import client_for
from wecom.errors import LostAnswer, WeComForbidden, WeComRejected, WeComUnavailable
from wecom.services import attachments, media, outbound

log = logging.getLogger(__name__)
State = SendTask.State

MAX_AGE_S = 30.0  # between the note that it is called and the call: a process that slept longer must not call any more
FIRST_POLL = timedelta(seconds=30)
PAUSES = [timedelta(seconds=s) for s in (30, 60, 300, 900, 1800, 3600)]
AT_ONCE = 10  # tasks that are claimed together
CALLS = 3  # of them in flight in one process, which a killed one leaves to be looked for; WeCom allows a corp five
TOGETHER_S = 0.1  # what is answered within it is recorded together

Content = list[messages.Attachment]
Answer = tuple[SendTask, Any]


class Made(NamedTuple):
    """WeCom has a task: its id, and the contacts that it would not take."""

    task: SendTask
    msgid: str
    refused: Collection[int] = ()


def hand_over(brand: Brand, task_ids: Collection[int]) -> None:
    """Give planned tasks to WeCom, a guide's one after the other. Does nothing for those that somebody else has or whose
    time it is not.

    Safe to be killed anywhere; what WeCom refuses or misses is written on the task.
    """
    waiting = _planned(task_ids)
    while waiting:
        now: dict[int, SendTask] = {}  # of each guide the first
        for task in waiting:
            if len(now) < AT_ONCE:
                now.setdefault(task.staff_id, task)
        chosen = {task.pk for task in now.values()}
        waiting = [task for task in waiting if task.pk not in chosen]
        _hand_over(brand, list(now.values()))


def _planned(task_ids: Collection[int]) -> list[SendTask]:
    with transaction.atomic():
        rows = SendTask.objects.select_related("corp").filter(pk__in=task_ids, state=State.PLANNED)
        return list(
            rows.defer("contact_ids", "corp__callback_token", "corp__callback_aes_key").order_by("pk")
        )


def _hand_over(brand: Brand, tasks: Sequence[SendTask]) -> None:
    # contents before the claim: an upload may take long, and a claim must be followed by its call at once
    attached = _attached(brand, tasks)
    contents = _contents(brand, tasks, attached)
    claimed = claims.claim(brand, list(contents), attached)
    if not claimed:
        return
    failed: list[BaseException] = []
    calls: set[Future[Answer]] = set()
    done: set[Future[Answer]] = set()
    with ThreadPoolExecutor(min(CALLS, len(claimed))) as pool:
        while claimed or calls:
            free, begun_s = CALLS - len(calls), time.monotonic()
            for one in claims.begin(brand, claimed[:free]):
                calls.add(pool.submit(copy_context().run, _call, one, contents[one.task.pk], begun_s))
            claimed = [] if failed else claimed[free:]
            _record(brand, [call.result() for call in done if not call.exception()], contents)
            done = _answered(calls) if calls else set()
            calls -= done
            failed += [error for call in done if (error := call.exception())]
        _record(brand, [call.result() for call in done if not call.exception()], contents)
    if failed:  # Redis is gone, for example: what these calls have done is looked for
        raise failed[0]


def _answered(calls: "set[Future[Answer]]") -> "set[Future[Answer]]":
    return wait(calls, TOGETHER_S).done or wait(calls, return_when=FIRST_COMPLETED).done


def _attached(brand: Brand, tasks: Sequence[SendTask]) -> dict[int, slots.Attachments | None]:
    with transaction.atomic():
        return claims.attached_to(brand, tasks)


def _contents(
    brand: Brand, tasks: Sequence[SendTask], attached: Mapping[int, slots.Attachments | None]
) -> dict[int, Content]:
    """{task: its attachments as WeCom wants them}, those left out whose files cannot be had now."""
    found: dict[int, Content] = {}
    same: dict[tuple[int, str], Content] = {}
    for task in tasks:
        try:
            _text, stored = claims.with_tails(brand, task, attached)
            key = (task.corp_id, json.dumps(stored, sort_keys=True))
            if key not in same:
                same[key] = attachments.to_wecom(task.corp, client_for(task.corp), stored) if stored else []
            found[task.pk] = same[key]
        except WeComUnavailable as error:
            postpone(task, error)
        except (WeComRejected, InvalidError) as error:
            _refused(brand, task, error)
    return found


def _call(claim: claims.Claim, content: Content, begun_s: float) -> Answer:
    """The call: what WeCom answered, or the error; None when it must not be made any more. Touches no database: several
    run side by side."""
    task = claim.task
    if time.monotonic() - begun_s > MAX_AGE_S:
        return task, None
    try:
        made = messages.add_msg_template(
            client_for(task.corp),
            sender=claim.userid,
            external_userids=list(claim.receivers),
            text=task.text,
            attachments=content,
        )
    except (WeComUnavailable, WeComRejected, InvalidError) as error:
        return task, error
    refused = {claim.receivers[e] for e in made["fail_list"] if e in claim.receivers}
    return task, Made(task, made["msgid"], refused)


def _record(brand: Brand, answers: Iterable[Answer], contents: Mapping[int, Content]) -> None:
    made: list[Made] = []
    for task, answer in answers:
        if isinstance(answer, Made):
            made.append(answer)
        elif isinstance(answer, LostAnswer):
            _lost(task, answer)
        elif answer is None or isinstance(answer, WeComUnavailable):
            postpone(task, answer)
        elif getattr(answer, "errcode", None) == media.UNKNOWN and media.forget(contents[task.pk]):
            postpone(task, None)  # with a new upload
        else:
            _refused(brand, task, answer)
    record_handed(brand, made)


# ---- record


def record_handed(brand: Brand, made: Sequence[Made]) -> None:
    """WeCom has these tasks. In transactions of its own; safe to repeat.

    One that is known under another msgid is too much and is stopped by the outbox, which tries again and shows what fails:
    the process slept through ten minutes in the middle of its call, and another one has sent it.
    """
    if made:
        _write_handed(brand, made)


@transaction.atomic
def _write_handed(brand: Brand, made: Sequence[Made]) -> None:
    now = clock.now()
    # send tasks before touches, in the order of their ids: as everybody who writes both
    rows = SendTask.objects.select_for_update().filter(pk__in=[one.task.pk for one in made]).order_by("pk")
    known = {pk: (state, msgid) for pk, state, msgid in rows.values_list("pk", "state", "msgid")}
    new = [one for one in made if known.get(one.task.pk) in ((State.CALLING, ""), (State.PLANNED, ""))]
    with connection.cursor() as cursor, joined_by_loop(cursor):
        cursor.execute(
            "UPDATE campaigns_sendtask t SET state = 'handed', msgid = v.msgid, n_failed = v.n_failed, next_try_at = %s,"
            " n_tries = 0, error = '' FROM unnest(%s::bigint[], %s::text[], %s::int[]) AS v(id, msgid, n_failed)"
            " WHERE t.brand_id = %s AND t.id = v.id",
            [
                now + FIRST_POLL,
                [one.task.pk for one in new],
                [one.msgid for one in new],
                [len(one.refused) for one in new],
                brand.pk,
            ],
        )
    for one in sorted(new, key=lambda one: one.task.pk):
        if one.refused:
            fail(brand, one.task, one.refused, Touch.Reason.NOT_FRIEND, now)
        if not one.task.broadcast_id:  # a broadcast's are told by their send task (waiting.py)
            _mark_handed(brand, one.task, now)
    for one in made:
        if one not in new and known.get(one.task.pk, ("", ""))[1] != one.msgid:
            log.warning("send task %s was handed over twice; stopping %s", one.task.pk, one.msgid)
            payload = {"userid": one.task.staff.userid, "msgid": one.msgid}
            outbound.enqueue(
                brand, corp=one.task.corp, kind="stop_send", key=f"send:{one.msgid}", payload=payload
            )


def _mark_handed(brand: Brand, task: SendTask, now: datetime) -> None:
    planned = [Touch.State.PLANNED]
    rest = touches.settle(
        brand, send_task_id=task.pk, at=task.at, state=Touch.State.HANDED, done_at=now, was=planned
    )
    touches.tell(brand, EventType.TOUCH_HANDED, rest, at=now, staff_id=task.staff_id, data=claims.about(task))


def unchanged(task: SendTask) -> "QuerySet[SendTask]":
    """The row, as long as it is what this process has seen: nobody has taken it over."""
    states = [State.PLANNED, State.CALLING]
    return SendTask.objects.filter(pk=task.pk, state__in=states, called_at=task.called_at, msgid="")


def _lost(task: SendTask, error: LostAnswer) -> None:
    """No answer: perhaps done. It stays in `calling` until it is found or ten minutes have passed."""
    with transaction.atomic():
        unchanged(task).update(next_try_at=clock.now() + PAUSES[0], error=str(error)[:500])


def postpone(task: SendTask, error: WeComUnavailable | WeComForbidden | None) -> None:
    """Certainly not done: planned again, a little later each time; at once if nothing was wrong."""
    pause = timedelta(0)
    if error is not None:
        growing = PAUSES[min(task.n_tries, len(PAUSES) - 1)]
        pause = max(growing, timedelta(seconds=getattr(error, "retry_after_s", 0)))
    with transaction.atomic():
        unchanged(task).update(
            state=State.PLANNED,
            called_at=None,
            next_try_at=clock.now() + pause,
            n_tries=task.n_tries + (error is not None),
            error=str(error)[:500] if error else "",
        )


def _refused(brand: Brand, task: SendTask, error: WeComRejected | InvalidError) -> None:
    """WeCom says no. What a person can mend (secret, trusted IP, rights) waits for it; the rest is final."""
    if isinstance(error, WeComForbidden):
        postpone(task, error)
        return
    now, words = clock.now(), words_of(error)
    with transaction.atomic():
        if not unchanged(task).update(state=State.FAILED, n_failed=task.n, error=words[:500]):
            return
        fail(brand, task, None, Touch.Reason.REFUSED, now, words)


def fail(
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
        data=claims.about(task),
        reason=reason,
        source=claims.source_of(task),
    )


def words_of(error: WeComRejected | InvalidError) -> str:
    number = getattr(error, "errcode", None)
    return f"{error} ({number})" if number else str(error)
