"""Pages of rules and computed tags."""

import json
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from contacts.models import CustomField
from org.access import SYSTEM
from tagging.models import ComputedTag, ContactTag, Segment, TagRule
from tagging.rule_events import EVENTS
from tagging.services.rules import rules
from tests.factories import in_brand, make_contact, make_tag

pytestmark = pytest.mark.django_db(transaction=True)
FORM = {"name": "高客单", "kind": "event", "event": "order_paid", "n_at_least": "1"}


def test_a_rule_from_the_form_to_its_end(brand: Any, staff: Any, sign_in: Any) -> None:
    with in_brand(brand):
        tag = make_tag(brand, "贵客")
        segment = Segment.objects.create(name="人人", condition={"kind": "everybody"})
        people = [make_contact(brand, staff) for _ in range(4)]
    client = sign_in(brand, "operator")
    assert "empty-state" in client.get("/tags/rules/").text
    page = client.get("/tags/rules/new/")
    assert page.status_code == 200 and "贵客" in page.text and "condition-builder" in page.text
    for key in EVENTS:
        parts = client.post("/tags/rules/parts/", {**FORM, "event": key})
        assert parts.status_code == 200 and all(f'"f_{n}"' in parts.text for n in EVENTS[key].filters)
        assert ("event-note" in parts.text) is bool(
            EVENTS[key].note
        )  # where it comes from, if not from WeCom
    assert client.post("/tags/rules/parts/", {"kind": "condition"}).status_code == 200
    for bad in ({}, {"add": "x"}, {"add": tag.pk, "name": ""}, {"add": tag.pk, "condition": "{"},
                {"add": tag.pk, "amount": "viel"}, {"add": tag.pk, "event": "moon"},
                {"add": tag.pk, "n_at_least": "3"}):  # fmt: skip
        assert client.post("/tags/rules/new/", {**FORM, **bad}).status_code == 422
    good = {
        **FORM,
        "add": tag.pk,
        "amount": "500",
        "window_days": "30",
        "f_amount_from_fen": "99.5",
        "expires_days": "90",
    }
    done = client.post("/tags/rules/new/", good)
    assert done.status_code == 302
    with in_brand(brand):
        rule = TagRule.objects.get()
        assert (rule.amount_at_least_fen, rule.window_days, rule.filters) == (
            50_000,
            30,
            {"amount_from_fen": 9950},
        )
    assert client.get(done["Location"]).status_code == 200
    assert "99.5" in client.get(f"/tags/rules/{rule.pk}/edit/").text
    # now on a condition that is everybody's
    change = {
        "name": "所有人",
        "kind": "condition",
        "condition": json.dumps({"kind": "segment", "mode": "any", "ids": [segment.pk]}),
        "add": tag.pk,
        "keeps_in_step": "1",
    }
    look = client.post("/tags/rules/look/", change)
    assert people[0].name in look.text and "alert-danger" in look.text
    assert "alert-danger" in client.post("/tags/rules/look/", {}).text
    assert client.post(f"/tags/rules/{rule.pk}/edit/", change).status_code == 302
    assert client.get(f"/tags/rules/{rule.pk}/on/").status_code == 200
    asked = client.post(f"/tags/rules/{rule.pk}/on/")
    assert asked.status_code == 422 and "confirmed" in asked.text
    with in_brand(brand):
        assert not ContactTag.objects.exists()
    assert client.post(f"/tags/rules/{rule.pk}/on/", {"confirmed": "1"}).status_code == 302
    with in_brand(brand):
        assert ContactTag.objects.count() == 4
    detail = client.get(f"/tags/rules/{rule.pk}/").text
    assert "undo" in detail and "人人" in detail
    for act in ("run", "again", "off"):
        assert client.post(f"/tags/rules/{rule.pk}/{act}/").status_code == 302
    assert client.post(f"/tags/rules/{rule.pk}/run/").status_code == 404
    assert client.post("/tags/rules/order/", {"ids": [rule.pk]}).status_code == 204
    assert client.post("/tags/rules/order/", {"ids": [1, 2]}).status_code == 422
    assert client.post(f"/tags/rules/{rule.pk}/delete/").status_code == 302
    assert client.get(f"/tags/rules/{rule.pk}/").status_code == 404


def test_computed_tags(brand: Any, sign_in: Any) -> None:
    with in_brand(brand):
        make_contact(brand)
        field = CustomField.objects.create(key="baby", label="宝宝生日", type="date")
    client = sign_in(brand, "operator")
    assert "empty-state" in client.get("/tags/computed/").text
    for measure in ComputedTag.Measure.values:
        assert client.get(f"/tags/computed/new/?measure={measure}").status_code == 200
    form = {
        "name": "消费层级", "measure": "spent_fen", "b_name": ["没买过", "买过", ""], "b_from": ["", "0.01", ""],
        "b_to": ["0.01", "", ""], "b_tag": ["", "", ""], "b_none": ["", "", ""],
    }  # fmt: skip
    for bad in ({"name": ""}, {"b_from": ["", "x", ""]}, {"b_to": ["5", "", ""]}, {"b_name": ["", "", ""]},
                {"measure": "age_months"}, {"measure": "moon"}):  # fmt: skip
        assert client.post("/tags/computed/new/", {**form, **bad}).status_code == 422
    assert client.post("/tags/computed/new/", form).status_code == 302
    with in_brand(brand):
        row = ComputedTag.objects.get()
        assert row.is_on and row.brackets[1]["from"] == 1 and ContactTag.objects.count() == 1 and field
    page = client.get(f"/tags/computed/{row.pk}/")
    assert "0.01" in page.text and "没买过" in page.text
    assert "没买过" in client.get("/tags/computed/").text
    for act in ("off", "on", "delete"):
        assert client.post(f"/tags/computed/{row.pk}/{act}/").status_code == 302
    assert client.get(f"/tags/computed/{row.pk}/").status_code == 404


def test_rights_and_brands(brand: Any, other_brand: Any, sign_in: Any) -> None:
    with in_brand(brand):
        tag = make_tag(brand)
        values = {"name": "一", "kind": "event", "event": "added", "add_tag_ids": [tag.pk]}
        rule = rules.create(brand, by=SYSTEM, values=values)
    stranger, guide = sign_in(other_brand, "admin"), sign_in(brand, "guide")
    for url in ("", "edit/", "on/"):
        assert stranger.get(f"/tags/rules/{rule.pk}/{url}").status_code == 404
        assert guide.get(f"/tags/rules/{rule.pk}/{url}").status_code == 403
    assert stranger.post(f"/tags/rules/{rule.pk}/delete/").status_code == 404
    assert guide.get("/tags/computed/").status_code == 403


def test_queries_do_not_grow(brand: Any, sign_in: Any) -> None:
    client, counts = sign_in(brand), []
    for n in (2, 20):
        with in_brand(brand):
            for i in range(n):
                values = {
                    "name": f"{n}-{i}",
                    "kind": "event",
                    "event": "added",
                    "add_tag_ids": [make_tag(brand).pk],
                }
                rules.create(brand, by=SYSTEM, values=values)
        with CaptureQueriesContext(connection) as seen:
            assert client.get("/tags/rules/").status_code == 200
        counts.append(len(seen))
    assert counts[0] == counts[1]
