"""The control API as a table: every call is described, checked, and does what it says."""

from typing import Any

import pytest
import requests

from tests.wecom.sandbox_client import CORPID, ControlError, Sandbox


def test_openapi_has_every_call(corp: Sandbox) -> None:
    described = requests.get(f"{corp.url}/control/openapi.json", timeout=60).json()
    assert described["openapi"].startswith("3.1")
    names = {operation["operationId"] for path in described["paths"].values() for operation in path.values()}
    assert {"scan", "faults_clear", "scenario_start", "get_sent", "get_orders"} <= names
    scan = described["paths"]["/control/scan"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert scan["required"] == ["corpid"] and scan["additionalProperties"] is False
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"], path
            answer = requests.request(
                method, corp.url + path, json=[] if method == "post" else None, timeout=60
            )
            assert answer.status_code == (400 if method == "post" or required(operation) else 200), path


def required(operation: dict[str, Any]) -> bool:
    return any(one["required"] for one in operation.get("parameters", ()))


@pytest.mark.parametrize(
    ("act", "given", "said"),
    [
        ("scan", {}, "corpid is missing"),
        ("scan", {"corpid": CORPID, "user": "lisi"}, "unknown: user"),
        ("scan", {"corpid": CORPID, "userid": 5}, "userid should be a string"),
        ("scan", {"corpid": CORPID, "userid": "lisi", "half": "yes"}, "half should be true or false"),
        ("generate", {"corpid": CORPID, "customers": [1]}, "customers should be a whole number"),
        ("generate", {"corpid": CORPID, "customers": "many"}, "ValueError"),
        ("tag_adds", {"corpid": CORPID, "group_name": "a", "tags": "b"}, "tags should be a list"),
        ("clock", {"speed": -1}, "speed is from 0"),
        ("faults", {"kind": "slow", "rate": 0}, "rate is a share"),
        ("seed", {"seeds": 1}, "unknown: seeds; known: seed"),
    ],
)
def test_what_is_wrong_is_named(corp: Sandbox, act: str, given: dict[str, Any], said: str) -> None:
    with pytest.raises(ControlError, match="400") as refused:
        corp.post(act, **given)
    assert said in str(refused.value)


def test_no_json_and_no_call(corp: Sandbox) -> None:
    assert requests.post(f"{corp.url}/control/scan", data=b"{", timeout=60).status_code == 400
    assert requests.get(f"{corp.url}/control/scan", timeout=60).status_code == 404
    assert requests.post(f"{corp.url}/control/sent", json={}, timeout=60).status_code == 404


def test_a_customer_reads_and_takes_another_name(corp: Sandbox) -> None:
    who = corp.post("scan", corpid=CORPID, userid="lisi", name="旧名")["external_userid"]
    pair = {"corpid": CORPID, "userid": "lisi", "external_userid": who}
    corp.post("reply", **pair, text="您好")
    assert corp.post("read", **pair) == {"read": 1}
    assert corp.post("read", **pair) == {"read": 0}
    assert corp.sent("reply")[0]["read_at"]
    corp.post("customer_renames", corpid=CORPID, external_userid=who, name="新名")
    assert corp.get("customer", corpid=CORPID, external_userid=who)["name"] == "新名"
    assert [row["change_type"] for row in corp.deliveries()] == ["add_external_contact"]


def test_calls_are_read_on_from_where_one_was(corp: Sandbox) -> None:
    corp.token()
    first = corp.get("calls", corpid=CORPID)[-1]["id"]
    corp.token()
    assert [row["api"] for row in corp.get("calls", corpid=CORPID, after=first)] == ["gettoken"]


def test_a_seed_makes_the_same_ids(sandbox: Sandbox) -> None:
    made = []
    for _ in range(2):
        sandbox.reset()
        sandbox.make_corp()
        sandbox.load(members=[{"userid": "lisi"}])
        sandbox.post("seed", seed=1)
        made.append([sandbox.post("scan", corpid=CORPID, userid="lisi") for _ in range(3)])
    assert made[0] == made[1]
    assert len({one["external_userid"] for one in made[0]}) == 3
    again = sandbox.post("seed", seed=1)  # goes on counting: nothing given out comes twice
    assert again and sandbox.post("scan", corpid=CORPID, userid="lisi")["is_new"] is True
