"""On the phone and in the sidebar: one's own task put off and back on top, undone, somebody else's not there, two taps."""

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from campaigns.models import StaffTask, TaskDelay
from campaigns.services.tasks import staff_tasks
from campaigns.services.tasks.staff_tasks import TaskInput
from guides.services.today import today_of
from scrm import clock
from tests.factories import in_brand, make_contact, make_staff, make_user

HOUR = timedelta(hours=1)
NOON = datetime(2031, 3, 5, 4, 0, tzinfo=UTC)  # 12:00 in Shanghai
HTMX = {"HX-Request": "true"}


@pytest.fixture
def guide(brand: Any, corp: Any, staff: Any, sign_in: Any) -> SimpleNamespace:
    """A guide who is signed in, with a customer and a call to make by eight; a colleague with one, too."""
    with clock.at(NOON):
        client = sign_in(brand, user=make_user(brand, "guide", staff=staff))
        with in_brand(brand):
            mine, colleague = make_contact(brand, staff, name="林小满"), make_staff(brand, corp)
            other = make_contact(brand, colleague)
            ids = [
                give(brand, staff, mine, key="mine", title="打给小满"),
                give(brand, colleague, other, key="theirs"),
                give(brand, staff, None, key="nobody", kind="other"),
            ]
    found = SimpleNamespace(client=client, staff=staff, mine=mine, brand=brand, colleague=colleague)
    found.task, found.theirs, found.nobody = ids
    return found


def give(brand: Any, staff: Any, contact: Any, *, key: str, **over: Any) -> int:
    given = {"kind": "call", "title": "打电话", **over}
    row = TaskInput(
        staff_id=staff.pk, contact_id=contact and contact.pk, due_at=NOON + 8 * HOUR, key=key, **given
    )
    [pk] = staff_tasks.add_tasks(brand, [row], source="page")
    return pk


def post(guide: SimpleNamespace, task_id: int, **given: Any) -> Any:
    body = {"why": "unreached", "seen": "0", **given}
    return guide.client.post(f"/g/tasks/{task_id}/later/", body, headers=HTMX)


def parts(guide: SimpleNamespace) -> dict[str, list[int]]:
    with in_brand(guide.brand):
        found = today_of(guide.brand, guide.staff)
        return {name: [t.pk for t in getattr(found, name).page] for name in ("back", "today", "off")}


def test_off_the_list_and_back_on_top(guide: SimpleNamespace) -> None:
    with clock.at(NOON):
        modal = guide.client.get(f"/g/tasks/{guide.task}/later/").content.decode()
        assert '"evening"' in modal and '"tomorrow"' in modal and 'max="2031-03-06T20:00"' in modal
        for _twice in range(2):
            answer = post(guide, guide.task, when="hour", words="响了没人接")
            assert answer.status_code == 204 and "tasksChanged" in answer["HX-Trigger"]
        assert parts(guide) == {"back": [], "today": [guide.nobody], "off": [guide.task]}
        with in_brand(guide.brand):
            assert TaskDelay.objects.get().words == "响了没人接"
        page = guide.client.get("/g/").content.decode()
        assert 'id="off"' in page and "响了没人接" in page and 'id="back"' not in page
        card = guide.client.get(f"/g/customers/{guide.mine.pk}/").content.decode()
        assert "响了没人接" in card
    with clock.at(NOON + HOUR):
        assert parts(guide) == {"back": [guide.task], "today": [guide.nobody], "off": []}
        page = guide.client.get("/g/").content.decode()
        assert page.index("打给小满") < page.index("打电话")
        assert guide.client.get("/g/tasks/?list=back").status_code == 200
        assert post(guide, guide.task, when="own", seen="1", due_at="2031-03-05T15:30").status_code == 204
        assert parts(guide)["off"] == [guide.task]


def test_undo_at_once(guide: SimpleNamespace) -> None:
    with clock.at(NOON):
        told = json.loads(post(guide, guide.task, when="tomorrow")["HX-Trigger"])
        with in_brand(guide.brand):
            assert StaffTask.objects.get(pk=guide.task).due_at == NOON + 22 * HOUR  # 10:00 of tomorrow
        for _twice in range(2):
            assert guide.client.post(told["toast"]["undo"], headers=HTMX).status_code == 204
        assert parts(guide) == {"back": [], "today": [guide.task, guide.nobody], "off": []}
        with in_brand(guide.brand):
            task = StaffTask.objects.get(pk=guide.task)
            assert (task.n_later, task.due_at) == (0, NOON + 8 * HOUR)


def test_somebody_elses_and_what_cannot_wait(guide: SimpleNamespace, other_brand: Any, sign_in: Any) -> None:
    with clock.at(NOON):
        assert guide.client.get(f"/g/tasks/{guide.theirs}/later/").status_code == 404
        assert post(guide, guide.theirs, when="hour").status_code == 404
        assert post(guide, guide.nobody, when="hour").status_code == 409
        assert guide.client.get(f"/g/tasks/{guide.nobody}/later/").status_code == 409
        for given in (
            {"when": "never"}, {"when": "own", "due_at": "x"}, {"when": "own", "due_at": "2031-03-05T11:00"},
            {"when": "own", "due_at": "2031-03-09T11:00"}, {"when": "hour", "why": "other"}, {"when": "hour", "why": ""},
        ):  # fmt: skip
            assert post(guide, guide.task, **given).status_code == 422, given
        undo = json.loads(post(guide, guide.task, when="hour")["HX-Trigger"])["toast"]["undo"]
        user = make_user(guide.brand, "guide", staff=guide.colleague)
        assert sign_in(guide.brand, user=user).post(undo).status_code == 404
        stranger = sign_in(other_brand, "guide")
        assert stranger.get(f"/g/tasks/{guide.task}/later/").status_code == 404
        assert stranger.post(undo).status_code == 404
        with in_brand(guide.brand):
            assert StaffTask.objects.get(pk=guide.task).n_later == 1
    with clock.at(NOON + 40 * HOUR):  # longer overdue than the brand allows
        answer = guide.client.get(f"/g/tasks/{guide.task}/later/")
        assert answer.status_code == 200 and 'name="why"' not in answer.content.decode()


def test_how_it_ended(guide: SimpleNamespace) -> None:
    with clock.at(NOON):
        page = guide.client.get("/g/").content.decode()
        assert page.count('value="agreed"') == 1  # the task about nobody does not ask
        assert (
            guide.client.post(f"/g/tasks/{guide.task}/done/", {"outcome": "x"}, headers=HTMX).status_code
            == 422
        )
        guide.client.post(
            f"/g/tasks/{guide.task}/done/", {"outcome": "agreed", "result": "周六来"}, headers=HTMX
        )
        with in_brand(guide.brand):
            task = StaffTask.objects.get(pk=guide.task)
            assert (task.state, task.outcome, task.result) == ("done", "agreed", "周六来")
        assert "周六来" in guide.client.get("/g/").content.decode()
