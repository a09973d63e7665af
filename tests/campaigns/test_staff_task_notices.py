"""What guides and managers are told of tasks: bundled, once, not at night; tasks of people who have left."""

from datetime import timedelta
from typing import Any

import pytest

from campaigns.models import SendTask, StaffTask, TouchPolicy
from campaigns.services.tasks import staff_tasks, task_policy
from campaigns.services.tasks.staff_task_notices import escalate, tell_guides
from campaigns.services.tasks.staff_tasks import TaskInput
from campaigns.tasks import staff_tasks_of_brand
from handover.services.takeover import change_hands
from org.access import SYSTEM
from org.models import Scope, Staff, Store
from scrm import clock
from tests.factories import in_brand, make_contact, make_staff, role
from wecom.models import OutboundCall

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def give(
    brand: Any, staff: Any, n: int = 1, *, due: timedelta = DAY, key: str = "k", contact: Any = None
) -> None:
    rows = [
        TaskInput(
            staff_id=staff.pk,
            kind="call",
            title=f"打电话{i}",
            due_at=clock.now() + due,
            key=f"{key}{staff.pk}:{i}",
            contact_id=contact.pk if contact else None,
        )
        for i in range(n)
    ]
    staff_tasks.add_tasks(brand, rows, source="page")


def notices() -> list[tuple[str, str]]:
    rows = OutboundCall.objects.filter(kind=OutboundCall.Kind.NOTICE).order_by("pk")
    return [(row.payload["userid"], f"{row.payload['title']}|{row.payload['text']}") for row in rows]


def send_task(corp: Any, staff: Any, called_at: Any, **over: Any) -> SendTask:
    return SendTask.objects.create(
        **{
            "corp": corp, "staff": staff, "at": called_at, "content_digest": "x", "contact_ids": [1], "n": 1,
            "state": SendTask.State.HANDED, "msgid": "m", "called_at": called_at, **over,
        }
    )  # fmt: skip


@pytest.fixture(autouse=True)
def no_calls(monkeypatch: Any) -> None:
    """The notices are read where they are written down; the outbox is tried elsewhere."""
    monkeypatch.setattr("wecom.services.outbound.start", lambda *_args: None)


def test_one_message_for_many_new_tasks_and_one_before_the_deadline(brand: Any, staff: Any) -> None:
    start = clock.now()
    with in_brand(brand):
        give(brand, staff, 3)
        assert tell_guides(brand) == 0  # a job may still be giving more
    with clock.at(start + 2 * MINUTE), in_brand(brand):
        assert tell_guides(brand) == 1
        assert tell_guides(brand) == 0
        [(userid, words)] = notices()
        assert userid == staff.userid and "3" in words and "打电话0" in words
        assert OutboundCall.objects.get().payload["url"].endswith(f"/g/?corp={staff.corp.corpid}")
    with clock.at(start + 5 * HOUR), in_brand(brand):
        assert tell_guides(brand) == 0
    with clock.at(start + 23 * HOUR), in_brand(brand):
        assert tell_guides(brand) == 1
        assert tell_guides(brand) == 0
        assert StaffTask.objects.filter(reminded_at=None).count() == 0
        assert len(notices()) == 2


def test_not_more_than_one_message_in_half_an_hour(brand: Any, staff: Any) -> None:
    start = clock.now()
    with in_brand(brand):
        give(brand, staff, 1, key="a")
    with clock.at(start + 2 * MINUTE), in_brand(brand):
        assert tell_guides(brand) == 1
        give(brand, staff, 1, key="b")
    with clock.at(start + 10 * MINUTE), in_brand(brand):
        assert tell_guides(brand) == 0
    with clock.at(start + 40 * MINUTE), in_brand(brand):
        assert tell_guides(brand) == 1
        assert "1" in notices()[-1][1]


def test_quiet_hours_hold_the_notice(brand: Any, staff: Any) -> None:
    local = clock.now().astimezone(__import__("zoneinfo").ZoneInfo(brand.timezone))
    with in_brand(brand):
        policy = TouchPolicy.objects.create(
            quiet_start=(local - HOUR).time(), quiet_end=(local + HOUR).time()
        )
        give(brand, staff)
    with clock.at(clock.now() + 5 * MINUTE), in_brand(brand):
        assert tell_guides(brand) == 0
        policy.delete()
        assert tell_guides(brand) == 1


def test_sends_to_confirm_are_in_it_and_told_once(brand: Any, corp: Any, staff: Any) -> None:
    now = clock.now()
    with in_brand(brand):
        send_task(corp, staff, now - MINUTE)
        assert tell_guides(brand) == 0  # WeCom has just shown it itself
        send_task(corp, staff, now - 3 * HOUR, content_digest="y")
        assert tell_guides(brand) == 1
        assert "2" in notices()[0][1]
    with clock.at(now + HOUR), in_brand(brand):
        assert tell_guides(brand) == 0
        SendTask.objects.update(confirmed_at=now)
    with clock.at(now + 5 * HOUR), in_brand(brand):
        assert tell_guides(brand) == 0


def test_a_send_that_was_planned_earlier_and_handed_over_later_is_told(
    brand: Any, corp: Any, staff: Any
) -> None:
    """A paused campaign's send has a lower number than what was told meanwhile; so has one whose call takes long."""
    now = clock.now()
    with in_brand(brand):
        store = Store.objects.create(name="店")
        make_staff(brand, corp, store=store, role=role(brand, "manager"))
        Staff.objects.filter(pk=staff.pk).update(store=store)
        paused = send_task(corp, staff, None, at=now, state="planned", msgid="", content_digest="p")
        slow = send_task(corp, staff, now - 10 * MINUTE, state="calling", msgid="", content_digest="s")
        send_task(corp, staff, now - 25 * HOUR)
        assert tell_guides(brand) == escalate(brand) == 1
        SendTask.objects.filter(pk=slow.pk).update(state="handed")
    with clock.at(now + 2 * HOUR), in_brand(brand):
        assert tell_guides(brand) == 1
        assert tell_guides(brand) == escalate(brand) == 0
    with clock.at(now + 3 * HOUR), in_brand(brand):
        SendTask.objects.filter(pk=paused.pk).update(state="handed", called_at=clock.now())
        assert tell_guides(brand) == escalate(brand) == 0
    with clock.at(now + 6 * HOUR), in_brand(brand):
        assert tell_guides(brand) == 1
    with clock.at(now + 24 * HOUR), in_brand(brand):
        assert escalate(brand) == 1
    with clock.at(now + 28 * HOUR), in_brand(brand):
        assert escalate(brand) == 1
        assert escalate(brand) == tell_guides(brand) == 0


def test_whom_nobody_manages_somebody_of_the_brand_hears_of(brand: Any, corp: Any, staff: Any) -> None:
    now = clock.now()
    with in_brand(brand):
        boss = make_staff(brand, corp, role=role(brand, "admin"))
        make_staff(brand, corp, role=role(brand, "manager"))  # of no store
        give(brand, staff, 1, due=HOUR)
        give(brand, boss, 1, due=HOUR)  # nobody is told of themselves
    with clock.at(now + 3 * HOUR), in_brand(brand):
        assert escalate(brand) == 1
        ((userid, words),) = notices()
        assert userid == boss.userid and staff.name in words and boss.name not in words


def test_the_manager_hears_of_each_late_task_once(brand: Any, corp: Any, staff: Any) -> None:
    now = clock.now()
    with in_brand(brand):
        store = Store.objects.create(name="店")
        boss = make_staff(brand, corp, store=store, role=role(brand, "manager"))
        assert boss.role.scope == Scope.STORE
        other = make_staff(brand, corp, store=store)
        Staff.objects.filter(pk=staff.pk).update(store=store)
        give(brand, staff, 2, due=HOUR)
        give(brand, other, 1, due=HOUR)
        send_task(corp, other, now - 25 * HOUR)
    with clock.at(now + HOUR + MINUTE), in_brand(brand):
        assert escalate(brand) == 1  # the send; the tasks have an hour more
        assert escalate(brand) == 0
    with clock.at(now + 3 * HOUR), in_brand(brand):
        assert escalate(brand) == 1
        assert escalate(brand) == 0
        assert [userid for userid, _words in notices()] == [boss.userid, boss.userid]
        assert staff.name in notices()[-1][1] and other.name in notices()[-1][1]
        assert StaffTask.objects.filter(escalated_at=None).count() == 0


def test_without_a_manager_nobody_is_told_and_nothing_is_asked_again(brand: Any, staff: Any) -> None:
    with in_brand(brand):
        give(brand, staff, due=HOUR)
    with clock.at(clock.now() + DAY), in_brand(brand):
        assert escalate(brand) == 0
        assert StaffTask.objects.get().escalated_at is not None


def test_tasks_of_a_leaver_go_to_the_customers_guide_or_the_manager(
    brand: Any, corp: Any, staff: Any
) -> None:
    with in_brand(brand):
        boss, heir = make_staff(brand, corp), make_staff(brand, corp)
        contact = make_contact(brand, heir)
        give(brand, staff, key="own")
        give(brand, staff, key="about", contact=contact)
        Staff.objects.filter(pk=staff.pk).update(state="left", is_guide=False, leader_userid=boss.userid)
        assert staff_tasks.rehome(brand) == 2
        assert StaffTask.objects.get(contact=contact).staff_id == heir.pk
        assert StaffTask.objects.get(contact=None).staff_id == boss.pk
        assert staff_tasks.rehome(brand) == 0


def test_tasks_that_nobody_can_take_are_in_nobodys_way(
    brand: Any, corp: Any, staff: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(staff_tasks, "SLICE", 2)
    with in_brand(brand):
        heir = make_staff(brand, corp)
        give(brand, staff, 4, key="own")
        give(brand, staff, key="about", contact=make_contact(brand, heir))
        Staff.objects.filter(pk=staff.pk).update(state="left", is_guide=False)
        assert staff_tasks.rehome(brand) == 1
        assert StaffTask.objects.exclude(contact=None).get().staff_id == heir.pk


def test_a_customer_who_changes_hands_takes_the_tasks_along(brand: Any, corp: Any, staff: Any) -> None:
    with in_brand(brand):
        heir = make_staff(brand, corp)
        contact = make_contact(brand, staff)
        give(brand, staff, contact=contact)
        follow = contact.follows.get()
        change_hands(
            brand,
            corp=corp,
            giver=staff,
            receiver=heir,
            external_userid=follow.external_userid,
            at=clock.now(),
            source="callback",
        )
        assert StaffTask.objects.get().staff_id == heir.pk


def test_the_tick_ends_what_is_not_worth_doing_any_more(brand: Any, staff: Any) -> None:
    with in_brand(brand):
        row = TaskInput(
            staff_id=staff.pk, kind="call", title="t", key="k", due_at=clock.now() + HOUR,
            expires_at=clock.now() + 2 * HOUR,
        )  # fmt: skip
        staff_tasks.add_tasks(brand, [row], source="page")
    with clock.at(clock.now() + 3 * HOUR):
        staff_tasks_of_brand.delay(brand_id=brand.pk)
    with in_brand(brand):
        assert StaffTask.objects.get().state == "expired"


def test_taken_back_and_given_again(brand: Any, staff: Any) -> None:
    with in_brand(brand):
        give(brand, staff, 2)
        assert staff_tasks.cancel(brand, by=SYSTEM, source="page", source_id=None) == 2
        ids = list(StaffTask.objects.values_list("pk", flat=True))
        assert staff_tasks.restore(brand, by=SYSTEM, task_ids=ids[:1]) == 1
        assert StaffTask.objects.filter(state="open").count() == 1
    with clock.at(clock.now() + 2 * DAY), in_brand(brand):
        assert staff_tasks.restore(brand, by=SYSTEM, task_ids=ids) == 0


def test_another_brand_is_told_nothing(brand: Any, other_brand: Any, staff: Any) -> None:
    with in_brand(brand):
        give(brand, staff)
    with clock.at(clock.now() + HOUR), in_brand(other_brand):
        assert tell_guides(other_brand) == 0 and escalate(other_brand) == 0


def test_a_brand_has_its_own_hours(brand: Any, staff: Any) -> None:
    start = clock.now()
    with in_brand(brand):
        manager = make_staff(brand, staff.corp)
        Staff.objects.filter(pk=staff.pk).update(leader_userid=manager.userid)
        task_policy.change_policy(brand, by=SYSTEM, remind_hours=5, escalate_hours=3)
        give(brand, staff, due=10 * HOUR)
    with clock.at(start + 2 * MINUTE), in_brand(brand):
        assert tell_guides(brand) == 1  # it is new
    for hours, n in ((4, 0), (5.5, 1)):
        with clock.at(start + hours * HOUR), in_brand(brand):
            assert tell_guides(brand) == n
    for hours, n in ((12, 0), (13.5, 1)):
        with clock.at(start + hours * HOUR), in_brand(brand):
            assert escalate(brand) == n
