"""The API of products, orders and refunds: batches with an answer for each row, lists, rights, brands apart."""

import json
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from commerce.models import Order, Product, Refund
from contacts.models import ContactStat, Identity
from tests.contacts.test_api import client_of
from tests.factories import in_brand, make_contact

API = "/api/v1/"
ROW = {
    "order_no": "A1",
    "buyer": {"kind": "phone", "value": "+86 138-0013-8000"},
    "paid_at": "2026-03-01T10:00:00+08:00",
    "amount_fen": 9900,
    "state": "done",
    "lines": [{"sku": "P1", "name": "湿巾", "quantity": 2, "amount_fen": 9900}],
    "updated_at": "2026-03-02T10:00:00+08:00",
}


@pytest.fixture
def client(brand: Any) -> Client:
    return client_of(brand, "orders.view", "orders.edit")


def post(client: Client, path: str, **body: Any) -> Any:
    return client.post(f"{API}{path}/", body, content_type="application/json")


def words(answer: Any) -> list[tuple[str, str]]:
    assert answer.status_code == 200, answer.text
    return [(row["result"], row["reason"]) for row in answer.json()["results"]]


def test_orders_in_and_out(brand: Any, client: Client) -> None:
    with in_brand(brand):
        buyer = make_contact(brand)
        Identity.objects.create(contact=buyer, kind="phone", value="13800138000")
    strange = {**ROW, "order_no": "A2", "buyer": {"kind": "member_no", "value": "M9"}}
    answer = post(client, "orders", source="shop", rows=[ROW, strange, ROW])
    assert words(answer) == [("accepted", ""), ("accepted", "unknown_person"), ("repeated", "")]
    assert words(post(client, "orders", source="shop", rows=[ROW, strange])) == [("repeated", "")] * 2
    assert answer.json()["accepted"] == 2 and answer.json()["refused"] == 0
    refunds = [{"refund_no": "R1", "order_no": "A1", "amount_fen": 900, "reason": "破损"}]
    assert words(post(client, "refunds", source="shop", rows=refunds)) == [("accepted", "")]
    listed = client.get(f"{API}orders/", {"contact": buyer.pk}).json()["results"]
    assert [(o["order_no"], o["state"], o["refunded_fen"], o["is_sale"]) for o in listed] == [
        ("A1", "done", 900, True)
    ]
    one = client.get(f"{API}orders/{listed[0]['id']}/").json()
    assert one["lines"][0]["name"] == "湿巾" and one["refunds"][0]["reason"] == "破损"
    assert one["paid_at"] == "2026-03-01T02:00:00Z" and one["n_items"] == 2
    assert one["buyer_value"] == listed[0]["buyer_value"] == "138****8000"
    phones = client_of(brand, "orders.view", "contacts.phones")
    assert phones.get(f"{API}orders/{listed[0]['id']}/").json()["buyer_value"] == "13800138000"
    with in_brand(brand):
        assert ContactStat.objects.get(contact=buyer).spent_fen == 9000
    for query, numbers in (
        ({"waiting": 1}, ["A2"]),
        ({"order_no": "A2"}, ["A2"]),
        ({"source": "pos"}, []),
        ({"state": "done", "placed_after": "2026-03-01T01:00:00Z"}, ["A2", "A1"]),
        ({"placed_before": "2026-03-01"}, []),
    ):
        found = client.get(f"{API}orders/", query).json()["results"]
        assert [o["order_no"] for o in found] == numbers, query


def test_rows_that_cannot_be_read_hinder_nobody(brand: Any, client: Client) -> None:
    bad = [
        {},
        "x",
        {**ROW, "amount_fen": "viel"},
        {**ROW, "state": "lost"},
        {**ROW, "buyer": {"kind": "qq", "value": "1"}},
        {**ROW, "order_no": "A\x00"},
        {**ROW, "amount_fen": 10**30},
        {**ROW, "lines": [{"quantity": -1}]},
        {**ROW, "paid_at": "gestern"},
    ]
    answer = post(client, "orders", rows=[*bad, ROW])
    assert words(answer) == [("refused", "invalid")] * len(bad) + [("accepted", "unknown_person")]
    assert "amount_fen" in answer.json()["results"][2]["fields"]
    late = {**ROW, "order_no": "A3", "paid_at": "2099-01-01T00:00:00Z"}
    assert words(post(client, "orders", rows=[late])) == [("refused", "bad_time")]
    with in_brand(brand):
        assert Order.objects.get().source == "api"


def test_bad_batches(client: Client) -> None:
    for body in ({}, {"rows": []}, {"rows": {}}, {"rows": [ROW], "source": "Shop!"}, {"rows": [ROW] * 1001}):
        answer = post(client, "orders", **body)
        assert answer.status_code == 422, body
        assert answer.json()["error"]["fields"]
    answer = client.post(f"{API}orders/", "[1", content_type="application/json")
    assert answer.status_code == 400
    assert post(client, "orders", rows=[ROW]).status_code == 200


def test_a_thousand_rows(brand: Any, client: Client) -> None:
    rows = [{**ROW, "order_no": f"B{n}"} for n in range(1000)]
    with CaptureQueriesContext(
        connection,
    ) as many:
        assert post(client, "orders", rows=rows).json()["accepted"] == 1000
    with CaptureQueriesContext(connection) as few:
        post(client, "orders", rows=[{**ROW, "order_no": "C1"}, {**ROW, "order_no": "C2"}])
    assert abs(len(many) - len(few)) <= 3  # a statement for each thousand rows that are told
    first = client.get(f"{API}orders/", {"limit": 200}).json()
    assert len(first["results"]) == 200 and first["next"]
    second = client.get(f"{API}orders/", {"limit": 200, "after": first["next"]}).json()
    assert not {o["id"] for o in first["results"]} & {o["id"] for o in second["results"]}


def test_products(brand: Any, client: Client) -> None:
    rows = [
        {"sku": "P1", "name": "奶粉", "price_fen": 100, "usage_days": 30},
        {"name": "x"},
        {"sku": "P2", "usage_days": 0},
    ]
    assert words(post(client, "products", rows=rows)) == [
        ("accepted", ""), ("refused", "invalid"), ("refused", "invalid"),
    ]  # fmt: skip
    found = client.get(f"{API}products/", {"sku": "P1"}).json()["results"]
    assert [(p["name"], p["usage_days"]) for p in found] == [("奶粉", 30)]
    assert client.get(f"{API}products/{found[0]['id']}/").json()["sku"] == "P1"
    assert client.get(f"{API}products/", {"category": "x"}).json()["results"] == []


def test_rights_and_brands(brand: Any, other_brand: Any, client: Client) -> None:
    post(client, "orders", rows=[ROW])
    post(client, "products", rows=[{"sku": "P9"}])
    with in_brand(brand):
        order, product = Order.objects.get(), Product.objects.get(sku="P9")
    reader = client_of(brand, "orders.view")
    assert post(reader, "orders", rows=[ROW]).status_code == 403
    assert post(client_of(brand, "contacts.view"), "refunds", rows=[{}]).status_code == 403
    assert client_of(brand, "contacts.view").get(f"{API}orders/").status_code == 403
    theirs = client_of(other_brand, "orders.view", "orders.edit")
    assert theirs.get(f"{API}orders/").json()["results"] == []
    for path in (f"orders/{order.pk}", f"products/{product.pk}"):
        assert theirs.get(f"{API}{path}/").status_code == 404
    refund = {"refund_no": "R1", "order_no": "A1", "amount_fen": 1}
    assert words(post(theirs, "refunds", rows=[refund])) == [("accepted", "unknown_order")]
    with in_brand(brand):
        assert not Refund.objects.exists()


def test_bad_parameters(client: Client) -> None:
    for query in (
        {"contact": "x"}, {"state": "lost"}, {"waiting": "ja"}, {"placed_after": "gestern"}, {"limit": 201}, {"after": "x"},
    ):  # fmt: skip
        assert client.get(f"{API}orders/", query).status_code == 422, query


def test_a_body_that_is_no_object_is_refused_in_words(client: Client) -> None:
    for path in ("orders", "refunds", "products"):
        for body in ([], [ROW], "rows", 7, None):
            answer = client.post(f"{API}{path}/", json.dumps(body), content_type="application/json")
            assert (answer.status_code, answer.json()["error"]["code"]) == (400, "parse_error"), (path, body)
