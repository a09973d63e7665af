"""People on their way through graphs: every kind of node, waits, goals, business hours, late steps."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest

from campaigns.governance import CapRule
from campaigns.models import Enrolment, Moment, SendTask, Sop, SopStep, StaffTask, Touch
from campaigns.services.governance import hold_out, policy, rules
from campaigns.services.graphs import graphs
from campaigns.services.journeys import figures, flows, moments, walking
from campaigns.services.journeys.nodes import share_of
from campaigns.services.sops import enrolments
from campaigns.tasks import react_brand
from contacts.models import Contact, CustomField, CustomValue, Event, EventType
from contacts.services.contacts import set_do_not_contact
from contacts.services.timeline import record_event
from content.services import editing
from groups.models import GroupCode
from org.access import SYSTEM
from scrm import clock
from scrm.errors import InvalidError
from tagging.models import ContactTag
from tagging.services.tags.changes import each, put_on
from tests.campaigns.conftest import at
from tests.campaigns.graphs import entry, line, rewired, touch, wait
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
