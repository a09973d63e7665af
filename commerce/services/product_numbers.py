"""What a product has brought: pieces, money, buyers, who came back for it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Count, F, Q, Sum
from django.db.models.functions import TruncDate

from commerce.models import Order, OrderLine, Product
from commerce.services.orders import visible_orders
from org.models import Staff
from scrm import clock
from tenants.models import Brand

DAYS = 90


@dataclass(frozen=True)
class ProductNumbers:
    """Of paid orders of the last `DAYS` days that the person may see. Money in fen, refunds not taken off."""

    quantity: int
    amount_fen: int
    n_orders: int
    n_buyers: int
    n_again: int  # buyers with two orders of it or more in the time
    days: list[tuple[Any, int]]  # (day of the brand, pieces), each day


def numbers_of(brand: Brand, product: Product, *, staff: Staff) -> ProductNumbers:
    """A scan of the product's lines: for a fragment of its own, not for the page."""
    since = clock.now() - timedelta(days=DAYS)
    sold = visible_orders(Order.objects.filter(paid_at__gt=since, is_sale=True), staff)
    lines = OrderLine.objects.filter(product=product, order__in=sold.values("pk"))
    total = lines.aggregate(
        quantity=Sum("quantity"), amount=Sum("amount_fen"), orders=Count("order_id", distinct=True)
    )
    buyers = lines.exclude(order__contact=None).values("order__contact")
    buyers = buyers.annotate(times=Count("order_id", distinct=True))
    people = buyers.aggregate(
        all=Count("order__contact"), again=Count("order__contact", filter=Q(times__gt=1))
    )
    by_day = dict(
        lines.annotate(on=TruncDate(F("order__paid_at"), tzinfo=ZoneInfo(brand.timezone)))
        .values_list("on")
        .annotate(n=Sum("quantity"))
    )
    return ProductNumbers(
        quantity=total["quantity"] or 0,
        amount_fen=total["amount"] or 0,
        n_orders=total["orders"],
        n_buyers=people["all"],
        n_again=people["again"],
        days=[(day, by_day.get(day, 0)) for day in _days(brand, since)],
    )


def _days(brand: Brand, since: datetime) -> list[Any]:
    first, last = since.astimezone(ZoneInfo(brand.timezone)).date(), clock.today(brand.timezone)
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]
