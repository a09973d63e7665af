"""Orders and refunds however they come: late, doubled, out of order, of people who are not known yet."""

import threading
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import OperationalError, connection

from commerce.models import Order, OrderLine, Product, Refund
from commerce.services import order_merge, owners, waiting
from commerce.services.orders import record_orders, record_refunds, words_of
from commerce.services.products import record_products
from contacts.models import Contact, ContactStat, Event, EventType, Identity
from contacts.services.follow import record_follow
from contacts.services.identity.identity import merge, resolve
from contacts.services.outcomes import Result
from scrm import clock
from tests.factories import in_brand, make_contact, make_staff
from tests.threads import together

NOW = clock.now().replace(microsecond=0)
S = Order.State


def ago(days: float) -> Any:
    return NOW - timedelta(days=days)


def order(no: str = "A1", **over: Any) -> dict[str, Any]:
    return {
        "order_no": no, "buyer_kind": "phone", "buyer_value": "13800138000", "paid_at": ago(3),
        "amount_fen": 9900, "updated_at": ago(3), **over,
    }  # fmt: skip


def refund(no: str = "R1", **over: Any) -> dict[str, Any]:
    return {"refund_no": no, "order_no": "A1", "amount_fen": 9900, "refunded_at": ago(2), **over}


def make_buyer(brand: Any, phone: str = "13800138000", **over: Any) -> Any:
    contact = make_contact(brand, **over)
    Identity.objects.create(contact=contact, kind="phone", value=phone)
    return contact


def stat(contact: Any) -> tuple:
    row = ContactStat.objects.get(contact=contact)
    return row.n_orders, row.spent_fen, row.first_order_at, row.last_order_at


def events(contact: Any, kind: EventType = EventType.ORDER_PAID) -> int:
    return Event.objects.filter(contact_id=contact.pk, type=kind).count()


def told(brand: Any, *rows: dict[str, Any], source: str = "shop") -> list[tuple[str, str]]:
    return [(o.result.value, o.reason) for o in record_orders(brand, rows, source=source)]


def test_an_order_is_one_however_often_it_is_told(brand: Any) -> None:
    with in_brand(brand):
        buyer = make_buyer(brand)
        assert told(brand, order(), order("A2", paid_at=ago(1), amount_fen=100)) == [("accepted", "")] * 2
        for _ in range(2):
            assert told(brand, order()) == [("repeated", "")]
        assert stat(buyer) == (2, 10000, ago(3), ago(1))
        assert events(buyer) == 2
        event = Event.objects.filter(type=EventType.ORDER_PAID).order_by("at").first()
        assert event and event.at == ago(3) and event.source == "api"
        assert event.object_id == Order.objects.get(order_no="A1").pk
        assert event.data == {"order_no": "A1", "amount_fen": 9900}


def test_numbers_belong_to_their_source(brand: Any) -> None:
    with in_brand(brand):
        buyer = make_buyer(brand)
        told(brand, order())
        assert told(brand, order(), source="pos") == [("accepted", "")]
        assert stat(buyer)[0] == 2


def test_twice_in_one_batch(brand: Any) -> None:
    """Both states count: the newest stands, what only the older one knows is kept."""
    with in_brand(brand):
        buyer = make_buyer(brand)
        newer = order(updated_at=ago(1), state=S.DONE, paid_at=None, amount_fen=9800)
        outcomes = record_orders(
            brand, [newer, order(channel="小程序"), order(channel="小程序")], source="shop"
        )
        assert outcomes[0].result == Result.ACCEPTED
        row = Order.objects.get()
        assert (row.state, row.amount_fen, row.paid_at, row.channel) == (S.DONE, 9800, ago(3), "小程序")
        assert events(buyer) == 1


def test_older_states_do_not_overwrite_newer_ones(brand: Any) -> None:
    with in_brand(brand):
        buyer = make_buyer(brand)
        told(brand, order(state=S.DONE, updated_at=ago(1), channel=""))
        assert told(brand, order(state=S.PAID, updated_at=ago(2), amount_fen=1, channel="pos")) == [
            ("accepted", "")
        ]
        row = Order.objects.get()
        assert (row.state, row.amount_fen, row.channel) == (S.DONE, 9900, "pos")  # the gap is filled
        assert row.updated_at == ago(1)
        assert told(brand, order(state=S.CLOSED, updated_at=ago(0.5))) == [("accepted", "")]
        assert stat(buyer) == (0, 0, None, None)
        assert events(buyer) == 1


def test_without_a_time_nothing_goes_back(brand: Any) -> None:
    with in_brand(brand):
        make_buyer(brand)
        told(brand, order(updated_at=None, state=S.SHIPPED))
        told(brand, order(updated_at=None, state=S.UNPAID, paid_at=None, amount_fen=9000))
        row = Order.objects.get()
        assert (row.state, row.amount_fen, row.paid_at) == (S.SHIPPED, 9000, ago(3))


def test_unpaid_orders_count_from_their_payment(brand: Any) -> None:
    with in_brand(brand):
        buyer = make_buyer(brand)
        told(brand, order(state=S.UNPAID, paid_at=None, placed_at=ago(4), updated_at=ago(4)))
        assert stat(buyer)[0] == 0 and not events(buyer)
        told(brand, order())
        assert stat(buyer) == (1, 9900, ago(3), ago(3)) and events(buyer) == 1
        assert Order.objects.get().placed_at == ago(4)


def test_refund_before_its_order(brand: Any) -> None:
    with in_brand(brand):
        buyer = make_buyer(brand)
        (outcome,) = record_refunds(brand, [refund(amount_fen=900)], source="shop")
        assert (outcome.result, outcome.reason) == (Result.ACCEPTED, "unknown_order")
        assert Refund.objects.get().order is None
        told(brand, order())
        row = Order.objects.get()
        assert (row.refunded_fen, row.is_sale) == (900, True)
        assert stat(buyer) == (1, 9000, ago(3), ago(3))
        assert events(buyer, EventType.ORDER_REFUNDED) == 1
        assert record_refunds(brand, [refund(amount_fen=900)], source="shop")[0].result == Result.REPEATED
        record_refunds(brand, [refund("R2", amount_fen=9000)], source="shop")
        assert stat(buyer) == (0, 0, None, None)  # wholly refunded: no sale any more
        assert events(buyer, EventType.ORDER_REFUNDED) == 2


def test_refund_taken_back(brand: Any) -> None:
    with in_brand(brand):
        buyer = make_buyer(brand)
        told(brand, order())
        record_refunds(brand, [refund(updated_at=ago(2))], source="shop")
        assert stat(buyer)[0] == 0
        record_refunds(brand, [refund(is_cancelled=True, updated_at=ago(1))], source="shop")
        assert stat(buyer) == (1, 9900, ago(3), ago(3))
        assert record_refunds(brand, [refund(updated_at=ago(2))], source="shop")[0].result == Result.REPEATED
        assert stat(buyer)[0] == 1


def test_orders_of_the_unknown_wait_for_their_identity(brand: Any, corp: Any, staff: Any) -> None:
    with in_brand(brand):
        told(brand, order(buyer_kind="external_userid", buyer_value="wm1"))
        told(brand, order("A2", buyer_kind="unionid", buyer_value="u1", paid_at=ago(1)))
        record_refunds(brand, [refund(amount_fen=100)], source="shop")
        assert told(brand, order("A3")) == [("accepted", "unknown_person")]
        assert Order.objects.filter(contact=None).count() == 3
        result = record_follow(
            brand, corp=corp, staff=staff, external_userid="wm1", at=ago(2), source="callback"
        )
        assert stat(result.contact) == (1, 9800, ago(3), ago(3))
        assert Order.objects.get(order_no="A1").staff is None  # bought before there was a guide
        resolve(brand, contact=result.contact, unionid="u1")
        assert stat(result.contact)[:2] == (2, 19700)
        assert Order.objects.get(order_no="A2").staff == staff
        assert (events(result.contact), events(result.contact, EventType.ORDER_REFUNDED)) == (2, 1)
        assert Order.objects.filter(contact=None).count() == 1


def test_the_nightly_round_finds_what_crossed(brand: Any) -> None:
    with in_brand(brand):
        told(brand, order())
        record_refunds(brand, [refund("R1", order_no="A9", amount_fen=10)], source="shop")
        buyer = make_buyer(brand)
        told(brand, order("A9", amount_fen=50))
        Refund.objects.update(order=None)
        Order.objects.filter(order_no="A9").update(refunded_fen=0)
    with in_brand(brand):
        assert waiting.attach_all(brand) == 2
        assert stat(buyer)[:2] == (2, 9940)
        assert waiting.attach_all(brand) == 0


def test_guide_and_store(brand: Any, corp: Any, staff: Any) -> None:
    from org.models import Store

    with in_brand(brand):
        store = Store.objects.create(name="静安店", code="S01")
        other_store = Store.objects.create(name="湖滨店")
        staff.store = store
        staff.save()
        other = make_staff(brand, corp, userid="li")
        buyer = make_contact(brand, staff, added_at=ago(10))
        Identity.objects.create(contact=buyer, kind="phone", value="13800138000")
        told(
            brand, order(), order("A2", staff_userid="LI", store_code="湖滨店"), order("A3", store_code="S01")
        )
        assert told(brand, order("A4", staff_userid="nobody")) == [("accepted", "unknown_guide")]
        found = {o.order_no: (o.staff_id, o.store_id) for o in Order.objects.all()}
        assert found == {
            "A1": (staff.pk, store.pk),
            "A2": (other.pk, other_store.pk),
            "A3": (staff.pk, store.pk),
            "A4": (staff.pk, store.pk),
        }
        told(
            brand, order("A2", updated_at=ago(1), state=S.DONE)
        )  # a telling without guide takes nothing away
        assert Order.objects.get(order_no="A2").staff == other


def test_an_order_moves_to_the_right_customer(brand: Any) -> None:
    with in_brand(brand):
        wrong, right = make_buyer(brand), make_buyer(brand, "13900139000")
        told(brand, order())
        record_refunds(brand, [refund(amount_fen=1)], source="shop")
        told(brand, order(buyer_value="139 0013 9000", updated_at=ago(1)))
        assert stat(wrong)[0] == 0 and stat(right)[:2] == (1, 9899)
        assert events(wrong) == 0 and events(right) == 1
        assert events(right, EventType.ORDER_REFUNDED) == 1


def test_lines_and_products(brand: Any) -> None:
    with in_brand(brand):
        buyer = make_buyer(brand)
        lines = [
            {"sku": "P1", "name": "奶粉 3 段", "quantity": 2, "amount_fen": 6000},
            {"sku": "P2", "name": "", "quantity": 1, "amount_fen": 3900},
        ]
        told(brand, order(lines=lines))
        row = Order.objects.get()
        assert row.n_items == 3
        assert words_of([row.pk]) == {row.pk: "奶粉 3 段 ×2、P2"}
        product = Product.objects.get()  # named by the order
        assert (product.sku, product.name, product.price_fen) == ("P1", "奶粉 3 段", 3000)
        record_products(
            brand,
            [
                {"sku": "P2", "name": "湿巾", "price_fen": 3900, "usage_days": 30},
                {"sku": "P1", "name": "奶粉三段"},
            ],
        )
        assert set(OrderLine.objects.values_list("sku", "product__name")) == {
            ("P1", "奶粉三段"),
            ("P2", "湿巾"),
        }
        assert told(brand, order(lines=lines)) == [("repeated", "")]
        assert told(brand, order(lines=lines[:1], updated_at=ago(1), n_items=2)) == [("accepted", "")]
        assert OrderLine.objects.count() == 1
        # an older telling does not bring the line back
        assert told(brand, order(lines=lines)) == [("repeated", "")]
        assert OrderLine.objects.count() == 1
        assert events(buyer) == 1


def test_what_is_refused(brand: Any) -> None:
    with in_brand(brand):
        assert told(
            brand,
            order(""),
            order("x", amount_fen=-1),
            order("x", paid_at=NOW + timedelta(days=9)),
            order("x", buyer_kind="qq"),
            order("x", state=77),
            order("x", contact_id=99),
            order("ok", buyer_kind="", buyer_value=""),
        ) == [
            ("refused", "bad_number"),
            ("refused", "bad_amount"),
            ("refused", "bad_time"),
            ("refused", "bad_buyer"),
            ("refused", "bad_state"),
            ("refused", "unknown_contact"),
            ("accepted", ""),
        ]
        (outcome,) = record_refunds(brand, [refund("")], source="shop")
        assert (outcome.result, outcome.reason) == (Result.REFUSED, "bad_number")
        (outcome,) = record_products(brand, [{"sku": "", "name": "x"}])
        assert (outcome.result, outcome.reason) == (Result.REFUSED, "bad_number")


def test_nothing_of_another_brand(brand: Any, other_brand: Any) -> None:
    with in_brand(other_brand):
        theirs = make_buyer(other_brand)
    with in_brand(brand):
        assert told(brand, order()) == [("accepted", "unknown_person")]
        assert told(brand, order("A2", contact_id=theirs.pk)) == [("refused", "unknown_contact")]
    with in_brand(other_brand):
        assert not Order.objects.exists() and stat(theirs)[0] == 0
        told(other_brand, order())
    with in_brand(brand):
        assert Order.objects.get().contact is None


def test_products_are_told(brand: Any) -> None:
    with in_brand(brand):
        rows = [{"sku": "P1", "name": "a", "price_fen": 100, "updated_at": ago(2)}]
        assert record_products(brand, rows)[0].result == Result.ACCEPTED
        assert record_products(brand, rows)[0].result == Result.REPEATED
        assert (
            record_products(brand, [rows[0] | {"name": "b", "updated_at": ago(3)}])[0].result
            == Result.REPEATED
        )
        record_products(brand, [{"sku": "P1", "is_active": False, "updated_at": ago(1)}])
        product = Product.objects.get()
        assert (product.name, product.price_fen, product.is_active) == ("a", 100, False)


@pytest.mark.parametrize("large", [order_merge.LARGE, 0])
@pytest.mark.django_db(transaction=True)
def test_many_at_once_lose_nothing(brand: Any, monkeypatch: Any, large: int) -> None:
    """Processes that tell the same orders, and different ones of the same customer, in different order."""
    monkeypatch.setattr(order_merge, "LARGE", large)
    with in_brand(brand):
        buyers = [make_buyer(brand, f"1380013800{i}") for i in range(3)]
    rows = [order(f"A{i}", buyer_value=f"1380013800{i % 3}", amount_fen=100) for i in range(30)]

    def tell(mine: list[dict[str, Any]]) -> None:
        for start in range(0, len(mine), 5):
            with in_brand(brand):
                record_orders(brand, mine[start : start + 5], source="shop")

    together(*(partial(tell, part) for part in (rows, rows[::-1], rows[15:] + rows[:15])))
    with in_brand(brand):
        assert Order.objects.count() == 30
        assert [stat(b)[:2] for b in buyers] == [(10, 1000)] * 3
        assert [events(b) for b in buyers] == [10] * 3


@pytest.mark.django_db(transaction=True)
def test_many_who_meet_others_again_and_again_lose_nothing(brand: Any, monkeypatch: Any) -> None:
    """Postgres takes back twice what was written, and meanwhile somebody else has told one of the orders."""
    monkeypatch.setattr(order_merge, "LARGE", 0)
    met = list[str]()

    def somebody_else() -> None:
        with in_brand(brand):
            record_orders(brand, [order()], source="shop")

    def meeting(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if "INSERT INTO commerce_order " in sql and len(met) < 2:
            met.append(sql)
            if len(met) == 2:
                together(somebody_else)
            sql, params = "DO $$ BEGIN RAISE EXCEPTION 'met' USING ERRCODE = '40P01'; END $$", None
        return execute(sql, params, many, context)

    with in_brand(brand), connection.execute_wrapper(meeting):
        assert told(brand, order(), order("A2")) == [("repeated", ""), ("accepted", "unknown_person")]
    assert len(met) == 2
    with in_brand(brand):
        assert sorted(Order.objects.values_list("order_no", flat=True)) == ["A1", "A2"]


def joined_elsewhere(brand: Any, keep: Any, lose: Any, failed: list[Exception]) -> None:
    """Another process joins two customers; it does not wait for long."""

    def act() -> None:
        try:
            with in_brand(brand):
                with connection.cursor() as cursor:
                    cursor.execute("SET LOCAL lock_timeout = '300ms'")
                pair = Contact.objects.select_for_update().order_by("pk")
                found = {one.pk: one for one in pair.filter(pk__in=[keep.pk, lose.pk])}
                merge(brand, keep=found[keep.pk], lose=found[lose.pk], why={})
        except Exception as error:
            failed.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=act)
    thread.start()
    thread.join()


@pytest.mark.django_db(transaction=True)
def test_a_buyer_who_becomes_one_with_somebody_meanwhile(brand: Any, monkeypatch: Any) -> None:
    """The buyer was found, then joined with another customer and gone: the order is the other one's."""
    with in_brand(brand):
        keep, lose = make_contact(brand), make_buyer(brand)
    failed: list[Exception] = []
    hold = owners.hold_found

    def late(cursor: Any, values: dict[str, Any]) -> None:
        joined_elsewhere(brand, keep, lose, failed)
        hold(cursor, values)

    monkeypatch.setattr(owners, "hold_found", late)
    with in_brand(brand):
        record_orders(brand, [order()], source="shop")
    assert not failed
    with in_brand(brand):
        assert Order.objects.get().contact_id == keep.pk
        assert stat(keep)[:2] == (1, 9900) and events(keep) == 1
        assert not Contact.objects.filter(pk=lose.pk).exists()


@pytest.mark.django_db(transaction=True)
def test_a_buyer_stays_while_the_order_is_written(brand: Any, monkeypatch: Any) -> None:
    """Who joins two customers waits for orders that are being written for one of them."""
    with in_brand(brand):
        keep, lose = make_contact(brand), make_buyer(brand)
    failed: list[Exception] = []
    insert = order_merge._insert

    def meanwhile(cursor: Any, values: dict[str, Any], n_new: int) -> int:
        joined_elsewhere(brand, keep, lose, failed)
        return insert(cursor, values, n_new)

    monkeypatch.setattr(order_merge, "_insert", meanwhile)
    with in_brand(brand):
        record_orders(brand, [order()], source="shop")
    (error,) = failed
    assert isinstance(error, OperationalError) and "lock timeout" in str(error)
    failed.clear()
    joined_elsewhere(brand, keep, lose, failed)
    assert not failed
    with in_brand(brand):
        assert Order.objects.get().contact_id == keep.pk
        assert stat(keep)[:2] == (1, 9900) and events(keep) == 1


def test_orders_of_nobody_wait_again(brand: Any, caplog: Any) -> None:
    """Postgres has no key from an order to its customer; the night looks."""
    with in_brand(brand):
        buyer = make_buyer(brand)
        record_orders(brand, [order()], source="shop")
        Order.objects.update(contact_id=buyer.pk + 1_000_000)
        waiting.attach_all(brand)
        assert "orders of customers who do not exist" in caplog.text
        assert Order.objects.get().contact_id == buyer.pk
        caplog.clear()
        waiting.attach_all(brand)
        assert not caplog.text
