"""Tasks for guides: given once, done, undone, expired, moved."""

from datetime import timedelta
from typing import Any

import pytest

from campaigns.models import StaffTask
from campaigns.services.tasks import staff_tasks
from campaigns.services.tasks.staff_tasks import TaskInput
from contacts.models import Event, EventType
from org.access import SYSTEM
from scrm import clock
from scrm.errors import ConflictError, InvalidError, NotFoundError
from tests.factories import in_brand, make_contact, make_staff

HOUR = timedelta(hours=1)


@pytest.fixture
def contact(brand: Any, staff: Any) -> Any:
    with in_brand(brand):
        return make_contact(brand, staff)


def _row(staff: Any, contact: Any = None, key: str = "k1", **over: Any) -> TaskInput:
    given = {"kind": "call", "title": "打个电话", "due_at": clock.now() + HOUR, **over}
    return TaskInput(staff_id=staff.pk, contact_id=contact.pk if contact else None, key=key, **given)


def _types(contact: Any) -> list[int]:
    return list(Event.objects.filter(contact_id=contact.pk).order_by("pk").values_list("type", flat=True))


def test_given_once_however_often_ordered(brand: Any, staff: Any, contact: Any) -> None:
    with in_brand(brand):
        rows = [_row(staff, contact, f"k{n}") for n in range(3)]
        assert len(staff_tasks.add_tasks(brand, rows, source="page")) == 3
        assert staff_tasks.add_tasks(brand, rows, source="page") == []
        assert StaffTask.objects.count() == 3
        assert _types(contact) == [EventType.TASK_GIVEN] * 3


@pytest.mark.parametrize(
    "over", [{"kind": "dance"}, {"title": " "}, {"title": "长" * 81}, {"due_at": clock.now() - HOUR}]
)
def test_what_cannot_be_a_task_is_refused(brand: Any, staff: Any, over: dict[str, Any]) -> None:
    with in_brand(brand), pytest.raises(InvalidError):
        staff_tasks.add_tasks(brand, [_row(staff, **over)], source="page")


def test_done_undone_done(brand: Any, staff: Any, contact: Any) -> None:
    with in_brand(brand):
        [task_id] = staff_tasks.add_tasks(brand, [_row(staff, contact)], source="page")
        staff_tasks.complete(brand, task_id=task_id, by=SYSTEM, result="接通了")
        staff_tasks.complete(brand, task_id=task_id, by=SYSTEM, result="again")
        task = staff_tasks.get_task(task_id)
        assert (task.state, task.result) == (StaffTask.State.DONE, "接通了")
        assert staff_tasks.reopen(brand, task_id=task_id, by=SYSTEM).state == StaffTask.State.OPEN
        with pytest.raises(ConflictError):
            staff_tasks.reopen(brand, task_id=task_id, by=SYSTEM)
        assert _types(contact) == [EventType.TASK_GIVEN, EventType.TASK_DONE]


def test_an_old_completion_stays(brand: Any, staff: Any) -> None:
    with in_brand(brand):
        [task_id] = staff_tasks.add_tasks(brand, [_row(staff)], source="page")
        staff_tasks.complete(brand, task_id=task_id, by=SYSTEM)
        with clock.at(clock.now() + 25 * HOUR), pytest.raises(ConflictError):
            staff_tasks.reopen(brand, task_id=task_id, by=SYSTEM)


def test_expired_only_when_both_times_are_over(brand: Any, staff: Any, contact: Any) -> None:
    now = clock.now()
    with in_brand(brand):
        rows = [
            _row(staff, contact, "gone", expires_at=now + 2 * HOUR),
            _row(staff, contact, "stays"),
            _row(staff, contact, "later", due_at=now + 9 * HOUR, expires_at=now + 10 * HOUR),
        ]
        staff_tasks.add_tasks(brand, rows, source="page")
        assert staff_tasks.expire(brand) == 0
        with clock.at(now + 3 * HOUR):
            assert staff_tasks.expire(brand) == 1
            assert staff_tasks.expire(brand) == 0
        assert StaffTask.objects.get(state="expired").key == "gone"
        assert _types(contact)[-1] == EventType.TASK_MISSED


def test_cancel_by_source_and_reassign(brand: Any, corp: Any, staff: Any) -> None:
    with in_brand(brand):
        other = make_staff(brand, corp)
        staff_tasks.add_tasks(brand, [_row(staff, key="a"), _row(staff, key="b")], source="sop", source_id=1)
        staff_tasks.add_tasks(brand, [_row(staff, key="c")], source="sop", source_id=2)
        assert staff_tasks.cancel(brand, by=SYSTEM, source="sop", source_id=1) == 2
        assert staff_tasks.reassign(brand, from_staff_id=staff.pk, to_staff_id=other.pk, by=SYSTEM) == 1
        assert StaffTask.objects.get(state="open").staff_id == other.pk
        with pytest.raises(InvalidError):
            staff_tasks.cancel(brand, by=SYSTEM)


def test_numbers_to_add_are_not_moved_without_their_numbers(brand: Any, corp: Any, staff: Any) -> None:
    with in_brand(brand):
        other = make_staff(brand, corp)
        staff_tasks.add_tasks(brand, [_row(staff, key="a", kind="add"), _row(staff, key="b")], source="leads")
        ids = list(StaffTask.objects.values_list("pk", flat=True))
        assert staff_tasks.move(brand, task_ids=ids, to_staff_id=other.pk, by=SYSTEM) == 1
        staff_tasks.add_tasks(brand, [_row(staff, key="c")], source="page")
        assert staff_tasks.reassign(brand, from_staff_id=staff.pk, to_staff_id=other.pk, by=SYSTEM) == 1
        assert StaffTask.objects.get(kind="add").staff_id == staff.pk


def test_a_result_with_nul_is_kept(brand: Any, staff: Any) -> None:
    with in_brand(brand):
        [pk] = staff_tasks.add_tasks(brand, [_row(staff)], source="page")
        assert staff_tasks.complete(brand, task_id=pk, by=SYSTEM, result="好\x00的").result == "好的"


def test_another_brands_task_is_not_there(brand: Any, other_brand: Any, staff: Any) -> None:
    with in_brand(brand):
        [task_id] = staff_tasks.add_tasks(brand, [_row(staff)], source="page")
    with in_brand(other_brand):
        with pytest.raises(NotFoundError):
            staff_tasks.complete(other_brand, task_id=task_id, by=SYSTEM)
        assert staff_tasks.cancel(other_brand, by=SYSTEM, task_ids=[task_id]) == 0
