"""Products, orders, refunds and behaviour by file; the public files as they are."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from django.db.models import Sum

from commerce.models import Order, OrderLine, Product, Refund
from contacts.models import ContactStat, Event, EventType, Identity, Merge, WaitingBehaviour
from contacts.services.identity import parting
from contacts.services.identity.identity import merge
from datafiles.services import imports
from demo.build import FILE as CDNOW
from org.access import SYSTEM
from org.models import Store
from tenants.scoping import tenant_scope
from tests.factories import in_brand, make_contact, make_staff

pytestmark = pytest.mark.django_db(
    transaction=True, databases=["default", "owner"]
)  # large files: new statistics

TAOBAO = Path(__file__).resolve().parents[4] / "shared" / "data" / "taobao_behaviour.csv"


def counts(file: Any, *names: str) -> tuple[int, ...]:
    return tuple(file.result.get(name, 0) for name in names)


def test_products(brand: Any, bring: Any) -> None:
    text = '商品编号,商品名称,类目,价格,使用天数,在售\nA1,奶粉,母婴,￥128.00,30,是\nA2,尿裤,母婴,"1,099.5",,否\n,无号,,1,,\n'
    file = bring("products", text)
    assert (counts(file, "new", "refused"), file.result["reasons"]) == ((2, 1), {"bad_number": 1})
    with in_brand(brand):
        assert list(Product.objects.order_by("sku").values_list("sku", "name", "price_fen", "usage_days", "is_active")) == [
            ("A1", "奶粉", 12800, 30, True), ("A2", "尿裤", 109950, None, False),
        ]  # fmt: skip
    assert counts(bring("products", text), "new", "changed", "same") == (0, 0, 2)
    assert counts(bring("products", text.replace("128.00", "118")), "changed", "same") == (1, 1)
    with in_brand(brand):
        assert Product.objects.get(sku="A1").price_fen == 11800


ORDERS = """订单号,会员号,支付时间,实付金额,订单状态,件数,门店,导购
O1,M1,2026-01-05 10:00,￥99.90,已完成,2,人民路店,guide7
O2,M2,2026-01-06 10:00,50,已付款,1,,
O3,M1,2026-01-07 10:00,abc,已付款,1,,
"""


def test_orders_find_their_people_or_wait(brand: Any, corp: Any, bring: Any) -> None:
    with in_brand(brand):
        store, guide = Store.objects.create(name="人民路店"), make_staff(brand, corp, userid="guide7")
    bring("members", "会员号,姓名\nM1,王\n")
    file = bring("orders", ORDERS)
    assert (counts(file, "new", "refused", "waiting"), file.result["reasons"]) == (
        (2, 1, 1),
        {"money:amount_fen": 1},
    )
    with in_brand(brand):
        first, second = Order.objects.order_by("order_no")
        assert (first.amount_fen, first.state, first.n_items, first.store, first.staff) == (
            9990,
            4,
            2,
            store,
            guide,
        )
        assert first.paid_at == datetime(2026, 1, 5, 2, tzinfo=UTC) and first.contact is not None
        assert (second.contact, second.buyer_kind, second.buyer_value) == (None, "member_no", "M2")
        assert ContactStat.objects.get(contact=first.contact).spent_fen == 9990
    assert counts(bring("orders", ORDERS), "new", "changed", "same") == (0, 0, 2)
    bring("members", "会员号,姓名\nM2,李\n")
    with in_brand(brand):
        second.refresh_from_db()
        assert second.contact is not None and second.contact.name == "李"
    assert counts(bring("orders", ORDERS.replace("￥99.90", "88")), "changed", "same") == (1, 1)
    with in_brand(brand):
        assert Order.objects.get(order_no="O1").amount_fen == 8800


def test_buyers_who_were_parted_since_the_check(brand: Any, corp: Any, put: Any, check: Any) -> None:
    """The check has found whose an id was; by now it has gone back."""
    with in_brand(brand):
        keep, lose = make_contact(brand), make_contact(brand)
        Identity.objects.create(contact=lose, kind="member_no", value="M1")
        merge(brand, keep=keep, lose=lose, why={"phone": True})
    file = put("orders", ORDERS)
    check(file)
    with in_brand(brand):
        parting.part(brand, contact_id=keep.pk, merge_id=Merge.objects.get().pk, by=SYSTEM)
    with tenant_scope(brand), transaction.atomic():
        imports.start_import(brand, file=file, by=SYSTEM)
    with in_brand(brand):
        assert Order.objects.get(order_no="O1").contact_id == lose.pk


def test_order_lines_over_several_rows(brand: Any, bring: Any) -> None:
    text = """订单号,手机,付款时间,订单金额,商品编码,商品名称,数量,小计
O1,13800138001,2026-01-05,150,A1,奶粉,1,100
O2,13800138001,2026-01-06,30,A2,尿裤,3,30
O1,,,,A2,尿裤,5,50
"""
    file = bring("orders", text)
    assert counts(file, "new", "refused") == (2, 0)
    with in_brand(brand):
        order = Order.objects.get(order_no="O1")
        assert (order.amount_fen, order.n_items) == (15000, 6)
        lines = (
            OrderLine.objects.filter(order=order).order_by("n").values_list("sku", "quantity", "amount_fen")
        )
        assert list(lines) == [("A1", 1, 10000), ("A2", 5, 5000)]
        assert Product.objects.count() == 2
    assert counts(bring("orders", text), "new", "changed", "same") == (0, 0, 3)
    more = bring("orders", text + "O1,,,,A3,湿巾,1,9\n")
    assert counts(more, "new", "changed") == (0, 1)
    with in_brand(brand):
        assert OrderLine.objects.filter(order=order).count() == 3


def test_refunds(brand: Any, bring: Any) -> None:
    bring("orders", ORDERS)
    text = "退款编号,订单号,退款金额,退款时间,退款原因\nR1,O1,20,2026-01-08,坏了\nR2,O9,5,2026-01-08,\n"
    assert counts(bring("refunds", text), "new", "waiting") == (2, 1)
    with in_brand(brand):
        assert Order.objects.get(order_no="O1").refunded_fen == 2000
        assert Refund.objects.get(refund_no="R2").order is None
    assert counts(bring("refunds", text), "new", "same") == (0, 2)
    assert counts(
        bring("refunds", text.replace("R1,", "").replace("R2,", "").replace("退款编号,", "")), "new"
    ) == (2,)


def test_behaviour(brand: Any, bring: Any) -> None:
    with in_brand(brand):
        contact = make_contact(brand)
        contact.identities.create(kind="member_no", value="M1")
    text = """会员号,行为类型,时间,商品编号
M1,浏览,2026-01-05 10:00:00,A1
M1,加购,2026-01-05 10:01:00,A1
M9,pv,1767578400,A1
M1,跳舞,2026-01-05,
"""
    file = bring("behaviour", text)
    assert (counts(file, "new", "waiting", "refused"), file.result["reasons"]) == (
        (3, 1, 1),
        {"choice:kind": 1},
    )
    with in_brand(brand):
        assert list(Event.objects.order_by("at").values_list("type", "contact_id", "source")) == [
            (EventType.VIEWED, contact.pk, "import"), (EventType.CARTED, contact.pk, "import"),
        ]  # fmt: skip
        assert WaitingBehaviour.objects.get().value == "M9"
    assert counts(bring("behaviour", text), "new", "same") == (0, 3)


def test_coupons_and_words(brand: Any, bring: Any) -> None:
    with in_brand(brand):
        make_contact(brand).identities.create(kind="member_no", value="M1")
    text = """会员号,行为类型,时间,优惠券名称,券码,发言内容
M1,用券,2026-01-05 10:00:00,满200减30,C1,
M1,用券,2026-01-05 10:00:00,满200减30,C2,
M1,word_said,2026-01-05 10:01:00,,,想退款
"""
    assert counts(bring("behaviour", text), "new", "refused") == (3, 0)
    with in_brand(brand):
        rows = Event.objects.order_by("at", "pk").values_list("type", "data")
        assert [(kind, data.get("title"), data.get("code"), data.get("word")) for kind, data in rows] == [
            (EventType.COUPON_USED, "满200减30", "C1", None), (EventType.COUPON_USED, "满200减30", "C2", None),
            (EventType.WORD_SAID, None, None, "想退款"),
        ]  # fmt: skip
    assert counts(bring("behaviour", text), "new", "same") == (0, 3)


def test_cdnow_as_it_is(brand: Any, bring: Any) -> None:
    """Columns of fixed width, no order numbers, repeated rows: every purchase once, whatever is imported twice."""
    data = CDNOW.read_bytes()
    file = bring("orders", data, name="cdnow_master.txt")
    assert {k: v["column"] for k, v in file.mapping.items()} == {
        "member_no": 0,
        "paid_at": 1,
        "n_items": 2,
        "amount_fen": 3,
    }
    assert counts(file, "rows", "new", "refused", "waiting") == (69_659, 69_659, 0, 69_659)
    with in_brand(brand):
        assert Order.objects.aggregate(Sum("amount_fen"), Sum("n_items")) == {
            "amount_fen__sum": 250_031_563, "n_items__sum": 167_881,
        }  # fmt: skip
        assert Order.objects.filter(amount_fen=0).count() == 80
        assert Order.objects.values("buyer_value").distinct().count() == 23_570
    again = bring("orders", data)
    assert counts(again, "new", "changed", "same") == (0, 0, 69_659)


def test_cdnow_sample_without_headings(brand: Any, bring: Any) -> None:
    data = CDNOW.with_name("cdnow_sample.txt").read_bytes()
    mapping = {
        "member_no": {"column": 0},
        "paid_at": {"column": 2},
        "n_items": {"column": 3},
        "amount_fen": {"column": 4},
    }
    file = bring("orders", data, mapping=mapping)
    assert counts(file, "rows", "new") == (6919, 6919)
    with in_brand(brand):
        assert Order.objects.values("buyer_value").distinct().count() == 2357


@pytest.mark.skipif(not TAOBAO.is_file(), reason="the public sample of Taobao is not part of this repository")
def test_taobao_as_it_is(brand: Any, bring: Any) -> None:
    data = TAOBAO.read_bytes()
    products = bring("products", data)
    assert counts(products, "new", "refused") == (165, 0)
    seen = bring("behaviour", data)
    rows, bought = 40_000, data.count(b",buy,")
    assert counts(seen, "rows", "skipped", "refused") == (rows, bought, 0)
    orders = bring("orders", data)
    assert counts(orders, "new", "refused", "skipped") == (bought, 0, rows - bought)
    with in_brand(brand):
        assert Order.objects.count() == OrderLine.objects.exclude(product=None).count() == bought
        n_seen = WaitingBehaviour.objects.count()
    assert n_seen == seen.result["new"]
    for kind in ("behaviour", "orders", "products"):
        assert counts(bring(kind, data), "new", "changed") == (0, 0), kind
    people = b"\n".join([b"user", *sorted({line.split(b",")[0] for line in data.splitlines()[1:]})])
    assert counts(bring("members", people, mapping={"member_no": {"column": 0}}), "new") == (3_990,)
    with in_brand(brand):
        assert not Order.objects.filter(contact=None).exists() and not WaitingBehaviour.objects.exists()
        assert Event.objects.filter(type__gte=90).count() == n_seen
