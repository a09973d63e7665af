"""Orders, products and refunds."""

from datetime import datetime, timedelta
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from commerce.models import Order, Product, Refund
from commerce.services import orders
from datafiles.exports.base import (
    Export,
    ExportKind,
    Rows,
    between,
    last_id,
    next_by_id,
    nothing,
    of_visible,
    read_days,
    yuan,
)
from scrm import clock
from scrm.errors import FilterError
from scrm.ids import read_id
from tenants.models import Brand


def read_orders(brand: Brand, query: Any) -> dict[str, Any]:
    """Days, and the filter of the page: `days` (up to now), `contact`, `guide`, `store`, `state`, `q` (the whole order
    number), `waiting` (1: the buyer is not known)."""
    found = read_days(brand, query)
    for name in ("days", "contact", "guide", "store", "state"):
        if text := str(query.get(name) or ""):
            if (number := read_id(text)) is None:
                raise FilterError()
            found[name] = number
    if found.get("state") not in (None, *Order.State.values) or found.get("days", 0) > 36_500:
        raise FilterError()
    # the list of the moment of asking, whenever the file is made
    if days := found.pop("days", 0):
        found["placed_after"] = (clock.now() - timedelta(days=days)).isoformat()
    if order_no := " ".join(str(query.get("q") or "").split()):
        found["q"] = order_no[:64]
    if query.get("waiting") == "1":
        found["waiting"] = True
    return found


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
    rows = between(export, rows, "placed_at")
    if export.staff is not None:
        rows = orders.visible_orders(rows, export.staff)
    page = next_by_id(rows.select_related("contact", "staff", "store"), after, size)
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
    return found, last_id(page, after)


def product_columns(export: Export) -> list[str]:
    return [_("Product number"), _("Name"), _("Category"), _("Price"), _("Lasts for days"), _("On sale")]


def product_page(export: Export, after: Any, size: int) -> Rows:
    page = next_by_id(Product.objects.all(), after, size)
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
    return found, last_id(page, after)


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
    rows = of_visible(export, between(export, Refund.objects.all(), "refunded_at"), "order__contact")
    page = next_by_id(rows, after, size)
    found = [
        [
            r.refund_no, r.order_no, r.source, yuan(r.amount_fen), export.when(r.refunded_at), r.reason,
            _("yes") if r.is_cancelled else "",
        ]
        for r in page
    ]  # fmt: skip
    return found, last_id(page, after)


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
