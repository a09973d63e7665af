"""One customer as a guide sees them: cards, each with a constant number of queries."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any

from django.db.models import Q

from campaigns.models import StaffTask, Touch
from campaigns.services.broadcasts import left_out
from campaigns.services.ledger import waiting
from campaigns.services.tasks import task_later
from campaigns.views.touches import names_of
from commerce.models import Order
from commerce.services.orders import words_of
from contacts import hooks
from contacts.cards import field_rows, stage_choices
from contacts.models import Contact, ContactStat, Event, EventType, Follow, Identity, Reminder
from guides.next_action import CART_DAYS, Action, Facts, next_action
from guides.services import calling
from guides.slots import coupons_of
from org.models import Staff
from scrm import clock
from tagging.models import LifecycleStage, ValueGroup
from tenants.models import Brand

N_ORDERS, N_TOUCHES, N_NOTES, N_TASKS = 3, 5, 3, 10
# a welcome is no conversation, nor a call that nobody has answered
SPOKEN = Q(type__in=(EventType.TOUCH_SENT, EventType.NOTE)) | (
    Q(type=EventType.TASK_DONE) & ~Q(data__contains={"reason": f"task_{StaffTask.Outcome.UNREACHED}"})
)


def customer_of_chat(staff: Staff, external_userid: str) -> Contact | None:
    """The customer of the chat that is open, if this person may see them; None says nothing of whether they exist."""
    corp = staff.corp if staff.corp_id else None
    if corp is None or not external_userid:
        return None
    identity = Identity.objects.filter(
        kind=Identity.Kind.EXTERNAL_USERID, scope=corp.corpid, value=external_userid.replace("\x00", "")
    ).first()
    if identity is None:
        return None
    return Contact.objects.visible_to(staff).filter(pk=identity.contact_id).first()


# ---- cards


@dataclass
class Who:
    """The customer of a page and the guide who reads it; what several cards show is read once."""

    brand: Brand
    contact: Contact
    staff: Staff
    may_phones: bool = False  # the right to see whole phone numbers

    @cached_property
    def follow(self) -> Follow | None:
        return Follow.objects.filter(contact=self.contact, staff=self.staff.pk).first()

    @cached_property
    def stat(self) -> ContactStat | None:
        return ContactStat.objects.filter(contact=self.contact).first()


def head(who: Who) -> dict[str, Any]:
    """Who this is: relation, stage, value."""
    stat = who.stat
    lifecycle = None
    if stat is not None and stat.lifecycle:
        lifecycle = LifecycleStage.objects.filter(number=stat.lifecycle).first()
    return {
        "follow": who.follow,
        "stat": stat,
        "group": ValueGroup(stat.value_group).label if stat and stat.value_group else "",
        "lifecycle": lifecycle,
        "phones": calling.of_customer(who.contact, staff=who.staff, may_phones=who.may_phones),
        "stages": stage_choices(who.contact),
        "others": list(
            Follow.objects.filter(contact=who.contact, ended_at=None)
            .exclude(staff=who.staff.pk)
            .values_list("staff__name", flat=True)
        ),
    }


def tasks(who: Who) -> dict[str, Any]:
    rows = StaffTask.objects.filter(contact=who.contact, state=StaffTask.State.OPEN).select_related("staff")
    found = sorted(
        rows.order_by("due_at", "pk")[:N_TASKS], key=lambda t: (t.staff_id != who.staff.pk, t.is_off)
    )
    reminders = Reminder.objects.filter(contact=who.contact, staff=who.staff.pk, done_at=None).order_by(
        "due_at", "pk"
    )
    return {
        "tasks": found,
        "delays": task_later.history(found),
        "reminders": list(reminders[:N_TASKS]),
    }


def tags(who: Who) -> dict[str, Any]:
    return {"tags": hooks.tags_of([who.contact.pk]).get(who.contact.pk, [])}


def orders(who: Who) -> dict[str, Any]:
    rows = list(Order.objects.filter(contact=who.contact).order_by("-placed_at", "-pk")[:N_ORDERS])
    words = words_of([order.pk for order in rows])
    return {"orders": [(order, words.get(order.pk, "")) for order in rows]}


def messages(who: Who) -> dict[str, Any]:
    """The last touches, whoever sent them."""
    latest = Touch.objects.filter(contact_id=who.contact.pk).order_by("-at", "-pk")[:N_TOUCHES]
    rows = left_out.beside(latest, who.contact.pk, N_TOUCHES)
    waiting.show(rows)
    return {"touches": rows, "names": names_of(rows)}


def profile(who: Who) -> dict[str, Any]:
    return {"fields": field_rows(who.contact)}


def notes(who: Who) -> dict[str, Any]:
    rows = Event.objects.filter(contact_id=who.contact.pk, type=EventType.NOTE).order_by("-at", "-pk")
    return {"notes": list(rows[:N_NOTES])}


def coupons(who: Who) -> dict[str, Any]:
    return {"coupons": coupons_of(who.brand, who.contact, who.staff)}


def action(who: Who) -> dict[str, Any]:
    return {"action": next_action(facts_of(who))}


def next_step(brand: Brand, contact: Contact, staff: Staff) -> Action:
    """The next best action for a customer of this guide."""
    return next_action(facts_of(Who(brand, contact, staff)))


def facts_of(who: Who) -> Facts:
    """What the rules of the next best action look at; five queries."""
    now = clock.now()
    follow = who.follow
    task = (
        StaffTask.objects.filter(contact=who.contact, staff=who.staff.pk, state=StaffTask.State.OPEN)
        .exclude(later_at__gt=now)
        .order_by("due_at", "pk")
        .first()
    )
    cart = (
        Event.objects.filter(
            contact_id=who.contact.pk, type=EventType.CARTED, at__gt=now - timedelta(days=CART_DAYS)
        )
        .order_by("-at")
        .first()
    )
    spoken = (
        Event.objects.filter(SPOKEN, contact_id=who.contact.pk).order_by("-at").values_list("at", flat=True)
    )
    stat = who.stat
    product = hooks.product_names([cart.object_id]).get(cart.object_id, "") if cart and cart.object_id else ""
    return Facts(
        now=now,
        today=clock.today(who.brand.timezone),
        is_lost=follow is not None and follow.ended_at is not None,
        do_not_contact=who.contact.do_not_contact,
        task=task.title if task else "",
        task_due_at=task.due_at if task else None,
        cart_at=cart.at if cart else None,
        cart_product=product or (str(cart.data.get("product") or "") if cart else ""),
        bought_at=stat.last_order_at if stat else None,
        next_order_on=stat.next_order_on if stat else None,
        added_at=follow.added_at if follow else who.contact.added_at,
        spoken_at=spoken.first(),
    )


Card = Callable[[Who], dict[str, Any]]
# in the order of the page; each has a template guides/cards/<name>.html
CARDS: dict[str, Card] = {
    "head": head,
    "action": action,
    "tasks": tasks,
    "tags": tags,
    "coupons": coupons,
    "orders": orders,
    "messages": messages,
    "profile": profile,
    "notes": notes,
}


def whole(brand: Brand, contact: Contact, staff: Staff, *, may_phones: bool = False) -> dict[str, Any]:
    """The context of all cards."""
    context: dict[str, Any] = {"contact": contact, "now": clock.now()}
    who = Who(brand, contact, staff, may_phones)
    for card in CARDS.values():
        context |= card(who)
    return context


def one(
    brand: Brand, contact: Contact, staff: Staff, name: str, *, may_phones: bool = False
) -> dict[str, Any]:
    """The context of one card."""
    return {"contact": contact, "now": clock.now(), **CARDS[name](Who(brand, contact, staff, may_phones))}
