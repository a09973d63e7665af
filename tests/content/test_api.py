"""REST API of content, links and words: scopes, shapes, brands."""

from typing import Any

import pytest
from django.test import Client

from content.models import Content, TrackedLink
from content.services import approval, links, visits
from content.services.browsers import Place, Visitor
from org.access import SYSTEM
from org.services import keys
from tenants.models import Brand
from tests.content.conftest import CHECKER, MAKER, make_content
from tests.factories import in_brand, make_contact


def client_of(brand: Brand, *rights: str) -> Any:
    from dataclasses import replace

    from org.access import RIGHTS

    with in_brand(brand):
        _row, key = keys.create_key(
            brand, by=replace(SYSTEM, rights=frozenset(RIGHTS)), name="k", rights=list(rights)
        )
    return Client(headers={"Authorization": f"Bearer {key}"})


@pytest.fixture
def api(brand: Brand) -> Any:
    return client_of(brand, "content.view", "content.edit")


def post(client: Any, path: str, given: Any, method: str = "post") -> Any:
    return getattr(client, method)(f"/api/v1/{path}", given, content_type="application/json")


def test_content(brand: Brand, other_brand: Brand, api: Any) -> None:
    made = post(api, "content/", {"name": "早安", "text": "早上好"})
    assert made.status_code == 201
    item = made.json()
    assert (item["state"], item["version"], item["current_version"]) == ("approved", 1, 1)
    changed = post(api, f"content/{item['id']}/", {"text": "晚上好"}, "patch").json()
    assert (changed["version"], changed["name"], changed["text"]) == (2, "早安", "晚上好")
    for odd in ([], [{"text": "x"}], "x", 5):
        assert post(api, f"content/{item['id']}/", odd, "patch").status_code == 400, odd
    assert [row["id"] for row in api.get("/api/v1/content/?q=晚上").json()["results"]] == [item["id"]]
    assert api.get(f"/api/v1/content/{item['id']}/results/").json() == {"results": []}
    assert api.get("/api/v1/content/folders/").json() == {"results": []}
    for wrong in ({"kind": "a\x00b"}, {"kind": "x"}, {"archived": "1"}, {"folder": "x"}):
        assert api.get("/api/v1/content/", wrong).status_code == 422, wrong
    assert post(api, f"content/{item['id']}/archive/", {}).status_code == 204
    assert api.get("/api/v1/content/").json()["results"] == []
    assert len(api.get("/api/v1/content/?archived=true").json()["results"]) == 1
    assert post(api, f"content/{item['id']}/restore/", {}).status_code == 204
    theirs = client_of(other_brand, "content.view", "content.edit")
    assert theirs.get(f"/api/v1/content/{item['id']}/").status_code == 404
    for bad in (
        {"name": ""},
        {"name": "x"},
        {"name": "x", "text": "{谁}"},
        {"name": "x", "attachments": "a"},
        {"name": "x", "text": "a", "folder_id": 9},
    ):
        assert post(api, "content/", bad).status_code in (400, 404, 422), bad
    assert api.get("/api/v1/content/?folder=x").status_code == 422


def test_when_a_script_is_suggested(brand: Brand, api: Any, sign_in: Any) -> None:
    given = {"kind": "script", "name": "问候", "text": "你好", "occasion": "hello"}
    item = post(api, "content/", given).json()
    assert item["occasion"] == "hello"
    path = f"content/{item['id']}/"
    changed = post(api, path, {"occasion": "cart"}, "patch").json()
    assert (changed["occasion"], changed["version"]) == ("cart", 1)  # the words are the same
    assert post(api, path, {"text": "您好"}, "patch").json()["occasion"] == "cart"
    assert post(api, path, {"occasion": "whenever"}, "patch").status_code == 400
    refused = post(api, "content/", given | {"kind": "message"})
    assert refused.status_code == 422 and "occasion" in str(refused.json())
    client = sign_in(brand, "operator")
    assert "加购未买" in client.get(f"/content/{item['id']}/").content.decode()
    edit = {"name": "问候", "text": "您好", "occasion": "again", "note": "", "folder": "", "expires_at": ""}
    assert client.post(f"/content/{item['id']}/edit/", edit).status_code == 302
    assert api.get(f"/api/v1/{path}").json()["occasion"] == "again"
    wrong = client.post(f"/content/{item['id']}/edit/", edit | {"occasion": "x"})
    assert wrong.status_code == 422 and 'name="occasion"' in wrong.content.decode()
    assert 'name="occasion"' not in client.get("/content/new/?kind=message").content.decode()


def test_pages_and_decisions(brand: Brand, api: Any) -> None:
    with in_brand(brand):
        approval.set_needs_approval(brand, needs=True, by=CHECKER)
    page = {"title": "故事", "blocks": [{"type": "text", "text": "从前"}]}
    item = post(api, "content/", {"kind": "page", "name": "故事", "page": page}).json()
    assert (item["state"], item["current_version"]) == ("waiting", None)
    with in_brand(brand):
        assert TrackedLink.objects.get().content_id == item["id"]
    decision = {"version": 1, "approve": True}
    assert post(api, f"content/{item['id']}/decide/", decision).status_code == 403
    checker = client_of(brand, "content.approve")
    assert (
        post(checker, f"content/{item['id']}/decide/", {"version": 1, "approve": False}).status_code == 403
    )  # named as the maker
    with in_brand(brand):
        other = make_content(brand, by=MAKER)
    assert post(checker, f"content/{other.pk}/decide/", decision).json()["current_version"] == 1
    assert post(checker, f"content/{other.pk}/decide/", {"version": 9, "approve": True}).status_code == 404


def test_links(brand: Brand, staff: Any, api: Any) -> None:
    made = post(api, "links/", {"name": "新品", "url": "https://a.cn"}).json()
    with in_brand(brand):
        link, contact = links.get_link(made["id"]), make_contact(brand, staff)
        visits.record_open(Place(brand, link), Visitor("v", contact.pk), None)
    assert made["address"].endswith(f"/l/{link.key}/")
    read = api.get(f"/api/v1/links/{made['id']}/").json()
    assert (read["n_opens"], read["totals"]["known"]) == (1, 1)
    [person] = api.get(f"/api/v1/links/{made['id']}/people/").json()["results"]
    assert person["contact_id"] == contact.pk
    assert post(api, f"links/{made['id']}/", {"url": "https://b.cn"}, "patch").json()["url"] == "https://b.cn"
    [row] = api.get("/api/v1/links/").json()["results"]
    assert row["card"] == {"type": "link", "title": "新品", "url": row["address"], "desc": "", "picurl": ""}
    assert post(api, "links/", {"name": "x", "url": "javascript:x"}).status_code == 422


def test_words(brand: Brand, api: Any) -> None:
    assert post(api, "sensitive-words/", {"words": ["根治"]}).status_code == 403
    keeper = client_of(brand, "content.view", "content.approve")
    assert post(keeper, "sensitive-words/", {"words": ["根治", "..."]}).json() == {"n": 1, "bad": ["..."]}
    assert api.get("/api/v1/sensitive-words/").json()["results"] == [
        {"word": "根治", "level": "refuse", "note": ""}
    ]
    assert post(api, "sensitive-words/check/", {"text": "根 治"}).json()["found"][0]["word"] == "根治"
    assert post(api, "content/", {"name": "a", "text": "根治"}).status_code == 422
    with in_brand(brand):
        assert Content.objects.count() == 0
