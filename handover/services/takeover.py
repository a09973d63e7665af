"""A customer has changed hands: the old relation ends, the new one begins, and what belongs to the customer
stays: tags, remark, stage, SOPs. It is not an arrival: nobody is greeted, no channel code orders anything.

WeCom tells it as two events (del_external_contact with DELETE_BY_TRANSFER, add_external_contact) and in the
list of results; whichever comes first does it, the others find it done.
"""

from datetime import datetime, timedelta

from django.db import transaction

from campaigns.services.tasks import staff_tasks
from contacts.models import Follow
from contacts.services.follow import end_follow, record_follow
from handover.models import HandoverItem, HandoverRun, Unassigned
from handover.services.runs import close_if_over
from org.models import Corp, Staff
from scrm import clock
from tagging.services.tags import marks
from tenants.models import Brand
from wecom.models import OutboundCall
from wecom.services import outbound

ASSIGNED = 202  # WeCom's add_way of an inherited customer
NEAR = timedelta(days=1)  # the events of one hand-over lie no further apart
State = HandoverItem.State
_CARRIED = "SELECT tag_id, contact_id FROM tagging_contacttag WHERE brand_id = %(brand)s AND contact_id = %(contact)s"


@transaction.atomic
def settle(brand: Brand, run: HandoverRun, item: HandoverItem, *, at: datetime, source: str) -> bool:
    """Write down that a customer of a run has changed hands; False: that is known."""
    mine = HandoverItem.objects.select_for_update().filter(pk=item.pk, state__in=HandoverItem.LIVE)
    if not mine.update(state=State.DONE, done_at=clock.now(), takeover_at=at):
        return False
    data = {"to": item.receiver.name, "to_id": item.receiver_id} | (
        {"resigned": 1} if run.is_resigned else {}
    )
    change_hands(
        brand,
        corp=run.corp,
        giver=run.giver,
        receiver=item.receiver,
        external_userid=item.external_userid,
        at=at,
        source=source,
        data=data,
        since=item.asked_at,
    )
    Unassigned.objects.filter(staff=run.giver, external_userid=item.external_userid).delete()
    close_if_over(run)
    return True


def change_hands(
    brand: Brand,
    *,
    corp: Corp,
    giver: Staff | None,
    receiver: Staff,
    external_userid: str,
    at: datetime,
    source: str,
    data: dict | None = None,
    since: datetime | None = None,
) -> None:
    """The relations of both members, and the customer's remark and tags with the new one; in the caller's
    transaction.

    Args:
        since: when it was asked for; a relation of the receiver from before that is left as it is.
    """
    old = None
    if giver is not None:
        old = Follow.objects.filter(staff=giver, external_userid=external_userid).first()
        if old is None or old.ended_at is None:
            old = end_follow(
                brand,
                corp=corp,
                staff=giver,
                external_userid=external_userid,
                at=at,
                kind=Follow.End.TRANSFERRED,
                source=source,
                data=data,
            )
    new = Follow.objects.filter(staff=receiver, external_userid=external_userid).first()
    had = new is not None and new.ended_at is None and not new.is_pending
    if new is None or not had:
        new = record_follow(
            brand,
            corp=corp,
            staff=receiver,
            external_userid=external_userid,
            at=at,
            add_way=ASSIGNED,
            inherited=True,
            source=source,
        ).follow
    staff_tasks.follow_customer(brand, contact_id=new.contact_id, to_staff_id=receiver.pk)
    if not had or (since is not None and new.added_at >= since - NEAR):
        _take_along(brand, corp, receiver, new, old)


def _take_along(brand: Brand, corp: Corp, receiver: Staff, new: Follow, old: Follow | None) -> None:
    """Remark and corp tags of the customer go with them to the new relation at WeCom; its source stays, but no code
    counts them again."""
    if old is not None and old.state and not new.state:
        new.state = old.state
        new.save(update_fields=["state"])
    if old is not None and (old.remark or old.description) and not new.remark:
        new.remark, new.description = old.remark, old.description
        new.save(update_fields=["remark", "description"])
        outbound.enqueue(
            brand,
            corp=corp,
            kind=OutboundCall.Kind.REMARK,
            key=f"handover:{new.pk}:{int(new.added_at.timestamp())}",
            subject=new.external_userid,
            payload={
                "userid": receiver.userid,
                "external_userid": new.external_userid,
                "remark": old.remark,
                "description": old.description,
            },
        )
    marks.queue(brand, _CARRIED, {"contact": new.contact_id}, add=True)


@transaction.atomic
def on_added(
    brand: Brand, *, corp: Corp, receiver: Staff, external_userid: str, at: datetime, source: str
) -> bool:
    """WeCom tells that a member has got a customer: is it a hand-over? True: it was, and is written down."""
    item = (
        HandoverItem.objects.filter(receiver=receiver, external_userid=external_userid)
        .filter(state__in=[State.WAITING, State.CALLING, State.DONE])
        .select_related("run__corp", "run__giver", "receiver")
        .order_by("-pk")
        .first()
    )
    if (
        item is not None
        and item.state != State.DONE
        and (item.asked_at is None or at >= item.asked_at - NEAR)
    ):
        return settle(brand, item.run, item, at=at, source=source)
    follow = Follow.objects.filter(staff=receiver, external_userid=external_userid).first()
    if item is not None and item.state == State.DONE and item.takeover_at is not None:
        is_here = follow is not None and follow.ended_at is None
        if is_here and abs(at - item.takeover_at) <= NEAR:
            return True  # told once more
    # handed over in WeCom's console: the old relation has just ended for that reason
    given = Follow.objects.filter(
        corp=corp,
        external_userid=external_userid,
        end_kind=Follow.End.TRANSFERRED,
        ended_at__gte=at - timedelta(minutes=10),
        ended_at__lte=at + timedelta(minutes=10),
    ).exclude(staff=receiver)
    old = given.order_by("-ended_at").select_related("staff").first()
    if old is None or (follow is not None and follow.ended_at is None):
        return False
    change_hands(
        brand,
        corp=corp,
        giver=old.staff,
        receiver=receiver,
        external_userid=external_userid,
        at=at,
        source=source,
    )
    return True


@transaction.atomic
def on_removed(
    brand: Brand, *, corp: Corp, giver: Staff, external_userid: str, at: datetime, source: str
) -> bool:
    """WeCom tells that a member has lost a customer by hand-over: the run does both halves at once, so that
    the customer is nobody's at no moment. True: it is written down."""
    items = HandoverItem.objects.filter(giver=giver, external_userid=external_userid)
    items = items.select_related("run__corp", "run__giver", "receiver").order_by("-pk")
    live = items.filter(state__in=[State.WAITING, State.CALLING]).first()
    if live is not None and (live.asked_at is None or at >= live.asked_at - NEAR):
        return settle(brand, live.run, live, at=at, source=source)
    follow = Follow.objects.filter(staff=giver, external_userid=external_userid).first()
    is_ours = items.filter(state=State.DONE, takeover_at__gte=at - NEAR, takeover_at__lte=at + NEAR).exists()
    return is_ours and follow is not None and follow.end_kind == Follow.End.TRANSFERRED
