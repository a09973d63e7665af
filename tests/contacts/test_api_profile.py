"""The API of custom fields, stages, values and behaviour."""

from typing import Any

import pytest
from django.test import Client

from contacts.models import BehaviourKind, Contact, Event, EventType, Identity
from contacts.services import fields, stages
from org.access import Actor
from tests.contacts.test_api import client_of
from tests.factories import in_brand, make_contact

API = "/api/v1/"
ME = Actor("我")


@pytest.fixture
def contact(brand: Any) -> Contact:
    with in_brand(brand):
        fields.create_field(brand, by=ME, label="宝宝生日", type="date", key="birthday")
        fields.create_field(brand, by=ME, label="肤质", type="choice", key="skin", options=["干性", "油性"])
        stages.create_stage(brand, by=ME, name="意向")
        contact = make_contact(brand)
        Identity.objects.create(contact=contact, kind="member_no", value="M1")
        return contact


def send(client: Client, method: str, path: str, body: Any) -> Any:
    return getattr(client, method)(f"{API}{path}/", body, content_type="application/json")


def test_fields_and_stages_are_read_and_written(brand: Any, contact: Contact) -> None:
    client = client_of(brand, "contacts.view", "contacts.edit")
    assert [f["key"] for f in client.get(f"{API}fields/").json()["results"]] == ["birthday", "skin"]
    stage = client.get(f"{API}stages/").json()["results"][0]
    body = {"fields": {"birthday": "2025-06-01", "skin": "干性"}, "stage_id": stage["id"]}
    answer = send(client, "patch", f"contacts/{contact.pk}", body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["fields"] == {"birthday": "2025-06-01", "skin": "干性"}
    assert answer.json()["stage"] == "意向"
    send(client, "patch", f"contacts/{contact.pk}", {"fields": {"skin": None}, "stage_id": None})
    row = client.get(f"{API}contacts/").json()["results"][0]
    assert row["fields"] == {"birthday": "2025-06-01"} and row["stage"] is None
    with in_brand(brand):
        told = Event.objects.filter(type__in=[EventType.FIELD_CHANGED, EventType.STAGE_CHANGED])
        assert told.count() == 5 and {e.source for e in told} == {"api"}
    for bad in (
        {"fields": {"skin": "绿色"}},
        {"fields": {"nose": 1}},
        {"fields": []},
        {"name": "x"},
        {"stage_id": "x"},
    ):
        assert send(client, "patch", f"contacts/{contact.pk}", bad).status_code in (400, 422), bad
    gone = send(client, "patch", f"contacts/{contact.pk}", {"stage_id": 999})
    assert gone.status_code == 422 and list(gone.json()["error"]["fields"]) == ["stage_id"]
    assert send(client_of(brand), "patch", f"contacts/{contact.pk}", body).status_code == 403


def test_values_of_many(brand: Any, other_brand: Any, contact: Contact) -> None:
    client = client_of(brand, "contacts.view", "contacts.edit")
    member = {"buyer": {"kind": "member_no", "value": "M1"}}
    rows = [
        {**member, "fields": {"skin": "油性"}},
        {"contact_id": contact.pk, "fields": {"skin": "绿色"}},
        {"contact_id": contact.pk, "fields": {"nose": "x"}},
        {"buyer": {"kind": "member_no", "value": "M2"}, "fields": {"skin": "油性"}},
        {"fields": 5},
    ]
    answer = send(client, "post", "contact-values", {"rows": rows}).json()
    assert [r["reason"].partition(":")[0] for r in answer["results"]] == [
        "", "bad_value", "unknown_field", "unknown_person", "invalid",
    ]  # fmt: skip
    assert answer["results"][0] == {"row": 0, "result": "accepted", "id": contact.pk, "reason": ""}
    again = send(client, "post", "contact-values", {"rows": rows[:1]}).json()
    assert again["results"][0]["result"] == "repeated"
    theirs = client_of(other_brand, "contacts.edit")
    rows = [{"contact_id": contact.pk, "fields": {}}, {**member, "fields": {}}]
    answer = send(theirs, "post", "contact-values", {"rows": rows}).json()
    assert [r["reason"] for r in answer["results"]] == ["unknown_person"] * 2


def test_behaviour(brand: Any, other_brand: Any, contact: Contact) -> None:
    with in_brand(brand):
        BehaviourKind.objects.create(key="sample", label="领小样")
    client = client_of(brand, "contacts.view", "behaviour.edit")
    one = {"buyer": {"kind": "member_no", "value": "M1"}, "at": "2026-03-01T10:00:00+08:00"}
    rows = [
        {**one, "kind": "view", "product": "面霜"},
        {**one, "kind": "search", "query": "防晒"},
        {**one, "kind": "sample"},
        {**one, "kind": "dance"},
        {**one, "kind": "view", "buyer": {"kind": "openid", "scope": "wx1", "value": "o1"}},
        {"kind": "view"},
    ]
    answer = send(client, "post", "behaviour", {"rows": rows, "source": "mini"}).json()
    assert [(r["result"], r["reason"]) for r in answer["results"]] == [
        ("accepted", ""), ("accepted", ""), ("accepted", ""), ("refused", "unknown_kind"),
        ("accepted", "unknown_person"), ("refused", "invalid"),
    ]  # fmt: skip
    again = send(client, "post", "behaviour", {"rows": rows, "source": "mini"}).json()
    assert again["accepted"] == 0 and again["repeated"] == 4
    found = client.get(f"{API}behaviour/", {"contact": contact.pk}).json()["results"]
    assert {(r["kind"], *r["data"].values()) for r in found} == {
        ("view", "面霜"),
        ("search", "防晒"),
        ("sample",),
    }
    more = [
        {**one, "kind": "coupon_used", "title": "满200减30", "code": "C1"},
        {**one, "kind": "word_said", "word": "想退款"},
    ]
    answer = send(client, "post", "behaviour", {"rows": more, "source": "mini"}).json()
    assert answer["accepted"] == 2
    found = client.get(f"{API}behaviour/", {"contact": contact.pk}).json()["results"]
    assert {r["kind"]: r["data"] for r in found[:2]} == {
        "coupon_used": {"title": "满200减30", "code": "C1"}, "word_said": {"word": "想退款"}
    }  # fmt: skip
    assert client.get(f"{API}behaviour/").status_code == 422
    assert client_of(other_brand).get(f"{API}behaviour/", {"contact": contact.pk}).status_code == 404
    assert send(client_of(brand), "post", "behaviour", {"rows": rows}).status_code == 403


def test_the_description_is_whole(client: Client) -> None:
    """OpenAPI names every address of ours with its rows."""
    text = client.get(f"{API}schema/").content.decode()
    for word in (
        "/api/v1/orders/",
        "OrderBatch",
        "/api/v1/behaviour/",
        "/api/v1/contact-values/",
        "BatchOut",
        "unknown_person",
    ):
        assert word in text, word
