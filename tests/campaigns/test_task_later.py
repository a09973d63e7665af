"""Tasks that are put off: the rule of the deadline, once for two taps, undone, told once when they come back; counts, API."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.test import Client

from campaigns.models import StaffTask, TaskDelay, TouchPolicy
from campaigns.services.tasks import staff_task_numbers, staff_tasks, task_later, task_policy
from campaigns.services.tasks.staff_task_notices import escalate, tell_guides
from campaigns.services.tasks.staff_tasks import TaskInput
from contacts import sentences
from contacts.models import Event, EventType
from org.access import SYSTEM, Actor
from org.services import keys
from scrm import clock
from scrm.errors import ConflictError, InvalidError, NotFoundError
from tests.factories import in_brand, make_contact, make_staff
from wecom.models import OutboundCall

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
NOON = datetime(2031, 3, 5, 4, 0, tzinfo=UTC)  # 12:00 in Shanghai


@pytest.fixture(autouse=True)
def no_calls(monkeypatch: Any) -> None:
    """The notices are read where they are written down."""
    monkeypatch.setattr("wecom.services.outbound.start", lambda *_args: None)


@pytest.fixture
def contact(brand: Any, staff: Any) -> Any:
    with in_brand(brand):
        return make_contact(brand, staff, name="林小满")


def give(
    brand: Any, staff: Any, contact: Any, *, key: str = "k", due: timedelta = 8 * HOUR, **over: Any
) -> int:
    row = {"kind": "call", "title": "打电话", **over}
    given = TaskInput(
        staff_id=staff.pk, contact_id=contact and contact.pk, due_at=clock.now() + due, key=key, **row
    )
    [pk] = staff_tasks.add_tasks(brand, [given], source="page")
    return pk


def later(brand: Any, pk: int, until: datetime, **over: Any) -> StaffTask:
    given = {"why": "unreached", "by": SYSTEM, **over}
    return task_later.put_off(brand, task_id=pk, until=until, **given)


def notices() -> list[str]:
    rows = OutboundCall.objects.filter(kind=OutboundCall.Kind.NOTICE).order_by("pk")
    return [f"{row.payload['title']}|{row.payload['text']}" for row in rows]


def test_before_the_deadline_it_stays_and_after_it_moves(brand: Any, staff: Any, contact: Any) -> None:
    with clock.at(NOON), in_brand(brand):
        pk = give(brand, staff, contact)
        due = NOON + 8 * HOUR
        task = later(brand, pk, NOON + HOUR)
        assert (task.due_at, task.first_due_at, task.n_later, task.is_off) == (due, None, 1, True)
        task = later(brand, pk, due + 2 * HOUR, why="asked")
        assert (task.due_at, task.first_due_at, task.n_later) == (due + 3 * HOUR, due, 2)
        with pytest.raises(InvalidError) as refused:  # counted from the first deadline, whatever it is now
            later(brand, pk, due + DAY + MINUTE)
        assert "until" in refused.value.details["fields"]
        assert later(brand, pk, due + DAY).due_at == due + DAY + HOUR
        task_policy.change_policy(brand, by=SYSTEM, later_hours=0)
        assert task_later.choices(brand, staff_tasks.get_task(pk))[-1].key == "evening"
        with pytest.raises(InvalidError):
            later(brand, pk, due + MINUTE)
        assert later(brand, pk, due).n_later == 4
        [line, *_rest] = [task_later.history([staff_tasks.get_task(pk)])[pk]]
        assert [delay.why for delay in line] == ["unreached", "unreached", "asked", "unreached"]


def test_the_end_of_a_task_bounds_it(brand: Any, staff: Any, contact: Any) -> None:
    with clock.at(NOON), in_brand(brand):
        end = NOON + 3 * HOUR
        pk = give(brand, staff, contact, due=HOUR, expires_at=end)
        with pytest.raises(InvalidError):
            later(brand, pk, end)
        task = later(brand, pk, end - 5 * MINUTE)
        assert task.due_at == end and task.later_at < task.due_at
    with clock.at(end), in_brand(brand):
        assert staff_tasks.expire(brand) == 1


def test_moments_by_name(brand: Any, staff: Any, contact: Any) -> None:
    zone = ZoneInfo(brand.timezone)
    with clock.at(NOON), in_brand(brand):
        pk = give(brand, staff, contact)
        found = {c.key: c.at.astimezone(zone) for c in task_later.choices(brand, staff_tasks.get_task(pk))}
        assert {key: f"{at:%d %H:%M}" for key, at in found.items()} == {
            "hour": "05 13:00", "evening": "05 18:00", "tomorrow": "06 09:00",
        }  # fmt: skip
    with clock.at(NOON + 6 * HOUR), in_brand(brand):  # 18:00: this evening is now
        keys_now = [c.key for c in task_later.choices(brand, staff_tasks.get_task(pk))]
        assert keys_now == ["hour", "tomorrow"]
    with clock.at(NOON + 2 * DAY), in_brand(brand):  # overdue for longer than the brand allows
        assert task_later.choices(brand, staff_tasks.get_task(pk)) == []
        with pytest.raises(InvalidError):
            later(brand, pk, clock.now() + HOUR)


@pytest.mark.parametrize(
    "over",
    [{"why": "tired"}, {"why": "other"}, {"why": "other", "words": " \x00 "}, {"until": NOON}],
)
def test_what_cannot_be_taken(brand: Any, staff: Any, contact: Any, over: dict[str, Any]) -> None:
    with clock.at(NOON), in_brand(brand):
        pk = give(brand, staff, contact)
        given = {"until": NOON + HOUR, **over}
        with pytest.raises(InvalidError):
            later(brand, pk, **given)
        assert not TaskDelay.objects.exists() and staff_tasks.get_task(pk).n_later == 0


def test_only_open_tasks_about_a_customer_and_not_for_ever(brand: Any, staff: Any, contact: Any) -> None:
    with clock.at(NOON), in_brand(brand):
        for key, over in {"nobody": {}, "numbers": {"kind": "add"}}.items():
            pk = give(brand, staff, contact if over else None, key=key, **over)
            with pytest.raises(ConflictError):
                later(brand, pk, NOON + HOUR)
        pk = give(brand, staff, contact)
        for n in range(task_later.MOST):
            later(brand, pk, NOON + HOUR + n * MINUTE)
        with pytest.raises(ConflictError):
            later(brand, pk, NOON + 2 * HOUR)
        staff_tasks.complete(brand, task_id=pk, by=SYSTEM, outcome="unreached")
        with pytest.raises(ConflictError):
            later(brand, pk, NOON + HOUR, seen=0)


def test_two_taps_and_undo(brand: Any, staff: Any, contact: Any) -> None:
    with clock.at(NOON), in_brand(brand):
        pk = give(brand, staff, contact, due=2 * HOUR)
        for _twice in range(2):
            task = later(brand, pk, NOON + 5 * HOUR, seen=0)
        assert task.n_later == 1 and TaskDelay.objects.count() == 1
        first = TaskDelay.objects.get()
        later(brand, pk, NOON + 6 * HOUR, seen=1, why="busy")
        second = TaskDelay.objects.latest("pk")
        with pytest.raises(ConflictError):
            task_later.take_back(brand, task_id=pk, delay_id=first.pk, by=SYSTEM)
        for _twice in range(2):
            task = task_later.take_back(brand, task_id=pk, delay_id=second.pk, by=SYSTEM)
            assert (task.n_later, task.later_at, task.due_at) == (1, NOON + 5 * HOUR, NOON + 6 * HOUR)
        task = task_later.take_back(brand, task_id=pk, delay_id=first.pk, by=SYSTEM)
        assert (task.n_later, task.later_at, task.due_at, task.first_due_at) == (
            0,
            None,
            NOON + 2 * HOUR,
            None,
        )
        assert task_later.history([task]) == {}
        later(brand, pk, NOON + HOUR)
        last = TaskDelay.objects.latest("pk")
    with clock.at(NOON + HOUR), in_brand(brand):
        with pytest.raises(ConflictError):  # it is back
            task_later.take_back(brand, task_id=pk, delay_id=last.pk, by=SYSTEM)
        with pytest.raises(NotFoundError):
            task_later.take_back(brand, task_id=pk, delay_id=last.pk + 9, by=SYSTEM)


def test_the_timeline_tells_why_and_that_it_was_undone(brand: Any, staff: Any, contact: Any) -> None:
    with clock.at(NOON), in_brand(brand):
        pk = give(brand, staff, contact)
        later(brand, pk, NOON + HOUR, why="asked", words="下午开会")
        task_later.take_back(brand, task_id=pk, delay_id=TaskDelay.objects.get().pk, by=SYSTEM)
        staff_tasks.complete(brand, task_id=pk, by=SYSTEM, outcome="agreed", result="周六来")
        events = Event.objects.filter(contact_id=contact.pk, object_id=pk).order_by("pk")
        assert [e.type for e in events] == [
            EventType.TASK_GIVEN, EventType.TASK_LATER, EventType.TASK_LATER, EventType.TASK_DONE,
        ]  # fmt: skip
        _given, off, undone, done = sentences.lines(events)
        assert "打电话" in off.text and "下午开会" in off.detail and "2031-03-05 13:00" in off.detail
        assert off.text != undone.text and undone.detail == ""
        assert "周六来" in done.detail and str(StaffTask.Outcome.AGREED.label) in done.detail


def test_the_guide_is_told_once_when_it_comes_back(brand: Any, staff: Any, contact: Any) -> None:
    with clock.at(NOON), in_brand(brand):
        pk = give(brand, staff, contact, due=2 * HOUR, title="先打这个")
        later(brand, pk, NOON + 5 * HOUR)
    with clock.at(NOON + 2 * HOUR + MINUTE), in_brand(brand):  # the old deadline is over: nobody hears of it
        assert tell_guides(brand) == 0
    with clock.at(NOON + 4 * HOUR), in_brand(brand):
        assert tell_guides(brand) == escalate(brand) == 0
        give(brand, staff, contact, key="other", due=5 * HOUR, title="另一个")
    with clock.at(NOON + 5 * HOUR + MINUTE), in_brand(brand):
        assert tell_guides(brand) == 1
        assert tell_guides(brand) == 0
        [words] = notices()
        assert words.index("先打这个") < words.index("另一个")
    with clock.at(NOON + 5 * HOUR + 45 * MINUTE), in_brand(brand):
        assert (
            tell_guides(brand) == 0
        )  # neither of the moment nor of the deadline, which were in the same message
        later(brand, pk, NOON + 7 * HOUR)
    with clock.at(NOON + 7 * HOUR), in_brand(brand):
        assert tell_guides(brand) == 1 and len(notices()) == 2


def test_quiet_hours_hold_the_notice_but_not_the_task(brand: Any, staff: Any, contact: Any) -> None:
    zone = ZoneInfo(brand.timezone)
    with clock.at(NOON), in_brand(brand):
        until = NOON + 3 * HOUR
        local = until.astimezone(zone)
        TouchPolicy.objects.create(quiet_start=(local - HOUR).time(), quiet_end=(local + HOUR).time())
        later(brand, give(brand, staff, contact), until)
    with clock.at(until + MINUTE), in_brand(brand):
        assert tell_guides(brand) == 0 and not StaffTask.objects.get().is_off
    with clock.at(until + HOUR), in_brand(brand):
        assert tell_guides(brand) == 1
        assert tell_guides(brand) == 0


def test_whoever_gets_the_task_sees_it_at_once(brand: Any, corp: Any, staff: Any, contact: Any) -> None:
    with clock.at(NOON), in_brand(brand):
        heir = make_staff(brand, corp)
        pk = give(brand, staff, contact)
        later(brand, pk, NOON + 5 * HOUR)
        staff_tasks.move(brand, task_ids=[pk], to_staff_id=heir.pk, by=SYSTEM)
        task = staff_tasks.get_task(pk)
        assert not task.is_off and task.n_later == 1
    with clock.at(NOON + 2 * MINUTE), in_brand(brand):
        assert tell_guides(brand) == 1
    with clock.at(NOON + 5 * HOUR), in_brand(brand):
        assert tell_guides(brand) == 0


def test_done_while_it_waits_is_told_of_no_more(brand: Any, staff: Any, contact: Any) -> None:
    with clock.at(NOON), in_brand(brand):
        pk = give(brand, staff, contact)
        later(brand, pk, NOON + HOUR)
        staff_tasks.complete(brand, task_id=pk, by=SYSTEM, outcome="reached")
        assert staff_tasks.reopen(brand, task_id=pk, by=SYSTEM).outcome == ""
        assert staff_tasks.get_task(pk).is_off  # as before
        staff_tasks.complete(brand, task_id=pk, by=SYSTEM, outcome="reached")
    with clock.at(NOON + 2 * HOUR), in_brand(brand):
        assert tell_guides(brand) == 0


def test_counts_and_the_deadline_as_it_was_given(brand: Any, staff: Any, contact: Any) -> None:
    with clock.at(NOON), in_brand(brand):
        for n, outcome in enumerate(["reached", "agreed", "agreed", "declined", "unreached", ""]):
            pk = give(brand, staff, contact, key=f"k{n}", due=2 * HOUR)
            if n == 0:
                later(brand, pk, NOON + 3 * HOUR)
            with clock.at(NOON + (3 * HOUR if n == 0 else HOUR)):
                staff_tasks.complete(brand, task_id=pk, by=SYSTEM, outcome=outcome)
        for over in ({"outcome": "married"},):
            pk = give(brand, staff, contact, key="x")
            with pytest.raises(InvalidError):
                staff_tasks.complete(brand, task_id=pk, by=SYSTEM, **over)
        with pytest.raises(InvalidError):
            pk = give(brand, staff, None, key="nobody")
            staff_tasks.complete(brand, task_id=pk, by=SYSTEM, outcome="reached")
        later(brand, StaffTask.objects.get(key="x").pk, NOON + 4 * HOUR)
    with clock.at(NOON + 3 * HOUR), in_brand(brand):
        n = staff_task_numbers.of_guides(brand)[staff.pk]
        assert (n.n_reached, n.n_agreed, n.n_declined, n.n_unreached, n.n_done) == (1, 2, 1, 1, 6)
        assert (n.n_later, n.n_off, n.n_in_time) == (2, 1, 5)


def test_managers_see_how_often_and_why(
    brand: Any, other_brand: Any, staff: Any, contact: Any, sign_in: Any
) -> None:
    with in_brand(brand):
        pk = give(brand, staff, contact)
        later(brand, pk, clock.now() + HOUR, why="other", words="在开会，晚点说")
        other = give(brand, staff, contact, key="done")
    client = sign_in(brand, "operator")
    page = client.get("/tasks/").content.decode()
    assert "在开会，晚点说" in page and f"/tasks/{pk}/put-off/" in page
    assert "在开会，晚点说" in client.get(f"/tasks/{pk}/put-off/").content.decode()
    assert "在开会，晚点说" in client.get(f"/contacts/{contact.pk}/").content.decode()
    assert f"/tasks/{other}/done/" not in client.get("/tasks/?show=off").content.decode()
    assert (
        client.post(
            f"/tasks/{other}/done/", {"outcome": "agreed"}, headers={"HX-Request": "true"}
        ).status_code
        == 204
    )
    assert f"/tasks/{other}/reopen/" in client.get("/tasks/?show=done&outcome=agreed").content.decode()
    assert f"/tasks/{other}/reopen/" not in client.get("/tasks/?show=done&outcome=declined").content.decode()
    figures = client.get("/tasks/guides/")
    assert 'id="outcomes"' in figures.content.decode() and figures.context["all"].n_agreed == 1
    assert sign_in(other_brand, "operator").get(f"/tasks/{pk}/put-off/").status_code == 404


@pytest.fixture
def api(brand: Any) -> Client:
    rights = ["tasks.view", "tasks.edit"]
    with in_brand(brand):
        whole = keys.create_key(brand, by=Actor("t", rights=frozenset(rights)), name="k", rights=rights)[1]
    return Client(headers={"Authorization": f"Bearer {whole}"})


def test_api(brand: Any, other_brand: Any, staff: Any, contact: Any, api: Client) -> None:
    with in_brand(brand):
        pk = give(brand, staff, contact)
    with in_brand(other_brand):
        theirs = give(other_brand, make_staff(other_brand), None)

    def post(path: str, body: dict[str, Any]) -> Any:
        return api.post(f"/api/v1/tasks/{path}/", body, content_type="application/json")

    until = (clock.now() + 2 * HOUR).isoformat()
    body = {"until": until, "why": "busy", "words": "明天再说", "n_later": 0}
    for _twice in range(2):
        found = post(f"{pk}/later", body).json()
        assert found["n_later"] == 1 and [d["words"] for d in found["delays"]] == ["明天再说"]
    assert api.get(f"/api/v1/tasks/{pk}/").json() == found
    now = clock.now().isoformat().replace("+00:00", "Z")
    assert [t["id"] for t in api.get(f"/api/v1/tasks/?later_after={now}").json()["results"]] == [pk]
    assert post(f"{pk}/later", {**body, "why": "tired"}).status_code == 400
    assert post(f"{pk}/later", {**body, "n_later": None, "until": "2099-01-01T00:00:00Z"}).status_code == 422
    assert post(f"{theirs}/later", body).status_code == 404
    undo = {"delay_id": found["delays"][0]["id"]}
    assert post(f"{theirs}/later/undo", undo).status_code == 404
    for _twice in range(2):
        undone = post(f"{pk}/later/undo", undo).json()
        assert (undone["n_later"], undone["later_at"], undone["delays"]) == (0, None, [])
    assert post(f"{pk}/done", {"outcome": "married"}).status_code == 400
    assert post(f"{pk}/done", {"outcome": "declined", "result": "不要"}).json()["outcome"] == "declined"
    assert [t["id"] for t in api.get("/api/v1/tasks/?outcome=declined").json()["results"]] == [pk]
    assert post(f"{pk}/later", body).status_code == 409
