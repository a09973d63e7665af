"""The REST API of segments."""

from typing import Any

import pytest
from django.test import Client

from org.access import RIGHTS, Actor
from org.services import keys
from tagging.models import Segment
from tagging.services.segments import portrait
from tagging.services.tags.tags import add_tags
from tests.factories import in_brand, make_contact, make_tag

MAKER = Actor("test", rights=frozenset(RIGHTS))


@pytest.fixture
def api(brand: Any) -> Any:
    """A client with a key that may see and edit segments."""
    with in_brand(brand):
        whole = keys.create_key(brand, by=MAKER, name="k", rights=["segments.view", "segments.edit"])[1]
    return Client(headers={"Authorization": f"Bearer {whole}"})


@pytest.fixture
def people(brand: Any) -> Any:
    with in_brand(brand):
        tag = make_tag(brand, "金卡")
        some = [make_contact(brand) for _ in range(5)]
        add_tags(brand, contacts=some[:3], tags=[tag], source="page")
    return tag, some


def send(client: Client, method: str, path: str, body: Any = None) -> Any:
    return getattr(client, method)(f"/api/v1/segments/{path}", body, content_type="application/json")


def test_whole_life(api: Client, brand: Any, people: Any) -> None:
    tag, some = people
    condition = {"all": [{"kind": "tags", "ids": [tag.pk]}, {"not": {"kind": "do_not_contact"}}]}
    counted = send(api, "post", "count/", {"condition": condition}).json()
    assert counted["n"] == 3
    assert counted["sample"] == [c.pk for c in some[2::-1]]
    assert "金卡" in counted["sentence"]

    made = send(api, "post", "", {"name": "金卡客户", "condition": condition})
    assert made.status_code == 201, made.content
    pk = made.json()["id"]
    assert made.json()["n"] == 3
    assert [s["id"] for s in api.get("/api/v1/segments/").json()["results"]] == [pk]

    first = api.get(f"/api/v1/segments/{pk}/members/?limit=2").json()
    rest = api.get(f"/api/v1/segments/{pk}/members/?limit=2&after={first['next']}").json()
    assert first["results"] + rest["results"] == [c.pk for c in some[2::-1]]
    assert rest["next"] == ""

    profile = api.get(f"/api/v1/segments/{pk}/profile/").json()
    assert profile["n"] == 3 and profile["tags"][0]["name"] == "金卡"
    assert {key for key in profile if isinstance(profile[key], list)} == set(portrait.PROFILE)
    assert all(
        row["share"] <= 1 and row["n"] <= row["n_all"] for key in portrait.PROFILE for row in profile[key]
    )
    other = send(api, "post", "", {"name": "两位", "contact_ids": [some[0].pk, some[4].pk]}).json()["id"]
    (shared,) = api.get(f"/api/v1/segments/{pk}/overlaps/").json()["results"]
    assert (shared["id"], shared["n"], shared["share"]) == (other, 1, 0.3333)
    assert api.delete(f"/api/v1/segments/{other}/").status_code == 204

    tree = api.get(f"/api/v1/segments/{pk}/why/{some[4].pk}/").json()
    assert (tree["holds"], tree["items"][0]["holds"], tree["items"][1]["holds"]) == (False, False, True)
    assert api.get(f"/api/v1/segments/{pk}/why/987654/").status_code == 404

    changed = send(api, "patch", f"{pk}/", {"condition": {"kind": "everybody"}})
    assert changed.json()["n"] == 5
    frozen = send(api, "post", f"{pk}/freeze/", {"name": "今天"})
    assert (frozen.status_code, frozen.json()["kind"], frozen.json()["n"]) == (201, "frozen", 5)
    assert len(api.get(f"/api/v1/segments/{pk}/sizes/").json()["results"]) == 1

    ids = {"name": "名单", "contact_ids": [some[0].pk, 99_999]}
    listed = send(api, "post", "", ids).json()
    assert (listed["kind"], listed["n"]) == ("list", 1)
    assert send(api, "post", f"{listed['id']}/members/", {"add": [some[1].pk, 999]}).json() == {
        "n": 2, "unknown": [999],
    }  # fmt: skip

    both = {"name": "差", "operation": "difference", "segment_ids": [pk, listed["id"]]}
    assert send(api, "post", "", both).json()["n"] == 3
    refused = send(api, "delete", f"{pk}/")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "in_use")
    with in_brand(brand):
        other = Segment.objects.get(name="差").pk
    assert send(api, "delete", f"{other}/").status_code == 204
    assert send(api, "delete", f"{pk}/").status_code == 204
    assert api.get(f"/api/v1/segments/{pk}/").status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {"name": "x"},
        {"name": "x", "condition": {"kind": "who knows"}},
        {"name": "x", "condition": {"all": []}},
        {"name": "x", "condition": 7},
        {"name": "x", "condition": {"kind": "tags", "ids": [1], "mode": "any"}},
        {"name": "x", "condition": {"kind": "everybody"}, "contact_ids": [1]},
        {"name": "", "condition": {"kind": "everybody"}},
        {"name": "x", "operation": "union", "segment_ids": [1]},
        {"name": "x", "operation": "union", "segment_ids": [1, 2]},
        {"name": "x", "contact_ids": ["a"]},
    ],
)
def test_what_is_refused(api: Client, brand: Any, body: Any) -> None:
    answer = send(api, "post", "", body)
    assert 400 <= answer.status_code < 500
    assert answer.json()["error"]["code"]
    with in_brand(brand):
        assert not Segment.objects.exists()


def test_problems_have_places(api: Client) -> None:
    condition = {"all": [{"kind": "everybody"}, {"any": [{"kind": "gender", "values": []}]}]}
    answer = send(api, "post", "count/", {"condition": condition})
    assert answer.status_code == 422
    (problem,) = answer.json()["error"]["problems"]
    assert (problem["path"], problem["param"]) == ("1.0", "values")


def test_rights(brand: Any) -> None:
    with in_brand(brand):
        whole = keys.create_key(brand, by=MAKER, name="k", rights=["segments.view"])[1]
    client = Client(headers={"Authorization": f"Bearer {whole}"})
    assert client.get("/api/v1/segments/").status_code == 200
    assert client.get("/api/v1/segments/kinds/").json()["kinds"]["tags"]["params"]
    assert send(client, "post", "", {"name": "x", "condition": {"kind": "everybody"}}).status_code == 403


def test_as_many_queries_for_many(api: Client, brand: Any) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    counts = []
    api.get("/api/v1/segments/")  # notes once a day that the key was used
    for n in (2, 18):
        for _ in range(n):
            with in_brand(brand):
                tag = make_tag(brand)
                number = Segment.objects.count()
                Segment.objects.create(
                    name=f"s{number}", condition={"kind": "tags", "mode": "any", "ids": [tag.pk]}
                )
        with CaptureQueriesContext(connection) as seen:
            assert api.get("/api/v1/segments/").status_code == 200
        counts.append(len(seen))
    assert counts[0] == counts[1]
