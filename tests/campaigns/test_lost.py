"""Killed anywhere, answered by nobody, run twice at once: nothing is sent twice and nothing is lost."""

import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from django.db import close_old_connections, connection, connections, transaction

from campaigns.governance import CapRule
from campaigns.models import Enrolment, EnrolmentDue, SendTask, Touch, TouchKey
from campaigns.services import due
from campaigns.services.governance import policy
from campaigns.services.ledger import planning
from campaigns.services.sending import claims, handing, looking
from campaigns.services.sops import enrolments, sops, stepping
from org.access import SYSTEM
from scrm import clock
from tests.campaigns.conftest import Live, at, make_live, set_sandbox_clock
from tests.factories import in_brand
from tests.threads import together

pytestmark = pytest.mark.django_db(transaction=True)
ROOT = Path(__file__).resolve().parents[2]
API = "externalcontact/add_msg_template"
DUE = "2026-03-02 10:00"


def states(live: Live) -> Counter:
    with in_brand(live.brand):
        return Counter(SendTask.objects.values_list("state", flat=True))


def enrol_all(live: Live, *steps: tuple[int, int], **over: Any) -> Any:
    sop = live.make_sop(*steps, **over)
    with in_brand(live.brand):
        ids = [c.pk for c in live.contacts]
        enrolments.enrol_many(live.brand, sop=sop, contact_ids=ids, source="page", at=at("2026-03-01 15:00"))
        policy.change_policy(live.brand, caps=[CapRule(7, 100)], by=SYSTEM)
    return sop


def n_mass(live: Live) -> int:
    return live.sandbox.get("state", corpid=live.corp.corpid)["counts"]["mass_sends"]


def finish(live: Live, moment: datetime) -> None:
    live.confirm_all(moment)
    live.tick(moment + timedelta(minutes=2))


def test_an_answer_is_lost_and_the_task_is_found_again(live: Live) -> None:
    enrol_all(live, (1, 10))
    live.sandbox.post("faults", api=API, kind="drop_after", times=2)
    live.tick(at(DUE))
    assert states(live) == {"calling": 2} and n_mass(live) == 2
    live.tick(at(DUE) + timedelta(minutes=1))
    assert states(live) == {"handed": 2} and n_mass(live) == 2
    finish(live, at(DUE) + timedelta(minutes=3))
    assert {t.state for t in live.ledger()} == {Touch.State.DELIVERED}
    assert set(live.received().values()) == {1} and len(live.received()) == 6


def test_lost_answers_of_many_guides_share_one_look(wecom: Any) -> None:
    """One reading of WeCom's list, two calls for each record, however many have the same content."""
    live = make_live(wecom, n_guides=8, n_contacts=8)
    enrol_all(live, (1, 10))
    live.sandbox.post("faults", api=API, kind="drop_after", times=8)
    live.tick(at(DUE))
    assert states(live) == {"calling": 8} and n_mass(live) == 8
    # one record cannot be looked at: its task waits, the others are found
    live.sandbox.post(
        "faults", api="externalcontact/get_groupmsg_task", kind="errcode", errcode=60020, times=1
    )
    live.tick(at(DUE) + timedelta(minutes=1))
    assert states(live) == {"handed": 7, "calling": 1}
    calls = Counter(row["api"].rsplit("/", 1)[-1] for row in live.sandbox.calls(corpid=live.corp.corpid))
    assert calls["get_groupmsg_list_v2"] == 1
    assert calls["get_groupmsg_task"] == 8 and calls["get_groupmsg_send_result"] == 7
    live.tick(at(DUE) + timedelta(minutes=20))
    assert states(live)["calling"] == 0 and n_mass(live) == 8
    finish(live, at(DUE) + timedelta(minutes=22))
    assert set(live.received().values()) == {1} and len(live.received()) == 8


def test_one_task_of_a_set_does_not_hold_the_others(live: Live) -> None:
    """Claimed together: the twin of one is being called, the other goes out."""
    enrol_all(live, (1, 10))
    with clock.at(at(DUE)), in_brand(live.brand):
        stepping.run(live.brand, at(DUE))
        first = SendTask.objects.order_by("pk")[0]
        twin = SendTask.objects.get(pk=first.pk)
        twin.pk, twin.state, twin.called_at = None, "calling", at(DUE)
        twin.next_try_at = at(DUE) + timedelta(days=1)
        twin.save()
    live.tick(at(DUE))
    with in_brand(live.brand):
        found = dict(SendTask.objects.exclude(pk=twin.pk).values_list("pk", "state"))
    assert found.pop(first.pk) == "planned" and set(found.values()) == {"handed"}


def test_an_answer_lost_for_a_month_is_never_sent_again(live: Live) -> None:
    enrol_all(live, (1, 10))
    live.sandbox.post("faults", api=API, kind="drop_after", times=2)
    live.tick(at(DUE))
    live.tick(at(DUE) + timedelta(days=31))
    assert states(live) == {"failed": 2} and n_mass(live) == 2
    assert {t.state for t in live.ledger()} == {Touch.State.FAILED}


@pytest.mark.parametrize("kind", ["html", "http500", "empty"])
def test_a_call_that_was_never_made_is_sent_again_after_ten_minutes(live: Live, kind: str) -> None:
    enrol_all(live, (1, 10))
    live.sandbox.post("faults", api=API, kind=kind, times=2)
    live.tick(at(DUE))
    assert states(live) == {"calling": 2}
    for minute in range(1, 10):
        live.tick(at(DUE) + timedelta(minutes=minute))
        assert states(live) == {"calling": 2} and n_mass(live) == 0
    for minute in range(10, 13):
        live.tick(at(DUE) + timedelta(minutes=minute))
    assert states(live) == {"handed": 2} and n_mass(live) == 2
    finish(live, at(DUE) + timedelta(minutes=20))
    assert set(live.received().values()) == {1} and len(live.received()) == 6


def test_looking_is_not_believed_while_wecom_does_not_answer(live: Live) -> None:
    """Ten minutes of silence are no proof: only an answer without our task is."""
    enrol_all(live, (1, 10))
    live.sandbox.post("faults", api=API, kind="drop_after", times=2)
    live.tick(at(DUE))
    live.sandbox.post("faults", api="externalcontact/get_groupmsg_list_v2", kind="errcode", errcode=-1)
    for minute in (1, 5, 11, 30):
        live.tick(at(DUE) + timedelta(minutes=minute))
    assert states(live) == {"calling": 2} and n_mass(live) == 2
    live.sandbox.post("faults/clear")
    live.tick(at(DUE) + timedelta(minutes=32))
    assert states(live) == {"handed": 2} and n_mass(live) == 2


def test_twins_are_told_apart(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two tasks of one guide and one content: while one's answer is lost the other waits, and each finds its
    own."""
    monkeypatch.setattr(planning, "CHUNK", 2)
    enrol_all(live, (1, 10))
    live.sandbox.post("faults", api=API, kind="drop_after", times=1)
    live.tick(at(DUE))
    assert states(live)["calling"] == 1
    for minute in range(1, 5):
        live.tick(at(DUE) + timedelta(minutes=minute))
    assert states(live) == {"handed": 4} and n_mass(live) == 4
    finish(live, at(DUE) + timedelta(minutes=6))
    assert states(live) == {"final": 4}
    assert {t.state for t in live.ledger()} == {Touch.State.DELIVERED}
    assert set(live.received().values()) == {1} and len(live.received()) == 6


def test_another_tools_twin_is_not_taken_for_ours(live: Live) -> None:
    """The same text sent by hand to other people of the guide at the same minute."""
    enrol_all(live, (1, 10))
    set_sandbox_clock(live.sandbox, at(DUE))
    token = live.sandbox.token(live.corp.corpid, live.corp.secret)
    live.sandbox.load(
        live.corp.corpid,
        customers=[
            {"external_userid": "wmstranger", "name": "x", "follows": [{"userid": live.guides[0].userid}]}
        ],
    )
    body = {
        "external_userid": ["wmstranger"],
        "sender": live.guides[0].userid,
        "text": {"content": "新客 第1天 10点"},
    }
    live.sandbox.api(API, body, access_token=token)
    live.sandbox.post("faults", api=API, kind="http500", times=1)
    live.tick(at(DUE))
    for minute in range(1, 13):
        live.tick(at(DUE) + timedelta(minutes=minute))
    assert states(live) == {"handed": 2} and n_mass(live) == 3


def _start_other_process(live: Live, moment: datetime, call: str) -> subprocess.Popen:
    """A worker of its own, at `moment`, on this test's database."""
    address = settings_url()
    code = (
        "import django; django.setup()\n"
        "from datetime import datetime\n"
        "from scrm import clock\n"
        "from tenants.models import Brand\n"
        "from tenants.scoping import tenant_scope\n"
        "from django.db import transaction\n"
        "from campaigns.services.sending import handing, results\n"
        "from campaigns.services.sops import stepping\n"
        f"brand = Brand.objects.get(pk={live.brand.pk})\n"
        f"moment = datetime.fromisoformat('{moment.isoformat()}')\n"
        "with clock.at(moment), tenant_scope(brand):\n"
        f"    {call}\n"
    )
    env = {
        **os.environ,
        "DATABASE_URL": address,
        "WECOM_API_URL": live.sandbox.url,
        "DJANGO_SETTINGS_MODULE": "scrm.settings",
    }
    return subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=env)


def settings_url() -> str:
    d = connection.settings_dict
    return f"postgres://{d['USER']}:{d['PASSWORD']}@{d['HOST']}:{d['PORT'] or 5432}/{d['NAME']}"


@pytest.mark.parametrize("made", [True, False])
def test_kill_between_call_and_record(live: Live, made: bool) -> None:
    """kill -9 while WeCom works on the call (and does it), or while it does nothing."""
    enrol_all(live, (1, 10))
    with clock.at(at(DUE)), in_brand(live.brand):
        stepping.run(live.brand, at(DUE))
        first = SendTask.objects.order_by("pk")[0].pk
    set_sandbox_clock(live.sandbox, at(DUE))
    live.sandbox.post("faults", api=API, kind="slow" if made else "hang", seconds=3, times=1)
    process = _start_other_process(live, at(DUE), f"handing.hand_over(brand, [{first}])")
    try:
        # the call has arrived when the disturbance is used up
        live.sandbox.wait_for(lambda: not live.sandbox.get("state")["faults"], 60)
        process.send_signal(signal.SIGSTOP)  # it does not hear the answer, however long we look
        assert states(live) == {"calling": 1, "planned": 1}
    finally:
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    live.sandbox.wait_for(lambda: len(live.sandbox.calls(API, live.corp.corpid)) == 1)
    assert n_mass(live) == int(made)

    for minute in range(14):
        live.tick(at(DUE) + timedelta(minutes=minute))
    assert states(live) == {"handed": 2} and n_mass(live) == 2
    finish(live, at(DUE) + timedelta(minutes=20))
    assert {t.state for t in live.ledger()} == {Touch.State.DELIVERED}
    assert set(live.received().values()) == {1} and len(live.received()) == 6


def test_kill_in_the_middle_of_stepping(live: Live) -> None:
    """A killed batch leaves nothing behind: no touch without its task, nobody moved on without a touch."""
    enrol_all(live, (1, 10), (2, 10))
    holder = psycopg2.connect(settings_url())  # its lock holds the tick inside its batch, before the touches
    cursor = holder.cursor()
    cursor.execute("LOCK TABLE campaigns_touchkey IN EXCLUSIVE MODE")
    process = _start_other_process(live, at(DUE), "stepping.run(brand, moment)")

    def is_inside() -> bool:
        with (
            connection.cursor() as other
        ):  # outside the holder's transaction, which would see one moment only
            other.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE"
                " '%touchkey%'"
            )
            return bool(other.fetchone()[0])

    try:
        live.sandbox.wait_for(is_inside, 60)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        holder.close()
    assert live.ledger() == []
    live.sandbox.wait_for(lambda: _can_step(live), 60)  # Postgres notices that the process is gone
    assert len(live.ledger()) == 6
    with in_brand(live.brand):
        assert Enrolment.objects.filter(position=1).count() == 6
        assert TouchKey.objects.count() == 6


@pytest.mark.parametrize("batch", [1, 4, 5_000])
def test_who_is_held_by_somebody_else_goes_on_later(live: Live, batch: int) -> None:
    """A page has one of the six in its hands while the minute comes by: the others go on, that one with the next minute."""
    enrol_all(live, (1, 10), (2, 10))
    with in_brand(live.brand):
        held = Enrolment.objects.order_by("pk")[2].pk
    holder = psycopg2.connect(settings_url())
    cursor = holder.cursor()
    cursor.execute(f"SET LOCAL app.brand_id = '{live.brand.pk}'")
    cursor.execute("SELECT id FROM campaigns_enrolment WHERE id = %s FOR UPDATE", [held])
    assert cursor.fetchone() == (held,)
    try:
        with clock.at(at(DUE)), in_brand(live.brand):
            assert stepping.run(live.brand, at(DUE), batch=batch).n == 5
        holder.rollback()  # answered: closing alone would let go of the row a moment later
    finally:
        holder.close()
    with clock.at(at(DUE)), in_brand(live.brand):
        assert stepping.run(live.brand, at(DUE), batch=batch).n == 1
        assert stepping.run(live.brand, at(DUE), batch=batch).n == 0
        assert Touch.objects.count() == TouchKey.objects.count() == 6
        assert stepping.probe(live.brand, at(DUE)) == (False, False)


def test_who_stands_in_no_list_is_found_in_the_night(live: Live) -> None:
    enrol_all(live, (1, 10), (2, 10))
    with in_brand(live.brand):
        assert sum(EnrolmentDue.objects.values_list("n", flat=True)) == 6
        EnrolmentDue.objects.all().delete()
        assert stepping.run(live.brand, at(DUE)).n == 0
        assert stepping.mend(live.brand, at(DUE)) == 0  # the minute may come by at any moment
        later = at(DUE) + timedelta(hours=2)
        assert stepping.mend(live.brand, later) == 6 and stepping.mend(live.brand, later) == 0
        assert stepping.run(live.brand, later).n == 6
        assert Touch.objects.count() == 6


def _can_step(live: Live) -> bool:
    with clock.at(at(DUE)), in_brand(live.brand):
        return stepping.run(live.brand, at(DUE)).n == 6


@pytest.mark.parametrize("seed", range(3))
def test_a_fifth_of_all_answers_fails(live: Live, seed: int) -> None:
    """Every kind of trouble on every call for days: the sandbox's own count and the ledger agree, and no one
    got two."""
    enrol_all(live, (1, 10), (2, 10), (3, 10), late_days=3)
    for kind, rate in (
        ("drop_after", 0.07),
        ("http500", 0.04),
        ("html", 0.03),
        ("empty", 0.02),
        ("errcode", 0.04),
    ):
        live.sandbox.post("faults", corpid=live.corp.corpid, kind=kind, rate=rate, errcode=-1)
    rng = random.Random(seed)
    moment = at(DUE)
    while moment < at("2026-03-05 02:00"):
        live.tick(moment)
        if rng.random() < 0.4:
            live.confirm_all(moment)
        moment += timedelta(minutes=rng.choice([1, 1, 2, 5, 11, 60, 180]))
    live.sandbox.post("faults/clear")
    for _ in range(6):
        live.tick(moment)
        live.confirm_all(moment)
        moment += timedelta(minutes=31)
    received = live.received()
    assert set(received.values()) == {1}
    delivered = [t for t in live.ledger() if t.state == Touch.State.DELIVERED]
    assert len(received) == len(delivered)
    # three steps for six people: each is delivered or has its reason
    assert len(live.ledger()) == 18
    assert {(t.state, t.reason) for t in live.ledger()} <= {
        (Touch.State.DELIVERED, 0),
        (Touch.State.BLOCKED, Touch.Reason.TOO_LATE),
    }
    assert len(delivered) >= 12


def test_ticks_at_the_same_time(live: Live) -> None:
    """Four workers tick the same minute; WeCom is called once for each guide."""
    enrol_all(live, (1, 10), (1, 11))
    set_sandbox_clock(live.sandbox, at(DUE))

    def work() -> None:
        for _ in range(3):
            live_tick(live, at(DUE))

    together(*[work] * 4)
    close_old_connections()
    assert n_mass(live) == 2 and states(live) == {"handed": 2}
    assert len(live.ledger()) == 6


def live_tick(live: Live, moment: datetime) -> None:
    from campaigns.tasks import tick_brand

    with clock.at(moment):
        tick_brand.delay(brand_id=live.brand.pk)


def test_interleaved_runs_never_double(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workers step and hand over in small batches, in an order that changes; each step of each person
    once."""
    monkeypatch.setattr(planning, "CHUNK", 2)
    monkeypatch.setattr(claims, "WHILE_TWIN", timedelta(seconds=1))
    monkeypatch.setattr(looking, "LOOK_AGAIN", timedelta(seconds=1))
    enrol_all(live, *[(day, 10) for day in range(1, 8)])
    moments = [at(f"2026-03-0{day} 10:00") + timedelta(minutes=m) for day in range(2, 9) for m in range(3)]
    for n, moment in enumerate(moments):
        set_sandbox_clock(live.sandbox, moment)
        rng = random.Random(n)
        acts = [("step", 1), ("step", 2), ("step", 5), ("hand", 0), ("hand", 0), ("step", 100), ("hand", 0)]
        rng.shuffle(acts)

        def run(mine: list[tuple[str, int]], moment: datetime = moment) -> None:
            with clock.at(moment):
                for act, size in mine:
                    if act == "step":
                        with in_brand_scope(live):
                            stepping.run(live.brand, moment, batch=size)
                    else:
                        live_hand(live)
            connections.close_all()

        others = [threading.Thread(target=run, args=(acts[i::2],)) for i in range(2)]
        for thread in others:
            thread.start()
        for thread in others:
            thread.join()
    for minute in range(3):
        live.tick(moments[-1] + timedelta(minutes=10 + minute))
    finish(live, moments[-1] + timedelta(minutes=60))
    ledger = live.ledger()
    assert Counter(Counter((t.contact_id, t.step_id) for t in ledger).values()) == {1: 42}
    assert {t.state for t in ledger} == {Touch.State.DELIVERED}
    assert set(live.received().values()) == {1} and len(live.received()) == 42


def in_brand_scope(live: Live) -> Any:
    from tenants.scoping import tenant_scope

    return tenant_scope(live.brand)


def live_hand(live: Live) -> None:
    with in_brand_scope(live):
        with transaction.atomic():
            planned = due.look().tasks["planned"]
        for task_id, _ in planned:
            handing.hand_over(live.brand, [task_id])


def test_what_a_killed_process_had_not_begun_to_call_goes_out_at_once(wecom: Any) -> None:
    """Killed with ten tasks in hand, of which three may have been called: only these are waited for."""
    live = make_live(wecom, n_guides=10, n_contacts=10)
    enrol_all(live, (1, 10))
    with clock.at(at(DUE)), in_brand_scope(live):
        stepping.run(live.brand, at(DUE))
        with transaction.atomic():
            ids = list(SendTask.objects.order_by("pk").values_list("pk", flat=True))
        claimed = claims.claim(live.brand, ids)
        assert len(claims.begin(live.brand, claimed[: handing.CALLS])) == 3
    for minute in (2, 3):
        live.tick(at(DUE) + timedelta(minutes=minute))
    assert states(live) == {"handed": 7, "calling": 3} and n_mass(live) == 7
    with clock.at(at(DUE) + timedelta(minutes=3)), in_brand_scope(live):
        assert (
            claims.begin(live.brand, claimed[3:]) == []
        )  # it was asleep only: these are somebody else's by now
    for minute in (9, 10, 11, 12):
        live.tick(at(DUE) + timedelta(minutes=minute))
    assert states(live) == {"handed": 10} and n_mass(live) == 10
    finish(live, at(DUE) + timedelta(minutes=14))
    assert set(live.received().values()) == {1} and len(live.received()) == 10


def test_a_process_that_slept_does_not_call(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    enrol_all(live, (1, 10))
    monkeypatch.setattr(handing, "MAX_AGE_S", -1.0)
    live.tick(at(DUE))
    assert states(live) == {"planned": 2} and n_mass(live) == 0


def test_refusals(live: Live) -> None:
    """41048 is final with its reason; what an admin can mend waits for it."""
    sop = enrol_all(live, (1, 10))
    live.sandbox.post("faults", api=API, kind="errcode", errcode=41048, times=1)
    live.sandbox.post("faults", api=API, kind="errcode", errcode=60020, times=1)
    live.tick(at(DUE))
    assert states(live) == {"failed": 1, "planned": 1}
    failed = [t for t in live.ledger() if t.state == Touch.State.FAILED]
    assert len(failed) == 3 and {t.reason for t in failed} == {Touch.Reason.REFUSED}
    assert "41048" in failed[0].error
    with in_brand(live.brand):
        assert SendTask.objects.get(state="planned").error  # said on the page
    live.tick(at(DUE) + timedelta(hours=2))
    assert states(live) == {"failed": 1, "handed": 1}
    assert sop.pk


def test_planned_too_long_is_not_sent_any_more(live: Live) -> None:
    enrol_all(live, (1, 10), late_days=1)
    live.sandbox.post("faults", api=API, kind="errcode", errcode=60020)
    for hours in (0, 1, 5, 12, 20):
        live.tick(at(DUE) + timedelta(hours=hours))
    live.sandbox.post("faults/clear")
    live.tick(at(DUE) + timedelta(hours=26))
    assert {(t.state, t.reason) for t in live.ledger()} == {(Touch.State.BLOCKED, Touch.Reason.TOO_LATE)}
    assert n_mass(live) == 0


def test_who_is_silenced_after_planning_is_left_out(live: Live) -> None:
    from contacts.models import Contact

    quiet = live.contacts[0]
    enrol_all(live, (1, 10))
    with clock.at(at(DUE)), in_brand(live.brand):
        stepping.run(live.brand, at(DUE))
        Contact.objects.filter(pk=quiet.pk).update(do_not_contact=True)
    live.tick(at(DUE))
    reasons = {t.contact_id: t.reason for t in live.ledger()}
    assert reasons.pop(quiet.pk) == Touch.Reason.DO_NOT_CONTACT and set(reasons.values()) == {0}
    finish(live, at(DUE) + timedelta(minutes=5))
    assert (live.externals[quiet.pk], "新客 第1天 10点") not in live.received()
    with in_brand(live.brand):
        assert sum(t.n for t in SendTask.objects.all()) == 5
        assert sops.live_steps  # the ledger still has all six
    assert len(live.ledger()) == 6
