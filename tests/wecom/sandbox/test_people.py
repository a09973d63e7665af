"""What people do, and the callbacks it makes."""

import pytest

from tests.wecom.sandbox.conftest import Api, Receiver
from tests.wecom.sandbox_client import CORPID, ControlError, Sandbox

WELCOME = "externalcontact/send_welcome_msg"


def make_way(api: Api, **over) -> dict:
    return api.post(
        "externalcontact/add_contact_way", **{"type": 2, "scene": 2, "state": "s1", "user": ["lisi"], **over}
    )


def greet(api: Api, code: str | None, text: str = "欢迎") -> int:
    return api.code(WELCOME, welcome_code=code, text={"content": text})


def test_scan(corp: Sandbox, api: Api, receiver: Receiver) -> None:
    way = make_way(api)
    met = corp.post("scan", corpid=CORPID, qr_code=way["qr_code"], name="小明")
    assert (
        met["userid"] == "lisi"
        and met["external_userid"].startswith("wm")
        and len(met["external_userid"]) == 32
    )
    corp.wait_idle()
    (event,) = receiver.events
    assert (event["ToUserName"], event["FromUserName"], event["MsgType"]) == (CORPID, "sys", "event")
    assert (event["Event"], event["ChangeType"]) == ("change_external_contact", "add_external_contact")
    assert (event["UserID"], event["ExternalUserID"], event["State"]) == (
        "lisi",
        met["external_userid"],
        "s1",
    )
    assert event["WelcomeCode"] == met["welcome_code"]
    follow = api.get("externalcontact/get", external_userid=met["external_userid"])["follow_user"][0]
    assert (follow["state"], follow["add_way"], follow["oper_userid"]) == ("s1", 1, met["external_userid"])


def test_scanning_again_makes_no_event(corp: Sandbox, api: Api, receiver: Receiver) -> None:
    make_way(api)
    met = corp.post("scan", corpid=CORPID, state="s1")
    again = corp.post("scan", corpid=CORPID, state="s1", external_userid=met["external_userid"])
    assert (again["is_new"], again["welcome_code"]) == (False, None)
    corp.wait_idle()
    assert len(receiver.events) == 1


def test_scan_of_a_code_that_is_gone(corp: Sandbox, api: Api) -> None:
    way = make_way(api)
    api.post("externalcontact/del_contact_way", config_id=way["config_id"])
    with pytest.raises(ControlError, match="404"):
        corp.post("scan", corpid=CORPID, config_id=way["config_id"])


def test_welcome(corp: Sandbox, api: Api) -> None:
    make_way(api)
    met = corp.post("scan", corpid=CORPID, state="s1")
    code = met["welcome_code"]
    assert greet(api, None) == 41049
    assert greet(api, "other") == 41050
    assert api.code(WELCOME, welcome_code=code) == 40058  # nothing to say; the code is not used up
    assert greet(api, code, "字" * 1334) == 45002
    assert greet(api, code, "你好") == 0
    assert greet(api, code) == 41051
    (message,) = corp.sent("welcome")
    assert (message["text"], message["external_userid"], message["userid"]) == (
        "你好",
        met["external_userid"],
        "lisi",
    )
    assert message["welcome_code"] == code


def test_welcome_ends_after_twenty_seconds(corp: Sandbox, api: Api) -> None:
    make_way(api)
    code = corp.post("scan", corpid=CORPID, state="s1")["welcome_code"]
    corp.post("clock", advance_s=21)
    assert greet(api, code) == 41050
    assert corp.sent() == []


def test_no_welcome_once_the_customer_has_spoken(corp: Sandbox, api: Api) -> None:
    make_way(api)
    met = corp.post("scan", corpid=CORPID, state="s1")
    corp.post("say", corpid=CORPID, userid="lisi", external_userid=met["external_userid"], text="在吗")
    assert greet(api, met["welcome_code"]) == 41051
    assert [row["text"] for row in corp.sent("say")] == ["在吗"]


def test_no_code_where_the_console_greets_or_for_wecom_users(corp: Sandbox, api: Api) -> None:
    make_way(api)
    stranger = corp.post("scan", corpid=CORPID, state="s1", type=2, name="同行")
    assert stranger["external_userid"].startswith("wo") and stranger["welcome_code"] is None
    corp.load(members=[{"userid": "lisi", "name": "李四", "department": [2], "console_welcome": True}])
    assert corp.post("scan", corpid=CORPID, state="s1")["welcome_code"] is None


def test_the_first_of_two_apps_greets(corp: Sandbox, api: Api, receiver: Receiver) -> None:
    corp.make_corp(agent_id=1000003, secret="second", callback_url=receiver.url)
    corp.stop_clock()  # the second is refused in another way a second later
    make_way(api)
    corp.post("scan", corpid=CORPID, state="s1")
    corp.wait_idle()
    codes = [event["WelcomeCode"] for event in receiver.events]
    assert len(set(codes)) == 2
    mine = corp.deliveries()[0]["agentid"] == 1000002
    first, second = codes if mine else codes[::-1]
    if greet(api, first):  # deliveries may overtake each other
        first, second = second, first
        assert greet(api, first) == 0
    other = corp.token(secret="second")
    body = {"welcome_code": second, "text": {"content": "hi"}}
    assert corp.api(WELCOME, body, access_token=other)["errcode"] == 41096
    corp.post("clock", advance_s=2)
    assert corp.api(WELCOME, body, access_token=other)["errcode"] == 41051
    assert len(corp.sent("welcome")) == 1


def test_half_add_then_confirmed(corp: Sandbox, api: Api, receiver: Receiver) -> None:
    make_way(api)
    met = corp.post("scan", corpid=CORPID, state="s1", half=True)
    corp.wait_idle()
    assert receiver.events[0]["ChangeType"] == "add_half_external_contact"
    assert greet(api, receiver.events[0]["WelcomeCode"]) == 0
    who = {"corpid": CORPID, "userid": "lisi", "external_userid": met["external_userid"]}
    assert corp.post("accept", **who)["welcome_code"] is None
    corp.wait_idle()
    added = receiver.named("add_external_contact")[0]
    assert "WelcomeCode" not in added and added["State"] == "s1"
    with pytest.raises(ControlError):
        corp.post("accept", **who)


def test_half_add_not_greeted_brings_a_code_later(corp: Sandbox, api: Api) -> None:
    make_way(api)
    met = corp.post("scan", corpid=CORPID, state="s1", half=True)
    who = {"corpid": CORPID, "userid": "lisi", "external_userid": met["external_userid"]}
    assert greet(api, corp.post("accept", **who)["welcome_code"]) == 0


def test_a_way_that_verifies_tells_nothing_before(corp: Sandbox, api: Api, receiver: Receiver) -> None:
    make_way(api, skip_verify=False)
    met = corp.post("scan", corpid=CORPID, state="s1")
    assert met["pending"] is True and corp.deliveries() == []
    assert api.get("externalcontact/get", external_userid=met["external_userid"])["errcode"] == 84061
    corp.post("accept", corpid=CORPID, userid="lisi", external_userid=met["external_userid"])
    corp.wait_idle()
    assert [event["ChangeType"] for event in receiver.events] == ["add_external_contact"]


def test_customer_deletes_and_comes_back(corp: Sandbox, api: Api, receiver: Receiver) -> None:
    make_way(api)
    met = corp.post("scan", corpid=CORPID, state="s1")
    who = {"corpid": CORPID, "userid": "lisi", "external_userid": met["external_userid"]}
    corp.post("customer_deletes", **who)
    assert api.get("externalcontact/list", userid="lisi")["external_userid"] == [met["external_userid"]]
    with pytest.raises(ControlError):
        corp.post("say", **who, text="hi")
    back = corp.post("scan", corpid=CORPID, state="s1", external_userid=met["external_userid"])
    assert back["is_new"] is True and greet(api, back["welcome_code"]) == 0
    corp.wait_idle()
    assert sorted(event["ChangeType"] for event in receiver.events) == [
        "add_external_contact",
        "add_external_contact",
        "del_follow_user",
    ]


def test_member_deletes_edits_leaves(corp: Sandbox, api: Api, receiver: Receiver) -> None:
    make_way(api)
    met = corp.post("scan", corpid=CORPID, state="s1")
    who = {"corpid": CORPID, "userid": "LISI", "external_userid": met["external_userid"]}
    corp.post("member_edits", **who, remark="VIP", add_tags=["黄金"])
    follow = corp.get("customer", corpid=CORPID, external_userid=met["external_userid"])["follows"][0]
    assert (follow["remark"], [tag["name"] for tag in follow["tags"]]) == ("VIP", ["黄金"])
    corp.post("member_deletes", **who)
    assert api.get("externalcontact/list", userid="lisi")["errcode"] == 84061
    corp.post("member_leaves", corpid=CORPID, userid="lisi")
    assert api.get("user/get", userid="lisi")["errcode"] == 60111
    corp.wait_idle()
    assert "Source" not in receiver.named("del_external_contact")[0]
    assert receiver.named("edit_external_contact")[0]["UserID"] == "lisi"
    assert receiver.named("delete_user")[0]["Event"] == "change_contact"


def test_stream_of_arrivals(corp: Sandbox, api: Api, receiver: Receiver) -> None:
    make_way(api)
    corp.post("stream", corpid=CORPID, per_minute=1200, minutes=1, say_rate=0, delete_rate=0)
    corp.wait_for(lambda: len(receiver.named("add_external_contact")) >= 10)
    assert corp.get("stream")[CORPID]["arrived"] >= 10
    corp.post("stream", corpid=CORPID, per_minute=0)
    assert corp.get("stream") == {}
    assert {event["State"] for event in receiver.events} == {"s1"}
