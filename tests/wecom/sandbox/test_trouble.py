"""Limits, faults, the log of calls, the wipe."""

import threading
import time

import pytest
import requests

from tests.wecom.sandbox.conftest import Api
from tests.wecom.sandbox_client import CORPID, ControlError, Sandbox


def test_minute_limit(corp: Sandbox, api: Api) -> None:
    corp.post("settings", minute_limit=3)
    corp.post("clock", offset_s=600 - time.time() % 60)  # at the start of a minute
    codes = [api.get("user/get", userid="lisi")["errcode"] for _ in range(5)]
    assert codes == [0, 0, 0, 45009, 45009]
    assert api.get("user/get", userid="lisi") | {"errmsg": ""} == {
        "errcode": 45009,
        "errmsg": "",
        "department": [],
    }
    assert api.get("department/list")["errcode"] == 0  # per API
    corp.post("clock", advance_s=61)
    assert api.get("user/get", userid="lisi")["errcode"] == 0
    corp.post("settings", limits=False)
    assert {api.get("user/get", userid="lisi")["errcode"] for _ in range(9)} == {0}


def test_limit_of_an_address(corp: Sandbox, api: Api) -> None:
    """Two corps behind one address share its limit."""
    corp.make_corp("ww_second")
    corp.load("ww_second", members=[{"userid": "zhou", "name": "Zhou"}])
    second = corp.token("ww_second")
    corp.post("settings", address_minute_limit=3)
    corp.post("clock", offset_s=600 - time.time() % 60)
    codes = [api.get("user/get", userid="lisi")["errcode"] for _ in range(2)]
    codes += [corp.api("user/get", access_token=second, userid="zhou")["errcode"] for _ in range(2)]
    assert codes == [0, 0, 0, 45009]
    assert api.get("department/list")["errcode"] == 0  # per API


def test_tickets_of_an_app_have_a_limit_of_their_own(corp: Sandbox, api: Api) -> None:
    corp.post("clock", offset_s=7200 - time.time() % 3600)
    codes = [api.get("ticket/get", type="agent_config")["errcode"] for _ in range(101)]
    assert codes == [0] * 100 + [45009]
    assert api.get("get_jsapi_ticket")["errcode"] == 0


def test_concurrency_limit(corp: Sandbox, api: Api) -> None:
    corp.post("settings", in_flight=2)
    corp.post("faults", kind="slow", api="user/get", seconds=60)  # two stay until it is cleared
    codes: list[int] = []

    def call() -> None:
        answer = requests.get(
            f"{corp.url}/cgi-bin/user/get", params={"access_token": api.token, "userid": "lisi"}
        )
        codes.append(answer.json()["errcode"])

    threads = [threading.Thread(target=call) for _ in range(5)]
    for thread in threads:
        thread.start()
    corp.wait_for(lambda: len(codes) == 3)
    corp.post("faults/clear")
    for thread in threads:
        thread.join()
    assert codes[:3] == [45033] * 3 and codes[3:] == [0, 0]


def test_wrong_secrets_ban_the_address(corp: Sandbox) -> None:
    corp.post("settings", bad_secrets=3)
    codes = {corp.api("gettoken", corpid=CORPID, corpsecret="x")["errcode"] for _ in range(3)}
    assert codes == {40001}
    assert corp.api("gettoken", corpid=CORPID, corpsecret="x")["errcode"] == 45009
    corp.post("clock", advance_s=3601)
    assert corp.token()


def test_faults(corp: Sandbox, api: Api) -> None:
    url, query = f"{corp.url}/cgi-bin/user/get", {"access_token": api.token, "userid": "lisi"}
    for kind, status, start in [("http500", 500, b"<html>"), ("html", 200, b"<html>"), ("empty", 200, b"")]:
        corp.post("faults", kind=kind, api="user/get", times=1)
        response = requests.get(url, params=query)
        assert response.status_code == status and response.content.startswith(start)
        assert requests.get(url, params=query).json()["errcode"] == 0
    corp.post("faults", kind="errcode", errcode=45033, corpid=CORPID)
    assert api.get("department/list")["errcode"] == 45033
    assert corp.token() == api.token  # "*" with an errcode leaves gettoken alone
    corp.post("faults/clear")
    assert api.get("department/list")["errcode"] == 0
    with pytest.raises(ControlError):
        corp.post("faults", kind="earthquake")


def test_faults_of_the_token_of_the_server_and_for_a_while(corp: Sandbox, api: Api) -> None:
    corp.post("faults", kind="kill_token", api="department/list", times=1)
    assert api.get("department/list")["errcode"] == 40014
    assert api.get("user/get", userid="lisi")["errcode"] == 40014  # it is dead everywhere
    api.token = corp.token()
    assert api.get("department/list")["errcode"] == 0
    corp.post("faults", kind="http500", errcode=503, api="user/get", for_s=60)
    url, query = f"{corp.url}/cgi-bin/user/get", {"access_token": api.token, "userid": "lisi"}
    assert requests.get(url, params=query).status_code == 503
    corp.post("clock", advance_s=61)
    assert requests.get(url, params=query).json()["errcode"] == 0
    assert corp.get("faults") == []


def test_a_share_of_the_calls(corp: Sandbox, api: Api) -> None:
    corp.post("faults", kind="errcode", errcode=-1, api="user/get", rate=0.3)
    hit = []
    for _ in range(2):  # with a seed the same ones again
        corp.post("seed", seed=1)
        hit.append([api.get("user/get", userid="lisi")["errcode"] == -1 for _ in range(200)])
    assert hit[0] == hit[1] and 25 < sum(hit[0]) < 100


def test_limits_in_a_short_minute(corp: Sandbox, api: Api) -> None:
    corp.post("settings", minute_limit=2, limit_minute_s=1)
    corp.post("clock", at=1_790_000_000, speed=0)
    api.token = corp.token()
    codes = [api.get("user/get", userid="lisi")["errcode"] for _ in range(3)]
    corp.post("clock", advance_s=1.5)
    codes.append(api.get("user/get", userid="lisi")["errcode"])
    assert codes == [0, 0, 45009, 0]


def test_drop_after_does_the_work(corp: Sandbox, api: Api) -> None:
    corp.post("faults", kind="drop_after", api="externalcontact/add_corp_tag", times=1)
    with pytest.raises(requests.ConnectionError):
        api.post("externalcontact/add_corp_tag", group_name="新组", tag=[{"name": "新"}])
    names = [row["group_name"] for row in api.post("externalcontact/get_corp_tag_list")["tag_group"]]
    assert "新组" in names


def test_hang(corp: Sandbox, api: Api) -> None:
    corp.post("faults", kind="hang", api="user/get")
    with pytest.raises(requests.Timeout):
        requests.get(f"{corp.url}/cgi-bin/user/get", params={"access_token": api.token}, timeout=0.2)
    corp.post("faults/clear")
    assert api.get("user/get", userid="lisi")["errcode"] == 0


def test_log_of_calls(corp: Sandbox, api: Api) -> None:
    api.get("user/get", userid="lisi")
    api.get("user/get", userid="nobody")
    assert [row["errcode"] for row in corp.calls("user/get")] == [0, 60111]
    assert {row["api"] for row in corp.calls()} == {"user/get", "gettoken"}


def test_clock(corp: Sandbox) -> None:
    before = corp.post("clock", offset_s=1000, speed=100)["now"]
    corp.wait_for(lambda: corp.get("state")["now"] > before + 5)
    assert corp.post("clock", speed=1)["speed"] == 1


def test_reset_wipes_and_is_quick(corp: Sandbox, api: Api) -> None:
    api.post("externalcontact/add_contact_way", type=1, scene=2, user=["lisi"])
    corp.post("scan", corpid=CORPID, userid="lisi")
    seconds = []
    for _ in range(5):  # the machine may be busy with something else in some of them
        started = time.perf_counter()
        corp.reset()
        seconds.append(time.perf_counter() - started)
    assert min(seconds) < 1
    assert set(corp.get("state")["counts"].values()) == {0}
    assert corp.get("settings")["limits"] is True
    assert corp.api("user/get", access_token=api.token, userid="lisi")["errcode"] == 40014


def test_control_refusals(corp: Sandbox) -> None:
    for act, given in [
        ("no_such_act", {}),
        ("scan", {"corpid": CORPID}),
        ("scan", {"corpid": "ww0", "userid": "lisi"}),
        ("scan", {"corpid": CORPID, "state": "none"}),
        ("say", {"corpid": CORPID}),
        ("settings", {"no_such_setting": 1}),
        ("member_edits", {"corpid": CORPID, "userid": "lisi", "external_userid": "wmNone"}),
    ]:
        with pytest.raises(ControlError, match="error"):
            corp.post(act, **given)
