"""Pages of products and orders: what is shown to whom, filters, the panel, the form."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from commerce.models import Order, Product
from commerce.services.orders import record_orders, record_refunds
from contacts.models import Identity
from scrm import clock
from tests.factories import in_brand, make_contact, make_staff

LINES = [{"sku": "P1", "name": "婴儿湿巾", "quantity": 2, "amount_fen": 9900}]


def buy(brand: Any, number: str, contact: Any = None, **over: Any) -> Order:
    row = {"order_no": number, "paid_at": clock.now() - timedelta(days=1), "amount_fen": 9900, "lines": LINES}
    record_orders(brand, [row | {"contact_id": contact and contact.pk} | over], source="shop")
    return Order.objects.get(order_no=number)


@pytest.fixture
def order(brand: Any, staff: Any) -> Order:
    with in_brand(brand):
        buyer = make_contact(brand, staff, name="王小明", added_at=clock.now() - timedelta(days=9))
        made = buy(brand, "A1001", buyer, channel="小程序")
        refund = {"refund_no": "R1", "order_no": "A1001", "amount_fen": 900, "reason": "破损"}
        record_refunds(brand, [refund], source="shop")
        return made


def test_order_and_its_customer(brand: Any, order: Order, staff: Any, sign_in: Any) -> None:
    client = sign_in(brand, "operator")
    text = client.get("/orders/").text
    assert "A1001" in text and "王小明" in text and "¥99.00" in text
    text = client.get(f"/orders/{order.pk}/").text
    for part in ("婴儿湿巾", "破损", "¥90.00", staff.name, "小程序"):
        assert part in text
    text = client.get(f"/contacts/{order.contact_id}/").text
    assert "¥90.00" in text and "婴儿湿巾" in text and f"/orders/{order.pk}/" in text


def test_filters(brand: Any, order: Order, sign_in: Any) -> None:
    with in_brand(brand):
        buy(brand, "A2", buyer_kind="phone", buyer_value="13800138000")
        buy(brand, "OLD1", paid_at=clock.now() - timedelta(days=300))
    client = sign_in(brand)
    htmx = {"headers": {"HX-Request": "true"}}
    for query, found in (
        ({}, {"A1001", "A2"}),
        ({"days": 0}, {"A1001", "A2", "OLD1"}),
        ({"q": "OLD1"}, {"OLD1"}),
        ({"waiting": 1}, {"A2", "OLD1"}),
        ({"contact": order.contact_id}, {"A1001"}),
        ({"state": 4}, set()),
    ):
        text = client.get("/orders/", query, **htmx).text
        assert {n for n in ("A1001", "A2", "OLD1") if f">{n}<" in text} == found, query
    assert "…8000" in client.get("/orders/", {"waiting": 1}).text


def test_a_guide_sees_own_customers_orders(brand: Any, corp: Any, order: Order, sign_in: Any) -> None:
    with in_brand(brand):
        other = make_staff(brand, corp)
    client = sign_in(brand, "guide", staff=other)
    assert "A1001" not in client.get("/orders/").text
    assert client.get(f"/orders/{order.pk}/").status_code == 404
    with in_brand(brand):
        product = Product.objects.get()
    assert "A1001" not in client.get(f"/products/{product.pk}/").text
    with in_brand(brand):
        owner = Order.objects.get(pk=order.pk).staff
    mine = sign_in(brand, "guide", staff=owner)
    assert "A1001" in mine.get("/orders/").text


def test_figures_of_a_product(brand: Any, staff: Any, corp: Any, order: Order, sign_in: Any) -> None:
    """Pieces, money, buyers and who came back; of what the person may see; old and unpaid orders do not count."""
    from commerce.services.product_numbers import DAYS, numbers_of
    from org.models import Staff

    client = sign_in(brand)
    with in_brand(brand):
        product, buyer = Product.objects.get(), make_contact(brand, staff)
        for n, days in enumerate((2, 5, DAYS + 1)):
            buy(brand, f"B{n}", buyer, paid_at=clock.now() - timedelta(days=days))
        buy(brand, "UNPAID", buyer, paid_at=None, placed_at=clock.now())
        buy(brand, "W", buyer_kind="phone", buyer_value="13800138000")
        found = numbers_of(brand, product, staff=Staff.objects.get(role__name="品牌管理员"))
        assert (found.quantity, found.amount_fen, found.n_orders) == (8, 4 * 9900, 4)
        assert (found.n_buyers, found.n_again) == (2, 1)
        assert sum(n for _day, n in found.days) == 8 and len(found.days) in (DAYS + 1, DAYS + 2)
    assert "¥396.00" in client.get(f"/products/{product.pk}/figures/").text
    with in_brand(brand):
        other = make_staff(brand, corp)
    assert "¥0.00" in sign_in(brand, "guide", staff=other).get(f"/products/{product.pk}/figures/").text


def test_products(brand: Any, other_brand: Any, order: Order, sign_in: Any) -> None:
    client = sign_in(brand)
    with in_brand(brand):
        product = Product.objects.get()
    assert "婴儿湿巾" in client.get("/products/").text
    assert "A1001" in client.get(f"/products/{product.pk}/").text
    form = {"sku": "P1", "name": "湿巾 80 抽", "price": "39.90", "usage_days": "30", "is_active": "on"}
    client.post(f"/products/{product.pk}/edit/", form)
    with in_brand(brand):
        product.refresh_from_db()
        assert (product.name, product.price_fen, product.usage_days, product.sku) == (
            "湿巾 80 抽",
            3990,
            30,
            "P1",
        )
    assert client.post("/products/new/", form).status_code == 422  # the number is taken
    assert client.post("/products/new/", form | {"sku": "P2", "usage_days": "0"}).status_code == 422
    assert client.post("/products/new/", form | {"sku": "P2"}).status_code == 302
    assert sign_in(brand, "guide").post("/products/new/", form).status_code == 403
    theirs = sign_in(other_brand)
    assert theirs.get(f"/products/{product.pk}/").status_code == 404
    assert "湿巾" not in theirs.get("/products/").text


def test_the_number_of_queries_does_not_grow(brand: Any, staff: Any, sign_in: Any) -> None:
    client = sign_in(brand)

    def queries(path: str) -> int:
        with CaptureQueriesContext(connection) as found:
            assert client.get(path).status_code == 200
        return len(found)

    with in_brand(brand):
        for n in range(2):
            contact = make_contact(brand, staff)
            Identity.objects.create(contact=contact, kind="phone", value=f"1380013800{n}")
            buy(brand, f"B{n}", contact)
        product = Product.objects.get()
    paths = ["/orders/", "/products/", f"/products/{product.pk}/"]
    few = [queries(path) for path in paths]
    with in_brand(brand):
        for n in range(2, 20):
            buy(brand, f"B{n}", make_contact(brand, staff))
    assert [queries(path) for path in paths] == few
