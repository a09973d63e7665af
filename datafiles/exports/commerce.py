"""Orders, products and refunds."""

from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import QuerySet
from django.utils.dateparse import parse_date
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from commerce.models import Order, Product, Refund
from commerce.services import orders
from contacts.models import visible_follows
from datafiles.exports.base import Export, ExportKind, Rows, nothing, yuan
from scrm import clock
from scrm.errors import InvalidError
from tenants.models import Brand


def _unread() -> InvalidError:
    return InvalidError(_("This filter cannot be read"), code="bad_filter")


def read_days(brand: Brand, query: Any) -> dict[str, Any]:
    """`since` and `until`, days of the brand, both included."""
    found: dict[str, Any] = {}
    for name in ("since", "until"):
        if text := str(query.get(name) or ""):
            try:
                day = parse_date(text)
            except ValueError:
                day = None
            if day is None:
                raise _unread()
            found[name] = day.isoformat()
    return found


def read_orders(brand: Brand, query: Any) -> dict[str, Any]:
    """Days, and the filter of the page: `days` (up to now), `contact`, `guide`, `store`, `state`, `q` (the whole order
    number), `waiting` (1: the buyer is not known)."""
    found = read_days(brand, query)
    for name in ("days", "contact", "guide", "store", "state"):
        if text := str(query.get(name) or ""):
            if not (text.isascii() and text.isdigit()) or len(text) > 18:
                raise _unread()
            found[name] = int(text)
    if found.get("state") not in (None, *Order.State.values) or found.get("days", 0) > 36_500:
        raise _unread()
    # the list of the moment of asking, whenever the file is made
    if days := found.pop("days", 0):
        found["placed_after"] = (clock.now() - timedelta(days=days)).isoformat()
    if number := " ".join(str(query.get("q") or "").split()):
        found["q"] = number[:64]
    if query.get("waiting") == "1":
        found["waiting"] = True
    return found


def _between(export: Export, rows: QuerySet, column: str) -> QuerySet:
    zone = ZoneInfo(export.brand.timezone)

    def start(text: str, days: int = 0) -> datetime:
        day = datetime.combine(datetime.fromisoformat(text).date() + timedelta(days=days), time.min, zone)
        return day.astimezone(UTC)

    if since := export.params.get("since"):
        rows = rows.filter(**{f"{column}__gte": start(since)})
    if until := export.params.get("until"):
        rows = rows.filter(**{f"{column}__lt": start(until, 1)})
    return rows


def _mine(export: Export, rows: QuerySet, column: str) -> QuerySet:
    if export.staff is not None and (mine := visible_follows(export.staff)) is not None:
        return rows.filter(**{f"{column}__in": mine.values("contact")})
    return rows


def order_columns(export: Export) -> list[str]:
    return [
        _("Order number"), _("Source"), _("Contact number"), _("Name"), _("Buyer"), _("Ordered at"), _("Paid at"), _("State"),
        _("Amount"), _("Refunded"), _("Number of items"), _("Products"), _("Guide"), _("Store"), _("Channel"),
    ]  # fmt: skip


def order_page(export: Export, after: Any, size: int) -> Rows:
    given = export.params
    after_at = given.get("placed_after")
    rows = orders.filtered(
        contact_id=given.get("contact"),
        staff_id=given.get("guide"),
        store_id=given.get("store"),
        state=given.get("state"),
        order_no=given.get("q", ""),
        is_waiting=given.get("waiting", False),
        since=datetime.fromisoformat(after_at) if after_at else None,
    )
    rows = _between(export, rows, "placed_at")
    if export.staff is not None:
        rows = orders.visible_orders(rows, export.staff)
    page = list(
        rows.filter(pk__gt=after or 0).select_related("contact", "staff", "store").order_by("pk")[:size]
    )
    words = orders.words_of([order.pk for order in page])
    found = [
        [
            o.order_no, o.source, o.contact_id or "", o.contact.name if o.contact else "",
            export.phone(o.buyer_value) if o.buyer_kind == "phone" else o.buyer_value, export.when(o.placed_at),
            export.when(o.paid_at), o.get_state_display(), yuan(o.amount_fen), yuan(o.refunded_fen), o.n_items,
            words.get(o.pk, ""), o.staff.name if o.staff else "", o.store.name if o.store else "", o.channel,
        ]
        for o in page
    ]  # fmt: skip
    return found, page[-1].pk if page else after


def product_columns(export: Export) -> list[str]:
    return [_("Product number"), _("Name"), _("Category"), _("Price"), _("Lasts for days"), _("On sale")]


def product_page(export: Export, after: Any, size: int) -> Rows:
    page = list(Product.objects.filter(pk__gt=after or 0).order_by("pk")[:size])
    found = [
        [
            p.sku,
            p.name,
            p.category,
            yuan(p.price_fen),
            p.usage_days or "",
            _("yes") if p.is_active else _("no"),
        ]
        for p in page
    ]
    return found, page[-1].pk if page else after


def refund_columns(export: Export) -> list[str]:
    return [
        _("Refund number"),
        _("Order number"),
        _("Source"),
        _("Amount"),
        _("Refunded at"),
        _("Reason"),
        _("Taken back"),
    ]


def refund_page(export: Export, after: Any, size: int) -> Rows:
    rows = _mine(export, _between(export, Refund.objects.all(), "refunded_at"), "order__contact")
    page = list(rows.filter(pk__gt=after or 0).order_by("pk")[:size])
    found = [
        [
            r.refund_no, r.order_no, r.source, yuan(r.amount_fen), export.when(r.refunded_at), r.reason,
            _("yes") if r.is_cancelled else "",
        ]
        for r in page
    ]  # fmt: skip
    return found, page[-1].pk if page else after


ORDERS = ExportKind(
    key="orders", label=gettext_lazy("Orders"), icon="receipt", right="orders.view", read=read_orders,
    columns=order_columns, page=order_page,
)  # fmt: skip
PRODUCTS = ExportKind(
    key="products", label=gettext_lazy("Products"), icon="package", right="orders.view", read=nothing,
    columns=product_columns, page=product_page, count=lambda export: Product.objects.count(),
)  # fmt: skip
REFUNDS = ExportKind(
    key="refunds", label=gettext_lazy("Refunds"), icon="undo-2", right="orders.view", read=read_days,
    columns=refund_columns, page=refund_page,
)  # fmt: skip
