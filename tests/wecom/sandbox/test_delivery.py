"""Callbacks on the wire: repeats, losses, disorder, spoilt ones, what a restart leaves."""

import time
from urllib.parse import parse_qs

import pytest
import xmltodict
from wechatpy.enterprise.crypto import WeChatCrypto
from wechatpy.exceptions import InvalidSignatureException

from devtools import ports
from tests.wecom.sandbox.conftest import Receiver
from tests.wecom.sandbox_client import AES_KEY, CORPID, TOKEN, Sandbox
from wecom.sandbox import crypto

REVERSE_WINDOW_S = 0.5  # what happens in one of these leaves in the opposite order


def scan(corp: Sandbox, times: int = 1) -> list[str]:
    return [corp.post("scan", corpid=CORPID, userid="lisi")["external_userid"] for _ in range(times)]


def test_three_attempts_with_the_same_body(corp: Sandbox, receiver: Receiver) -> None:
    receiver.statuses = [500, 404]
    scan(corp)
    corp.wait_idle()
    assert len(receiver.raw) == 3 and len(set(receiver.raw)) == 1
    (row,) = corp.deliveries()
    assert row["state"] == "done" and [one["status"] for one in row["attempts"]] == [500, 404, 200]


def test_given_up_after_three(corp: Sandbox, receiver: Receiver) -> None:
    receiver.statuses = [500] * 9
    scan(corp)
    corp.wait_idle()
    assert len(receiver.raw) == 3 and corp.deliveries()[0]["state"] == "failed"


def test_nobody_listens(corp: Sandbox) -> None:
    corp.post("corps", corpid=CORPID, callback_url=f"http://127.0.0.1:{ports.any_free()}/x")
    scan(corp)
    corp.wait_idle()
    assert "Connection" in corp.deliveries()[0]["attempts"][0]["error"]


def test_double_and_lost(corp: Sandbox, receiver: Receiver) -> None:
    corp.post("settings", callbacks={"double": 1})
    scan(corp)
    corp.wait_idle()
    assert len(receiver.events) == 2 and receiver.events[0] == receiver.events[1]
    corp.post("settings", callbacks={"double": 0, "lose": 1})
    scan(corp)
    corp.wait_idle()
    assert len(receiver.events) == 2 and corp.deliveries()[-1]["state"] == "lost"


def test_faults_by_event(corp: Sandbox, receiver: Receiver) -> None:
    """Each kind for one event only; the others come as ever."""
    corp.post("faults", kind="cb_lose", api="change_external_contact/del_follow_user")
    corp.post("faults", kind="cb_double", api="change_external_contact/add_external_contact")
    corp.post("faults", kind="cb_late", api="change_external_chat", seconds=0.5, corpid=CORPID)
    corp.post("faults", kind="cb_lose", corpid="ww-of-somebody-else")
    corp.post("group_create", corpid=CORPID, owner="lisi", name="群")
    external = scan(corp)[0]
    corp.post("customer_deletes", corpid=CORPID, userid="lisi", external_userid=external)
    corp.post("member_changes", corpid=CORPID, userid="lisi", department=[3])
    corp.wait_idle()
    kinds = [event["ChangeType"] for event in receiver.events]
    assert sorted(kinds) == ["add_external_contact", "add_external_contact", "create", "update_user"]
    late_s = {
        row["change_type"]: row["attempts"][0]["at"] - row["created_at"]
        for row in corp.deliveries(state="done")
    }
    assert late_s["create"] >= 0.4  # the others only wait for their turn
    assert {row["change_type"] for row in corp.deliveries(state="lost")} == {"del_follow_user"}


def come_and_go(corp: Sandbox, receiver: Receiver) -> list[str]:
    """Somebody comes at the beginning of a window and goes at its end; what was told of it, as it was told. Again, with
    somebody else, where the machine was too busy for both in one window."""
    until = time.monotonic() + 60
    while True:
        corp.wait_for(lambda: time.time() % REVERSE_WINDOW_S < 0.1)
        window = time.time() // REVERSE_WINDOW_S
        external = scan(corp)[0]
        corp.wait_for(lambda: time.time() % REVERSE_WINDOW_S > 0.3)
        corp.post("customer_deletes", corpid=CORPID, userid="lisi", external_userid=external)
        if time.time() // REVERSE_WINDOW_S == window:
            break
        assert time.monotonic() < until
    corp.wait_idle()
    return [event["ChangeType"] for event in receiver.events if event["ExternalUserID"] == external]


def test_a_share_is_reversed(corp: Sandbox, receiver: Receiver) -> None:
    corp.post("faults", kind="cb_reverse", api="change_external_contact/add_external_contact")
    assert come_and_go(corp, receiver) == ["del_follow_user", "add_external_contact"]


def test_reverse(corp: Sandbox, receiver: Receiver) -> None:
    corp.post("settings", callbacks={"reverse": True})
    assert come_and_go(corp, receiver) == ["del_follow_user", "add_external_contact"]


def test_padding_of_every_length() -> None:
    theirs = WeChatCrypto(TOKEN, AES_KEY, CORPID)
    pads = set()
    for length in range(64):
        xml = "<xml>" + "x" * length + "</xml>"
        encrypted = crypto.encrypt(xml.encode(), aes_key=AES_KEY, receive_id=CORPID)
        signed = crypto.signature(token=TOKEN, timestamp="1", nonce="2", encrypted=encrypted)
        body = f"<xml><Encrypt><![CDATA[{encrypted}]]></Encrypt></xml>"
        assert theirs.decrypt_message(body, signed, "1", "2") in (xml, xml.encode())
        pads.add(32 - (20 + len(xml) + len(CORPID)) % 32)
    assert pads == set(range(1, 33))


def test_signature_of_the_page() -> None:
    found = crypto.signature(token="a", timestamp="c", nonce="b", encrypted="d")
    assert found == "81fe8bfe87576c3ecb22426f8e57847382917acf"  # sha1 of abcd


def test_verification_of_the_address(corp: Sandbox, receiver: Receiver) -> None:
    assert corp.post("verify_callback", corpid=CORPID) == {"ok": True, "status": 200}
    corp.post("corps", corpid=CORPID, callback_url=f"http://127.0.0.1:{ports.any_free()}/x")
    assert corp.post("verify_callback", corpid=CORPID)["ok"] is False


def test_raw_events_and_spoilt_ones(corp: Sandbox, receiver: Receiver) -> None:
    xml = "<xml><Event><![CDATA[x]]></Event></xml>"
    answer = corp.post("callback_raw", corpid=CORPID, xml=xml, times=2)
    assert [one["status"] for one in answer["attempts"]] == [200, 200]
    assert receiver.events == [{"Event": "x"}] * 2
    receiver.statuses = [403]  # do not decrypt what cannot be
    corp.post("callback_raw", corpid=CORPID, xml=xml, spoil="signature")
    query, body = receiver.raw[-1]
    given = {key: value[0] for key, value in parse_qs(query).items()}
    with pytest.raises(InvalidSignatureException):
        WeChatCrypto(TOKEN, AES_KEY, CORPID).decrypt_message(
            body, given["msg_signature"], given["timestamp"], given["nonce"]
        )
    assert xmltodict.parse(body)["xml"]["ToUserName"] == CORPID


def test_a_restart_keeps_everything(receiver: Receiver) -> None:
    one = Sandbox()
    try:
        one.start()
        one.reset()
        one.make_corp(callback_url=receiver.url)
        one.load(members=[{"userid": "lisi", "name": "李四"}])
        one.post("settings", minute_limit=77, callbacks={"delay_s": [3600, 3600]})
        one.post("clock", offset_s=86_400)
        token = one.token()
        one.post("faults", kind="errcode", errcode=-1, api="user/get", times=1)
        scan(one)
        one.stop()
        one.start()
        state = one.get("state", corpid=CORPID)
        assert state["counts"]["follows"] == 1 and state["settings"]["minute_limit"] == 77
        assert state["deliveries"] == {"waiting": 1}
        assert abs(state["now"] - 86_400 - one.get("state")["clock"]["real"]) < 60
        assert one.token() == token
        assert one.api("user/get", access_token=token, userid="lisi")["errcode"] == -1
        assert one.api("user/get", access_token=token, userid="lisi")["errcode"] == 0
    finally:
        one.close()
