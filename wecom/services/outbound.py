"""The outbox: writes to WeCom that must happen (tags, remark, notice to staff, stop of a mass message). Claimed first, made
second, recorded third.

    enqueue(brand, corp=…, kind="mark_tag", key="tag:7:12", subject=external_userid,
            payload={"userid": …, "external_userid": …, "add": [tag ids], "remove": [tag ids]})
    enqueue(…, kind="remark", payload={"userid": …, "external_userid": …, "remark": …})      # also description
    enqueue(…, kind="stop_send", payload={"userid": the guide's, "msgid": …})
    notices.notify_staff(…)                                                                  # kind notice

Only calls that may be made twice belong here: a worker that is killed between the call and its record makes it again.
"""

import json
import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any, NotRequired, TypedDict

from django.db import connection, transaction
from django.db.models import F
from django.utils.translation import gettext as _

from org import audit
from org.access import Actor
from org.models import Corp
from scrm import clock
from scrm.errors import SCRMError
from tenants.models import Brand
from wecom.api import contacts, messages, tags
from wecom.client import WeComClient, client_for
from wecom.errcodes import Kind, advice
from wecom.errors import WeComRateLimited, WeComRejected
from wecom.models import OutboundCall
from wecom.services import app_state, notice_pace
from wecom.services.outbound_order import OPEN, behind, drop_overtaken, first_in_line
from wecom.services.turns import Busy, turn

log = logging.getLogger(__name__)

State = OutboundCall.State
LEASE = timedelta(seconds=120)  # longer than a call with all its repeats
PAUSES_S = (5, 30, 120, 600, 3600, 3 * 3600)
BUSY_PAUSE_S, TURN_WAIT_S = 2, 2.0
TAG_IS_GONE = 40068  # WeCom refuses the whole call for one tag that it does not know
AT_ONCE = 50  # calls per task
FIRST, LAST = 0, 9  # of a queue: no import, export or count waits for a hundred thousand tags on their way
MOST_AGAIN = 10_000  # failed calls that are made again at once


_ENQUEUE = """
    INSERT INTO wecom_outboundcall (brand_id, corp_id, kind, state, next_try_at, created_at, n_tries, error,
                                    key, subject, payload)
    SELECT %s, %s, %s, %s, %s, %s, 0, '', c.key, c.subject, c.payload::jsonb
      FROM unnest(%s::text[], %s::text[], %s::text[]) AS c(key, subject, payload)
    ON CONFLICT (brand_id, kind, key) DO NOTHING
    RETURNING key, id
"""


class NewCall(TypedDict):
    """One call for `enqueue_many`; see the module's docstring for payloads."""

    key: str
    subject: NotRequired[str]
    payload: dict[str, Any]


class NobodyReached(SCRMError):
    """WeCom took the message and says that the member cannot receive it."""


def enqueue(
    brand: Brand, *, corp: Corp, kind: str, key: str, payload: dict[str, Any], subject: str = ""
) -> OutboundCall | None:
    """Write down one call in the caller's transaction; it starts after the commit. None: this key is known
    already.

    Args:
        key: what makes the call one, ≤ 120 characters; a repeat of the same act must give the same.
        subject: external_userid; calls for one customer are made one at a time (WeCom answers 45035
            otherwise), those of one kind in the order of their writing.
    """
    calls = enqueue_many(
        brand, corp=corp, kind=kind, calls=[{"key": key, "subject": subject, "payload": payload}]
    )
    return calls[0] if calls else None


@transaction.atomic
def enqueue_many(brand: Brand, *, corp: Corp, kind: str, calls: Iterable[NewCall]) -> list[OutboundCall]:
    """The same for many calls, in one statement; gives those that are new."""
    wanted = {call["key"]: call for call in calls}
    if not wanted:
        return []
    kind, now = OutboundCall.Kind(kind), clock.now()
    rows = sorted(wanted)  # two transactions with the same calls wait for each other instead of deadlocking
    with connection.cursor() as cursor:
        cursor.execute(
            _ENQUEUE,
            [
                brand.pk, corp.pk, kind, State.WAITING, now, now, rows,
                [wanted[key].get("subject", "") for key in rows],
                [json.dumps(wanted[key]["payload"], ensure_ascii=False) for key in rows],
            ],
        )  # fmt: skip
        new = dict(cursor.fetchall())
    made = [
        OutboundCall(
            pk=pk, brand_id=brand.pk, corp=corp, kind=kind, key=key, subject=wanted[key].get("subject", ""),
            payload=wanted[key]["payload"], next_try_at=now, created_at=now,
        )
        for key, pk in new.items()
    ]  # fmt: skip
    for call in made:
        call._state.adding, call._state.db = False, "default"
    start(brand, [call.pk for call in made])
    return made


def start(brand: Brand, call_ids: list[int]) -> None:
    """Tasks after the commit; many calls go behind everything else, so that no arrival waits for them."""
    from wecom.tasks import deliver

    queue = "bulk" if len(call_ids) > AT_ONCE else "default"
    size = AT_ONCE if len(call_ids) <= 20 * AT_ONCE else 10 * AT_ONCE
    for n in range(0, len(call_ids), size):
        kwargs = {"brand_id": brand.pk, "call_ids": call_ids[n : n + size]}
        deliver.apply_async_on_commit(kwargs=kwargs, queue=queue, priority=LAST if queue == "bulk" else FIRST)


def deliver_many(brand: Brand, call_ids: Iterable[int]) -> None:
    """Make some calls, one after the other; then start those that stood behind them."""
    over: set[str] = set()
    for call_id in call_ids:
        call = _claim(call_id)
        if call is not None and _deliver(brand, call) in (State.DONE, State.FAILED):
            over.add(call.subject)
    if over := over - {""}:
        with transaction.atomic():
            start(brand, behind(over))


def deliver_one(brand: Brand, call_id: int) -> str | None:
    """Make one call; gives its state afterwards, or None when somebody else has it, it is finished, or an older one
    of its kind and customer comes first."""
    call = _claim(call_id)
    return None if call is None else _deliver(brand, call)


def _deliver(brand: Brand, call: OutboundCall) -> str | None:
    try:
        with turn(
            brand,
            "outbound",
            call.subject,
            wait_s=TURN_WAIT_S,
            hold_s=LEASE.total_seconds(),
            me=f"call {call.pk}",
        ):
            KINDS[call.kind](client_for(call.corp), call.payload)
    except Busy:
        return _write(call, state=State.WAITING, n_tries=call.n_tries - 1, next_try_at=_after(BUSY_PAUSE_S))
    except WeComRateLimited as error:  # not a failure: it goes on when WeCom allows it
        pause_s = max(1, error.retry_after_s)
        return _write(
            call,
            state=State.WAITING,
            n_tries=call.n_tries - 1,
            next_try_at=_after(pause_s),
            error=_text(error),
        )
    except SCRMError as error:
        return _failed(call, error)
    except Exception as error:
        log.exception("outbound call %s (%s) failed, try %s", call.pk, call.kind, call.n_tries)
        return _failed(call, error)
    app_state.note_answer(call.corp, None)
    return _write(call, state=State.DONE, done_at=clock.now(), error="")


def _claim(call_id: int) -> OutboundCall | None:
    now = clock.now()
    with transaction.atomic():
        free = OutboundCall.objects.filter(first_in_line(), pk=call_id, state__in=OPEN, next_try_at__lte=now)
        if not free.update(state=State.CALLING, n_tries=F("n_tries") + 1, next_try_at=now + LEASE):
            return None
        return OutboundCall.objects.select_related("corp").get(pk=call_id)


def _write(call: OutboundCall, **values: Any) -> str | None:
    """Write the outcome, unless the lease ran out and somebody else has claimed the call meanwhile."""
    with transaction.atomic():
        mine = OutboundCall.objects.filter(pk=call.pk, state=State.CALLING, next_try_at=call.next_try_at)
        return values["state"] if mine.update(**values) else None


def _failed(call: OutboundCall, error: Exception) -> str | None:
    if isinstance(error, WeComRejected):
        app_state.note_answer(call.corp, error.errcode or 0)
        if error.errcode is not None and advice(error.errcode).kind is Kind.STATE:
            # e.g. the customer has left meanwhile: nothing is left to do, and nobody can mend it
            return _write(call, state=State.DONE, done_at=clock.now(), error=_text(error))
        return _write(call, state=State.FAILED, done_at=clock.now(), error=_text(error))
    if isinstance(error, SCRMError) and not hasattr(error, "retry_after_s"):
        return _write(call, state=State.FAILED, done_at=clock.now(), error=_text(error))
    if call.n_tries > len(PAUSES_S):
        return _write(call, state=State.FAILED, done_at=clock.now(), error=_text(error))
    return _write(
        call, state=State.WAITING, next_try_at=_after(PAUSES_S[call.n_tries - 1]), error=_text(error)
    )


def _after(seconds: float) -> Any:
    return clock.now() + timedelta(seconds=seconds)


def _text(error: Exception) -> str:
    errcode = getattr(error, "errcode", None)
    number = f" ({errcode})" if errcode is not None else ""
    return (f"{error}{number}" if isinstance(error, SCRMError) else f"{type(error).__name__}: {error}")[:500]


def due(limit: int) -> list[int]:
    """Ids of calls whose task got lost, whose pause is over, or whose worker has died."""
    now = clock.now()
    with transaction.atomic():
        open_ = OutboundCall.objects.filter(first_in_line(), state__in=OPEN, next_try_at__lte=now)
        return list(open_.order_by("next_try_at").values_list("pk", flat=True)[:limit])


@transaction.atomic
def try_again(brand: Brand, *, by: Actor, call_ids: Sequence[int] | None) -> int:
    """Make failed calls again: some by id, or all (None), the oldest MOST_AGAIN of them; without what later calls have
    changed since. Gives how many."""
    failed = OutboundCall.objects.filter(state=State.FAILED)
    if call_ids is not None:
        failed = failed.filter(pk__in=list(call_ids))
    ids = list(failed.order_by("pk").values_list("pk", flat=True)[:MOST_AGAIN])
    drop_overtaken(brand, ids)
    OutboundCall.objects.filter(pk__in=ids, state=State.FAILED).update(
        state=State.WAITING, n_tries=0, next_try_at=clock.now(), done_at=None, error=""
    )
    start(brand, ids)
    audit.record(by, "outbound.try_again", after={"n": len(ids)})
    return len(ids)


# ---- the calls: kind → function(client, payload)


def _mark_tag(client: WeComClient, payload: dict[str, Any]) -> None:
    add, remove = payload.get("add") or [], payload.get("remove") or []
    for start in range(0, max(len(add), len(remove)), 100):
        part = slice(start, start + 100)
        try:
            tags.mark_tag(
                client, payload["userid"], payload["external_userid"], add=add[part], remove=remove[part]
            )
        except WeComRejected as error:
            if error.errcode != TAG_IS_GONE:
                raise
            _mark_one_by_one(client, payload, add[part], remove[part])


def _mark_one_by_one(
    client: WeComClient, payload: dict[str, Any], add: Sequence[str], remove: Sequence[str]
) -> None:
    """A tag was deleted in WeCom meanwhile, and WeCom refused the whole call: the others are not lost for it."""
    for tag, is_on in [(tag, True) for tag in add] + [(tag, False) for tag in remove]:
        try:
            tags.mark_tag(
                client,
                payload["userid"],
                payload["external_userid"],
                add=[tag] if is_on else [],
                remove=[] if is_on else [tag],
            )
        except WeComRejected as error:
            if error.errcode != TAG_IS_GONE:
                raise
            log.info("tag %s is gone in WeCom: nothing to mark", tag)


def _remark(client: WeComClient, payload: dict[str, Any]) -> None:
    contacts.remark(
        client,
        payload["userid"],
        payload["external_userid"],
        remark=payload.get("remark"),
        description=payload.get("description"),
    )


def _notice(client: WeComClient, payload: dict[str, Any]) -> None:
    notice_pace.take(client, payload["userid"])
    if payload.get("url"):
        missed = messages.send_text_card(
            client,
            [payload["userid"]],
            title=payload["title"],
            description=payload["text"],
            url=payload["url"],
        )
    else:
        missed = messages.send_text(client, [payload["userid"]], payload["text"])
    if missed:
        raise NobodyReached(
            _("WeCom cannot deliver to this member; they may be outside the app's visible range")
        )


def _stop_send(client: WeComClient, payload: dict[str, Any]) -> None:
    messages.cancel(client, payload["msgid"])


KINDS: dict[str, Callable[[WeComClient, dict[str, Any]], None]] = {
    OutboundCall.Kind.MARK_TAG: _mark_tag,
    OutboundCall.Kind.REMARK: _remark,
    OutboundCall.Kind.NOTICE: _notice,
    OutboundCall.Kind.STOP_SEND: _stop_send,
}
