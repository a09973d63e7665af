"""Two people (or two clicks, or a repeated call of the API) at once, and what changes in the middle of something."""

import contextlib
import threading
from collections import Counter
from collections.abc import Callable
from datetime import time, timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from campaigns.models import (
    Enrolment,
    Moment,
    SendTask,
    SopVersion,
    StaffTask,
    StepBlocked,
    Touch,
    TouchPolicy,
)
from campaigns.services.broadcasts import broadcasts, waves
from campaigns.services.governance import policy
from campaigns.services.graphs import graphs
from campaigns.services.journeys import walking
from campaigns.services.ledger import planning, touches
from campaigns.services.sending import claims, results, senders
from campaigns.services.sops import sop_approval, sops
from campaigns.services.tasks import staff_task_batches, staff_tasks
from campaigns.tasks import run_moment
from contacts.models import Event, EventType, Follow
from contacts.services.contacts import set_do_not_contact
from org.access import SYSTEM, Actor
from org.models import Staff
from org.services import jobs
from scrm import clock
from scrm.errors import ConflictError, SCRMError
from tenants.scoping import tenant_scope
from tests.campaigns import test_broadcasts
from tests.campaigns.conftest import Live, at
from tests.campaigns.graphs import entry, line, touch, wait
from tests.campaigns.test_journeys import START
from tests.factories import in_brand, make_contact, make_staff
from tests.threads import meanwhile, together

pytestmark = pytest.mark.django_db(transaction=True)
people = test_broadcasts.people
S = Touch.State


def at_once(brand: Any, *acts: Callable[[], Any], moment: Any = None) -> list[Any]:
    """What each of some acts gave or raised, begun at the same time."""

    def run(act: Callable[[], Any]) -> Any:
        try:
            with tenant_scope(brand), clock.at(moment or clock.now()):
                return act()
        except SCRMError as error:
            return error

    return together(*(partial(run, act) for act in acts))


def other(brand: Any, act: Callable[[], Any]) -> threading.Thread:
    """Somebody else does something now; given back once it is done, or waits for us."""

    def run() -> None:
        with tenant_scope(brand):
            act()

    return meanwhile(run)


# ---- the same twice


def test_a_broadcast_launched_twice_goes_out_once(brand: Any, people: list[Any]) -> None:
    now = test_broadcasts.NOW
    with in_brand(brand), clock.at(now):
        draft = broadcasts.save_draft(brand, test_broadcasts.given(), by=SYSTEM)

    def launch() -> Any:
        return broadcasts.launch(brand, broadcast_id=draft.pk, by=SYSTEM)

    found = at_once(brand, launch, launch, launch, moment=now)
    assert Counter(isinstance(one, ConflictError) for one in found) == {True: 2, False: 1}
    at_once(brand, lambda: waves.run_due(brand), lambda: waves.run_due(brand), moment=now)
    with in_brand(brand):
        assert Touch.objects.filter(state=S.PLANNED).count() == 10
        assert sum(SendTask.objects.values_list("n", flat=True)) == 10


def test_a_graph_published_twice_is_one_version(brand: Any, staff: Any) -> None:
    with in_brand(brand):
        sop = graphs.create_graph_sop(brand, name="旅程", graph=line(entry(), wait(n=1)))

    def publish(**over: Any) -> Callable[[], Any]:
        return lambda: graphs.publish(brand, sop_id=sop.pk, by=SYSTEM, **over)

    # the page says which draft it has shown: the second one is told; a repeated call of the API gets the same version
    found = at_once(brand, publish(draft_n=0), publish(draft_n=0))
    assert Counter(isinstance(one, ConflictError) for one in found) == {True: 1, False: 1}
    again = [version.n for version, _job in at_once(brand, publish(), publish(people="move"))]
    assert again == [1, 1]
    with in_brand(brand):
        assert SopVersion.objects.count() == 1
        graphs.save_draft(brand, sop_id=sop.pk, graph=line(entry(), wait(n=2)), by=SYSTEM)
    assert [version.n for version, _job in at_once(brand, publish(), publish())] == [2, 2]


def test_an_sop_is_handed_in_and_approved_once(brand: Any, staff: Any) -> None:
    writer, checkers = Actor("文", user_id=900_001), [Actor(f"审{n}", user_id=900_010 + n) for n in range(2)]
    with in_brand(brand):
        policy.change_policy(brand, by=SYSTEM, sops_need_approval=True)
        sop = graphs.create_graph_sop(brand, name="旅程", graph=line(entry(), wait(n=1)), by=writer)

    def ask() -> Any:
        return sop_approval.publish(brand, sop_id=sop.pk, by=writer).request

    asked = at_once(brand, ask, ask, ask)
    assert len({one.pk for one in asked}) == 1

    def approve(by: Actor) -> Callable[[], Any]:
        return lambda: sop_approval.approve(brand, request_id=asked[0].pk, by=by)

    found = at_once(brand, *map(approve, checkers))
    assert Counter(isinstance(one, ConflictError) for one in found) == {True: 1, False: 1}
    with in_brand(brand):
        assert SopVersion.objects.get().approved_by in {"审0", "审1"}


def test_a_yes_and_a_change_at_once(brand: Any, staff: Any) -> None:
    """Whichever comes first: what is published is what was looked at."""
    writer, checker = Actor("文", user_id=900_001), Actor("审", user_id=900_010)
    seen, drawn = line(entry(), wait(n=1)), line(entry(), wait(n=9))
    for n in range(3):
        with in_brand(brand):
            policy.change_policy(brand, by=SYSTEM, sops_need_approval=True)
            sop = graphs.create_graph_sop(brand, name=f"旅程{n}", graph=seen, by=writer)
            asked = sop_approval.publish(brand, sop_id=sop.pk, by=writer).request
            assert asked is not None

        def approve(request_id: int = asked.pk) -> Any:
            return sop_approval.approve(brand, request_id=request_id, by=checker)

        def draw(sop_id: int = sop.pk) -> Any:
            return graphs.save_draft(brand, sop_id=sop_id, graph=drawn, by=writer)

        said = at_once(brand, approve, draw)[0]
        with in_brand(brand):
            version = SopVersion.objects.filter(sop=sop.pk).first()
            assert (version is None) == isinstance(said, ConflictError)
            assert version is None or version.graph["nodes"][1]["n"] == 1


def test_two_editors_at_once_save_one_after_the_other(brand: Any, staff: Any) -> None:
    with in_brand(brand):
        sop = graphs.create_graph_sop(brand, name="旅程", graph=line(entry(), wait(n=1)))

    def save(n: int) -> Callable[[], Any]:
        graph = line(entry(), wait(n=n))
        return lambda: graphs.save_draft(brand, sop_id=sop.pk, graph=graph, by=SYSTEM, draft_n=0)

    found = at_once(brand, save(2), save(3), save(4))
    assert [type(one).__name__ for one in found].count("ConflictError") == 2
    with in_brand(brand):
        sop.refresh_from_db()
        assert sop.draft_n == 1 and sop.draft["nodes"][1]["n"] in (2, 3, 4)


# ---- in the middle


def test_tasks_taken_back_while_they_are_given(brand: Any, staff: Any, monkeypatch: Any) -> None:
    """The slice that is just being given is taken back as well."""
    with in_brand(brand):
        ids = [make_contact(brand, staff).pk for _ in range(6)]
        due_at = clock.now() + timedelta(days=1)
        with monkeypatch.context() as later:
            later.setattr("org.services.jobs._enqueue", lambda *_args: None)
            job = staff_task_batches.start(
                brand,
                by=SYSTEM,
                staff=_boss(staff),
                kind="call",
                title="回访",
                due_at=due_at,
                contact_ids=ids,
            )
    others: list[threading.Thread] = []
    real = staff_tasks.add_tasks

    def add_tasks(*args: Any, **given: Any) -> Any:
        found = real(*args, **given)
        others.append(other(brand, lambda: staff_task_batches.take_back(brand, job_id=job.pk, by=SYSTEM)))
        return found

    monkeypatch.setattr(staff_tasks, "add_tasks", add_tasks)
    with tenant_scope(brand):
        jobs.run(brand, job.pk)
    others[0].join(60)
    with in_brand(brand):
        assert set(StaffTask.objects.values_list("state", flat=True)) == {"cancelled"}


def test_a_batch_that_was_paused_gives_nothing_more(brand: Any, staff: Any, monkeypatch: Any) -> None:
    """Paused after the runner has looked: the slice is not given, and comes when the job goes on."""
    monkeypatch.setattr("org.services.jobs._enqueue", lambda *_args: None)
    with in_brand(brand):
        ids = [make_contact(brand, staff).pk for _ in range(3)]
        job = staff_task_batches.start(
            brand, by=SYSTEM, staff=_boss(staff), kind="call", title="回访",
            due_at=clock.now() + timedelta(days=1), contact_ids=ids,
        )  # fmt: skip
    with tenant_scope(brand):
        mine = jobs.claim(job.pk)
        assert mine is not None
        jobs.pause(job.pk)
        staff_task_batches.step(brand, mine)
    with in_brand(brand):
        assert not StaffTask.objects.exists()
        jobs.resume(brand, job.pk)
    with tenant_scope(brand):
        jobs.run(brand, job.pk)
    with in_brand(brand):
        assert StaffTask.objects.count() == 3


def _boss(staff: Staff) -> Staff:
    from org.models import Role, Scope

    staff.role = Role.objects.create(name="老板", scope=Scope.BRAND, rights=[])
    staff.save(update_fields=["role"])
    return staff


@pytest.mark.parametrize("act", [sops.end, sops.pause])
def test_an_sop_stopped_while_people_are_moved(live: Live, monkeypatch: Any, act: Any) -> None:
    """What was being planned at that moment is not handed over."""
    moment = at("2026-03-10 10:00")
    graph = line(entry(), touch("你好"), {"kind": "moments", "text": "上新"}, wait(n=1))
    with in_brand(live.brand), clock.at(moment):
        sop = graphs.create_graph_sop(live.brand, name="旅程", graph=graph)
        graphs.publish(live.brand, sop_id=sop.pk, by=SYSTEM)
        from campaigns.services.sops import enrolments

        enrolments.enrol_many(live.brand, sop=sop, contact_ids=[c.pk for c in live.contacts], source="page")
    others: list[threading.Thread] = []
    real = walking.Batch._save

    def save(batch: Any, everybody: Any) -> None:
        real(batch, everybody)
        if not others:
            others.append(other(live.brand, lambda: act(live.brand, sop_id=sop.pk, by=SYSTEM)))

    with monkeypatch.context() as patch:
        patch.setattr(walking.Batch, "_save", save)
        # the queue is slow: whoever hands the moment over comes after the stop, which waits for the batch
        patch.setattr(run_moment, "delay_on_commit", lambda **_given: None)
        with tenant_scope(live.brand), clock.at(moment):
            walking.run(live.brand, moment)
    others[0].join(60)
    for minute in (1, 2, 30):
        live.tick(moment + timedelta(minutes=minute))
    assert live.received() == {}
    assert live.sandbox.get("moments", corpid=live.corp.corpid) == []
    with in_brand(live.brand):
        touches, moments = Touch.objects.all(), set(Moment.objects.values_list("state", flat=True))
        if act is sops.end:
            assert set(touches.values_list("state", flat=True)) == {S.CANCELLED} and moments == {"cancelled"}
            assert not Enrolment.objects.filter(ended_at=None).exists()
            return
        assert set(touches.values_list("state", flat=True)) == {S.PLANNED} and moments == {"planned"}
    with in_brand(live.brand), clock.at(moment + timedelta(hours=1)):
        sops.resume(live.brand, sop_id=sop.pk, by=SYSTEM)
    live.tick(moment + timedelta(hours=1, minutes=1))
    live.confirm_all(moment + timedelta(hours=1, minutes=5))
    assert set(live.received().values()) == {1} and len(live.received()) == 6
    assert len(live.sandbox.get("moments", corpid=live.corp.corpid)) == 1


def test_a_guide_leaves_between_plan_and_hand_over(live: Live) -> None:
    """Whoever has another guide is told why it did not come; nobody is written to by somebody who has left."""
    moment = at("2026-03-10 10:00")
    with in_brand(live.brand), clock.at(moment):
        from campaigns.services.sops import enrolments

        sop = graphs.create_graph_sop(live.brand, name="旅程", graph=line(entry(), touch("你好"), wait(n=1)))
        graphs.publish(live.brand, sop_id=sop.pk, by=SYSTEM)
        enrolments.enrol_many(live.brand, sop=sop, contact_ids=[c.pk for c in live.contacts], source="page")
        walking.run(live.brand, moment)
        left = live.guides[0]
        Staff.objects.filter(pk=left.pk).update(state=Staff.State.LEFT)
        Follow.objects.filter(staff=left).update(ended_at=moment)
    live.tick(moment + timedelta(minutes=1))
    live.confirm_all(moment + timedelta(minutes=5))
    live.tick(moment + timedelta(minutes=10))
    with in_brand(live.brand):
        states = Counter(Touch.objects.values_list("staff_id", "state", "reason"))
    assert states == {
        (live.guides[1].pk, S.DELIVERED, Touch.Reason.NONE): 3,
        (left.pk, S.BLOCKED, Touch.Reason.NOT_FOLLOWED): 3,
    }


# ---- claims


def plan(live: Live, *rows: tuple[Any, int]) -> list[int]:
    """Send tasks of (step, guide), in this order, each to all customers of the guide."""
    ids = []
    for step, n in rows:
        contacts, guide = live.contacts[n::2], live.guides[n]
        sender = senders.Sender(live.corp.pk, guide.pk)
        people, touch_ids = [contact.pk for contact in contacts], touches.new_ids(len(contacts))
        now, wanted = clock.now(), [planning.Wanted(step, sender, people, touch_ids)]
        touches.write(live.brand, now, Touch.Kind.SOP, planning.write_tasks(live.brand, now, wanted))
        ids.append(SendTask.objects.latest("pk").pk)
    return ids


def test_two_claims_that_hold_back_people_of_the_same_steps(live: Live, monkeypatch: Any) -> None:
    """One has a task of the first step before that of the second, the other one the other way round."""
    moment = at("2026-03-10 10:00")
    sop = live.make_sop((0, 9), (0, 10))
    with in_brand(live.brand), clock.at(moment):
        first, second = sops.live_steps(sop.pk)
        ids = plan(live, (first, 0), (second, 0), (second, 1), (first, 1))
        set_do_not_contact(live.brand, contacts=live.contacts[:2], value=True, by=SYSTEM)
    real, both, n_counts = planning.count_blocked, threading.Barrier(2), list[int]()

    def count_blocked(*args: Any) -> None:
        real(*args)
        n_counts.append(len(args[2]))
        with contextlib.suppress(threading.BrokenBarrierError):  # who is waited for waits for us
            both.wait(0.5)

    monkeypatch.setattr(planning, "count_blocked", count_blocked)
    found = at_once(
        live.brand,
        lambda: claims.claim(live.brand, ids[:2]),
        lambda: claims.claim(live.brand, ids[2:]),
        moment=moment,
    )
    assert [len(one) for one in found] == [2, 2]
    assert n_counts == [2, 2]
    with in_brand(live.brand):
        assert set(StepBlocked.objects.values_list("step_id", "n")) == {(first.pk, 2), (second.pk, 2)}


def test_a_claim_that_postgres_takes_back_is_made_again(live: Live, monkeypatch: Any) -> None:
    """A deadlock with somebody else altogether: the second try finds everything as it was."""
    moment = at("2026-03-10 10:00")
    sop = live.make_sop((0, 9))
    with in_brand(live.brand), clock.at(moment):
        [step] = sops.live_steps(sop.pk)
        ids = plan(live, (step, 0))
        set_do_not_contact(live.brand, contacts=live.contacts[:1], value=True, by=SYSTEM)
    real, tries = planning.count_blocked, list[int]()

    def count_blocked(*args: Any) -> None:
        real(*args)
        tries.append(len(args[2]))
        if len(tries) == 1:
            with connection.cursor() as cursor:
                cursor.execute("DO $$ BEGIN RAISE EXCEPTION 'met' USING ERRCODE = '40P01'; END $$")

    monkeypatch.setattr(planning, "count_blocked", count_blocked)
    with in_brand(live.brand), clock.at(moment):
        [found] = claims.claim(live.brand, ids)
        assert len(found.receivers) == len(live.contacts[0::2]) - 1
        assert tries == [1, 1]
        assert StepBlocked.objects.get().n == 1
        assert Touch.objects.filter(state=S.BLOCKED).count() == 1
        assert SendTask.objects.get().n_tries == 1


def test_a_claim_asks_once_what_all_its_people_wish(live: Live) -> None:
    moment = at("2026-03-10 10:00")
    sop = live.make_sop((0, 9), (0, 10))
    with in_brand(live.brand), clock.at(moment):
        first, second = sops.live_steps(sop.pk)
        ids = plan(live, (first, 0), (second, 0), (second, 1), (first, 1))
        refuses = live.contacts[0]
        policy.set_refusal(live.brand, contact_id=refuses.pk, kind=Touch.Kind.SOP, refused=True, by=SYSTEM)
        with CaptureQueriesContext(connection) as asked:
            found = claims.claim(live.brand, ids)
    assert [len(one.receivers) for one in found] == [2, 2, 3, 3]
    refusals = [row["sql"] for row in asked if "FROM campaigns_refusal WHERE" in row["sql"]]
    assert len(refusals) == 1 and "contact_id = i.id" in refusals[0]


def test_a_claim_in_quiet_hours_puts_all_off_at_once(live: Live) -> None:
    moment = at("2026-03-10 10:00")
    sop = live.make_sop((0, 9), (0, 10))
    with in_brand(live.brand), clock.at(moment):
        first, second = sops.live_steps(sop.pk)
        ids = plan(live, (first, 0), (second, 0), (second, 1), (first, 1))
        policy.change_policy(live.brand, caps=[], quiet_start=time(9), quiet_end=time(12), by=SYSTEM)
        with CaptureQueriesContext(connection) as asked:
            assert claims.claim(live.brand, ids) == []
        assert set(SendTask.objects.values_list("state", "next_try_at")) == {
            ("planned", at("2026-03-10 12:00"))
        }
    assert sum('UPDATE "campaigns_sendtask"' in row["sql"] for row in asked) == 1


# ---- one rule for all that sends


def test_all_campaigns_write_through_the_guide_that_the_policy_names(brand: Any, corp: Any) -> None:
    """A customer with several guides hears from the one added first, if so chosen: messages of SOPs and tasks, too."""
    with in_brand(brand):
        first, last = make_staff(brand, corp), make_staff(brand, corp)
        contact = make_contact(brand, first, added_at=START - timedelta(days=20))
        Follow.objects.create(
            contact=contact,
            staff=last,
            corp=corp,
            external_userid="wmSecond",
            added_at=START - timedelta(days=5),
        )
        assert senders.choose(brand, [contact.pk])[contact.pk].staff_id == last.pk
        TouchPolicy.objects.create(sender=TouchPolicy.Sender.FIRST)
        assert senders.choose(brand, [contact.pk])[contact.pk].staff_id == first.pk


def test_answers_written_side_by_side_count_once(live: Live) -> None:
    """Processes that ask about a broadcast's send tasks at the same time, some of them about the same ones."""
    now = test_broadcasts.NOW
    with clock.at(now), in_brand(live.brand):
        draft = broadcasts.save_draft(live.brand, test_broadcasts.given(), by=SYSTEM)
        broadcasts.launch(live.brand, broadcast_id=draft.pk, by=SYSTEM)
    live.tick(now)
    live.confirm_all(now + timedelta(minutes=5))
    with in_brand(live.brand):
        tasks = list(SendTask.objects.order_by("pk").select_related("corp", "staff"))
    assert len(tasks) == 2 and {task.state for task in tasks} == {"handed"}
    later = now + timedelta(minutes=10)
    everybody = [task.pk for task in tasks]

    def poll(*ids: int) -> Callable[[], Any]:
        return lambda: [results.poll(live.brand, pk) for pk in ids]

    at_once(live.brand, *map(poll, everybody), poll(*everybody), poll(*everybody[::-1]), moment=later)
    # an answer that is written twice at the same moment, by processes that have both been told it
    rows = [{"external_userid": live.externals[pk], "status": 1} for task in tasks for pk in task.contact_ids]

    def write(*mine: SendTask) -> Callable[[], Any]:
        return lambda: [results.record_results(live.brand, task, rows, later) for task in mine]  # type: ignore[arg-type]

    at_once(live.brand, write(*tasks), write(*tasks[::-1]), write(*tasks), moment=later)
    with in_brand(live.brand):
        assert set(SendTask.objects.values_list("state", "n", "n_sent", "n_failed")) == {("final", 3, 3, 0)}
        assert Touch.objects.filter(state=S.DELIVERED).count() == Touch.objects.count() == 6
        told = Event.objects.filter(type=EventType.TOUCH_SENT).values_list("contact_id", flat=True)
        assert sorted(told) == sorted(pk for task in tasks for pk in task.contact_ids)
    assert set(live.received().values()) == {1}
