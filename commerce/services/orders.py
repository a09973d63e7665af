"""订单: orders and refunds as they are told, by whoever tells them, as often as they are told."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from commerce.models import Order, OrderLine
from commerce.services import staging
from commerce.services.order_merge import merge_orders
from commerce.services.refund_merge import merge_refunds
from contacts.identities import normal
from contacts.models import visible_follows
from contacts.services.outcomes import Outcome
from org.models import Staff
from tenants.models import Brand

MAX_WORDS = 3


@transaction.atomic
def record_orders(
    brand: Brand, rows: Sequence[dict[str, Any]], *, source: str, told_by: str = "api"
) -> list[Outcome]:
    """Orders as somebody tells them; one outcome for each row, in order. Safe to repeat, in any order.

    Args:
        rows: dicts with the columns of `order_in` (services/staging.py) but `n`, and perhaps `lines`: a list of dicts
            with the columns of `line_in` but its numbers.
        source: where the order numbers come from; an order is one by source and number.
        told_by: `source` of the events on the timeline: api, import, page, demo.

    An order of an unknown person is accepted and waits (`unknown_person`) until the identity appears.
    """
    given: list[dict[str, Any]] = []
    lines: list[dict[str, Any]] = []
    for n, row in enumerate(rows):
        kind, value = row.get("buyer_kind") or "", row.get("buyer_value") or ""
        given.append({**row, "n": n, "buyer_value": normal(kind, value)})
        lines += [{**line, "order_n": n, "n": i} for i, line in enumerate(row.get("lines") or (), start=1)]
    with connection.cursor() as cursor:
        staging.open_tables(cursor, "order_in", "line_in")
        staging.tell(cursor, "order_in", given)
        staging.tell(cursor, "line_in", lines)
        merge_orders(brand, source=source, told_by=told_by)
        return staging.outcomes(cursor, brand, "order", len(rows), source=source)


@transaction.atomic
def record_refunds(
    brand: Brand, rows: Sequence[dict[str, Any]], *, source: str, told_by: str = "api"
) -> list[Outcome]:
    """Refunds as somebody tells them; one outcome for each row, in order. Safe to repeat, in any order.

    Args:
        rows: dicts with the columns of `refund_in` (services/staging.py) but `n`.
        source: that of the orders.

    One that comes before its order is accepted and waits (`unknown_order`).
    """
    with connection.cursor() as cursor:
        staging.open_tables(cursor, "refund_in")
        staging.tell(cursor, "refund_in", [{**row, "n": n} for n, row in enumerate(rows)])
        merge_refunds(brand, source=source, told_by=told_by)
        return staging.outcomes(cursor, brand, "refund", len(rows), source=source)


def words_of(order_ids: Sequence[int]) -> dict[int, str]:
    """What was bought, by order id: the first products of each with their quantity."""
    found: dict[int, list[str]] = {}
    lines = OrderLine.objects.filter(order__in=order_ids, n__lte=MAX_WORDS + 1).order_by("order", "n")
    for order_id, name, sku, quantity in lines.values_list("order_id", "name", "sku", "quantity"):
        words = name or sku
        if words:
            found.setdefault(order_id, []).append(f"{words} ×{quantity}" if quantity != 1 else words)
    return {
        order_id: "、".join(words[:MAX_WORDS]) + ("…" if len(words) > MAX_WORDS else "")
        for order_id, words in found.items()
    }


def visible_orders(rows: Any, staff: Staff) -> Any:
    """Those of customers whom the person may see, and those bound to the person."""
    follows = visible_follows(staff)
    if follows is None:
        return rows
    return rows.filter(Q(staff=staff.pk) | Exists(follows.filter(contact=OuterRef("contact"))))


def filtered(
    *,
    contact_id: int | None = None,
    staff_id: int | None = None,
    store_id: int | None = None,
    state: int | None = None,
    source: str = "",
    order_no: str = "",
    is_waiting: bool = False,
    since: datetime | None = None,
    until: datetime | None = None,
) -> "QuerySet[Order]":
    """Orders of whom all filters given hold, to be paged by ("-placed_at", "-pk").

    Args:
        order_no: exactly this number, of any source.
        is_waiting: only those whose buyer is not known.
        since, until: ordered after and before these moments.
    """
    rows = Order.objects.all()
    for name, value in (("contact", contact_id), ("staff", staff_id), ("store", store_id), ("state", state)):
        if value is not None:
            rows = rows.filter(**{name: value})
    if source:
        rows = rows.filter(source=source.replace("\x00", ""))
    if order_no:
        rows = rows.filter(order_no=order_no.replace("\x00", ""))
    if is_waiting:
        rows = rows.filter(contact=None)
    if since:
        rows = rows.filter(placed_at__gt=since)
    if until:
        rows = rows.filter(placed_at__lt=until)
    return rows
