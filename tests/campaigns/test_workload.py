"""How much one guide gets to confirm on a day: what is too much is left out or waits for the next free day, for broadcasts and
SOPs, with the reason everywhere."""

from collections import Counter
from datetime import date, datetime, time, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from campaigns.governance import CapRule
from campaigns.models import (
    Broadcast,
    Moment,
    MomentGuide,
    SendTask,
    Sop,
    StaffTask,
    Touch,
    TouchPolicy,
    Wave,
)
from campaigns.services.broadcasts import broadcast_copy, broadcast_numbers, broadcasts, dry_run, waves
from campaigns.services.broadcasts.broadcasts import VariantInput, WaveInput
from campaigns.services.calendar import calendar
from campaigns.services.governance import policy, workload
from campaigns.services.graphs import graphs
from campaigns.services.journeys import walking
from campaigns.services.sending import handing
from campaigns.services.sops import enrolments, sops, stepping
from campaigns.services.sops.sops import StepInput
from org.access import SYSTEM
from org.models import Staff
from scrm import clock
from scrm.errors import InvalidError
from tagging.services.bits import bits
from tagging.services.tags.changes import each, put_on
from tests.campaigns.conftest import at, people_of, would_be
from tests.campaigns.graphs import entry, line, touch
from tests.campaigns.test_api import client_of
from tests.campaigns.test_broadcasts import WRITER, given
from tests.factories import in_brand, make_contact, make_staff, make_tag

pytestmark = pytest.mark.django_db(transaction=True)
NOW = at("2026-03-10 10:00")
DAY = timedelta(days=1)
R, S, Busy = Touch.Reason, Touch.State, TouchPolicy.Busy


@pytest.fixture
def people(brand: Any, corp: Any) -> list[Any]:
    """Ten, of two guides in turn."""
    with in_brand(brand):
        guides = [make_staff(brand, corp) for _ in range(2)]
        return [make_contact(brand, guides[n % 2]) for n in range(10)]


def limit(brand: Any, busy: str = Busy.LEAVE_OUT, **over: Any) -> None:
    policy.change_policy(brand, guide_busy=busy, caps=[], by=SYSTEM, **over)


def launch(brand: Any, **over: Any) -> Broadcast:
    draft = broadcasts.save_draft(brand, given(**over), by=WRITER)
    broadcasts.launch(brand, broadcast_id=draft.pk, by=WRITER)
    waves.run_due(brand)
    return Broadcast.objects.get(pk=draft.pk)


def tick(brand: Any, moment: datetime) -> None:
    with clock.at(moment):
        waves.run_due(brand)


def by_day(**filters: Any) -> Counter[str]:
    """Messages that go out, by their moment."""
    rows = Touch.objects.filter(state=S.PLANNED, **filters).values_list("at", flat=True)
    return Counter(f"{moment:%m-%d}" for moment in rows)


def test_the_rest_is_left_out(brand: Any, people: list[Any], sign_in: Any) -> None:
    with in_brand(brand), clock.at(NOW):
        limit(brand, guide_people_a_day=3)
        draft = broadcasts.save_draft(brand, given(), by=WRITER)
        seen = dry_run.dry_run(brand, draft)
        assert (seen.planned, seen.n_tasks, seen.n_busy, seen.waits_until) == (6, 2, 4, None)
        assert seen.over_limit == 0
        gets, busy = would_be(brand, draft), would_be(brand, draft, R.GUIDE_BUSY)
        assert len(gets) == 6 and sorted(gets + busy) == sorted(p.pk for p in people)
        broadcasts.launch(brand, broadcast_id=draft.pk, by=WRITER)
        waves.run_due(brand)
        wave = Wave.objects.get()
        assert (wave.numbers["planned"], wave.numbers["guide_busy"], wave.numbers["tasks"]) == (6, 4, 2)
        assert sorted(people_of(brand, wave, R.GUIDE_BUSY)) == sorted(
            Touch.objects.filter(state=S.BLOCKED, reason=R.GUIDE_BUSY).values_list("contact_id", flat=True)
        )
        second = launch(brand, name="同一天")
        assert not SendTask.objects.filter(broadcast=second).exists()
        tick(brand, NOW + DAY)
        with clock.at(NOW + DAY):
            third = launch(brand, name="第二天")
            assert SendTask.objects.filter(broadcast=third).count() == 2
        left_out = Touch.objects.filter(broadcast_id=draft.pk, reason=R.GUIDE_BUSY)[0]
    client = sign_in(brand, "operator")
    assert "导购当天" in client.get(f"/broadcasts/{draft.pk}/").content.decode()
    assert "导购当天" in client.get(f"/contacts/{left_out.contact_id}/").content.decode()
    listed = client_of(brand, "sops.view", "broadcasts.view").get(f"/api/v1/broadcasts/{draft.pk}/").json()
    assert listed["waves"][0]["held_back"] == {"guide_busy": 4} and listed["waves"][0]["rest_of"] is None


def test_the_rest_waits_for_the_next_free_day(brand: Any, people: list[Any], sign_in: Any) -> None:
    """Two a day: three days for five customers of each guide. Its figures count everybody once."""
    with in_brand(brand), clock.at(NOW):
        limit(brand, Busy.NEXT_DAY, guide_people_a_day=2)
        draft = broadcasts.save_draft(brand, given(), by=WRITER)
        seen = dry_run.dry_run(brand, draft)
        assert (seen.planned, seen.n_busy, seen.waits_until) == (4, 6, NOW + DAY)
    client = sign_in(brand, "operator")
    with clock.at(NOW):
        page = client.get(f"/broadcasts/{draft.pk}/check/").content.decode()
    assert "6 位客户" in page and "03-11 10:00" in page
    with in_brand(brand), clock.at(NOW):
        broadcasts.launch(brand, broadcast_id=draft.pk, by=WRITER)
        waves.run_due(brand)
        assert waves.finish(brand) == 0
        coming = calendar.read(brand, date(2026, 3, 11), date(2026, 3, 12)).days
        assert [[(e.n, e.is_forecast) for e in day.entries] for day in coming] == [[(6, True)], []]
        for days in (1, 2):
            tick(brand, NOW + days * DAY - timedelta(minutes=1))
            tick(brand, NOW + days * DAY)
        assert list(Wave.objects.order_by("n").values_list("n", "at", "state", "numbers__planned")) == [
            (1, NOW, "planned", 4), (2, NOW + DAY, "planned", 4), (3, NOW + 2 * DAY, "planned", 2),
        ]  # fmt: skip
        assert sorted(by_day(broadcast_id=draft.pk).values()) == [2, 4, 4]
        got = Touch.objects.filter(state=S.PLANNED).values_list("contact_id", flat=True)
        assert sorted(got) == sorted(p.pk for p in people)
        report = broadcast_numbers.report(draft)
        assert (report.wanted, report.total.n, report.refused) == (10, 10, [])
        SendTask.objects.update(state="final")
        assert waves.finish(brand) == 1
        copy = broadcast_copy.duplicate(brand, broadcast_id=draft.pk, by=WRITER)
        assert Wave.objects.filter(broadcast=copy).count() == 1
    assert "第 1 波的剩余" in client.get(f"/broadcasts/{draft.pk}/").content.decode()
    shown = client_of(brand, "broadcasts.view").get(f"/api/v1/broadcasts/{draft.pk}/").json()["waves"]
    assert [row["rest_of"] for row in shown] == [None, shown[0]["id"], shown[1]["id"]]


@pytest.mark.parametrize("why", ["stopped", "too late"])
def test_whose_next_day_is_left_out_was_held_back(brand: Any, people: list[Any], why: str) -> None:
    with in_brand(brand), clock.at(NOW):
        limit(brand, Busy.NEXT_DAY, guide_people_a_day=2)
        sent = launch(brand)
        assert broadcast_numbers.report(sent).refused == []
        if why == "stopped":
            broadcasts.cancel(brand, broadcast_id=sent.pk, by=WRITER)
        else:
            tick(brand, NOW + 9 * DAY)
        assert Wave.objects.get(broadcast=sent, n=2).state == "skipped"
        report = broadcast_numbers.report(sent)
        assert [(row[0], row[2]) for row in report.refused] == [(R.GUIDE_BUSY, 6)]
        assert (report.wanted, report.total.n) == (10, 4)


def test_who_never_fits_is_left_out_in_the_end(brand: Any, people: list[Any]) -> None:
    with in_brand(brand), clock.at(NOW):
        limit(brand, Busy.NEXT_DAY, guide_tasks_a_day=1)
        for days in range(workload.DAYS + 2):  # every day is full already
            with clock.at(NOW + days * DAY - timedelta(hours=1)):
                waves.run_due(brand)
                launch(brand, name=f"每天{days}", priority=9)
        low = launch(brand, name="低")
        for days in range(1, workload.DAYS + 3):
            tick(brand, NOW + days * DAY)
        mine = Wave.objects.filter(broadcast=low)
        assert mine.count() == workload.DAYS + 1 and not mine.filter(state="waiting").exists()
        report = broadcast_numbers.report(low)
        assert [(row[0], row[2]) for row in report.refused] == [(R.GUIDE_BUSY, 10)]
        assert report.wanted == 10 and not SendTask.objects.filter(broadcast=low).exists()


@pytest.mark.parametrize("most, planned", [(1, 0), (2, 10), (3, 10)])
def test_a_comparison_is_not_cut_in_the_middle(
    brand: Any, people: list[Any], most: int, planned: int
) -> None:
    """A guide with room for one of two contents gets neither."""
    with in_brand(brand), clock.at(NOW):
        both = given(variants=[VariantInput("甲"), VariantInput("乙")])
        drafts = (broadcasts.save_draft(brand, both, by=WRITER) for _ in range(50))
        # chance may give all of a guide's five to one content
        sent = next(draft for draft in drafts if dry_run.dry_run(brand, draft).n_tasks == 4)
        limit(brand, guide_tasks_a_day=most)
        broadcasts.launch(brand, broadcast_id=sent.pk, by=WRITER)
        waves.run_due(brand)
        assert Touch.objects.filter(broadcast_id=sent.pk, state=S.PLANNED).count() == planned
        rows = Counter(SendTask.objects.filter(broadcast=sent).values_list("staff_id", flat=True))
        assert sorted(rows.values()) == [2, 2][: planned // 5]


def test_the_higher_campaign_keeps_the_place(brand: Any, people: list[Any]) -> None:
    """What quiet hours hold is planned, not sent: it gives way to a higher one on that day, and no further."""
    night = at("2026-03-10 23:00")
    with in_brand(brand), clock.at(night):
        limit(brand, guide_tasks_a_day=2, quiet_start=time(22), quiet_end=time(9))
        low, usual = launch(brand, name="低", priority=3), launch(brand, name="中", priority=5)
        same = launch(brand, name="同级", priority=3)
        assert Touch.objects.filter(broadcast_id=same.pk, reason=R.GUIDE_BUSY).count() == 10
        draft = broadcasts.save_draft(brand, given(name="高", priority=7), by=WRITER)
        seen = dry_run.dry_run(brand, draft)
        assert (seen.planned, seen.n_busy, seen.n_taken) == (10, 0, 10)
        broadcasts.launch(brand, broadcast_id=draft.pk, by=WRITER)
        waves.run_due(brand)
        gone = Touch.objects.filter(reason=R.OUTRANKED)
        assert set(gone.values_list("broadcast_id", flat=True)) == {low.pk} and gone.count() == 10
        assert Touch.objects.filter(broadcast_id=usual.pk, state=S.PLANNED).count() == 10
        assert set(SendTask.objects.filter(broadcast=low).values_list("state", flat=True)) == {"cancelled"}
        wave = Wave.objects.get(broadcast=low)
        assert (wave.numbers["planned"], wave.numbers["outranked"]) == (0, 10)
        # what WeCom has does not give way
        due = SendTask.objects.filter(state="planned")
        handing.record_handed(brand, [handing.Made(task, f"m{task.pk}") for task in due])
        highest = launch(brand, name="最高", priority=9)
        assert Touch.objects.filter(broadcast_id=highest.pk, reason=R.GUIDE_BUSY).count() == 10


@pytest.mark.parametrize("form", ["broadcast", "steps", "graph"])
def test_nothing_gives_way_in_vain(brand: Any, people: list[Any], form: str) -> None:
    """A lower message would make room under the cap, but the guide's day is full of what WeCom has: it stays planned."""
    night = at("2026-03-10 23:00")
    with in_brand(brand), clock.at(night):
        quiet = {"quiet_start": time(22), "quiet_end": time(9)}
        policy.change_policy(brand, caps=[CapRule(1, 1)], by=SYSTEM, **quiet)
        launch(brand, name="中", audience={"contacts": [p.pk for p in people[:4]]})
        due = SendTask.objects.filter(state="planned")
        handing.record_handed(brand, [handing.Made(task, f"m{task.pk}") for task in due])
        low = launch(brand, name="低", priority=2, audience={"contacts": [p.pk for p in people[4:]]})
        policy.change_policy(brand, guide_tasks_a_day=1, guide_busy=Busy.LEAVE_OUT, by=SYSTEM)
        if form == "broadcast":
            launch(brand, name="高", priority=8, audience={"contacts": [p.pk for p in people[4:]]})
        else:
            run(brand, journey(brand, form, priority=8), people[4:])
        assert Touch.objects.filter(broadcast_id=low.pk, state=S.PLANNED).count() == 6
        assert not Touch.objects.filter(reason=R.OUTRANKED).exists()
        assert SendTask.objects.exclude(state="cancelled").count() == 4
        policy.change_policy(brand, guide_tasks_a_day=2, by=SYSTEM)
        if form == "broadcast":
            launch(brand, name="再高", priority=9, audience={"contacts": [p.pk for p in people[4:]]})
        else:
            run(brand, journey(brand, form, priority=9), people[4:])
        assert Touch.objects.filter(broadcast_id=low.pk, reason=R.OUTRANKED).count() == 6


def test_a_follow_up_knows_the_rest(brand: Any, people: list[Any]) -> None:
    """“Got the wave before” asks about those who got it a day later as well."""
    with in_brand(brand), clock.at(NOW):
        limit(brand, Busy.NEXT_DAY, guide_people_a_day=3)
        plan = [WaveInput(), WaveInput(NOW + 3 * DAY, "everybody")]
        launched = launch(brand, waves=plan)
        tick(brand, NOW + DAY)
        Touch.objects.filter(state=S.PLANNED).update(state=S.DELIVERED, done_at=NOW + DAY)
        SendTask.objects.update(state="final")
        tick(brand, NOW + 3 * DAY)
        second = Wave.objects.get(broadcast=launched, n=2)
        assert (second.numbers["wanted"], second.numbers["planned"]) == (10, 6)
        tick(brand, NOW + 4 * DAY)  # what is left of the second is asked about the first again
        rest = Wave.objects.get(broadcast=launched, condition__rest_of=second.pk)
        assert (rest.n, rest.numbers["wanted"], rest.numbers["planned"]) == (4, 4, 4)


def test_a_rest_that_is_given_up(brand: Any, people: list[Any]) -> None:
    """Paused for too long: its people are left out with the reason; those who wait for the winner still wait."""
    with in_brand(brand):
        with clock.at(NOW):
            limit(brand, Busy.NEXT_DAY, guide_people_a_day=1)
            both, test = [VariantInput("甲"), VariantInput("乙")], {"percent": 90, "least": 50}
            launched = launch(brand, variants=both, test=test, late_hours=1)
            first, winners_wave, rest = Wave.objects.filter(broadcast=launched).order_by("n")
            n = first.numbers["guide_busy"]
            assert n and rest.condition["rest_of"] == first.pk
            broadcasts.pause(brand, broadcast_id=launched.pk, by=WRITER)
        with clock.at(NOW + 2 * DAY):
            broadcasts.resume(brand, broadcast_id=launched.pk, by=WRITER)
            waves.run_due(brand)
        rest.refresh_from_db()
        winners_wave.refresh_from_db()
        assert (rest.state, winners_wave.state) == ("skipped", "held")
        report = broadcast_numbers.report(launched)
        assert [(row[0], row[2]) for row in report.refused] == [(R.GUIDE_BUSY, n)]
        assert report.wanted == report.total.n + n


@pytest.mark.parametrize("every, rests", [("day", 0), ("week", 1)])
def test_a_rhythm(brand: Any, people: list[Any], every: str, rests: int) -> None:
    """What comes every day needs no other day; of what comes every week the rest waits, and the week goes on."""
    step = DAY if every == "day" else 7 * DAY
    with in_brand(brand), clock.at(NOW):
        limit(brand, Busy.NEXT_DAY, guide_people_a_day=3)
        launched = launch(brand, repeat=every, repeat_until=NOW + 20 * DAY)
        assert Wave.objects.filter(broadcast=launched, condition__has_key="rest_of").count() == rests
        tick(brand, NOW + DAY)
        tick(brand, NOW + step)
        mine = Wave.objects.filter(broadcast=launched, at=NOW + step, state="planned")
        assert mine.exclude(condition__has_key="rest_of").get().numbers["planned"] == 6


@pytest.mark.parametrize("is_paused", [False, True])
def test_what_is_left_of_a_week_ends_with_it(brand: Any, people: list[Any], is_paused: bool) -> None:
    """Nobody gets last week's message beside this week's, also when a pause has brought both to the same minute."""
    with in_brand(brand):
        with clock.at(NOW):
            limit(brand, Busy.NEXT_DAY, guide_tasks_a_day=1)
            launch(brand, name="先", priority=9)
            low = launch(brand, name="每周", repeat="week", repeat_until=NOW + 20 * DAY)
        for days in range(1, 7):
            with clock.at(NOW + days * DAY):
                if is_paused and days == 3:
                    broadcasts.pause(brand, broadcast_id=low.pk, by=WRITER)
                launch(brand, name=f"先{days}", priority=9)
        with clock.at(NOW + 7 * DAY):
            if is_paused:
                policy.change_policy(brand, guide_tasks_a_day=9, by=SYSTEM)
                broadcasts.resume(brand, broadcast_id=low.pk, by=WRITER)
            waves.run_due(brand)
            rests = Wave.objects.filter(broadcast=low, condition__has_key="rest_of").order_by("n")
            states = ["planned"] * 2 + ["skipped"] if is_paused else ["planned"] * 6
            assert list(rests.values_list("state", flat=True)) == states
            got = Touch.objects.filter(broadcast_id=low.pk, state=S.PLANNED)
            assert sorted(got.values_list("contact_id", flat=True)) == [person.pk for person in people]


def journey(brand: Any, form: str, priority: int = 5) -> Sop:
    if form == "graph":
        sop = graphs.create_graph_sop(
            brand, name=f"图{priority}", graph=line(entry(), touch("你好")), by=SYSTEM
        )
        graphs.publish(brand, sop_id=sop.pk, by=SYSTEM)
    else:
        steps = [StepInput(1, 9, 30, f"第一步{priority}")]
        sop = sops.create_sop(brand, name=f"旅程{priority}", steps=steps, by=SYSTEM)
        sops.switch_on(brand, sop_id=sop.pk, by=SYSTEM)
    return sops.set_priority(brand, sop_id=sop.pk, priority=priority, by=SYSTEM)


def run(brand: Any, sop: Sop, some: list[Any]) -> None:
    ids = [contact.pk for contact in some]
    enrolments.enrol_many(brand, sop=sop, contact_ids=ids, source="page", at=clock.now() - DAY)
    if sop.is_graph:
        walking.run(brand, clock.now() + timedelta(minutes=1))
    else:
        stepping.run(brand, clock.now())


@pytest.mark.parametrize("form", ["steps", "graph"])
def test_steps_of_sops(brand: Any, people: list[Any], form: str) -> None:
    with in_brand(brand), clock.at(NOW):
        limit(brand, guide_people_a_day=2)
        sop = journey(brand, form)
        run(brand, sop, people)
        rows = Counter(Touch.objects.filter(sop_id=sop.pk).values_list("state", "reason"))
        assert rows == {(S.PLANNED, 0): 4, (S.BLOCKED, R.GUIDE_BUSY): 6}
        high = journey(brand, form, priority=8)  # nothing is with WeCom yet
        run(brand, high, people[:2])
        assert Touch.objects.filter(sop_id=high.pk, state=S.PLANNED).count() == 2
        assert Touch.objects.filter(sop_id=sop.pk, reason=R.OUTRANKED).count() == 4


@pytest.mark.parametrize("form", ["steps", "graph"])
def test_steps_wait_for_the_next_free_day(brand: Any, people: list[Any], form: str) -> None:
    with in_brand(brand), clock.at(NOW):
        limit(brand, Busy.NEXT_DAY, guide_people_a_day=2)
        sop = journey(brand, form)
        run(brand, sop, people)
        assert sorted(by_day(sop_id=sop.pk).items()) == [("03-10", 4), ("03-11", 4), ("03-12", 2)]
        assert not Touch.objects.filter(state=S.BLOCKED).exists()
        later = journey(brand, form, priority=4)
        run(brand, later, people[:2])  # the third day has room for one of each guide
        assert sorted(by_day(sop_id=later.pk).items()) == [("03-12", 2)]
        sizes = Counter((t.staff_id, t.at.date()) for t in SendTask.objects.all() for _ in t.contact_ids)
        assert max(sizes.values()) == 2


@pytest.mark.parametrize("form", ["steps", "graph"])
def test_nothing_gives_way_in_vain_on_a_later_day(brand: Any, people: list[Any], form: str) -> None:
    """The gate is asked about that day first; who is in their own way there gets the place."""
    mine = people[::2]
    with in_brand(brand), clock.at(NOW):
        for name, contact in (("一", mine[3]), ("二", mine[4])):
            launch(brand, name=name, audience={"contacts": [contact.pk]})
        due = SendTask.objects.filter(state="planned")
        handing.record_handed(brand, [handing.Made(task, f"m{task.pk}") for task in due])
        policy.change_policy(
            brand, caps=[CapRule(1, 1)], guide_tasks_a_day=2, guide_busy=Busy.NEXT_DAY, by=SYSTEM
        )
        low, top = journey(brand, form, priority=2), journey(brand, form, priority=9)
        run(brand, low, mine[:1])
        run(brand, top, mine[1:2])
        assert by_day(sop_id=low.pk) == by_day(sop_id=top.pk) == {"03-11": 1}
        capped = journey(brand, form, priority=8)
        run(brand, capped, mine[1:2])
        assert Touch.objects.get(sop_id=capped.pk).reason == R.CAPPED
        assert by_day(sop_id=low.pk) == {"03-11": 1}
        high = journey(brand, form, priority=7)
        run(brand, high, mine[:1])
        assert by_day(sop_id=high.pk) == {"03-11": 1}
        assert Touch.objects.get(sop_id=low.pk).reason == R.OUTRANKED


def test_a_task_with_room_is_no_further_task(brand: Any, people: list[Any]) -> None:
    """Batches of one tick fill one send task of each guide."""
    with in_brand(brand), clock.at(NOW):
        limit(brand, guide_tasks_a_day=1)
        sop = journey(brand, "steps")
        ids = [contact.pk for contact in people]
        enrolments.enrol_many(brand, sop=sop, contact_ids=ids, source="page", at=NOW - DAY)
        stepping.run(brand, NOW, batch=3)
        assert Counter(SendTask.objects.values_list("n", flat=True)) == {5: 2}
        assert Touch.objects.filter(state=S.PLANNED).count() == 10


def test_settings(brand: Any, people: list[Any], sign_in: Any) -> None:
    client = sign_in(brand, "admin")
    form = {
        "min_gap_hours": 0, "allowance": "month", "sender": "latest", "attribution_days": 7, "hold_out_percent": 0,
        "guide_busy": "next_day",
    }  # fmt: skip
    page = client.post("/settings/touch/", form)
    assert page.status_code == 422 and "每天多少" in page.content.decode()
    assert client.post("/settings/touch/", {**form, "guide_people_a_day": 200}).status_code == 302
    with in_brand(brand):
        found = TouchPolicy.objects.get()
        assert (found.guide_busy, found.guide_people_a_day, found.guide_tasks_a_day) == (
            "next_day",
            200,
            None,
        )
        assert workload.limits_of(brand) == (None, 200, True)
        for wrong in ({"guide_busy": "moon"}, {"guide_people_a_day": 0}, {"guide_people_a_day": None}):
            with pytest.raises(InvalidError) as refused:
                policy.change_policy(brand, by=SYSTEM, **wrong)
            assert set(refused.value.details["fields"]) <= {"guide_busy", "guide_people_a_day"}


def test_warnings_as_before(brand: Any, people: list[Any]) -> None:
    """By default nothing is held back; the dry run warns of customers as of tasks."""
    with in_brand(brand), clock.at(NOW):
        policy.change_policy(brand, guide_people_a_day=4, by=SYSTEM)
        draft = broadcasts.save_draft(brand, given(), by=WRITER)
        seen = dry_run.dry_run(brand, draft)
        assert (seen.planned, seen.over_limit, seen.n_busy) == (10, 2, 0)
        broadcasts.launch(brand, broadcast_id=draft.pk, by=WRITER)
        waves.run_due(brand)
        assert Touch.objects.filter(state=S.PLANNED).count() == 10
        for most, n in ((4, 1), (5, 0)):
            policy.change_policy(brand, guide_people_a_day=most, by=SYSTEM)
            [day] = calendar.read(brand, date(2026, 3, 10), date(2026, 3, 10)).days
            assert [one.text for one in day.conflicts] == ["2 位导购的发送任务客户数超过 4 位"] * n


def by_hand(guide: Any, moment: datetime, n: int = 1, **over: Any) -> list[StaffTask]:
    return StaffTask.objects.bulk_create(
        StaffTask(**{
            "staff": guide, "kind": "call", "title": "打电话", "due_at": moment, "key": f"{moment}:{guide.pk}:{k}", **over,
        })
        for k in range(n)
    )  # fmt: skip


def shown_by(corp: Any, moment: datetime, state: str = "planned", **over: Any) -> Moment:
    return Moment.objects.create(
        name="朋友圈", corp=corp, at=moment, state=state, key=f"{moment}:{over}", content_digest="x", **over
    )


@pytest.mark.parametrize(
    "what, is_full",
    [
        ("task", True), ("done", True), ("cancelled", False), ("next day", False), ("chosen", True), ("everybody", True),
        ("others", False), ("draft", False), ("out", True), ("of a tag", True), ("of another tag", False),
    ],
)  # fmt: skip
def test_moments_and_tasks_take_the_place(
    brand: Any, corp: Any, people: list[Any], what: str, is_full: bool
) -> None:
    """One thing a day: what the first guide has to do by hand leaves no room for a broadcast or an SOP; the second one's day is
    free, but where everybody publishes. Dry run and plan say the same."""
    late = NOW + timedelta(hours=8)
    with in_brand(brand), clock.at(NOW):
        limit(brand, guide_tasks_a_day=1)
        first, second = Staff.objects.filter(is_guide=True).order_by("pk")
        if what in ("task", "done", "cancelled"):
            by_hand(first, late, state="open" if what == "task" else what)
        elif what == "next day":
            by_hand(first, late + DAY)
        elif what in ("chosen", "draft"):
            shown_by(corp, late, "draft" if what == "draft" else "planned", staff_ids=[first.pk])
        elif what == "others":
            shown_by(corp, late, staff_ids=[make_staff(brand, corp, is_guide=False).pk])
        elif what == "everybody":
            shown_by(corp, late)
        elif what == "out":
            moment = shown_by(corp, late, "out", n_guides=1)
            MomentGuide.objects.create(moment=moment, staff=first, userid=first.userid)
        else:
            mine, other = make_tag(brand), make_tag(brand)
            put_on(brand, each([mine.pk], [people[0].pk]), source="page")
            bits.flush()
            shown_by(corp, late, tag_ids=[mine.pk if what == "of a tag" else other.pk])
        draft = broadcasts.save_draft(brand, given(), by=WRITER)
        seen = dry_run.dry_run(brand, draft)
        n_free = 0 if what == "everybody" else 5
        assert (seen.planned, seen.n_busy) == ((n_free, 10 - n_free) if is_full else (10, 0))
        assert {guide.staff_id: guide.n_already for guide in seen.guides}.get(second.pk, 1) == (n_free == 0)
        broadcasts.launch(brand, broadcast_id=draft.pk, by=WRITER)
        waves.run_due(brand)
        assert Touch.objects.filter(broadcast_id=draft.pk, state=S.PLANNED).count() == seen.planned
        policy.change_policy(brand, guide_tasks_a_day=2, by=SYSTEM)
        sop = journey(brand, "steps")
        run(brand, sop, people)
        assert Touch.objects.filter(sop_id=sop.pk, state=S.PLANNED).count() == 10


def test_one_question_for_a_plan(brand: Any, corp: Any, people: list[Any]) -> None:
    """However much there is to do by hand, a plan asks as often."""
    counts = []
    with in_brand(brand), clock.at(NOW):
        limit(brand, guide_tasks_a_day=100)
        for n in (1, 20):
            for guide in Staff.objects.filter(is_guide=True):
                by_hand(guide, NOW + timedelta(minutes=n), n)
            shown_by(corp, NOW + timedelta(minutes=n))
            with CaptureQueriesContext(connection) as asked:
                launch(brand, name=f"{n}")
            counts.append(sum("campaigns_stafftask" in query["sql"] for query in asked))
    assert counts == [2, 2]  # what fits, and what gives way
