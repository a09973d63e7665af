"""An SOP's whole life against the sandbox: planned, handed over, confirmed, counted; and what may go wrong on
the way."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from campaigns.governance import CapRule
from campaigns.models import Enrolment, SendTask, StepBlocked, Touch
from campaigns.services.sops import enrolments, sops
from contacts.models import Event, EventType
from org.access import SYSTEM
from org.models import Job
from scrm import clock
from tests.campaigns.conftest import Live, at, make_live, set_sandbox_clock
from tests.factories import in_brand

pytestmark = pytest.mark.django_db(transaction=True)


def enrol_all(live: Live, sop: Any, moment: Any, contacts: list | None = None) -> int:
    with in_brand(live.brand):
        ids = [c.pk for c in (contacts or live.contacts)]
        return enrolments.enrol_many(live.brand, sop=sop, contact_ids=ids, source="page", at=moment)


def events_of(live: Live, kind: EventType) -> int:
    with in_brand(live.brand):
        return Event.objects.filter(type=kind).count()


def test_life_of_an_sop(live: Live) -> None:
    sop = live.make_sop((1, 10), (7, 10), (30, 20))
    assert enrol_all(live, sop, at("2026-03-01 15:00")) == 6
    assert events_of(live, EventType.SOP_ENTERED) == 6

    live.tick(at("2026-03-02 09:59"))
    assert live.ledger() == []

    live.tick(at("2026-03-02 10:00"))
    with in_brand(live.brand):
        tasks = list(SendTask.objects.all())
    assert [(t.state, t.n) for t in tasks] == [("handed", 3), ("handed", 3)]  # one for each guide
    assert {t.state for t in live.ledger()} == {Touch.State.HANDED}
    assert live.received() == {}  # nothing before the guide confirms

    live.confirm_all(at("2026-03-02 12:00"))
    live.tick(at("2026-03-02 12:01"))
    ledger = live.ledger()
    assert {t.state for t in ledger} == {Touch.State.DELIVERED} and len(ledger) == 6
    assert live.received() == {(live.externals[c.pk], "新客 第1天 10点"): 1 for c in live.contacts}
    assert [events_of(live, k) for k in (EventType.TOUCH_HANDED, EventType.TOUCH_SENT)] == [6, 6]
    with in_brand(live.brand):
        assert {(t.state, t.n_sent, t.n_failed) for t in SendTask.objects.all()} == {("final", 3, 0)}

    for moment in ("2026-03-08 10:00", "2026-03-31 20:00"):
        live.tick(at(moment))
        live.confirm_all(at(moment) + timedelta(minutes=5))
        live.tick(at(moment) + timedelta(minutes=6))
    assert Counter(t.state for t in live.ledger()) == {Touch.State.DELIVERED: 18}
    assert set(live.received().values()) == {1} and len(live.received()) == 18
    with in_brand(live.brand):
        assert set(Enrolment.objects.values_list("end_kind", "next_run_at")) == {("done", None)}
    assert events_of(live, EventType.SOP_ENDED) == 6

    live.tick(at("2026-04-20 10:00"))  # nothing more
    assert len(live.ledger()) == 18


def test_who_does_not_get_it_and_why(live: Live) -> None:
    dnc, gone, half, deleted_at_wecom, *rest = live.contacts
    first, second = live.make_sop((1, 10)), live.make_sop((1, 11), (2, 11), name="二")
    for sop in (first, second):
        enrol_all(live, sop, at("2026-03-01 15:00"))
    with in_brand(live.brand):
        from campaigns.services.governance import policy
        from contacts.models import Contact, Follow
        from contacts.services import stats

        policy.change_policy(live.brand, caps=[CapRule(7, 1)], by=SYSTEM)
        Contact.objects.filter(pk=dnc.pk).update(do_not_contact=True)
        Follow.objects.filter(contact=gone).update(ended_at=at("2026-03-01 18:00"))
        Contact.objects.filter(pk=gone.pk).update(n_follows=0, lost_at=at("2026-03-01 18:00"))
        Follow.objects.filter(contact=half).update(is_pending=True)
        Contact.objects.filter(pk=half.pk).update(n_follows=0)
        stats.refresh(live.brand, [dnc.pk, gone.pk, half.pk])
    live.sandbox.post(
        "customer_deletes",
        corpid=live.corp.corpid,
        external_userid=live.externals[deleted_at_wecom.pk],
        userid=live.guides[1].userid,
    )
    live.tick(at("2026-03-02 10:00"))
    live.confirm_all(at("2026-03-02 10:10"))
    live.tick(at("2026-03-02 10:20"))
    live.tick(at("2026-03-02 11:00"))

    R, S = Touch.Reason, Touch.State
    found = {
        (t.contact_id, t.sop_id): (t.state, t.reason) for t in live.ledger(at__lt=at("2026-03-03 00:00"))
    }
    assert found[dnc.pk, first.pk] == (S.BLOCKED, R.DO_NOT_CONTACT)
    assert found[gone.pk, first.pk] == (S.BLOCKED, R.NOT_FOLLOWED)
    assert found[half.pk, first.pk] == (S.BLOCKED, R.NOT_FOLLOWED)
    assert found[deleted_at_wecom.pk, first.pk] == (S.FAILED, R.NOT_FRIEND)
    for contact in rest:
        assert found[contact.pk, first.pk] == (S.DELIVERED, R.NONE)
        assert found[contact.pk, second.pk] == (S.BLOCKED, R.CAPPED)
    # a message that did not arrive leaves room under the cap
    assert found[deleted_at_wecom.pk, second.pk][1] != R.CAPPED
    assert live.received() == {(live.externals[c.pk], "新客 第1天 10点"): 1 for c in rest}

    with in_brand(live.brand):
        ends = dict(Enrolment.objects.filter(sop=second).values_list("contact_id", "end_kind"))
        assert ends[gone.pk] == "lost" and ends[half.pk] == "" and ends[dnc.pk] == ""
        blocked = Counter((t.sop_id, t.step_id, t.reason) for t in Touch.objects.filter(state=S.BLOCKED))
        assert {(b.sop_id, b.step_id, b.reason): b.n for b in StepBlocked.objects.all()} == blocked
        reasons = Event.objects.filter(type=EventType.TOUCH_BLOCKED).values_list("data__reason", flat=True)
        assert set(reasons) == {"capped", "do_not_contact", "not_followed"}


def test_cap_counts_touches_of_the_window_and_no_welcome(live: Live) -> None:
    from campaigns.services.governance import policy
    from campaigns.services.ledger import touches

    contact = live.contacts[0]
    sop = live.make_sop(*[(n, 10) for n in range(1, 13)])
    enrol_all(live, sop, at("2026-03-01 15:00"), [contact])
    with in_brand(live.brand):
        policy.change_policy(live.brand, caps=[CapRule(4, 2)], by=SYSTEM)
        for n in range(9):
            welcome = touches.claim_welcome(
                live.brand,
                contact_id=contact.pk,
                staff_id=live.guides[0].pk,
                code_id=None,
                welcome_code=f"W{n}",
                at=at("2026-03-01 15:00"),
            )
            touches.record_welcome_result(live.brand, touch=welcome, at=at("2026-03-01 15:00"))
    for day in range(2, 14):
        live.tick(at(f"2026-03-{day:02} 10:00"))
    days = {t.at.day: t.reason for t in live.ledger(kind=Touch.Kind.SOP)}
    assert [d for d, reason in days.items() if not reason] == [2, 3, 6, 7, 10, 11]
    assert len(days) == 12


def test_two_steps_of_two_sops_in_one_minute_respect_the_cap(live: Live) -> None:
    from campaigns.services.governance import policy

    with in_brand(live.brand):
        policy.change_policy(live.brand, caps=[CapRule(1, 1)], by=SYSTEM)
    for name in ("甲", "乙", "丙"):
        enrol_all(live, live.make_sop((1, 10), name=name), at("2026-03-01 15:00"))
    live.tick(at("2026-03-02 10:00"))
    by_contact = Counter(t.contact_id for t in live.ledger() if not t.reason)
    assert by_contact == {c.pk: 1 for c in live.contacts}
    assert len(live.ledger()) == 18


def test_late_steps_are_caught_up_or_recorded(live: Live) -> None:
    sop = live.make_sop((1, 10), (2, 10), (3, 10), (20, 10), late_days=3)
    enrol_all(live, sop, at("2026-03-01 15:00"))
    live.tick(at("2026-03-04 22:30"))  # no beat for three days
    found = Counter((t.step_id, t.state, t.reason) for t in live.ledger())
    with in_brand(live.brand):
        one, two, three, four = [s.pk for s in sops.live_steps(sop.pk)]
    blocked, late = Touch.State.BLOCKED, Touch.Reason.TOO_LATE
    assert found == {(one, blocked, late): 6, (two, blocked, late): 6, (three, Touch.State.HANDED, 0): 6}
    live.tick(at("2026-03-30 10:00"))
    assert Counter(t.reason for t in live.ledger(step_id=four)) == {late: 6}
    with in_brand(live.brand):
        assert set(Enrolment.objects.values_list("end_kind", flat=True)) == {"done"}


def test_pause_parks_and_resume_catches_up(live: Live) -> None:
    sop = live.make_sop((1, 10), (2, 10), (9, 10), late_days=1)
    enrol_all(live, sop, at("2026-03-01 15:00"))
    with in_brand(live.brand):
        sops.pause(live.brand, sop_id=sop.pk, by=SYSTEM)
    live.tick(at("2026-03-02 10:00"))
    with in_brand(live.brand):
        assert Enrolment.objects.filter(is_parked=True, next_run_at=at("2026-03-02 10:00")).count() == 6
        newcomer = enrolments.enrol_many(
            live.brand, sop=sop, contact_ids=[live.contacts[0].pk], source="page"
        )
        assert newcomer == 0  # in it already
    assert live.ledger() == []
    live.tick(at("2026-03-03 10:00"))
    with in_brand(live.brand):
        sops.resume(live.brand, sop_id=sop.pk, by=SYSTEM)
    live.tick(at("2026-03-03 12:00"))
    assert Counter((t.state, t.reason) for t in live.ledger()) == {
        (Touch.State.BLOCKED, Touch.Reason.TOO_LATE): 6,
        (Touch.State.HANDED, Touch.Reason.NONE): 6,
    }


def test_a_paused_sop_hands_nothing_over(live: Live) -> None:
    sop = live.make_sop((1, 10))
    enrol_all(live, sop, at("2026-03-01 15:00"))
    fault = {"api": "externalcontact/add_msg_template", "kind": "errcode", "errcode": -1}
    live.sandbox.post("faults", **fault)
    live.tick(at("2026-03-02 10:00"))
    with in_brand(live.brand):
        assert set(SendTask.objects.values_list("state", flat=True)) == {"planned"}
        sops.pause(live.brand, sop_id=sop.pk, by=SYSTEM)
    live.sandbox.post("faults/clear")
    live.tick(at("2026-03-02 10:30"))
    with in_brand(live.brand), clock.at(at("2026-03-02 22:00")):
        assert set(SendTask.objects.values_list("state", flat=True)) == {"planned"}
        sops.resume(live.brand, sop_id=sop.pk, by=SYSTEM)
    live.tick(at("2026-03-02 22:01"))
    assert {t.state for t in live.ledger()} == {Touch.State.HANDED}


def test_end_lets_everybody_go_and_cancels_what_was_planned(live: Live) -> None:
    sop = live.make_sop((1, 10), (2, 10))
    enrol_all(live, sop, at("2026-03-01 15:00"))
    live.sandbox.post("faults", api="externalcontact/add_msg_template", kind="errcode", errcode=-1)
    live.tick(at("2026-03-02 10:00"))
    with in_brand(live.brand):
        sops.end(live.brand, sop_id=sop.pk, by=SYSTEM)
    live.sandbox.post("faults/clear")
    live.tick(at("2026-03-03 10:00"))
    with in_brand(live.brand):
        assert set(Enrolment.objects.values_list("end_kind", flat=True)) == {"sop"}
        assert set(SendTask.objects.values_list("state", flat=True)) == {"cancelled"}
    assert {t.state for t in live.ledger()} == {Touch.State.CANCELLED}
    assert events_of(live, EventType.SOP_ENDED) == 6


def test_end_stops_what_guides_have_not_confirmed(live: Live) -> None:
    sop = live.make_sop((1, 10), (2, 10))
    enrol_all(live, sop, at("2026-03-01 15:00"))
    live.tick(at("2026-03-02 10:00"))
    with in_brand(live.brand):
        first, second = SendTask.objects.order_by("pk")
        assert {first.state, second.state} == {"handed"}
    live.sandbox.post("confirm", corpid=live.corp.corpid, msgid=first.msgid)
    with in_brand(live.brand), clock.at(at("2026-03-02 10:30")):
        sops.end(live.brand, sop_id=sop.pk, by=SYSTEM)
        assert Job.objects.get(kind="sop_stop").n_total == 2
    for moment in ("2026-03-02 10:40", "2026-03-02 12:00"):
        live.tick(at(moment))
    assert live.confirm_all(at("2026-03-02 13:00")) == 0 and len(live.received()) == 3
    assert {t.state for t in live.ledger(send_task_id=first.pk)} == {Touch.State.DELIVERED}
    assert {t.state for t in live.ledger(send_task_id=second.pk)} == {Touch.State.CANCELLED}


def test_end_while_a_send_is_being_handed_over(live: Live) -> None:
    """Handed over after the job has looked: the next question to WeCom stops it."""
    sop = live.make_sop((1, 10))
    enrol_all(live, sop, at("2026-03-01 15:00"))
    live.tick(at("2026-03-02 10:00"))
    with in_brand(live.brand), clock.at(at("2026-03-02 10:30")):
        SendTask.objects.update(state="calling")
        sops.end(live.brand, sop_id=sop.pk, by=SYSTEM)
        SendTask.objects.update(state="handed")
    live.tick(at("2026-03-02 12:00"))
    with in_brand(live.brand):
        assert set(SendTask.objects.values_list("state", flat=True)) == {"cancelled"}
    assert live.confirm_all(at("2026-03-02 13:00")) == 0 and live.received() == {}


def test_two_brands_do_not_meet(live: Live, wecom: Any) -> None:
    other = make_live(wecom, 1, 3)
    for one in (live, other):
        enrol_all(one, one.make_sop((1, 10)), at("2026-03-01 15:00"))
    live.tick(at("2026-03-02 10:00"))
    assert len(live.ledger()) == 6 and other.ledger() == []
    other.tick(at("2026-03-02 10:01"))
    assert len(other.ledger()) == 3
    live.confirm_all(at("2026-03-02 11:00"))
    assert len(live.received()) == 6 and other.received() == {}


def test_a_contact_with_several_guides_hears_from_the_last_one(live: Live) -> None:
    from contacts.models import Follow

    contact, newer = live.contacts[0], live.guides[1]
    with in_brand(live.brand):
        Follow.objects.create(
            contact=contact, staff=newer, corp=live.corp, external_userid=live.externals[contact.pk],
            added_at=clock.now(),
        )  # fmt: skip
    live.sandbox.load(
        live.corp.corpid,
        customers=[
            {
                "external_userid": live.externals[contact.pk],
                "name": "x",
                "follows": [{"userid": newer.userid}],
            }
        ],
    )
    enrol_all(live, live.make_sop((1, 10)), at("2026-03-01 15:00"), [contact])
    live.tick(at("2026-03-02 10:00"))
    assert [(t.contact_id, t.staff_id) for t in live.ledger()] == [(contact.pk, newer.pk)]
    live.confirm_all(at("2026-03-02 11:00"))
    assert set(live.received().values()) == {1}


def test_unconfirmed_for_thirty_days_is_cancelled(live: Live) -> None:
    enrol_all(live, live.make_sop((1, 10)), at("2026-03-01 15:00"))
    live.tick(at("2026-03-02 10:00"))
    live.tick(at("2026-03-31 10:00"))
    assert {t.state for t in live.ledger()} == {Touch.State.HANDED}
    live.tick(at("2026-04-02 10:00"))
    assert {t.state for t in live.ledger()} == {Touch.State.CANCELLED}
    assert live.confirm_all(at("2026-04-02 11:00")) == 0


def test_wecoms_own_cap_comes_back_as_a_reason(live: Live) -> None:
    live.sandbox.post("settings", receive_cap=1)
    with in_brand(live.brand):
        from campaigns.services.governance import policy

        policy.change_policy(live.brand, caps=[CapRule(7, 50)], by=SYSTEM)
    enrol_all(live, live.make_sop((1, 10), (2, 10)), at("2026-03-01 15:00"))
    for day in (2, 3):
        live.tick(at(f"2026-03-0{day} 10:00"))
        live.confirm_all(at(f"2026-03-0{day} 10:30"))
        live.tick(at(f"2026-03-0{day} 10:40"))
    assert Counter((t.state, t.reason) for t in live.ledger()) == {
        (Touch.State.DELIVERED, 0): 6,
        (Touch.State.FAILED, Touch.Reason.WECOM_LIMIT): 6,
    }


def test_dispatching_takes_a_while(live: Live) -> None:
    live.sandbox.post("settings", dispatch_s=90)
    enrol_all(live, live.make_sop((1, 10)), at("2026-03-01 15:00"))
    live.tick(at("2026-03-02 10:00"))
    live.tick(at("2026-03-02 10:01"))  # 41063
    with in_brand(live.brand):
        assert set(SendTask.objects.values_list("state", "error")) == {("handed", "")}
    live.confirm_all(at("2026-03-02 10:20"))
    set_sandbox_clock(live.sandbox, at("2026-03-02 10:21"))
    live.tick(at("2026-03-02 10:21"))
    assert {t.state for t in live.ledger()} == {Touch.State.DELIVERED}
