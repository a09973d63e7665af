"""Orders: the list with its filters, and one order."""

from datetime import timedelta
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers

from commerce.models import Order, OrderLine, Refund
from commerce.services import orders
from commerce.services.orders import visible_orders
from org.access import staff_can
from org.models import Staff, Store
from scrm import clock
from scrm.errors import NotFoundError
from scrm.ids import read_id
from scrm.keyset import keyset_page

PERIODS = [
    (7, gettext_lazy("7 days")),
    (30, gettext_lazy("30 days")),
    (90, gettext_lazy("90 days")),
    (0, gettext_lazy("All time")),
]
LOOKS = {
    Order.State.UNPAID: "warn",
    Order.State.PAID: "info",
    Order.State.SHIPPED: "info",
    Order.State.DONE: "ok",
    Order.State.CLOSED: "muted",
}
MANY = 500  # choices in one select


def looked(rows: Any) -> list[Any]:
    """Orders with the look of their state (`look`)."""
    found = list(rows)
    for row in found:
        row.look = LOOKS[Order.State(row.state)]
    return found


@require_GET
@staff_can("orders.view")
@vary_on_headers("HX-Request")
def order_list(request: Any) -> HttpResponse:
    """The page, or its rows alone for a changed filter and for the next page."""
    given = {name: read_id(request.GET.get(name)) for name in ("contact", "guide", "store", "state")}
    days = read_id(request.GET.get("days"))
    # one customer, one number and what waits are looked for at any time
    narrow = given["contact"] or request.GET.get("q") or request.GET.get("waiting")
    days = days if days in dict(PERIODS) else 0 if narrow else 30
    number = " ".join(request.GET.get("q", "").split())[:64]
    is_waiting = request.GET.get("waiting") == "1"
    rows = orders.filtered(
        contact_id=given["contact"],
        staff_id=given["guide"],
        store_id=given["store"],
        state=given["state"],
        order_no=number,
        is_waiting=is_waiting,
        since=clock.now() - timedelta(days=days) if days else None,
    ).select_related("contact", "staff", "store")
    page = keyset_page(
        visible_orders(rows, request.staff), order=("-placed_at", "-pk"), after=request.GET.get("after")
    )
    context = {"page": page, "rows": looked(page)}
    if request.htmx:
        return render(request, "commerce/orders/_rows.html", context)
    context |= {
        "given": given | {"days": days, "q": number, "waiting": is_waiting},
        "periods": PERIODS,
        "states": Order.State.choices,
        "guides": Staff.objects.visible_to(request.staff)
        .filter(is_guide=True)
        .order_by("name")
        .values_list("pk", "name")[:MANY],
        "stores": Store.objects.order_by("name").values_list("pk", "name")[:MANY],
    }
    return render(request, "commerce/orders/list.html", context)


@require_GET
@staff_can("orders.view")
def order_detail(request: Any, order_id: int) -> HttpResponse:
    """One order: what was bought, by whom, what was given back."""
    found = visible_orders(Order.objects.filter(pk=order_id), request.staff)
    order = found.select_related("contact", "staff", "store").first()
    if order is None:
        raise NotFoundError()
    refunds = list(Refund.objects.filter(order=order).order_by("refunded_at", "pk"))
    steps = [(order.placed_at, "shopping-cart", _("Ordered"), "")]
    if order.paid_at:
        steps.append((order.paid_at, "circle-check", _("Paid"), ""))
    steps += [
        (r.refunded_at, "undo-2", _("Refund taken back") if r.is_cancelled else _("Refunded"), r.reason)
        for r in refunds
    ]
    context = {
        "order": looked([order])[0],
        "lines": OrderLine.objects.filter(order=order).select_related("product").order_by("n"),
        "refunds": refunds,
        "net_fen": order.amount_fen - order.refunded_fen,
        "steps": sorted(steps, key=lambda step: step[0], reverse=True),
    }
    return render(request, "commerce/orders/detail.html", context)
