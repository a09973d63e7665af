"""The stand-in for the JS SDK: one script under every name; signatures are really checked."""

import hashlib

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
