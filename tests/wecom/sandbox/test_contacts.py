"""Members, departments, customers, remarks."""

import pytest
from wechatpy.exceptions import WeChatClientException

from tests.wecom.sandbox.conftest import Api, Client
from tests.wecom.sandbox_client import CORPID, Sandbox

WM = "wmAAAAAAAAAAAAAAAAAAAAAAAAAAAA{:02d}"


@pytest.fixture
def customers(corp: Sandbox) -> list[str]:
    """Seven customers of ZhangSan, of whom two are lisi's too."""
    external = [WM.format(n) for n in range(7)]
    corp.load(
        customers=[
            {
                "external_userid": one,
                "name": f"客户{n}",
                "unionid": f"o{n}",
                "follows": [
                    {
                        "userid": "ZhangSan",
                        "remark": "老客",
                        "tags": ["黄金"],
                        "state": "shelf",
                        "createtime": 1700000000 + n,
                    }
                ]
                + ([{"userid": "lisi"}] if n < 2 else []),
            }
            for n, one in enumerate(external)
        ]
    )
    return external


def test_members_through_wechatpy(wechat: Client, corp: Sandbox) -> None:
    assert {row["userid"] for row in wechat.user.list(2)} == {"ZhangSan", "lisi"}
    assert {row["userid"] for row in wechat.user.list(1, True)} == {"ZhangSan", "lisi", "wangwu", "boss"}
    assert [row["name"] for row in wechat.department.get()] == ["总部", "一店", "二店"]
    detail = wechat.user.get("ZHANGSAN")  # ids compare without regard to case
    assert detail["userid"] == "ZhangSan" and detail["is_leader_in_dept"] == [1] and "mobile" not in detail
    with pytest.raises(WeChatClientException) as refused:
        wechat.user.get("nobody")
    assert refused.value.errcode == 60111


def test_departments(api: Api) -> None:
    assert [row["id"] for row in api.get("department/simplelist", id=2)["department_id"]] == [2]
    assert api.get("department/get", id=2)["department"]["department_leader"] == ["ZhangSan"]
    missing = api.get("department/list", id=99)
    assert (missing["errcode"], missing["department"]) == (60003, [])


def test_agent(api: Api) -> None:
    found = api.get("agent/get", agentid=1000002)
    assert found["allow_partys"] == {"partyid": [1]}
    assert api.get("agent/get", agentid=1)["errcode"] == 301002


def test_list_id_wants_the_contact_secret(corp: Sandbox, api: Api) -> None:
    assert api.post("user/list_id", limit=2) | {"errmsg": ""} == {
        "errcode": 48002,
        "errmsg": "",
        "dept_user": [],
    }
    corp.post("corps", corpid=CORPID, contact_secret="sync")
    token, cursor, rows = corp.token(secret="sync"), "", []
    while True:
        page = corp.api("user/list_id", {"limit": 2, "cursor": cursor}, access_token=token)
        rows += [(row["userid"], row["department"]) for row in page["dept_user"]]
        cursor = page["next_cursor"]
        if not cursor:
            break
    assert rows == [("ZhangSan", 2), ("lisi", 2), ("lisi", 3), ("wangwu", 3), ("boss", 1)]
    assert corp.api("externalcontact/list", access_token=token, userid="lisi")["errcode"] == 48002


def test_follow_users(wechat: Client) -> None:
    assert wechat.external_contact.get_follow_user_list()["follow_user"] == ["ZhangSan", "lisi", "wangwu"]


def test_list(wechat: Client, api: Api, customers: list[str]) -> None:
    assert wechat.external_contact.list("zhangsan")["external_userid"] == customers
    assert api.get("externalcontact/list", userid="wangwu") | {"errmsg": ""} == {
        "errcode": 84061,
        "errmsg": "",
        "external_userid": [],
    }
    assert api.get("externalcontact/list", userid="boss")["errcode"] == 84074
    assert api.get("externalcontact/list", userid="nobody")["errcode"] == 60111


def test_get(wechat: Client, api: Api, customers: list[str]) -> None:
    found = wechat.external_contact.get(customers[0])
    assert found["external_contact"]["name"] == "客户0" and found["external_contact"]["unionid"] == "o0"
    first, second = found["follow_user"]
    assert (first["userid"], first["remark"], first["state"], first["createtime"]) == (
        "ZhangSan",
        "老客",
        "shelf",
        1700000000,
    )
    tag = first["tags"][0]
    assert (tag["group_name"], tag["tag_name"], tag["type"]) == ("等级", "黄金", 1) and tag[
        "tag_id"
    ].startswith("et")
    assert second["userid"] == "lisi" and "state" not in second and "next_cursor" not in found
    assert api.get("externalcontact/get")["errcode"] == 41035
    assert api.get("externalcontact/get", external_userid="wmNobody")["errcode"] == 40096


def test_unionid_needs_the_open_platform(corp: Sandbox, api: Api, customers: list[str]) -> None:
    corp.post("corps", corpid=CORPID, open_platform=False)
    assert "unionid" not in api.get("externalcontact/get", external_userid=customers[0])["external_contact"]


def test_batch_pages(api: Api, customers: list[str]) -> None:
    rows, cursor, pages = [], "", 0
    while True:
        page = api.post(
            "externalcontact/batch/get_by_user", userid_list=["ZhangSan", "lisi"], limit=4, cursor=cursor
        )
        rows += [
            (row["follow_info"]["userid"], row["external_contact"]["external_userid"])
            for row in page["external_contact_list"]
        ]
        cursor, pages = page["next_cursor"], pages + 1
        if not cursor:
            break
    assert rows == [("ZhangSan", one) for one in customers] + [("lisi", one) for one in customers[:2]]
    assert pages == 3
    info = page["external_contact_list"][0]["follow_info"]
    assert info["tag_id"] == [] and "tags" not in info
    assert (
        api.post("externalcontact/batch/get_by_user", userid_list=["lisi"], cursor="junk")["errcode"] == 50100
    )
    assert api.post("externalcontact/batch/get_by_user", userid_list=["x"] * 101)["errcode"] == 40058
    assert api.post("externalcontact/batch/get_by_user", userid_list="lisi")["external_contact_list"] == []


def test_remark(api: Api, corp: Sandbox, customers: list[str], receiver) -> None:
    who = {"userid": "ZhangSan", "external_userid": customers[0]}
    assert api.code("externalcontact/remark", **who) == 40063
    assert api.code("externalcontact/remark", **who, remark="字" * 21) == 40058
    assert api.code("externalcontact/remark", **who, description="字" * 151) == 40058
    assert api.code("externalcontact/remark", **who, remark="字" * 20, remark_mobiles=["13900000000"]) == 0
    follow = api.get("externalcontact/get", external_userid=customers[0])["follow_user"][0]
    assert follow["remark"] == "字" * 20 and follow["remark_mobiles"] == ["13900000000"]
    assert api.code("externalcontact/remark", **who, remark_mobiles=[""]) == 0
    follow = api.get("externalcontact/get", external_userid=customers[0])["follow_user"][0]
    assert follow["remark_mobiles"] == [] and follow["remark"] == "字" * 20
    assert (
        api.code("externalcontact/remark", userid="wangwu", external_userid=customers[0], remark="x") == 84061
    )
    assert corp.deliveries() == []  # what the API writes makes no event


def test_visible_range(corp: Sandbox, api: Api, customers: list[str]) -> None:
    corp.post("corps", corpid=CORPID, visible={"users": ["lisi"], "departments": []})
    assert api.get("externalcontact/get_follow_user_list")["follow_user"] == ["lisi"]
    assert [
        row["userid"] for row in api.get("externalcontact/get", external_userid=customers[0])["follow_user"]
    ] == ["lisi"]
    assert api.get("externalcontact/get", external_userid=customers[5])["errcode"] == 84061
    assert api.get("externalcontact/list", userid="ZhangSan")["errcode"] == 60011
    assert api.get("user/get", userid="ZhangSan")["errcode"] == 60011
    assert api.get("department/list")["department"] == []
    served = api.post("externalcontact/contact_list")["info_list"]
    assert served and {row["follow_userid"] for row in served} == {"lisi"}


def test_generated_customers(corp: Sandbox, api: Api) -> None:
    assert corp.post("generate", corpid=CORPID, customers=250, seed=7) == {"customers": 250, "members": 3}
    assert corp.get("state", corpid=CORPID)["counts"]["follows"] == 250
    first = api.post("externalcontact/batch/get_by_user", userid_list=["lisi"], limit=1)[
        "external_contact_list"
    ][0]
    corp.reset()
    corp.make_corp()
    corp.load(members=[{"userid": userid} for userid in ("ZhangSan", "lisi", "wangwu")])
    corp.post("generate", corpid=CORPID, customers=250, seed=7)
    again = Api(corp).post("externalcontact/batch/get_by_user", userid_list=["lisi"], limit=1)[
        "external_contact_list"
    ][0]
    assert again["external_contact"]["external_userid"] == first["external_contact"]["external_userid"]
    assert again["external_contact"]["unionid"] == first["external_contact"]["unionid"]


def test_prepared_pages_are_what_the_tables_say(corp: Sandbox, api: Api, customers: list[str]) -> None:
    """The same pages, from bytes kept before; what changes is put together anew."""

    def pages() -> list[dict]:
        found, cursor = [], ""
        while True:
            page = api.post(
                "externalcontact/batch/get_by_user", userid_list=["lisi", "ZHANGSAN"], limit=4, cursor=cursor
            )
            found.append(page)
            cursor = page["next_cursor"]
            if not cursor:
                return found

    before = pages()
    assert [len(page["external_contact_list"]) for page in before] == [4, 4, 1]
    assert corp.post("prepare", corpid=CORPID) == {"prepared": 9}
    assert pages() == before
    assert corp.post("prepare", corpid=CORPID) == {"prepared": 9}
    corp.post(
        "member_edits",
        corpid=CORPID,
        userid="lisi",
        external_userid=customers[1],
        remark="新",
        add_tags=["普通"],
    )
    corp.load(customers=[{"external_userid": customers[3], "name": "改名"}])
    corp.post("member_deletes", corpid=CORPID, userid="ZhangSan", external_userid=customers[6])
    after = [row for page in pages() for row in page["external_contact_list"]]
    assert len(after) == 8
    assert after[1]["follow_info"]["remark"] == "新"
    assert len(after[1]["follow_info"]["tag_id"]) == 1
    assert [
        r["external_contact"]["name"]
        for r in after
        if r["external_contact"]["external_userid"] == customers[3]
    ] == ["改名"]
