"""Scenarios: the same seed makes the same day to the byte, whatever the process; what is wrong is said."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.wecom.sandbox.conftest import Api, Receiver
from tests.wecom.sandbox_client import CORPID, ROOT, ControlError, Sandbox

AT = 1_790_000_000
DAY: dict[str, Any] = {
    "title": {"zh": "试", "en": "a test"},
    "seed": 7,
    "hours": 2,
    "people": {
        "departments": [{"id": 1, "name": "总部", "parentid": 0}],
        "members": [{"userid": f"guide{n}", "name": f"导购{n}"} for n in range(4)],
        "tag_groups": [{"group_name": "等级", "tags": ["普通", "黄金"]}],
    },
    "generate": 20,
    "guides": {
        "*": {
            "accept_rate": 1,
            "reply_rate": 0.8,
            "note_rate": 0.5,
            "confirm_rate": 1,
            "confirm_after_s": [5, 60],
        },
        "@guide2": {"confirm_rate": 0},
    },
    "customers": {
        "again_rate": 0.2,
        "half_rate": 0.3,
        "say_rate": 0.7,
        "read_rate": 0.9,
        "read_after_s": [10, 600],
        "answer_rate": 0.5,
        "buy_rate": 0.5,
        "buy_after_s": [10, 600],
        "delete_rate": 0.2,
        "like_rate": 0.5,
        "join_rate": 0.6,
        "join_after_s": [10, 600],
        "quit_rate": 0.5,
        "quit_after_s": [10, 600],
    },
    "arrivals": [
        {"from": "5m", "to": "1h", "per_hour": 60},
        {"from": "1h", "per_hour": 30, "habits": {"say_rate": 1}},
    ],
    "plan": [
        {"at": "1m", "do": "group_create", "with": {"owner": "@guide1", "name": "一群"}},
        {"at": "20m", "do": "mass_send", "with": {"userid": "@guide1", "text": "上新"}},
        {"at": "30m", "do": "moment_post", "with": {"userid": "@guide3", "text": "今日特价"}},
        {"at": "40m", "do": "faults", "with": {"kind": "cb_lose", "rate": 0.3, "for_s": 600}},
        {"from": "1h", "every": "15m", "do": "tag_adds", "with": {"group_name": "新", "tags": ["甲"]}},
        {"at": "1h30m", "do": "member_leaves", "with": {"userid": "@guide4"}},
    ],
}


@pytest.fixture
def own() -> Iterator[Sandbox]:
    """A process of its own, for what ends and starts it."""
    one = Sandbox()
    yield one
    one.close()


def begin(sandbox: Sandbox, url: str, day: dict[str, Any] = DAY, **more: Any) -> dict[str, Any]:
    sandbox.make_corp(callback_url=url)
    return sandbox.post("scenario/start", scenario=day, corpid=CORPID, at=AT, speed=0, **more)


def dump(sandbox: Sandbox, *, sealed: bool = True) -> list[bytes]:
    """The stable dump; without what the seal makes of a callback if `sealed` is False."""
    answer = sandbox.http.get(f"{sandbox.url}/control/export", params={"stable": 1}, timeout=30)
    lines = answer.content.splitlines()
    if sealed:
        return lines
    found = []
    for line in lines:
        row = json.loads(line)
        if row.get("table") == "sandbox_delivery":
            del row["row"]["body"], row["row"]["url"]
        found.append(json.dumps(row, sort_keys=True).encode())
    return found


def test_the_same_seed_makes_the_same_day_to_the_byte(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In two processes whose sets have another order; callbacks with their seals too."""
    days, told = [], []
    for order in ("1", "2"):
        monkeypatch.setenv("PYTHONHASHSEED", order)
        one = Sandbox()
        try:
            one.start()
            begin(one, receiver.url)
            assert one.post("scenario/step")["now"] == AT + 7200
            one.wait_idle()
            days.append(dump(one))
            told.append([(row["xml"], row["state"]) for row in one.deliveries()])
            state = one.get("state", corpid=CORPID)
        finally:
            one.close()
    assert days[0] == days[1]
    assert told[0] == told[1] and len(told[0]) > 100
    assert {state for _, state in told[0]} == {"done", "lost"}
    assert state["counts"]["customers"] > 80 and state["counts"]["messages"] > 80


def test_everything_people_do_happens(sandbox: Sandbox, receiver: Receiver) -> None:
    begin(sandbox, receiver.url)
    sandbox.post("scenario/step")
    sandbox.wait_idle()
    kinds = {(row["event"], row["change_type"]) for row in sandbox.deliveries()}
    external = {kind for event, kind in kinds if event == "change_external_contact"}
    assert external >= {
        "add_external_contact",
        "add_half_external_contact",
        "edit_external_contact",
        "del_follow_user",
    }
    assert ("change_external_chat", "update") in kinds and ("change_contact", "delete_user") in kinds
    assert ("change_external_tag", "create") in kinds
    messages = sandbox.sent()
    assert {row["kind"] for row in messages} >= {"say", "reply", "mass"}
    assert any(row["read_at"] for row in messages if row["kind"] == "mass")
    orders = sandbox.get("orders", corpid=CORPID)
    assert orders and all(AT <= order["paid_at"] <= AT + 7200 for order in orders)
    assert [mass["create_type"] for mass in sandbox.get("mass", corpid=CORPID)] == [1]


def test_the_same_calls_at_the_same_moments_make_the_same_world(sandbox: Sandbox, receiver: Receiver) -> None:
    """A client that does the same gets the same ids, tokens and refusals, between the steps of a scenario."""
    worlds = []
    for _ in range(2):
        sandbox.reset()
        begin(sandbox, receiver.url)
        api, answers = Api(sandbox), []
        for n in range(4):
            answers.append(
                api.post("externalcontact/add_contact_way", type=1, scene=2, user=["guide1"], state=f"s{n}")
            )
            sandbox.post("scenario/step", seconds=600)
            who = sandbox.post("scan", corpid=CORPID, state=f"s{n}", name="手扫")
            given = {"welcome_code": who["welcome_code"], "text": {"content": "你好"}}
            answers += [api.post("externalcontact/send_welcome_msg", **given) for _ in range(2)]
            template = {"sender": "guide1", "text": {"content": "上新"}}
            answers.append(api.post("externalcontact/add_msg_template", **template))
        sandbox.post("scenario/step", seconds=1800)
        sandbox.wait_idle()
        worlds.append((answers, dump(sandbox)))
    assert worlds[0] == worlds[1]
    assert {answer["errcode"] for answer in worlds[0][0]} == {0, 41051}


def test_another_seed_makes_another_day(sandbox: Sandbox, receiver: Receiver) -> None:
    found = []
    for seed in (7, 8):
        sandbox.reset()
        begin(sandbox, receiver.url, seed=seed)
        sandbox.post("scenario/step", seconds=1800)
        sandbox.wait_idle()
        found.append(dump(sandbox))
    assert found[0] != found[1]


def test_killed_in_the_middle_it_goes_on_as_if_nothing_was(own: Sandbox, receiver: Receiver) -> None:
    own.start()
    own.reset()
    begin(own, receiver.url)
    own.post("scenario/step")
    own.wait_idle()
    whole = dump(own, sealed=False)
    own.reset()
    begin(own, receiver.url)
    for events in (40, 40):
        own.post("scenario/step", events=events)
        own.kill()
        own.start()
    own.post("scenario/step")
    own.wait_idle()
    assert dump(own, sealed=False) == whole


def test_the_clock_plays_it_by_itself(sandbox: Sandbox, receiver: Receiver) -> None:
    sandbox.make_corp(callback_url=receiver.url)
    # long enough that it is not over when a busy machine looks again
    sandbox.post("scenario/start", scenario=DAY | {"hours": 48}, corpid=CORPID, speed=600, at=AT)
    sandbox.wait_for(lambda: sandbox.get("state", corpid=CORPID)["counts"]["customers"] > 25)
    assert 0 < sandbox.get("scenario")["done"] <= 1
    sandbox.post("clock", speed=0)
    before = sandbox.get("state", corpid=CORPID)["counts"]
    sandbox.post("scenario/step", events=1)
    sandbox.post("scenario/stop")
    assert sandbox.get("scenario") == {}
    assert before["customers"] <= sandbox.get("state", corpid=CORPID)["counts"]["customers"]


def test_a_clock_too_fast_for_its_people_can_still_be_stopped(sandbox: Sandbox) -> None:
    """More happens than can be played: the control API gets its turn all the same."""
    sandbox.make_corp()
    sandbox.load(members=[{"userid": "lisi", "name": "李四"}])
    day = {"hours": 1000, "arrivals": [{"per_hour": 3600}]}
    sandbox.post("scenario/start", scenario=day, corpid=CORPID, speed=100_000)
    sandbox.wait_for(lambda: sandbox.get("state", corpid=CORPID)["counts"]["customers"] > 20)
    sandbox.post("scenario/stop")
    sandbox.post("clock", speed=0)
    sandbox.reset()
    assert sandbox.get("state")["counts"]["customers"] == 0


SET_BACK = """
import time
import django
django.setup()
from wecom.sandbox import clock, life, ticker

class Another:
    def __enter__(self):
        clock.set_anchor(real=time.time(), shown=1000.0, speed=0)
    def __exit__(self, *_):
        pass

clock.set_anchor(real=time.time(), shown=2000.0, speed=0)
life.playing = Another()
life.step = lambda until: print("until", until)
ticker.tick()
"""


def test_a_tick_that_waited_for_a_scenario_to_begin_plays_to_its_clock(tmp_path: Path) -> None:
    """Not to what the clock showed before: everything until today happened at once."""
    env = os.environ | {"DJANGO_SETTINGS_MODULE": "wecom.sandbox.settings", "SANDBOX_DATA": str(tmp_path)}
    told = subprocess.run([sys.executable, "-c", SET_BACK], env=env, cwd=ROOT, text=True, capture_output=True)
    assert told.stdout.split() == ["until", "1000.0"], told.stderr


def test_a_clock_that_runs_is_not_stepped(sandbox: Sandbox, receiver: Receiver) -> None:
    begin(sandbox, receiver.url)
    sandbox.post("clock", speed=1)
    with pytest.raises(ControlError, match="let it stand"):
        sandbox.post("scenario/step")


def test_the_next_thing_when_there_is_none(corp: Sandbox) -> None:
    """The clock was put at the end of all time."""
    corp.post("clock", at=AT, speed=0)
    assert corp.post("scenario/step", events=1) == {"events": 0, "now": AT}
    with pytest.raises(ControlError, match="a moment"):
        corp.post("clock", at="inf")
    assert corp.get("state")["now"] == AT


@pytest.mark.parametrize("name", ["calm-day", "launch-day", "bad-day", "staff-leaving"])
def test_the_ready_ones_play(sandbox: Sandbox, name: str) -> None:
    """The first tenth of each, in the corp that it brings."""
    one = next(row for row in sandbox.get("scenarios") if row["name"] == name)
    assert one["title"]["zh"] and one["about"]["en"]
    # what happens is the same for a seed and a beginning: another moment of beginning is another day
    playing = sandbox.post("scenario/start", name=name, speed=0, at=1_790_000_000)
    assert sandbox.post("scenario/step", seconds=one["hours"] * 360)["events"] >= 5
    state = sandbox.get("state", corpid=playing["corpid"])
    assert state["counts"]["customers"] > 50 and state["seed"] == str(one["seed"])


def test_a_scenario_as_yaml_and_without_a_corp_of_its_own(corp: Sandbox) -> None:
    text = "hours: 1\ncustomers: {say_rate: 1}\narrivals:\n  - {per_hour: 30}\n"
    assert corp.post("scenario/start", scenario=text, speed=0, seed=1, at=AT)["corpid"] == CORPID
    corp.post("scenario/step")
    assert corp.sent("say")


@pytest.mark.parametrize(
    ("scenario", "said"),
    [
        ("[]", "an object"),
        ("a: [", "no YAML"),
        ({"wrong": 1}, "unknown wrong"),
        ({"arrivals": [{"per_hour": 0}]}, "per_hour"),
        ({"arrivals": [{"per_hour": 1, "from": "soon"}]}, "arrivals[0].from"),
        ({"plan": [{"at": "1h", "do": "earthquake"}]}, "plan[0].do"),
        ({"plan": [{"at": "1h", "do": "reset"}]}, "plan[0].do"),
        ({"plan": [{"do": "kill_tokens"}]}, "either at or every"),
        ({"plan": [{"at": "1h", "do": "scan", "with": {"colour": 1}}]}, "colour"),
        ({"plan": [{"at": "1h", "do": "say", "with": {"userid": "a"}}]}, "missing"),
        ({"guides": {"*": {"confirm_rate": 2}}}, "share"),
        ({"customers": {"sing_rate": 1}}, "no habit"),
        ({"settings": {"quirks": {"envelope": "yaml"}}}, "one of"),
        ({"guides": {"@guide99": {}}}, "no guide 99"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_begins(corp: Sandbox, scenario: Any, said: str) -> None:
    with pytest.raises(ControlError) as refused:
        corp.post("scenario/start", scenario=scenario, corpid=CORPID, seed=5, at=AT)
    assert said in str(refused.value)
    state = corp.get("state")
    assert corp.get("scenario") == {} and state["seed"] is None and state["now"] != AT
    assert state["settings"]["quirks"]["envelope"] == "xml"
