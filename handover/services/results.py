"""What became of hand-overs: WeCom is asked by giver and receiver until everything is final, and tells of
refusals itself (transfer_fail).

Source: developer.work.weixin.qq.com/document/path/94088, 94082, 92130
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, Max

from contacts.models import EventType, Identity
from contacts.services.timeline import record_event
from handover.models import HandoverItem, HandoverRun, HandoverShare
from handover.services import outcomes, reasons, takeover
from handover.services.runs import close_if_over
from org.models import Corp, Staff
from scrm import clock
from tenants.models import Brand
from wecom.api import transfers as api
from wecom.client import client_for
from wecom.models import CallbackEvent

log = logging.getLogger(__name__)

State = HandoverItem.State
LEASE = timedelta(minutes=10)
CLOCKS = timedelta(hours=1)  # WeCom's record is of this hand-over if it ended no longer than this before it
AFTER = timedelta(minutes=10)  # after the appointed moment, so that WeCom's events come first
OFTEN, SELDOM = timedelta(hours=6), timedelta(hours=24)
GIVE_UP = timedelta(days=7)
FORGOTTEN = timedelta(days=3)  # not in WeCom's list for so long: it knows nothing of it

Records = Mapping[str, api.Transfer]


def records_of(run: HandoverRun, receiver: Staff) -> dict[str, api.Transfer]:
    """WeCom's newest record of each customer that went from the run's giver to one receiver."""
    client = client_for(run.corp)
    given = {"handover_userid": run.giver.userid, "takeover_userid": receiver.userid}
    rows = api.resigned_transfers(client, **given) if run.is_resigned else api.transfers(client, **given)
    found: dict[str, api.Transfer] = {}
    for row in rows:
        key = str(row.get("external_userid") or "")
        old = found.get(key)
        if old is None or _weight(row) >= _weight(old):
            found[key] = row
    return found


def _weight(record: api.Transfer) -> tuple[bool, int]:
    return record.get("status") == api.WAITING, int(record.get("takeover_time") or 0)


def _moment(record: api.Transfer) -> datetime | None:
    seconds = int(record.get("takeover_time") or 0)
    return datetime.fromtimestamp(seconds, UTC) if seconds > 0 else None


def _is_of(item: HandoverItem, record: api.Transfer) -> bool:
    """Whether a record speaks of this hand-over and not of an older one between the same two."""
    if record.get("status") == api.WAITING:
        return True
    at = _moment(record)
    return at is None or item.asked_at is None or at >= item.asked_at - CLOCKS


def look_up(brand: Brand, run: HandoverRun, receiver: Staff, lost: Sequence[HandoverItem]) -> None:
    """Customers whose call has no answer: what WeCom knows of has begun, the others are given again."""
    records = records_of(run, receiver)
    known = [
        item
        for item in lost
        if (record := records.get(item.external_userid))
        and record.get("status") != api.NO_RECORD
        and _is_of(item, record)
    ]
    with transaction.atomic():
        outcomes.begin(brand, run, known)
        again = [item.pk for item in lost if item not in known]
        HandoverItem.objects.filter(pk__in=again, state=State.CALLING).update(
            state=State.PLANNED, asked_at=None
        )
        if known:
            share = HandoverShare.objects.filter(run=run, receiver=receiver, poll_at=None)
            share.update(poll_at=clock.now(), n_polls=0)


# ---- polling


def due(limit: int = 200) -> list[int]:
    """Shares of which WeCom is to be asked now; leased, so that nobody else asks."""
    now = clock.now()
    with transaction.atomic():
        rows = HandoverShare.objects.filter(poll_at__lte=now).order_by("poll_at")
        ids = list(rows.select_for_update(skip_locked=True).values_list("pk", flat=True)[:limit])
        HandoverShare.objects.filter(pk__in=ids).update(poll_at=now + LEASE)
    return ids


def poll(brand: Brand, share_id: int) -> None:
    """Ask what became of a share's customers; calls WeCom, so outside of a transaction."""
    with transaction.atomic():
        share = HandoverShare.objects.select_related("run__corp", "run__giver", "receiver").get(pk=share_id)
        waiting = list(
            HandoverItem.objects.filter(
                run=share.run, receiver=share.receiver, kind=HandoverItem.Kind.CUSTOMER, state=State.WAITING
            ).select_related("receiver")
        )
    if waiting:
        _apply(brand, share.run, waiting, records_of(share.run, share.receiver))
    with transaction.atomic():
        _plan_next(share)
        close_if_over(share.run)


def _apply(brand: Brand, run: HandoverRun, waiting: Sequence[HandoverItem], records: Records) -> None:
    now = clock.now()
    by_status: dict[int, list[HandoverItem]] = {}
    for item in waiting:
        record = records.get(item.external_userid)
        status = int(record.get("status") or 0) if record and _is_of(item, record) else api.NO_RECORD
        by_status.setdefault(status, []).append(item)
        if record and status == api.DONE:
            takeover.settle(brand, run, item, at=min(_moment(record) or now, now), source="handover")
    appointed = [(item, _moment(records[item.external_userid])) for item in by_status.get(api.WAITING, [])]
    forgotten = [
        item for item in by_status.get(api.NO_RECORD, []) if now - (item.asked_at or now) > FORGOTTEN
    ]
    with transaction.atomic():
        for item, at in appointed:
            if at and at != item.takeover_at:
                HandoverItem.objects.filter(pk=item.pk, state=State.WAITING).update(takeover_at=at)
        outcomes.refuse(brand, run, by_status.get(api.REFUSED, []))
        outcomes.fail(brand, run, by_status.get(api.FULL, []), reasons.FULL)
        outcomes.fail(brand, run, forgotten, reasons.NO_RECORD)
    known = {api.WAITING, api.DONE, api.REFUSED, api.FULL, api.NO_RECORD}
    for status in by_status.keys() - known:
        log.error("hand-over %s: WeCom's status %s is unknown", run.pk, status)


def _plan_next(share: HandoverShare) -> None:
    """When to ask again: now and then until the appointed moment, soon after it, then less and less."""
    now = clock.now()
    waiting = HandoverItem.objects.filter(run=share.run, receiver=share.receiver, state=State.WAITING)
    latest = waiting.aggregate(takeover=Max("takeover_at"), asked=Max("asked_at"))
    if latest["asked"] is None:
        HandoverShare.objects.filter(pk=share.pk).update(poll_at=None)
        return
    end = latest["takeover"] or latest["asked"] + timedelta(hours=24)
    if now < end + AFTER:
        at = min(now + OFTEN, end + AFTER)
    elif now < end + OFTEN:
        at = now + timedelta(hours=1)
    elif now - end < GIVE_UP:
        at = now + SELDOM
    else:
        log.error("hand-over share %s: WeCom comes to no end", share.pk)
        at = now + 7 * SELDOM
    HandoverShare.objects.filter(pk=share.pk).update(poll_at=at, n_polls=F("n_polls") + 1)


# ---- events


def on_transfer_fail(brand: Brand, corp: Corp, payload: dict[str, Any], event: CallbackEvent) -> None:
    """transfer_fail: the customer refused, or the receiver is full. WeCom's list is asked first; if it does
    not show the end yet, the event's word is taken: it is final.

    A hand-over made in WeCom's console is no run of ours: its failure stands on the timeline alone.
    """
    external = str(payload.get("ExternalUserID") or "")
    userid, reason = str(payload.get("UserID") or "").lower(), str(payload.get("FailReason") or "")
    with transaction.atomic():
        item = (
            HandoverItem.objects.filter(
                external_userid=external, receiver__corp=corp, receiver__userid=userid
            )
            .filter(state__in=[State.WAITING, State.CALLING])
            .select_related("run__corp", "run__giver", "receiver")
            .order_by("-pk")
            .first()
        )
    if item is None:
        return _note_foreign(brand, corp, external, userid, reason, event)
    run = item.run
    _apply(brand, run, [item], records_of(run, item.receiver))
    with transaction.atomic():
        if HandoverItem.objects.filter(pk=item.pk, state__in=HandoverItem.LIVE).exists():
            if reason == "customer_limit_exceed":
                outcomes.fail(brand, run, [item], reasons.FULL)
            else:
                outcomes.refuse(brand, run, [item])
        close_if_over(run)
    return None


@transaction.atomic
def _note_foreign(
    brand: Brand, corp: Corp, external: str, userid: str, reason: str, event: CallbackEvent
) -> None:
    identity = Identity.objects.filter(
        kind=Identity.Kind.EXTERNAL_USERID, scope=corp.corpid, value=external
    ).first()
    receiver = Staff.objects.filter(corp=corp, userid=userid).first()
    known = HandoverItem.objects.filter(external_userid=external, receiver=receiver, done_at__isnull=False)
    if identity is None or known.filter(done_at__gte=event.happened_at - CLOCKS).exists():
        return
    full = reason == "customer_limit_exceed"
    record_event(
        brand,
        contact_id=identity.contact_id,
        type=EventType.HANDOVER_FAILED,
        at=event.happened_at,
        source="callback",
        source_key=f"transfer_fail:{event.pk}",
        data={
            "to": receiver.name if receiver else userid,
            "reason": "receiver_full" if full else "refused_by_customer",
        },
    )
