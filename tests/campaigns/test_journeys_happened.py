"""Events that were read before somebody came to where they count: an order in the same batch as the cart, one during an
outage of the workers. They count all the same."""

from datetime import timedelta
from typing import Any

import pytest

from campaigns.models import Enrolment, Sop
from contacts.models import EventType
from tests.campaigns.graphs import entry, line, rewired, touch, wait
from tests.campaigns.test_journeys import START, World
from tests.factories import in_brand

pytestmark = pytest.mark.django_db(transaction=True)
CART = entry("event", event="carted")


@pytest.fixture
def world() -> World:
    return World()


def _reminder(*before: Any, event: str = "order_paid", **settings: Any) -> Any:
    """… → wait two hours for an event; with it the way is over, without it a reminder goes out."""
    graph = line(*before, wait("event", event=event, n=2, unit="hours"), touch("购物车"), **settings)
    at_wait, at_touch = f"n{len(before) + 1}", f"n{len(before) + 2}"
    return rewired(graph, (at_wait, "next", f"n{len(before) + 3}"), (at_wait, "timeout", at_touch))


@pytest.mark.parametrize("order_first", [False, True])
def test_bought_before_the_cart_was_read(world: World, order_first: bool) -> None:
    """Shops tell in batches, and not in order: cart and order come together, or the order comes before."""
    sop = world.publish(_reminder(CART))
    contact, other, old = world.people[:3]
    world.now = START + timedelta(minutes=5)
    world.happens(EventType.ORDER_PAID, old)  # bought before, then filled the cart again
    world.now = START + timedelta(minutes=10)
    carted = world.now
    if order_first:
        world.now += timedelta(minutes=1)
        world.happens(EventType.ORDER_PAID, contact)
        world.react()
        world.now = carted
    for one in (contact, other, old):
        world.happens(EventType.CARTED, one)
    if not order_first:
        world.now += timedelta(minutes=1)
        world.happens(EventType.ORDER_PAID, contact)
    world.now = carted + timedelta(minutes=2)
    world.react()
    world.run(START + timedelta(hours=4))
    assert len(world.touches()) == 2 and world.ends(sop) == {"done": 3}
    world.check(sop)


@pytest.mark.parametrize("what", ["goals", "exits"])
def test_a_goal_reached_before_the_entry_was_read(world: World, what: str) -> None:
    sop = world.publish(line(CART, touch("购物车"), **{what: [{"event": "order_paid"}]}))
    world.now = START + timedelta(minutes=10)
    for one in world.people[:2]:
        world.happens(EventType.CARTED, one)
    world.now += timedelta(seconds=30)
    world.happens(EventType.ORDER_PAID, world.people[0])
    world.now += timedelta(seconds=30)
    world.react()
    world.tick()
    assert world.ends(sop) == {what.removesuffix("s"): 1, "done": 1} and len(world.touches()) == 1
    world.check(sop)


def test_bought_while_the_workers_were_down(world: World) -> None:
    """The wait before was over at one, the order came at ten past, the workers came back at two: no reminder. It goes on
    from the moment of the order."""
    graph = _reminder(entry(), wait(n=1, unit="hours"))
    graph = rewired(
        graph,
        ("n3", "next", "n6"),
        ("n6", "next", "n5"),
        more=({"id": "n6", "kind": "wait", "n": 3, "unit": "hours"},),
    )
    sop = world.publish(graph)
    world.put_in(sop)
    world.tick()
    world.now = START + timedelta(minutes=70)
    world.happens(EventType.ORDER_PAID, world.people[0])
    world.now = START + timedelta(hours=2)
    world.react()
    with in_brand(world.brand):
        row = Enrolment.objects.get(sop=sop, contact=world.people[0])
        assert (row.node, row.next_run_at) == ("n6", START + timedelta(minutes=250))
    assert world.at_node(sop) == {"n3": 3, "n6": 1}
    world.run(START + timedelta(hours=5))
    assert len(world.touches()) == 3 and world.ends(sop) == {"done": 4}
    world.check(sop)


# ---- after the end of a wait


def _late(world: World) -> Sop:
    sop = world.publish(_reminder(entry()))
    world.put_in(sop, world.people[:1])
    return sop


@pytest.mark.parametrize("stood", [True, False])
def test_what_happens_after_the_end_of_a_wait_is_too_late(world: World, stood: bool) -> None:
    """The tick comes by a quarter of an hour after the two hours, or for the first time then; the order came in between."""
    sop = _late(world)
    if stood:
        world.tick()
        assert world.at_node(sop) == {"n2": 1}
    world.now = START + timedelta(minutes=130)
    world.happens(EventType.ORDER_PAID, world.people[0])
    world.now = START + timedelta(minutes=135)
    world.react()
    assert world.ends(sop) == {"done": 1} and len(world.touches()) == 1
    world.check(sop)


def test_what_was_in_time_counts_when_the_tick_comes_before_the_reader(world: World) -> None:
    """After an outage: the wait is over, and the order that came while it ran has not been read yet."""
    sop = _late(world)
    world.tick()
    world.now = START + timedelta(hours=2)  # its last moment
    world.happens(EventType.ORDER_PAID, world.people[0])
    world.now += timedelta(minutes=30)
    world.tick()
    assert world.ends(sop) == {"done": 1} and world.touches() == []
    world.check(sop)
