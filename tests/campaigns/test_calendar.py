"""The calendar: every source by day, past and to come, load and conflicts, whose guides one sees, and what it costs."""

from datetime import date, timedelta
from typing import Any

import pytest
from django.db import connection, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext

from campaigns.models import (
    Enrolment,
    EnrolmentDue,
    Moment,
    SendTask,
    Sop,
    SopVersion,
    StaffTask,
    TouchPolicy,
)
from campaigns.services.broadcasts import broadcasts
from campaigns.services.broadcasts.broadcasts import BroadcastInput, VariantInput, WaveInput
from campaigns.services.calendar import calendar, calendar_sources
from campaigns.services.governance import guide_load, policy
from campaigns.services.moments import moments
from campaigns.services.moments.moments import MomentInput
from campaigns.services.sops import dues, enrolments, sops
from campaigns.services.sops.sops import StepInput
from campaigns.services.tasks import staff_tasks
from campaigns.services.tasks.staff_tasks import TaskInput
from org.access import RIGHTS, SYSTEM, Actor
from org.models import Staff, Store
from org.services import keys
from scrm import clock
from scrm.errors import InvalidError
from tests.campaigns import graphs as graph
from tests.campaigns.conftest import at
from tests.campaigns.test_api import client_of
from tests.factories import in_brand, make_contact, make_staff

NOW = at("2026-03-10 10:00")
LATER = at("2030-01-01 00:00")
TODAY = date(2026, 3, 10)
EVERYBODY = {"condition": {"kind": "follow", "values": ["reachable"]}}


def chunk(guide: Staff, moment: str, n: int = 100, **over: Any) -> SendTask:
    return SendTask.objects.create(
        **{
            "staff": guide, "corp": guide.corp, "at": at(moment), "n": n, "contact_ids": [], "content_digest": "x",
            "state": "planned", **over,
        }
    )  # fmt: skip


def broadcast(brand: Any, name: str = "春上新", moment: str = "2026-03-12 10:00", **over: Any) -> Any:
    given = BroadcastInput(
        **{
            "name": name, "audience": EVERYBODY, "variants": [VariantInput("你好")], "waves": [WaveInput(at(moment))], **over,
        }
    )  # fmt: skip
    made = broadcasts.save_draft(brand, given, by=SYSTEM)
    return broadcasts.launch(brand, broadcast_id=made.pk, by=SYSTEM)


@pytest.fixture
def guides(brand: Any, corp: Any) -> list[Staff]:
    with in_brand(brand):
        stores = [Store.objects.create(name=name) for name in ("南京路", "徐家汇")]
        return [make_staff(brand, corp, store=stores[n % 2]) for n in range(4)]


def read(brand: Any, first: date = TODAY, n: int = 14, **over: Any) -> dict[date, calendar.Day]:
    with in_brand(brand), clock.at(NOW):
        found = calendar.read(brand, first, first + timedelta(days=n - 1), **over)
        return {day.on: day for day in found.days}


def test_send_tasks_are_summed_once_for_a_page(brand: Any, guides: list[Staff]) -> None:
    with CaptureQueriesContext(connection) as asked:
        read(brand)
    assert sum("t.broadcast_id, t.sop_id" in query["sql"] for query in asked) == 1


def entries(day: calendar.Day) -> list[tuple[Any, ...]]:
    return [(e.source, e.name, e.n, e.n_sent, e.n_tasks, e.n_open, e.is_forecast) for e in day.entries]


@pytest.mark.django_db(transaction=True)
def test_every_source_on_its_day(brand: Any, guides: list[Staff]) -> None:
    with clock.at(NOW), in_brand(brand):
        people = [make_contact(brand, guides[0], added_at=NOW) for _ in range(3)]
        made = broadcast(brand)
        chunk(guides[0], "2026-03-09 09:00", 60, broadcast=made, state="final", n_sent=50, confirmed_at=NOW)
        chunk(guides[1], "2026-03-09 23:30", 40, broadcast=made, state="handed")
        chunk(guides[1], "2026-03-09 23:30", 40, broadcast=made, state="cancelled")
        sop = sops.create_sop(brand, name="新客", steps=[StepInput(2, 10, 0, "第二天")], by=SYSTEM)
        sops.switch_on(brand, sop_id=sop.pk, by=SYSTEM)
        enrolments.enrol_many(brand, sop=sop, contact_ids=[p.pk for p in people], source="page", at=NOW)
        chunk(guides[2], "2026-03-11 08:00", 7, sop=sop)
        shown = moments.save_draft(
            brand,
            MomentInput("朋友圈", "新品", staff_ids=[g.pk for g in guides], at=at("2026-03-13 20:00")),
            by=SYSTEM,
        )
        moments.launch(brand, moment_id=shown.pk, by=SYSTEM)
        moments.save_draft(brand, MomentInput("草稿", "x", at=at("2026-03-13 20:00")), by=SYSTEM)
        of_all = moments.save_draft(brand, MomentInput("全员", "新品", at=at("2026-03-14 20:00")), by=SYSTEM)
        moments.launch(brand, moment_id=of_all.pk, by=SYSTEM)
        rows = [
            TaskInput(
                guides[n].pk, "call", "打电话", at("2026-03-11 18:00"), f"k{n}", contact_id=people[0].pk
            )
            for n in range(2)
        ]
        ids = staff_tasks.add_tasks(brand, rows, source="page")
        staff_tasks.complete(brand, task_id=ids[0], by=SYSTEM)
    days = read(brand, date(2026, 3, 9), 6)
    assert entries(days[date(2026, 3, 9)]) == [("broadcast", "春上新", 100, 50, 2, 1, False)]
    assert entries(days[date(2026, 3, 11)]) == [
        ("sop", "新客", 7, 0, 1, 1, False), ("task", days[date(2026, 3, 11)].entries[1].name, 2, 1, 2, 1, False),
    ]  # fmt: skip
    assert entries(days[date(2026, 3, 12)]) == [
        ("broadcast", "春上新", 3, 0, 0, 0, True), ("sop", "新客", 3, 0, 0, 0, True),
    ]  # fmt: skip
    assert entries(days[date(2026, 3, 13)]) == [("moment", "朋友圈", None, 0, 4, 4, True)]
    assert entries(days[date(2026, 3, 14)]) == [("moment", "全员", None, 0, 4, 4, True)]
    assert (days[date(2026, 3, 9)].n, days[date(2026, 3, 9)].n_open) == (100, 1)
    assert [e.source for e in read(brand, TODAY, sources=["moment"])[date(2026, 3, 13)].entries] == ["moment"]
    mine = read(brand, date(2026, 3, 9), 6, guide_id=guides[1].pk)
    assert entries(mine[date(2026, 3, 9)]) == [("broadcast", "春上新", 40, 0, 1, 1, False)]
    assert [e.name for e in mine[date(2026, 3, 14)].entries] == ["全员"]
    assert entries(mine[date(2026, 3, 12)])[0][2] is None  # whose customers is not known before it is planned


@pytest.mark.django_db(transaction=True)
def test_of_a_canvas_those_who_come_to_a_message(brand: Any, guides: list[Staff]) -> None:
    """Who only moves on is not reached; a wait for an event ends in its time-out, a branch may lead to a message."""
    branch = {
        "kind": "branch", "mode": "yes_no", "condition": {"kind": "follow", "values": ["reachable"]},
    }  # fmt: skip
    tag = {"kind": "tag", "add": [1]}
    drawn = graph.line(
        graph.entry(), graph.wait(n=1), tag, graph.wait(n=1), branch, graph.touch("你好"), graph.wait(n=1)
    )
    late = graph.line(graph.entry(), graph.wait("event", event="buys", n=1), graph.touch("谢谢"))
    late = graph.rewired(late, ("n2", "timeout", "n4"))
    with clock.at(NOW), in_brand(brand):
        people = [make_contact(brand, guides[0], added_at=NOW) for _ in range(6)]
        for name, made in (("旅程", drawn), ("等待", late)):
            sop = Sop.objects.create(name=name, form="graph", state="on")
            version = SopVersion.objects.create(sop=sop, n=1, graph=made)
            Enrolment.objects.bulk_create(
                Enrolment(
                    sop=sop, contact=person, source="page", joined_at=NOW, version_id=version.pk, node=node,
                    next_run_at=at("2026-03-12 10:00"),
                )
                for person, node in zip(people, ("n2", "n2", "n4", "n4", "n4", "n7"), strict=True)
            )  # fmt: skip
        dues.mend(brand, LATER)
    found = entries(read(brand, date(2026, 3, 12))[date(2026, 3, 12)])
    assert found == [("sop", "旅程", 3, 0, 0, 0, True)]


@pytest.mark.django_db(transaction=True)
def test_repeated_and_paused(brand: Any, guides: list[Staff]) -> None:
    with clock.at(NOW), in_brand(brand):
        made = broadcast(brand, repeat="week", repeat_until=at("2026-03-27 23:59"))
        broadcasts.pause(brand, broadcast_id=made.pk, by=SYSTEM)
    days = read(brand, TODAY, 30)
    shown = {on: day.entries[0] for on, day in days.items() if day.entries}
    assert sorted(shown) == [date(2026, 3, 12), date(2026, 3, 19), date(2026, 3, 26)]
    assert all(entry.is_held for entry in shown.values())


@pytest.mark.django_db(transaction=True)
def test_conflicts(brand: Any, guides: list[Staff]) -> None:
    with clock.at(NOW), in_brand(brand):
        TouchPolicy.objects.create(guide_tasks_a_day=2)
        for n in range(3):
            chunk(guides[0], f"2026-03-11 0{n + 1}:00")
        chunk(guides[1], "2026-03-11 08:00")
        (
            chunk(guides[0], "2026-03-02 08:00"),
            chunk(guides[0], "2026-03-02 09:00"),
            chunk(guides[0], "2026-03-02 10:00"),
        )
        broadcast(brand, "甲"), broadcast(brand, "乙", "2026-03-12 18:00")
    days = read(brand, date(2026, 3, 2), 14)
    assert [c.kind for c in days[date(2026, 3, 11)].conflicts] == ["load"]
    assert days[date(2026, 3, 11)].over == [(guides[0].pk, 3, 300, True, False)]
    assert [c.kind for c in days[date(2026, 3, 12)].conflicts] == ["compete"]
    assert days[date(2026, 3, 2)].conflicts == []  # over: nothing to mend


@pytest.mark.django_db(transaction=True)
def test_who_is_above_the_limit(brand: Any, guides: list[Staff], sign_in: Any) -> None:
    """By things to do (send tasks, moments, tasks) or by customers, the most first; the day names them and what the brand wants,
    and each name leads to the guide's week."""
    busy, crowded, idle, _other = guides
    with clock.at(NOW), in_brand(brand):
        policy.change_policy(brand, guide_tasks_a_day=2, guide_people_a_day=150, by=SYSTEM)
        (
            chunk(busy, "2026-03-11 09:00"),
            chunk(idle, "2026-03-11 09:00"),
            chunk(crowded, "2026-03-11 09:00", 151),
        )
        rows = [TaskInput(busy.pk, "call", "打电话", at("2026-03-11 18:00"), "k1")]
        staff_tasks.add_tasks(brand, rows, source="page")
        given = MomentInput("朋友圈", "新品", staff_ids=[busy.pk], at=at("2026-03-11 20:00"))
        made = moments.save_draft(brand, given, by=SYSTEM)
        assert read(brand)[date(2026, 3, 11)].over == [(crowded.pk, 1, 151, False, True)]
        moments.launch(brand, moment_id=made.pk, by=SYSTEM)
    day = read(brand)[date(2026, 3, 11)]
    assert day.over == [(busy.pk, 3, 100, True, False), (crowded.pk, 1, 151, False, True)]
    assert [c.kind for c in day.conflicts] == ["load", "load"]
    assert read(brand, guide_id=idle.pk)[date(2026, 3, 11)].over == []
    client = sign_in(brand)
    with clock.at(NOW):
        month = client.get("/calendar/").content.decode()
        assert month.count("2 位导购超出上限") == 1
        week = client.get(f"/calendar/?view=week&on=2026-03-11&guide={busy.pk}").content.decode()
        assert week.count("is-over") == 1 and "1 位导购超出上限" in week
        for rule, words in (("warn", "只提醒"), ("leave_out", "不再发送"), ("next_day", "下一个空闲日")):
            with in_brand(brand):
                policy.change_policy(brand, guide_busy=rule, by=SYSTEM)
            page = client.get("/calendar/day/?on=2026-03-11").content.decode()
            assert words in page and "3 / 2" in page and "151 / 150" in page
            for guide in (busy, crowded):
                assert f"guide={guide.pk}" in page and guide.name in page
    shown = client_of(brand, "sops.view").get("/api/v1/calendar/?from=2026-03-11&until=2026-03-11").json()
    assert (shown["tasks_a_day"], shown["people_a_day"]) == (2, 150)
    assert shown["days"][0]["overloaded"] == [
        {"staff_id": busy.pk, "n": 3, "n_people": 100}, {"staff_id": crowded.pk, "n": 1, "n_people": 151},
    ]  # fmt: skip


@pytest.mark.django_db(transaction=True)
def test_people_in_two_audiences(brand: Any, guides: list[Staff], settings: Any) -> None:
    settings.WECOM_API_URL = "http://127.0.0.1:9"
    with clock.at(NOW), in_brand(brand):
        people = [make_contact(brand, guides[0], added_at=NOW) for _ in range(5)]
        for name, some in (("甲", people[:4]), ("乙", people[2:])):
            given = {"audience": {"contacts": [p.pk for p in some]}, "waves": [WaveInput()]}
            broadcast(brand, name, **given)
    with clock.at(NOW):
        from campaigns.tasks import plan_waves

        plan_waves.delay(brand_id=brand.pk)
        with in_brand(brand):
            assert calendar.overlaps(brand, TODAY) == [("甲", "乙", 2)]
            assert calendar.overlaps(brand, TODAY + timedelta(days=1)) == []


@pytest.mark.django_db(transaction=True)
def test_midnight_is_the_brands(brand: Any, guides: list[Staff]) -> None:
    with in_brand(brand):
        sop = Sop.objects.create(name="新客")
        chunk(guides[0], "2026-03-11 00:00", sop=sop), chunk(guides[0], "2026-03-11 23:59", sop=sop)
    days = read(brand)
    assert days[date(2026, 3, 11)].n_tasks == 2 and days[TODAY].n_tasks == 0
    assert [entry.time for entry in days[date(2026, 3, 11)].entries] == ["00:00"]


@pytest.mark.django_db(transaction=True)
def test_a_manager_sees_the_own_store(
    brand: Any, other_brand: Any, guides: list[Staff], sign_in: Any
) -> None:
    with in_brand(brand):
        sop = Sop.objects.create(name="新客")
        for guide in guides:
            chunk(guide, "2026-03-11 08:00", 10, sop=sop)
    client = sign_in(brand, "manager")
    with in_brand(brand):
        manager = Staff.objects.select_related("role").get(user_id=client.user.pk)
        Staff.objects.filter(pk=manager.pk).update(store=guides[0].store)
        manager.refresh_from_db()
        assert {pk for pk, _name, _days, _n in calendar.load(brand, TODAY, date(2026, 3, 12), viewer=manager)} == {
            guides[0].pk, guides[2].pk
        }  # fmt: skip
    assert read(brand, viewer=manager)[date(2026, 3, 11)].n == 20
    assert read(other_brand)[date(2026, 3, 11)].n == 0
    page = client.get("/calendar/?view=week&on=2026-03-11").content.decode()
    assert guides[0].name in page and guides[1].name not in page


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("first", "n", "over"), [(TODAY, 0, {}), (TODAY, 93, {}), (TODAY, 7, {"sources": ["moon"]})]
)
def test_rubbish_is_refused(brand: Any, first: date, n: int, over: dict[str, Any]) -> None:
    with pytest.raises(InvalidError):
        read(brand, first, n, **over)


# ---- what it costs


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_plans_use_the_indexes_of_time(brand: Any, guides: list[Staff]) -> None:
    days = [at("2025-01-01 10:00") + timedelta(days=n) for n in range(600)]
    with in_brand(brand):
        # enough rows that a plan is no chance
        common = {
            "staff": guides[0],
            "corp": guides[0].corp,
            "contact_ids": [],
            "content_digest": "x",
            "n": 1,
        }
        SendTask.objects.bulk_create(SendTask(at=day, **common) for day in days * 3)
        StaffTask.objects.bulk_create(
            StaffTask(staff=guides[0], kind="call", title="x", due_at=day, key=f"{n}")
            for n, day in enumerate(days * 3)
        )
        people = [make_contact(brand) for _ in range(5)]
        sop_list = Sop.objects.bulk_create(Sop(name=f"SOP{n}") for n in range(120))
        Enrolment.objects.bulk_create(
            Enrolment(sop=sop, contact=person, source="page", joined_at=NOW, next_run_at=days[n])
            for n, sop in enumerate(sop_list)
            for person in people
        )
        dues.mend(brand, LATER)
        EnrolmentDue.objects.bulk_create(
            EnrolmentDue(next_run_at=day, is_graph=False, n=1, ids=[1]) for day in days * 3
        )
    with connections["owner"].cursor() as cursor:
        for table in (
            "campaigns_sendtask",
            "campaigns_stafftask",
            "campaigns_enrolmentdue",
            "campaigns_enrolment",
        ):
            cursor.execute(f"ANALYZE {table}")
    with in_brand(brand):
        span = calendar_sources.Span(brand, TODAY, TODAY + timedelta(days=41))
        asked = {
            calendar_sources.SEND_TASKS: ("send_task_at",),
            calendar_sources.TASKS: ("staff_task_calendar", "staff_task_due"),
            calendar_sources.SOP_DUE: ("enrolment_due",),
            guide_load.BY_DAY: ("send_task_at", "staff_task_calendar"),
        }
        with connection.cursor() as cursor:
            for sql, indexes in asked.items():
                cursor.execute(f"EXPLAIN {sql}", span.params())
                plan = "\n".join(row[0] for row in cursor.fetchall())
                assert any(index in plan for index in indexes), plan
                assert "campaigns_touch" not in plan


@pytest.mark.django_db(transaction=True)
def test_neither_ledger_nor_more_statements_with_more_rows(
    brand: Any, guides: list[Staff], sign_in: Any
) -> None:
    client, counts = sign_in(brand), []
    today = clock.today(brand.timezone)
    with in_brand(brand):
        policy.change_policy(brand, guide_tasks_a_day=1, by=SYSTEM)  # somebody is above it both times
    for n in (2, 20):
        with in_brand(brand):
            for k in range(n):
                moment = f"{today} 0{k % 9}:30"
                made = broadcast(brand, f"群发{n}-{k}", f"{today + timedelta(days=1)} 1{k % 9}:00")
                chunk(guides[k % 4], moment, broadcast=made)
                Moment.objects.create(
                    name=f"朋友圈{k}",
                    corp=guides[0].corp,
                    at=at(moment),
                    key=f"{n}:{k}",
                    content_digest="x",
                    state="out",
                )
                StaffTask.objects.create(
                    staff=guides[k % 4], kind="call", title="x", due_at=at(moment), key=f"{n}:{k}"
                )
        of_n = []
        for path in ("/calendar/", "/calendar/?view=week", f"/calendar/day/?on={today}"):
            client.get(path)
            with CaptureQueriesContext(connection) as caught:
                assert client.get(path).status_code == 200
            assert not [
                q for q in caught if "campaigns_touch" in q["sql"] and "campaigns_touchpolicy" not in q["sql"]
            ]
            of_n.append(len(caught))
        counts.append(of_n)
    assert counts[0] == counts[1] and max(counts[1]) < 40


# ---- pages and API


@pytest.mark.django_db(transaction=True)
def test_pages_take_any_address(brand: Any, sign_in: Any) -> None:
    client = sign_in(brand, "operator")
    for query in (
        "", "?view=week", "?view=moon&on=rubbish&guide=x&source=moon", "?on=0001-01-01", "?on=9999-12-31&view=week",
        "?guide=999999999999999999999", "?source=moment&source=task&on=2026-02-28",
    ):  # fmt: skip
        assert client.get(f"/calendar/{query}").status_code == 200, query
    assert (
        client.get("/calendar/?view=week", headers={"HX-Request": "true"}).content.decode().count("<html")
        == 0
    )
    assert client.get("/calendar/day/?on=2026-03-10").status_code == 200
    assert client.get("/calendar/day/?on=x").status_code == 404
    assert sign_in(brand, "guide").get("/calendar/").status_code == 403


@pytest.mark.django_db(transaction=True)
def test_api(brand: Any, other_brand: Any, guides: list[Staff]) -> None:
    with in_brand(brand):
        chunk(guides[0], "2026-03-11 08:00", 10, sop=Sop.objects.create(name="新客"))
    api, other = _api(brand), _api(other_brand)
    answer = api.get("/api/v1/calendar/?from=2026-03-10&until=2026-03-12").json()
    assert [(day["n"], day["n_tasks"]) for day in answer["days"]] == [(0, 0), (10, 1), (0, 0)]
    assert answer["tasks_a_day"] == calendar.A_DAY
    wrong = [
        "", "from=2026-03-10", "from=x&until=2026-03-12", "from=2026-03-12&until=2026-03-10",
        "from=2026-01-01&until=2026-12-31", "from=2026-03-10&until=2026-03-12&source=moon",
        "from=2026-03-10&until=2026-03-12&staff=x",
        "from=2026-03-10&until=2026-03-12&staff=١",
    ]  # fmt: skip
    for bad in wrong:
        assert api.get(f"/api/v1/calendar/?{bad}").status_code == 422, bad
    path = f"/api/v1/calendar/?from=2026-03-10&until=2026-03-12&staff={guides[0].pk}"
    assert api.get(path).status_code == 200 and other.get(path).status_code == 404


def _api(brand: Any) -> Client:
    with in_brand(brand):
        by = Actor("x", rights=frozenset(RIGHTS))
        whole = keys.create_key(brand, by=by, name="k", rights=["sops.view"])[1]
    return Client(headers={"Authorization": f"Bearer {whole}"})
