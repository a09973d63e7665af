"""What a running graph speaks of is deleted, merged or changed: it is refused, or goes along, or people wait and the page
says why. Never the one way or the other by accident, and never another SOP's trouble."""

from datetime import timedelta
from typing import Any

import pytest

from campaigns.models import Enrolment, Sop
from campaigns.services.journeys import figures, reacting, trouble
from campaigns.services.sops import enrolments
from contacts.models import CustomField, EventType
from contacts.services import fields
from org.access import SYSTEM
from scrm import clock
from tagging.models import Segment
from tagging.services.segments import segments
from tests.campaigns.graphs import entry, line, rewired, touch, wait
from tests.campaigns.test_journeys import START, World
from tests.factories import in_brand

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def world() -> World:
    return World()


def make_segment(world: World, name: str = "老客", **over: Any) -> Segment:
    with clock.at(START), in_brand(world.brand):
        return segments.create_segment(
            world.brand, by=SYSTEM, name=name, condition={"kind": "everybody"}, **over
        )


def vanish(world: World, segment: Segment) -> None:
    """As if it had been deleted before anybody asked who names it."""
    with in_brand(world.brand):
        Segment.objects.filter(pk=segment.pk).update(deleted_at=world.now)


def come_back(world: World, segment: Segment) -> None:
    with in_brand(world.brand):
        Segment.objects.filter(pk=segment.pk).update(deleted_at=None)


def in_segment(segment: Segment) -> dict[str, Any]:
    return {"kind": "segment", "mode": "any", "ids": [segment.pk]}


def branching(segment: Segment) -> Any:
    graph = line(entry(), {"kind": "branch", "condition": in_segment(segment)}, touch("是"), touch("否"))
    return rewired(graph, ("n2", "no", "n4"), ("n3", "next", "n5"))


def test_a_branch_that_cannot_be_read_holds_its_own_people_only(world: World, sign_in: Any) -> None:
    segment = make_segment(world)
    broken = world.publish(branching(segment), name="坏的")
    sound = world.publish(line(entry(), touch("好")), name="好的")
    world.put_in(broken)
    world.put_in(sound)
    vanish(world, segment)
    world.tick()
    assert world.at_node(broken) == {"n2": 4} and world.ends(sound) == {"done": 4}
    client = sign_in(world.brand, "operator")
    with in_brand(world.brand):
        assert set(trouble.errors_of(broken)) == {"n2"} and trouble.errors_of(sound) == {}
    said = trouble_of(client, broken)
    assert said
    come_back(world, segment)
    world.run(world.now + timedelta(minutes=11), timedelta(minutes=11))
    assert world.ends(broken) == {"done": 4}
    assert [node for _at, node, _r in world.touches()].count("n4") == 0
    assert not trouble_of(client, broken)
    world.check(broken)


def trouble_of(client: Any, sop: Sop) -> bool:
    return "notice-warn" in client.get(f"/sops/{sop.pk}/").content.decode()


@pytest.mark.parametrize("what", ["goals", "exits"])
def test_goals_and_exits_that_cannot_be_read_let_nobody_go_on(world: World, what: str) -> None:
    segment = make_segment(world)
    graph = line(entry(), wait(n=1, unit="hours"), touch("a"), **{what: [{"condition": in_segment(segment)}]})
    nobody = {"kind": "follow", "values": ["lost"]}
    with in_brand(world.brand):
        Segment.objects.filter(pk=segment.pk).update(condition=nobody)
    broken = world.publish(graph, name="坏的")
    sound = world.publish(line(entry("event", event="viewed"), touch("好")), name="好的")
    world.put_in(broken)
    world.tick()
    assert world.at_node(broken) == {"n2": 4}
    vanish(world, segment)
    world.now += timedelta(minutes=70)
    world.happens(EventType.VIEWED, world.people[0])
    world.react()  # the reader goes on for others
    assert world.at_node(broken) == {"n2": 4} and world.ends(sound) == {"done": 1}
    with in_brand(world.brand):
        assert set(trouble.errors_of(broken)) == {trouble.WHOLE}
    come_back(world, segment)
    world.run(world.now + timedelta(minutes=11), timedelta(minutes=11))
    assert world.ends(broken) == {"done": 4}
    world.check(broken)


def test_an_entry_that_cannot_be_read_stops_neither_the_reader_nor_an_arrival(world: World) -> None:
    segment = make_segment(world)
    by_event = world.publish(
        line(entry("event", event="viewed", condition=in_segment(segment)), wait(n=1)), name="事件"
    )
    by_hand = world.publish(line(entry(condition=in_segment(segment)), wait(n=1)), name="手工")
    vanish(world, segment)
    world.now += timedelta(minutes=1)
    world.happens(EventType.VIEWED, world.people[0])
    world.react()
    with in_brand(world.brand), clock.at(world.now):
        assert reacting.react(world.brand) == 0  # the batch is done with
        sop = Sop(pk=by_hand.pk)
        people = [world.people[0].pk]
        assert enrolments.enrol_many(world.brand, sop=sop, contact_ids=people, source="channel_code:1") == 0
        assert set(trouble.errors_of(by_event)) == set(trouble.errors_of(by_hand)) == {"n1"}
    world.now += timedelta(minutes=11)
    world.react()  # looked at again, and still gone
    come_back(world, segment)
    world.put_in(by_hand, world.people[:1])
    with in_brand(world.brand):
        assert trouble.errors_of(by_hand) == {} and set(trouble.errors_of(by_event)) == {"n1"}
    world.now += timedelta(minutes=11)
    world.react()  # nobody comes, and it is not said for ever
    with in_brand(world.brand):
        assert trouble.errors_of(by_event) == {}


def test_what_one_version_cannot_read_another_one_does_not_take_back(world: World, sign_in: Any) -> None:
    """The page says it as long as somebody is in the older version, and of which version it is."""
    segment = make_segment(world)
    sop = world.publish(branching(segment))
    world.put_in(sop, world.people[:2])
    vanish(world, segment)
    world.tick()
    sound = rewired(
        line(entry(), {"kind": "branch", "condition": {"kind": "everybody"}}, touch("是"), touch("否")),
        ("n2", "no", "n4"),
        ("n3", "next", "n5"),
    )
    world.publish(sound)
    world.put_in(sop, world.people[2:])
    world.run(world.now + timedelta(minutes=22), timedelta(minutes=11))
    client = sign_in(world.brand, "operator")
    with in_brand(world.brand):
        sop.refresh_from_db()
        assert trouble.errors_of(sop) == {}
        [said] = trouble.of_older(world.brand, sop)
        assert said.n == 1 and said.error
    assert world.at_node(sop) == {"n2": 2} and trouble_of(client, sop)
    come_back(world, segment)
    world.run(world.now + timedelta(minutes=11), timedelta(minutes=11))
    assert world.ends(sop) == {"done": 4} and not trouble_of(client, sop)
    world.check(sop)


@pytest.mark.parametrize("where", ["node", "goals"])
def test_whoever_was_held_keeps_the_clock(world: World, where: str) -> None:
    """Held for half an hour before the second wait: it still ends three hours after the beginning."""
    segment = make_segment(world)
    none = {"all": [in_segment(segment), {"kind": "follow", "values": ["lost"]}]}
    asked = {"kind": "branch", "condition": in_segment(segment) if where == "node" else {"kind": "everybody"}}
    graph = line(
        entry(), wait(n=1, unit="hours"), asked, wait(n=2, unit="hours"), touch("a"),
        **({"goals": [{"condition": none}]} if where == "goals" else {}),
    )  # fmt: skip
    sop = world.publish(graph)
    world.put_in(sop)
    world.tick()
    vanish(world, segment)
    world.run(START + timedelta(minutes=85), timedelta(minutes=5))
    assert world.at_node(sop) == {"n3" if where == "node" else "n2": 4}
    come_back(world, segment)
    world.run(START + timedelta(minutes=100), timedelta(minutes=5))
    assert world.at_node(sop) == {"n4": 4}
    with in_brand(world.brand):
        rows = set(Enrolment.objects.values_list("node_at", "next_run_at", "held_from"))
    assert rows == {(START + timedelta(hours=1), START + timedelta(hours=3), None)}
    world.run(START + timedelta(hours=3))
    assert world.ends(sop) == {"done": 4}
    assert [reason for _at, _node, reason in world.touches()] == [0] * 4
    world.check(sop)


def test_a_code_that_names_a_graph_brings_people_in(world: World) -> None:
    """An arrival knows the number of the SOP only, not its form."""
    sop = world.publish(line(entry(), wait(n=1)))
    with in_brand(world.brand), clock.at(world.now):
        people = [c.pk for c in world.people]
        assert enrolments.enrol_many(world.brand, sop=Sop(pk=sop.pk), contact_ids=people, source="c") == 4
        assert set(Enrolment.objects.values_list("node", flat=True)) == {"n1"}


def test_people_who_are_moved_to_the_entry_are_counted_once(world: World) -> None:
    sop = world.publish(line(entry(), wait(n=5), touch("a")))
    world.put_in(sop)
    world.tick()
    world.publish(line(entry(), wait(n=2), touch("b")), people="move", mapping={"n2": "n1"})
    with in_brand(world.brand):
        assert figures.of_nodes(Sop.objects.get())["n1"].n_waiting == 4
    world.tick()
    assert world.at_node(sop) == {"n2": 4}
    world.check(sop)


def test_an_option_that_is_gone_is_waited_for(world: World) -> None:
    with in_brand(world.brand), clock.at(START):
        custom = fields.create_field(
            world.brand, by=SYSTEM, label="等级", type=CustomField.Type.CHOICE, options=["金", "银"]
        )
    sop = world.publish(line(entry(), {"kind": "field", "field": custom.key, "value": "金"}))
    sound = world.publish(line(entry(), touch("好")), name="好的")
    world.put_in(sop)
    world.put_in(sound)
    with in_brand(world.brand):
        CustomField.objects.filter(pk=custom.pk).update(options=["银"])
    world.tick()
    assert world.at_node(sop) == {"n2": 4} and world.ends(sound) == {"done": 4}
    with in_brand(world.brand):
        CustomField.objects.filter(pk=custom.pk).update(options=["金", "银"])
    world.run(world.now + timedelta(minutes=11), timedelta(minutes=11))
    assert world.ends(sop) == {"done": 4}
