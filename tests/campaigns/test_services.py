"""Services one by one: claims, enrolment, edits, variables, reminders, plans of Postgres."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from campaigns.models import Enrolment, SendTask, Sop, StepBlocked, Touch, TouchKey
from campaigns.services.governance import gate, guide_load, outranking
from campaigns.services.ledger import touches
from campaigns.services.sending import results, variables
from campaigns.services.sops import dues, enrolments, numbers, sops, stepping
from campaigns.services.sops.sops import StepInput
from contacts.models import Contact, Event, EventType
from org.access import SYSTEM
from scrm import clock
from scrm.errors import ConflictError, InvalidError, LimitError, NotFoundError
from tests.campaigns.conftest import Live, at
from tests.factories import in_brand, make_contact, make_staff
from tests.threads import together

pytestmark = pytest.mark.django_db(transaction=True)


def make_sop(brand: Any, *steps: tuple[int, int], name: str = "S", on: bool = True) -> Sop:
    sop = sops.create_sop(
        brand, name=name, steps=[StepInput(d, h, 0, f"{d}/{h}") for d, h in steps], by=SYSTEM
    )
    return sops.switch_on(brand, sop_id=sop.pk, by=SYSTEM) if on else sop


# ---- welcome


def test_a_welcome_is_claimed_once_by_many(brand: Any, staff: Any) -> None:
    with in_brand(brand):
        contact = make_contact(brand, staff)

    def claim() -> Touch | None:
        with in_brand(brand):
            return touches.claim_welcome(
                brand,
                contact_id=contact.pk,
                staff_id=staff.pk,
                code_id=7,
                welcome_code="CODE",
                at=clock.now(),
            )

    assert len([touch for touch in together(*[claim] * 6) if touch]) == 1
    with in_brand(brand):
        assert Touch.objects.count() == TouchKey.objects.count() == 1
        key = TouchKey.objects.get()
        touch = Touch.objects.get(pk=key.touch_id, at=key.touch_at)
        assert (touch.kind, touch.state, touch.code_id) == (Touch.Kind.WELCOME, Touch.State.PLANNED, 7)


def test_result_of_a_welcome_is_written_once(brand: Any, staff: Any) -> None:
    with in_brand(brand):
        contact = make_contact(brand, staff)
        given = {"contact_id": contact.pk, "staff_id": staff.pk, "code_id": None, "at": clock.now()}
        good = touches.claim_welcome(brand, welcome_code="A", **given)
        bad = touches.claim_welcome(brand, welcome_code="B", **given)
        for _ in range(2):
            touches.record_welcome_result(brand, touch=good, text="你好")
            touches.record_welcome_result(brand, touch=bad, reason=Touch.Reason.REFUSED, error="41053")
            none = touches.record_no_welcome(brand, key="event 1", reason=Touch.Reason.NO_CODE, **given)
        assert none is None  # the second time
        found = {(t.state, t.reason) for t in Touch.objects.all()}
        assert found == {
            (Touch.State.DELIVERED, 0),
            (Touch.State.FAILED, Touch.Reason.REFUSED),
            (Touch.State.FAILED, Touch.Reason.NO_CODE),
        }
        assert Event.objects.filter(type=EventType.WELCOMED).count() == 1
        assert Event.objects.filter(type=EventType.WELCOME_FAILED).count() == 2


# ---- variables


@pytest.mark.parametrize(
    "text, filled",
    [
        ("你好", "你好"),
        ("我是{员工姓名}", "我是小美"),
        ("{ 员工姓名 }在{门店|本店}", "小美在本店"),
        ("{品牌名称}欢迎你{门店}", "暖光欢迎你"),
        ("价格 { 见下", "价格 { 见下"),
    ],
)
def test_variables(brand: Any, staff: Any, text: str, filled: str) -> None:
    brand.name, staff.name = "暖光", "小美"
    variables.check_text(text)
    assert variables.fill_in(text, brand=brand, staff=staff) == filled


@pytest.mark.parametrize("text", ["{客户昵称}", "{客户昵称|亲}，好", "{员工}", "{}", "{a|b}", "字" * 1334])
def test_variables_refused(text: str) -> None:
    with pytest.raises(InvalidError):
        variables.check_text(text)


# ---- enrolment


def test_enrol_once_at_a_time_and_only_when_open(brand: Any, staff: Any) -> None:
    with in_brand(brand):
        contact, lost = make_contact(brand, staff), make_contact(brand, lost_at=clock.now())
        draft = make_sop(brand, (1, 10), name="draft", on=False)
        sop = make_sop(brand, (1, 10), (2, 10))
        moment = at("2026-05-01 12:00")
        assert enrolments.enrol(brand, contact=contact, sop=draft, at=moment, source="page") is None
        row = enrolments.enrol(brand, contact=contact, sop=sop, at=moment, source="channel_code:1")
        assert row is not None and (row.position, row.next_run_at) == (0, at("2026-05-02 10:00"))
        assert enrolments.enrol(brand, contact=contact, sop=sop, at=moment, source="page") is None
        assert enrolments.enrol(brand, contact=lost, sop=sop, at=moment, source="page") is None
        enrolments.remove(brand, enrolment_id=row.pk, by=SYSTEM)
        with pytest.raises(ConflictError):
            enrolments.remove(brand, enrolment_id=row.pk, by=SYSTEM)
        assert enrolments.enrol(brand, contact=contact, sop=sop, at=moment, source="page") is not None
        assert Event.objects.filter(type=EventType.SOP_ENTERED).count() == 2


def test_day_zero_before_and_after_the_hour(brand: Any, staff: Any) -> None:
    with in_brand(brand):
        sop = make_sop(brand, (0, 20), (1, 10))
        early, late = make_contact(brand, staff), make_contact(brand, staff)
        first = enrolments.enrol(brand, contact=early, sop=sop, at=at("2026-05-01 12:00"), source="page")
        second = enrolments.enrol(brand, contact=late, sop=sop, at=at("2026-05-01 21:00"), source="page")
        assert first and second
        assert (first.position, first.next_run_at) == (0, at("2026-05-01 20:00"))
        assert (second.position, second.next_run_at) == (1, at("2026-05-02 10:00"))  # day 0's hour was over
        only_today = make_sop(brand, (0, 8), name="today")
        assert (
            enrolments.enrol(brand, contact=early, sop=only_today, at=at("2026-05-01 12:00"), source="page")
            is None
        )


def test_enrolling_at_once_from_many(brand: Any, staff: Any) -> None:
    with in_brand(brand):
        sop = make_sop(brand, (1, 10))
        ids = [make_contact(brand, staff).pk for _ in range(30)]

    def work() -> int:
        with in_brand(brand):
            return enrolments.enrol_many(brand, sop=sop, contact_ids=ids, source="page")

    assert sum(together(*[work] * 4)) == 30
    with in_brand(brand):
        assert Enrolment.objects.count() == 30 == Event.objects.filter(type=EventType.SOP_ENTERED).count()


def test_a_job_enrols_thousands(brand: Any, staff: Any) -> None:
    with in_brand(brand):
        sop = make_sop(brand, (1, 10))
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO contacts_contact (brand_id, position, name, avatar, gender, kind, corp_name,"
                " do_not_contact,"
                " n_follows, added_at) SELECT %s, 1000 + i, 'n', '', 0, 1, '', false, 1, %s FROM"
                " generate_series(1, 2500) i",
                [brand.pk, clock.now()],
            )
        ids = list(Contact.objects.values_list("pk", flat=True))
        job = enrolments.start_enrolling(brand, sop_id=sop.pk, contact_ids=[*ids, 999_999_999], by=SYSTEM)
        again = enrolments.start_enrolling(brand, sop_id=sop.pk, contact_ids=[*ids, 999_999_999], by=SYSTEM)
    assert again.pk == job.pk
    with in_brand(brand):
        job.refresh_from_db()
        assert (job.state, job.n_done, job.n_bad, job.result) == ("done", 2501, 1, {"enrolled": 2500})
        assert Enrolment.objects.count() == 2500
        draft = make_sop(brand, (1, 10), name="d", on=False)
        with pytest.raises(ConflictError):
            enrolments.start_enrolling(brand, sop_id=draft.pk, contact_ids=ids, by=SYSTEM)


# ---- edits

_days = st.lists(
    st.tuples(st.integers(0, 12), st.sampled_from([9, 15, 21])), min_size=1, max_size=5, unique=True
)


def test_a_message_whose_key_is_taken_is_left_out_of_its_set(brand: Any, staff: Any) -> None:
    """Whatever has claimed it before: the others of the same guide and step get theirs, and everybody goes on."""
    with in_brand(brand):
        sop = make_sop(brand, (1, 10), (2, 10))
        people = [make_contact(brand, staff) for _ in range(4)]
        for contact in people:
            enrolments.enrol(brand, contact=contact, sop=sop, at=at("2026-05-01 12:00"), source="page")
        had = Enrolment.objects.get(contact=people[1])
        key = f"s:{had.pk}:{sops.live_steps(sop.pk)[0].pk}"
        TouchKey.objects.create(key=key, touch_at=at("2026-05-01 13:00"), touch_id=1)
        done = stepping.run(brand, at("2026-05-02 10:00"))
        others = {contact.pk for contact in people if contact != people[1]}
        assert (done.n, done.n_planned) == (4, 3)
        assert {touch.contact_id for touch in Touch.objects.all()} == others
        task = SendTask.objects.get()
        assert set(task.contact_ids) == others and task.n == 3
        assert TouchKey.objects.count() == 4 and TouchKey.objects.get(key=key).touch_id == 1
        assert {e.next_run_at for e in Enrolment.objects.all()} == {at("2026-05-03 10:00")}


def test_a_key_that_comes_twice_is_claimed_once(brand: Any) -> None:
    with in_brand(brand):
        assert touches.claim_keys(brand, clock.now(), ["s:1:1", "s:1:2", "s:1:1"], [7, 8, 9]) == {9}
        assert touches.claim_keys(brand, clock.now(), ["s:1:3", "s:1:2"], [10, 11]) == {11}
        assert dict(TouchKey.objects.values_list("key", "touch_id")) == {"s:1:1": 7, "s:1:2": 8, "s:1:3": 10}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    before=_days,
    after=_days,
    hours=st.lists(st.integers(1, 400), min_size=1, max_size=6),
    keep=st.integers(0, 31),
)
def test_edits_never_repeat_and_never_go_back(
    brand: Any, before: list, after: list, hours: list[int], keep: int
) -> None:
    """Whatever is edited whenever: no step twice for a person, no step whose time lay before the edit and was
    not due, and everybody comes to an end."""
    joined = at("2026-05-01 12:00")
    with in_brand(brand):
        Sop.objects.all().delete()
        TouchKey.objects.all().delete()
        Touch.objects.all().delete()
        staff = make_staff(brand)
        contact = make_contact(brand, staff)
        sop = make_sop(brand, *before)
        enrolments.enrol(brand, contact=contact, sop=sop, at=joined, source="page")
        moments = sorted(joined + timedelta(hours=h) for h in hours)
        edit_at = moments[len(moments) // 2]
        for moment in [m for m in moments if m <= edit_at]:
            stepping.run(brand, moment)
        done_before = set(Touch.objects.values_list("step_id", flat=True))
        with clock.at(edit_at):
            old = sops.live_steps(sop.pk)
            kept = [s.pk for i, s in enumerate(old) if keep >> i & 1]
            given_steps = [
                StepInput(d, h, 0, "neu", step_id=kept[i] if i < len(kept) else None)
                for i, (d, h) in enumerate(after)
            ]
            sops.edit_sop(brand, sop_id=sop.pk, name="S", late_days=3, steps=given_steps, by=SYSTEM)
        for moment in [m for m in moments if m > edit_at] + [joined + timedelta(days=40)]:
            stepping.run(brand, max(moment, edit_at))
        rows = list(Touch.objects.all())
        assert len({t.step_id for t in rows}) == len(rows)
        live = {s.pk: s for s in sops.live_steps(sop.pk)}
        for touch in rows:
            if touch.step_id in done_before:
                continue
            step = live[touch.step_id]  # a step that was taken out is not sent after that
            from campaigns.services.sops.schedule import joining_date, run_at

            moment = run_at(
                joining_date(joined, brand.timezone), step.day, step.hour, step.minute, brand.timezone
            )
            assert moment >= edit_at
        assert not Enrolment.objects.filter(ended_at=None).exists()


def test_steps_that_were_due_stay_due_after_an_edit(brand: Any, staff: Any) -> None:
    with in_brand(brand):
        sop = make_sop(brand, (1, 10), (5, 10))
        enrolments.enrol(
            brand, contact=make_contact(brand, staff), sop=sop, at=at("2026-05-01 12:00"), source="page"
        )
        first, second = sops.live_steps(sop.pk)
        with clock.at(at("2026-05-02 12:00")):  # two hours late already
            steps = [
                StepInput(1, 10, 0, "better", step_id=first.pk),
                StepInput(1, 11, 0, "new"),
                StepInput(5, 10, 0, "x", step_id=second.pk),
            ]
            effect = sops.edit_sop(brand, sop_id=sop.pk, name="S", late_days=3, steps=steps, by=SYSTEM)
        assert (effect.n_people, effect.n_moved) == (1, 0)
        stepping.run(brand, at("2026-05-02 12:01"))
        sent = [t.step_id for t in Touch.objects.filter(reason=0)]
        assert sent == [sops.live_steps(sop.pk)[1].pk]  # of the two that are due the newest
        assert SendTask.objects.get().text == "new"


def test_a_step_that_was_received_is_not_due_again_when_it_is_moved(brand: Any, staff: Any) -> None:
    with in_brand(brand):
        sop = make_sop(brand, (1, 10), (9, 10))
        row = enrolments.enrol(
            brand, contact=make_contact(brand, staff), sop=sop, at=at("2026-05-01 12:00"), source="page"
        )
        stepping.run(brand, at("2026-05-02 10:00"))
        first, second = sops.live_steps(sop.pk)
        with clock.at(at("2026-05-03 12:00")):
            moved = [StepInput(5, 10, 0, "x", step_id=first.pk), StepInput(9, 10, 0, "y", step_id=second.pk)]
            assert sops.preview_edit(brand, sop_id=sop.pk, steps=moved).n_moved == 0
            sops.edit_sop(brand, sop_id=sop.pk, name="S", late_days=3, steps=moved, by=SYSTEM)
        row.refresh_from_db()
        assert row.next_run_at == at("2026-05-10 10:00")
        for day in range(4, 12):
            stepping.run(brand, at(f"2026-05-{day:02} 10:00"))
        assert sorted(Touch.objects.values_list("step_id", flat=True)) == sorted([first.pk, second.pk])


@pytest.mark.parametrize("zone", ["America/New_York", "Pacific/Auckland"])
def test_a_change_of_the_brands_zone_loses_no_step(brand: Any, staff: Any, zone: str) -> None:
    with in_brand(brand):
        sop = make_sop(brand, (1, 10), (2, 10), (3, 10))
        contact = make_contact(brand, staff)
        enrolments.enrol(brand, contact=contact, sop=sop, at=at("2026-05-01 12:00"), source="page")
        stepping.run(brand, at("2026-05-02 10:00"))
        brand.timezone = zone
        for hour in range(24 * 5):
            stepping.run(brand, at("2026-05-02 11:00") + timedelta(hours=hour))
        assert Touch.objects.filter(reason=0).count() == 3
        assert Enrolment.objects.get().end_kind == "done"


def test_only_names_of_this_sop_and_brand(brand: Any, other_brand: Any) -> None:
    with in_brand(other_brand):
        foreign = make_sop(other_brand, (1, 10))
        step = sops.live_steps(foreign.pk)[0]
    with in_brand(brand):
        sop = make_sop(brand, (1, 10))
        with pytest.raises(InvalidError):
            sops.edit_sop(
                brand,
                sop_id=sop.pk,
                name="S",
                late_days=1,
                steps=[StepInput(1, 1, 1, "x", step_id=step.pk)],
                by=SYSTEM,
            )
        with pytest.raises(NotFoundError):
            sops.pause(brand, sop_id=foreign.pk, by=SYSTEM)


def test_a_code_keeps_its_draft(brand: Any, corp: Any) -> None:
    from livecodes.models import ChannelCode

    with in_brand(brand):
        sop = make_sop(brand, (1, 10), on=False)
        ChannelCode.objects.create(corp=corp, name="c", state="s", sop=sop)
        with pytest.raises(ConflictError):
            sops.delete_draft(brand, sop_id=sop.pk, by=SYSTEM)


# ---- remind, cancel


def handed(live: Live) -> SendTask:
    sop = live.make_sop((1, 10))
    with in_brand(live.brand):
        enrolments.enrol_many(
            live.brand, sop=sop, contact_ids=[live.contacts[0].pk], source="page", at=at("2026-03-01 15:00")
        )
    live.tick(at("2026-03-02 10:00"))
    with in_brand(live.brand):
        return SendTask.objects.get()


def test_remind_three_times_a_day(live: Live) -> None:
    from tests.campaigns.test_lost import in_brand_scope

    task = handed(live)
    for minute in (0, 30, 60):
        with clock.at(at("2026-03-02 11:00") + timedelta(minutes=minute)), in_brand_scope(live):
            results.remind(live.brand, task_id=task.pk, by=SYSTEM)
            with pytest.raises(LimitError):  # pressed twice
                results.remind(live.brand, task_id=task.pk, by=SYSTEM)
    with clock.at(at("2026-03-02 13:00")), in_brand_scope(live), pytest.raises(LimitError):
        results.remind(live.brand, task_id=task.pk, by=SYSTEM)
    assert len(live.sandbox.calls("externalcontact/remind_groupmsg_send", live.corp.corpid)) == 3
    live.sandbox.post("clock", offset_s=(at("2026-03-03 12:00") - clock.now()).total_seconds())
    with clock.at(at("2026-03-03 12:00")), in_brand_scope(live):
        results.remind(live.brand, task_id=task.pk, by=SYSTEM)
    live.confirm_all(at("2026-03-03 13:00"))
    live.tick(at("2026-03-03 14:00"))
    with clock.at(at("2026-03-05 15:00")), in_brand_scope(live), pytest.raises(ConflictError):
        results.remind(live.brand, task_id=task.pk, by=SYSTEM)


def test_cancel_before_and_after_confirming(live: Live) -> None:
    from tests.campaigns.test_lost import in_brand_scope

    task = handed(live)
    with clock.at(at("2026-03-02 11:00")), in_brand_scope(live):
        results.cancel(live.brand, task_id=task.pk, by=SYSTEM)
        with pytest.raises(ConflictError):
            results.cancel(live.brand, task_id=task.pk, by=SYSTEM)
    assert {t.state for t in live.ledger()} == {Touch.State.CANCELLED}
    assert live.confirm_all(at("2026-03-02 12:00")) == 0 and live.received() == {}


def test_cancel_comes_too_late(live: Live) -> None:
    from tests.campaigns.test_lost import in_brand_scope

    task = handed(live)
    live.confirm_all(at("2026-03-02 10:30"))
    with clock.at(at("2026-03-02 11:00")), in_brand_scope(live):
        results.cancel(live.brand, task_id=task.pk, by=SYSTEM)
    assert {t.state for t in live.ledger()} == {Touch.State.DELIVERED}


def test_cancel_is_finished_by_the_next_poll(live: Live) -> None:
    """WeCom does not answer while somebody cancels: the wish is kept."""
    from tests.campaigns.test_lost import in_brand_scope
    from wecom.errors import WeComError

    task = handed(live)
    live.sandbox.post(
        "faults", api="externalcontact/cancel_groupmsg_send", kind="errcode", errcode=-1, times=3
    )
    with clock.at(at("2026-03-02 11:00")), in_brand_scope(live), pytest.raises(WeComError):
        results.cancel(live.brand, task_id=task.pk, by=SYSTEM)
    live.tick(at("2026-03-02 11:10"))
    assert {t.state for t in live.ledger()} == {Touch.State.CANCELLED}
    assert live.confirm_all(at("2026-03-02 12:00")) == 0


# ---- figures, plans of Postgres


def test_folds_can_be_rebuilt(brand: Any, staff: Any) -> None:
    with in_brand(brand):
        sop = make_sop(brand, (1, 10), (2, 10))
        ids = [make_contact(brand, staff, do_not_contact=i % 2 == 0).pk for i in range(10)]
        enrolments.enrol_many(brand, sop=sop, contact_ids=ids, source="page", at=at("2026-05-01 12:00"))
        for day in (2, 3):
            stepping.run(brand, at(f"2026-05-0{day} 23:30"))
        rows = StepBlocked.objects.values_list("step_id", "on", "reason", "sop_id", "n")
        before = sorted(rows)
        assert sum(row[4] for row in before) == 10
        StepBlocked.objects.update(n=99)
        numbers.rebuild(brand)
        assert sorted(rows.all()) == before


def plan_of(sql: str, params: Any) -> str:
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN " + sql, params)
        return "\n".join(row[0] for row in cursor.fetchall())


def mid_month() -> datetime:
    """A moment whose fortnight before lies in its own month's partition: in the first hours of a month that one holds a few
    rows only, and Postgres reads them as they are."""
    return clock.now().replace(day=20, hour=12, minute=0)


@pytest.fixture
def many(brand: Any, staff: Any) -> Any:
    """Enough rows that Postgres prefers an index where there is one; two brands' worth."""
    from tests.factories import make_brand

    other = make_brand()
    for one in (brand, other):
        with in_brand(one):
            sop = make_sop(one, (1, 10), name="many")
            with connection.cursor() as cursor:
                cursor.execute(
                    "INSERT INTO contacts_contact (brand_id, position, name, avatar, gender, kind,"
                    " corp_name, do_not_contact,"
                    " n_follows, added_at) SELECT %s, 1000 + i, 'n', '', 0, 1, '', false, 1, %s FROM"
                    " generate_series(1, 20000) i",
                    [one.pk, mid_month()],
                )
                cursor.execute(
                    "INSERT INTO campaigns_enrolment (brand_id, sop_id, contact_id, source, joined_at,"
                    " position, next_run_at,"
                    " entered_at, is_parked, end_kind) SELECT brand_id, %s, id, 'x', %s, 0, %s + position *"
                    " interval '1 minute',"
                    " %s, false, '' FROM contacts_contact WHERE brand_id = %s",
                    [sop.pk, mid_month(), mid_month(), mid_month(), one.pk],
                )
                cursor.execute(
                    "INSERT INTO campaigns_touch (brand_id, at, kind, contact_id, sop_id, state, reason,"
                    " error)"
                    " SELECT brand_id, %s - position * interval '1 minute', 2, id, %s, 4, 0, '' FROM"
                    " contacts_contact WHERE brand_id = %s",
                    [mid_month(), sop.pk, one.pk],
                )
    with connection.cursor() as cursor:
        for table in ("contacts_contact", "campaigns_enrolment", "campaigns_touch"):
            cursor.execute(f"ANALYZE {table}")
    return brand


def test_plans_as_the_applications_role(many: Any) -> None:
    """As app_rw under the policies: the hot queries use more of an index than the brand."""
    now = mid_month()
    with in_brand(many):
        earliest = {"b": many.pk, "graph": False, "at": now, "limit": 5000}
        due = plan_of(dues._TAKE, earliest)
        by_time = due.split("enrolment_due on", 1)[1]
        assert "next_run_at <=" in by_time.split("Index Cond")[1].split("\n")[0]

        ids = touches.array(Contact.objects.order_by("pk").values_list("pk", flat=True)[:50])
        counts = [ids, many.pk, now - timedelta(days=7), now, [2, 3], [1, 3, 4]]
        capped = plan_of(gate._COUNTS, counts)
        assert (
            "contact_id = i.id" in capped.split("Index Cond")[1].split("\n")[0]
            and "Seq Scan on campaigns_touch_2" not in capped
        )

        contact = Contact.objects.first()
        queries = {
            "newest": Touch.objects.filter(at__gte=now - timedelta(days=30)).order_by("-at", "-pk")[:51],
            "of a contact": Touch.objects.filter(contact_id=contact.pk).order_by("-at", "-pk")[:11],
            "of an SOP": Touch.objects.filter(sop_id=1, at__gte=now - timedelta(days=30)).order_by(
                "-at", "-pk"
            )[:51],
            "people": Enrolment.objects.filter(sop=Sop.objects.get(), ended_at=None).order_by("-contact_id")[
                :51
            ],
            "due tasks": SendTask.objects.filter(
                state__in=["planned", "calling", "handed"], next_try_at__lte=now
            ),
        }
        for name, rows in queries.items():
            sql, params = rows.query.sql_with_params()
            found = plan_of(sql, list(params))
            assert "Index" in found, (name, found)
            if name != "due tasks":  # an empty table may be read as it is
                assert (
                    "Seq Scan on campaigns_touch_2" not in found
                    and "Seq Scan on campaigns_enrolment" not in found
                ), (name, found)


def test_what_is_looked_up_for_each_row_is_looked_up(many: Any) -> None:
    """In a brand that Postgres does not know any index that begins with it looks as good as the right one."""
    now = mid_month()
    until = now + timedelta(days=1)
    few = {"b": many.pk, "few": "{1,2}", "since": now, "until": until, "planned": 1, "priority": 5}
    with in_brand(many), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")  # an empty table may be read as it is
        lower = plan_of(outranking._LOWER_OF_FEW, few)
        load = plan_of(guide_load.OTHERS, guide_load.params(many, now, until, [1]))
    for plan, table, key in (
        (lower, "campaigns_sendtask k", "id = t.send_task_id"),
        (lower, "on contacts_contactstat", "contact_id = ANY"),
        (load, "campaigns_momentguide g", "moment_id = m.id"),
        (load, "tagging_dimbits t", "chunk = d.chunk"),
    ):
        assert table in plan, (table, plan)
        found = plan.split(table, 1)[1].split("Index Cond")[1].split("\n")[0]
        assert key in found, (key, plan)


def test_a_minute_with_nothing_due_is_two_probes(many: Any) -> None:
    from django.test.utils import CaptureQueriesContext

    from campaigns.tasks import tick_brand

    with clock.at(mid_month() - timedelta(days=1)), CaptureQueriesContext(connection) as queries:
        tick_brand.delay(brand_id=many.pk)
    statements = [q["sql"] for q in queries if "campaigns_" in q["sql"]]
    assert len(statements) == 2, statements  # enrolments; waves with send tasks
