"""Contact ways and tags."""

import pytest
import requests
from wechatpy.exceptions import WeChatClientException

from tests.wecom.sandbox.conftest import Api, Client
from tests.wecom.sandbox_client import CORPID, Sandbox


def test_contact_way_through_wechatpy(wechat: Client, corp: Sandbox) -> None:
    made = wechat.external_contact.add_contact_way(2, 2, None, "门店", True, "shelf1", ["ZhangSan"], [3])
    config_id = made["config_id"]
    assert len(config_id) == 32
    way = wechat.external_contact.get_contact_way(config_id)["contact_way"]
    assert (way["user"], way["party"], way["state"], way["skip_verify"]) == (
        ["ZhangSan"],
        [3],
        "shelf1",
        True,
    )
    assert way["qr_code"] == made["qr_code"]
    picture = requests.get(made["qr_code"])
    assert picture.headers["Content-Type"] == "image/png" and picture.content.startswith(b"\x89PNG")
    wechat.external_contact.update_contact_way(config_id, "新", user=["lisi"], party=[])
    changed = wechat.external_contact.get_contact_way(config_id)["contact_way"]
    assert (changed["user"], changed["party"], changed["remark"], changed["state"]) == (
        ["lisi"],
        [],
        "新",
        "shelf1",
    )
    wechat.external_contact.del_contact_way(config_id)
    with pytest.raises(WeChatClientException) as refused:
        wechat.external_contact.get_contact_way(config_id)
    assert refused.value.errcode == 41044
    assert requests.get(made["qr_code"]).status_code == 404


@pytest.mark.parametrize(
    ("body", "errcode"),
    [
        ({"scene": 2, "user": ["lisi"]}, 41037),
        ({"type": 3, "scene": 2, "user": ["lisi"]}, 41039),
        ({"type": 1, "user": ["lisi"]}, 41038),
        ({"type": 1, "scene": 9, "user": ["lisi"]}, 41040),
        ({"type": 1, "scene": 1, "style": 9, "user": ["lisi"]}, 41042),
        ({"type": 1, "scene": 2, "user": ["lisi", "wangwu"]}, 40058),
        ({"type": 1, "scene": 2, "user": "lisi"}, 40058),
        ({"type": 2, "scene": 2}, 40058),
        ({"type": 1, "scene": 2, "user": ["nobody"]}, 40003),
        ({"type": 1, "scene": 2, "user": ["boss"]}, 41054),
        ({"type": 2, "scene": 2, "party": [99]}, 40066),
        ({"type": 1, "scene": 2, "user": ["lisi"], "state": "x" * 31}, 40058),
        ({"type": 1, "scene": 2, "user": ["lisi"], "remark": "字" * 31}, 40058),
        ({"type": 1, "scene": 2, "user": ["lisi"], "state": "字" * 30}, 0),
    ],
)
def test_contact_way_refusals(api: Api, body: dict, errcode: int) -> None:
    assert api.code("externalcontact/add_contact_way", **body) == errcode


def test_body_that_is_no_json(corp: Sandbox, api: Api) -> None:
    url = f"{corp.url}/cgi-bin/externalcontact/add_contact_way?access_token={api.token}"
    assert requests.post(url, data="type=1&scene=2").json()["errcode"] == 41037


def test_hundred_people_at_most(corp: Sandbox, api: Api) -> None:
    corp.load(members=[{"userid": f"m{n}", "department": [3]} for n in range(100)])
    assert (
        api.code("externalcontact/add_contact_way", type=2, scene=2, user=[f"m{n}" for n in range(100)]) == 0
    )
    assert (
        api.code("externalcontact/add_contact_way", type=2, scene=2, party=[3]) == 41041
    )  # with lisi, wangwu


def test_list_contact_ways(corp: Sandbox, api: Api) -> None:
    made = [
        api.post("externalcontact/add_contact_way", type=1, scene=2, user=["lisi"])["config_id"]
        for _ in range(5)
    ]
    seen, cursor = [], ""
    while True:
        page = api.post("externalcontact/list_contact_way", limit=2, cursor=cursor)
        seen += [row["config_id"] for row in page["contact_way"]]
        cursor = page["next_cursor"]
        if not cursor:
            break
    assert seen == made
    corp.post("clock", advance_s=91 * 86_400)
    api.token = corp.token()
    assert api.post("externalcontact/list_contact_way")["contact_way"] == []  # default: the last 90 days
    assert len(api.post("externalcontact/list_contact_way", start_time=1)["contact_way"]) == 5


def test_apps_see_their_own_ways_only(corp: Sandbox, api: Api) -> None:
    config_id = api.post("externalcontact/add_contact_way", type=1, scene=2, user=["lisi"])["config_id"]
    corp.post("corps", corpid=CORPID, agent_id=1000003, secret="second")
    other = corp.token(secret="second")
    assert (
        corp.api("externalcontact/get_contact_way", {"config_id": config_id}, access_token=other)["errcode"]
        == 41044
    )


def test_tags_through_wechatpy(wechat: Client, corp: Sandbox) -> None:
    made = wechat.external_contact.add_corp_tag(
        None, "来源", 5, [{"name": "货架"}, {"name": "货架"}, {"name": "海报"}]
    )
    group = made["tag_group"]
    assert [tag["name"] for tag in group["tag"]] == ["货架", "海报"] and group["group_name"] == "来源"
    listed = wechat.external_contact.get_corp_tag_list([])["tag_group"]
    assert {row["group_name"] for row in listed} == {"等级", "兴趣", "来源"} and listed[0][
        "group_name"
    ] == "来源"
    tag_id = group["tag"][0]["id"]
    wechat.external_contact.edit_corp_tag(tag_id, "新货架", 1)
    one = wechat.external_contact.get_corp_tag_list([tag_id])["tag_group"][0]
    assert [(tag["name"], tag["deleted"]) for tag in one["tag"]] == [("新货架", False)]


def test_tag_rules(corp: Sandbox, api: Api) -> None:
    add = "externalcontact/add_corp_tag"
    group = api.post(add, group_name="来源", tag=[{"name": "货架"}])["tag_group"]
    assert api.code(add, group_id=group["group_id"], tag=[{"name": "货架"}]) == 40071
    assert api.code(add, group_name="来源", tag=[{"name": "海报"}]) == 0  # joins the group of that name
    assert (
        len(
            api.post("externalcontact/get_corp_tag_list", group_id=[group["group_id"]])["tag_group"][0]["tag"]
        )
        == 2
    )
    assert api.code(add, group_name="空", tag=[]) == 40063
    assert api.code(add, group_name="长", tag=[{"name": "字" * 31}]) == 40072
    console = api.post("externalcontact/get_corp_tag_list")["tag_group"]
    foreign = next(row for row in console if row["group_name"] == "等级")
    assert api.code("externalcontact/edit_corp_tag", id=foreign["group_id"], name="x") == 60011
    tag_id = group["tag"][0]["id"]
    other = next(
        tag for row in console if row["group_name"] == "来源" for tag in row["tag"] if tag["id"] != tag_id
    )
    assert api.code("externalcontact/del_corp_tag", tag_id=[tag_id, other["id"]]) == 0
    gone = api.post("externalcontact/get_corp_tag_list", tag_id=[tag_id])["tag_group"][0]
    assert gone["deleted"] is True and gone["tag"][0]["deleted"] is True
    names = [row["group_name"] for row in api.post("externalcontact/get_corp_tag_list")["tag_group"]]
    assert "来源" not in names  # an empty group goes too


def test_mark_tag(corp: Sandbox, api: Api, wechat: Client) -> None:
    corp.load(customers=[{"external_userid": "wmA", "name": "甲", "follows": [{"userid": "lisi"}]}])
    library = {
        tag["name"]: tag["id"]
        for row in api.post("externalcontact/get_corp_tag_list")["tag_group"]
        for tag in row["tag"]
    }
    wechat.external_contact.mark_tag("LISI", "wmA", [library["黄金"], library["咖啡"]], [])
    wechat.external_contact.mark_tag("lisi", "wmA", [library["黄金"]], [library["咖啡"], library["普通"]])
    follow = api.get("externalcontact/get", external_userid="wmA")["follow_user"][0]
    assert [tag["tag_name"] for tag in follow["tags"]] == ["黄金"]
    mark = "externalcontact/mark_tag"
    assert api.code(mark, userid="lisi", external_userid="wmA", add_tag=["etNone"]) == 40068
    assert api.code(mark, userid="lisi", external_userid="wmA") == 40063
    assert api.code(mark, userid="ZhangSan", external_userid="wmA", add_tag=[library["黄金"]]) == 84061
    assert api.code(mark, userid="lisi", external_userid="wmNone", add_tag=[library["黄金"]]) == 40096
    assert corp.deliveries() == []
