"""The welcome of one arrival: at most once, within WeCom's 20 seconds, and whatever came of it in the ledger.

The right to greet is claimed (a touch keyed by the welcome code), then WeCom is called, then the outcome is
recorded. A process that dies in between leaves an open claim. WeCom takes a code once, so asking again is
safe and tells what became of it: 41051 after a call of ours means that the message was delivered.

Source: developer.work.weixin.qq.com/document/path/92137
"""

import hashlib
import logging
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db import transaction

from campaigns.models import Touch, TouchKey
from campaigns.services.ledger import touches
from contacts.models import Follow
from content import variables
from content.services import links
from livecodes.services.meeting import Arrival, load
from livecodes.services.welcome import candidates, choose
from scrm import clock
from scrm.errors import InvalidError
from tenants.models import Brand
from wecom.api import contacts, messages
from wecom.api.contacts import Customer
from wecom.client import WeComClient, client_for
from wecom.crypto import parse_event
from wecom.errors import LostAnswer, WeComError, WeComRejected, WeComUnavailable
from wecom.models import CallbackEvent
from wecom.services import attachments as stored_attachments
from wecom.services import media

log = logging.getLogger(__name__)

Reason = Touch.Reason
LIFE_S = 20.0  # of a welcome code
TOO_OLD_S = 18.0  # later than this a call would hardly arrive in time
PROFILE_S = 3.0
PAUSE_S = 0.3
MEET_AFTER_S = 5  # a profile that was not to be had in time is read again
LOST_AFTER, LOST_UNTIL = timedelta(seconds=40), timedelta(hours=1)
_MEDIA_CODES = frozenset({40007, 40004, 40006, 40009, 40011, 40123, 45001, 44001})
_SENT = 41051  # delivered already, or the conversation has begun


# ---- greeting


def greet(
    brand: Brand, arrival: Arrival, *, welcome_code: str, happened_at: datetime, received_at: datetime
) -> None:
    """Send the welcome of an arrival. Safe to repeat; calls WeCom, so outside a transaction.

    The profile is read first, for at most 3 s: without it the text goes without the name.

    Args:
        happened_at: the event's own time, by which the touch is found again.
        received_at: when it reached us, from which we count the 20 seconds: WeCom's clock and ours may differ by
            minutes. If it was late already, WeCom says so.
    """
    from livecodes.tasks import keep_profile, meet

    claimed = None if arrival.is_first else _claim_of(welcome_code)
    if claimed is not None and claimed.state != Touch.State.PLANNED:
        return
    about = {"brand_id": brand.pk, **arrival.ids()}
    age_s = (clock.now() - received_at).total_seconds()
    end = time.monotonic() + LIFE_S - age_s
    if claimed is None and age_s > TOO_OLD_S:
        _close(brand, arrival, welcome_code, happened_at, Reason.EXPIRED)
        meet.delay(**about)
        return
    if claimed is None and arrival.follow.ended_at:
        _close(brand, arrival, welcome_code, happened_at, Reason.NOT_FRIEND)
        return
    read_at = clock.now()
    customer = _read_customer(arrival, min(PROFILE_S, end - time.monotonic() - 2))
    with transaction.atomic():
        message = _compose(brand, arrival, customer)
        touch = claimed
        if message is not None and touch is None:
            touch = _claim(brand, arrival, welcome_code, happened_at)
            if touch is None:
                return  # another process was faster
    if message is not None and touch is not None:
        _deliver(brand, arrival, touch, welcome_code, *message, end=end, again=claimed is not None)
    # what was read is kept afterwards and elsewhere: names and ids can wait, the next customer cannot
    if customer is None:
        meet.apply_async(kwargs=about, countdown=MEET_AFTER_S)
    else:
        keep_profile.delay(**about, customer=customer, read_at=read_at.isoformat())


# ---- steps


def _read_customer(arrival: Arrival, seconds: float) -> Customer | None:
    """Who it is, within so many seconds; None when WeCom did not say."""
    if seconds <= 0.2:
        return None
    client = client_for(arrival.follow.corp, deadline_s=max(1.0, seconds))
    try:
        return contacts.customer(client, arrival.follow.external_userid)
    except WeComError as error:
        log.info("profile of follow %s not read in time: %r", arrival.follow.pk, error)
        return None


def _compose(
    brand: Brand, arrival: Arrival, customer: Customer | None
) -> tuple[str, list[dict[str, Any]]] | None:
    """Text and stored attachments of the welcome for this arrival; None where none is meant for it."""
    code, contact = arrival.code, arrival.contact
    known: Any = customer["external_contact"] if customer else {}
    chosen = choose(
        candidates(brand, code_id=code.pk if code else None, staff=arrival.staff),
        code_id=code.pk if code else None,
        staff_id=arrival.staff.pk,
        department_ids=arrival.staff.department_ids,
        local=clock.now().astimezone(ZoneInfo(brand.timezone)),
        is_returning=arrival.is_returning,
        gender=known.get("gender") or contact.gender,
    )
    if chosen is None:
        return None
    values = variables.values_for(
        customer=(known.get("name") or contact.name).replace("\x00", ""),
        staff=arrival.staff,
        brand=brand,
        code=code.name if code else "",
    )
    return variables.render(chosen.text, values), list(chosen.attachments)


@transaction.atomic
def _claim_of(welcome_code: str) -> Touch | None:
    """The touch that this welcome code was claimed for, if it was."""
    digest = hashlib.sha1(welcome_code.encode(), usedforsecurity=False).hexdigest()
    key = TouchKey.objects.filter(key=f"w:{digest}").first()
    if key is None or key.touch_id is None:
        return None
    return Touch.objects.filter(pk=key.touch_id, at=key.touch_at).first()


def _claim(brand: Brand, arrival: Arrival, welcome_code: str, at: datetime) -> Touch | None:
    return touches.claim_welcome(
        brand,
        contact_id=arrival.contact.pk,
        staff_id=arrival.staff.pk,
        code_id=arrival.code.pk if arrival.code else None,
        welcome_code=welcome_code,
        at=at,
    )


def _close(brand: Brand, arrival: Arrival, welcome_code: str, at: datetime, reason: Touch.Reason) -> None:
    """Write down a welcome that is not even tried."""
    with transaction.atomic():
        touch = _claim(brand, arrival, welcome_code, at)
        if touch is not None:
            touches.record_welcome_result(brand, touch=touch, reason=reason)


def _deliver(
    brand: Brand,
    arrival: Arrival,
    touch: Touch,
    welcome_code: str,
    text: str,
    stored: list[dict[str, Any]],
    *,
    end: float,
    again: bool,
) -> None:
    client = client_for(arrival.follow.corp, deadline_s=max(1.0, end - time.monotonic()))
    text, stored = links.personalise(
        brand, text, stored, staff_id=arrival.staff.pk, touch_id=touch.pk, via=touch.kind
    )
    attachments, left_out = _attachments(arrival, client, text, stored)
    outcome = send(client, welcome_code, text, attachments, end=end, again=again)
    if outcome is None:
        return  # nobody knows whether it arrived: `settle_lost` asks again
    reason, error = outcome
    touches.record_welcome_result(brand, touch=touch, reason=reason, error=error or left_out, text=text)


def _attachments(
    arrival: Arrival, client: WeComClient, text: str, stored: list[dict[str, Any]]
) -> tuple[list[messages.Attachment], str]:
    """WeCom's form of the attachments; if a file cannot be had and there is a text, the text goes alone."""
    if not stored:
        return [], ""
    try:
        return stored_attachments.to_wecom(arrival.follow.corp, client, stored), ""
    except (WeComError, InvalidError) as error:
        log.warning("attachments of the welcome of follow %s: %r", arrival.follow.pk, error)
        return [], _words(error)


def send(
    client: WeComClient,
    welcome_code: str,
    text: str,
    attachments: Sequence[messages.Attachment],
    *,
    end: float,
    again: bool,
) -> tuple[Touch.Reason, str] | None:
    """Call WeCom until it answers or the 20 seconds are over.

    Args:
        end: `time.monotonic()` at which the code dies.
        again: an earlier call of ours may have been taken.

    Returns:
        reason (NONE: delivered) and WeCom's words; None when a call went out and its answer never came.
    """
    unsure = again
    while True:
        try:
            messages.send_welcome(client, welcome_code, text=text, attachments=attachments)
            return Reason.NONE, ""
        except WeComRejected as error:
            if error.errcode == _SENT:
                return (Reason.NONE, "") if unsure else (Reason.ALREADY_WELCOMED, _words(error))
            if error.errcode == media.UNKNOWN:
                media.forget(attachments)  # the next welcome uploads them anew
            if error.errcode in _MEDIA_CODES and attachments and text:
                attachments = []  # WeCom has dropped a file early: the text alone is better than nothing
                continue
            known = {41049: Reason.EXPIRED, 41050: Reason.EXPIRED, 84061: Reason.NOT_FRIEND}
            return known.get(error.errcode or 0, Reason.REFUSED), _words(error)
        except InvalidError as error:
            return Reason.REFUSED, _words(error)
        except WeComUnavailable as error:
            unsure = unsure or isinstance(error, LostAnswer)
            if time.monotonic() + PAUSE_S > end:
                return None if unsure else (Reason.EXPIRED, _words(error))
        time.sleep(PAUSE_S)


def _words(error: Exception) -> str:
    errcode = getattr(error, "errcode", None)
    return f"{error} ({errcode})" if errcode is not None else str(error)


# ---- claims whose process has died


def settle_lost(brand: Brand) -> int:
    """Find out what became of welcomes that were claimed and never recorded; gives how many.

    Looks at the welcomes of the last hour only. After an hour without an answer of WeCom they count as not
    sent.
    """
    now = clock.now()
    with transaction.atomic():
        lost = list(
            # by the ledger's index on (sop, step, at): welcomes have neither
            Touch.objects.filter(
                kind=Touch.Kind.WELCOME,
                sop_id=None,
                step_id=None,
                at__gte=now - 2 * LOST_UNTIL,
                at__lte=now - LOST_AFTER,
                state=Touch.State.PLANNED,
            ).order_by("at")[:100]
        )
    for touch in lost:
        if touch.at < now - LOST_UNTIL:
            touches.record_welcome_result(brand, touch=touch, reason=Reason.EXPIRED, error="no answer")
        else:
            _settle(brand, touch)
    return len(lost)


def _settle(brand: Brand, touch: Touch) -> None:
    with transaction.atomic():
        follow = Follow.objects.filter(contact=touch.contact_id, staff=touch.staff_id).first()
        welcome_code = _code_in_inbox(touch)
    arrival = load(follow.pk, touch.code_id) if follow and welcome_code else None
    if arrival is None:
        touches.record_welcome_result(brand, touch=touch, reason=Reason.EXPIRED, error="no answer")
        return
    greet(brand, arrival, welcome_code=welcome_code, happened_at=touch.at, received_at=touch.at)


def _code_in_inbox(touch: Touch) -> str:
    """The welcome code of a touch, from the event that brought it; "" if the event is not there any more."""
    events = CallbackEvent.objects.filter(
        received_at__gte=touch.at - timedelta(minutes=10),
        received_at__lte=touch.at + timedelta(hours=1),
        happened_at=touch.at,
        change_type__in=["add_external_contact", "add_half_external_contact", "msg_audit_approved"],
    )
    keys = TouchKey.objects.filter(touch_id=touch.pk, touch_at=touch.at)
    for event in events[:500]:
        code = parse_event(event.body).get("WelcomeCode") or ""
        digest = hashlib.sha1(str(code).encode(), usedforsecurity=False).hexdigest()
        if code and keys.filter(key=f"w:{digest}").exists():
            return str(code)
    return ""
