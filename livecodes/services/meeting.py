"""Getting to know a customer who has come: the profile that WeCom has, the remark of the code, and the note when WeCom
gave no welcome code. Nobody waits for these; the welcome is services/greeting.py."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from campaigns.models import Touch
from campaigns.services.ledger import touches
from contacts.models import Contact, Follow
from contacts.services import profile
from content import variables
from livecodes.models import ChannelCode
from livecodes.services.welcome import MAX_REMARK, needs_name
from org.models import Corp, Staff
from scrm import clock
from scrm.redis import redis_client
from tenants.models import Brand
from wecom.models import OutboundCall
from wecom.services import outbound

SAME_ARRIVAL = timedelta(minutes=2)  # half add and full add of one arrival
UNMET_AFTER, UNMET_UNTIL, UNMET_EVERY_S = timedelta(minutes=2), timedelta(hours=2), 1800
RETURNING_AFTER = timedelta(minutes=1)  # known for longer than this before the add: an old customer


@dataclass
class Arrival:
    """A customer who has come to a guide, with everything that a greeting needs.

    Attributes:
        staff: with its store; `follow.corp` is there too.
        code: None without one, or when it was deleted meanwhile.
        is_first: this very event has brought the relation, so nobody can have greeted it before.
    """

    follow: Follow
    contact: Contact
    staff: Staff
    code: ChannelCode | None
    is_first: bool = False

    def ids(self) -> dict[str, int | None]:
        """What a task is told of it; see `load`."""
        return {"follow_id": self.follow.pk, "code_id": self.code.pk if self.code else None}

    @property
    def is_returning(self) -> bool:
        return self.contact.added_at < self.follow.added_at - RETURNING_AFTER


# what a greeting reads; the rest (secrets to be decrypted among it) costs time that the customer waits
_NEEDED = (
    "external_userid", "added_at", "ended_at", "is_pending", "remark",
    "contact__name", "contact__gender", "contact__added_at",
    "staff__name", "staff__userid", "staff__department_ids", "staff__store__name",
    "corp__brand", "corp__corpid", "corp__secret", "corp__agent_id",
)  # fmt: skip


@transaction.atomic
def load(follow_id: int, code_id: int | None) -> Arrival | None:
    """An arrival by what a task knows of it; None when the relation is not there any more."""
    follows = Follow.objects.select_related("contact", "staff__store", "corp").only(*_NEEDED)
    follow = follows.filter(pk=follow_id).first()
    if follow is None:
        return None
    code = None
    if code_id:
        codes = ChannelCode.objects.live().only("name", "remark")
        code = codes.filter(pk=code_id).first()
    return Arrival(follow, follow.contact, follow.staff, code)


def meet(brand: Brand, *, follow_id: int, code_id: int | None) -> None:
    """Read the profile of somebody who is not greeted, and put the remark that waited for the name.

    Raises:
        WeComUnavailable: to be tried again.
    """
    arrival = load(follow_id, code_id)
    if arrival is None:
        return
    found = profile.fetch(
        brand, corp=arrival.follow.corp, external_userid=arrival.follow.external_userid, source="callback"
    )
    _put_remark(brand, arrival, found)


def keep(brand: Brand, *, follow_id: int, code_id: int | None, customer: Any, read_at: datetime) -> None:
    """Keep the profile that was read for the welcome, and put the remark that waited for the name.

    Args:
        customer: answer of `externalcontact/get`, which was asked at `read_at`.
    """
    arrival = load(follow_id, code_id)
    if arrival is None:
        return
    found = profile.keep(
        brand, corp=arrival.follow.corp, customer=customer, read_at=read_at, source="callback"
    )
    _put_remark(brand, arrival, found)


def note_unwelcomed(brand: Brand, *, follow_id: int, code_id: int | None, happened_at: datetime) -> None:
    """Write 'WeCom gave no welcome code' into the ledger, unless this arrival was greeted all the same."""
    arrival = load(follow_id, code_id)
    if arrival is None:
        return
    with transaction.atomic():
        around = Touch.objects.filter(
            contact_id=arrival.contact.pk,
            staff_id=arrival.staff.pk,
            kind=Touch.Kind.WELCOME,
            at__gte=happened_at - SAME_ARRIVAL,
            at__lte=happened_at + SAME_ARRIVAL,
        )
        if not around.exists():
            touches.record_no_welcome(
                brand,
                contact_id=arrival.contact.pk,
                staff_id=arrival.staff.pk,
                code_id=code_id,
                key=f"{follow_id}:{int(happened_at.timestamp())}",
                reason=Touch.Reason.NO_CODE,
                at=happened_at,
            )


def unmet(brand: Brand, limit: int = 200) -> list[dict[str, int | None]]:
    """Customers of the last hours whose profile nobody has read: the task got lost, with its queue or its process. Each
    is named once in half an hour; see `Arrival.ids`."""
    now = clock.now()
    with transaction.atomic():
        contacts = Contact.objects.filter(
            added_at__gte=now - UNMET_UNTIL, added_at__lte=now - UNMET_AFTER, profile_at=None
        )
        live = Follow.objects.filter(contact__in=contacts, ended_at=None)
        rows = list(live.order_by("-pk").values_list("pk", "channel_code_id")[:limit])
    client = redis_client()
    return [
        {"follow_id": pk, "code_id": code_id}
        for pk, code_id in rows
        if client.set(f"unmet:{brand.pk}:{pk}", 1, nx=True, ex=UNMET_EVERY_S)
    ]


# ---- remark


def order_remark(
    brand: Brand, *, corp: Corp, staff: Staff, follow: Follow, contact: Contact, code: ChannelCode
) -> str:
    """Queue the code's remark for WeCom, once for each arrival; gives it."""
    values = variables.values_for(customer=contact.name, staff=staff, brand=brand, code=code.name)
    remark = variables.render(code.remark, values, max_chars=MAX_REMARK)
    if not remark:
        return ""
    outbound.enqueue(
        brand,
        corp=corp,
        kind=OutboundCall.Kind.REMARK,
        key=f"arrival:{follow.pk}:{int(follow.added_at.timestamp())}",
        subject=follow.external_userid,
        payload={"userid": staff.userid, "external_userid": follow.external_userid, "remark": remark},
    )
    return remark


def _put_remark(brand: Brand, arrival: Arrival, contact: Contact | None) -> None:
    """The remark that needed the name; and keep the one ordered at the arrival, which WeCom may not show
    yet."""
    code, contact = arrival.code, contact or arrival.contact
    if code is None or not code.remark or arrival.follow.is_pending or arrival.follow.ended_at:
        return
    if needs_name(code.remark) and not contact.name:
        return
    with transaction.atomic():
        follow = arrival.follow
        remark = order_remark(
            brand, corp=follow.corp, staff=arrival.staff, follow=follow, contact=contact, code=code
        )
        if remark != follow.remark:
            Follow.objects.filter(pk=follow.pk).update(remark=remark)
