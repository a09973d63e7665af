"""The demo's SOPs on the canvas have people on their way."""

import pytest

from campaigns.models import Enrolment, SendTask, Sop
from campaigns.services import graphs
from contacts.models import ContactStat
from demo.journeys import journeys
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
