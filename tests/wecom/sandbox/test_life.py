"""Virtual people: each habit alone, guides who differ, purchases and their hook, happenings that cannot happen."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.wecom.sandbox.conftest import Api, Receiver
from tests.wecom.sandbox_client import CORPID, ControlError, Sandbox

AT = 1_790_000_000


@pytest.fixture
def still(corp: Sandbox) -> Sandbox:
    """The corp, with a clock that stands: time passes when `later` says so."""
    corp.post("settings", token_life_s=10_000_000)
    corp.post("clock", at=AT, speed=0)
    return corp


def later(sandbox: Sandbox, seconds: float = 100_000) -> int:
    """Let everything happen that is due by then; how much it was."""
    return sandbox.post("scenario/step", seconds=seconds)["events"]


def habits(sandbox: Sandbox, *, guides: Any = None, **customers: Any) -> None:
    sandbox.post("behaviour", corpid=CORPID, guides=guides or {}, customers=customers)


def scan(sandbox: Sandbox, userid: str = "lisi", **given: Any) -> dict[str, Any]:
    return sandbox.post("scan", corpid=CORPID, userid=userid, **given)


def kinds(sandbox: Sandbox) -> list[str]:
    return [row["change_type"] for row in sandbox.deliveries()]


def test_nobody_does_anything_by_himself_unless_told(still: Sandbox) -> None:
    scan(still)
    assert later(still) == 0


def test_customers_say_guides_reply_customers_read(still: Sandbox) -> None:
    habits(still, guides={"*": {"reply_rate": 1}}, say_rate=1, read_rate=1)
    scan(still)
    assert later(still) == 3
    said, replied = still.sent()
    assert (said["kind"], replied["kind"]) == ("say", "reply")
    assert AT < said["at"] < replied["at"] < replied["read_at"]


def test_guides_accept_and_note(still: Sandbox, api: Api) -> None:
    habits(still, guides={"*": {"accept_rate": 1, "note_rate": 1}})
    api.post(
        "externalcontact/add_contact_way", type=1, scene=2, user=["lisi"], skip_verify=False, state="asks"
    )
    half = scan(still, half=True)["external_userid"]
    asked = still.post("scan", corpid=CORPID, state="asks")
    assert asked["pending"]
    later(still)
    assert kinds(still).count("add_external_contact") == 2
    for who in (half, asked["external_userid"]):
        [follow] = still.get("customer", corpid=CORPID, external_userid=who)["follows"]
        assert follow["remark"] and follow["tags"] and not follow["half"]


def test_guides_confirm_each_in_his_own_time_or_never(still: Sandbox, api: Api) -> None:
    still.post("settings", confirm_after_s=[20, 20], confirm_rate=1)
    habits(still, guides={"lisi": {"confirm_after_s": [600, 600]}, "wangwu": {"confirm_rate": 0}})
    people = [scan(still, userid)["external_userid"] for userid in ("ZhangSan", "lisi", "wangwu")]
    msgid = api.post("externalcontact/add_msg_template", external_userid=people, text={"content": "上新"})[
        "msgid"
    ]

    def done() -> dict[str, int]:
        rows = api.post("externalcontact/get_groupmsg_task", msgid=msgid)["task_list"]
        return {row["userid"]: row["status"] for row in rows}

    later(still, 60)
    assert done() == {"ZhangSan": 2, "lisi": 0, "wangwu": 0}
    api.post("externalcontact/remind_groupmsg_send", msgid=msgid)  # lisi hurries, wangwu does not care
    later(still, 10)
    assert done() == {"ZhangSan": 2, "lisi": 2, "wangwu": 0}
    later(still)
    assert done()["wangwu"] == 0


def test_readers_answer_buy_or_have_enough(still: Sandbox) -> None:
    who = scan(still)["external_userid"]
    habits(still, read_rate=1, answer_rate=1, buy_rate=1, buy_fen=[5000, 5000])
    still.post("mass_send", corpid=CORPID, userid="lisi", text="上新")
    later(still)
    assert [row["kind"] for row in still.sent()] == ["mass", "say"]
    [order] = still.get("orders", corpid=CORPID)
    assert (order["external_userid"], order["amount_fen"], order["userid"]) == (who, 5000, "lisi")
    habits(still, delete_rate=1)
    still.post("mass_send", corpid=CORPID, userid="lisi", text="又上新")
    later(still)
    assert kinds(still)[-1] == "del_follow_user"
    assert len(still.get("orders", corpid=CORPID)) == 1


def test_silent_customers_are_deleted_by_the_guide_others_not(still: Sandbox) -> None:
    habits(still, guides={"*": {"delete_rate": 1, "delete_after_s": [100, 100]}})
    silent, talks = scan(still)["external_userid"], scan(still)["external_userid"]
    still.post("say", corpid=CORPID, userid="lisi", external_userid=talks, text="你好")
    later(still)
    told = [row["xml"] for row in still.deliveries(change_type="del_external_contact")]
    assert len(told) == 1 and silent in told[0]


def test_groups_are_joined_and_left(still: Sandbox, api: Api) -> None:
    chat_id = still.post("group_create", corpid=CORPID, owner="lisi", name="一群")["chat_id"]
    habits(still, join_rate=1, quit_rate=1)
    scan(still)  # no join way yet: invited
    later(still)
    way = api.post("externalcontact/groupchat/add_join_way", scene=2, chat_id_list=[chat_id])
    assert way["errcode"] == 0
    scan(still)
    later(still)
    details = [row["xml"] for row in still.deliveries(event="change_external_chat", change_type="update")]
    assert [("add_member" in xml, "<JoinScene>3" in xml) for xml in details] == [
        (True, False),
        (False, False),
        (True, True),
        (False, False),
    ]


def test_moments_are_liked(still: Sandbox, api: Api) -> None:
    who = scan(still)["external_userid"]
    habits(still, like_rate=1)
    later(still, 1)
    moment_id = still.post("moment_post", corpid=CORPID, userid="lisi", text="新茶")["moment_id"]
    later(still)
    api.token = still.token()
    found = api.post("externalcontact/get_moment_comments", moment_id=moment_id, userid="lisi")
    assert [row["external_userid"] for row in found["like_list"]] == [who]
    now = int(still.get("state")["now"])
    [row] = api.post("externalcontact/get_moment_list", start_time=AT - 9, end_time=now)["moment_list"]
    assert (row["create_type"], row["creator"]) == (1, "lisi")


def test_a_guides_own_mass_send_is_listed_as_personal(still: Sandbox, api: Api) -> None:
    scan(still)
    still.post("mass_send", corpid=CORPID, userid="lisi", text="上新")
    span = {"chat_type": "single", "start_time": AT - 9, "end_time": AT + 9}
    listed = [
        len(api.post("externalcontact/get_groupmsg_list_v2", filter_type=kind, **span)["group_msg_list"])
        for kind in (0, 1, 2)
    ]
    assert listed == [0, 1, 1]


def test_one_customer_may_have_his_own_habits(still: Sandbox) -> None:
    scan(still, habits={"say_rate": 1})
    scan(still)
    assert later(still) == 1


def test_what_cannot_happen_any_more_is_left_out(still: Sandbox) -> None:
    habits(still, guides={"*": {"reply_rate": 1, "note_rate": 1}}, say_rate=1, join_rate=1)
    who = scan(still)["external_userid"]
    still.post("member_deletes", corpid=CORPID, userid="lisi", external_userid=who)
    assert later(still) == 3  # say, note, join: each finds that he is gone
    assert still.sent() == []


@pytest.mark.parametrize(
    "given",
    [
        {"guides": {"*": {"confirm_rate": 2}}},
        {"guides": {"*": {"confirm_rate": "often"}}},
        {"guides": {"*": {"reply_after_s": [9, 1]}}},
        {"guides": {"*": {"sing_rate": 1}}},
        {"guides": {"*": 1}},
        {"customers": {"read_after_s": 5}},
        {"people": {}},
    ],
)
def test_habits_that_make_no_sense(corp: Sandbox, given: dict[str, Any]) -> None:
    with pytest.raises(ControlError):
        corp.post("behaviour", corpid=CORPID, **given)
    assert corp.get("behaviour", corpid=CORPID) == {"guides": {}, "customers": {}}


class Shop(BaseHTTPRequestHandler):
    """Takes orders."""

    orders: list[tuple[str, dict[str, Any]]]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.orders.append((self.headers.get("X-Key", ""), body))
        self.send_response(201)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def shop() -> Iterator[tuple[str, list[tuple[str, dict[str, Any]]]]]:
    orders: list[tuple[str, dict[str, Any]]] = []
    http = ThreadingHTTPServer(("127.0.0.1", 0), type("OwnShop", (Shop,), {"orders": orders}))
    threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield f"http://127.0.0.1:{http.server_port}/orders", orders
    http.shutdown()
    http.server_close()


def test_purchases_are_told_to_the_hook(
    corp: Sandbox, receiver: Receiver, shop: tuple[str, list[tuple[str, dict[str, Any]]]]
) -> None:
    url, orders = shop
    corp.post("settings", orders_url=url, orders_headers={"X-Key": "k"})
    who = scan(corp)["external_userid"]
    made = corp.post("buy", corpid=CORPID, external_userid=who, amount_fen=1234)
    corp.wait_idle()
    assert orders == [("k", made)]
    assert made["unionid"] and made["items"][0]["fen"] == 1234
    assert corp.deliveries(event="order")[0]["state"] == "done"
