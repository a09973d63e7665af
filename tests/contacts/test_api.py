"""The API of contacts: shapes, filters, pages, keys that do not open."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from contacts.models import Contact, ContactStat, Follow, Identity
from org.access import RIGHTS, SYSTEM, Actor
from org.models import ApiKey
from org.services import keys
from tagging.services.segments.segments import create_list
from tagging.services.tags.tags import add_tags
from tests.factories import in_brand, make_contact, make_staff, make_tag

T = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
URL = "/api/v1/contacts/"


def key_of(brand: Any, *rights: str) -> tuple[ApiKey, str]:
    with in_brand(brand):
        by = Actor("admin", rights=frozenset(RIGHTS))
        return keys.create_key(brand, name="key", rights=list(rights), by=by)


def client_of(brand: Any, *rights: str) -> Client:
    return Client(headers={"authorization": f"Bearer {key_of(brand, *(rights or ['contacts.view']))[1]}"})


@pytest.fixture
def people(brand: Any, corp: Any, staff: Any) -> list[Contact]:
    """Three contacts, oldest first; the second has a tag, a unionid and another guide."""
    with in_brand(brand):
        rows = [make_contact(brand, staff, added_at=T + timedelta(hours=n)) for n in range(3)]
        tag = make_tag(brand, "金卡")
        add_tags(brand, contacts=[rows[1]], tags=[tag], source="channel_code:7")
        Identity.objects.create(contact=rows[1], kind="unionid", value="u1")
        Follow.objects.create(
            contact=rows[1], staff=make_staff(brand, corp, name="乙"), corp=corp, external_userid="x",
            added_at=T, channel_code_id=7, state="s7", remark="老客户",
        )  # fmt: skip
    return rows


def found(client: Client, **query: Any) -> list[int]:
    response = client.get(URL, query)
    assert response.status_code == 200, response.text
    return [row["id"] for row in response.json()["results"]]


def test_found_by_what_a_shop_knows(brand: Any, corp: Any, staff: Any, people: Any) -> None:
    with in_brand(brand):
        for kind, scope, value in (
            ("phone", "", "13800000001"), ("member_no", "", "M-1"), ("openid", "wxapp", "o1"), ("openid", "", "o2"),
        ):  # fmt: skip
            Identity.objects.create(contact=people[2], kind=kind, scope=scope, value=value)
    client, mine = client_of(brand), [people[2].pk]
    assert found(client, phone="13800000001") == found(client, phone="+86 138-0000-0001") == mine
    assert found(client, member_no=" M-1 ") == found(client, openid="o1", scope="wxapp") == mine
    assert found(client, openid="o2") == mine
    assert found(client, openid="o1") == found(client, openid="o2", scope="wxapp") == []  # of another app
    assert (
        found(client, member_no="")
        == found(client, member_no="M-2")
        == found(client, phone="13800000002")
        == []
    )
    assert found(client, phone="13800000001", member_no="M-2") == []  # all must hold
    for wrong in ({"phone": ""}, {"phone": "abc"}, {"scope": "wxapp"}):
        answer = client.get(URL, wrong)
        assert (answer.status_code, list(answer.json()["error"]["fields"])) == (422, list(wrong)), wrong


def test_shape(brand: Any, corp: Any, staff: Any, people: Any) -> None:
    row = client_of(brand).get(f"{URL}{people[1].pk}/").json()
    assert row["id"] == people[1].pk and row["state"] == "reachable" and row["kind"] == "wechat"
    assert row["added_at"] == "2026-03-01T11:00:00Z" and row["lost_at"] is None
    assert {i["kind"]: i["value"] for i in row["identities"]}["unionid"] == "u1"
    assert [t["name"] for t in row["tags"]] == ["金卡"] and row["tags"][0]["source"] == "channel_code:7"
    second = row["follows"][0]
    assert (second["staff_name"], second["channel_code_id"], second["remark"]) == ("乙", 7, "老客户")
    assert row["follows"][1]["userid"] == staff.userid and row["follows"][1]["corpid"] == corp.corpid


def test_phone_numbers_are_whole_with_the_right_only(brand: Any, people: Any) -> None:
    with in_brand(brand):
        Identity.objects.create(contact=people[0], kind="phone", value="13800138000")
    for rights, number in (
        (("contacts.view", "contacts.edit"), "138****8000"),
        (("contacts.view", "contacts.phones"), "13800138000"),
    ):
        client = client_of(brand, *rights)
        for row in (client.get(f"{URL}{people[0].pk}/").json(), client.get(URL).json()["results"][-1]):
            assert {i["kind"]: i["value"] for i in row["identities"]}["phone"] == number


def test_filters(brand: Any, staff: Any, people: Any) -> None:
    client = client_of(brand)
    ids = [c.pk for c in people]
    with in_brand(brand):
        external = Identity.objects.get(contact=people[0], kind="external_userid").value
        other = Follow.objects.get(channel_code_id=7).staff_id
        tag = make_tag(brand).pk
        first_tag = Contact.objects.get(pk=ids[1]).contact_tags.get().tag_id
    assert found(client) == ids[::-1]
    assert (
        found(client, channel_code=7) == found(client, guide=other) == found(client, unionid="u1") == [ids[1]]
    )
    assert found(client, tag=first_tag) == [ids[1]]
    assert found(client, tag=[first_tag, tag]) == []
    assert found(client, external_userid=external) == [ids[0]]
    assert found(client, external_userid=external, unionid="u1") == []
    assert found(client, external_userid="") == found(client, unionid="nobody") == []
    assert found(client, added_after="2026-03-01T10:30:00Z") == ids[:0:-1]
    assert found(client, added_after="2026-03-01T18:30:00+08:00", guide=staff.pk) == ids[:0:-1]


def test_orders(brand: Any, staff: Any, people: Any) -> None:
    first, second, third = (c.pk for c in people)
    with in_brand(brand):
        for pk, n, score in ((first, 2, 40), (second, 5, None), (third, 2, 90)):
            row = ContactStat.objects.filter(contact=pk)
            row.update(n_orders=n, spent_fen=n * 100, value_score=score, last_order_at=T)
    client = client_of(brand)
    assert found(client, sort="-spent") == [second, third, first]
    assert found(client, sort="orders") == [first, third, second]
    assert found(client, sort="score") == [first, third, second]
    assert found(client, sort="-score", guide=staff.pk) == [third, first, second]
    assert found(client, sort="added", added_after="2026-03-01T10:30:00Z") == [second, third]
    page = client.get(URL, {"sort": "-orders", "limit": 2}).json()
    assert found(client, sort="-orders", after=page["next"]) == [first]
    assert client.get(URL, {"sort": "-spent", "after": page["next"]}).json()["error"]["code"] == "bad_page"
    for bad in ("price", "--spent", "SPENT", "-"):
        answer = client.get(URL, {"sort": bad})
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "bad_sort")
        assert "last_order" in answer.json()["error"]["message"]


def test_by_segment(brand: Any, other_brand: Any, staff: Any, people: Any) -> None:
    """Beside the other filters, page by page, with the right to see segments; a foreign one is not found."""
    with in_brand(brand):
        segment = create_list(brand, by=SYSTEM, name="x", contact_ids=[people[0].pk, people[1].pk]).pk
        tag = Contact.objects.get(pk=people[1].pk).contact_tags.get().tag_id
    client = client_of(brand, "contacts.view", "segments.view")
    assert found(client, segment=segment) == [people[1].pk, people[0].pk]
    assert found(client, segment=segment, tag=tag, guide=staff.pk) == [people[1].pk]
    first = client.get(URL, {"segment": segment, "limit": 1}).json()
    assert found(client, segment=segment, limit=1, after=first["next"]) == [people[0].pk]
    assert client_of(brand).get(URL, {"segment": segment}).status_code == 403
    stranger = client_of(other_brand, "contacts.view", "segments.view")
    foreign, missing = stranger.get(URL, {"segment": segment}), client.get(URL, {"segment": 10**15})
    assert foreign.status_code == 404 and foreign.json() == missing.json()
    assert "segment" in foreign.json()["error"]["message"] or "人群" in foreign.json()["error"]["message"]


def test_pages(brand: Any, staff: Any) -> None:
    with in_brand(brand):
        ids = [make_contact(brand, staff, added_at=T).pk for _ in range(7)]
    client = client_of(brand)
    seen: list[int] = []
    after = ""
    while True:
        page = client.get(URL, {"limit": 3, "after": after, "guide": staff.pk}).json()
        seen += [row["id"] for row in page["results"]]
        after = page["next"]
        if not after:
            break
    assert seen == ids[::-1]


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=201", "limit=x", "tag=x", "segment=x", "guide=-1", "channel_code=", "added_after=gestern",
              "after=x", "guide=99999999999999999999"],
)  # fmt: skip
def test_what_cannot_be_read(brand: Any, people: Any, query: str) -> None:
    response = client_of(brand).get(f"{URL}?{query}")
    assert response.status_code == 422 and response.json()["error"]["code"] in ("invalid", "bad_page")


def test_other_brands(brand: Any, other_brand: Any, staff: Any, people: Any) -> None:
    client = client_of(other_brand)
    assert found(client) == found(client, unionid="u1") == found(client, guide=staff.pk) == []
    missing, foreign = client.get(f"{URL}{10**15}/"), client.get(f"{URL}{people[0].pk}/")
    assert (missing.status_code, missing.json()) == (foreign.status_code, foreign.json())
    assert foreign.status_code == 404


@pytest.mark.parametrize("key", ["", "x", "Bearer", "Bearer ", "Bearer a.b.c", "Basic eDp5", "Bearer \x7f"])
def test_keys_that_do_not_open(brand: Any, people: Any, key: str) -> None:
    response = Client().get(URL, headers={"authorization": key} if key else {})
    assert response.status_code == 401 and response.json()["error"]["code"] == "unauthorized"


def test_revoked_and_narrow_keys(brand: Any, people: Any) -> None:
    row, key = key_of(brand, "contacts.view")
    client = Client(headers={"authorization": f"Bearer {key}"})
    assert client.get(URL).status_code == 200
    assert Client(headers={"authorization": f"Bearer {key}x"}).get(URL).status_code == 401
    with in_brand(brand):
        keys.revoke_key(brand, by=Actor("admin", rights=frozenset(RIGHTS)), key=row)
    assert client.get(URL).status_code == 401
    narrow = client_of(brand, "sops.view")
    assert narrow.get(URL).status_code == narrow.get(f"{URL}{people[0].pk}/").status_code == 403
    assert client_of(brand).post(URL, {}).status_code in (403, 405)


def test_queries_do_not_grow(brand: Any, corp: Any, staff: Any) -> None:
    client = client_of(brand)
    counts = []
    found(client)  # the key notes its day of use once
    for n in (2, 20):
        with in_brand(brand):
            people = [make_contact(brand, staff) for _ in range(n)]
            add_tags(brand, contacts=people, tags=[make_tag(brand) for _ in range(2)], source="api")
        with CaptureQueriesContext(connection) as seen:
            assert len(found(client)) >= n
        counts.append(len(seen))
    assert counts[0] == counts[1]


@pytest.mark.django_db
def test_description_and_its_page() -> None:
    """Without a key, without anything from other hosts, and without inline scripts."""
    schema = Client().get("/api/v1/schema/")
    assert schema.status_code == 200 and "/api/v1/contacts/{id}/" in schema.text and "bearer" in schema.text
    page = Client().get("/api/v1/docs/")
    assert page.status_code == 200
    assert "https://" not in page.text and "cdn" not in page.text
    assert all("src=" in tag for tag in page.text.split("<script")[1:])
    assert "SwaggerUIBundle" in Client().get("/api/v1/docs/?script=").text
