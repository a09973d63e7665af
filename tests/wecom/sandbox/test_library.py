"""Directory writes, member tags, rule groups, album, intercept rules, cards, files by address."""

import hashlib

import pytest

from tests.wecom.sandbox.conftest import Api, Client, Receiver
from tests.wecom.sandbox_client import CORPID, ControlError, Sandbox

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 64
X = "externalcontact/"


@pytest.fixture
def sync(corp: Sandbox) -> Api:
    """Calls with the contact-sync secret."""
    corp.post("corps", corpid=CORPID, contact_secret="sync")
    found = Api(corp)
    found.token = corp.token(secret="sync")
    return found


def test_departments(sync: Api, api: Api, receiver: Receiver) -> None:
    create, update = "department/create", "department/update"
    assert api.code(create, name="三店", parentid=1) == 48002
    made = sync.post(create, name="三店", parentid=1, order=7)
    assert (made["errmsg"], made["id"]) == ("created", 4)
    assert sync.code(create, name="三店", parentid=1) == 60008
    assert sync.code(create, name="a*b", parentid=1) == 40058
    assert sync.code(create, name="四店", parentid=99) == 60004
    assert sync.code(update, id=1, parentid=4) == 60004  # below itself
    assert sync.code(update, id=4, name="三店新") == 0
    assert api.get("department/get", id=4)["department"]["name"] == "三店新"
    delete = "department/delete"
    assert [sync.get(delete, id=one)["errcode"] for one in (1, 2, 99, 4)] == [60007, 60005, 60003, 0]
    assert receiver.raw == []  # what is done by API makes no event


def test_members(sync: Api, api: Api, corp: Sandbox) -> None:
    create = "user/create"
    new = {"userid": "zhaoliu", "name": "赵六", "department": [2, 77], "mobile": "13911112222"}
    assert sync.code(create, **{**new, "userid": "-bad"}) == 40003
    assert sync.code(create, **{**new, "department": "2"}) == 41019
    assert sync.code(create, **{**new, "mobile": ""}) == 60129
    assert sync.code(create, **{**new, "mobile": "13800000001"}) == 60104
    made = sync.post(create, **new)
    assert made["created_department_list"]["department_info"][0]["id"] == 77
    assert sync.code(create, **{**new, "userid": "ZhaoLiu"}) == 60102
    assert api.get("user/get", userid="zhaoliu")["status"] == 4
    assert sync.code("user/update", userid="lisi", mobile="13700000000", position="店长") == 0
    assert api.post("user/getuserid", mobile="13800000001")["userid"] == "lisi"  # an active one's stays
    assert api.get("user/get", userid="lisi")["position"] == "店长"
    sync.post("user/update", userid="wangwu", email="w@a.example")
    assert api.post("user/get_userid_by_email", email="w@a.example")["userid"] == "wangwu"
    openid = api.post("user/convert_to_openid", userid="lisi")["openid"]
    assert api.post("user/convert_to_userid", openid=openid)["userid"] == "lisi"
    assert sync.code("user/batchdelete", useridlist=["zhaoliu", "nobody"]) == 40031
    assert sync.code("user/batchdelete", useridlist=["zhaoliu"]) == 0
    assert sync.get("user/delete", userid="zhaoliu")["errcode"] == 60111
    assert corp.deliveries() == []


def test_member_tags_through_wechatpy(wechat: Client, corp: Sandbox, api: Api) -> None:
    tag_id = wechat.tag.create("店长")["tagid"]
    assert wechat.tag.list() == [{"tagid": tag_id, "tagname": "店长"}]
    assert wechat.tag.add_users(tag_id, ["LISI", "nobody"])["invalidlist"] == "nobody"
    assert wechat.tag.get_users(tag_id)["userlist"] == [{"userid": "lisi", "name": "李四"}]
    assert api.code("tag/addtagusers", tagid=tag_id, userlist=["nobody"]) == 40070
    assert api.code("tag/create", tagname="店长") == 40071
    wechat.tag.delete_users(tag_id, ["lisi"])
    assert wechat.tag.get_users(tag_id)["userlist"] == []
    corp.make_corp(agent_id=1000003, secret="second")
    other = corp.token(secret="second")
    assert corp.api("tag/update", {"tagid": tag_id, "tagname": "x"}, access_token=other)["errcode"] == 81011
    wechat.tag.delete(tag_id)
    assert wechat.tag.list() == []


def test_rule_groups_and_their_tags(corp: Sandbox, api: Api) -> None:
    given = {"strategy_name": "华东", "admin_list": ["boss"], "range": [{"type": 1, "userid": "lisi"}]}
    strategy_id = api.post(X + "customer_strategy/create", **given, privilege={"contact_me": True})[
        "strategy_id"
    ]
    found = api.post(X + "customer_strategy/get", strategy_id=strategy_id)["strategy"]
    assert found["privilege"]["contact_me"] is True and found["privilege"]["join_room"] is False
    edit = X + "customer_strategy/edit"
    assert api.code(edit, strategy_id=strategy_id, range_add=[{"type": 2, "partyid": 2}]) == 0
    ranges = api.post(X + "customer_strategy/get_range", strategy_id=strategy_id, limit=1)
    assert ranges["range"] == [{"type": 1, "userid": "lisi"}]
    rest = api.post(X + "customer_strategy/get_range", strategy_id=strategy_id, cursor=ranges["next_cursor"])
    assert rest["range"] == [{"type": 2, "partyid": 2}]
    assert api.post(X + "moment_strategy/list")["strategy"] == []

    made = api.post(
        X + "add_strategy_tag", strategy_id=strategy_id, group_name="到店", tag=[{"name": "常客"}]
    )
    tag_id = made["tag_group"]["tag"][0]["id"]
    assert tag_id.startswith("st") and made["tag_group"]["strategy_id"] == strategy_id
    names = {row["group_name"] for row in api.post(X + "get_corp_tag_list")["tag_group"]}
    assert "到店" not in names
    assert api.code(X + "edit_corp_tag", id=tag_id, name="x") == 40068
    corp.load(customers=[{"external_userid": "wm1", "name": "a", "follows": [{"userid": "lisi"}]}])
    assert api.code(X + "mark_tag", userid="lisi", external_userid="wm1", add_tag=[tag_id]) == 0
    (tag,) = api.get(X + "get", external_userid="wm1")["follow_user"][0]["tags"]
    assert (tag["tag_name"], tag["type"]) == ("常客", 3)
    assert api.code(X + "del_strategy_tag", tag_id=[tag_id]) == 0
    assert api.post(X + "get_strategy_tag_list", strategy_id=strategy_id)["tag_group"] == []
    assert api.code(X + "customer_strategy/del", strategy_id=strategy_id) == 0
    assert api.code(X + "customer_strategy/get", strategy_id=strategy_id) == 40058


def test_album(corp: Sandbox, api: Api) -> None:
    def upload(use: str) -> str:
        query = {"access_token": api.token, "media_type": "image", "attachment_type": use}
        url = f"{corp.url}/cgi-bin/media/upload_attachment"
        return corp.http.post(url, params=query, files={"media": ("a.png", PNG)}).json()["media_id"]

    def pictures(use: str) -> list[dict]:
        return [{"type": "image", "image": {"media_id": upload(use)}}]

    add = X + "add_product_album"
    tea = {"description": "龙井", "price": 12800, "product_sn": "LJ50"}
    assert api.code(add, **tea, attachments=pictures("1")) == 40007  # uploaded for moments
    assert api.code(add, **{**tea, "price": 5_000_001}, attachments=pictures("2")) == 40058
    assert api.code(add, **{**tea, "product_sn": "龙-1"}, attachments=pictures("2")) == 40058
    product_id = api.post(add, **tea, attachments=pictures("2"))["product_id"]
    assert api.code(X + "update_product_album", product_id=product_id, price=9900) == 0
    assert api.post(X + "get_product_album", product_id=product_id)["product"]["price"] == 9900
    assert [row["product_id"] for row in api.post(X + "get_product_album_list")["product_list"]] == [
        product_id
    ]
    assert api.code(X + "delete_product_album", product_id=product_id) == 0
    assert api.code(X + "get_product_album", product_id=product_id) == 40058


def test_intercept_rules(api: Api) -> None:
    given = {"rule_name": "私单", "word_list": ["转账"], "semantics_list": [1], "intercept_type": 1}
    assert api.code(X + "add_intercept_rule", **given) == 40063
    people = {"user_list": ["lisi"], "department_list": [2]}
    rule_id = api.post(X + "add_intercept_rule", **given, applicable_range=people)["rule_id"]
    more = {
        "add_applicable_range": {"user_list": ["wangwu"]},
        "remove_applicable_range": {"department_list": [2]},
    }
    assert (
        api.code(X + "update_intercept_rule", rule_id=rule_id, extra_rule={"semantics_list": [2, 3]}, **more)
        == 0
    )
    rule = api.post(X + "get_intercept_rule", rule_id=rule_id)["rule"]
    assert rule["applicable_range"] == {"user_list": ["lisi", "wangwu"], "department_list": []}
    assert rule["extra_rule"] == {"semantics_list": [2, 3]} and rule["word_list"] == ["转账"]
    assert len(api.get(X + "get_intercept_rule_list")["rule_list"]) == 1
    assert api.code(X + "del_intercept_rule", rule_id=rule_id) == 0
    assert api.get(X + "get_intercept_rule_list")["rule_list"] == []


def test_cards(corp: Sandbox, api: Api, receiver: Receiver) -> None:
    card = {
        "card_type": "button_interaction",
        "task_id": "t1",
        "main_title": {"title": "跟进"},
        "button_list": [{"text": "已跟进", "key": "done"}],
    }
    body = {"touser": "lisi|wangwu", "agentid": 1000002, "msgtype": "template_card", "template_card": card}
    sent = api.post("message/send", **body)
    corp.post(
        "card_click",
        corpid=CORPID,
        userid="lisi",
        msgid=sent["msgid"],
        key="done",
        options={"q1": ["a", "b"]},
    )
    with pytest.raises(ControlError):
        corp.post("card_click", corpid=CORPID, userid="ZhangSan", msgid=sent["msgid"], key="done")
    corp.wait_idle()
    (event,) = receiver.events
    assert (event["Event"], event["FromUserName"], event["EventKey"]) == (
        "template_card_event",
        "lisi",
        "done",
    )
    assert (event["TaskId"], event["AgentID"], "ChangeType" in event) == ("t1", "1000002", False)
    assert event["SelectedItems"]["SelectedItem"] == {
        "QuestionKey": "q1",
        "OptionIds": {"OptionId": ["a", "b"]},
    }
    update = {"agentid": 1000002, "response_code": event["ResponseCode"], "button": {"replace_name": "完成"}}
    answer = api.post("message/update_template_card", **update, userids=["lisi", "nobody"])
    assert answer["errcode"] == 0 and answer["invaliduser"] == ["nobody"]
    shown = {row["userid"]: row["attachments"][0]["template_card"] for row in corp.sent("app")}
    assert shown["lisi"]["replaced_by"] == "完成" and "replaced_by" not in shown["wangwu"]
    assert api.code("message/update_template_card", **update, userids=["lisi"]) == 42017
    corp.post("corps", corpid=CORPID, callback_url="")
    assert api.code("message/send", **body) == 43012


def test_files_by_address(corp: Sandbox, api: Api, receiver: Receiver) -> None:
    url = f"{corp.url}/assets/sandbox.css"
    right = hashlib.md5(corp.http.get(url).content).hexdigest()

    def fetched(**over: str) -> dict:
        given = {"scene": 1, "type": "file", "filename": "a.css", "url": url, "md5": right, **over}
        jobid = api.post("media/upload_by_url", **given)["jobid"]

        def done() -> dict | None:
            found = api.post("media/get_upload_by_url_result", jobid=jobid)
            return found if found["status"] != 1 else None

        return corp.wait_for(done)

    found = fetched()
    assert found["status"] == 2
    content = {"text": {"content": "群规"}, "file": {"media_id": found["detail"]["media_id"]}}
    assert api.code(X + "group_welcome_template/add", **content) == 0
    assert fetched(md5="0" * 32)["detail"]["errcode"] == 301019
    assert fetched(url=f"{corp.url}/nowhere")["detail"]["errcode"] == 830003
    corp.wait_idle()
    assert [event["Event"] for event in receiver.events] == ["upload_media_job_finish"] * 3


def test_what_only_third_parties_may_call(api: Api) -> None:
    for path in ("idconvert/unionid_to_external_userid", X + "get_new_external_userid"):
        assert api.code(path, unionid="o1", openid="o2") == 48002
