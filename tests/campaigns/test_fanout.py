"""From an audience to send tasks and the ledger: whole or not at all, once, everybody accounted for."""

from collections import Counter
from datetime import datetime, time
from typing import Any

import pytest
from django.db import connection, transaction

from campaigns import chance
from campaigns.governance import CapRule
from campaigns.models import Broadcast, SendTask, Touch, Variant, Wave, WaveSet
from campaigns.services.broadcasts import fanout
from campaigns.services.governance import gate, policy
from campaigns.services.ledger import touches
from contacts.models import Contact, Follow
from contacts.services import stats
from org.access import SYSTEM
from scrm import clock
from tagging.services.bits import frames
from tests.campaigns.conftest import Live, at
from tests.factories import in_brand, make_contact, make_staff

NOW = at("2026-03-10 10:00")
R, S = Touch.Reason, Touch.State


def make_broadcast(moment: datetime = NOW, letters: str = "A", **over: Any) -> Wave:
    broadcast = Broadcast.objects.create(**{"name": "春上新", "state": "on", **over})
    for letter in letters:
        Variant.objects.create(broadcast=broadcast, letter=letter, text=f"{letter} {{员工姓名}}：新品到店")
    return Wave.objects.create(broadcast=broadcast, n=1, at=moment)


def plan(brand: Any, wave: Wave) -> dict[str, int] | None:
    frame = frames.Frame.whole(brand)
    everybody = frame.of_positions(Contact.objects.values_list("position", flat=True))
    return fanout.plan_wave(brand, wave.pk, frame, everybody)


@pytest.fixture
def people(brand: Any, corp: Any) -> list[Contact]:
    """60 contacts of three guides in turn."""
    with in_brand(brand):
        guides = [make_staff(brand, corp) for _ in range(3)]
        return [make_contact(brand, guides[n % 3]) for n in range(60)]


def test_everybody_is_accounted_for_once(brand: Any, people: list[Contact]) -> None:
    quiet, gone, idle, *_rest = people
    with in_brand(brand), clock.at(NOW):
        Contact.objects.filter(pk=quiet.pk).update(do_not_contact=True)
        Contact.objects.filter(pk=gone.pk).update(n_follows=0)
        stats.refresh(brand, [quiet.pk, gone.pk])
        guide = Follow.objects.get(contact=idle).staff
        guide.state = "left"
        guide.save()
        mine = Follow.objects.filter(staff=guide).exclude(contact__in=[quiet, gone]).count()
        wave = make_broadcast()
        numbers = plan(brand, wave)
        assert numbers == {
            "wanted": 60, "planned": 60 - 2 - mine, "tasks": 2, "do_not_contact": 1, "not_followed": 1 + mine,
        }  # fmt: skip
        assert plan(brand, wave) is None  # a second process
        rows = list(Touch.objects.all())
        assert len(rows) == len({row.contact_id for row in rows}) == 60
        assert Counter((row.state, row.reason) for row in rows) == {
            (S.PLANNED, R.NONE): 58 - mine, (S.BLOCKED, R.DO_NOT_CONTACT): 1, (S.BLOCKED, R.NOT_FOLLOWED): 1 + mine,
        }  # fmt: skip
        for task in SendTask.objects.select_related("staff"):
            assert task.text == f"A {task.staff.name}：新品到店" and task.n == len(task.contact_ids)
            assert set(
                Follow.objects.filter(contact__in=task.contact_ids).values_list("staff", flat=True)
            ) == {task.staff_id}
            assert set(
                Touch.objects.filter(send_task_id=task.pk).values_list("contact_id", flat=True)
            ) == set(task.contact_ids)


def test_killed_in_the_middle_leaves_nothing(brand: Any, people: list[Contact], monkeypatch: Any) -> None:
    def die(*_args: Any, **_more: Any) -> None:
        raise KeyboardInterrupt

    with in_brand(brand), clock.at(NOW):
        wave = make_broadcast()
        with monkeypatch.context() as patch:
            patch.setattr(fanout.planes, "add", die)  # the last of its writes
            with pytest.raises(KeyboardInterrupt), transaction.atomic():
                plan(brand, wave)
        assert not Touch.objects.exists() and not SendTask.objects.exists() and not WaveSet.objects.exists()
        assert plan(brand, wave)["planned"] == 60  # type: ignore[index]


def test_the_second_broadcast_finds_the_first_under_the_cap(brand: Any, people: list[Contact]) -> None:
    with in_brand(brand), clock.at(NOW):
        policy.change_policy(brand, caps=[CapRule(7, 1)], by=SYSTEM)
        first, second = make_broadcast(hold_out_percent=20), make_broadcast()
        one, two = plan(brand, first), plan(brand, second)
        assert one and two
        assert two["planned"] == one["hold_out"] and two["capped"] == one["planned"]
        assert one["hold_out"] == (chance.buckets([p.pk for p in people], first.broadcast_id) < 2000).sum()
        # asked one by one the ledger says the same
        refused = gate.ask(brand, [p.pk for p in people], NOW, kind=Touch.Kind.BROADCAST)
        assert set(refused.values()) == {R.CAPPED} and len(refused) == 60


def test_quiet_hours_hold_the_wave(brand: Any, people: list[Contact]) -> None:
    night = at("2026-03-10 23:30")
    with in_brand(brand), clock.at(night):
        policy.change_policy(brand, quiet_start=time(22), quiet_end=time(8), by=SYSTEM)
        plan(brand, make_broadcast(night))
        assert set(SendTask.objects.values_list("at", "next_try_at")) == {(at("2026-03-11 08:00"),) * 2}
        assert set(Touch.objects.values_list("at", flat=True)) == {at("2026-03-11 08:00")}


def test_variants_share_the_people_and_stay(brand: Any, people: list[Contact]) -> None:
    with in_brand(brand), clock.at(NOW):
        wave = make_broadcast(letters="AB")
        plan(brand, wave)
        a, b = Variant.objects.order_by("letter")
        found = dict(Touch.objects.values_list("contact_id", "variant_id"))
        ids = sorted(found)
        expected = chance.buckets(ids, wave.broadcast_id + fanout.VARIANT_SEED) < chance.BUCKETS // 2
        assert [found[pk] for pk in ids] == [a.pk if first else b.pk for first in expected]
        assert 10 < sum(expected) < 50
        assert SendTask.objects.count() == 6


def test_marks_stay_within_their_page(brand: Any, people: list[Contact]) -> None:
    """Nothing that changes is indexed, and a page has room for all of its rows once more."""
    sql = (
        "SELECT sum(pg_stat_get_xact_tuples_updated(inhrelid)), sum(pg_stat_get_xact_tuples_hot_updated(inhrelid))"
        " FROM pg_inherits WHERE inhparent = 'campaigns_touch'::regclass"
    )
    with in_brand(brand), clock.at(NOW), connection.cursor() as cursor:
        plan(brand, make_broadcast())
        for task in SendTask.objects.all():
            done = touches.settle(
                brand, send_task_id=task.pk, at=task.at, state=S.DELIVERED, done_at=clock.now()
            )
            assert len(done) == task.n
        cursor.execute(sql)
        assert cursor.fetchone() == (60, 60)


def test_tasks_are_sorted_and_not_people(brand: Any, people: list[Contact]) -> None:
    with in_brand(brand), clock.at(NOW), connection.cursor() as cursor:
        wave = make_broadcast(letters="AB")
        plan(brand, wave)
        given = fanout._given(brand, wave, NOW) | {"planned": int(S.PLANNED)}
        cursor.execute("EXPLAIN (COSTS OFF) " + fanout._LEDGER, given)
        steps = "\n".join(row[0] for row in cursor)
        assert steps.count("Sort Key") == 1 and steps.index("ProjectSet") < steps.index("Sort Key")


def test_a_customer_of_several_guides_hears_from_one(brand: Any, corp: Any, people: list[Contact]) -> None:
    with in_brand(brand), clock.at(NOW):
        newest = make_staff(brand, corp)
        for person in people[:5]:
            Follow.objects.create(
                contact=person,
                staff=newest,
                corp=corp,
                external_userid=f"x{person.pk}",
                added_at=at("2099-01-01 00:00"),
            )
        Contact.objects.filter(pk__in=[p.pk for p in people[:5]]).update(n_follows=2)
        stats.refresh(brand, [p.pk for p in people[:5]])
        plan(brand, make_broadcast())
        assert Touch.objects.count() == 60
        assert set(Touch.objects.filter(staff_id=newest.pk).values_list("contact_id", flat=True)) == {
            p.pk for p in people[:5]
        }


def test_out_confirmed_and_back(live: Live) -> None:
    """Through the sandbox: what the ledger says was delivered is what customers got, each once."""
    with clock.at(NOW), in_brand(live.brand):
        wave = make_broadcast()
        assert plan(live.brand, wave)["tasks"] == 2  # type: ignore[index]
    live.tick(NOW)
    live.confirm_all(at("2026-03-10 10:05"))
    live.tick(at("2026-03-10 10:10"))
    assert {(t.state, t.broadcast_id) for t in live.ledger()} == {(S.DELIVERED, wave.broadcast_id)}
    assert len(live.received()) == 6 and set(live.received().values()) == {1}
