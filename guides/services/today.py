"""What a guide has to do, who waits for them, and their own figures."""

from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection
from django.db.models import Count, Exists, OuterRef, Q, Sum

from campaigns.models import SendTask, StaffTask
from campaigns.services import staff_task_numbers
from commerce.models import Order
from contacts.models import Contact, Event, EventType, Follow, Reminder
from guides.next_action import CART_DAYS, NEW_DAYS
from org.models import Staff
from scrm import clock
from tenants.models import Brand

SHOWN = 50  # of each list
WAITING = 20
MONTH = timedelta(days=30)


@dataclass
class Today:
    """The list of today: overdue first. `later` counts open tasks due after today."""

    sends: list[SendTask] = field(default_factory=list)
    late: list[StaffTask] = field(default_factory=list)
    today: list[StaffTask] = field(default_factory=list)
    soon: list[StaffTask] = field(default_factory=list)
    reminders: list[Reminder] = field(default_factory=list)
    done: list[StaffTask] = field(default_factory=list)

    @property
    def n(self) -> int:
        return len(self.sends) + len(self.late) + len(self.today) + len(self.reminders)


def end_of_day(brand: Brand) -> datetime:
    zone = ZoneInfo(brand.timezone)
    return datetime.combine(clock.today(brand.timezone) + timedelta(days=1), time.min, zone)


def today_of(brand: Brand, staff: Staff) -> Today:
    """Everything on the list; four queries."""
    now, midnight = clock.now(), end_of_day(brand)
    found = Today(sends=list(staff_task_numbers.sends_to_confirm(staff)[:SHOWN]))
    rows = StaffTask.objects.filter(staff=staff, state=StaffTask.State.OPEN).select_related("contact")
    for task in rows.order_by("due_at", "pk")[: 3 * SHOWN]:
        where = found.late if task.due_at <= now else found.today if task.due_at < midnight else found.soon
        where.append(task)
    reminders = Reminder.objects.filter(staff=staff, done_at=None, due_at__lt=midnight).select_related(
        "contact"
    )
    found.reminders = list(reminders.order_by("due_at", "pk")[:SHOWN])
    done = StaffTask.objects.filter(
        staff=staff, state=StaffTask.State.DONE, done_at__gte=midnight - timedelta(days=1)
    )
    found.done = list(done.select_related("contact").order_by("-done_at")[:SHOWN])
    return found


# ---- who waits


def waiting_of(brand: Brand, staff: Staff) -> list[dict[str, Any]]:
    """Customers who wait, by why: {key, rows [(contact, moment, detail)], more}; only lists that have somebody, the first
    WAITING of each; `more` says that there are others."""
    lists = [
        ("asked", _asked(staff)),
        ("new", _new(staff)),
        ("cart", _cart(brand, staff)),
        ("due", _due(brand, staff)),
    ]
    return [{"key": key, "rows": rows[:WAITING], "more": len(rows) > WAITING} for key, rows in lists if rows]


def _asked(staff: Staff) -> list[tuple[Contact, Any, str]]:
    """Asked to be added; the guide has not accepted yet."""
    rows = Follow.objects.filter(staff=staff, ended_at=None, is_pending=True).select_related("contact")
    return [(f.contact, f.added_at, "") for f in rows.order_by("-added_at")[: WAITING + 1]]


def _new(staff: Staff) -> list[tuple[Contact, Any, str]]:
    """New, and nobody has written to them since (a welcome is no conversation)."""
    since = clock.now() - timedelta(days=NEW_DAYS)
    spoken = Event.objects.filter(
        contact_id=OuterRef("contact_id"),
        at__gte=since,
        type__in=[EventType.TOUCH_SENT, EventType.NOTE, EventType.TASK_DONE],
    )
    rows = Follow.objects.filter(staff=staff, ended_at=None, is_pending=False, added_at__gte=since)
    rows = rows.filter(~Exists(spoken), contact__do_not_contact=False).select_related("contact")
    return [(f.contact, f.added_at, "") for f in rows.order_by("-added_at")[: WAITING + 1]]


def _cart(brand: Brand, staff: Staff) -> list[tuple[Contact, Any, str]]:
    """In the cart within a week and not bought since."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT f.contact_id, max(e.at) FROM contacts_follow f"
            " JOIN contacts_event e ON e.brand_id = %(brand)s AND e.contact_id = f.contact_id AND e.at > %(since)s"
            "  AND e.type = %(carted)s"
            " JOIN contacts_contactstat s ON s.brand_id = %(brand)s AND s.contact_id = f.contact_id"
            " WHERE f.brand_id = %(brand)s AND f.staff_id = %(staff)s AND f.ended_at IS NULL AND NOT f.is_pending"
            "   AND NOT s.do_not_contact AND (s.last_order_at IS NULL OR s.last_order_at < e.at)"
            " GROUP BY 1 ORDER BY 2 DESC LIMIT %(most)s",
            {
                "brand": brand.pk,
                "staff": staff.pk,
                "since": clock.now() - timedelta(days=CART_DAYS),
                "carted": int(EventType.CARTED),
                "most": WAITING + 1,
            },
        )
        rows = cursor.fetchall()
    people = Contact.objects.in_bulk([pk for pk, _at in rows])
    return [(people[pk], at, "") for pk, at in rows if pk in people]


def _due(brand: Brand, staff: Staff) -> list[tuple[Contact, Any, str]]:
    """The next order is expected within three days, or was in the last two weeks."""
    today = clock.today(brand.timezone)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT s.contact_id, s.next_order_on FROM contacts_follow f"
            " JOIN contacts_contactstat s ON s.brand_id = %(brand)s AND s.contact_id = f.contact_id"
            " WHERE f.brand_id = %(brand)s AND f.staff_id = %(staff)s AND f.ended_at IS NULL AND NOT f.is_pending"
            "   AND NOT s.do_not_contact AND s.next_order_on BETWEEN %(first)s AND %(last)s"
            " ORDER BY s.next_order_on, 1 LIMIT %(most)s",
            {
                "brand": brand.pk,
                "staff": staff.pk,
                "first": today - timedelta(days=14),
                "last": today + timedelta(days=3),
                "most": WAITING + 1,
            },
        )
        rows = cursor.fetchall()
    people = Contact.objects.in_bulk([pk for pk, _on in rows])
    return [(people[pk], None, on.isoformat()) for pk, on in rows if pk in people]


# ---- own figures


def figures_of(brand: Brand, staff: Staff) -> dict[str, Any]:
    """A guide's own figures of the last 30 days; four queries."""
    since = clock.now() - MONTH
    follows = Follow.objects.filter(staff=staff).aggregate(
        n_now=Count("pk", filter=Q(ended_at=None, is_pending=False)),
        n_new=Count("pk", filter=Q(added_at__gte=since, is_pending=False)),
        n_lost=Count("pk", filter=Q(ended_at__gte=since, end_kind=Follow.End.BY_CUSTOMER)),
    )
    sales = Order.objects.filter(staff=staff, placed_at__gte=since, is_sale=True).aggregate(
        n=Count("pk"), amount=Sum("amount_fen"), refunded=Sum("refunded_fen")
    )
    numbers = staff_task_numbers.of_guides(brand, [staff.pk]).get(staff.pk, staff_task_numbers.Numbers())
    sends = SendTask.objects.filter(staff=staff, at__gte=since).aggregate(n=Sum("n_sent"))
    return {
        **follows,
        "n_orders": sales["n"],
        "sold_fen": (sales["amount"] or 0) - (sales["refunded"] or 0),
        "tasks": numbers,
        "n_messages": sends["n"] or 0,
    }
