"""Two records that turn out to be one person after a campaign was planned for both: nobody gets a message twice, and the
enrolment that the merge has closed sends nothing more."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from campaigns.models import Enrolment, SendTask, StepBlocked, Touch, TouchKey
from campaigns.services.broadcasts import waves
from campaigns.services.broadcasts.broadcasts import WaveInput
from campaigns.services.ledger import joined
from campaigns.services.sending import claims, handing
from campaigns.services.sops import numbers
from contacts.models import Contact, Event, EventType, Follow, Merge
from contacts.services.identity import parting
from contacts.services.identity.identity import resolve
from org.access import SYSTEM
from scrm import clock
from tenants.db.joins import joined_by_loop
from tests.campaigns.graphs import entry, line, touch, wait
from tests.campaigns.test_broadcast_whom import launch, tagged
from tests.campaigns.test_journeys import World, world
from tests.campaigns.test_leftovers import MORNING, NIGHT, quiet
from tests.campaigns.test_services import plan_of
from tests.factories import in_brand

__all__ = ["world"]
pytestmark = pytest.mark.django_db(transaction=True)
R, S = Touch.Reason, Touch.State


def join(world: World, keep: Contact, lose: Contact) -> Merge:
    """A platform says that they are one."""
    with in_brand(world.brand), clock.at(world.now):
        for contact in (keep, lose):
            resolve(world.brand, contact=contact, unionid=f"u{keep.pk}", source="callback")
        return Merge.objects.get(contact=keep, lost_id=lose.pk)


def call(world: World, some: list[int] | None = None) -> list[int]:
    """Who is written to, of all tasks that are due or of these."""
    with in_brand(world.brand), clock.at(world.now):
        ids = some or list(SendTask.objects.filter(state="planned").values_list("pk", flat=True))
        return [pk for one in claims.claim(world.brand, ids) for pk in one.receivers.values()]


def live(world: World) -> Counter[int]:
    """Messages for each person that are not held back."""
    with in_brand(world.brand):
        return Counter(Touch.objects.exclude(state=S.BLOCKED).values_list("contact_id", flat=True))


def planned(world: World, form: str) -> None:
    quiet(world, caps=[])
    if form == "broadcast":
        with in_brand(world.brand), clock.at(world.now):
            launch(world.brand)
            waves.run_due(world.brand)
    else:
        world.put_in(world.publish(line(entry(), touch("晚安"), wait(n=3), touch("再来"))))
        world.tick()
    with in_brand(world.brand):
        assert set(Touch.objects.values_list("state", flat=True)) == {S.PLANNED}
        assert Touch.objects.count() == len(world.people)


@pytest.mark.parametrize("form", ["sop", "broadcast"])
@pytest.mark.parametrize("whose", ["two guides", "one guide"])
def test_a_message_planned_for_both_goes_out_once(world: World, form: str, whose: str) -> None:
    planned(world, form)
    keep = world.people[0]
    join(world, keep, world.people[1 if whose == "two guides" else 2])
    world.now = MORNING
    everybody = call(world)
    assert len(everybody) == len(set(everybody)) == 3
    assert set(live(world).values()) == {1}
    with in_brand(world.brand):
        [held] = Touch.objects.filter(state=S.BLOCKED)
        # of an SOP it is the one of the enrolment that was closed
        assert held.contact_id == keep.pk and held.reason == (R.JOINED if form == "broadcast" else R.LEFT_SOP)
        told = Event.objects.get(type=EventType.TOUCH_BLOCKED)
        assert (told.contact_id, told.object_id) == (keep.pk, held.pk)
        for task in SendTask.objects.filter(state="calling"):
            assert task.n == len(task.contact_ids) == len(set(task.contact_ids)) > 0
        if form == "sop":
            assert StepBlocked.objects.get().n == 1
            numbers.rebuild(world.brand)
            assert StepBlocked.objects.get().n == 1


@pytest.mark.parametrize("form", ["sop", "broadcast"])
def test_one_that_wecom_has_already_is_the_one(world: World, form: str) -> None:
    """The later record's message has been handed over when they become one."""
    planned(world, form)
    first, second, *_rest = world.people
    world.now = MORNING
    with in_brand(world.brand), clock.at(world.now):
        task = SendTask.objects.get(contact_ids__contains=[second.pk])
        [made] = claims.claim(world.brand, [task.pk])
        handing.record_handed(world.brand, [handing.Made(made.task, "m1")])
    join(world, first, second)
    assert first.pk not in call(world)
    with in_brand(world.brand):
        [held] = Touch.objects.filter(state=S.BLOCKED)
        assert held.send_task_id != task.pk and held.reason == R.JOINED


def test_both_are_called_at_the_same_time_in_either_order(world: World) -> None:
    """Two workers have a task each: the same one gives way, whoever comes first."""
    planned(world, "broadcast")
    keep = world.people[0]
    join(world, keep, world.people[1])
    world.now = MORNING
    with in_brand(world.brand):
        tasks = list(SendTask.objects.filter(contact_ids__contains=[keep.pk]).order_by("-touch_first"))
        found = [joined.surplus(world.brand, [task], {task.pk: NIGHT}) for task in tasks]
    assert [list(one) for one in found] == [[tasks[0].pk], []]
    written = call(world, [tasks[0].pk]) + call(world, [tasks[1].pk])
    assert written.count(keep.pk) == 1


def test_the_enrolment_that_was_closed_sends_nothing_more(world: World) -> None:
    """One is further than the other: what is planned on the closed way stays behind, the open one goes on."""
    quiet(world, caps=[])
    keep, lose, *_rest = world.people
    sop = world.publish(line(entry(), touch("一"), wait(n=12, unit="hours"), touch("二"), wait(n=3)))
    world.put_in(sop, [lose])
    world.tick()
    world.now += timedelta(hours=4)
    world.put_in(sop, [keep])
    world.tick()
    world.now = MORNING + timedelta(hours=1)
    world.tick()
    join(world, keep, lose)
    with in_brand(world.brand):
        closed = Enrolment.objects.get(contact=keep, end_kind="removed")
        still_in = Enrolment.objects.get(contact=keep, ended_at=None)
        assert (len(_touches_of(closed.pk)), len(_touches_of(still_in.pk))) == (2, 1)
    assert call(world) == [keep.pk]
    with in_brand(world.brand):
        gone = Touch.objects.filter(pk__in=_touches_of(closed.pk)).values_list("state", "reason")
        assert set(gone) == {(S.BLOCKED, R.LEFT_SOP)}
        [sent] = Touch.objects.filter(pk__in=_touches_of(still_in.pk))
        assert sent.state == S.PLANNED and SendTask.objects.get(pk=sent.send_task_id).state == "calling"


def _touches_of(enrolment_id: int) -> list[Any]:
    keys = TouchKey.objects.filter(key__startswith=f"s:{enrolment_id}:")
    return list(keys.values_list("touch_id", flat=True))


@pytest.mark.parametrize("hours", [5, 48])
def test_who_enters_again_gets_it_again(world: World, hours: int) -> None:
    """Somebody who was two records before runs through an SOP twice, on one day too."""
    quiet(world, caps=[])
    keep, lose, *_rest = world.people
    join(world, keep, lose)
    sop = world.publish(line(entry(), touch("一"), reentry="always"))
    world.now = MORNING
    for _turn in range(2):
        world.put_in(sop, [keep])
        world.tick()
        assert call(world) == [keep.pk]
        with in_brand(world.brand):
            SendTask.objects.update(state="final")
        world.now += timedelta(hours=hours)


def test_both_have_come_to_the_end_before_they_are_one(world: World) -> None:
    """No enrolment is closed then, and still it is the same message twice."""
    quiet(world, caps=[])
    keep, lose, *_rest = world.people
    sop = world.publish(line(entry(), touch("一"), reentry="always"))
    for contact in (lose, keep):
        world.put_in(sop, [contact])
        world.tick()
        world.now += timedelta(hours=1)
    join(world, keep, lose)
    world.now = MORNING
    assert call(world) == [keep.pk]


def test_waves_beside_each_other_are_one_message(world: World) -> None:
    """Each record is in another wave, of which nobody is in two."""
    quiet(world, caps=[])
    keep, lose, *_rest = world.people
    with clock.at(world.now), in_brand(world.brand):
        late = world.now + timedelta(hours=1)
        first = WaveInput(condition=tagged(world.brand, [lose]))
        after = WaveInput(MORNING + timedelta(hours=1), after="everybody")
        launch(world.brand, waves=[first, WaveInput(late), after])
    for moment in (world.now, late):
        with in_brand(world.brand), clock.at(moment):
            waves.run_due(world.brand)
    join(world, keep, lose)
    world.now = MORNING
    got = call(world)
    with in_brand(world.brand):  # what the same guide has to send, one after the other
        SendTask.objects.filter(state="calling").update(state="final")
    world.now += timedelta(minutes=2)
    assert sorted(got + call(world)) == sorted(contact.pk for contact in world.people if contact != lose)
    with in_brand(world.brand):
        assert Touch.objects.get(reason=R.JOINED).contact_id == keep.pk


def test_a_repeat_is_a_message_of_its_own(world: World) -> None:
    quiet(world, caps=[])
    join(world, world.people[0], world.people[1])
    with clock.at(world.now), in_brand(world.brand):
        launch(world.brand, repeat="day", repeat_until=world.now + timedelta(days=9))
    for day in range(2):
        with clock.at(NIGHT + timedelta(days=day)), in_brand(world.brand):
            waves.run_due(world.brand)
        world.now = MORNING + timedelta(days=day)
        assert len(call(world)) == 3
        with in_brand(world.brand):
            SendTask.objects.update(state="final")


def test_one_that_cannot_go_does_not_hold_back_the_other(world: World) -> None:
    """The guide of the one written first has lost the customer meanwhile; the other guide has them."""
    planned(world, "broadcast")
    keep, lose, *_rest = world.people
    join(world, keep, lose)
    with in_brand(world.brand):
        first = Touch.objects.filter(contact_id=keep.pk).earliest("pk")
        Follow.objects.filter(contact=keep, staff_id=first.staff_id).update(ended_at=world.now)
    world.now = MORNING
    assert call(world).count(keep.pk) == 1
    with in_brand(world.brand):
        assert Touch.objects.get(pk=first.pk).reason == R.NOT_FOLLOWED


def test_one_that_is_too_late_does_not_hold_back_the_other(world: World) -> None:
    """After a pause, for example."""
    quiet(world, caps=[])
    keep, lose, *_rest = world.people
    sop = world.publish(line(entry(), touch("一"), reentry="always", late="skip", late_hours=1))
    world.now = MORNING
    for contact in (lose, keep):
        world.put_in(sop, [contact])
        world.tick()
        world.now += timedelta(minutes=90)
    join(world, keep, lose)
    assert call(world) == [keep.pk]
    with in_brand(world.brand):
        reasons = Touch.objects.order_by("pk").values_list("reason", flat=True)
        assert list(reasons) == [R.TOO_LATE, R.NONE]


def test_a_task_of_which_nobody_is_left_is_over(world: World) -> None:
    quiet(world, caps=[])
    keep, lose, *_rest = world.people
    with in_brand(world.brand), clock.at(world.now):
        launch(world.brand, audience={"contacts": [keep.pk, lose.pk]})
        waves.run_due(world.brand)
    join(world, keep, lose)
    world.now = MORNING
    assert call(world) == [keep.pk]
    with in_brand(world.brand):
        tasks = SendTask.objects.order_by("state").values_list("state", "n", "contact_ids")
        assert list(tasks) == [("calling", 1, [keep.pk]), ("failed", 0, [])]


def test_parted_again_nothing_is_held_back(world: World) -> None:
    planned(world, "broadcast")
    merge = join(world, world.people[0], world.people[1])
    world.now = MORNING
    with in_brand(world.brand), clock.at(world.now):
        parting.part(world.brand, contact_id=world.people[0].pk, merge_id=merge.pk, by=SYSTEM)
    assert len(call(world)) == 4


def test_costs_nothing_where_nobody_was_joined(world: World, django_assert_num_queries: Any) -> None:
    planned(world, "broadcast")
    with in_brand(world.brand):
        tasks = list(SendTask.objects.all())
        with django_assert_num_queries(0):
            assert joined.surplus(world.brand, [], {}) == {}
        with django_assert_num_queries(1):
            assert joined.surplus(world.brand, tasks, {}) == {}


def test_in_a_brand_that_postgres_does_not_know(world: World) -> None:
    """Looked up by key, as the application's role."""
    planned(world, "sop")
    given = {
        "b": world.brand.pk,
        "people": f"{{{world.people[0].pk}}}",
        "since": MORNING,
        "states": [1, 3, 4],
    }
    with in_brand(world.brand), connection.cursor() as cursor, joined_by_loop(cursor):
        theirs = plan_of(joined._TOUCHES, given)
        enrolled = plan_of(joined._ENROLLED, given | {"sops": [1]})
        merges = plan_of(joined._MERGES, given)
    with in_brand(world.brand):
        any_one = Merge.objects.order_by("at").values_list("pk")[:1].explain()
        assert "Index" in any_one and "Bitmap" not in any_one and "Sort" not in any_one, any_one
    for text in (theirs, enrolled, merges):
        assert "Seq Scan" not in text, text
    assert "contact_id = p.id" in theirs.split("Index Cond")[1], theirs
    assert "(key)::text >" in enrolled.split("campaigns_touchkey k")[1], enrolled
    assert "contact_id = p.id" in merges.split("Index Cond")[1], merges
