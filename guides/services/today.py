"""What a guide has to do, who waits for them, and their own figures."""

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection
from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Sum

from campaigns.models import SendTask, StaffTask
from campaigns.services.tasks import staff_task_numbers
from commerce.models import Order
from contacts.models import Contact, Event, EventType, Follow, Reminder
from guides.next_action import CART_DAYS, NEW_DAYS
from guides.services.customers import SPOKEN
from org.models import Staff
from scrm import clock
from scrm.keyset import Page, keyset_page
from tenants.models import Brand

SHOWN = 50  # of each list
WAITING = 20
NAMED = 5  # customers of a send
MONTH = timedelta(days=30)
TASK_LISTS = ("back", "late", "today", "soon", "off")


@dataclass(frozen=True)
class TaskList:
    """The first tasks of a list, and how many there are in all."""

    page: Page
    n: int


@dataclass(frozen=True)
class First:
    """The first SHOWN of a list that has no further pages, and whether there are more."""

    rows: list[Any]
    has_more: bool


@dataclass(frozen=True)
class Today:
    """The list of today."""

    sends: First  # of SendTask
    moments: First  # of MomentGuide
    back: TaskList  # put off until a moment that has come
    late: TaskList
    today: TaskList
    soon: TaskList
    off: TaskList  # put off until a moment that comes
    reminders: First
    done: First  # of StaffTask

    @property
    def is_empty(self) -> bool:
        """Nothing is left to be done today."""
        shown = (self.sends, self.moments, self.reminders)
        return not (self.back.n or self.late.n or self.today.n or any(part.rows for part in shown))

    @property
    def tasks(self) -> list[StaffTask]:
        return [
            task for part in (self.back, self.late, self.today, self.soon, self.off) for task in part.page
        ]


def end_of_day(brand: Brand) -> datetime:
    zone = ZoneInfo(brand.timezone)
    return datetime.combine(clock.today(brand.timezone) + timedelta(days=1), time.min, zone)


def _parts(brand: Brand) -> dict[str, Q]:
    """Name of a list → condition of its tasks; of one moment, so that each task is in one of them."""
    now, midnight = clock.now(), end_of_day(brand)
    return {
        "back": Q(later_at__lte=now),
        "late": Q(later_at=None, due_at__lte=now),
        "today": Q(later_at=None, due_at__gt=now, due_at__lt=midnight),
        "soon": Q(later_at=None, due_at__gt=now, due_at__gte=midnight),
        "off": Q(later_at__gt=now),
    }


def _page(staff: Staff, name: str, condition: Q, after: str | None = None) -> Page:
    rows = StaffTask.objects.filter(condition, staff=staff, state=StaffTask.State.OPEN)
    order = ("later_at" if name in ("back", "off") else "due_at", "pk")
    return keyset_page(rows.select_related("contact"), order=order, after=after, size=SHOWN)


def task_page(brand: Brand, staff: Staff, name: str, *, after: str | None = None) -> Page:
    """Open tasks of a guide, of one list of TASK_LISTS, by deadline, or by the moment until which they were put off."""
    return _page(staff, name, _parts(brand)[name], after)


def _first(rows: QuerySet[Any]) -> First:
    found = list(rows[: SHOWN + 1])
    return First(found[:SHOWN], len(found) > SHOWN)


def today_of(brand: Brand, staff: Staff) -> Today:
    """Everything on the list, and how many tasks there are besides; at most ten queries."""
    midnight = end_of_day(brand)
    conditions = _parts(brand)
    counted = StaffTask.objects.filter(staff=staff, state=StaffTask.State.OPEN).aggregate(
        **{name: Count("pk", filter=condition) for name, condition in conditions.items()}
    )
    parts = {
        name: TaskList(_page(staff, name, conditions[name]) if n else Page([], "", ""), n)
        for name, n in counted.items()
    }
    reminders = Reminder.objects.filter(staff=staff, done_at=None, due_at__lt=midnight).select_related(
        "contact"
    )
    done = StaffTask.objects.filter(
        staff=staff, state=StaffTask.State.DONE, done_at__gte=midnight - timedelta(days=1)
    )
    return Today(
        sends=_first(staff_task_numbers.sends_to_confirm(staff)),
        moments=_first(staff_task_numbers.moments_to_publish(staff)),
        **parts,
        reminders=_first(reminders.order_by("due_at", "pk")),
        done=_first(done.select_related("contact").order_by("-done_at")),
    )


def people_of(sends: list[SendTask]) -> dict[int, list[str]]:
    """Send → the names of its first customers, at last "…" where there are more; one query."""
    first = {send.pk: send.contact_ids[:NAMED] for send in sends}
    people = Contact.objects.in_bulk({pk for ids in first.values() for pk in ids})
    named = {send: [people[pk].name or "—" for pk in ids if pk in people] for send, ids in first.items()}
    return {send.pk: named[send.pk] + ["…"] * (send.n > NAMED) for send in sends}


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
    spoken = Event.objects.filter(SPOKEN, contact_id=OuterRef("contact_id"), at__gte=since)
    rows = Follow.objects.filter(staff=staff, ended_at=None, is_pending=False, added_at__gte=since)
    rows = rows.filter(~Exists(spoken), contact__do_not_contact=False).select_related("contact")
    return [(f.contact, f.added_at, "") for f in rows.order_by("-added_at")[: WAITING + 1]]


# each customer of a guide is looked up, whatever Postgres knows of the brand
_THEIR_STAT = (
    "CROSS JOIN LATERAL (SELECT contact_id, do_not_contact, last_order_at, next_order_on FROM contacts_contactstat"
    " WHERE brand_id = (SELECT %(brand)s) AND contact_id = f.contact_id OFFSET 0) s"
)


def _cart(brand: Brand, staff: Staff) -> list[tuple[Contact, Any, str]]:
    """In the cart within a week and not bought since."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT f.contact_id, max(e.at) FROM contacts_follow f"  # noqa: S608
            f" {_THEIR_STAT}"
            " CROSS JOIN LATERAL (SELECT at FROM contacts_event WHERE brand_id = (SELECT %(brand)s)"
            "  AND contact_id = f.contact_id AND at > %(since)s AND type = %(carted)s OFFSET 0) e"
            " WHERE f.brand_id = (SELECT %(brand)s) AND f.staff_id = %(staff)s AND f.ended_at IS NULL AND NOT f.is_pending"
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
            "SELECT s.contact_id, s.next_order_on FROM contacts_follow f"  # noqa: S608
            f" {_THEIR_STAT}"
            " WHERE f.brand_id = (SELECT %(brand)s) AND f.staff_id = %(staff)s AND f.ended_at IS NULL AND NOT f.is_pending"
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
