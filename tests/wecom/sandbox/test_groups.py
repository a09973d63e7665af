"""Groups, join ways, welcome templates, moments, acquisition links, transfers, figures, the console."""

import pytest

from tests.wecom.sandbox.conftest import Api, Client, Receiver
from tests.wecom.sandbox_client import CORPID, ControlError, Sandbox

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 64
DAY = 86_400


def upload(corp: Sandbox, api: Api, **query: str) -> str:
    """An attachment for moments."""
    answer = corp.http.post(
        f"{corp.url}/cgi-bin/media/upload_attachment",
        params={"access_token": api.token, "media_type": "image", "attachment_type": "1", **query},
        files={"media": ("a.png", PNG)},
    )
    return answer.json()["media_id"]


@pytest.fixture
def noon(corp: Sandbox) -> Sandbox:
    """The corp at a noon in Shanghai: days begin and end long before and after."""
    corp.post("clock", at=1_790_049_600)
    return corp


@pytest.fixture
def people(corp: Sandbox) -> list[str]:
    """Three customers of lisi's, the last gold."""
    external = [f"wm{n}" for n in range(3)]
    corp.load(
        customers=[
            {
                "external_userid": one,
                "name": one,
                "unionid": f"o{one}",
                "follows": [{"userid": "lisi", "tags": ["黄金"] * (one == "wm2")}],
            }
            for one in external
        ]
    )
    return external


@pytest.fixture
def chat(corp: Sandbox, people: list[str]) -> str:
    """A group of lisi's with ZhangSan and the first customer."""
    given = {"owner": "LISI", "name": "一店福利群", "members": ["ZhangSan"], "customers": ["wm0"]}
    return corp.post("group_create", corpid=CORPID, **given)["chat_id"]


def test_groups_through_wechatpy(wechat: Client, corp: Sandbox, chat: str) -> None:
    groups = wechat.external_contact_group_chat
    assert chat.startswith("wr") and len(chat) == 32
    assert groups.list(limit=10)["group_chat_list"] == [{"chat_id": chat, "status": 0}]
    found = groups.get(chat)["group_chat"]
    assert (found["owner"], found["name"]) == ("lisi", "一店福利群")
    assert [(row["userid"], row["type"]) for row in found["member_list"]] == [
        ("lisi", 1),
        ("ZhangSan", 1),
        ("wm0", 2),
    ]
    assert found["member_list"][2]["unionid"] == "owm0" and "name" not in found["member_list"][2]
    assert found["member_list"][2]["invitor"] == {"userid": "lisi"}


def test_what_happens_in_a_group(corp: Sandbox, api: Api, receiver: Receiver, chat: str) -> None:
    here = {"corpid": CORPID, "chat_id": chat}
    before = api.post("externalcontact/groupchat/get", chat_id=chat)["group_chat"]["member_version"]
    joined = corp.post("group_join", **here, name="路人")
    corp.post("group_join", **here, external_userid="wm1", invitor="lisi")
    corp.post("group_leave", **here, who="wm0", removed_by="lisi")
    corp.post("group_change", **here, name="新群名", notice="公告", owner="ZhangSan")
    corp.wait_idle()
    events = [
        row["UpdateDetail"] for row in sorted(receiver.named("update"), key=lambda row: row["CreateTime"])
    ]
    assert sorted(events) == [
        "add_member",
        "add_member",
        "change_name",
        "change_notice",
        "change_owner",
        "del_member",
    ]
    first = next(row for row in receiver.named("update") if row.get("LastMemVer") == before)
    assert (first["JoinScene"], first["MemChangeCnt"]) == ("3", "1")
    assert first["MemChangeList"] == {"Item": joined["external_userid"]}
    removed = next(row for row in receiver.named("update") if row["UpdateDetail"] == "del_member")
    assert removed["QuitScene"] == "1"
    found = api.post("externalcontact/groupchat/get", chat_id=chat, need_name=1)["group_chat"]
    last = next(row for row in receiver.named("update") if row["UpdateDetail"] == "change_owner")
    assert found["member_version"] == last["CurMemVer"] and found["owner"] == "ZhangSan"
    by_name = {row["name"]: row["join_scene"] for row in found["member_list"]}
    assert by_name == {"李四": 1, "张三": 1, "路人": 3, "wm1": 1}
    corp.post("group_dismiss", **here)
    assert api.code("externalcontact/groupchat/get", chat_id=chat) == 49008
    assert api.code("externalcontact/groupchat/get", chat_id="wrNone") == 40050


def test_details_come_late(corp: Sandbox, api: Api, chat: str) -> None:
    corp.post("settings", group_lag_s=30)
    corp.post("group_join", corpid=CORPID, chat_id=chat, external_userid="wm1")

    def members() -> int:
        return len(api.post("externalcontact/groupchat/get", chat_id=chat)["group_chat"]["member_list"])

    assert members() == 3
    corp.post("clock", advance_s=31)
    assert members() == 4


def test_join_ways(corp: Sandbox, api: Api, chat: str) -> None:
    add, get = "externalcontact/groupchat/add_join_way", "externalcontact/groupchat/get_join_way"
    assert api.code(add, scene=2) == 40058
    assert api.code(add, scene=2, chat_id_list=["wrNone"]) == 40050
    made = api.post(
        add,
        scene=2,
        chat_id_list=[chat],
        room_base_name="福利群",
        room_base_id=10,
        state="table",
        remark="长" * 40,
    )
    assert "qr_code" not in made
    way = api.post(get, config_id=made["config_id"])["join_way"]
    assert way["remark"] == "长" * 30 and corp.http.get(way["qr_code"]).headers["Content-Type"] == "image/png"
    corp.post("settings", group_full_at=4)
    assert (
        corp.post("group_join", corpid=CORPID, config_id=made["config_id"], external_userid="wm1")["chat_id"]
        == chat
    )
    second = corp.post("group_join", corpid=CORPID, config_id=made["config_id"], external_userid="wm2")[
        "chat_id"
    ]
    assert second != chat
    assert api.post(get, config_id=made["config_id"])["join_way"]["chat_id_list"] == [chat, second]
    new = api.post("externalcontact/groupchat/get", chat_id=second)["group_chat"]
    assert new["name"] == "福利群10"
    assert new["member_list"][-1]["state"] == "table"
    update = "externalcontact/groupchat/update_join_way"
    assert (
        api.code(update, config_id=made["config_id"], scene=2, chat_id_list=[chat], auto_create_room=0) == 0
    )
    with pytest.raises(ControlError, match="full"):
        corp.post("group_join", corpid=CORPID, config_id=made["config_id"], name="迟到")
    assert api.code("externalcontact/groupchat/del_join_way", config_id=made["config_id"]) == 0
    assert api.code(get, config_id=made["config_id"]) == 41044


def test_group_welcome(corp: Sandbox, api: Api, chat: str) -> None:
    add = "externalcontact/group_welcome_template/add"
    assert api.code(add) == 40063
    link = {"title": "活动", "url": "https://a.example/"}
    template_id = api.post(add, text={"content": "欢迎 %NICKNAME%"}, link=link)["template_id"]
    found = api.post("externalcontact/group_welcome_template/get", template_id=template_id)
    assert found["text"]["content"] == "欢迎 %NICKNAME%" and found["link"]["title"] == "活动"
    corp.post("group_change", corpid=CORPID, chat_id=chat, template_id=template_id)
    corp.post("group_join", corpid=CORPID, chat_id=chat, name="小明")
    (message,) = corp.sent("gwelcome")
    assert message["text"] == "欢迎 小明" and message["attachments"][0]["msgtype"] == "link"
    assert corp.sent("app")[0]["userid"] == "lisi"  # the owner was told of the template
    assert api.code("externalcontact/group_welcome_template/del", template_id=template_id) == 0
    assert api.code("externalcontact/group_welcome_template/get", template_id=template_id) == 40037


def test_mass_send_to_groups(corp: Sandbox, api: Api, chat: str) -> None:
    body = {"chat_type": "group", "sender": "lisi", "text": {"content": "今晚直播"}}
    made = api.post("externalcontact/add_msg_template", **body, chat_id_list=[chat, "wrNone"])
    assert made["fail_list"] == ["wrNone"]
    result = "externalcontact/get_groupmsg_send_result"
    assert (
        api.post(result, msgid=made["msgid"], userid="lisi")["send_list"] == []
    )  # the owner has not chosen yet
    corp.post("confirm", corpid=CORPID, msgid=made["msgid"], chat_ids=[chat])
    (row,) = api.post(result, msgid=made["msgid"], userid="lisi")["send_list"]
    assert (row["chat_id"], row["status"]) == (chat, 1)


def test_groups_change_hands(corp: Sandbox, api: Api, receiver: Receiver, chat: str) -> None:
    on_job, resigned = "externalcontact/groupchat/onjob_transfer", "externalcontact/groupchat/transfer"
    failed = api.post(resigned, chat_id_list=[chat], new_owner="wangwu")["failed_chat_list"]
    assert [(row["chat_id"], row["errcode"]) for row in failed] == [(chat, 90500)]
    assert (
        api.post(on_job, chat_id_list=[chat, "wrNone"], new_owner="wangwu")["failed_chat_list"][0]["errcode"]
        == 90501
    )
    corp.wait_idle()
    assert receiver.named("update")[-1]["UpdateDetail"] == "change_owner"
    corp.post("member_leaves", corpid=CORPID, userid="wangwu")
    listed = "externalcontact/groupchat/list"
    assert api.post(listed, limit=10)["group_chat_list"] == []
    owner = {"owner_filter": {"userid_list": ["wangwu"]}}
    assert api.post(listed, limit=10, **owner)["group_chat_list"] == [{"chat_id": chat, "status": 1}]
    assert api.post(on_job, chat_id_list=[chat], new_owner="lisi")["failed_chat_list"][0]["errcode"] == 90502
    assert api.post(resigned, chat_id_list=[chat], new_owner="lisi")["failed_chat_list"] == []
    assert api.post(listed, limit=10)["group_chat_list"] == [{"chat_id": chat, "status": 3}]


def test_moments(corp: Sandbox, api: Api, people: list[str]) -> None:
    corp.post("settings", moment_job_s=4)
    corp.stop_clock()
    add = "externalcontact/add_moment_task"
    picture = {"msgtype": "image", "image": {"media_id": upload(corp, api)}}
    assert api.code(add, text={"content": "x" * 2001}) == 40058
    assert api.code(add, attachments=[picture, {"msgtype": "link", "link": {}}]) == 40058
    gold = next(
        tag["id"]
        for row in api.post("externalcontact/get_corp_tag_list")["tag_group"]
        for tag in row["tag"]
        if tag["name"] == "黄金"
    )
    seen = {"sender_list": {"user_list": ["lisi", "nobody"]}, "external_contact_list": {"tag_list": [gold]}}
    jobid = api.post(add, text={"content": "新品"}, attachments=[picture], visible_range=seen)["jobid"]
    result = "externalcontact/get_moment_task_result"
    assert api.get(result, jobid=jobid)["status"] == 1
    corp.post("clock", advance_s=2.5)
    assert api.get(result, jobid=jobid)["status"] == 2
    corp.post("clock", advance_s=2)
    done = api.get(result, jobid=jobid)
    assert done["status"] == 3 and done["result"]["invalid_sender_list"]["user_list"] == ["nobody"]
    moment_id = done["result"]["moment_id"]
    who = {"moment_id": moment_id, "userid": "lisi"}
    assert api.post("externalcontact/get_moment_task", moment_id=moment_id)["task_list"] == [
        {"userid": "lisi", "publish_status": 0}
    ]
    assert api.code("externalcontact/get_moment_send_result", **who) == 41062
    assert api.code("externalcontact/get_moment_send_result", moment_id=moment_id, userid="wangwu") == 41061
    corp.post("publish", corpid=CORPID, moment_id=moment_id)
    assert api.post("externalcontact/get_moment_customer_list", **who)["customer_list"] == [
        {"userid": "lisi", "external_userid": "wm2"}
    ]
    assert api.post("externalcontact/get_moment_send_result", **who)["customer_list"] == [
        {"external_userid": "wm2"}
    ]
    corp.post("react", corpid=CORPID, **who, external_userid="wm2", kind="like")
    corp.post("react", corpid=CORPID, **who, by="ZhangSan", kind="comment", text="好")
    comments = api.post("externalcontact/get_moment_comments", **who)
    assert (
        comments["like_list"][0]["external_userid"] == "wm2"
        and comments["comment_list"][0]["userid"] == "ZhangSan"
    )
    now = int(corp.get("state")["now"])
    (row,) = api.post("externalcontact/get_moment_list", start_time=now - 60, end_time=now)["moment_list"]
    assert (row["visible_type"], row["create_type"], row["image"]) == (0, 0, [picture["image"]])
    assert api.get(result, jobid="none")["errcode"] == 40088


def test_ten_moments_a_minute(corp: Sandbox, api: Api, people: list[str]) -> None:
    codes = [api.code("externalcontact/add_moment_task", text={"content": "x"}) for _ in range(11)]
    assert codes == [0] * 10 + [45009]


def test_acquisition_links(corp: Sandbox, api: Api, receiver: Receiver) -> None:
    base = "externalcontact/customer_acquisition/"
    assert api.code(base + "create_link", link_name="直播间") == 40058
    made = api.post(base + "create_link", link_name="直播间", range={"user_list": ["lisi"]})["link"]
    link_id = made["link_id"]
    assert link_id.startswith("ca") and made["url"].endswith(f"/ca/{link_id}")
    assert api.post(base + "list_link")["link_id_list"] == [link_id]
    met = corp.post("scan", corpid=CORPID, link_id=link_id, customer_channel="live_1102")
    corp.wait_idle()
    (asked,) = receiver.named("friend_request")
    assert (asked["Event"], asked["LinkId"], asked["State"]) == ("customer_acquisition", link_id, "live_1102")
    assert receiver.named("add_external_contact")[0]["State"] == "live_1102"
    follow = api.get("externalcontact/get", external_userid=met["external_userid"])["follow_user"][0]
    assert (follow["add_way"], follow["state"]) == (16, "live_1102")
    assert api.get("externalcontact/customer_acquisition_quota")["balance"] == 999
    (row,) = api.post(base + "customer", link_id=link_id)["customer_list"]
    assert (row["chat_status"], row["state"]) == (0, "live_1102")
    corp.post("say", corpid=CORPID, userid="lisi", external_userid=met["external_userid"], text="hi")
    corp.wait_idle()
    assert receiver.named("customer_start_chat")[0]["ExternalUserID"] == met["external_userid"]
    assert api.post(base + "customer", link_id=link_id)["customer_list"][0]["chat_status"] == 1
    now = int(corp.get("state")["now"])
    counts = api.post(base + "statistic", link_id=link_id, start_time=now - DAY, end_time=now)
    assert (counts["click_link_customer_cnt"], counts["new_customer_cnt"]) == (1, 1)
    corp.post("acquisition_balance", corpid=CORPID, balance=1)
    corp.post("scan", corpid=CORPID, link_id=link_id)
    with pytest.raises(ControlError, match="balance"):
        corp.post("scan", corpid=CORPID, link_id=link_id)
    corp.wait_idle()
    assert len(receiver.named("balance_exhausted")) == 1
    update = {"link_id": link_id, "link_name": "新", "range": {"user_list": ["wangwu"]}, "skip_verify": False}
    assert api.code(base + "update_link", **update) == 0
    found = api.post(base + "get", link_id=link_id)
    assert found["range"]["user_list"] == ["wangwu"] and found["link"]["skip_verify"] is False
    assert api.code(base + "delete_link", link_id=link_id) == 0
    assert api.code(base + "get", link_id=link_id) == 40058


def test_on_job_transfer(corp: Sandbox, api: Api, receiver: Receiver, people: list[str]) -> None:
    move, result = "externalcontact/transfer_customer", "externalcontact/transfer_result"
    pair = {"handover_userid": "lisi", "takeover_userid": "wangwu"}
    answer = api.post(move, **pair, external_userid=["wm0", "wm1", "wmNone"])["customer"]
    assert [row["errcode"] for row in answer] == [0, 0, 40096]
    assert api.post(move, **pair, external_userid=["wm0"])["customer"][0]["errcode"] == 40129
    assert [row["status"] for row in api.post(result, **pair)["customer"]] == [2, 2]
    corp.post(
        "transfer_fails", corpid=CORPID, userid="wangwu", external_userid="wm1", reason="customer_refused"
    )
    corp.post("clock", advance_s=DAY + 1)
    api.token = corp.token()
    corp.wait_for(lambda: [row["status"] for row in api.post(result, **pair)["customer"]] == [1, 3])
    corp.wait_idle()
    assert receiver.named("transfer_fail")[0]["FailReason"] == "customer_refused"
    assert receiver.named("del_external_contact")[0]["Source"] == "DELETE_BY_TRANSFER"
    added = receiver.named("add_external_contact")[0]
    assert added["UserID"] == "wangwu" and "WelcomeCode" not in added
    follow = api.get("externalcontact/get", external_userid="wm0")["follow_user"]
    assert [(row["userid"], row["add_way"]) for row in follow] == [("wangwu", 202)]
    assert api.code(move, handover_userid="lisi", takeover_userid="boss", external_userid=["wm2"]) == 84074


def test_resigned_transfer(corp: Sandbox, api: Api, receiver: Receiver, people: list[str]) -> None:
    pair = {"handover_userid": "lisi", "takeover_userid": "wangwu"}
    assert api.code("externalcontact/resigned/transfer_customer", **pair, external_userid=["wm0"]) == 40097
    corp.post("member_leaves", corpid=CORPID, userid="lisi")
    unassigned = "externalcontact/get_unassigned_list"
    page = api.post(unassigned, page_size=2)
    assert [row["external_userid"] for row in page["info"]] == ["wm0", "wm1"] and page["is_last"] is False
    rest = api.post(unassigned, page_size=2, cursor=page["next_cursor"])
    assert [row["external_userid"] for row in rest["info"]] == ["wm2"] and rest["is_last"] is True
    assert len(api.post(unassigned, page_id=1, page_size=2)["info"]) == 1
    assert api.code("externalcontact/transfer_customer", **pair, external_userid=["wm0"]) == 60111
    moved = api.post("externalcontact/resigned/transfer_customer", **pair, external_userid=people)["customer"]
    assert {row["errcode"] for row in moved} == {0}
    assert corp.post("transfer_now", corpid=CORPID) == {"completed": 3}
    status = api.post("externalcontact/resigned/transfer_result", **pair)["customer"]
    assert {row["status"] for row in status} == {1}
    corp.wait_idle()
    assert receiver.named("del_external_contact") == [] and len(receiver.named("add_external_contact")) == 3
    assert api.post(unassigned)["info"] == []


def test_figures(noon: Sandbox, api: Api, wechat: Client, chat: str) -> None:
    corp = noon
    met = corp.post("scan", corpid=CORPID, userid="lisi")
    who = {"corpid": CORPID, "userid": "lisi", "external_userid": met["external_userid"]}
    corp.post("say", **who, text="在吗")
    corp.post("clock", advance_s=120)
    corp.post("reply", **who, text="在")
    corp.post("customer_deletes", **who)
    corp.post("group_say", corpid=CORPID, chat_id=chat, who="wm0", text="大家好")
    now = int(corp.get("state")["now"])
    behaviour = "externalcontact/get_user_behavior_data"
    assert (
        api.code(behaviour, userid=["lisi"], start_time=now, end_time=now) == 40058
    )  # today is not known yet
    corp.post("clock", advance_s=DAY)
    api.token = corp.token()
    days = wechat.external_contact.get_user_behavior_data(["lisi"], now - DAY, now)["behavior_data"]
    assert len(days) == 2 and days[0]["new_contact_cnt"] == 0
    today = days[1]
    assert (today["new_contact_cnt"], today["new_apply_cnt"], today["negative_feedback_cnt"]) == (1, 1, 1)
    assert (today["chat_cnt"], today["message_cnt"], today["reply_percentage"], today["avg_reply_time"]) == (
        1,
        1,
        100,
        2,
    )
    owner = {"owner_filter": {"userid_list": ["lisi"]}, "day_begin_time": now}
    (item,) = api.post("externalcontact/groupchat/statistic", **owner)["items"]
    assert (item["owner"], item["data"]["new_chat_cnt"], item["data"]["msg_total"]) == ("lisi", 1, 1)
    (item,) = api.post("externalcontact/groupchat/statistic_group_by_day", **owner)["items"]
    assert item["data"]["member_total"] == 3


def test_the_console(corp: Sandbox, api: Api, receiver: Receiver) -> None:
    corp.post("member_joins", corpid=CORPID, userid="newbie", name="新人", department=[2])
    corp.post("member_changes", corpid=CORPID, userid="newbie", department=[2, 3])
    corp.post("department_put", corpid=CORPID, id=9, name="三店", parentid=1)
    corp.post("department_put", corpid=CORPID, id=9, name="三店新", parentid=1)
    corp.post("department_deletes", corpid=CORPID, id=9)
    made = corp.post("tag_adds", corpid=CORPID, group_name="新组", tags=["一"])
    corp.post("tag_renames", corpid=CORPID, id=made["tags"]["一"], name="壹")
    corp.post("tag_deletes", corpid=CORPID, id=made["tags"]["一"])
    corp.post("tags_shuffled", corpid=CORPID, order=[])
    corp.wait_idle()
    kinds = sorted(row["ChangeType"] for row in receiver.events)
    of_people = ["create_user", "update_user", "create_party", "update_party", "delete_party"]
    of_tags = ["create", "create", "update", "delete", "delete", "shuffle"]
    assert kinds == sorted([*of_people, *of_tags])
    assert receiver.named("update_user")[0]["Department"] == "2,3"
    assert {row["TagType"] for row in receiver.named("create")} == {"tag", "tag_group"}
    assert {row["userid"] for row in api.get("user/simplelist", department_id=3)["userlist"]} >= {"newbie"}


def test_everybody_served(api: Api, people: list[str]) -> None:
    page = api.post("externalcontact/contact_list", limit=2)
    assert [row["external_userid"] for row in page["info_list"]] == ["wm0", "wm1"]
    rest = api.post("externalcontact/contact_list", limit=2, cursor=page["next_cursor"])
    assert [row["external_userid"] for row in rest["info_list"]] == ["wm2"] and rest["next_cursor"] == ""
