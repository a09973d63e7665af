"""The demo's SOPs on the canvas have people on their way."""

from datetime import timedelta

import pytest

from campaigns.models import Enrolment, SendTask, Sop, StaffTask, Touch
from campaigns.services.graphs import graphs
from contacts.models import ContactStat
from demo.journeys import MINUTES, in_minutes, journeys
from scrm import clock
from tenants.scoping import tenant_scope
from tests.campaigns.test_journeys import World
from tests.factories import in_brand

pytestmark = pytest.mark.django_db(transaction=True)


def test_people_are_on_their_way() -> None:
    world = World(n=30)
    with in_brand(world.brand):
        ContactStat.objects.update(n_orders=1, last_order_at=clock.now())
    with tenant_scope(world.brand):
        for _ in range(2):
            journeys(world.brand)
    with in_brand(world.brand):
        assert Sop.objects.filter(form="graph", state="on").count() == 2
        assert len(set(Enrolment.objects.filter(ended_at=None).values_list("node", flat=True))) >= 2
        assert SendTask.objects.exists()
        for sop in Sop.objects.all():
            assert graphs.has_changes(sop) and not graphs.validate(world.brand, sop.draft)


def test_one_ends_while_somebody_looks_on() -> None:
    world = World(n=430)
    with in_brand(world.brand):
        buyers = list(ContactStat.objects.values_list("contact_id", flat=True)[::2])
        ContactStat.objects.filter(contact_id__in=buyers).update(n_orders=1, last_order_at=world.now)
    with clock.at(world.now), tenant_scope(world.brand):
        for _ in range(2):
            in_minutes(world.brand)
    world.run(world.now + timedelta(minutes=3), timedelta(seconds=30))
    with in_brand(world.brand):
        people = Enrolment.objects.filter(sop__name=MINUTES)
        assert set(people.values_list("end_kind", flat=True)) == {Enrolment.End.DONE} and people.count() == 30
        n_buyers = people.filter(contact__in=buyers).count()
        assert 0 < n_buyers < 30 and StaffTask.objects.count() == 30 - n_buyers
        assert Touch.objects.filter(reason=0).count() == 2 * 30 + n_buyers
