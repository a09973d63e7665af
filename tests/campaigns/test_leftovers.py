"""Who has left an SOP gets nothing of it any more, however long before it was planned; the ledger, the send tasks, the figures
and what caps count stay exact."""

import random
from collections import Counter
from datetime import time, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from campaigns.governance import CapRule
from campaigns.models import Enrolment, SendTask, Sop, StepBlocked, Touch, TouchPolicy
from campaigns.services.governance import gate, policy, rules
from campaigns.services.journeys import leaving, moving, walking
from campaigns.services.ledger import leftovers
from campaigns.services.sending import claims, handing
from campaigns.services.sops import enrolments, numbers, sops, stepping
from contacts.models import Contact, Event, EventType
from org.access import SYSTEM
from scrm import clock
from tagging.services.tags.changes import each, put_on
from tenants.db.joins import joined_by_loop
from tests.campaigns.conftest import at
from tests.campaigns.graphs import entry, line, touch, wait
from tests.campaigns.test_journeys import World, world
from tests.campaigns.test_services import make_sop, plan_of
from tests.factories import in_brand, make_tag

__all__ = ["world"]
pytestmark = pytest.mark.django_db(transaction=True)
R, S, End = Touch.Reason, Touch.State, Enrolment.End
NIGHT, MORNING = at("2026-05-04 22:00"), at("2026-05-05 09:00")
WAYS = ("goal", "exit", "hand", "version", "lost")


def quiet(world: World, **over: Any) -> None:
    """At night nothing goes out; one message a day."""
    with in_brand(world.brand):
        given = {"caps": [CapRule(1, 1)], "quiet_start": time(21), "quiet_end": time(9), **over}
        policy.change_policy(world.brand, by=SYSTEM, **given)
    world.now = NIGHT


def journey(world: World, tag_id: int) -> Sop:
    """A message in the night, and a long time after it."""
    settings = {
        "goals": [{"event": "order_paid"}],
        "exits": [{"condition": {"all": [{"kind": "tags", "mode": "any", "ids": [tag_id]}]}}],
    }
    return world.publish(line(entry(), touch("晚安"), wait(n=3), touch("再来"), **settings))


def leave(world: World, sop: Sop, way: str, some: list[Contact], tag_id: int) -> None:
    ids = [contact.pk for contact in some]
    if way == "goal":
        for contact in some:
            world.happens(EventType.ORDER_PAID, contact)
        world.react()
    elif way == "exit":
        with clock.at(world.now), in_brand(world.brand):
            put_on(world.brand, each([tag_id], ids), source="test")
        world.react()
    elif way == "hand":
        with clock.at(world.now), in_brand(world.brand):
            for row in Enrolment.objects.filter(contact__in=ids, ended_at=None):
                enrolments.remove(world.brand, enrolment_id=row.pk, by=SYSTEM)
    elif way == "version":
        with clock.at(world.now), in_brand(world.brand):
            gate.enter_gate(world.brand)
            rows = list(Enrolment.objects.filter(contact__in=ids, ended_at=None))
            assert moving.move(world.brand, sop, sop.version_id or 0, rows, {"n3": ""}, world.now) == len(ids)
    else:  # the last guide is lost, and the next message notices
        with in_brand(world.brand):
            Contact.objects.filter(pk__in=ids).update(lost_at=world.now)
            open_rows = Enrolment.objects.filter(contact__in=ids, ended_at=None).values_list("pk", flat=True)
            gate.enter_gate(world.brand)
            leaving.leave(world.brand, list(open_rows), End.LOST, world.now)


def check(world: World) -> None:
    """Send tasks hold whom the ledger plans for; bitmaps and folds are those of the ledger."""
    with in_brand(world.brand):
        for task in SendTask.objects.filter(state="planned"):
            live = Touch.objects.filter(send_task_id=task.pk, state=S.PLANNED)
            assert sorted(task.contact_ids) == sorted(live.values_list("contact_id", flat=True)), task.pk
            assert task.n == len(task.contact_ids) > 0
        planned = Touch.objects.filter(state=S.PLANNED).values_list("send_task_id", flat=True)
        dead = SendTask.objects.filter(pk__in=list(planned), state__in=["cancelled", "failed"])
        assert not dead.exists()

        def folds() -> Counter[Any]:
            rows = StepBlocked.objects.filter(n__gt=0).values_list("step_id", "on", "reason", "n")
            return Counter({row[:3]: row[3] for row in rows})

        before = folds()
        numbers.rebuild(world.brand)
        assert folds() == before
        ids, allowed = [contact.pk for contact in world.people], rules.rules_of(world.brand)
        for moment in {*Touch.objects.values_list("at", flat=True)}:
            found = gate.reasons_by_number(world.brand, ids, moment, Touch.Kind.SOP, allowed)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(gate, "FEW", 1)  # by bitmaps
                answer = gate.ask(world.brand, ids, moment)
            by_number = {pk: reason for pk, reason in answer.items() if reason in gate.BY_NUMBER}
            assert by_number == {
                pk: reason for pk, reason in found.items() if pk not in answer or pk in by_number
            }


@pytest.mark.parametrize("way", WAYS)
def test_who_has_left_gets_nothing_any_more(way: str) -> None:
    world = World()
    quiet(world)
    with in_brand(world.brand):
        tag_id = make_tag(world.brand).pk
    sop = journey(world, tag_id)
    world.put_in(sop)
    world.tick()
    with in_brand(world.brand):
        assert set(Touch.objects.values_list("state", "at")) == {(S.PLANNED, MORNING)}
    world.now += timedelta(hours=2)
    gone, stay = world.people[:3], world.people[3:]
    leave(world, sop, way, gone, tag_id)
    with in_brand(world.brand):
        rows = Touch.objects.values_list("contact_id", "state", "reason", "done_at")
        assert sorted(rows) == sorted(
            [(c.pk, S.BLOCKED, R.LEFT_SOP, world.now) for c in gone]
            + [(c.pk, S.PLANNED, 0, None) for c in stay]
        )
        tasks = SendTask.objects.order_by("pk").values_list("state", "n", "contact_ids")
        assert sorted(tasks) == [("cancelled", 0, []), ("planned", 1, [stay[0].pk])]
        told = Event.objects.filter(type=EventType.TOUCH_BLOCKED, source="sop")
        assert {(e.contact_id, e.data["reason"]) for e in told} == {(c.pk, "left_sop") for c in gone}
        assert StepBlocked.objects.get().n == 3
        # the day is free for another message
        answer = gate.ask(world.brand, [c.pk for c in world.people], MORNING)
        assert set(answer) - {c.pk for c in gone if way == "lost"} == {stay[0].pk}
    check(world)
    with in_brand(world.brand):  # once is enough
        gate.enter_gate(world.brand)
        leftovers.take_back(world.brand, [leftovers.Gone(c.pk, sop.pk) for c in world.people[:3]], world.now)
        assert StepBlocked.objects.get().n == 3


def test_who_is_at_the_end_gets_what_was_planned(world: World) -> None:
    """Unless they reach a goal or exit by what happens before it goes out."""
    quiet(world)
    with in_brand(world.brand):
        own, exit_tag = make_tag(world.brand).pk, make_tag(world.brand).pk
    events = [{"event": "tagged", "filters": {"tag_ids": [pk]}} for pk in (own, exit_tag)]
    sop = world.publish(
        line(
            entry(), touch("晚安"), {"kind": "tag", "add_tag_ids": [own]},
            goals=[{"event": "order_paid"}], exits=events,
        )
    )  # fmt: skip
    world.put_in(sop)
    world.tick()
    assert world.ends(sop) == {"done": 4}  # the SOP's own tag takes nobody's message away
    buyer, tagged, *others = world.people
    world.now += timedelta(hours=1)
    world.happens(EventType.ORDER_PAID, buyer)
    world.happens(EventType.VIEWED, others[0])
    with clock.at(world.now), in_brand(world.brand):
        put_on(world.brand, each([exit_tag], [tagged.pk]), source="page")
    world.react()
    assert world.ends(sop) == {"done": 4}
    world.now = MORNING
    with in_brand(world.brand), clock.at(world.now):
        claimed = claims.claim(world.brand, list(SendTask.objects.values_list("pk", flat=True)))
        assert sorted(pk for one in claimed for pk in one.receivers.values()) == [c.pk for c in others]
        rows = dict(Touch.objects.values_list("contact_id", "reason"))
        assert rows == {
            buyer.pk: R.LEFT_SOP,
            tagged.pk: R.LEFT_SOP,
            **dict.fromkeys([c.pk for c in others], 0),
        }
        assert StepBlocked.objects.get().n == 2


def test_what_wecom_has_and_other_sops_stay(world: World) -> None:
    quiet(world, caps=[])
    with in_brand(world.brand):
        tag_id = make_tag(world.brand).pk
    sop = journey(world, tag_id)
    other = world.publish(line(entry(), touch("别的"), wait(n=9)), name="别的")
    for one in (sop, other):
        world.put_in(one)
    world.tick()
    with in_brand(world.brand):
        mine = SendTask.objects.filter(sop=sop).order_by("pk")[0]
        handing.record_handed(world.brand, [handing.Made(mine, "m1")])
        handed = set(mine.contact_ids)
    world.now += timedelta(hours=1)
    leave(world, sop, "goal", world.people, tag_id)
    with in_brand(world.brand):
        rows = set(Touch.objects.filter(sop_id=sop.pk).values_list("contact_id", "state"))
        assert rows == {(c.pk, S.HANDED if c.pk in handed else S.BLOCKED) for c in world.people}
        assert set(Touch.objects.filter(sop_id=other.pk).values_list("state", flat=True)) == {S.PLANNED}
    check(world)


@pytest.mark.parametrize("form", ["steps", "graph"])
def test_messages_that_wait_for_a_guides_free_day(world: World, form: str) -> None:
    """Two customers of each guide, one a day: the second message lies a day ahead."""
    with in_brand(world.brand), clock.at(world.now):
        policy.change_policy(
            world.brand, caps=[], guide_busy=TouchPolicy.Busy.NEXT_DAY, guide_people_a_day=1, by=SYSTEM
        )
        if form == "steps":
            sop = make_sop(world.brand, (0, 13), (9, 10))
    if form == "graph":
        sop = world.publish(line(entry(), touch("你好"), wait(n=9), touch("再来")))
    world.put_in(sop)
    world.now += timedelta(hours=1)
    with in_brand(world.brand), clock.at(world.now):
        (stepping if form == "steps" else walking).run(world.brand, world.now)
        later = Touch.objects.filter(at__gt=world.now + timedelta(hours=12))
        assert later.count() == 2 and Touch.objects.filter(state=S.PLANNED).count() == 4
        [one, two] = later.values_list("contact_id", flat=True)
        row = Enrolment.objects.get(contact=one)
        enrolments.remove(world.brand, enrolment_id=row.pk, by=SYSTEM)
        assert dict(later.values_list("contact_id", "state")) == {one: S.BLOCKED, two: S.PLANNED}
        assert Touch.objects.get(contact_id=one).reason == R.LEFT_SOP
    check(world)


def test_in_a_lost_call(world: World) -> None:
    """While WeCom is called nobody is taken out; where the call was not made, the next claim leaves them out."""
    quiet(world)
    with in_brand(world.brand):
        tag_id = make_tag(world.brand).pk
    sop = journey(world, tag_id)
    world.put_in(sop)
    world.tick()
    world.now = MORNING
    with in_brand(world.brand), clock.at(world.now):
        ids = list(SendTask.objects.values_list("pk", flat=True))
        called = claims.claim(world.brand, ids)
        assert [len(one.receivers) for one in called] == [2, 2]
    first, second, *_rest = world.people
    leave(world, sop, "goal", [first, second], tag_id)
    with in_brand(world.brand), clock.at(world.now):
        assert set(Touch.objects.values_list("state", flat=True)) == {S.PLANNED}
        enrolments.enrol_many(world.brand, sop=sop, contact_ids=[second.pk], source="x", at=world.now)
        assert Enrolment.objects.filter(contact=second).count() == 1  # never again: the rule of the entry
        # somebody who was two records stays in by the other one
        Enrolment.objects.create(
            contact=world.people[2], sop=sop, joined_at=NIGHT, ended_at=world.now, end_kind=End.REMOVED
        )
        for one in called:
            handing.postpone(one.task, None)
        again = claims.claim(world.brand, ids)
        assert [len(one.receivers) for one in again] == [1, 1]
        assert [one.task.contact_ids for one in again] == [list(one.receivers.values()) for one in again]
        held = Touch.objects.filter(state=S.BLOCKED, reason=R.LEFT_SOP)
        assert set(held.values_list("contact_id", flat=True)) == {first.pk, second.pk}
        assert StepBlocked.objects.get().n == 2


def test_an_sop_that_is_stopped(world: World) -> None:
    quiet(world)
    sop = world.publish(line(entry(), touch("晚安"), wait(n=3)))
    world.put_in(sop)
    world.tick()
    with in_brand(world.brand), clock.at(world.now):
        sops.end(world.brand, sop_id=sop.pk, by=SYSTEM)
    with in_brand(world.brand):
        assert set(Touch.objects.values_list("state", "reason")) == {(S.CANCELLED, 0)}
        assert set(SendTask.objects.values_list("state", flat=True)) == {"cancelled"}


def test_costs_as_much_as_those_who_leave() -> None:
    world = World(n=24)
    quiet(world)
    sop = world.publish(line(entry(), touch("晚安"), wait(n=3)))
    world.put_in(sop)
    world.tick()

    def asked(some: list[Contact]) -> int:
        with in_brand(world.brand), CaptureQueriesContext(connection) as found:
            gate.enter_gate(world.brand)
            ids = Enrolment.objects.filter(contact__in=[c.pk for c in some]).values_list("pk", flat=True)
            assert leaving.leave(world.brand, list(ids), End.REMOVED, world.now) == len(some)
        return len(found)

    few, many = asked(world.people[:2]), asked(world.people[2:20])
    assert few == many
    with in_brand(world.brand):
        assert Touch.objects.filter(state=S.BLOCKED, reason=R.LEFT_SOP).count() == 20


def test_what_an_sop_has_sent_already_is_not_read(world: World) -> None:
    """As the application's role, of a brand that Postgres does not know."""
    quiet(world)
    sop = world.publish(line(entry(), touch("晚安"), wait(n=3)))
    world.put_in(sop)
    world.tick()
    same = [f.column for f in SendTask._meta.local_fields if f.column not in ("id", "state")]
    columns = ", ".join(f'"{name}"' for name in same)
    with in_brand(world.brand), connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO campaigns_sendtask ({columns}, state) SELECT {columns}, 'final'"
            " FROM campaigns_sendtask, generate_series(1, 2000) WHERE brand_id = %s",
            [world.brand.pk],
        )
        given = {
            "b": world.brand.pk,
            "contacts": f"{{{world.people[0].pk}}}",
            "sops": f"{{{sop.pk}}}",
            "since": NIGHT,
            "planned": int(S.PLANNED),
        }
        with joined_by_loop(cursor):
            first = plan_of(leftovers._PLANNED_SINCE, [given["sops"], world.brand.pk])
            theirs = plan_of(leftovers._PLANNED, given)
    assert "send_task_planned" in first and "Seq Scan" not in first, first
    assert "id = t.send_task_id" in theirs.split("campaigns_sendtask k", 1)[1].split("Index Cond")[1], theirs


@pytest.mark.parametrize("seed", range(6))
def test_whatever_happens(seed: int) -> None:
    """People come, are written to, leave in every way, come again; tasks are called and given back: nobody who has left is
    written to, nobody else is left out."""
    rng = random.Random(seed)
    world = World(n=8)
    quiet(world, caps=[CapRule(2, 2)])
    with in_brand(world.brand):
        policy.change_policy(
            world.brand,
            guide_busy=TouchPolicy.Busy.NEXT_DAY,
            guide_people_a_day=rng.choice([2, 3]),
            by=SYSTEM,
        )
        tag_id = make_tag(world.brand).pk
    graph = line(
        entry(), touch("一"), wait(n=5, unit="hours"), touch("二"), wait(n=2),
        goals=[{"event": "order_paid"}], reentry="always",
    )  # fmt: skip
    sop = world.publish(graph)
    calling: list[claims.Claim] = []

    def over(row: Touch) -> bool:
        """Whether its person has left by now, in any way but the end."""
        last = Enrolment.objects.filter(contact=row.contact_id, sop=sop).order_by("-pk")[0]
        return last.ended_at is not None and last.end_kind in leftovers.GOES_WITH

    for _turn in range(30):
        world.now += timedelta(hours=rng.choice([1, 3, 9]))
        some = rng.sample(world.people, 2)
        act = rng.choice(["in", "in", "goal", "hand", "call", "answer"])
        if act == "in":
            world.put_in(sop, some)
        elif act in ("goal", "hand"):
            leave(world, sop, act, some, tag_id)
        with in_brand(world.brand), clock.at(world.now):
            if act == "call":
                due = SendTask.objects.filter(state="planned", next_try_at__lte=world.now)
                claimed = claims.claim(world.brand, list(due.values_list("pk", flat=True)[:1]))
                for one in claimed:
                    for row in Touch.objects.filter(send_task_id=one.task.pk, state=S.PLANNED):
                        assert not over(row)
                calling += claimed
            elif act == "answer" and calling:
                one = calling.pop()
                if rng.random() < 0.5:
                    handing.postpone(one.task, None)
                else:
                    handing.record_handed(world.brand, [handing.Made(one.task, f"m{one.task.pk}")])
        world.tick()
        with in_brand(world.brand):
            tasks = {task.pk: task for task in SendTask.objects.all()}
            for row in Touch.objects.filter(state=S.PLANNED):
                task = tasks[row.send_task_id or 0]
                assert task.state == "calling" or task.n_tries or not over(row)
            assert not any(
                row.done_at and not _had_left(row, sop) for row in Touch.objects.filter(reason=R.LEFT_SOP)
            )
    with in_brand(world.brand), clock.at(world.now):
        for one in calling:
            handing.postpone(one.task, None)
        world.now += timedelta(days=1)
    check(world)


def _had_left(row: Touch, sop: Sop) -> bool:
    return Enrolment.objects.filter(
        contact=row.contact_id, sop=sop, ended_at__lte=row.done_at, end_kind__in=leftovers.GOES_WITH
    ).exists()
