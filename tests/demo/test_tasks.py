"""The demo's tasks: there once, whatever an SOP has given before, one of each guide put off."""

from datetime import timedelta
from typing import Any

import pytest

from campaigns.models import StaffTask
from campaigns.services.tasks import staff_tasks
from campaigns.services.tasks.staff_tasks import TaskInput
from demo import tasks
from scrm import clock
from tests.factories import in_brand, make_contact

TOLD = (("call", "回访", "问问用得怎么样"), ("thank", "感谢", ""))


@pytest.mark.django_db(transaction=True)
def test_given_once(brand: Any, staff: Any) -> None:
    with in_brand(brand):
        people = [make_contact(brand, staff) for _n in range(8)]
        due = clock.now() + timedelta(days=9)
        of_sop = TaskInput(
            staff_id=staff.pk, contact_id=people[0].pk, kind="call", title="x", due_at=due, key="sop:1"
        )
        staff_tasks.add_tasks(brand, [of_sop], source="sop")
    for _start in range(2):
        with in_brand(brand):
            tasks.give(brand, TOLD)
    with in_brand(brand):
        given = StaffTask.objects.exclude(key="sop:1")
        assert given.count() == 5 and given.filter(due_at__lt=clock.now()).count() == 1
        assert given.get(n_later=1).is_off and StaffTask.objects.get(key="sop:1").n_later == 0
