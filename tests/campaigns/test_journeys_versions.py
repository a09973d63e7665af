"""Versions and states of drawn SOPs: who stays and who moves, roll back, two editors; nothing twice, nothing lost."""

import random
from collections import Counter
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from campaigns.models import Enrolment, NodeFlow, SendTask, SopVersion, StaffTask, Touch, TouchKey
from campaigns.services.graphs import graphs
from campaigns.services.journeys import moving, reacting, walking
from campaigns.services.sops import enrolments, sops, stepping
from contacts.models import Contact, EventType
from org.access import SYSTEM
from org.models import Job
from org.services import jobs
from scrm import clock
from scrm.errors import ConflictError
from tenants.scoping import tenant_scope
from tests.campaigns.conftest import at
from tests.campaigns.graphs import entry, line, rewired, touch, wait
from tests.campaigns.test_journeys import START, World, world
from tests.factories import in_brand, make_contact
from tests.threads import together

__all__ = ["world"]
pytestmark = pytest.mark.django_db(transaction=True)


# ---- versions


def test_people_stay_or_move(world: World) -> None:
    old = line(entry(), wait(n=10), touch("旧"))
    sop = world.publish(old)
    world.put_in(sop)
    world.tick()
    new = line(entry(), wait(n=2), touch("新"))
    with in_brand(world.brand):
        effect = graphs.preview_move(world.brand, sop_id=sop.pk, graph=new)
        assert [(r["from"], r["to"], r["n"]) for r in effect.rows] == [("n2", "n2", 4)]
        gone = graphs.preview_move(world.brand, sop_id=sop.pk, graph=new, mapping={"n2": ""})
        assert (gone.n_moved, gone.n_out) == (0, 4)
    world.publish(new)  # stay
    world.run(START + timedelta(days=3), timedelta(hours=6))
    assert world.touches() == [] and world.at_node(sop) == {"n2": 4}
    world.publish(line(entry(), wait(n=4), touch("更新")), people=graphs.MOVE)
    world.run(START + timedelta(days=4, hours=1), timedelta(hours=1))
    with in_brand(world.brand):
        assert {t.text for t in SendTask.objects.all()} == {"更新"}
    assert {row[0] for row in world.touches()} == {START + timedelta(days=4)}
    assert world.ends(sop) == {"done": 4}
    world.check(sop)


@pytest.mark.parametrize("then", [graphs.STAY, graphs.MOVE])
def test_a_newer_version_is_published_while_people_are_moved(
    world: World, monkeypatch: Any, then: str
) -> None:
    """Half of them are in the second version. The third one leaves people where they are: the others still follow. Or it
    takes everybody over, and the page says so."""
    monkeypatch.setattr("org.services.jobs._enqueue", lambda *_args: None)
    monkeypatch.setattr(moving, "SLICE", 2)
    sop = world.publish(line(entry(), wait(n=10), touch("一")))
    world.put_in(sop)
    world.tick()
    world.publish(line(entry(), wait(n=10), touch("二")), people=graphs.MOVE)
    with in_brand(world.brand):
        first = Job.objects.get(kind="sop_move")
    with tenant_scope(world.brand), clock.at(world.now):
        jobs.run(world.brand, first.pk, until=lambda: True)
    newcomer = make_newcomer(world)
    world.publish(line(entry(), wait(n=10), touch("三")), people=then)
    world.put_in(sop, [newcomer])
    world.tick()
    with in_brand(world.brand):
        ids = list(Job.objects.filter(kind="sop_move").order_by("pk").values_list("pk", flat=True))
    with tenant_scope(world.brand), clock.at(world.now):
        for job_id in ids:
            jobs.run(world.brand, job_id)
    with in_brand(world.brand):
        n_of = dict(SopVersion.objects.values_list("pk", "n"))
        there = Counter(n_of[pk] for pk in Enrolment.objects.values_list("version_id", flat=True))
        first.refresh_from_db()
    if then == graphs.STAY:
        assert there == {2: 4, 3: 1} and len(ids) == 1
        assert (first.state, first.n_done, first.result["moved"]) == ("done", 4, 4)
    else:
        assert there == {3: 5} and len(ids) == 2
        assert (first.state, first.result["moved"]) == ("cancelled", 2) and "3" in first.error
    world.check(sop)


def make_newcomer(world: World) -> Contact:
    with in_brand(world.brand), clock.at(world.now):
        return make_contact(world.brand, world.guides[0])


def test_who_has_no_place_falls_out(world: World) -> None:
    sop = world.publish(line(entry(), wait(n=10), touch("旧")))
    world.put_in(sop)
    world.tick()
    world.publish(line(entry(), touch("新")), people=graphs.MOVE)  # n2 is a message now
    assert world.ends(sop) == {"version": 4}
    world.check(sop)


def test_roll_back_and_compare(world: World) -> None:
    first, second = line(entry(), touch("一")), line(entry(), touch("二"))
    sop = world.publish(first)
    world.publish(second)
    with in_brand(world.brand):
        rows = graphs.compare(world.brand, first, second)
        assert [r["what"] for r in rows] == ["changed"]
        version, job = graphs.roll_back(world.brand, sop_id=sop.pk, n=1, by=SYSTEM)
        assert (version.n, job) == (3, None) and version.graph["nodes"][1]["text"] == "一"
        with pytest.raises(ConflictError):
            graphs.roll_back(world.brand, sop_id=sop.pk, n=3, by=SYSTEM)
        sop.refresh_from_db()
        assert not graphs.has_changes(sop)


def test_two_editors_notice_each_other(world: World) -> None:
    with in_brand(world.brand):
        sop = graphs.create_graph_sop(world.brand, name="画布")
        graphs.save_draft(world.brand, sop_id=sop.pk, graph=line(entry()), by=SYSTEM, draft_n=0)
        with pytest.raises(ConflictError):
            graphs.save_draft(world.brand, sop_id=sop.pk, graph=line(entry()), by=SYSTEM, draft_n=0)


def test_an_sop_of_steps_opens_as_a_graph(world: World) -> None:
    with in_brand(world.brand):
        steps = [sops.StepInput(1, 10, 0, "一"), sops.StepInput(3, 9, 30, "三")]
        simple = sops.create_sop(world.brand, name="新客", steps=steps, by=SYSTEM)
        drawn = graphs.open_as_graph(world.brand, sop_id=simple.pk, by=SYSTEM)
        assert graphs.validate(world.brand, drawn.draft) == []
    sop = world.publish(drawn.draft, name=drawn.name)
    world.put_in(sop)
    world.run(START + timedelta(days=4))
    assert {row[0] for row in world.touches()} == {at("2026-05-05 10:00"), at("2026-05-07 09:30")}


# ---- states


def test_pause_resume_end_and_remove(world: World) -> None:
    sop = world.publish(line(entry(), wait(n=1), touch("a"), wait(n=5)))
    world.put_in(sop)
    world.tick()
    with in_brand(world.brand), clock.at(world.now):
        row = Enrolment.objects.filter(sop=sop).first()
        enrolments.remove(world.brand, enrolment_id=row.pk, by=SYSTEM)
        sops.pause(world.brand, sop_id=sop.pk, by=SYSTEM)
    world.run(START + timedelta(days=1, hours=1), timedelta(hours=1))
    assert world.touches() == []
    with in_brand(world.brand):
        assert not Enrolment.objects.filter(ended_at=None, is_parked=False).exists()
        with clock.at(world.now):
            sops.resume(world.brand, sop_id=sop.pk, by=SYSTEM)
    world.tick()
    assert len(world.touches()) == 3
    with in_brand(world.brand), clock.at(world.now):
        sops.end(world.brand, sop_id=sop.pk, by=SYSTEM)
    assert world.ends(sop) == {"removed": 1, "sop": 3}
    world.check(sop)
    with in_brand(world.brand), pytest.raises(ConflictError):
        graphs.publish(world.brand, sop_id=sop.pk, by=SYSTEM)


def test_an_idle_minute_is_two_statements(world: World) -> None:
    sop = world.publish(line(entry(), wait(n=1), touch("a")))
    world.put_in(sop)
    world.tick()
    with clock.at(world.now), in_brand(world.brand):
        connection = connections["default"]
        with CaptureQueriesContext(connection) as caught:
            stepping.probe(world.brand, world.now)
        assert len([q for q in caught if "campaigns_enrolment" in q["sql"]]) == 1
        assert stepping.probe(world.brand, world.now) == (False, False)
        assert stepping.probe(world.brand, world.now + timedelta(days=2)) == (False, True)


# ---- nothing twice, nothing lost


def test_a_batch_that_dies_leaves_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    sop = world.publish(line(entry(), touch("a"), {"kind": "task", "subject": "x"}, wait(n=1)))
    world.put_in(sop)

    class Killed(BaseException):
        pass

    def die(self: Any, people: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(walking.Batch, "_save", die)
        world.tick()
    with in_brand(world.brand):
        assert not Touch.objects.exists() and not TouchKey.objects.exists() and not StaffTask.objects.exists()
        assert not NodeFlow.objects.exists()
    world.tick()
    assert len(world.touches()) == 4 and world.at_node(sop) == {"n4": 4}


@pytest.mark.parametrize("seed", range(3))
def test_many_ticks_at_once(seed: int) -> None:
    """Ticks that overlap, batches of all sizes: each person gets each message once and the fold stays right."""
    world = World(n=12)
    graph = rewired(
        line(
            entry(),
            wait(n=1, unit="hours"),
            touch("a"),
            wait("event", event="viewed", n=2, unit="hours"),
            touch("b"),
        ),
        ("n4", "timeout", "n6"),
    )
    sop = world.publish(graph)
    world.put_in(sop)
    rng = random.Random(seed)
    viewed = rng.sample(world.people, 5)
    world.tick()
    world.run(START + timedelta(minutes=65), timedelta(minutes=65))
    for contact in viewed:
        world.happens(EventType.VIEWED, contact)

    def work(moment: datetime) -> None:
        with clock.at(moment), tenant_scope(world.brand):
            reacting.react(world.brand)
            walking.run(world.brand, moment, batch=rng.choice([1, 3, 5]))

    for minutes in (70, 130, 190, 250):
        together(*[partial(work, START + timedelta(minutes=minutes))] * 3)
    world.now = START + timedelta(minutes=260)
    world.react()
    world.tick()
    assert world.ends(sop) == {"done": 12}
    assert Counter(node for _at, node, _r in world.touches()) == {"n3": 12, "n5": 5}
    world.check(sop)
