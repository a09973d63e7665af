"""Tasks by hand and the brand's limit of a guide's day: given, later, left out or warned of; page, API, SOPs."""

from collections import Counter
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from campaigns.models import Moment, NodeFlow, StaffTask, TouchPolicy
from campaigns.services.calendar import calendar
from campaigns.services.governance import policy, workload, workload_tasks
from campaigns.services.journeys import figures, flows
from campaigns.services.tasks import staff_task_batches
from campaigns.services.tasks.staff_tasks import TaskInput
from org.access import SYSTEM
from org.models import Job
from scrm import clock
from tests.campaigns.conftest import at
from tests.campaigns.graphs import entry, line, wait
from tests.campaigns.test_api import client_of
from tests.campaigns.test_calendar import chunk
from tests.campaigns.test_journeys import World, world
from tests.factories import in_brand, make_contact, make_staff

__all__ = ["world"]
pytestmark = pytest.mark.django_db(transaction=True)
NOW = at("2026-03-10 10:00")
DUE = at("2026-03-11 18:00")
DAY = timedelta(days=1)
Busy = TouchPolicy.Busy


def rows_of(guide: Any, n: int, prefix: str = "k", **over: Any) -> list[TaskInput]:
    values = {"kind": "call", "title": "打电话", "due_at": DUE, **over}
    return [TaskInput(guide.pk, key=f"{prefix}{k}", **values) for k in range(n)]


def limit(brand: Any, busy: str, n: int | None = 2, **over: Any) -> None:
    policy.change_policy(brand, guide_busy=busy, guide_tasks_a_day=n, by=SYSTEM, **over)


def by_day() -> dict[str, int]:
    return dict(
        sorted(
            Counter(f"{task.due_at + timedelta(hours=8):%m-%d}" for task in StaffTask.objects.all()).items()
        )
    )


@pytest.mark.parametrize(
    "busy, days, n_left",
    [
        (Busy.WARN, {"03-11": 20}, 0),
        (Busy.LEAVE_OUT, {"03-11": 1}, 19),
        # one beside the send task, none beside two moments of the twelfth, two of each day until a week has gone
        (
            Busy.NEXT_DAY,
            {"03-11": 1, "03-13": 2, "03-14": 2, "03-15": 2, "03-16": 2, "03-17": 2, "03-18": 2},
            7,
        ),
    ],
)
def test_the_day_of_the_deadline(
    brand: Any, staff: Any, busy: str, days: dict[str, int], n_left: int
) -> None:
    with in_brand(brand), clock.at(NOW):
        limit(brand, busy)
        other = make_staff(brand, staff.corp)
        chunk(staff, "2026-03-11 09:00"), chunk(other, "2026-03-11 09:00")
        for n in range(2):
            Moment.objects.create(
                name="朋友圈", corp=staff.corp, staff_ids=[staff.pk], at=DUE + DAY, key=f"{n}", content_digest="x",
                state="planned",
            )  # fmt: skip
        rows = rows_of(staff, 20, expires_at=DUE + 2 * DAY)
        found = workload_tasks.give(brand, rows, source="page")
        assert by_day() == days and len(found.left_out) == n_left
        assert len(found.moved) == sum(n for day, n in days.items() if day != "03-11")
        assert {task.expires_at - task.due_at for task in StaffTask.objects.all() if task.expires_at} == {
            2 * DAY
        }
        again = workload_tasks.give(
            brand, rows, source="page"
        )  # a repeat asks for no room and gives none twice
        assert not again.ids and again.left_out == found.left_out and not again.moved
        assert workload_tasks.n_over(brand, [(staff.pk, DUE)]) == (busy == Busy.WARN)
        workload_tasks.give(brand, rows_of(other, 1, "other"), source="page")
        assert StaffTask.objects.filter(staff=other, due_at=DUE).exists()


@pytest.mark.parametrize("busy", [Busy.LEAVE_OUT, Busy.NEXT_DAY])
def test_without_a_number_of_things_nobody_waits(brand: Any, staff: Any, busy: str) -> None:
    """A limit of customers alone is one of messages."""
    with in_brand(brand), clock.at(NOW):
        limit(brand, busy, None, guide_people_a_day=1)
        assert len(workload_tasks.give(brand, rows_of(staff, 5), source="page").ids) == 5
        assert by_day() == {"03-11": 5}


def test_in_words(brand: Any, staff: Any, sign_in: Any) -> None:
    """The page says what was left out, what got a later deadline, and who has too much now."""
    client = sign_in(brand, "operator")
    form = {
        "kind": "call",
        "title": "盘点",
        "due_at": "2026-03-11T18:00",
        "who": "guides",
        "guides": [staff.pk],
    }
    with clock.at(NOW):
        for n, (busy, words) in enumerate(
            [
                (Busy.WARN, ""),
                (Busy.WARN, "1 位导购"),
                (Busy.LEAVE_OUT, "1 个未布置"),
                (Busy.NEXT_DAY, "1 个顺延"),
            ]
        ):
            with in_brand(brand):
                limit(brand, busy, 1)
            page = client.post("/tasks/new/", {**form, "nonce": f"n{n}"}, follow=True).content.decode()
            assert words in page and ("导购当天的待办已满" in page) == (n > 1), (busy, words)
    with in_brand(brand):
        assert by_day() == {"03-11": 2, "03-12": 1}


@pytest.mark.parametrize("busy, size", [*((busy, 3) for busy in Busy), (Busy.WARN, 5)])
def test_a_batch(brand: Any, staff: Any, sign_in: Any, busy: str, size: int, monkeypatch: Any) -> None:
    # those of earlier slices count, and the last one may be empty
    monkeypatch.setattr(staff_task_batches, "SLICE", size)
    client = sign_in(brand, "operator")
    with clock.at(NOW):
        with in_brand(brand):
            limit(brand, busy)
            people = [make_contact(brand, staff) for _ in range(5)]
            wanted = "\n".join(person.follows.get().external_userid for person in people)
        form = {
            "kind": "call",
            "title": "回访",
            "due_at": "2026-03-11T18:00",
            "who": "list",
            "values": wanted,
        }
        assert client.post("/tasks/new/", form).status_code == 302
        page = client.get("/tasks/batches/").content.decode()
    with in_brand(brand):
        job = Job.objects.get(kind="staff_tasks")
    found = {name: job.result[name] for name in ("given", "busy", "moved", "over")} | {"bad": job.n_bad}
    assert (
        found
        == {
            Busy.WARN: {"given": 5, "busy": 0, "moved": 0, "over": 1, "bad": 0},
            Busy.LEAVE_OUT: {"given": 2, "busy": 3, "moved": 0, "over": 0, "bad": 3},
            Busy.NEXT_DAY: {"given": 5, "busy": 0, "moved": 3, "over": 0, "bad": 0},
        }[busy]
    )
    assert {Busy.WARN: "超过设置的提醒值", Busy.LEAVE_OUT: "3 个未布置", Busy.NEXT_DAY: "3 个顺延"}[
        busy
    ] in page


def test_by_api(brand: Any, staff: Any) -> None:
    api = client_of(brand, "tasks.view", "tasks.edit")
    row = {"kind": "call", "title": "t", "due_at": "2026-03-11T10:00:00Z", "guide": staff.userid}
    rows = [{**row, "key": key} for key in ("a", "b", "b", "c")]

    def give() -> list[tuple[str, str]]:
        found = api.post("/api/v1/tasks/", {"rows": rows}, content_type="application/json").json()
        return [(one["result"], one["reason"]) for one in found["results"]]

    busy = ("refused", "guide_busy")
    with clock.at(NOW):
        with in_brand(brand):
            limit(brand, Busy.LEAVE_OUT, 1)
        assert give() == [("accepted", ""), busy, busy, busy]
        with in_brand(brand):
            limit(brand, Busy.NEXT_DAY, 1)
        assert give() == [("repeated", ""), ("accepted", ""), ("repeated", ""), ("accepted", "")]
    with in_brand(brand):
        assert by_day() == {"03-11": 1, "03-12": 1, "03-13": 1}


@pytest.mark.parametrize("busy, n_left", [("leave_out", 4), ("next_day", 0)])
def test_tasks_of_an_sop(busy: str, n_left: int) -> None:
    """Three customers of each guide, one task a day: people go on, the node says how many got none and why, and nobody is
    taken for standing there."""
    world = World(n=6)
    task = {"kind": "task", "subject": "打电话", "task_kind": "call", "due_hours": 5}
    sop = world.publish(line(entry(), task, wait(n=9)))
    with in_brand(world.brand), clock.at(world.now):
        limit(world.brand, busy, 1)
    world.put_in(sop)
    world.tick()
    with in_brand(world.brand):
        assert StaffTask.objects.count() == 6 - n_left
        assert len(by_day()) == (1 if n_left else 3)
        found = figures.of_nodes(sop)["n2"]
        assert (found.n_in, found.n_waiting, found.outs) == (6, 0, {"next": 6})
        assert found.blocked == ({20: n_left} if n_left else {})
        assert flows.mend(world.brand, sop.pk, world.now) == 0
        assert flows.peopled_versions(world.brand, [sop.pk]) == {sop.version_id}
        assert NodeFlow.objects.filter(way=flows.BUSY).exists() == bool(n_left)
    world.check(sop)


def test_the_node_says_it(world: World, sign_in: Any) -> None:
    sop = world.publish(
        line(entry(), {"kind": "task", "subject": "打电话", "task_kind": "call", "due_hours": 5})
    )
    with in_brand(world.brand), clock.at(world.now):
        limit(world.brand, Busy.LEAVE_OUT, 1)
    world.put_in(sop)
    world.tick()
    client = sign_in(world.brand, "operator")
    assert "导购当天的待办已满" in client.get(f"/sops/{sop.pk}/nodes/n2/").content.decode()


def test_one_question_however_many(brand: Any, staff: Any) -> None:
    counts = []
    with in_brand(brand), clock.at(NOW):
        limit(brand, Busy.NEXT_DAY, 50)
        for n in (2, 40):
            with CaptureQueriesContext(connection) as asked:
                workload_tasks.give(brand, rows_of(staff, n, f"{n}:"), source="page")
            counts.append(len(asked))
    assert counts[0] == counts[1]


@settings(deadline=None, max_examples=25, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_guide_gets_too_many(brand: Any, staff: Any, data: st.DataObject) -> None:
    """Whatever is asked for, in whatever order: nobody gets more than the brand wants, each task is given once, moved by at
    most a week, or left out while the guide's days were full; the calendar counts the same."""
    zone = ZoneInfo(brand.timezone)
    with in_brand(brand), clock.at(NOW):
        StaffTask.objects.all().delete()
        most, busy = data.draw(st.integers(1, 3)), data.draw(st.sampled_from([Busy.LEAVE_OUT, Busy.NEXT_DAY]))
        limit(brand, busy, most)
        wanted: dict[str, Any] = {}
        for n in range(data.draw(st.integers(1, 4))):
            moments = data.draw(st.lists(st.integers(1, 90), max_size=8))
            some = {f"{n}:{k}": NOW + timedelta(hours=hours) for k, hours in enumerate(moments)}
            rows = [TaskInput(staff.pk, "call", "打电话", moment, key) for key, moment in some.items()]
            found = workload_tasks.give(brand, rows, source="page")
            wanted |= {key: moment for key, moment in some.items() if key not in found.left_out}
            there = dict(StaffTask.objects.values_list("key", "due_at"))
            per_day = Counter(moment.astimezone(zone).date() for moment in there.values())
            assert there.keys() == wanted.keys() and max(per_day.values(), default=0) <= most
            for key, moment in wanted.items():
                later = (there[key] - moment).days
                assert there[key] - moment == later * DAY and 0 <= later <= workload.DAYS * (
                    busy == Busy.NEXT_DAY
                )
            for key in found.left_out:
                on = some[key].astimezone(zone).date()
                days = range(workload.DAYS + 1 if busy == Busy.NEXT_DAY else 1)
                assert all(per_day[on + days_ * DAY] == most for days_ in days)
        first = NOW.astimezone(zone).date()
        shown = calendar.load(brand, first, first + 15 * DAY)
        assert {on: n for _pk, _name, by, _n in shown for on, n in by.items()} == dict(per_day)
