"""The tag library with WeCom (the sandbox process) and without."""

from typing import Any

import pytest

from org.access import SYSTEM
from org.models import AuditEntry
from scrm.errors import ConflictError, InvalidError
from tagging.models import Tag, TagGroup
from tagging.services.tags import corp_library, deleting, library
from tenants.scoping import tenant_scope
from tests.factories import in_brand
from tests.wecom.sandbox_client import CORPID
from wecom.client import client_for
from wecom.errors import WeComRejected, WeComUnavailable


@pytest.fixture
def c(connected: Any) -> Any:
    with tenant_scope(connected.brand):
        yield connected


def names(c: Any) -> dict[str, list[str]]:
    with in_brand(c.brand):
        found: dict[str, list[str]] = {}
        for tag in Tag.objects.filter(deleted_at=None).select_related("group").order_by("-order", "pk"):
            found.setdefault(tag.group.name, []).append(tag.name)
        return found


def theirs(c: Any) -> dict[str, list[str]]:
    groups = c.sandbox.api("externalcontact/get_corp_tag_list", {}, access_token=c.sandbox.token())[
        "tag_group"
    ]
    return {g["group_name"]: [t["name"] for t in g["tag"]] for g in groups}


def read(c: Any) -> dict[str, int]:
    return corp_library.sync_corp_tags(c.brand, c.corp, client_for(c.corp))


def get(c: Any, name: str) -> Any:
    with in_brand(c.brand):
        return Tag.objects.select_related("group").get(name=name)


@pytest.fixture
def api(c: Any) -> Any:
    """WeCom's own calls, as if the library changed behind our back; the app made group 等级2 with 普通,
    黄金, 咖啡."""
    token = c.sandbox.token()

    def call(path: str, **body: Any) -> Any:
        answer = c.sandbox.api(f"externalcontact/{path}", body, access_token=token)
        assert answer["errcode"] == 0, answer
        return answer.get("tag_group")

    call("add_corp_tag", group_name="等级2", tag=[{"name": n} for n in ("普通2", "黄金2", "咖啡2")])
    return call


def test_sync(c: Any, api: Any) -> None:
    assert read(c) == {"groups": 3, "tags": 6, "deleted": 0}
    assert read(c) == {"groups": 3, "tags": 6, "deleted": 0}
    assert names(c) == theirs(c)
    plain, gold, coffee = (get(c, n).wecom_id for n in ("普通2", "黄金2", "咖啡2"))
    # names swapped, one deleted, one new, all at once
    for wecom_id, name in ((plain, "临时"), (gold, "普通2"), (plain, "黄金2")):
        api("edit_corp_tag", id=wecom_id, name=name)
    api("del_corp_tag", tag_id=[coffee])
    api("add_corp_tag", group_name="新组", tag=[{"name": "咖啡2"}])
    assert read(c) == {"groups": 4, "tags": 6, "deleted": 1}
    assert names(c) == theirs(c) and names(c)["新组"] == ["咖啡2"]
    with in_brand(c.brand):
        assert Tag.objects.get(wecom_id=plain).name == "黄金2"
        assert Tag.objects.filter(deleted_at=None).count() == 6


def test_events_of_the_library(c: Any, api: Any) -> None:
    read(c)
    gold = get(c, "黄金2")

    def happened(change: str, what: str, wecom_id: str) -> None:
        payload = {"ChangeType": change, "TagType": what, "Id": wecom_id}
        corp_library.on_tag_changed(c.brand, c.corp, payload, None)

    api("edit_corp_tag", id=gold.wecom_id, name="金卡")
    happened("update", "tag", gold.wecom_id)
    assert set(names(c)["等级2"]) == {"普通2", "金卡", "咖啡2"}
    new = api("add_corp_tag", group_id=gold.group.wecom_id, tag=[{"name": "黄金2"}])["tag"][0]["id"]
    for _ in range(2):
        happened("create", "tag", new)
    happened("shuffle", "tag_group", gold.group.wecom_id)
    assert names(c) == theirs(c)
    api("del_corp_tag", tag_id=[new])
    # the name is free again and is given to another tag, whose event comes first
    again = api("add_corp_tag", group_id=gold.group.wecom_id, tag=[{"name": "黄金2"}])["tag"][0]["id"]
    happened("create", "tag", again)
    assert names(c) == theirs(c)
    happened("update", "tag", new)  # late: it is deleted meanwhile
    happened("delete", "tag", new)
    assert names(c) == theirs(c)
    happened("delete", "tag_group", gold.group.wecom_id)  # WeCom still shows it: not believed
    assert names(c) == theirs(c)
    api("del_corp_tag", group_id=[gold.group.wecom_id])
    happened("delete", "tag_group", gold.group.wecom_id)
    assert "等级2" not in names(c)
    read(c)
    assert names(c) == theirs(c)


def move(c: Any, name: str, to: int) -> None:
    """Put a tag at a place among its neighbours."""
    tag = get(c, name)
    with in_brand(c.brand):
        alive = Tag.objects.filter(group=tag.group, deleted_at=None).order_by("-order", "pk")
        ids = [pk for pk in alive.values_list("pk", flat=True) if pk != tag.pk]
    ids.insert(to, tag.pk)
    library.reorder(c.brand, by=SYSTEM, ids=ids, group=tag.group)


def test_people_change_corp_tags(c: Any) -> None:
    read(c)
    group = library.create_group(c.brand, by=SYSTEM, name="会员", names=["一", "二", "一", " "], corp=c.corp)
    assert sorted(names(c)["会员"]) == sorted(theirs(c)["会员"]) == ["一", "二"]
    library.create_tags(c.brand, by=SYSTEM, group=group, names=["三"])
    library.rename(c.brand, by=SYSTEM, item=get(c, "一"), name="壹")
    library.rename(c.brand, by=SYSTEM, item=group, name="会员等级")
    move(c, "三", 1)
    assert names(c) == theirs(c) and names(c)["会员等级"] == ["壹", "三", "二"]
    move(c, "三", 0)
    n_calls = len(c.sandbox.calls())
    move(c, "三", 0)
    assert len(c.sandbox.calls()) == n_calls
    assert names(c)["会员等级"] == theirs(c)["会员等级"] == ["三", "壹", "二"]
    deleting.delete_tag(c.brand, by=SYSTEM, tag=get(c, "壹"))
    assert names(c)["会员等级"] == theirs(c)["会员等级"] == ["三", "二"]
    with in_brand(c.brand):
        group = TagGroup.objects.get(pk=group.pk)
        actions = set(AuditEntry.objects.values_list("action", flat=True))
    deleting.delete_group(c.brand, by=SYSTEM, group=group)
    assert "会员等级" not in names(c) and names(c) == theirs(c)
    assert actions == {"tag.create", "tag.rename", "tag.move", "tag.delete"}


def test_wecom_refuses(c: Any) -> None:
    """Tags that the app did not make stay as they are, here as there."""
    read(c)
    with pytest.raises(WeComRejected):
        library.rename(c.brand, by=SYSTEM, item=get(c, "黄金"), name="铂金")
    with pytest.raises(WeComRejected):
        deleting.delete_tag(c.brand, by=SYSTEM, tag=get(c, "黄金"))
    assert names(c) == theirs(c)


def test_answer_of_making_is_lost(c: Any) -> None:
    read(c)
    c.sandbox.post("faults", corpid=CORPID, api="externalcontact/add_corp_tag", kind="drop_after", times=1)
    library.create_group(c.brand, by=SYSTEM, name="新", names=["甲", "乙"], corp=c.corp)
    assert names(c) == theirs(c) and set(names(c)["新"]) == {"甲", "乙"}
    c.sandbox.post("faults", corpid=CORPID, api="externalcontact/add_corp_tag", kind="http500", times=9)
    with pytest.raises(WeComUnavailable):
        library.create_group(c.brand, by=SYSTEM, name="坏", names=["丙"], corp=c.corp)
    assert "坏" not in names(c)


def test_own_tags_need_no_wecom(c: Any) -> None:
    n_calls = len(c.sandbox.calls())
    group = library.create_group(c.brand, by=SYSTEM, name="自有", names=["甲", "乙"])
    library.create_tags(c.brand, by=SYSTEM, group=group, names=["丙"])
    assert names(c) == {"自有": ["甲", "乙", "丙"]}
    move(c, "甲", 1)
    assert names(c) == {"自有": ["乙", "甲", "丙"]}
    library.rename(c.brand, by=SYSTEM, item=get(c, "甲"), name="丁")
    deleting.delete_tag(c.brand, by=SYSTEM, tag=get(c, "丙"))
    assert names(c) == {"自有": ["乙", "丁"]}
    library.create_tags(c.brand, by=SYSTEM, group=group, names=["丙"])  # a deleted name is free again
    with pytest.raises(ConflictError):
        library.create_tags(c.brand, by=SYSTEM, group=group, names=["丙"])
    with pytest.raises(ConflictError):
        library.rename(c.brand, by=SYSTEM, item=get(c, "丁"), name="乙")
    with pytest.raises(ConflictError):
        library.create_group(c.brand, by=SYSTEM, name="自有", names=["x"])
    for bad in (
        {"name": " ", "names": ["x"]},
        {"name": "长" * 31, "names": ["x"]},
        {"name": "组", "names": [" "]},
    ):
        with pytest.raises(InvalidError):
            library.create_group(c.brand, by=SYSTEM, **bad)
    assert len(c.sandbox.calls()) == n_calls


def test_two_brands(connected: Any, other_brand: Any) -> None:
    with tenant_scope(connected.brand):
        read(connected)
    with in_brand(other_brand):
        assert not Tag.objects.exists() and not TagGroup.objects.exists()
