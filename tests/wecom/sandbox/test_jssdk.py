"""The stand-in for the JS SDK: one script under every name; signatures are really checked."""

import hashlib
import json

import requests

from tests.wecom.sandbox.conftest import Api
from tests.wecom.sandbox_client import CORPID, Sandbox

PAGE = "https://shop.example/sidebar/?a=1"


def test_script(corp: Sandbox) -> None:
    names = (
        "jssdk/any.js",
        "open/js/jweixin-1.2.0.js",
        "wwopen/js/jwxwork-1.0.0.js",
        "node/open/js/wecom-jssdk-2.3.2.js",
    )
    for name in names:
        answer = requests.get(f"{corp.url}/{name}")
        assert answer.headers["Content-Type"] == "text/javascript"
        assert "agentConfig" in answer.text and corp.url in answer.text


def test_signatures_are_checked(corp: Sandbox, api: Api) -> None:
    ticket = api.get("ticket/get", type="agent_config")["ticket"]
    text = f"jsapi_ticket={ticket}&noncestr=n1&timestamp=1700000000&url={PAGE}"
    good = hashlib.sha1(text.encode()).hexdigest()

    def check(signature: str, kind: str = "agent_config", agentid: int = 1000002) -> str:
        given = {
            "kind": kind,
            "corpid": CORPID,
            "agentid": agentid,
            "timestamp": "1700000000",
            "noncestr": "n1",
        }
        query = {**given, "signature": signature, "url": PAGE, "callback": "done"}
        return requests.get(f"{corp.url}/jssdk-check.js", params=query).text

    assert check(good) == 'done("ok");'
    assert "invalid signature" in check("0" * 40)
    assert "invalid signature" in check(good, kind="corp")  # the corp's ticket is another one
    assert "invalid signature" in check(good, agentid=7)
    assert requests.get(f"{corp.url}/jssdk-check.js", params={"callback": "alert(1)"}).status_code == 404


def test_a_message_of_the_sidebar_stands_in_the_chat(corp: Sandbox, api: Api) -> None:
    corp.load(
        members=[{"userid": "zhang", "name": "张"}],
        customers=[{"external_userid": "wm1", "name": "客", "follows": [{"userid": "zhang"}]}],
    )

    def send(message: object, **over: str) -> str:
        given = {"corpid": CORPID, "userid": "zhang", "external_userid": "wm1", "callback": "done", **over}
        return requests.get(
            f"{corp.url}/jssdk-send.js", params={**given, "message": json.dumps(message)}
        ).text

    assert send({"msgtype": "text", "text": {"content": "您好"}}) == 'done("ok");'
    assert send({"msgtype": "news", "news": {"link": "https://a.example/", "title": "T"}}) == 'done("ok");'
    rows = corp.sent("reply")
    assert [row["text"] for row in rows] == ["您好", ""]
    assert rows[1]["attachments"][0]["link"]["url"] == "https://a.example/"
    for bad in (None, {}, {"msgtype": "text", "text": {}}, {"msgtype": "image", "image": {"mediaid": "no"}}):
        assert send(bad).startswith('done("fail'), bad
    assert send({"msgtype": "text", "text": {"content": "x"}}, external_userid="wm2").startswith('done("fail')
    assert send({"msgtype": "text", "text": {"content": "x"}}, callback="a()") == ""
