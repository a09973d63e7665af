"""The API of tags, tags of contacts, acts and rules."""

from typing import Any

import pytest

from contacts.models import Identity
from contacts.services.identity.identity import note_identities
from tagging.models import ContactTag, Tag, TagGroup, WaitingTag
from tests.contacts.test_api import client_of
from tests.factories import in_brand, make_contact, make_tag

pytestmark = pytest.mark.django_db(transaction=True)
ALL = ("contacts.view", "contacts.edit", "tags.edit")


def send(client: Any, method: str, url: str, body: Any = None) -> Any:
    return getattr(client, method)(f"/api/v1/{url}", body or {}, content_type="application/json")


def test_library(brand: Any, other_brand: Any, corp: Any) -> None:
    with in_brand(other_brand):
        foreign = make_tag(other_brand)
    with in_brand(brand):
        mirrored = make_tag(
            brand, "金卡", TagGroup.objects.create(corp=corp, wecom_id="g", name="等级"), wecom_id="t"
        )
    client = client_of(brand, *ALL)
    made = send(client, "post", "tags/", {"group": "兴趣", "names": ["大衣", "裙子"], "color": "red"})
    assert made.status_code == 201 and [t["name"] for t in made.json()["results"]] == ["大衣", "裙子"]
    assert send(client, "post", "tags/", {"group": "兴趣", "names": ["大衣", "鞋"]}).status_code == 201
    found = client.get("/api/v1/tags/?q=大").json()["results"]
    assert [(t["name"], t["color"], t["is_corp"], t["n_contacts"]) for t in found] == [
        ("大衣", "red", False, 0)
    ]
    pk = found[0]["id"]
    changed = send(client, "patch", f"tags/{pk}/", {"name": "风衣", "color": "teal", "is_archived": True})
    assert changed.status_code == 200 and changed.json()["is_archived"]
    assert send(client, "patch", f"tags/{pk}/", {"name": "长" * 31}).status_code == 422
    assert send(client, "patch", f"tags/{mirrored.pk}/", {"name": "x"}).status_code == 409
    assert send(client, "delete", f"tags/{mirrored.pk}/").status_code == 409
    assert send(client, "delete", f"tags/{foreign.pk}/").status_code == 404
    assert send(client, "delete", f"tags/{pk}/").status_code == 204
    assert send(client, "post", f"tags/{pk}/restore/").status_code == 200
    assert send(client, "post", "tags/", {"group": "兴趣", "names": []}).status_code == 422
    weak = client_of(brand, "contacts.view")
    assert weak.get("/api/v1/tags/").status_code == 200
    assert send(weak, "post", "tags/", {"group": "x", "names": ["y"]}).status_code == 403


def test_contacts_in_batches(brand: Any, other_brand: Any, staff: Any) -> None:
    with in_brand(other_brand):
        foreign = make_contact(other_brand)
    with in_brand(brand):
        a, b = make_contact(brand, staff), make_contact(brand, staff)
        note_identities(brand, b, Identity.Kind.PHONE, ["13800000001"])
        tag, other = make_tag(brand, "一"), make_tag(brand, "二")
        external = Identity.objects.get(contact=a, kind="external_userid").value
    client = client_of(brand, *ALL)
    body = {
        "contacts": [a.pk, foreign.pk],
        "identities": [
            {"kind": "phone", "value": "+86 138-0000-0001"}, {"kind": "external_userid", "value": external},
            {"kind": "phone", "value": "13800000009"},
        ],
        "add": [tag.pk], "days": 30, "wait": True,
    }  # fmt: skip
    done = send(client, "post", "contact-tags/", body).json()
    assert (done["n_people"], done["n_added"], done["n_waiting"]) == (2, 2, 1)
    assert done["unknown"] == [str(foreign.pk), "13800000009"]
    again = send(client, "post", "contact-tags/", body).json()
    assert again["n_added"] == 0 or again["n_added"] == 2  # 30 days from a moment later: longer
    row = client.get(f"/api/v1/contacts/{a.pk}/tags/").json()["results"][0]
    assert row["name"] == "一" and row["source"].startswith("api:") and row["expires_at"]
    assert client.get(f"/api/v1/contacts/{foreign.pk}/tags/").status_code == 404
    swap = send(
        client, "post", "contact-tags/", {"contacts": [a.pk], "add": [other.pk], "remove": [tag.pk]}
    ).json()
    assert (swap["n_added"], swap["n_removed"]) == (1, 1)
    assert send(client, "post", f"tag-acts/{swap['id']}/undo/").status_code == 200
    assert send(client, "post", f"tag-acts/{swap['id']}/undo/").status_code == 409
    with in_brand(brand):
        assert set(ContactTag.objects.values_list("contact_id", "tag_id")) == {(a.pk, tag.pk), (b.pk, tag.pk)}
        assert WaitingTag.objects.count() == 1
    for bad in ({}, {"contacts": [a.pk]}, {"add": [tag.pk]}, {"contacts": [a.pk], "add": [10**9]},
                {"contacts": list(range(1, 1100)), "add": [tag.pk]}, {"contacts": ["x"], "add": [tag.pk]},
                {"contacts": [a.pk], "add": [tag.pk], "days": 0}):  # fmt: skip
        assert send(client, "post", "contact-tags/", bad).status_code in (400, 422), bad


def test_rules(brand: Any, staff: Any) -> None:
    with in_brand(brand):
        tag, other = make_tag(brand, "一"), make_tag(brand, "二")
        for _ in range(3):
            make_contact(brand, staff)
    client = client_of(brand, *ALL)
    events = client.get("/api/v1/tag-rules/events/").json()["results"]
    assert {"event": "order_paid", "has_amount": True}.items() <= events[0].items()
    everybody = {
        "name": "人人",
        "kind": "condition",
        "condition": {"kind": "everybody"},
        "add_tag_ids": [tag.pk],
    }
    seen = send(client, "post", "tag-rules/preview/", everybody).json()
    assert (seen["n_match"], seen["needs_confirm"], len(seen["sample"])) == (3, True, 3)
    rule = send(client, "post", "tag-rules/", everybody).json()
    refused = send(client, "post", f"tag-rules/{rule['id']}/on/")
    assert refused.status_code == 409 and refused.json()["error"]["code"] == "confirm"
    with in_brand(brand):
        assert not ContactTag.objects.exists()
    assert send(client, "post", f"tag-rules/{rule['id']}/on/", {"confirm": True}).json()["is_on"]
    runs = client.get(f"/api/v1/tag-rules/{rule['id']}/runs/").json()["results"]
    assert [(run["n_people"], run["n_added"]) for run in runs] == [(3, 3)]
    loop = {
        "name": "圈",
        "kind": "condition",
        "condition": {"kind": "tags", "mode": "any", "ids": [other.pk]},
    }
    circle = send(client, "post", "tag-rules/", {**loop, "add_tag_ids": [other.pk]})
    assert circle.status_code == 409 and "圈" in circle.json()["error"]["chain"]
    assert send(client, "patch", f"tag-rules/{rule['id']}/", {"name": "所有人"}).status_code == 409
    assert (
        send(client, "patch", f"tag-rules/{rule['id']}/?confirm=1", {"name": "所有人"}).json()["name"]
        == "所有人"
    )
    assert not send(client, "post", f"tag-rules/{rule['id']}/off/").json()["is_on"]
    for bad in (
        {"kind": "moon"},
        {"condition": {"kind": "moon"}},
        {"condition": None},
        {"add_tag_ids": [10**9]},
    ):
        assert send(client, "post", "tag-rules/", {**everybody, "name": "坏", **bad}).status_code in (
            400,
            422,
        ), bad
    assert send(client, "delete", f"tag-rules/{rule['id']}/").status_code == 204
    assert client.get(f"/api/v1/tag-rules/{rule['id']}/").status_code == 404
    with in_brand(brand):
        assert Tag.objects.count() == 2 and ContactTag.objects.count() == 3
