"""What another system knows of a person is noted by API: what waited for it comes, nobody else's is taken."""

from typing import Any

import pytest
from django.test import Client

from commerce.models import Order
from contacts.models import Contact, Identity
from org.models import AuditEntry
from scrm import clock
from tests.contacts.test_api import client_of
from tests.factories import in_brand, make_contact

pytestmark = pytest.mark.django_db(transaction=True)
OPENID = {"kind": "openid", "scope": "wx1", "value": "o-1"}
PHONE = {"kind": "phone", "value": "+86 138-0000-0001"}


def tell(client: Client, contact_id: int, *identities: Any) -> Any:
    url = f"/api/v1/contacts/{contact_id}/identities/"
    return client.post(url, {"identities": list(identities)}, content_type="application/json")


def test_what_waited_becomes_theirs(brand: Any, staff: Any) -> None:
    with in_brand(brand):
        contact = make_contact(brand, staff)
    client = client_of(brand, "contacts.edit", "orders.edit")
    row = {"order_no": "1", "amount_fen": 100, "state": "paid", "buyer": OPENID}
    sent = client.post("/api/v1/orders/", {"rows": [row]}, content_type="application/json").json()
    assert sent["results"][0]["reason"] == "unknown_person"
    for _time in range(2):
        answer = tell(client, contact.pk, OPENID, PHONE, {"kind": "member_no", "value": " M-1 "})
        assert (answer.status_code, answer.json()["id"]) == (200, contact.pk)
        kept = {(one["kind"], one["scope"], one["value"]) for one in answer.json()["identities"]}
        assert kept >= {("openid", "wx1", "o-1"), ("phone", "", "138****0001"), ("member_no", "", "M-1")}
        assert answer.json()["value"]["n_orders"] == 1
    with in_brand(brand):
        assert Order.objects.get().contact_id == contact.pk
        noted = AuditEntry.objects.filter(action="contact.edit").values_list("after", flat=True)
        assert list(noted) == [{"kinds": ["member_no", "openid", "phone"]}]  # no values, and once


def test_a_member_who_waits_becomes_one_with_them(brand: Any, staff: Any) -> None:
    with in_brand(brand):
        member = Contact.objects.create(name="王", member_at=clock.now(), position=10_001)
        Identity.objects.create(contact=member, kind="phone", value="13800000001")
        contact = make_contact(brand, staff)
    answer = tell(client_of(brand, "contacts.edit"), contact.pk, PHONE).json()
    assert answer["id"] == min(member.pk, contact.pk) and answer["state"] == "reachable"
    with in_brand(brand):
        assert Contact.objects.count() == 1


def test_nobody_else_s_is_taken(brand: Any, other_brand: Any, staff: Any) -> None:
    with in_brand(brand):
        one, other = make_contact(brand, staff), make_contact(brand, staff)
        Identity.objects.create(contact=other, kind="phone", value="13800000001")
    client = client_of(brand, "contacts.edit")
    answer = tell(client, one.pk, OPENID, PHONE)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["contact_id"]) == (409, "taken", other.pk)
    assert list(error["fields"]) == ["identities.1.value"]
    with in_brand(brand):
        assert not Identity.objects.filter(kind="openid").exists()  # all or none
    for wrong in (
        {"kind": "phone", "value": "abc"}, {"kind": "unionid", "value": "u"}, {"kind": "openid"}, {"kind": "openid", "value": ""},
        {**PHONE, "scope": "wx1"}, {"kind": "openid", "value": "x" * 65}, {"kind": "openid", "value": "a\x00b", "scope": "\x00"},
    ):  # fmt: skip
        assert tell(client, one.pk, wrong).status_code in (400, 422), wrong
    assert tell(client, one.pk).status_code == tell(client, one.pk, *[OPENID] * 21).status_code == 400
    assert tell(client_of(brand, "contacts.view"), one.pk, OPENID).status_code == 403
    stranger = client_of(other_brand, "contacts.edit")
    assert tell(stranger, one.pk, OPENID).status_code == tell(client, 999_999, OPENID).status_code == 404
    with in_brand(other_brand):
        theirs = make_contact(other_brand)
    assert tell(stranger, theirs.pk, PHONE).status_code == 200  # the same number in another brand
