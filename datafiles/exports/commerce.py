"""Orders, products and refunds."""

from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import QuerySet
from django.utils.dateparse import parse_date
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from commerce.models import Order, Product, Refund
from commerce.services.orders import words_of
from contacts.models import visible_follows
from datafiles.exports.base import Export, ExportKind, Rows, nothing, yuan
from scrm.errors import InvalidError
from tenants.models import Brand


def read_days(brand: Brand, query: Any) -> dict[str, Any]:
    """`since` and `until`, days of the brand, both included; `state` of orders."""
    found: dict[str, Any] = {}
    for name in ("since", "until"):
        if text := str(query.get(name) or ""):
            try:
                day = parse_date(text)
            except ValueError:
                day = None
            if day is None:
                raise InvalidError(_("This filter cannot be read"), code="bad_filter")
            found[name] = day.isoformat()
    if text := str(query.get("state") or ""):
        if not text.isdigit() or int(text) not in Order.State.values:
            raise InvalidError(_("This filter cannot be read"), code="bad_filter")
        found["state"] = int(text)
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
    rows = _mine(export, _between(export, Order.objects.all(), "placed_at"), "contact")
    if "state" in export.params:
        rows = rows.filter(state=export.params["state"])
    page = list(
        rows.filter(pk__gt=after or 0).select_related("contact", "staff", "store").order_by("pk")[:size]
    )
    words = words_of([order.pk for order in page])
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
    key="orders", label=gettext_lazy("Orders"), icon="receipt", right="orders.view", read=read_days,
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
