"""One person as conditions see them, read from the tables: for 'why is this person in or out', and for tests."""

from collections.abc import Iterable
from typing import Any

from django.apps import apps
from django.utils.module_loading import import_string

from commerce.models import Order, OrderLine
from contacts.models import Contact, ContactStat, CustomValue, Event, Follow
from org.models import Staff
from tagging.conditions import Person
from tagging.conditions.evaluate import Happening, Line, Message, Sale
from tagging.conditions.leaves import EVENTS, NUMBERS
from tagging.event_text import text_of
from tagging.models import ContactTag

NUMBERED = sorted({number for number, _source in EVENTS.values()})

# an app above this one tells the state of a message, and which were meant for somebody but have no row
STATES = "campaigns.services.ledger.waiting.show"
LEFT_OUT = "campaigns.services.broadcasts.left_out.of_contact"


def load(contact_id: int) -> Person | None:
    """Everything that conditions may ask of a contact; a dozen queries. None: no such contact."""
    contact = Contact.objects.filter(pk=contact_id).first()
    stat = ContactStat.objects.filter(contact=contact_id).first()
    if contact is None or stat is None:
        return None
    numbers: dict[str, float | None] = {name: getattr(stat, name) for name in NUMBERS if name != "avg_fen"}
    numbers["avg_fen"] = stat.spent_fen / stat.n_orders if stat.n_orders else None
    return Person(
        name=contact.name,
        gender=contact.gender,
        kind=contact.kind,
        n_follows=contact.n_follows,
        is_member=contact.member_at is not None,
        do_not_contact=contact.do_not_contact,
        added_at=contact.added_at,
        lost_at=contact.lost_at,
        first_order_at=stat.first_order_at,
        last_order_at=stat.last_order_at,
        next_order_on=stat.next_order_on,
        numbers=numbers,
        stage=contact.stage_id,
        value_group=stat.value_group,
        lifecycle=stat.lifecycle,
        sets=_sets(contact_id),
        fields=_fields(contact_id),
        sales=_sales(contact_id),
        events=[
            Happening(type, at, object_id, text_of(data))
            for type, at, object_id, data in Event.objects.filter(
                contact_id=contact_id, type__in=NUMBERED
            ).values_list("type", "at", "object_id", "data")
        ],
        messages=_messages(contact_id),
    )


def _sets(contact_id: int) -> dict[str, set[int]]:
    follows = Follow.objects.filter(contact=contact_id)
    guides = set(follows.filter(ended_at=None, is_pending=False).values_list("staff_id", flat=True))
    places = Staff.objects.filter(pk__in=guides).values_list("store_id", "region_id", "store__region_id")
    members = apps.get_model("groups.GroupMember").objects.filter(contact=contact_id, left_at=None)
    return {
        "tags": set(ContactTag.objects.filter(contact=contact_id).values_list("tag_id", flat=True)),
        "staff": guides,
        "stores": _some(store for store, _region, _of_store in places),
        "regions": _some(region for _store, *both in places for region in both),
        "codes": _some(follows.values_list("channel_code_id", flat=True)),
        "groups": set(members.values_list("chat_id", flat=True)),
    }


def _some(ids: Iterable[int | None]) -> set[int]:
    return {n for n in ids if n}


def _fields(contact_id: int) -> dict[str, Any]:
    rows = CustomValue.objects.filter(contact=contact_id).select_related("field")
    return {row.field.key: getattr(row, row.field.column) for row in rows}


def _sales(contact_id: int) -> list[Sale]:
    orders = list(Order.objects.filter(contact=contact_id, is_sale=True))
    lines: dict[int, list[Line]] = {}
    found = OrderLine.objects.filter(order__in=[order.pk for order in orders]).values_list(
        "order_id", "product_id", "product__category", "quantity", "amount_fen"
    )
    for order_id, product_id, category, quantity, amount_fen in found:
        lines.setdefault(order_id, []).append(Line(product_id, category or "", quantity, amount_fen))
    return [
        Sale(
            order.paid_at,
            order.amount_fen - order.refunded_fen,
            tuple(lines.get(order.pk, ())),
            order.store_id,
            order.channel,
            order.source,
        )
        for order in orders
        if order.paid_at
    ]


def _messages(contact_id: int) -> list[Message]:
    touch = apps.get_model("campaigns.Touch")
    states: dict[int, str] = {
        touch.State.DELIVERED: "delivered",
        touch.State.HANDED: "waiting",
        touch.State.FAILED: "failed",
        touch.State.BLOCKED: "held_back",
    }
    rows = [*touch.objects.filter(contact_id=contact_id), *import_string(LEFT_OUT)(contact_id)]
    import_string(STATES)(rows)
    return [
        Message(
            row.at, row.sop_id, row.broadcast_id, row.kind,
            states.get(row.state, ""),
            row.opened_at is not None, row.replied_at is not None, row.converted_at is not None,
        )
        for row in rows
    ]  # fmt: skip
