"""Send tasks whose call has no answer: found among WeCom's records, or sent again when it is certain that there is none.

A record is one of ours when it was made by a program after our call, has our content, is known under no send task, is of
our guide, and reaches nobody but those whom we named. Ten minutes without such a record mean that the call was not made;
while WeCom does not answer nothing is certain. All lost tasks of a corp are looked for at once: WeCom's list is read once,
and a record costs two calls however many tasks of one content are lost.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from campaigns.models import SendTask, Touch
from campaigns.services.sending import claims, handing, senders
from org.models import Corp
from scrm import clock
from tenants.models import Brand
from wecom.api import messages
from wecom.client import WeComClient, client_for
from wecom.errors import WeComForbidden, WeComRejected, WeComUnavailable

State = SendTask.State
GIVE_UP = timedelta(minutes=10)  # a call that WeCom does not show after this was not made
CLOCKS_DIFFER = timedelta(minutes=10)
LOOK_AGAIN = timedelta(seconds=60)
SHOWN = timedelta(days=30)  # how far back WeCom's list can be asked
Content = tuple[str, tuple[Any, ...]]


def recover(brand: Brand, task_ids: Collection[int]) -> None:
    """Look for tasks whose call was made and not recorded (or never made); those that were claimed and not begun to be
    called are planned again. Safe to be killed and to run twice."""
    claims.give_back(task_ids)
    for corp, tasks in _take(task_ids):
        try:
            _recover(brand, client_for(corp), tasks)
        except WeComUnavailable:
            continue  # the next tick looks again
        except WeComRejected as error:
            _note(tasks, error)


def _take(task_ids: Collection[int]) -> list[tuple[Corp, list[SendTask]]]:
    """Those whose time it is, by corp. The look is claimed too: two at once would both be right, but cost twice."""
    now = clock.now()
    with transaction.atomic():
        rows = SendTask.objects.select_for_update(skip_locked=True).order_by("pk")
        rows = rows.filter(
            pk__in=task_ids, state=State.CALLING, next_try_at__lte=now, called_at__isnull=False
        )
        mine = list(rows.values_list("pk", flat=True))
        SendTask.objects.filter(pk__in=mine).update(next_try_at=now + LOOK_AGAIN)
        tasks = list(SendTask.objects.select_related(*claims.WITH).defer(*claims.WITHOUT).filter(pk__in=mine))
    by_corp: dict[int, list[SendTask]] = defaultdict(list)
    for task in tasks:
        by_corp[task.corp_id].append(task)
    return [(found[0].corp, found) for found in by_corp.values()]


def _recover(brand: Brand, client: WeComClient, tasks: Sequence[SendTask]) -> None:
    now = clock.now()
    for task in tasks:
        if _called(task) < now - SHOWN:
            _lost_for_good(brand, task, now)
    left = {task.pk: task for task in tasks if _called(task) >= now - SHOWN}
    if not left:
        return
    by_content: dict[Content, list[SendTask]] = defaultdict(list)
    for task in left.values():
        by_content[_content_of_task(task)].append(task)
    start = min(map(_called, left.values())) - CLOCKS_DIFFER
    records = [
        record
        for record in messages.groupmsg_list(client, start_at=start, end_at=now + CLOCKS_DIFFER)
        if is_of_a_program(record) and _content_of(record) in by_content
    ]
    known = _known([record["msgid"] for record in records])
    doubtful: set[int] = set()
    for record in records:
        alike = [
            task for task in by_content[_content_of(record)]
            if task.pk in left and _made_at(record) >= _called(task) - CLOCKS_DIFFER
        ]  # fmt: skip
        if not alike or record["msgid"] in known:
            continue
        for task in _of_its_guide(client, record["msgid"], alike, doubtful):
            reached = _reached(brand, client, record["msgid"], task, doubtful)
            if reached:
                refused = set(task.contact_ids) - reached
                handing.record_handed(brand, [handing.Made(task, record["msgid"], refused)])
                del left[task.pk]
                break
    for task in left.values():
        if task.pk not in doubtful and now - _called(task) >= GIVE_UP:
            handing.postpone(task, None)


def _called(task: SendTask) -> datetime:
    return task.called_at or task.at


def _known(msgids: Collection[str]) -> set[str]:
    with transaction.atomic():
        rows = SendTask.objects.exclude(msgid="").filter(msgid__in=msgids)  # as the partial index says it
        return set(rows.values_list("msgid", flat=True))


def _of_its_guide(
    client: WeComClient, msgid: str, tasks: Sequence[SendTask], doubtful: set[int]
) -> list[SendTask]:
    """Those of the guide whom WeCom has given this record; whoever cannot be told notes the tasks as doubtful."""
    try:
        guides = {str(row.get("userid", "")).lower() for row in messages.groupmsg_task(client, msgid)}
    except (WeComUnavailable, WeComForbidden):
        doubtful.update(task.pk for task in tasks)
        return []
    except WeComRejected:
        return []
    return [task for task in tasks if task.staff.userid.lower() in guides]


def _reached(brand: Brand, client: WeComClient, msgid: str, task: SendTask, doubtful: set[int]) -> set[int]:
    """Contacts of the task whom this record reaches; none when it reaches somebody else too."""
    try:
        rows = messages.groupmsg_send_result(client, msgid, task.staff.userid)
    except (WeComUnavailable, WeComForbidden):
        doubtful.add(task.pk)
        return set()
    except WeComRejected:
        return set()
    with transaction.atomic():
        receivers = senders.external_ids(brand, task.corp.corpid, task.contact_ids)
    reached = {row["external_userid"] for row in rows if row.get("external_userid")}
    return {receivers[external] for external in reached} if reached <= receivers.keys() else set()


def _lost_for_good(brand: Brand, task: SendTask, now: datetime) -> None:
    """WeCom's list does not reach back so far any more: perhaps sent, so never sent again."""
    words = _("WeCom's answer was lost, and could not be asked for within a month")
    with transaction.atomic():
        if handing.unchanged(task).update(state=State.FAILED, n_failed=task.n, error=words):
            handing.fail(brand, task, None, Touch.Reason.REFUSED, now, words)


def _note(tasks: Collection[SendTask], error: WeComRejected) -> None:
    with transaction.atomic():
        SendTask.objects.filter(pk__in=[task.pk for task in tasks], state=State.CALLING).update(
            error=handing.words_of(error)[:500], next_try_at=clock.now() + handing.PAUSES[3]
        )


# ---- records


def is_of_a_program(record: Mapping[str, Any]) -> bool:
    return not record.get("creator") and int(record.get("create_type") or 0) == 0


def _made_at(record: Mapping[str, Any]) -> datetime:
    return datetime.fromtimestamp(int(record.get("create_time") or 0), UTC)


def _content_of(record: Mapping[str, Any]) -> Content:
    text = str((record.get("text") or {}).get("content") or "")
    return _plain(text), tuple(a.get("msgtype") for a in record.get("attachments") or [])


def _content_of_task(task: SendTask) -> Content:
    return _plain(task.text), tuple(a["type"] for a in task.attachments)


def _plain(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.replace("\r\n", "\n").strip().split("\n"))
