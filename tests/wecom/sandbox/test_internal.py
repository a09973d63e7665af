"""What has no customers in it: groups of members, robots, what members write to the app; and retired calls."""

import base64
import hashlib
from typing import Any

import pytest
import requests
from wechatpy.enterprise.crypto import WeChatCrypto

from tests.wecom.sandbox.conftest import Api, Client, Receiver
from tests.wecom.sandbox_client import AES_KEY, CORPID, TOKEN, ControlError, Sandbox

PAIR = ["lisi", "WANGWU"]


def test_a_group_of_members(corp: Sandbox, api: Api) -> None:
    made = api.post("appchat/create", userlist=PAIR, owner="wangwu", name="一店")
    chatid = made["chatid"]
    info = api.get("appchat/get", chatid=chatid)["chat_info"]
    assert info == {"chatid": chatid, "name": "一店", "owner": "wangwu", "userlist": ["lisi", "wangwu"]}
    assert (
        api.code("appchat/update", chatid=chatid, add_user_list=["ZhangSan"], del_user_list=["wangwu"]) == 0
    )
    info = api.get("appchat/get", chatid=chatid)["chat_info"]
    assert (info["owner"], info["userlist"]) == ("lisi", ["lisi", "ZhangSan"])
    text = {"msgtype": "text", "text": {"content": "早会"}}
    assert api.code("appchat/send", chatid=chatid, **text) == 0
    assert [(row["external_userid"], row["text"]) for row in corp.sent("achat")] == [(chatid, "早会")]


@pytest.mark.parametrize(
    ("path", "body", "errcode"),
    [
        ("create", {"userlist": ["lisi"]}, 86006),
        ("create", {"userlist": ["lisi", "nobody"]}, 86216),
        ("create", {"userlist": PAIR, "owner": "boss"}, 86207),
        ("create", {"userlist": PAIR, "chatid": "has space"}, 86001),
        ("update", {"chatid": ""}, 86201),
        ("update", {"chatid": "nothing"}, 86003),
        ("send", {"chatid": "nothing", "msgtype": "text"}, 86003),
    ],
)
def test_groups_of_members_that_cannot_be(api: Api, path: str, body: dict[str, Any], errcode: int) -> None:
    assert api.code(f"appchat/{path}", **body) == errcode


def test_an_app_of_one_department_makes_no_groups(corp: Sandbox, api: Api) -> None:
    corp.post("corps", corpid=CORPID, visible={"departments": [2]})
    assert api.code("appchat/create", userlist=PAIR) == 60011


def robot(corp: Sandbox, body: dict[str, Any], key: str | None = None) -> int:
    key = key or corp.post("robot_add", corpid=CORPID, name="播报")["key"]
    answer = requests.post(f"{corp.url}/cgi-bin/webhook/send", params={"key": key}, json=body, timeout=60)
    return answer.json()["errcode"]


PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(20)
IMAGE = {"base64": base64.b64encode(PICTURE).decode(), "md5": hashlib.md5(PICTURE).hexdigest()}


@pytest.mark.parametrize(
    ("body", "errcode"),
    [
        ({"msgtype": "text", "text": {"content": "你好"}}, 0),
        ({"msgtype": "markdown", "markdown": {"content": "**新增** 3"}}, 0),
        ({"msgtype": "markdown", "markdown": {"content": "好" * 1366}}, 45002),
        ({"msgtype": "image", "image": IMAGE}, 0),
        ({"msgtype": "image", "image": {**IMAGE, "md5": "0" * 32}}, 301019),
        ({"msgtype": "news", "news": {"articles": [{"title": "日报", "url": "https://a.example/"}]}}, 0),
        ({"msgtype": "news", "news": {"articles": []}}, 40058),
        ({"msgtype": "text", "text": {}}, 44004),
        ({"msgtype": "song"}, 40008),
    ],
)
def test_robots_post(corp: Sandbox, body: dict[str, Any], errcode: int) -> None:
    assert robot(corp, body) == errcode
    assert len(corp.sent("robot")) == (errcode == 0)


def test_robots_have_their_own_files_and_a_limit(corp: Sandbox) -> None:
    key = corp.post("robot_add", corpid=CORPID)["key"]
    url = f"{corp.url}/cgi-bin/webhook/upload_media"
    sent = requests.post(
        url, params={"key": key, "type": "file"}, files={"media": ("a.txt", b"123456")}, timeout=60
    ).json()
    assert robot(corp, {"msgtype": "file", "file": {"media_id": sent["media_id"]}}, key) == 0
    assert robot(corp, {"msgtype": "text", "text": {"content": "x"}}, "nobody's key") == 93000
    codes = [robot(corp, {"msgtype": "text", "text": {"content": "x"}}, key) for _ in range(20)]
    assert codes == [0] * 19 + [45009]


def test_wechatpys_retired_calls(corp: Sandbox, wechat: Client) -> None:
    """get_group_msg_result and transfer: newer pages have others, wechatpy has these."""
    who = corp.post("scan", corpid=CORPID, userid="lisi")["external_userid"]
    template = {"external_userid": [who], "sender": "lisi", "text": {"content": "新品"}}
    msgid = wechat.external_contact.add_msg_template(template)["msgid"]
    assert wechat.external_contact.get_group_msg_result(msgid)["check_status"] == 0
    corp.post("confirm", corpid=CORPID, msgid=msgid)
    found = wechat.external_contact.get_group_msg_result(msgid)
    [row] = found["detail_list"]
    assert (found["check_status"], row["external_userid"], row["userid"], row["status"]) == (
        1,
        who,
        "lisi",
        1,
    )
    corp.post("member_leaves", corpid=CORPID, userid="lisi")
    assert wechat.external_contact.transfer(who, "lisi", "wangwu")["errcode"] == 0
    pair = {"external_userid": who, "handover_userid": "lisi", "takeover_userid": "wangwu"}
    assert wechat.post("externalcontact/get_transfer_result", data=pair)["status"] == 2


def test_wechatpys_groups_of_members(corp: Sandbox, wechat: Client) -> None:
    chatid = "ONE1"
    wechat.appchat.create(chatid, "一店", "lisi", ["lisi", "wangwu"])
    wechat.appchat.send_text(chatid, "早会")
    assert wechat.appchat.get(chatid)["owner"] == "lisi"
    assert [row["text"] for row in corp.sent("achat")] == ["早会"]


def test_a_member_writes_to_the_app(corp: Sandbox, receiver: Receiver) -> None:
    corp.post("app_says", corpid=CORPID, userid="lisi", text="你好")
    corp.post("app_says", corpid=CORPID, userid="lisi", msgtype="image", fields={"MediaId": "m1"})
    corp.wait_idle()
    said = sorted(receiver.events, key=lambda event: event["MsgType"])
    assert [(event["MsgType"], event["FromUserName"], event["AgentID"]) for event in said] == [
        ("image", "lisi", "1000002"),
        ("text", "lisi", "1000002"),
    ]
    assert said[1]["Content"] == "你好" and said[1]["MsgId"] != said[0]["MsgId"]
    with pytest.raises(ControlError, match="msgtype"):
        corp.post("app_says", corpid=CORPID, userid="lisi", msgtype="song")
    with pytest.raises(ControlError, match="event is one of"):
        corp.post("app_event", corpid=CORPID, event="earthquake")


@pytest.mark.parametrize("token", [TOKEN, "another"])
def test_a_passive_reply_counts_only_with_its_seal(corp: Sandbox, receiver: Receiver, token: str) -> None:
    crypto = WeChatCrypto(token, AES_KEY, CORPID)
    reply = (
        f"<xml><ToUserName>lisi</ToUserName><FromUserName>{CORPID}</FromUserName><CreateTime>1</CreateTime>"
        "<MsgType>text</MsgType><Content>收到</Content></xml>"
    )
    receiver.answer = crypto.encrypt_message(reply, "nonce", "1790000000").encode()
    corp.post("app_says", corpid=CORPID, userid="lisi", text="你好")
    corp.wait_idle()
    assert [row["text"] for row in corp.sent("app")] == (["收到"] if token == TOKEN else [])


def test_another_userid(corp: Sandbox, api: Api, receiver: Receiver) -> None:
    who = corp.post("scan", corpid=CORPID, userid="lisi")["external_userid"]
    chat_id = corp.post("group_create", corpid=CORPID, owner="lisi", name="群")["chat_id"]
    corp.post("member_changes", corpid=CORPID, userid="lisi", new_userid="lisi2026")
    corp.wait_idle()
    [event] = receiver.named("update_user")
    assert (event["UserID"], event["NewUserID"]) == ("lisi", "lisi2026")
    assert api.get("user/get", userid="lisi")["errcode"] == 60111
    assert api.get("externalcontact/list", userid="lisi2026")["external_userid"] == [who]
    assert api.post("externalcontact/groupchat/get", chat_id=chat_id)["group_chat"]["owner"] == "lisi2026"
    with pytest.raises(ControlError, match="there already"):
        corp.post("member_changes", corpid=CORPID, userid="wangwu", new_userid="lisi2026")
