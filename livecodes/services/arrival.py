"""A customer arrives or goes: what WeCom's events do, each in one transaction (wecom/callbacks.py calls
these).

Events come twice, late and in any order; `record_follow` and `end_follow` know which fact is newer. A half
add (the guide has not confirmed yet) is greeted at once and gets the orders of its code when it is
confirmed, so both together are one arrival.
"""

from datetime import datetime
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db import transaction
from django.db.models import OuterRef
from django.utils.translation import gettext as _

from campaigns.models import Sop
from campaigns.services.sops import enrolments
from contacts.models import Contact, Follow
from contacts.services.follow import FollowResult, end_follow, record_follow
from handover.services import takeover
from livecodes.models import ChannelCode, CodeTag
from livecodes.services import greeting
from livecodes.services.meeting import Arrival, order_remark
from livecodes.services.welcome import needs_name
from org.models import Corp, Staff
from org.services.managers import managers_of
from tagging.services.tags.tags import add_tags
from tenants.models import Brand
from wecom.models import CallbackEvent
from wecom.services.notices import notify_staff
from wecom.services.staff_sync import fetch_member

BY_TRANSFER = "DELETE_BY_TRANSFER"  # on-job hand-over: the customer has another guide now


def on_contact_added(brand: Brand, corp: Corp, payload: dict[str, Any], event: CallbackEvent) -> None:
    """add_external_contact: follow, tags, remark, SOP and notice in one transaction; then the welcome.

    Args:
        payload: UserID, ExternalUserID and perhaps State, WelcomeCode.

    A member whom we have not synced yet is fetched first: the welcome cannot wait for the inbox's next try.

    Raises:
        Staff.DoesNotExist: WeCom itself does not know the member, or does not let us see them.

    Source: developer.work.weixin.qq.com/document/path/92130
    """
    _arrive(brand, corp, payload, event, pending=False)


def on_half_added(brand: Brand, corp: Corp, payload: dict[str, Any], event: CallbackEvent) -> None:
    """add_half_external_contact: the customer has added, the guide has not confirmed yet."""
    _arrive(brand, corp, payload, event, pending=True)


def _arrive(
    brand: Brand, corp: Corp, payload: dict[str, Any], event: CallbackEvent, *, pending: bool
) -> None:
    try:
        # whoever was handed over comes without a welcome code
        if not pending and not payload.get("WelcomeCode") and _is_taken_over(brand, corp, payload, event):
            return
        arrival = _record_arrival(brand, corp, payload, event, pending=pending)
    except Staff.DoesNotExist:
        fetch_member(brand, corp, payload["UserID"])
        arrival = _record_arrival(brand, corp, payload, event, pending=pending)
    # here and not in a task of its own: the customer waits, and everything about them is at hand. The event is
    # finished only afterwards, so a worker that dies meanwhile leaves it to another one; the claim absorbs repeats
    if welcome_code := payload.get("WelcomeCode"):
        greeting.greet(
            brand,
            arrival,
            welcome_code=welcome_code,
            happened_at=event.happened_at,
            received_at=event.received_at,
        )


@transaction.atomic
def _record_arrival(
    brand: Brand, corp: Corp, payload: dict[str, Any], event: CallbackEvent, *, pending: bool
) -> Arrival:
    staff = find_staff(corp, payload)
    state = payload.get("State") or ""
    code = _code_of(corp, state)
    result = record_follow(
        brand,
        corp=corp,
        staff=staff,
        external_userid=payload["ExternalUserID"],
        at=event.happened_at,
        state=state,
        pending=pending,
        source="callback",
        channel_code_id=code.pk if code else None,
    )
    # a code that was deleted meanwhile has brought this customer, but orders nothing any more
    orders = code if code and code.deleted_at is None else None
    is_new = result.is_new_follow or result.is_return
    arrival = Arrival(result.follow, result.contact, staff, orders, is_first=is_new)
    arrival.follow.corp = corp
    if is_new and not pending:
        if orders:
            _carry_out(brand, corp, staff, orders, result, event.happened_at)
        _tell_guide(brand, staff, code, result)
    if is_new and not payload.get("WelcomeCode"):
        _meet_later(brand, arrival, event.happened_at, pending=pending)
    if orders and not result.is_late:
        from livecodes.tasks import rotate_later

        rotate_later(brand, orders.pk)
    return arrival


@transaction.atomic
def _is_taken_over(brand: Brand, corp: Corp, payload: dict[str, Any], event: CallbackEvent) -> bool:
    """The customer did not come by themselves: a colleague has handed them over."""
    return takeover.on_added(
        brand,
        corp=corp,
        receiver=find_staff(corp, payload),
        external_userid=payload["ExternalUserID"],
        at=event.happened_at,
        source="callback",
    )


def find_staff(corp: Corp, payload: dict[str, Any]) -> Staff:
    """The member an event names; WeCom's userids are unique without regard to case.

    Raises:
        Staff.DoesNotExist: not synced yet.
    """
    staff = Staff.objects.select_related("store").get(corp=corp, userid=payload["UserID"].lower())
    staff.corp = corp  # known: not read, nor its secrets decrypted, once more
    return staff


def _code_of(corp: Corp, state: str) -> ChannelCode | None:
    if not state:
        return None
    # the tags come with it: one statement less while the customer waits
    tags = ArraySubquery(CodeTag.objects.filter(code=OuterRef("pk")).order_by("pk").values("tag_id"))
    codes = ChannelCode.objects.only("name", "remark", "sop_id", "deleted_at").annotate(ordered_tag_ids=tags)
    return codes.filter(corp=corp, state=state).first()


def _carry_out(
    brand: Brand, corp: Corp, staff: Staff, code: ChannelCode, result: FollowResult, at: datetime
) -> None:
    """What the code orders: tags, SOP, remark (which waits for the name where it needs one)."""
    source = f"channel_code:{code.pk}"
    if tag_ids := code.ordered_tag_ids:  # type: ignore[attr-defined]  # of `_code_of`
        add_tags(brand, contacts=[result.contact], tags=tag_ids, source=source)
    if code.sop_id:
        sop = Sop(pk=code.sop_id)  # its state is read under a lock by the enrolment itself
        enrolments.enrol_many(brand, contact_ids=[result.contact.pk], sop=sop, at=at, source=source)
    if code.remark and (result.contact.name or not needs_name(code.remark)):
        order_remark(brand, corp=corp, staff=staff, follow=result.follow, contact=result.contact, code=code)


def _tell_guide(brand: Brand, staff: Staff, code: ChannelCode | None, result: FollowResult) -> None:
    """One notice for each add."""
    title = _("A customer came back") if result.is_return else _("New customer")
    lines = [title]
    if result.contact.name:
        lines.append(result.contact.name)
    lines.append(_("Channel: %(name)s") % {"name": code.name} if code else _("Without a channel code"))
    notify_staff(
        brand,
        staff=staff,
        key=f"added:{result.follow.pk}:{int(result.follow.added_at.timestamp())}",
        text="\n".join(lines),
        url=f"/g/customers/{result.contact.pk}/",
    )


def _meet_later(brand: Brand, arrival: Arrival, happened_at: datetime, *, pending: bool) -> None:
    """Nobody can be greeted by this event: learn the name, and see later whether another event brought a code."""
    from livecodes.tasks import UNWELCOMED_AFTER_S, meet, note_unwelcomed

    about = {"brand_id": brand.pk, **arrival.ids()}
    meet.delay_on_commit(**about)
    if not pending:
        # the half add of the same arrival may have brought the code, and may come after this event
        note_unwelcomed.apply_async_on_commit(
            kwargs={**about, "happened_at": happened_at.isoformat()}, countdown=UNWELCOMED_AFTER_S
        )


# ---- going


def on_deleted_by_staff(brand: Brand, corp: Corp, payload: dict[str, Any], event: CallbackEvent) -> None:
    """del_external_contact: the guide deleted the customer, or handed them over to a colleague."""
    transferred = payload.get("Source") == BY_TRANSFER
    _leave(brand, corp, payload, event, Follow.End.TRANSFERRED if transferred else Follow.End.BY_STAFF)


def on_deleted_by_customer(brand: Brand, corp: Corp, payload: dict[str, Any], event: CallbackEvent) -> None:
    """del_follow_user: the customer deleted or blocked the guide."""
    _leave(brand, corp, payload, event, Follow.End.BY_CUSTOMER)


def _leave(brand: Brand, corp: Corp, payload: dict[str, Any], event: CallbackEvent, kind: str) -> None:
    try:
        _record_leave(brand, corp, payload, event, kind)
    except Staff.DoesNotExist:
        fetch_member(brand, corp, payload["UserID"])
        _record_leave(brand, corp, payload, event, kind)


@transaction.atomic
def _record_leave(brand: Brand, corp: Corp, payload: dict[str, Any], event: CallbackEvent, kind: str) -> None:
    staff = find_staff(corp, payload)
    if kind == Follow.End.TRANSFERRED and takeover.on_removed(
        brand,
        corp=corp,
        giver=staff,
        external_userid=payload["ExternalUserID"],
        at=event.happened_at,
        source="callback",
    ):
        return
    follow = end_follow(
        brand,
        corp=corp,
        staff=staff,
        external_userid=payload["ExternalUserID"],
        at=event.happened_at,
        kind=kind,
        source="callback",
    )
    # the alert is about what is true now: not if the customer has come back since
    if follow is None or follow.ended_at != event.happened_at or kind == Follow.End.TRANSFERRED:
        return
    _alert(brand, corp, staff, follow, kind)


def _alert(brand: Brand, corp: Corp, staff: Staff, follow: Follow, kind: str) -> None:
    """Tell the guide's manager; and the guide, when it was the customer who left."""
    contact = Contact.objects.get(pk=follow.contact_id)
    who = contact.name or _("A customer")
    by_customer = kind == Follow.End.BY_CUSTOMER
    what = (
        _("%(who)s deleted %(guide)s") if by_customer else _("%(guide)s deleted the customer %(who)s")
    ) % {"who": who, "guide": staff.name}
    days = max(0, (follow.ended_at - follow.added_at).days) if follow.ended_at else 0
    text = "\n".join([_("Customer lost"), what, _("After %(n)d days") % {"n": days}])
    key = f"lost:{follow.pk}:{int(follow.changed_at.timestamp())}"
    receivers = {person.pk: person for person in managers_of([staff])[staff.pk]}
    if by_customer:
        receivers.setdefault(staff.pk, staff)
    for person in receivers.values():
        notify_staff(brand, staff=person, key=key, text=text, url=f"/g/customers/{contact.pk}/")
