"""People on their way through graphs: every kind of node, entries, goals, versions; nothing twice, nothing lost."""

import hashlib
import hmac
import json
import random
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from campaigns.governance import CapRule
from campaigns.models import (
    Enrolment,
    Moment,
    NodeFlow,
    SendTask,
    Sop,
    SopCall,
    SopStep,
    SopVersion,
    StaffTask,
    Touch,
    TouchKey,
)  # fmt: skip
from campaigns.services import enrolments, graphs, hold_out, policy, rules, sops, stepping
from campaigns.services.journeys import (
    arrivals,
    figures,
    flows,
    hooks,
    moments,
    moving,
    reacting,
    rehearsing,
    trouble,
    walking,
)
from campaigns.services.journeys.nodes import share_of
from campaigns.tasks import react_brand, rebuild_brand_planes, tick_brand
from contacts.models import Contact, CustomField, CustomValue, Event, EventType
from contacts.services.contacts import set_do_not_contact
from contacts.services.timeline import record_event
from content.services import editing
from groups.models import GroupCode
from livecodes.models import ChannelCode
from org.access import SYSTEM
from org.models import Job
from org.services import jobs
from scrm import clock
from scrm.errors import ConflictError, InvalidError
from scrm.redis import redis_client
from tagging.models import ContactTag
from tagging.services import segments, snapshots
from tagging.services.changes import each, put_on
from tenants.scoping import tenant_scope
from tests.campaigns.conftest import ZONE, at
from tests.campaigns.graphs import entry, line, rewired, touch, wait
from tests.campaigns.receiver import Receiver, receiving
from tests.content.conftest import make_content, make_picture
from tests.factories import in_brand, make_brand, make_contact, make_corp, make_staff, make_tag

pytestmark = pytest.mark.django_db(transaction=True)
START = at("2026-05-04 12:00")  # a Monday


class World:
    """A brand with people, and a clock that runs."""

    def __init__(self, n: int = 4) -> None:
        self.brand = make_brand()
        self.now = START
        with in_brand(self.brand), clock.at(START - timedelta(days=30)):
            self.corp = make_corp(self.brand)
            self.guides = [make_staff(self.brand, self.corp) for _ in range(2)]
            self.people = [make_contact(self.brand, self.guides[i % 2]) for i in range(n)]
            policy.change_policy(self.brand, caps=[CapRule(1, 50)], by=SYSTEM)

    def publish(self, graph: Any, name: str = "旅程", **over: Any) -> Sop:
        with clock.at(self.now), in_brand(self.brand):
            sop = Sop.objects.filter(name=name).first() or graphs.create_graph_sop(self.brand, name=name)
            graphs.save_draft(self.brand, sop_id=sop.pk, graph=graph, by=SYSTEM)
            graphs.publish(self.brand, sop_id=sop.pk, by=SYSTEM, **over)
            sop.refresh_from_db()
            return sop

    def put_in(self, sop: Sop, people: list[Contact] | None = None) -> int:
        with clock.at(self.now), in_brand(self.brand):
            ids = [c.pk for c in (self.people if people is None else people)]
            return enrolments.enrol_many(self.brand, sop=sop, contact_ids=ids, source="page", at=self.now)

    def run(self, until: datetime, every: timedelta = timedelta(minutes=30)) -> None:
        """The tick of some minutes up to a moment."""
        while self.now < until:
            self.now = min(self.now + every, until)
            self.tick()

    def tick(self) -> walking.Outcome:
        with clock.at(self.now), in_brand(self.brand):
            return walking.run(self.brand, self.now)

    def happens(self, kind: EventType, contact: Contact, **over: Any) -> None:
        with clock.at(self.now), in_brand(self.brand):
            record_event(self.brand, contact_id=contact.pk, type=kind, at=self.now, source="test", **over)

    def react(self) -> None:
        with clock.at(self.now):
            react_brand.delay(brand_id=self.brand.pk)

    def at_node(self, sop: Sop) -> dict[str, int]:
        with in_brand(self.brand):
            return dict(
                Counter(Enrolment.objects.filter(sop=sop, ended_at=None).values_list("node", flat=True))
            )

    def ends(self, sop: Sop) -> dict[str, int]:
        with in_brand(self.brand):
            rows = Enrolment.objects.filter(sop=sop, ended_at__isnull=False)
            return dict(Counter(rows.values_list("end_kind", flat=True)))

    def touches(self) -> list[tuple[datetime, str, int]]:
        """(at, node, reason) of the ledger."""
        with in_brand(self.brand):
            nodes = dict(SopStep.objects.values_list("pk", "node"))
            rows = Touch.objects.order_by("at", "pk").values_list("at", "step_id", "reason")
            return [(moment, nodes[step], reason) for moment, step, reason in rows]

    def check(self, sop: Sop) -> None:
        """The fold agrees with the truth."""
        with in_brand(self.brand):
            numbers = figures.of_nodes(sop)
            truth: Counter[str] = Counter()
            for (_version, node), n in flows.waiting_truth(self.brand, sop.pk).items():
                truth[node] += n
            assert {node: row.n_waiting for node, row in numbers.items() if row.n_waiting} == dict(truth)


@pytest.fixture
def world() -> World:
    return World()


# ---- nodes


def test_a_line_of_waits_and_messages(world: World) -> None:
    graph = line(
        entry(), wait(n=1, then="10:00"), touch("第一天"), wait("day", day=3, time="09:00"), touch("第三天")
    )
    sop = world.publish(graph)
    assert world.put_in(sop) == 4 and world.put_in(sop) == 0
    world.run(START + timedelta(hours=1))
    assert world.at_node(sop) == {"n2": 4} and world.touches() == []
    world.run(at("2026-05-10 09:00"))
    assert world.ends(sop) == {"done": 4}
    found = Counter((moment, node) for moment, node, reason in world.touches() if not reason)
    assert found == {(at("2026-05-06 10:00"), "n3"): 4, (at("2026-05-07 09:00"), "n5"): 4}
    world.check(sop)
    with in_brand(world.brand):
        numbers = figures.of_nodes(sop)
        assert numbers["n3"].n_in == numbers["n3"].outs["next"] == 4
        assert numbers["n3"].waiting_for_guide == 4 and numbers["n6"].outs == {"done": 4}
        assert SendTask.objects.count() == 4  # two guides, two messages
        assert Event.objects.filter(type=EventType.SOP_ENDED).count() == 4


def test_branch_tag_field_task_and_split(world: World) -> None:
    with in_brand(world.brand):
        vip, seen = make_tag(world.brand), make_tag(world.brand)
        CustomField.objects.create(key="level", label="等级", type="text")
        put_on(world.brand, each([vip.pk], [world.people[0].pk]), source="x")
    graph = rewired(
        line(
            entry(),
            {"kind": "branch", "condition": {"kind": "tags", "mode": "any", "ids": [vip.pk]}},
            {"kind": "tag", "add_tag_ids": [seen.pk]},
            {"kind": "field", "field": "level", "value": "金"},
        ),
        ("n2", "no", "t"), ("t", "next", "s"), ("s", "a", "n5"), ("s", "b", "n5"),
        more=(
            {"id": "t", "kind": "task", "subject": "打电话", "task_kind": "call", "due_hours": 5},
            {"id": "s", "kind": "split", "shares": [{"key": "a", "percent": 50}, {"key": "b", "percent": 50}]},
        ),
    )  # fmt: skip
    sop = world.publish(graph)
    world.put_in(sop)
    world.tick()
    assert world.ends(sop) == {"done": 4}
    world.check(sop)
    with in_brand(world.brand):
        assert list(ContactTag.objects.filter(tag=seen).values_list("contact_id", flat=True)) == [
            world.people[0].pk
        ]
        assert [v.value_text for v in CustomValue.objects.all()] == ["金"]
        tasks = StaffTask.objects.all()
        assert {(t.contact_id, t.title, t.due_at) for t in tasks} == {
            (c.pk, "打电话", START + timedelta(hours=5)) for c in world.people[1:]
        }
        assert {t.staff_id for t in tasks} == {g.pk for g in world.guides}
        outs = figures.of_nodes(sop)["s"].outs
        assert sum(outs.values()) == 3


def test_no_task_about_those_who_are_left_alone(world: World) -> None:
    """Who does not want to be contacted, and the brand's hold-out group: their guides do not call them either."""
    with in_brand(world.brand):
        people = [make_contact(world.brand, world.guides[0]) for _ in range(60)]
        set_do_not_contact(world.brand, contacts=people[:10], value=True, by=SYSTEM)
        policy.change_policy(world.brand, caps=[CapRule(1, 50)], hold_out_percent=20, by=SYSTEM)
        ids = [c.pk for c in people]
        held = hold_out.is_held(ids, rules.rules_of(world.brand))
        called = {pk for pk, is_held in zip(ids[10:], held[10:], strict=True) if not is_held}
    assert 0 < len(called) < 50
    sop = world.publish(
        line(entry(), {"kind": "task", "subject": "打电话", "task_kind": "call", "due_hours": 5})
    )
    world.put_in(sop, people)
    world.tick()
    assert world.ends(sop) == {"done": 60}
    with in_brand(world.brand):
        assert set(StaffTask.objects.values_list("contact_id", flat=True)) == called


def test_a_split_stays_with_a_person(world: World) -> None:
    shares = [{"key": "a", "percent": 30}, {"key": "b", "percent": 70}]
    ids = list(range(1, 5001))
    first = share_of({"id": "s", "shares": shares}, 7, ids)
    assert share_of({"id": "s", "shares": shares}, 7, ids) == first
    assert 0.27 < first.count("a") / 5000 < 0.33
    other = share_of({"id": "s2", "shares": shares}, 7, ids)
    assert other != first and share_of({"id": "s", "shares": shares}, 8, ids) != first


def test_a_loop_goes_round_until_the_goal(world: World) -> None:
    graph = line(entry(), touch("再来"), wait(n=1), goals=[{"event": "order_paid"}])
    sop = world.publish(_loop(graph))
    world.put_in(sop, world.people[:1])
    world.run(START + timedelta(days=3), timedelta(hours=6))
    assert len(world.touches()) == 4 and world.at_node(sop) == {"n3": 1}
    world.happens(EventType.ORDER_PAID, world.people[0])
    world.react()
    assert world.ends(sop) == {"goal": 1}
    world.check(sop)


def _loop(graph: Any) -> Any:
    """n3 leads back to n2, or by time-out to the end."""
    graph["nodes"][2] |= {"mode": "event", "event": "viewed", "n": 1, "unit": "days"}
    return rewired(graph, ("n3", "timeout", "n2"), ("n3", "next", "n4"))


def test_waiting_for_something(world: World) -> None:
    graph = rewired(
        line(entry(), wait("event", event="order_paid", n=2, unit="days"), touch("谢谢")),
        ("n2", "timeout", "n4"),
    )
    sop = world.publish(graph)
    world.happens(EventType.ORDER_PAID, world.people[3])  # before: does not count
    world.react()
    world.now += timedelta(minutes=1)
    world.put_in(sop)
    world.tick()
    assert world.at_node(sop) == {"n2": 4}
    world.now += timedelta(hours=5)
    world.happens(EventType.ORDER_PAID, world.people[0])
    world.happens(EventType.VIEWED, world.people[1])
    world.react()
    assert world.at_node(sop) == {"n2": 3} and world.ends(sop) == {"done": 1}
    world.run(START + timedelta(days=3), timedelta(hours=3))
    assert [(node, reason) for _at, node, reason in world.touches()] == [("n3", 0)]
    with in_brand(world.brand):
        assert figures.of_nodes(sop)["n2"].outs == {"next": 1, "timeout": 3}
    world.check(sop)


def test_what_happened_before_the_wait_does_not_date_it(world: World) -> None:
    """Two events in one batch, one from before somebody came to the wait: the later one is the moment to go on from."""
    again = wait(n=1, unit="hours")
    sop = world.publish(
        line(entry(), wait("event", event="order_paid", n=2, unit="days"), again, touch("谢谢"))
    )
    world.happens(EventType.ORDER_PAID, world.people[0])
    world.now += timedelta(minutes=30)
    world.put_in(sop, world.people[:1])
    world.tick()
    world.now += timedelta(hours=5)
    world.happens(EventType.ORDER_PAID, world.people[0])
    world.react()
    with in_brand(world.brand):
        row = Enrolment.objects.get(sop=sop)
        assert (row.node, row.next_run_at) == ("n3", world.now + timedelta(hours=1))


def test_a_wait_after_many_nodes_is_waited(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walking, "MAX_PASSED", 3)
    with in_brand(world.brand):
        tags = [{"kind": "tag", "add_tag_ids": [make_tag(world.brand).pk]} for _ in range(3)]
    sop = world.publish(line(entry(), *tags[:2], wait(n=1), tags[2], touch("第二天")))
    world.put_in(sop)
    world.tick()
    assert world.at_node(sop) == {"n4": 4} and world.touches() == []
    world.run(START + timedelta(days=2))
    assert world.ends(sop) == {"done": 4} and len(world.touches()) == 4


def test_business_hours_hold(world: World) -> None:
    sop = world.publish(
        line(
            entry(),
            wait(n=10, unit="hours"),
            touch("早"),
            hours=True,
            hours_from="09:00",
            hours_until="21:00",
        )
    )
    world.put_in(sop)
    world.run(START + timedelta(days=1), timedelta(minutes=30))
    assert {row[0] for row in world.touches()} == {at("2026-05-05 09:00")}
    world.check(sop)


@pytest.mark.parametrize(
    "late, found",
    [
        ("send", [("n3", 0), ("n5", Touch.Reason.TOO_LATE)]),
        ("skip", [("n3", Touch.Reason.TOO_LATE), ("n5", Touch.Reason.TOO_LATE)]),
        ("shift", [("n3", 0)]),
    ],
)
def test_late_steps(world: World, late: str, found: list) -> None:
    graph = line(entry(), wait(n=1), touch("a"), wait(n=1), touch("b"), late=late, late_hours=6)
    sop = world.publish(graph)
    world.put_in(sop, world.people[:1])
    world.tick()
    world.now += timedelta(days=5)  # workers were down
    world.tick()
    assert [(node, reason) for _at, node, reason in world.touches()] == found
    if late == "shift":
        world.run(world.now + timedelta(days=2), timedelta(hours=1))
        assert [row[0] for row in world.touches()] == [START + timedelta(days=5), START + timedelta(days=6)]


def test_governance_and_lost_guides(world: World) -> None:
    with in_brand(world.brand):
        set_do_not_contact(world.brand, contacts=[world.people[0]], value=True, by=SYSTEM)
    sop = world.publish(line(entry(), touch("a"), touch("b")))
    world.put_in(sop)
    world.tick()
    reasons = Counter(row[2] for row in world.touches())
    assert reasons[Touch.Reason.DO_NOT_CONTACT] == 2 and reasons[Touch.Reason.NONE] == 3


def test_slots_refuse_publication(world: World) -> None:
    with pytest.raises(InvalidError) as error:
        world.publish(line(entry(), {"kind": "coupon"}))
    assert [(p["node"], p["field"]) for p in error.value.details["problems"]] == [("n2", "")]


def test_moments_once_for_each_guide_and_day(world: World) -> None:
    sop = world.publish(
        line(
            entry(), {"kind": "moments", "text": "新品到店"}, wait(n=1), {"kind": "moments", "text": "再看看"}
        )
    )
    world.put_in(sop, world.people[:1])
    world.tick()
    world.put_in(sop, world.people[1:])
    world.tick()
    with in_brand(world.brand):
        found = [(m.text, m.staff_ids) for m in Moment.objects.order_by("pk")]
        assert found == [("新品到店", [world.guides[0].pk]), ("新品到店", [world.guides[1].pk])]
    world.run(START + timedelta(days=1, hours=1), timedelta(hours=1))
    with in_brand(world.brand):
        assert {tuple(m.staff_ids) for m in Moment.objects.filter(text="再看看")} == {
            tuple(g.pk for g in world.guides)
        }
    world.check(sop)


def test_a_moment_that_is_refused_is_kept_with_its_reason(world: World) -> None:
    with in_brand(world.brand), clock.at(world.now):
        item = make_content(world.brand, "新品", "新品到店")
    sop = world.publish(line(entry(), {"kind": "moments", "content_id": item.pk}))
    with in_brand(world.brand):
        editing.archive(world.brand, content_id=item.pk, by=SYSTEM)
    for people in (world.people[:1], world.people[1:2], world.people[2:]):
        world.put_in(sop, people)
        world.tick()
    with in_brand(world.brand), clock.at(world.now):
        [(node, [row])] = moments.refused_of(sop).items()
        assert (node, row.is_over) == ("n2", True) and "新品" in row.error
        assert row.moment.staff_ids == [g.pk for g in world.guides]  # one row for all of the day
        assert world.ends(sop) == {"done": 4}  # it is in nobody's way
        row.moment.state = Moment.State.PLANNED  # what an admin can mend is tried again
        row.moment.save(update_fields=["state"])
        assert [r.is_over for r in moments.refused_of(sop)["n2"]] == [False]
        Moment.objects.update(error="")
        assert moments.refused_of(sop) == {}
    with in_brand(world.brand), clock.at(world.now + timedelta(days=40)):
        Moment.objects.update(error="x", state=Moment.State.FAILED)
        assert moments.refused_of(sop) == {}  # long ago


def test_an_invitation_into_a_group_is_a_message_with_its_picture(world: World) -> None:
    with in_brand(world.brand):
        code = GroupCode.objects.create(corp=world.corp, name="门店群", state="g1")
    node = {"kind": "group", "group_code_id": code.pk, "text": "来群里"}
    with pytest.raises(InvalidError):
        world.publish(line(entry(), {**node, "group_code_id": code.pk + 1}))
    sop = world.publish(line(entry(), node, wait(n=1)))
    world.put_in(sop, world.people[:1])
    world.tick()
    assert [reason for _at, _node, reason in world.touches()] == [Touch.Reason.CONTENT]  # no picture yet
    with in_brand(world.brand):
        code.file = make_picture(world.brand)
        code.save(update_fields=["file"])
    world.put_in(sop, world.people[1:])
    world.tick()
    with in_brand(world.brand):
        tasks = list(SendTask.objects.order_by("pk"))
        assert {(t.text, t.attachments[0]["file_id"]) for t in tasks} == {("来群里", code.file_id)}
        assert sum(t.n for t in tasks) == 3
        assert figures.of_nodes(sop)["n2"].n_in == 4
    assert world.at_node(sop) == {"n3": 4}
    world.check(sop)


# ---- entries


def test_entry_by_event_and_again(world: World) -> None:
    graph = line(entry("event", event="order_paid"), wait(n=1), reentry="after", reentry_days=10)
    sop = world.publish(graph)
    for _round in range(2):
        world.happens(EventType.ORDER_PAID, world.people[0])
        world.react()
    assert world.at_node(sop) == {"n2": 1}
    world.run(START + timedelta(days=2), timedelta(hours=6))
    world.happens(EventType.ORDER_PAID, world.people[0])
    world.react()
    assert world.at_node(sop) == {} and world.ends(sop) == {"done": 1}
    world.now += timedelta(days=12)
    world.happens(EventType.ORDER_PAID, world.people[0])
    world.react()
    assert world.at_node(sop) == {"n2": 1}


@pytest.mark.parametrize("reentry, n", [("never", 0), ("always", 1)])
def test_reentry(world: World, reentry: str, n: int) -> None:
    sop = world.publish(line(entry(), touch("a"), reentry=reentry))
    assert world.put_in(sop, world.people[:1]) == 1
    world.tick()
    assert world.ends(sop) == {"done": 1}
    assert world.put_in(sop, world.people[:1]) == n


def test_entry_by_segment(world: World) -> None:
    with clock.at(START), in_brand(world.brand):
        tag = make_tag(world.brand)
        segment = segments.create_segment(
            world.brand, by=SYSTEM, name="有标签", condition={"kind": "tags", "mode": "any", "ids": [tag.pk]}
        )
    sop = world.publish(line(entry("segment", segment_id=segment.pk), wait(n=1)))
    world.react()
    assert world.at_node(sop) == {}
    world.now += timedelta(hours=1)
    with clock.at(world.now), in_brand(world.brand):
        put_on(world.brand, each([tag.pk], [world.people[1].pk]), source="x")
        snapshots.snapshot(world.brand, segment)
    for _ in range(2):
        world.react()
    assert world.at_node(sop) == {"n2": 1}


def test_an_entry_that_cannot_be_read_says_why(world: World, sign_in: Any) -> None:
    """Noted once, shown at its SOP, and gone as soon as the entry can be read again."""
    with clock.at(START), in_brand(world.brand):
        segment = segments.create_segment(
            world.brand, by=SYSTEM, name="有标签", condition={"kind": "everybody"}
        )
    sop = world.publish(line(entry("segment", segment_id=segment.pk), wait(n=1)))
    refusal = pytest.MonkeyPatch()
    with refusal.context() as patch:
        patch.setattr(snapshots, "entered_since", lambda *_args: (_ for _ in ()).throw(InvalidError("坏了")))
        world.react()
        with in_brand(world.brand), CaptureQueriesContext(connections["default"]) as asked:
            arrivals.run(world.brand)
            assert trouble.errors_of(sop) == {"n1": "坏了"}
    writes = [query["sql"] for query in asked if query["sql"].startswith("UPDATE")]
    assert all("NOT" in sql and "坏了" in sql for sql in writes)  # nothing is written anew
    client = sign_in(world.brand, "operator")
    assert "坏了" in client.get(f"/sops/{sop.pk}/").content.decode()
    world.react()
    assert "坏了" not in client.get(f"/sops/{sop.pk}/").content.decode()


def test_figures_that_are_wrong_are_right_the_next_morning(world: World) -> None:
    sop = world.publish(line(entry(), wait(n=1)))
    world.put_in(sop)
    world.tick()
    with in_brand(world.brand):
        NodeFlow.objects.filter(sop_id=sop.pk, node="n2", way=flows.IN).update(n=99)
    with clock.at(world.now):
        rebuild_brand_planes.delay(brand_id=world.brand.pk)
    world.check(sop)
    with in_brand(world.brand):
        assert flows.mend_all(world.brand, world.now) == 0


def test_entry_by_date(world: World) -> None:
    with in_brand(world.brand):
        field = CustomField.objects.create(key="birthday", label="生日", type="date")
        CustomValue.objects.create(field=field, contact=world.people[0], value_date="1990-05-08")
        CustomValue.objects.create(field=field, contact=world.people[1], value_date="1990-06-08")
    graph = line(entry("date", date_field="field:birthday", offset_days=-3, time="09:00"), wait(n=1))
    world.now = at("2026-05-04 08:00")
    sop = world.publish(graph)
    with in_brand(world.brand), clock.at(world.now):
        for moment, n in (
            (world.now, 0),
            (at("2026-05-05 08:59"), 0),
            (at("2026-05-05 09:00"), 1),
            (at("2026-05-06 10:00"), 0),
        ):
            with clock.at(moment):
                assert arrivals.run(world.brand) == n
    with in_brand(world.brand):
        assert Enrolment.objects.get(sop=sop).joined_at == at("2026-05-05 09:00")


def test_entry_by_channel_code_and_condition(world: World) -> None:
    with in_brand(world.brand):
        code = ChannelCode.objects.create(corp=world.corp, name="门店", state="abc")
        tag = make_tag(world.brand)
        put_on(world.brand, each([tag.pk], [world.people[0].pk, world.people[1].pk]), source="x")
    condition = {"kind": "tags", "mode": "any", "ids": [tag.pk]}
    sop = world.publish(line(entry("code", code_ids=[code.pk], condition=condition), wait(n=1)))
    for contact, code_id in ((0, code.pk), (1, code.pk + 1), (2, code.pk)):
        world.happens(EventType.ADDED, world.people[contact], object_id=code_id)
    world.react()
    with in_brand(world.brand):
        assert [e.contact_id for e in Enrolment.objects.filter(sop=sop)] == [world.people[0].pk]


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
        try:
            with clock.at(moment), tenant_scope(world.brand):
                reacting.react(world.brand)
                walking.run(world.brand, moment, batch=rng.choice([1, 3, 5]))
        finally:
            connections.close_all()

    for minutes in (70, 130, 190, 250):
        threads = [
            threading.Thread(target=work, args=(START + timedelta(minutes=minutes),)) for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    world.now = START + timedelta(minutes=260)
    world.react()
    world.tick()
    assert world.ends(sop) == {"done": 12}
    assert Counter(node for _at, node, _r in world.touches()) == {"n3": 12, "n5": 5}
    world.check(sop)


# ---- web hooks


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture
def tls_receiver(tmp_path: Path) -> Iterator[Receiver]:
    with receiving(tmp_path) as made:
        yield made


def test_a_turn_of_hooks_that_ran_out_stays_with_who_has_it_now(world: World, monkeypatch: Any) -> None:
    """A receiver hangs until the turn is over and another process has taken it: that one's is not given back."""
    redis, n_asked = redis_client(), list[int]()

    def make(*_args: Any) -> None:
        [key] = redis.keys("*sop-hooks*")
        redis.set(key, "other", ex=60)
        n_asked.append(hooks.make_due(world.brand))  # a third one has to wait

    monkeypatch.setattr(hooks, "due", lambda: [1])
    monkeypatch.setattr(hooks, "make", make)
    with in_brand(world.brand):
        assert hooks.make_due(world.brand) == 1
    [key] = redis.keys("*sop-hooks*")
    assert redis.get(key) == b"other" and n_asked == [0]
    redis.delete(key)


def test_hooks_are_ordered_once_and_repeated_until_taken(
    world: World, receiver: Receiver, settings: Any
) -> None:
    """A real receiver: first it hangs up, then it fails, then it takes the call; signed, the same key each time."""
    settings.SOP_HOOKS_PRIVATE = True
    receiver.answers = [None, 500, 204]
    sop = world.publish(line(entry(), {"kind": "hook", "url": f"{receiver.url}/x?y=1"}))
    world.put_in(sop, world.people[:1])
    with clock.at(world.now):
        tick_brand.delay(brand_id=world.brand.pk)
    for minutes in (2, 30):
        with clock.at(world.now + timedelta(minutes=minutes)):
            react_brand.delay(brand_id=world.brand.pk)
    with in_brand(world.brand):
        call = SopCall.objects.get()
        assert (call.state, call.n_tries, call.status) == ("done", 3, 204)
        secret = Sop.objects.get(pk=sop.pk).hook_secret
    assert [seen.path for seen in receiver.seen] == ["/x?y=1"] * 3
    assert {json.loads(seen.body)["key"] for seen in receiver.seen} == {call.key}
    for seen in receiver.seen:
        text = f"{seen.headers['X-SCRM-Timestamp']}.{seen.body}"
        signed = hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
        assert seen.headers["X-SCRM-Signature"] == f"sha256={signed}"


def test_a_hook_over_tls(world: World, tls_receiver: Receiver, settings: Any, monkeypatch: Any) -> None:
    """The name is checked against the certificate; a stranger's certificate is refused and nothing is sent."""
    settings.SOP_HOOKS_PRIVATE = True
    status, error = hooks.post(f"{tls_receiver.url}/x", {"key": "k"}, "secret")
    assert status is None and "CERTIFICATE_VERIFY_FAILED" in error and not tls_receiver.seen
    monkeypatch.setenv("SSL_CERT_FILE", str(tls_receiver.certificate))
    assert hooks.post(f"{tls_receiver.url}/x", {"key": "k"}, "secret") == (200, "")
    other = tls_receiver.url.replace("localhost", "127.0.0.1")
    assert "CERTIFICATE_VERIFY_FAILED" in hooks.post(f"{other}/x", {"key": "k"}, "secret")[1]
    assert len(tls_receiver.seen) == 1


def test_a_hook_never_reaches_a_private_network(receiver: Receiver) -> None:
    """Also when a public name leads there: what is connected to is what was looked at."""
    assert hooks.post(receiver.url.replace("http://", "https://"), {}, "s")[0] is None
    assert not receiver.seen


def test_a_redirect_is_not_followed(receiver: Receiver, settings: Any) -> None:
    settings.SOP_HOOKS_PRIVATE = True
    receiver.answers = [302]
    assert hooks.post(f"{receiver.url}/x", {"key": "k"}, "s") == (302, "HTTP 302")
    assert len(receiver.seen) == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/", "https://127.0.0.1/", "https://localhost/x", "https://10.1.2.3/", "https://[::1]/",
        "https://169.254.169.254/latest", "https://user:pw@example.com/", "ftp://example.com", "https://", "nonsense",
        "https://a.internal/x", "https://example.com:99999/",
    ],
)  # fmt: skip
def test_addresses_that_are_not_called(url: str) -> None:
    with pytest.raises(InvalidError):
        hooks.check_url(url)


# ---- rehearsal


def rehearse(world: World, sop: Sop, since: datetime, until: datetime) -> dict[str, Any]:
    with in_brand(world.brand), clock.at(until):
        graph = graphs.get_version(sop.pk, 1).graph
        return rehearsing.run(world.brand, graph, sop_id=sop.pk, since=since, until=until)


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
