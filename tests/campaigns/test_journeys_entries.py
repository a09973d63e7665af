"""How people come into a drawn SOP: events, segments, dates, channel codes, and again."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from campaigns.models import Enrolment, NodeFlow
from campaigns.services.journeys import arrivals, flows, trouble
from campaigns.tasks import rebuild_brand_planes
from contacts.models import CustomField, CustomValue, EventType
from livecodes.models import ChannelCode
from org.access import SYSTEM
from scrm import clock
from scrm.errors import InvalidError
from tagging.services.segments import segments, snapshots
from tagging.services.tags.changes import each, put_on
from tests.campaigns.conftest import at
from tests.campaigns.graphs import entry, line, touch, wait
from tests.campaigns.test_journeys import START, World, world
from tests.factories import in_brand, make_tag

__all__ = ["world"]
pytestmark = pytest.mark.django_db(transaction=True)


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
