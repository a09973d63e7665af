"""Mass sends, app messages, media."""

import datetime

import pytest
from wechatpy.exceptions import WeChatClientException

from tests.wecom.sandbox.conftest import Api, Client
from tests.wecom.sandbox_client import CORPID, Sandbox

ADD, TASK = "externalcontact/add_msg_template", "externalcontact/get_groupmsg_task"
RESULT, LIST = "externalcontact/get_groupmsg_send_result", "externalcontact/get_groupmsg_list_v2"
PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 64
MP4 = b"\x00\x00\x00\x18ftypmp42" + b"0" * 64


@pytest.fixture
def people(corp: Sandbox) -> list[str]:
    """Four customers of ZhangSan; the first is lisi's too; the last is gold."""
    external = [f"wm{n}" for n in range(4)]
    corp.load(
        customers=[
            {
                "external_userid": one,
                "name": one,
                "follows": [{"userid": "ZhangSan", "tags": ["黄金"] if one == "wm3" else []}]
                + ([{"userid": "lisi"}] if one == "wm0" else []),
            }
            for one in external
        ]
    )
    return external


def add(api: Api, **over) -> dict:
    return api.post(ADD, **{"text": {"content": "上新"}, **over})


def results(api: Api, msgid: str, userid: str = "ZhangSan") -> dict[str, int]:
    rows, cursor = {}, ""
    while True:
        page = api.post(RESULT, msgid=msgid, userid=userid, limit=2, cursor=cursor)
        rows |= {row["external_userid"]: row["status"] for row in page["send_list"]}
        cursor = page["next_cursor"]
        if not cursor:
            return rows


def test_nothing_is_sent_before_the_member_confirms(
    corp: Sandbox, api: Api, wechat: Client, people: list[str]
) -> None:
    given = {"sender": "zhangsan", "external_userid": [*people, "wmNone"], "text": {"content": "上新"}}
    made = wechat.external_contact.add_msg_template(given)
    assert made["fail_list"] == ["wmNone"] and made["msgid"].startswith("msg")
    msgid = made["msgid"]
    assert api.post(TASK, msgid=msgid)["task_list"] == [{"userid": "ZhangSan", "status": 0}]
    assert results(api, msgid) == dict.fromkeys(people, 0) and corp.sent() == []

    corp.post("customer_deletes", corpid=CORPID, userid="ZhangSan", external_userid="wm1")
    assert corp.post("confirm", corpid=CORPID, msgid=msgid, userid="ZHANGSAN") == {"tasks": 1, "sent": 3}
    (task,) = api.post(TASK, msgid=msgid)["task_list"]
    assert task["status"] == 2 and task["send_time"] > 0
    assert results(api, msgid) == {"wm0": 1, "wm1": 2, "wm2": 1, "wm3": 1}
    assert [(row["external_userid"], row["text"], row["msgid"]) for row in corp.sent("mass")] == [
        (one, "上新", msgid) for one in ("wm0", "wm2", "wm3")
    ]
    assert corp.post("confirm", corpid=CORPID, msgid=msgid)["tasks"] == 0
    assert [row["change_type"] for row in corp.deliveries()] == ["del_follow_user"]


def test_dispatching_at_first(corp: Sandbox, api: Api, people: list[str]) -> None:
    corp.post("settings", dispatch_s=3)
    corp.stop_clock()
    msgid = add(api, sender="ZhangSan")["msgid"]
    early = api.post(TASK, msgid=msgid)
    assert (early["errcode"], early["task_list"]) == (41063, [])
    assert api.post(RESULT, msgid=msgid, userid="ZhangSan")["errcode"] == 41063
    corp.post("clock", advance_s=3)
    assert len(api.post(TASK, msgid=msgid)["task_list"]) == 1


def test_who_gets_it(corp: Sandbox, api: Api, people: list[str]) -> None:
    gold = next(
        tag["id"]
        for row in api.post("externalcontact/get_corp_tag_list")["tag_group"]
        for tag in row["tag"]
        if tag["name"] == "黄金"
    )
    everybody = add(api, sender="ZhangSan")["msgid"]
    assert set(results(api, everybody)) == set(people)
    tagged = add(api, tag_filter={"group_list": [{"tag_list": [gold, "etOther"]}]})["msgid"]
    assert set(results(api, tagged)) == {"wm3"}
    # a customer of two members goes to the one who last chatted with him
    corp.post("say", corpid=CORPID, userid="ZhangSan", external_userid="wm0", text="hi")
    assert set(results(api, add(api, external_userid=["wm0"])["msgid"])) == {"wm0"}
    corp.post("clock", advance_s=5)
    corp.post("say", corpid=CORPID, userid="lisi", external_userid="wm0", text="hi")
    assert set(results(api, add(api, external_userid=["wm0"])["msgid"], "lisi")) == {"wm0"}


@pytest.mark.parametrize(
    ("body", "errcode"),
    [
        ({}, 40058),
        ({"sender": "nobody"}, 40003),
        ({"sender": "boss"}, 84074),
        ({"sender": "wangwu"}, 41048),
        ({"sender": "ZhangSan", "external_userid": ["wmNone"]}, 41048),
        ({"sender": "ZhangSan", "text": {}}, 40058),
        ({"sender": "ZhangSan", "text": {"content": "字" * 1334}}, 45002),
        ({"sender": "ZhangSan", "text": {"content": "字" * 1333}}, 0),
        ({"sender": "ZhangSan", "external_userid": ["x"] * 10_001}, 40058),
        (
            {"sender": "ZhangSan", "attachments": [{"msgtype": "link", "link": {"title": "t", "url": "u"}}]},
            40054,
        ),
        ({"sender": "ZhangSan", "attachments": [{"msgtype": "link"}]}, 40063),
        ({"sender": "ZhangSan", "attachments": [{"msgtype": "voice"}]}, 41065),
        ({"sender": "ZhangSan", "attachments": [{"msgtype": "image", "image": {"media_id": "none"}}]}, 40007),
        (
            {
                "sender": "ZhangSan",
                "attachments": [{"msgtype": "link", "link": {"title": "t", "url": "http://a"}}] * 10,
            },
            40058,
        ),
        ({"chat_type": "group"}, 40063),
    ],
)
def test_refusals(api: Api, people: list[str], body: dict, errcode: int) -> None:
    assert add(api, **body)["errcode"] == errcode


def test_monthly_cap(corp: Sandbox, api: Api, people: list[str]) -> None:
    corp.post("settings", receive_cap=2)
    corp.post("clock", at=1_790_049_600)  # months are Shanghai's: in the middle of one
    api.token = corp.token()
    for expected in (1, 1, 3):
        msgid = add(api, sender="lisi")["msgid"]
        corp.post("confirm", corpid=CORPID, msgid=msgid)
        assert results(api, msgid, "lisi") == {"wm0": expected}
    today = datetime.datetime.fromtimestamp(corp.get("state")["now"], datetime.UTC)
    corp.post("clock", advance_s=(32 - today.day) * 86_400)
    api.token = corp.token()
    msgid = add(api, sender="lisi")["msgid"]
    corp.post("confirm", corpid=CORPID, msgid=msgid)
    assert results(api, msgid, "lisi") == {"wm0": 1}  # another month


def test_records(corp: Sandbox, api: Api, people: list[str]) -> None:
    made = [add(api, sender="ZhangSan", text={"content": f"第{n}次"})["msgid"] for n in range(5)]
    now = int(corp.get("state")["now"])
    seen, cursor = [], ""
    while True:
        page = api.post(
            LIST, chat_type="single", start_time=now - 60, end_time=now + 60, limit=2, cursor=cursor
        )
        seen += [row["msgid"] for row in page["group_msg_list"]]
        cursor = page["next_cursor"]
        if not cursor:
            break
    assert seen == made[::-1]
    (first,) = page["group_msg_list"]
    assert first["text"] == {"content": "第0次"} and "creator" not in first and first["create_type"] == 0
    assert api.code(LIST, chat_type="single", start_time=now - 40 * 86_400, end_time=now) == 40058
    assert api.code(TASK) == 41046
    assert api.code(TASK, msgid="msgNone") == 41047


def test_cancel_and_remind(corp: Sandbox, api: Api, people: list[str]) -> None:
    msgid = add(api, sender="ZhangSan")["msgid"]
    remind = "externalcontact/remind_groupmsg_send"
    assert [api.code(remind, msgid=msgid) for _ in range(4)] == [0, 0, 0, 45009]
    assert api.code("externalcontact/cancel_groupmsg_send", msgid=msgid) == 0
    assert corp.post("confirm", corpid=CORPID, msgid=msgid) == {"tasks": 0, "sent": 0}
    assert corp.sent() == []


def test_members_confirm_after_a_while(corp: Sandbox, api: Api, people: list[str]) -> None:
    corp.post("settings", confirm_after_s=[600, 900], confirm_rate=1)
    msgid = add(api, sender="ZhangSan")["msgid"]
    assert corp.get("state", corpid=CORPID)["waiting_tasks"] == 1
    corp.post("clock", advance_s=901)
    corp.wait_for(lambda: len(corp.sent("mass")) == 4)
    assert api.post(TASK, msgid=msgid)["task_list"][0]["status"] == 2


def test_app_messages(corp: Sandbox, wechat: Client, api: Api) -> None:
    sent = wechat.message.send_text(1000002, ["ZHANGSAN", "nobody"], "有新客户")
    assert sent["invaliduser"] == "nobody"
    wechat.message.send_text_card(1000002, ["lisi"], "标题", "描述", "http://a.example/")
    rows = corp.sent("app")
    assert [(row["userid"], row["text"]) for row in rows] == [
        ("ZhangSan", "有新客户"),
        ("lisi", "标题\n描述"),
    ]
    send = "message/send"
    assert api.code(send, touser="x", agentid=1000002, msgtype="text", text={"content": "x"}) == 81013
    assert api.code(send, agentid=1000002, msgtype="text", text={"content": "x"}) == 82001
    assert api.code(send, touser="lisi", agentid=7, msgtype="text", text={"content": "x"}) == 301002
    assert api.code(send, touser="lisi", agentid=1000002, msgtype="tweet") == 40008
    assert api.code(send, touser="lisi", agentid=1000002, msgtype="text", text={"content": ""}) == 44004
    assert api.code(send, toparty="2", agentid=1000002, msgtype="text", text={"content": "店"}) == 0
    assert {row["userid"] for row in corp.sent("app") if row["text"] == "店"} == {"ZhangSan", "lisi"}


def test_too_many_app_messages_vanish(corp: Sandbox, api: Api) -> None:
    body = {"touser": "lisi", "agentid": 1000002, "msgtype": "text", "text": {"content": "x"}}
    assert {api.code("message/send", **body) for _ in range(32)} == {0}
    assert len(corp.sent("app")) == 30


def test_media(corp: Sandbox, wechat: Client, api: Api, people: list[str]) -> None:
    media_id = wechat.media.upload("image", ("图.png", PNG))["media_id"]
    msgid = add(api, sender="lisi", attachments=[{"msgtype": "image", "image": {"media_id": media_id}}])[
        "msgid"
    ]
    corp.post("confirm", corpid=CORPID, msgid=msgid)
    assert corp.sent("mass")[0]["attachments"] == [{"msgtype": "image", "image": {"media_id": media_id}}]
    url = f"{corp.url}/cgi-bin/media/get"
    got = corp.http.get(url, params={"access_token": api.token, "media_id": media_id})
    assert got.content == PNG and "attachment" in got.headers["Content-Disposition"]
    corp.post("clock", advance_s=3 * 86_400 + 1)
    api.token = corp.token()
    assert api.get("media/get", media_id=media_id)["errcode"] == 40007
    assert (
        add(api, sender="lisi", attachments=[{"msgtype": "image", "image": {"media_id": media_id}}])[
            "errcode"
        ]
        == 40007
    )


def test_media_refusals(corp: Sandbox, wechat: Client, api: Api) -> None:
    def upload(kind: str, data: bytes) -> int:
        try:
            return wechat.media.upload(kind, ("a.bin", data)).get("errcode", 0)
        except WeChatClientException as problem:
            return problem.errcode

    assert upload("sticker", PNG) == 40005
    assert upload("image", MP4) == 40004
    assert upload("image", b"1234") == 40006
    assert upload("image", PNG + b"0" * 10 * 1024 * 1024) == 40009
    assert upload("video", MP4) == 0
    assert upload("voice", PNG) == 40004
    assert api.post("media/upload", x=1)["errcode"] == 40005
    url = wechat.media.upload_img(("a.png", PNG))["url"]
    assert corp.http.get(url).content == PNG
    for_moments = corp.http.post(
        f"{corp.url}/cgi-bin/media/upload_attachment",
        params={"access_token": api.token, "media_type": "image", "attachment_type": "1"},
        files={"media": ("a.png", PNG)},
    ).json()["media_id"]
    corp.load(customers=[{"external_userid": "wm0", "name": "a", "follows": [{"userid": "lisi"}]}])
    picture = [{"msgtype": "image", "image": {"pic_url": url}}]
    assert add(api, sender="lisi", attachments=picture)["errcode"] == 0
    picture = [{"msgtype": "image", "image": {"media_id": for_moments}}]
    assert add(api, sender="lisi", attachments=picture)["errcode"] == 40007
