"""What WeCom knows of a customer: name, picture, unionid, and each guide's remark and tags."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from contacts import hooks
from contacts.identities import normal
from contacts.models import Contact, EventType, Follow, Identity
from contacts.services import stats
from contacts.services.identity.identity import join_member, note_identities, resolve
from contacts.services.search import refresh_grams
from contacts.services.sync.sync_writes import in_the_outbox
from contacts.services.timeline import EventRow, record_events
from org.models import Corp
from scrm import clock
from tenants.models import Brand
from wecom.api import contacts as api
from wecom.client import WeComClient, client_for
from wecom.errors import WeComRejected
from wecom.models import OutboundCall

NOT_OURS = (84061, 40096)  # nobody in the app's visible range has them (any more), or unknown


def fetch(
    brand: Brand, *, corp: Corp, external_userid: str, client: WeComClient | None = None, source: str = "sync"
) -> Contact | None:
    """Read one customer from WeCom and keep it. Call it outside of transactions.

    None: nobody within the app's visible range has this customer any more, or we do not know them.

    Raises:
        WeComUnavailable, WeComForbidden: as the client does.
    """
    try:
        read_at = clock.now()
        customer = api.customer(client or client_for(corp), external_userid)
    except WeComRejected as error:
        if error.errcode in NOT_OURS:
            return None
        raise
    return keep(brand, corp=corp, customer=customer, read_at=read_at, source=source)


@transaction.atomic
def keep(
    brand: Brand,
    *,
    corp: Corp,
    customer: api.Customer,
    read_at: datetime,
    source: str,
    at: datetime | None = None,
) -> Contact | None:
    """Keep what `externalcontact/get` says: profile, remarks, tags; joins contacts by unionid. Safe to
    repeat.

    Relations that we do not have are left to the adding's own event or to the sync, which know where they
    came from.

    Args:
        read_at: when WeCom was asked: tags and remarks that we have given it since are not in its answer, and stay.
        at: time of the change, for events; now when it is not known.
    """
    profile = customer["external_contact"]
    found = Identity.objects.filter(
        kind=Identity.Kind.EXTERNAL_USERID, scope=corp.corpid, value=profile.get("external_userid", "")
    ).first()
    contact = found and Contact.objects.select_for_update(no_key=True).filter(pk=found.contact_id).first()
    if not contact:
        return None
    is_first = contact.profile_at is None
    _update(contact, profile)
    relations, changed, events = _relations(
        corp, contact, customer["follow_user"], source, at or clock.now(), is_first, read_at
    )
    Follow.objects.bulk_update(changed, ["remark", "description", "add_way"])
    record_events(brand, events)
    hooks.take_over_tags(brand, corp=corp, relations=relations, read_at=read_at)
    phones = {digits(mobile) for row in customer["follow_user"] for mobile in row.get("remark_mobiles") or []}
    note_identities(brand, contact, Identity.Kind.PHONE, sorted(phones - {""}))
    if phones - {""}:
        contact = join_member(brand, contact=contact, phones=sorted(phones - {""}), source=source)
    refresh_grams(brand, [contact.pk])
    stats.refresh(brand, [contact.pk])
    return resolve(brand, contact=contact, unionid=profile.get("unionid") or "", source=source)


def _update(contact: Contact, profile: api.ExternalContact) -> None:
    contact.name = (profile.get("name") or contact.name).replace("\x00", "")[:100]
    contact.avatar = (profile.get("avatar") or "")[:500]
    contact.gender = profile.get("gender") or 0
    contact.kind = profile.get("type") or Contact.Kind.WECHAT
    contact.corp_name = (profile.get("corp_full_name") or profile.get("corp_name") or "")[:100]
    contact.profile_at = clock.now()
    contact.save(update_fields=["name", "avatar", "gender", "kind", "corp_name", "profile_at"])


def _relations(
    corp: Corp,
    contact: Contact,
    rows: Sequence[api.FollowUser],
    source: str,
    at: datetime,
    is_first: bool,
    read_at: datetime,
) -> tuple[list[tuple[Follow, list[str]]], list[Follow], list[EventRow]]:
    """Our relations that WeCom speaks of, with its tag ids; those whose remark, description or way is another one now;
    and the events that tell it."""
    live = Follow.objects.filter(contact=contact, corp=corp, ended_at=None).select_related("staff")
    ours = {follow.staff.userid: follow for follow in live}
    names = {follow.external_userid for follow in ours.values()}
    busy = {name for kind, name in in_the_outbox(names, read_at) if kind == OutboundCall.Kind.REMARK}
    relations: list[tuple[Follow, list[str]]] = []
    changed: list[Follow] = []
    events: list[EventRow] = []
    for row in rows:
        follow = ours.get(row.get("userid", "").lower())
        if follow is None:
            continue
        before, as_it_was = follow.remark, (follow.remark, follow.description, follow.add_way)
        follow.add_way = follow.add_way or row.get("add_way") or 0  # the event of an adding does not tell it
        if follow.external_userid not in busy:
            follow.remark = (row.get("remark") or "").replace("\x00", "")[:100]
            follow.description = (row.get("description") or "").replace("\x00", "")[:200]
        if (follow.remark, follow.description, follow.add_way) != as_it_was:
            changed.append(follow)
        if follow.remark != before and not is_first:
            event: EventRow = {
                "contact_id": contact.pk,
                "type": EventType.REMARKED,
                "at": at,
                "staff_id": follow.staff_id,
                "source": source,
                "data": {"before": before, "after": follow.remark},
            }
            events.append(event)
        relations.append((follow, [tag["tag_id"] for tag in row.get("tags") or [] if tag.get("tag_id")]))
    return relations, changed, events


def digits(text: Any) -> str:
    """The digits of a phone number somebody typed; empty when it cannot be one."""
    return normal(Identity.Kind.PHONE, str(text))
