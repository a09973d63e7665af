"""Rehearsals of drawn SOPs tell what really happens, and write nothing."""

import json
import random
from collections import Counter
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaigns.governance import CapRule
from campaigns.models import Enrolment, NodeFlow, SendTask, Sop, StaffTask, Touch
from campaigns.services.governance import policy, workload
from campaigns.services.governance.workload import Day, Limits
from campaigns.services.graphs import graphs
from campaigns.services.journeys import figures, rehearsing
from campaigns.services.journeys.rehearsal_load import MESSAGE, TASK, Wanted, estimate
from campaigns.services.sending import handing
from campaigns.services.tasks import staff_tasks
from campaigns.services.tasks.staff_tasks import TaskInput
from contacts.models import EventType
from contacts.services.contacts import set_do_not_contact
from org.access import SYSTEM
from scrm import clock
from tagging.models import SegmentVersion
from tagging.services.segments import segments, snapshots
from tagging.services.tags.changes import each, put_on
from tests.campaigns.conftest import ZONE, at
from tests.campaigns.graphs import entry, line, rewired, touch, wait
from tests.campaigns.test_journeys import START, World, world
from tests.factories import in_brand, make_tag

__all__ = ["world"]
pytestmark = pytest.mark.django_db(transaction=True)


def rehearse(world: World, sop: Sop, since: datetime, until: datetime) -> dict[str, Any]:
    with in_brand(world.brand), clock.at(until):
        graph = graphs.get_version(sop.pk, 1).graph
        return rehearsing.run(world.brand, graph, sop_id=sop.pk, since=since, until=until)


def hand_over(world: World) -> None:
    """WeCom has what is due: it is not taken back from whoever leaves."""
    with in_brand(world.brand), clock.at(world.now):
        due = SendTask.objects.filter(state=SendTask.State.PLANNED, next_try_at__lte=world.now)
        handing.record_handed(world.brand, [handing.Made(task, f"m{task.pk}") for task in due])


@pytest.mark.parametrize("seed", range(4))
def test_a_rehearsal_tells_what_really_happens(seed: int) -> None:
    """The engine runs for two weeks; the rehearsal of the same time finds the same people at the same nodes, the same
    messages on the same days, the same refusals."""
    rng = random.Random(seed)
    world = World(n=10)
    with in_brand(world.brand), clock.at(START):
        policy.change_policy(
            world.brand, caps=[CapRule(3, 1), CapRule(7, 2)], by=SYSTEM, min_gap_hours=rng.choice([0, 30]),
            quiet_start=time(21), quiet_end=time(9), hold_out_percent=20 * (seed % 2),
        )  # fmt: skip
        set_do_not_contact(world.brand, contacts=[world.people[0]], value=True, by=SYSTEM)
    graph = rewired(
        line(
            entry("event", event="order_paid"),
            wait(n=rng.choice([3, 20]), unit="hours"),
            touch("谢谢"),
            wait("event", event="viewed", n=2),
            touch("看看"),
            {"kind": "split", "shares": [{"key": "a", "percent": 40}, {"key": "b", "percent": 60}]},
            wait("time", time="10:00", weekdays=[2, 4, 6]),
            touch("再来"),
            reentry=rng.choice(["never", "always"]),
            goals=[{"event": "carted"}],
            hours=bool(seed % 2), hours_from="08:00", hours_until="20:00",
        ),
        ("n6", "b", "task"), ("task", "next", "n9"),
        more=({"id": "task", "kind": "task", "subject": "打电话"},),
    )  # fmt: skip
    sop = world.publish(graph)
    since = world.now
    # each kind of event has a minute of its own: at the same second either could be first
    minutes = {10: EventType.ORDER_PAID, 20: EventType.VIEWED, 30: EventType.CARTED}
    for hour in range(24 * 10):
        for minute in (0, *minutes):
            world.now = since + timedelta(hours=hour, minutes=minute)
            if minute and rng.random() < (0.05 if minute == 30 else 0.2):
                world.happens(minutes[minute], rng.choice(world.people))
                world.react()
            world.tick()
            hand_over(world)
    found = rehearse(world, sop, since, world.now + timedelta(seconds=1))
    with in_brand(world.brand):
        real = figures.of_nodes(sop)
    for row in found["nodes"]:
        mine = real.get(row["node"], figures.NodeNumbers())
        assert (row["in"], row["waiting"]) == (mine.n_in, mine.n_waiting), (row, mine)
        assert {way: n for way, n in row["outs"].items() if n} == mine.outs, (row, mine)
    with in_brand(world.brand):
        touches = Counter(
            (t.step_id, t.at.astimezone(ZoneInfo(ZONE)).date(), t.reason)
            for t in Touch.objects.filter(sop_id=sop.pk)
        )
        assert StaffTask.objects.count() == found["n_tasks"]
    sent = Counter[str]()
    for (_step_id, day, reason), n in touches.items():
        if not reason:
            sent[day.isoformat()] += n
    assert {d["on"]: d["touches"] for d in found["calendar"] if d["touches"]} == dict(sent)
    held = Counter[str]()
    for (_step_id, _day, reason), n in touches.items():
        if reason:
            held[Touch.Reason(reason).name.lower()] += n
    blocks = Counter[str]()
    for block in found["blocks"]:
        blocks[block["reason"]] += block["n"]
    assert blocks == held and held and sent


def test_who_is_in_a_segment_when_it_is_switched_on(world: World) -> None:
    """They come in, when the entry takes them; a rehearsal begins with those who were in it then, as far as that is known."""
    with clock.at(START), in_brand(world.brand):
        tag = make_tag(world.brand)
        condition = {"kind": "tags", "mode": "any", "ids": [tag.pk]}
        segment = segments.create_segment(world.brand, by=SYSTEM, name="有标签", condition=condition)
        put_on(world.brand, each([tag.pk], [c.pk for c in world.people[:2]]), source="x")
        snapshots.snapshot(world.brand, segment)
    graph = line(entry("segment", segment_id=segment.pk, present=True), touch("你好"))
    begun = world.now = START + timedelta(days=1)
    sop = world.publish(graph)
    for person in (world.people[2], None):  # one enters later; then nothing is new
        world.react()
        world.run(world.now + timedelta(hours=1))
        if person is not None:
            with clock.at(world.now), in_brand(world.brand):
                put_on(world.brand, each([tag.pk], [person.pk]), source="x")
                snapshots.snapshot(world.brand, segment)
    with in_brand(world.brand):
        came = Counter(Enrolment.objects.filter(sop=sop).values_list("contact_id", flat=True))
        assert came == {person.pk: 1 for person in world.people[:3]}
    found = rehearse(world, sop, begun, world.now + timedelta(hours=1))
    assert (found["n_people"], found["n_in"], found["n_touches"]) == (3, 3, 3) == (3, 3, len(world.touches()))
    assert len(found["notes"]) == 1
    later = world.now + timedelta(days=60)
    with in_brand(world.brand):
        SegmentVersion.objects.update(has_bits=False)
    found = rehearse(world, sop, later - timedelta(days=7), later)  # today's people, and it is said
    assert (found["n_people"], found["n_touches"], len(found["notes"])) == (3, 3, 2)
    assert "不知道" in found["notes"][0]


def test_a_rehearsal_is_a_job_and_writes_nothing(world: World) -> None:
    world.happens(EventType.ADDED, world.people[0])
    world.happens(EventType.ADDED, world.people[1])
    world.now += timedelta(days=10)
    with clock.at(world.now), in_brand(world.brand):
        sop = graphs.create_graph_sop(
            world.brand, name="画布", graph=line(entry(), wait(n=1), touch("第一天"))
        )
        job = graphs.rehearse(world.brand, sop_id=sop.pk, by=SYSTEM)
    with in_brand(world.brand):
        job.refresh_from_db()
        assert (job.state, job.n_done, job.n_total) == ("done", 2, 2)
        assert job.result["n_touches"] == 2 and job.result["calendar"][0]["on"] == "2026-05-05"
        assert job.result["nodes"][2]["touched"] == 2 and len(job.result["guides"]) == 2
        assert not Touch.objects.exists() and not Enrolment.objects.exists() and not NodeFlow.objects.exists()
        json.dumps(job.result)


def test_who_has_bought_in_the_night_after_the_end(world: World) -> None:
    """Quiet hours hold the last message; whoever has reached the goal by their end does not get it."""
    with in_brand(world.brand), clock.at(START):
        policy.change_policy(world.brand, caps=[], quiet_start=time(21), quiet_end=time(9), by=SYSTEM)
    begun = world.now
    world.now = at("2026-05-04 22:00")
    sop = world.publish(
        line(entry("event", event="carted"), touch("还要吗"), goals=[{"event": "order_paid"}])
    )
    buyer, other, *_rest = world.people
    for person in (buyer, other):
        world.happens(EventType.CARTED, person)
    world.now += timedelta(hours=2)
    world.happens(EventType.ORDER_PAID, buyer)
    found = rehearse(world, sop, begun, at("2026-05-06 12:00"))
    assert (found["n_in"], found["n_touches"]) == (2, 1)
    assert [(block["reason"], block["n"]) for block in found["blocks"]] == [("left_sop", 1)]


@pytest.mark.parametrize(
    "busy, tasks, people",
    [
        ("warn", 1, 3),
        ("leave_out", None, 3),
        ("leave_out", 1, None),
        ("next_day", None, 3),
        ("next_day", 1, None),
    ],
)
def test_where_guides_would_have_too_much(busy: str, tasks: int | None, people: int | None) -> None:
    """Two days in a row eight people buy; the first guide has a task on the first day. About as much is moved and left out as the
    engine has moved and left out, and nothing of the SOP's own past is counted."""
    world = World(n=8)
    with in_brand(world.brand), clock.at(START):
        policy.change_policy(
            world.brand, guide_busy=busy, guide_tasks_a_day=tasks, guide_people_a_day=people, by=SYSTEM
        )
        row = TaskInput(world.guides[0].pk, "call", "打电话", START + timedelta(hours=8), "k")
        staff_tasks.add_tasks(world.brand, [row], source="page")
    sop = world.publish(line(entry("event", event="order_paid"), touch("谢谢"), reentry="always"))
    since, known, moved = world.now, set[int](), 0
    for day in range(2):
        world.now = since + timedelta(
            days=day, hours=1, minutes=20
        )  # what is moved goes out on the hour: they do not meet
        for person in world.people:
            world.happens(EventType.ORDER_PAID, person)
        world.react()
        world.run(world.now + timedelta(minutes=10), every=timedelta(minutes=5))
        with in_brand(world.brand):
            new = Touch.objects.filter(sop_id=sop.pk, reason=0).exclude(pk__in=known)
            moved += sum(touch.at > world.now + timedelta(hours=6) for touch in new)
            known |= {touch.pk for touch in new}
    with in_brand(world.brand):
        left_out = Touch.objects.filter(reason=Touch.Reason.GUIDE_BUSY).count()
        assert Touch.objects.filter(sop_id=sop.pk).count() == 16
    found = rehearse(world, sop, since, world.now)
    load = found["workload"]
    assert (load["rule"], load["tasks_a_day"], load["people_a_day"]) == (busy, tasks, people)
    assert (load["moved"], load["left_out"]) == (moved, left_out) and (moved + left_out > 0) == (
        busy != "warn"
    )
    first, both_days = world.guides[0], people is not None
    assert (load["n_guides"], load["n_guide_days"]) == ((2, 4) if both_days else (1, 1))
    mine = next(row for row in load["guides"] if row["staff_id"] == first.pk)
    assert (mine["most"], mine["most_people"], mine["most_on"]) == (2, 4, found["calendar"][0]["on"])
    assert sum(row["moved"] + row["left_out"] for row in load["days"]) == moved + left_out
    assert found["n_touches"] == 16  # it changes nobody's way


def test_no_limit_no_estimate(world: World) -> None:
    found = rehearse(world, world.publish(line(entry(), touch("你好"))), START, START + timedelta(days=2))
    assert found["workload"] is None


wanted_ = st.lists(st.builds(Wanted, st.sampled_from([MESSAGE, TASK]), st.integers(1, 2500)), max_size=3)


@settings(deadline=None, max_examples=200)
@given(
    wanted=st.dictionaries(st.tuples(st.integers(1, 2), st.integers(10, 14)), wanted_),
    before=st.dictionaries(
        st.tuples(st.integers(1, 2), st.integers(10, 24)), st.tuples(st.integers(0, 6), st.integers(0, 3000))
    ),
    tasks=st.none() | st.integers(1, 6),
    people=st.none() | st.integers(1, 3000),
)  # fmt: skip
def test_an_estimate_loses_nobody(wanted: Any, before: Any, tasks: int | None, people: int | None) -> None:
    """Nothing is moved or left out where there is no limit, or none is kept; a message alone fits as that of a plan."""
    warned = estimate(wanted, before, tasks, people, None)
    assert not warned.moved and not warned.left_out
    days = [estimate(wanted, before, tasks, people, n) for n in (0, 1, 7)]
    assert [one.things for one in days] == [warned.things] * 3
    assert not days[0].moved
    if tasks is None and people is None:
        assert not warned.things and not any(one.moved or one.left_out for one in days)
    for one in days:
        for (guide, day, kind), n in (one.moved + one.left_out).items():
            assert 0 < n <= sum(row.n for row in wanted[guide, day] if row.kind == kind)
    limits = Limits(tasks, people, False)
    for key, rows in wanted.items():
        if [row.kind for row in rows] == [MESSAGE]:
            kept = workload.fit({(key[0], 1): rows[0].n}, {key[0]: Day(*before.get(key, (0, 0)))}, limits)
            assert rows[0].n - kept.get((key[0], 1), 0) == days[0].left_out[*key, MESSAGE]


def test_what_would_happen_to_one(world: World) -> None:
    graph = line(entry(), wait(n=1, then="10:00"), touch("第一天"), wait("event", event="viewed", n=3))
    with clock.at(world.now), in_brand(world.brand):
        sop = graphs.create_graph_sop(world.brand, name="画布", graph=graph)
        rows = graphs.simulate(world.brand, sop_id=sop.pk, contact_id=world.people[0].pk)
        assert [(r["node"], r["way"]) for r in rows] == [
            ("n1", "next"), ("n2", "next"), ("n3", "next"), ("n4", "timeout"), ("n5", "done"),
        ]  # fmt: skip
        assert rows[2]["at"] == at("2026-05-06 10:00")
        set_do_not_contact(world.brand, contacts=[world.people[0]], value=True, by=SYSTEM)
        rows = graphs.simulate(world.brand, sop_id=sop.pk, contact_id=world.people[0].pk)
        assert rows[2]["reason"] == str(Touch.Reason.DO_NOT_CONTACT.label)
