"""The state as a file, and what a killed process leaves."""

import json

import pytest
import requests

from tests.wecom.sandbox.conftest import MEMBERS, Api, Receiver
from tests.wecom.sandbox.test_scenario import own
from tests.wecom.sandbox_client import CORPID, Sandbox

__all__ = ["own"]
PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)


def take(sandbox: Sandbox, **query: int) -> bytes:
    answer = requests.get(f"{sandbox.url}/control/export", params=query, timeout=60)
    assert answer.status_code == 200 and answer.headers["Content-Type"].startswith("application/x-ndjson")
    return answer.content


def put(sandbox: Sandbox, body: bytes) -> requests.Response:
    return requests.post(f"{sandbox.url}/control/import", data=body, timeout=60)


def fill(corp: Sandbox) -> tuple[str, str, str]:
    """A corp with a customer, a picture, a waiting callback, a fault, habits; (token, media_id, who)."""
    api = Api(corp)
    url = f"{corp.url}/cgi-bin/media/upload"
    sent = requests.post(
        url, params={"access_token": api.token, "type": "image"}, files={"media": ("a.png", PNG)}, timeout=60
    ).json()
    corp.post("settings", minute_limit=77, quirks={"envelope": "json"}, callbacks={"delay_s": [3600, 3600]})
    corp.post("behaviour", corpid=CORPID, guides={"lisi": {"confirm_rate": 0}})
    corp.post("faults", kind="errcode", errcode=-1, api="user/get", times=1)
    corp.post("seed", seed="s")
    corp.post("clock", offset_s=3600, speed=0)
    who = corp.post("scan", corpid=CORPID, userid="lisi", name="沈小满")["external_userid"]
    corp.post("stream", corpid=CORPID, per_minute=1, minutes=60)
    return api.token, sent["media_id"], who


def check(sandbox: Sandbox, token: str, media_id: str, who: str) -> None:
    """Everything of `fill` is there."""
    state = sandbox.get("state", corpid=CORPID)
    assert state["counts"]["follows"] == 1 and state["deliveries"] == {"waiting": 1}
    assert state["settings"]["minute_limit"] == 77 and state["settings"]["quirks"]["envelope"] == "json"
    assert state["clock"]["speed"] == 0 and state["seed"] == "s" and CORPID in state["streams"]
    assert sandbox.get("behaviour", corpid=CORPID)["guides"]["lisi"] == {"confirm_rate": 0}
    assert sandbox.get("customer", corpid=CORPID, external_userid=who)["name"] == "沈小满"
    assert sandbox.api("user/get", access_token=token, userid="lisi")["errcode"] == -1
    assert sandbox.api("user/get", access_token=token, userid="lisi")["errcode"] == 0
    got = requests.get(
        f"{sandbox.url}/cgi-bin/media/get", params={"access_token": token, "media_id": media_id}, timeout=60
    )
    assert got.content == PNG


def test_out_of_one_into_another(corp: Sandbox, own: Sandbox) -> None:
    filled = fill(corp)
    body = take(corp)
    own.start()
    assert put(own, body).json()["sandbox_follow"] == 1
    assert take(own, stable=1) == take(corp, stable=1)
    check(own, *filled)
    corp.reset()
    assert put(corp, body).status_code == 200
    check(corp, *filled)


def test_killed_it_is_all_there_again(own: Sandbox, receiver: Receiver) -> None:
    own.start()
    own.reset()
    own.make_corp(callback_url=receiver.url)
    own.load(members=MEMBERS, departments=[{"id": n, "name": str(n), "parentid": 1} for n in (1, 2, 3)])
    filled = fill(own)
    own.kill()
    own.start()
    check(own, *filled)


def test_killed_in_a_burst_nothing_told_is_forgotten(own: Sandbox, receiver: Receiver) -> None:
    """What the control API answered is there; the callbacks of all of it arrive, some of them twice."""
    own.start()
    own.reset()
    own.make_corp(callback_url=receiver.url)
    own.load(members=[{"userid": "lisi", "name": "李四"}])
    told = []
    for round_ in range(3):
        for n in range(15):
            told.append(
                own.post("scan", corpid=CORPID, userid="lisi", name=f"{round_} {n}")["external_userid"]
            )
        own.kill()
        own.start()
    own.wait_idle()
    token = own.token()
    listed = own.api("externalcontact/list", access_token=token, userid="lisi")["external_userid"]
    assert listed == told
    assert {event["ExternalUserID"] for event in receiver.named("add_external_contact")} == set(told)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "no JSON"),
        (b"[]", "an object"),
        (b'{"sandbox": 99}', "no dump of this version"),
        (b'HEAD\n{"table": "auth_user", "row": {}}', "no table"),
        (b"HEAD\nnonsense", "line 2"),
        (b'HEAD\n{"table": "sandbox_corp", "row": {"corpid": "x"}}', "other columns"),
        (b'HEAD\n{"file": "../../x", "base64": ""}', "no file"),
    ],
)
def test_a_bad_file_changes_nothing(corp: Sandbox, api: Api, body: bytes, said: str) -> None:
    before = take(corp, stable=1)
    head = take(corp).split(b"\n", 1)[0]
    refused = put(corp, body.replace(b"HEAD", head))
    assert refused.status_code == 400 and said in refused.json()["error"]
    assert take(corp, stable=1) == before
    assert api.get("user/get", userid="lisi")["errcode"] == 0


def test_a_stable_dump_is_not_read_back(corp: Sandbox) -> None:
    assert "for comparing" in put(corp, take(corp, stable=1)).json()["error"]


def test_lines_are_rows(corp: Sandbox) -> None:
    rows = [json.loads(line) for line in take(corp).splitlines()]
    assert rows[0]["sandbox"] == 1
    assert {row["row"]["userid"] for row in rows if row.get("table") == "sandbox_member"} >= {
        "ZhangSan",
        "lisi",
    }
