"""Computed tags and tags that wait, by API."""

from typing import Any

from django.test import Client

from contacts.models import CustomField
from org.access import RIGHTS, Actor
from org.services import keys
from tagging.models import ComputedTag, WaitingTag
from tests.factories import in_brand, make_tag

API = "/api/v1/"


def client_of(brand: Any, *rights: str) -> Client:
    with in_brand(brand):
        by = Actor("admin", rights=frozenset(RIGHTS))
        whole = keys.create_key(brand, name="k", rights=list(rights), by=by)[1]
    return Client(headers={"authorization": f"Bearer {whole}"})


def test_computed(brand: Any, other_brand: Any) -> None:
    with in_brand(brand):
        young, old = make_tag(brand, "0-6月龄"), make_tag(brand, "未知")
        field = CustomField.objects.create(key="baby", label="宝宝生日", type="date")
        row = ComputedTag.objects.create(
            name="月龄", measure="age_months", field=field, group=young.group, created_by="x", is_on=True,
            brackets=[{"from": 0, "to": 6, "tag_id": young.pk}, {"none": True, "tag_id": old.pk}],
        )  # fmt: skip
    client = client_of(brand, "contacts.view")
    (found,) = client.get(f"{API}computed-tags/").json()["results"]
    assert found == client.get(f"{API}computed-tags/{row.pk}/").json()
    assert (found["name"], found["field"], found["is_on"]) == ("月龄", "baby", True)
    assert [(b["from"], b["to"], b["none"], b["name"], b["n_contacts"]) for b in found["brackets"]] == [
        (0, 6, False, "0-6月龄", 0), (None, None, True, "未知", 0),
    ]  # fmt: skip
    stranger = client_of(other_brand, "contacts.view")
    assert stranger.get(f"{API}computed-tags/").json()["results"] == []
    assert stranger.get(f"{API}computed-tags/{row.pk}/").status_code == 404
    assert client_of(brand, "orders.view").get(f"{API}computed-tags/").status_code == 403


def test_waiting(brand: Any, other_brand: Any) -> None:
    with in_brand(brand):
        tag, other = make_tag(brand, "金卡"), make_tag(brand, "银卡")
        for kind, value, one in (
            ("phone", "13800138000", tag),
            ("member_no", "M1", tag),
            ("phone", "13900139000", other),
        ):
            WaitingTag.objects.create(kind=kind, value=value, tag=one, source="import:1")
    client = client_of(brand, "tags.edit")

    def values(to: Client, query: str = "") -> list[str]:
        return [row["value"] for row in to.get(f"{API}waiting-tags/{query}").json()["results"]]

    assert values(client) == ["139****9000", "M1", "138****8000"]
    assert values(client_of(brand, "tags.edit", "contacts.phones"), "?kind=phone&value=13800138000") == [
        "13800138000"
    ]
    assert values(client, f"?tag={other.pk}") == ["139****9000"]
    first = client.get(f"{API}waiting-tags/?limit=2").json()
    assert len(first["results"]) == 2
    assert values(client, f"?limit=2&after={first['next']}") == ["138****8000"]
    for bad in ("?kind=qq", "?value=1", "?tag=x", "?after=x", "?limit=0"):
        assert client.get(f"{API}waiting-tags/{bad}").status_code == 422, bad
    assert values(client_of(other_brand, "tags.edit")) == []
    assert client_of(brand, "contacts.view").get(f"{API}waiting-tags/").status_code == 403
