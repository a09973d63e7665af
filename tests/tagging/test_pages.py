"""The page of the tag library: ours and WeCom's (the sandbox process), rights, two brands."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from org.models import AuditEntry
from tagging.models import Tag, TagGroup
from tagging.services.tags.tags import add_tags
from tagging.views import library
from tests.factories import in_brand, make_contact, make_tag
from tests.wecom.sandbox_client import CORPID


def names(brand: Any) -> list[str]:
    with in_brand(brand):
        return list(
            Tag.objects.filter(deleted_at=None).order_by("-order", "pk").values_list("name", flat=True)
        )


def test_own_tags(brand: Any, sign_in: Any) -> None:
    client = sign_in(brand, "operator")
    assert client.get("/tags/").status_code == 200
    assert client.get("/tags/groups/new/").status_code == 200
    bad = client.post("/tags/groups/new/", {"name": "兴趣", "names": " "})
    assert bad.status_code == 422 and "兴趣" in bad.text
    assert client.post("/tags/groups/new/", {"name": "兴趣", "names": "大衣，配饰\n裙子"}).status_code == 302
    assert names(brand) == ["大衣", "配饰", "裙子"]
    with in_brand(brand):
        group = TagGroup.objects.get()
        coat = Tag.objects.get(name="大衣")
    assert client.post(f"/tags/groups/{group.pk}/new/", {"names": "大衣"}).status_code == 422
    assert client.post(f"/tags/groups/{group.pk}/new/", {"names": "鞋、帽"}).status_code == 302
    with in_brand(brand):
        ids = {t.name: t.pk for t in Tag.objects.all()}
    wanted = ["配饰", "大衣", "裙子", "鞋", "帽"]
    moved = client.post("/tags/order/", {"group": group.pk, "ids": [ids[n] for n in wanted]})
    assert moved.status_code == 200 and names(brand) == wanted
    assert client.post("/tags/order/", {"group": group.pk, "ids": [ids["大衣"]]}).status_code == 422
    assert client.post("/tags/order/", {"ids": [group.pk]}).status_code == 204
    assert client.get(f"/tags/tag/{coat.pk}/edit/").status_code == 200
    assert client.post(f"/tags/tag/{coat.pk}/edit/", {"name": "风衣", "color": "red"}).status_code == 302
    bad = client.post(f"/tags/group/{group.pk}/edit/", {"name": "长" * 31, "color": "red"})
    assert bad.status_code == 422 and "长" * 31 in bad.text and "31" in bad.text
    assert client.post(f"/tags/group/{group.pk}/edit/", {"name": "好", "color": "mauve"}).status_code == 422
    assert client.post(f"/tags/tag/{coat.pk}/archive/").status_code == 302
    assert "风衣" not in client.get(f"/tags/groups/{group.pk}/").text
    assert "风衣" in client.get("/tags/?show=archived").text and "风衣" in client.get("/tags/?q=风").text
    assert client.post(f"/tags/tag/{coat.pk}/unarchive/").status_code == 302
    assert client.get(f"/tags/tag/{coat.pk}/delete/").status_code == 200
    assert client.post(f"/tags/tag/{coat.pk}/delete/").status_code == 302
    assert client.post(f"/tags/tag/{coat.pk}/delete/").status_code == 404
    assert names(brand) == ["配饰", "裙子", "鞋", "帽"]
    assert "data-undo" in client.get("/tags/?show=deleted").text  # the notice of the deletion
    assert client.post(f"/tags/tag/{coat.pk}/restore/").status_code == 302
    assert names(brand) == ["配饰", "风衣", "裙子", "鞋", "帽"]
    assert client.post(f"/tags/group/{group.pk}/delete/").status_code == 302
    assert names(brand) == []
    assert client.post(f"/tags/group/{group.pk}/restore/").status_code == 302
    assert names(brand) == ["配饰", "风衣", "裙子", "鞋", "帽"]
    assert client.get("/tags/?show=nonsense").status_code == 422
    with in_brand(brand):
        actions = AuditEntry.objects.order_by("pk").values_list("action", flat=True)
        assert list(actions) == [
            "tag.create", "tag.create", "tag.move", "tag.rename", "tag.recolor", "tag.archive", "tag.unarchive",
            "tag.delete", "tag.restore", "tag.delete_group", "tag.restore",
        ]  # fmt: skip


def test_carriers_are_counted(brand: Any, staff: Any, sign_in: Any) -> None:
    with in_brand(brand):
        group = TagGroup.objects.create(name="组")
        tags = [make_tag(brand, n, group) for n in "甲乙丙"]
        people = [make_contact(brand) for _ in range(5)]
    for n, tag in enumerate(tags):
        with in_brand(brand):
            add_tags(brand, contacts=people[: 2 * n], tags=[tag], source="page")
    with in_brand(brand):
        assert library.carriers(brand.pk, [t.pk for t in tags]) == {tags[1].pk: 2, tags[2].pk: 4}
    rows = sign_in(brand).get(f"/tags/groups/{group.pk}/").context["tags"]
    assert [row["count"] for row in rows] == [0, 2, 4]


def test_queries_do_not_grow(brand: Any, sign_in: Any) -> None:
    client = sign_in(brand)
    counts = []
    for n in (2, 20):
        with in_brand(brand):
            for _ in range(n):
                make_tag(brand)
        with CaptureQueriesContext(connection) as seen:
            assert client.get("/tags/").status_code == 200
        counts.append(len(seen))
    assert counts[0] == counts[1]


def test_rights_and_other_brands(brand: Any, other_brand: Any, sign_in: Any) -> None:
    with in_brand(brand):
        tag = make_tag(brand)
    stranger = sign_in(other_brand, "admin")
    for url in (
        f"tag/{tag.pk}/edit/",
        f"group/{tag.group_id}/edit/",
        f"groups/{tag.group_id}/new/",
        f"tag/{tag.pk}/merge/",
    ):
        assert stranger.get(f"/tags/{url}").status_code == 404
    for url in (
        f"tag/{tag.pk}/delete/",
        f"tag/{tag.pk}/archive/",
        f"group/{tag.group_id}/delete/",
        f"tag/{tag.pk}/merge/",
    ):
        assert stranger.post(f"/tags/{url}").status_code == 404
        assert sign_in(brand, "guide").post(f"/tags/{url}").status_code == 403
    assert stranger.post("/tags/order/", {"ids": [tag.group_id]}).status_code == 422
    assert stranger.get(f"/tags/groups/{tag.group_id}/").status_code == 404
    assert names(brand) == [tag.name] and names(other_brand) == []


def test_corp_tags(connected: Any, other_brand: Any, sign_in: Any) -> None:
    brand, sandbox = connected.brand, connected.sandbox

    def theirs() -> set[str]:
        groups = sandbox.api("externalcontact/get_corp_tag_list", {}, access_token=sandbox.token())[
            "tag_group"
        ]
        return {tag["name"] for group in groups for tag in group["tag"]}

    client = sign_in(brand, "operator")
    assert client.post("/tags/sync/").status_code == 302
    assert set(names(brand)) == theirs() == {"普通", "黄金", "咖啡"}
    made = {"name": "会员", "names": "一\n二", "corp": connected.corp.pk}
    assert client.post("/tags/groups/new/", made).status_code == 302
    assert theirs() == {"普通", "黄金", "咖啡", "一", "二"}
    with in_brand(brand):
        one, gold = Tag.objects.get(name="一"), Tag.objects.get(name="黄金")
    client.post(f"/tags/tag/{one.pk}/edit/", {"name": "壹"})
    assert "壹" in theirs() and set(names(brand)) == theirs()
    refused = client.post(f"/tags/tag/{gold.pk}/edit/", {"name": "铂金"})
    assert refused.status_code == 422 and "alert-danger" in refused.text
    sandbox.post("faults", corpid=CORPID, kind="http500")
    assert client.post(f"/tags/tag/{one.pk}/edit/", {"name": "一"}).status_code == 422
    assert client.post(f"/tags/tag/{one.pk}/delete/", headers={"HX-Request": "true"}).status_code == 422
    assert set(names(brand)) == {"普通", "黄金", "咖啡", "壹", "二"}
    assert sign_in(other_brand).post("/tags/groups/new/", made).status_code == 422
    response = sign_in(other_brand).post("/tags/sync/")
    assert response.status_code == 204 and "warning" in response["HX-Trigger"]


@pytest.mark.django_db
def test_empty(brand: Any, sign_in: Any) -> None:
    assert "empty-state" in sign_in(brand).get("/tags/").text
