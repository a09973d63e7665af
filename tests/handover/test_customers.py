"""Customers change hands: plan, call, results, refusals, events in any order, kills, after leaving."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction

from campaigns.models import Enrolment
from campaigns.services.sops import enrolments, sops
from campaigns.services.sops.sops import StepInput
from contacts.models import Contact, Event, Follow, Identity
from contacts.services.follow import record_follow
from handover.models import Unassigned
from handover.services import handing, leavers, runs
from handover.services.choosing import Choice
from handover.services.runs import Share
from handover.tasks import tick_brand
from org.access import SYSTEM
from org.models import Job, Staff
from org.services import jobs
from scrm import clock
from scrm.celery import app
from scrm.errors import ConflictError
from scrm.redis import redis_client
from tagging.models import ContactTag
from tagging.services.tags.tags import add_tags
from tenants.scoping import tenant_scope
from tests.factories import in_brand, make_tag
from tests.groups.conftest import external
from tests.handover.conftest import House, later
from wecom.models import OutboundCall

pytestmark = pytest.mark.django_db(transaction=True)

LISTED = tuple(external(n) for n in range(3))


def contact_of(house: House, n: int) -> Contact:
    with in_brand(house.brand):
        return Contact.objects.get(
            pk=Identity.objects.get(kind="external_userid", value=external(n)).contact_id
        )


# ---- on the job


def test_a_hand_over_end_to_end(house: House) -> None:
    run = house.start(house.b, message="以后由乙为您服务")

    assert house.states(run) == {"WAITING": 10}
    assert (house.job(run).state, house.fresh(run).state) == ("done", "running")
    (one, *_rest) = house.transfers()
    assert (one["handover"], one["takeover"], one["message"]) == (
        house.a.userid,
        house.b.userid,
        "以后由乙为您服务",
    )
    assert house.calls("transfer_customer") == 1
    assert house.story(0) == ["HANDOVER_ASKED"]
    assert house.guides(0) == {"甲": ""}

    house.complete()
    house.deliver()

    assert house.states(run) == {"DONE": 10}
    assert house.fresh(run).state == "done"
    assert house.guides(0) == {"甲": "transfer", "乙": ""}
    assert house.story(0) == ["HANDOVER_ASKED", "TRANSFERRED"]
    assert house.inbox() == {"done": 20}
    contact = contact_of(house, 0)
    assert (contact.n_follows, contact.lost_at) == (1, None)


def test_what_belongs_to_the_customer_stays(house: House) -> None:
    contact = contact_of(house, 0)
    with in_brand(house.brand):
        tag = make_tag(house.brand, "老客")
        add_tags(house.brand, contacts=[contact], tags=[tag], source="page")
        sop = sops.create_sop(house.brand, name="新客", steps=[StepInput(9, 10, 0, "第九天")], by=SYSTEM)
        sop = sops.switch_on(house.brand, sop_id=sop.pk, by=SYSTEM)
        enrolments.enrol_many(house.brand, contact_ids=[contact.pk], sop=sop, source="page")
        Follow.objects.filter(contact=contact).update(remark="张姐", description="两个孩子")
    run = house.start(house.b, customers="list", listed=LISTED)
    house.complete()
    house.deliver()
    assert house.states(run) == {"DONE": 3}
    with in_brand(house.brand):
        assert ContactTag.objects.filter(contact=contact, tag=tag).exists()
        assert Enrolment.objects.get(contact=contact).ended_at is None
        new = Follow.objects.get(contact=contact, staff=house.b)
        assert (new.remark, new.description, new.add_way) == ("张姐", "两个孩子", 202)
        call = OutboundCall.objects.get(kind="remark")
        assert (call.payload["userid"], call.payload["remark"], call.state) == (
            house.b.userid,
            "张姐",
            "done",
        )
        # nobody is greeted and nothing counts as an adding
        assert (
            not Event.objects.filter(contact_id=contact.pk, type__in=[1, 2]).exclude(source="sync").exists()
        )
    there = house.sandbox.get("customer", corpid=house.corp.corpid, external_userid=external(0))
    assert [f["remark"] for f in there["follows"] if f["userid"] == house.b.userid] == ["张姐"]


def test_several_receivers_by_weight_and_whoever_knows_them_already(house: House) -> None:
    with in_brand(house.brand):
        record_follow(
            house.brand,
            corp=house.corp,
            staff=house.c,
            external_userid=external(9),
            at=clock.now(),
            source="sync",
        )
    run = house.start((house.b, 2), (house.c, 1))
    names = [item.receiver.name for item in house.items(run)]
    assert names[9] == "丙"
    assert (names[:9].count("乙"), names[:9].count("丙")) == (6, 3)
    house.complete()
    house.deliver()
    assert house.states(run) == {"DONE": 10}
    assert house.guides(9) == {"甲": "transfer", "丙": ""}


def test_a_hundred_in_a_call(house: House) -> None:
    with in_brand(house.brand):
        for n in range(100, 230):
            make_follow(house, n)
    house.sandbox.load(
        house.corp.corpid,
        customers=[
            {"external_userid": external(n), "follows": [{"userid": house.a.userid}]} for n in range(100, 230)
        ],
    )
    run = house.start(house.b)
    assert house.states(run) == {"WAITING": 140}
    assert house.calls("transfer_customer") == 2


def make_follow(house: House, n: int) -> Follow:
    return record_follow(
        house.brand,
        corp=house.corp,
        staff=house.a,
        external_userid=external(n),
        at=clock.now(),
        source="sync",
    ).follow


@pytest.mark.parametrize("order", ["as told", "reversed", "twice", "lost"])
def test_events_in_any_order_or_none(house: House, order: str) -> None:
    run = house.start(house.b, customers="list", listed=LISTED)
    house.letters()
    house.complete()
    letters = house.letters()
    if order == "reversed":
        letters.reverse()
    if order != "lost":
        house.deliver(letters * (2 if order == "twice" else 1))
    house.poll(run)
    if order == "lost":
        house.deliver(letters)  # … or only late
    assert house.states(run) == {"DONE": 3}
    assert house.guides(0) == {"甲": "transfer", "乙": ""}
    assert house.story(0) == ["HANDOVER_ASKED", "TRANSFERRED"]
    assert house.inbox() == {"done": 12 if order == "twice" else 6} or order == "twice"
    assert contact_of(house, 0).n_follows == 1


def test_a_customer_refuses(house: House) -> None:
    run = house.start(house.b, customers="list", listed=LISTED)
    house.post(
        "transfer_fails", userid=house.b.userid, external_userid=external(0), reason="customer_refused"
    )
    house.post(
        "transfer_fails", userid=house.b.userid, external_userid=external(1), reason="customer_limit_exceed"
    )
    house.deliver()
    assert house.states(run) == {"REFUSED": 1, "FAILED": 1, "WAITING": 1}
    assert house.story(0) == ["HANDOVER_ASKED", "HANDOVER_FAILED"]
    assert house.guides(0) == {"甲": ""}
    assert house.items(run)[1].errcode == 40099
    house.complete()
    house.deliver()
    assert house.fresh(run).state == "done"


def test_a_refusal_is_found_although_no_event_came(house: House) -> None:
    run = house.start(house.b, customers="list", listed=LISTED)
    house.post(
        "transfer_fails", userid=house.b.userid, external_userid=external(0), reason="customer_refused"
    )
    house.letters()
    house.poll(run)
    house.poll(run)
    assert house.states(run) == {"REFUSED": 1, "WAITING": 2}
    assert house.story(0) == ["HANDOVER_ASKED", "HANDOVER_FAILED"]


def test_a_failure_of_the_console_stands_on_the_timeline(house: House) -> None:
    token = house.sandbox.token(house.corp.corpid)
    body = {
        "handover_userid": house.a.userid,
        "takeover_userid": house.b.userid,
        "external_userid": [external(0)],
    }
    house.sandbox.api("externalcontact/transfer_customer", body, access_token=token)
    house.post(
        "transfer_fails", userid=house.b.userid, external_userid=external(0), reason="customer_refused"
    )
    house.deliver()
    assert house.story(0) == ["HANDOVER_FAILED"]


def test_a_hand_over_of_the_console_is_no_arrival(house: House) -> None:
    token = house.sandbox.token(house.corp.corpid)
    body = {
        "handover_userid": house.a.userid,
        "takeover_userid": house.b.userid,
        "external_userid": [external(0)],
    }
    house.sandbox.api("externalcontact/transfer_customer", body, access_token=token)
    house.complete()
    house.deliver()
    assert house.story(0) == ["TRANSFERRED"]
    assert house.guides(0) == {"甲": "transfer", "乙": ""}


# ---- WeCom's rules


def test_twice_in_ninety_days_is_foreseen(house: House) -> None:
    for giver, receiver in ((house.a, house.b), (house.b, house.a)):
        house.start(receiver, giver=giver, customers="list", listed=(external(0),))
        house.complete()
        house.deliver()
    with in_brand(house.brand):
        giver = Staff.objects.select_related("corp").get(pk=house.a.pk)
        given = {"giver": giver, "choice": Choice(), "shares": [Share(house.b.pk)]}
        found = runs.preview(house.brand, **given)
        assert (found.n_customers, [n for _w, _h, n in found.refused]) == (9, [1])
    run = house.start(house.b)
    assert house.states(run) == {"SKIPPED": 1, "WAITING": 9}
    assert house.items(run)[0].errcode == 40128
    with in_brand(house.brand), later(days=91):  # the window has passed
        codes = [c.errcode for c in runs.candidates_of(house.brand, house.corp, giver, Choice(), [])[0]]
        assert 40128 not in codes


def test_what_we_did_not_foresee_wecom_refuses(house: House) -> None:
    """The console may have handed over before we looked: WeCom's own answers end with a reason each."""
    with in_brand(house.brand):
        make_follow(house, 77)  # we think that 甲 has this customer, WeCom knows nothing of them
        make_follow(house, 78)
    house.sandbox.load(house.corp.corpid, customers=[{"external_userid": external(78), "follows": []}])
    token = house.sandbox.token(house.corp.corpid)
    body = {
        "handover_userid": house.a.userid,
        "takeover_userid": house.c.userid,
        "external_userid": [external(1)],
    }
    house.sandbox.api("externalcontact/transfer_customer", body, access_token=token)
    listed = (external(0), external(1), external(77), external(78))
    run = house.start(house.b, customers="list", listed=listed)
    codes = {item.external_userid: item.errcode for item in house.items(run)}
    assert codes == {external(0): 0, external(1): 40129, external(77): 40096, external(78): 40131}
    assert house.states(run) == {"WAITING": 1, "FAILED": 3}
    assert house.story(1) == ["HANDOVER_FAILED"]


def test_a_customer_of_two_runs_is_handed_over_once(house: House) -> None:
    house.start(house.b, customers="list", listed=LISTED)
    second = house.start(house.c)
    assert house.states(second) == {"SKIPPED": 3, "WAITING": 7}
    assert {item.errcode for item in house.items(second)} == {0, 40129}


def test_a_receiver_whom_wecom_refuses_ends_their_part_only(house: House) -> None:
    house.post("member_changes", userid=house.c.userid, has_contact_right=False)
    run = house.start(house.b, house.c)
    assert house.states(run) == {"WAITING": 5, "FAILED": 5}
    assert house.job(run).state == "done"
    assert {item.errcode for item in house.items(run) if item.receiver_id == house.c.pk} == {84074}


def test_when_the_app_may_not_call_the_job_stops_and_goes_on_later(house: House) -> None:
    house.sandbox.make_corp(house.corp.corpid, callable=False, callback_url=f"{house.sandbox.url}/healthz")
    run = house.start(house.b)
    job = house.job(run)
    assert (job.state, house.states(run)) == ("failed", {"PLANNED": 10})
    assert job.error
    house.sandbox.make_corp(house.corp.corpid, callable=True, callback_url=f"{house.sandbox.url}/healthz")
    with in_brand(house.brand):
        jobs.resume(house.brand, job.pk)
    assert house.states(run) == {"WAITING": 10}


@pytest.mark.parametrize("fault", ["drop_after", "html", "busy", "limit"])
def test_lost_answers_and_busy_wecom(house: House, fault: str) -> None:
    given = {
        "drop_after": {"kind": "drop_after"},
        "html": {"kind": "html"},
        "busy": {"kind": "errcode", "errcode": -1},
        "limit": {"kind": "errcode", "errcode": 45009},
    }[fault]
    house.sandbox.post("faults", api="externalcontact/transfer_customer", times=1, **given)
    run = house.start(house.b)
    for _ in range(3):
        job = house.job(run)
        if job.state == "waiting":
            redis_client().flushdb()  # the block of a minute is over
            with tenant_scope(house.brand):
                jobs.run(house.brand, job.pk)
    assert house.states(run) == {"WAITING": 10}
    assert len(house.transfers()) == 10
    assert house.story(0) == ["HANDOVER_ASKED"]


# ---- kills


class Killed(BaseException):
    """What a SIGKILL is to Python code."""


@pytest.fixture
def queued() -> Any:
    """Jobs only start when a test runs them."""
    app.conf.task_always_eager = False
    yield
    app.conf.task_always_eager = True


@pytest.mark.parametrize("at", ["before the call", "after the call", "while recording"])
def test_killed_in_the_middle_nothing_is_lost_or_done_twice(
    house: House, queued: Any, monkeypatch: Any, at: str
) -> None:
    monkeypatch.setattr(handing, "CHUNK", 4)
    run = house.start(house.b)
    calls, real_call, real_record = 0, handing._call, handing._record

    def call(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        if at == "before the call" and calls == 2:
            raise Killed
        answer = real_call(*args)
        if at == "after the call" and calls == 2:
            raise Killed
        return answer

    def record(*args: Any) -> Any:
        if at == "while recording" and calls == 2:
            with transaction.atomic():
                real_record(*args)
                raise Killed
        return real_record(*args)

    monkeypatch.setattr(handing, "_call", call)
    monkeypatch.setattr(handing, "_record", record)
    with tenant_scope(house.brand), pytest.raises(Killed):
        jobs.run(house.brand, run.job_id or 0)
    assert house.states(run) == {"WAITING": 4, "CALLING": 4, "PLANNED": 2}
    monkeypatch.setattr(handing, "_call", real_call)
    monkeypatch.setattr(handing, "_record", real_record)
    with tenant_scope(house.brand), clock.at(clock.now() + jobs.LEASE + timedelta(seconds=1)):
        jobs.run(house.brand, run.job_id or 0)
    assert house.states(run) == {"WAITING": 10}
    assert house.job(run).state == "done"
    assert len(house.transfers()) == 10
    assert house.calls("transfer_customer") == 3
    assert all(house.story(n) == ["HANDOVER_ASKED"] for n in range(10))


# ---- cancel


def test_cancel_leaves_what_was_not_handed(house: House, queued: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(handing, "CHUNK", 4)
    run = house.start(house.b)
    steps = 0

    def until() -> bool:
        nonlocal steps
        steps += 1
        return steps == 2

    with tenant_scope(house.brand):
        jobs.run(house.brand, run.job_id or 0, until=until)
    with in_brand(house.brand):
        assert runs.cancel_run(house.brand, by=SYSTEM, run_id=run.pk) == 6
    assert house.states(run) == {"WAITING": 4, "CANCELLED": 6}
    assert house.job(run).state == "cancelled"
    with in_brand(house.brand), pytest.raises(ConflictError):
        runs.cancel_run(house.brand, by=SYSTEM, run_id=run.pk)
    house.complete()
    app.conf.task_always_eager = True
    house.deliver()
    assert house.states(run) == {"DONE": 4, "CANCELLED": 6}
    assert house.fresh(run).state == "cancelled"
    again = house.start(house.c)  # those who were not handed are free again
    assert house.states(again) == {"WAITING": 6}


def test_cancelled_on_the_job_card(house: House, queued: Any) -> None:
    run = house.start(house.b)
    with in_brand(house.brand):
        job = Job.objects.get(pk=run.job_id or 0)
    with tenant_scope(house.brand):
        handing.step(house.brand, job)
    with in_brand(house.brand):
        jobs.cancel(run.job_id or 0)
    app.conf.task_always_eager = True
    tick_brand.delay(brand_id=house.brand.pk)
    assert house.states(run) == {"CANCELLED": 10}
    assert house.fresh(run).state == "cancelled"


# ---- after leaving


def test_customers_of_somebody_who_has_left(house: House) -> None:
    house.leave(house.a)
    with in_brand(house.brand):
        (leaver,) = leavers.leavers()
        assert (leaver.staff, leaver.n_customers, leaver.n_running) == (house.a, 10, 0)
        assert leaver.ends_at is not None
    run = house.start(house.b, message="not said by WeCom")
    assert (house.fresh(run).is_resigned, house.fresh(run).message) == (True, "")
    assert house.states(run) == {"WAITING": 10}
    with in_brand(house.brand):
        (leaver,) = leavers.leavers()
        assert (leaver.n_customers, leaver.n_running) == (0, 10)
    house.complete()
    house.deliver()
    assert house.states(run) == {"DONE": 10}
    assert house.guides(0) == {"甲": "transfer", "乙": ""}
    assert house.story(0) == ["HANDOVER_ASKED", "TRANSFERRED"]
    with in_brand(house.brand):
        assert leavers.leavers() == []
        assert Unassigned.objects.count() == 0


def test_somebody_who_left_before_we_came(house: House) -> None:
    house.sandbox.load(
        house.corp.corpid,
        members=[{"userid": "OldOne", "name": "旧人"}],
        customers=[{"external_userid": external(50), "follows": [{"userid": "OldOne"}]}],
    )
    house.post("member_leaves", userid="OldOne")
    with in_brand(house.brand):
        leavers.start_reading(house.brand, corp=house.corp)
    with in_brand(house.brand):
        (leaver,) = leavers.leavers()
        assert (leaver.staff.userid, leaver.staff.state, leaver.n_customers) == ("oldone", "left", 1)
    run = house.start(house.b, giver=leaver.staff)
    house.complete()
    house.deliver()
    assert house.states(run) == {"DONE": 1}
    assert house.guides(50) == {"oldone": "transfer", "乙": ""}


def test_a_leaver_who_has_not_left_at_wecom(house: House) -> None:
    house.leave(house.a)
    house.sandbox.load(house.corp.corpid, members=[{"userid": house.a.userid, "name": "甲"}])  # back again
    run = house.start(house.b)
    job = house.job(run)
    assert (job.state, house.states(run)) == ("failed", {"PLANNED": 10})
    assert "离职" in job.error
