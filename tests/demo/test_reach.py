"""The demo's broadcasts: one over, with results, one running; a second start adds nothing."""

from datetime import timedelta
from typing import Any

import pytest

from campaigns.models import Broadcast, SendTask, Touch
from campaigns.services.broadcasts import broadcast_numbers
from contacts.models import EventType
from contacts.services.timeline import record_events
from demo import reach
from scrm import clock
from tenants.scoping import tenant_scope
from tests.factories import in_brand, make_contact, make_staff

pytestmark = pytest.mark.django_db(transaction=True)


def test_one_over_and_one_running(brand: Any, corp: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(reach, "N_OVER", 80)
    monkeypatch.setattr(reach, "N_RUNNING", 20)
    with in_brand(brand):
        guides = [make_staff(brand, corp) for _ in range(4)]
        people = [make_contact(brand, guides[n % 4]) for n in range(100)]
        record_events(
            brand,
            [
                {"contact_id": p.pk, "type": EventType.ORDER_PAID, "at": clock.now() - timedelta(days=7), "source": "test",
                 "data": {"amount_fen": 100}}
                for p in people
            ],
        )  # fmt: skip
    with tenant_scope(brand):
        for _twice in range(2):
            reach.send(brand)
    with in_brand(brand):
        over, running = Broadcast.objects.order_by("pk")
        assert (over.state, running.state) == ("done", "on")
        total = broadcast_numbers.report(over).total
        assert total.n_sent > 40 and total.n_opened > 3 and total.n_converted == total.n_sent
        assert total.n_sent + total.n_cancelled == total.n
        assert Touch.objects.filter(broadcast_id=over.pk).count() == 80
        assert set(SendTask.objects.filter(broadcast=over).values_list("state", flat=True)) == {
            "final",
            "cancelled",
        }
