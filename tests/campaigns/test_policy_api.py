"""What the brand allows and customers wish, by API: read, changed, refused, with other rights and by another brand."""

from typing import Any

import pytest

from campaigns.models import Cap, NoContactRule, Refusal, TouchPolicy
from contacts.models import Contact, Event, EventType
from org.models import AuditEntry
from tests.campaigns.test_api import client_of
from tests.campaigns.test_broadcast_api import send
from tests.factories import in_brand, make_contact, make_tag

pytestmark = pytest.mark.django_db(transaction=True)
POLICY, RULES = "/api/v1/touch-policy/", "/api/v1/no-contact-rules/"


def test_policy(brand: Any, other_brand: Any) -> None:
    client, reader = client_of(brand, "sops.view", "brand.edit"), client_of(brand, "sops.view")
    assert reader.get(POLICY).json()["caps"] == [{"days": 7, "n": 4, "kind": "all"}]
    given = {"caps": [{"days": 3, "n": 1, "kind": "broadcast"}], "quiet_start": "22:00", "quiet_end": "08:00"}
    answer = send(client, POLICY, given, "patch").json()
    assert answer["caps"] == [{"days": 3, "n": 1, "kind": "broadcast"}]
    assert answer == reader.get(POLICY).json()
    assert send(client, POLICY, {"hold_out_percent": 5}, "patch").json()["caps"] == answer["caps"]
    for status, bad in (
        (422, {"hold_out_percent": 21}), (400, {"hold_out_percent": "x"}), (400, {"caps": [{"days": 0, "n": 1}]}),
        (400, {"caps": [{"n": 1}]}), (400, {"caps": "x"}), (422, {"caps": [{"days": 3, "n": 1}] * 2}),
        (422, {"quiet_start": None}), (400, {"allowance": "year"}), (422, {"min_gap_hours": 10**9}),
        (422, {"attribution_days": 0}), (422, {"hold_out_percent": 10**30}),
    ):  # fmt: skip
        assert send(client, POLICY, bad, "patch").status_code == status, bad
    assert send(reader, POLICY, given, "patch").status_code == 403
    with in_brand(brand):
        assert (Cap.objects.get().n, TouchPolicy.objects.get().hold_out_percent) == (1, 5)
        assert AuditEntry.objects.filter(action="touch_policy.edit").count() == 2
        drawn = TouchPolicy.objects.get().hold_out_round
    assert "redraw" not in send(client, POLICY, {"redraw": True}, "patch").json()
    with in_brand(brand):
        assert TouchPolicy.objects.get().hold_out_round == drawn + 1
    effect = reader.get(f"{POLICY}effect/").json()
    assert (effect["percent"], effect["held"]["n"], effect["bought"]) == (5, 0, None)
    other = client_of(other_brand, "sops.view")
    assert other.get(f"{POLICY}effect/").status_code == 404
    assert other.get(POLICY).json()["hold_out_percent"] == 0


def test_rules(brand: Any, other_brand: Any) -> None:
    client = client_of(brand, "sops.view", "brand.edit")
    with in_brand(brand):
        tag = make_tag(brand)
    with in_brand(other_brand):
        foreign = make_tag(other_brand)
    made = send(client, RULES, {"name": "投诉客户", "tag_id": tag.pk})
    assert made.status_code == 201
    assert client.get(RULES).json()["results"] == [made.json()]
    for status, bad in (
        (422, {"name": "x"}), (422, {"name": "投诉客户", "tag_id": tag.pk}), (400, {"name": "y", "tag_id": 0}),
        (422, {"name": "z", "starts_on": "2026-12-13", "ends_on": "2026-12-12"}),
        (422, {"name": "f", "tag_id": foreign.pk}), (422, {"name": "c", "channel_code_id": 7}),
    ):  # fmt: skip
        assert send(client, RULES, bad).status_code == status, bad
    one = f"{RULES}{made.json()['id']}/"
    assert made.json()["kinds"] == []
    changed = send(client, one, {"kinds": ["broadcast"]}, "patch").json()
    assert changed == {**made.json(), "kinds": ["broadcast"]} and client.get(RULES).json()["results"] == [
        changed
    ]
    for status, bad in (
        (400, {"kinds": ["welcome"]}),
        (422, {"tag_id": None}),
        (422, {"tag_id": foreign.pk}),
    ):
        assert send(client, one, bad, "patch").status_code == status, bad
    assert send(client_of(other_brand, "brand.edit"), one, {"name": "q"}, "patch").status_code == 404
    assert send(client_of(brand, "sops.view"), one, {"name": "q"}, "patch").status_code == 403
    assert client_of(other_brand, "brand.edit").delete(one).status_code == 404
    assert client_of(brand, "sops.view").delete(one).status_code == 403
    assert client.delete(one).status_code == 204
    with in_brand(brand):
        assert not NoContactRule.objects.exists()


def test_wishes(brand: Any, other_brand: Any, corp: Any, staff: Any) -> None:
    client = client_of(brand, "contacts.view", "contacts.edit")
    with in_brand(brand):
        contact = make_contact(brand, staff)
    url = f"/api/v1/contacts/{contact.pk}/wishes/"
    assert client.get(url).json() == {"do_not_contact": False, "refused": []}
    for _again in range(2):
        answer = send(client, url, {"refused": ["broadcast", "sop"]}, "patch").json()
        assert answer == {"do_not_contact": False, "refused": ["sop", "broadcast"]}
    assert send(client, url, {"refused": ["sop"], "do_not_contact": True}, "patch").json() == {
        "do_not_contact": True,
        "refused": ["sop"],
    }
    assert send(client, url, {"refused": []}, "patch").json() == {"do_not_contact": True, "refused": []}
    for bad in ({"refused": ["welcome"]}, {"refused": "sop"}, {"do_not_contact": "maybe"}):
        assert send(client, url, bad, "patch").status_code == 400, bad
    assert send(client_of(brand, "contacts.view"), url, {}, "patch").status_code == 403
    assert client_of(other_brand, "contacts.view").get(url).status_code == 404
    with in_brand(brand):
        assert Contact.objects.get().do_not_contact and not Refusal.objects.exists()
        assert Event.objects.filter(type=EventType.DO_NOT_CONTACT).count() == 1
