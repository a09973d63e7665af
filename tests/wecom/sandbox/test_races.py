"""What comes at the same time: a wipe, an import, a clock that is moved, against calls, callbacks, the ticker.

Each in a process of its own in which the two meet at the moment that matters: nothing is left to who is quicker. The
processes are forked from one that has loaded the sandbox.
"""

import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.wecom.sandbox_client import ROOT

Play = Callable[[str], list[Any]]
FRAME = """
import faulthandler, json, os, pathlib, sys, threading, time, traceback
import django
django.setup(set_prefix=False)
from django.conf import settings
from django.db import connection
from django.db.models import QuerySet
from django.test import RequestFactory
from wecom.sandbox import (
    acquisition_acts, behaviour, bulk, clock, control, control_files, control_system, delivery, dispatch, faults, ids,
    life, limits, people, prepared, scenario, store,
)
from wecom.sandbox.api import contacts, media_by_url, messages
from wecom.sandbox.models import *

CORP = {"corpid": "ww1", "secret": "s" * 20, "callback_url": "http://127.0.0.1:1/", "aes_key": "j" * 43, "token": "t"}

def corp():
    control_system.corps(CORP)
    bulk.load({"corpid": "ww1", "departments": [{"id": 1, "name": "d"}], "members": [{"userid": "lisi"}]})

def call(path, body=None, **query):
    made = RequestFactory()
    request = made.get("/", query) if body is None else made.post(
        "/?access_token=" + query["access_token"], json.dumps(body), content_type="application/json")
    answer = dispatch.cgi_bin(request, path)
    return json.loads(answer.content or b"{}")

def token():
    return call("gettoken", corpid="ww1", corpsecret=CORP["secret"])["access_token"]

def scan(**more):
    return people.scan("ww1", {"userid": "lisi", **more})["external_userid"]

def meanwhile(act):
    # another thread does it, if it is let in at this moment
    did = []
    def run():
        if store.writers.acquire(blocking=False):
            did.append(act())
            store.writers.release()
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return bool(did)

def after(module, name, act):
    # right after it was asked for something, another thread has its turn
    asked = getattr(module, name)
    def changed(*args, **more):
        answer = asked(*args, **more)
        act()
        return answer
    setattr(module, name, changed)

for line in sys.stdin:
    data, lines = json.loads(line)
    child = os.fork()
    if not child:
        faulthandler.dump_traceback_later(60, exit=True)  # who waits for each other
        settings.DATA = pathlib.Path(data)
        connection.settings_dict["NAME"] = settings.DATABASES["default"]["NAME"] = settings.DATA / "sandbox.sqlite3"
        told = []
        tell = lambda *words: told.extend(words)
        try:
            store.load()
            corp()
            exec(lines, globals() | {"tell": tell})
        except BaseException:
            told = [traceback.format_exc()]
        print(json.dumps(told), flush=True)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        print(json.dumps(["it ended"]), flush=True)
"""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """(the process from which the others are forked, a data folder with tables)."""
    data = tmp_path_factory.mktemp("sandbox")
    argv = [sys.executable, "-m", "wecom.sandbox", "--check", "--data", str(data)]
    subprocess.run(argv, cwd=ROOT, check=True, capture_output=True)
    env = os.environ | {"DJANGO_SETTINGS_MODULE": "wecom.sandbox.settings", "SANDBOX_DATA": str(data)}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", FRAME], env=env, cwd=ROOT, text=True, stdin=pipe, stdout=pipe
    ) as process:
        yield process, data


@pytest.fixture
def play(loaded: tuple[subprocess.Popen[str], Path], tmp_path: Path) -> Play:
    """Run lines in a sandbox of one corp; what they tell."""

    def played(lines: str) -> list[Any]:
        process, empty = loaded
        shutil.copytree(empty, tmp_path / "data")
        assert process.stdin and process.stdout
        process.stdin.write(json.dumps([str(tmp_path / "data"), textwrap.dedent(lines)]) + "\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    return played


# ---- faults


def test_a_fault_is_ended_while_a_callback_asks_for_it(play: Play) -> None:
    """They waited for each other, and every call behind them."""
    assert play("""
        faults.add({"kind": "cb_lose"})
        comes, writing = threading.Event(), store.writing
        def arriving():
            comes.set()
            return writing()
        with writing():
            store.writing = arriving
            thread = threading.Thread(target=faults.clear)
            thread.start()
            comes.wait()
            tell(*faults.on_callback("ww1", "e", "t", "key"))
        thread.join()
        tell(len(faults.active()))
    """) == ["cb_lose", 0]


def test_who_is_struck_while_all_faults_end_is_not_held(play: Play) -> None:
    assert play("""
        faults.add({"kind": "hang", "seconds": 3600})
        fault = faults.strike("ww1", "user/get")
        faults.clear()
        tell(faults.hold(fault).status_code)
    """) == [504]


def test_a_fault_that_a_scenario_orders_in_the_midst_of_a_wipe(play: Play) -> None:
    """It was gone from the table and struck all the same."""
    assert play("""
        def ordered():
            faults.add({"kind": "errcode", "errcode": -1})
            faults.strike("ww1", "user/get")
        after(faults, "clear", ordered)
        control_system.reset({})
        tell(faults.strike("ww1", "user/get"), len(faults.active()))
    """) == [None, 0]


# ---- what was under way when everything was wiped


def test_a_call_that_was_held_does_nothing_in_the_next_world(play: Play) -> None:
    """Nor does it stand in the log of calls."""
    assert play("""
        given, kept = token(), faults.hold
        def held(fault):
            faults.hold = kept
            control_system.reset({})
            corp()
        faults.hold = held
        call("externalcontact/add_corp_tag", {"group_name": "g", "tag": [{"name": "t"}]}, access_token=given)
        tell(TagGroup.objects.count(), len(dispatch.calls))
        call("externalcontact/add_corp_tag", {"group_name": "g", "tag": [{"name": "t"}]}, access_token=token())
        tell(TagGroup.objects.count(), len(dispatch.calls))
    """) == [0, 0, 1, 2]


def test_a_callback_is_not_repeated_in_the_next_world(play: Play) -> None:
    assert play("""
        scan()
        posted = []
        def post(*args):
            posted.append(args)
            control_system.reset({})
            return {"at": 1, "ms": 1, "status": 500}
        delivery.post = post
        delivery._deliver(*delivery._take())
        tell(len(posted))
    """) == [1]


def test_a_callback_of_the_same_number_is_another_one(play: Play) -> None:
    """It was taken, then all was wiped and the first of the new world got its number: that was sent twice."""
    assert play("""
        scan()
        old = delivery._take()
        control_system.reset({})
        corp()
        scan()
        posted = []
        delivery.post = lambda *args: posted.append(args) or {"at": 1, "ms": 1, "status": 200}
        delivery._deliver(*old)
        tell(len(posted))
        delivery._deliver(*delivery._take())
        tell(len(posted), Delivery.objects.get().state)
    """) == [0, 1, "done"]


def test_a_passive_reply_reaches_nobody_in_the_next_world(play: Play) -> None:
    assert play("""
        control.done("app_says", {"corpid": "ww1", "userid": "lisi", "text": "?"})
        replies = []
        delivery.ON_REPLY[:] = [lambda row, answer: replies.append(answer)]
        def post(*args):
            control_system.reset({})
            return {"at": 1, "ms": 1, "status": 200, "answer": "<xml><Encrypt>x</Encrypt></xml>"}
        delivery.post = post
        delivery._deliver(*delivery._take())
        tell(len(replies))
    """) == [0]


def test_a_file_that_is_being_fetched_comes_to_nobody_in_the_next_world(play: Play) -> None:
    assert play("""
        job = dict(corpid="ww1", agentid=1000002, kind="file", filename="f", url="u", md5="m", created_at=clock.now())
        UrlJob.objects.create(jobid="job", **job)
        def download(job):
            control_system.reset({})
            corp()
            return 0, b"x"
        media_by_url._download = download
        media_by_url._fetch("job")
        tell(Media.objects.count(), Delivery.objects.count())
    """) == [0, 0]


def test_a_message_is_no_repeat_of_one_of_the_world_before(play: Play) -> None:
    assert play("""
        body = {"touser": "lisi", "agentid": 1000002, "msgtype": "text", "text": {"content": "c"},
                "enable_duplicate_check": 1}
        for _ in range(2):
            call("message/send", body, access_token=token())
            tell(Message.objects.count())
            control_system.reset({})
            corp()
    """) == [1, 1]


# ---- callbacks


def test_a_late_callback_is_watched_for_while_another_is_sent(play: Play) -> None:
    """The one thread that watched for it took the other, and the rest slept until somebody called."""
    assert play("""
        delivery._put(time.time() + 3600, 2)
        delivery._put(0, 1)
        called = []
        delivery._changed.notify = lambda: called.append(1)
        tell(delivery._take()[0], len(called))
    """) == [1, 1]


# ---- what is kept in memory


def test_a_token_is_killed_while_a_call_looks_it_up(play: Play) -> None:
    """It lived on in memory. What one of a scenario's acts changes is seen by others once it is whole."""
    assert play("""
        value = token()
        store.forget_apps()
        first = QuerySet.first
        def looked_up(self):
            row = first(self)
            if self.model is Token:
                meanwhile(lambda: control_system.kill_tokens({"corpid": "ww1"}))
            return row
        QuerySet.first = looked_up
        store.token(value)
        QuerySet.first = first
        tell(store.token(value)[2] == Token.objects.get().revoked)
    """) == [True]


def test_habits_change_while_they_are_looked_up(play: Play) -> None:
    assert play("""
        change = lambda: control.done("behaviour", {"corpid": "ww1", "customers": {"say_rate": 1}})
        recall, did = store.recall, []
        def looked_up(key):
            found = recall(key)
            did.append(meanwhile(change))
            return found
        store.recall = looked_up
        behaviour.customers("ww1")
        store.recall = recall
        tell(behaviour.customers("ww1")["say_rate"] == did[-1])
    """) == [True]


def test_two_change_settings_and_habits_and_the_balance(play: Play) -> None:
    """None of two changes is lost. One who is let in between has changed something, or comes later."""
    assert play("""
        did = []
        after(store, "_merged", lambda: did or did.append(
            meanwhile(lambda: did.append(0) or store.change_settings({"hour_limit": 7}))))
        store.change_settings({"minute_limit": 8})
        tell(store.setting("minute_limit"), (store.setting("hour_limit") == 7) == did[-1])

        did = []
        after(behaviour, "of", lambda: did or did.append(meanwhile(lambda: did.append(0) or control.done(
            "behaviour", {"corpid": "ww1", "customers": {"say_rate": 1}}))))
        control.done("behaviour", {"corpid": "ww1", "customers": {"buy_rate": 1}})
        now = behaviour.customers("ww1")
        tell(now["buy_rate"], now["say_rate"] == did[-1])

        did, kept = [], {"total": 5, "balance": 995}
        after(acquisition_acts, "balance", lambda: did or did.append(
            meanwhile(lambda: store.remember("acquisition:ww1", kept) or 1)))
        acquisition_acts.set_balance("ww1", 9)
        tell(acquisition_acts.balance("ww1")["total"] == 5 * did[0])
    """) == [8, True, 1, True, True]


def test_settings_are_there_while_they_are_read_anew(play: Play) -> None:
    """A scenario that does not begin reads them anew, while others call."""
    assert play("""
        after(store, "_merged", lambda: tell(store.setting("limits")))
        store.load()
    """) == [True]


def test_a_relation_changes_while_its_page_is_prepared(play: Play) -> None:
    """What was read before stood in the prepared page from then on."""
    assert play("""
        who = scan()
        edit = lambda: people.member_edits("ww1", "lisi", who, {"remark": "new"})
        after(contacts, "tags_of", lambda: meanwhile(edit))
        prepared.prepare("ww1")
        page = prepared.page("ww1", ["lisi"], None, 10)
        tell(not page or json.loads(page[0][2])["follow_info"]["remark"] == Follow.objects.get().remark)
    """) == [True]


# ---- the clock


def test_the_clock_is_read_while_it_is_set(play: Play) -> None:
    """Neither half of it belongs to another moment."""
    assert play("""
        clock.set_anchor(real=1000.0, shown=5000.0, speed=0)
        class Set:
            def time(self):
                clock.set_anchor(real=0.0, shown=0.0, speed=1.0)
                return 2000.0
        clock.time = Set()
        tell(clock.running(), clock.running())
    """) == [5000.0, 2000.0]


SET_BACK = """
        import contextlib
        store.set_clock(shown=2000.0, speed=0)
        writing = store.writing
        @contextlib.contextmanager
        def waited():
            # somebody else had the turn, and set the clock
            store.writing = writing
            store.set_clock(shown=1000.0, speed=0)
            with writing():
                yield
        store.writing = waited
"""


@pytest.mark.parametrize(
    ("act", "shown"),
    [
        ('tell(control_system.set_clock({"advance_s": 10})["now"])', 1010),
        ("token(); tell(Token.objects.get().expires_at)", 8200),
        ('faults.add({"kind": "slow", "for_s": 60}); tell(Fault.objects.get().until)', 1060),
        (
            'control.done("stream", {"corpid": "ww1", "per_minute": 1, "minutes": 60});'
            'tell(Due.objects.get().given["until"])',
            4600,
        ),
    ],
)
def test_who_waited_for_a_scenario_to_begin_goes_by_its_clock(play: Play, act: str, shown: int) -> None:
    assert play(SET_BACK + " " * 8 + act) == [shown]


def test_an_import_that_is_refused_leaves_the_clock_alone_meanwhile(play: Play) -> None:
    """It showed today until the file was read."""
    assert play("""
        store.set_clock(shown=1000.0, speed=0)
        head = next(control_files.dump()).encode()
        def lines():
            yield head
            tell(clock.running())
            yield b"nonsense"
        try:
            control_files.restore(lines())
        except Exception as reason:
            tell(str(reason), clock.running())
    """) == [1000.0, "line 2: no JSON", 1000.0]


def test_a_limit_of_a_later_day_blocks_nobody(play: Play) -> None:
    """The clock was set back since."""
    assert play("""
        value = token()
        store.change_settings({"minute_limit": 1, "bad_secrets": 1})
        ask = lambda: call("user/get", access_token=value, userid="lisi")["errcode"]
        bad = lambda: call("gettoken", corpid="ww1", corpsecret="x")["errcode"]
        tell(ask(), ask(), ask(), bad(), bad())
        store.set_clock(shown=clock.running() - 86_400, speed=0)
        tell(ask(), bad())
    """) == [0, 45009, 45009, 40001, 45009, 0, 40001]


def test_a_dump_has_the_clock_of_its_tables(play: Play) -> None:
    """Also where the clock is set while it is being written."""
    assert play("""
        store.set_clock(shown=2000.0, speed=0)
        lines = control_files.dump()
        head = json.loads(next(lines))
        store.set_clock(shown=1000.0, speed=0)
        rows = [json.loads(line) for line in lines]
        kept = [one["row"]["value"] for one in rows if one.get("row", {}).get("key") == "clock"]
        tell(head["shown"], *[json.loads(one)["shown"] for one in kept])
    """) == [2000.0, 2000.0]


def test_a_clock_that_is_started_ends_the_steps(play: Play) -> None:
    """It was answered that it runs, and stood at the next happening. An act of the plan does not start it."""
    assert play("""
        store.set_clock(shown=1000.0, speed=0)
        for n in range(3):
            life.plan(1010.0 + n, "ww1", "act", do="clock", **{"with": {"speed": 60}})
        tell(scenario.advance({"events": 1})["events"], clock.speed())
        scenario._settle = lambda most_s: control_system.set_clock({"speed": 5})
        tell(scenario.advance({"seconds": 3600, "settle_s": 1})["events"], clock.speed(), clock.running() < 1100)
    """) == [1, 0, 1, 5, True]
