"""Unsent chunks go to other guides; planned touches give way to a later, higher broadcast."""

from collections import Counter
from datetime import time, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from campaigns.governance import CapRule
from campaigns.models import SendTask, Touch, Wave, WaveSet
from campaigns.services.broadcasts import broadcasts, dry_run, waves
from campaigns.services.broadcasts.broadcasts import BroadcastInput, VariantInput
from campaigns.services.governance import gate, outranking, policy, rules
from campaigns.services.sending import reassign, results
from contacts.models import Contact, Follow
from contacts.services import stats
from datafiles.exports import Export, export_kind
from org.access import SYSTEM, Actor
from scrm import clock
from scrm.errors import ConflictError, NotFoundError
from tagging.services.bits import frames
from tenants.scoping import tenant_scope
from tests.campaigns.conftest import Live, at, people_of
from tests.factories import in_brand, make_contact, make_staff

NOW = at("2026-03-10 10:00")
EVERYBODY = {"condition": {"kind": "everybody"}}
R, S = Touch.Reason, Touch.State
WHO = Actor("小运")


def launch(brand: Any, **over: Any) -> int:
    given = BroadcastInput(
        **{"name": "春上新", "audience": EVERYBODY, "variants": [VariantInput("{员工姓名}：新品")], **over}
    )
    draft = broadcasts.save_draft(brand, given, by=WHO)
    broadcasts.launch(brand, broadcast_id=draft.pk, by=WHO)
    return draft.pk


def share_customers(live: Live, n: int) -> None:
    """The second guide has `n` of the first one's customers as well, since longer."""
    first, second = live.guides
    with in_brand(live.brand):
        mine = list(Follow.objects.filter(staff=first).order_by("pk")[:n])
        for follow in mine:
            Follow.objects.create(
                contact_id=follow.contact_id,
                staff=second,
                corp=live.corp,
                external_userid=follow.external_userid,
                added_at=follow.added_at - timedelta(days=9),
            )
        ids = [follow.contact_id for follow in mine]
        Contact.objects.filter(pk__in=ids).update(n_follows=2)
        stats.refresh(live.brand, ids)
    live.sandbox.load(
        live.corp.corpid,
        members=[],
        customers=[
            {
                "external_userid": f.external_userid,
                "name": "c",
                "follows": [
                    {"userid": g.userid, "createtime": int(f.added_at.timestamp())} for g in live.guides
                ],
            }
            for f in mine
        ],
    )


def test_a_guide_who_does_not_confirm(live: Live) -> None:
    """Two of three customers have another guide; everybody gets it once, from whom the ledger names."""
    share_customers(live, 2)
    with in_brand(live.brand), clock.at(NOW):
        launch(live.brand)
        waves.run_due(live.brand)
    live.tick(NOW)
    with in_brand(live.brand):
        slow = SendTask.objects.get(staff=live.guides[0], state="handed")
        quick = SendTask.objects.get(staff=live.guides[1], state="handed")
    with tenant_scope(live.brand), clock.at(NOW + timedelta(days=3)):
        reassign.reassign(live.brand, task_id=slow.pk, by=WHO)
        for task_id, refusal in ((slow.pk, ConflictError), (quick.pk, ConflictError), (10**9, NotFoundError)):
            with pytest.raises(refusal):
                reassign.reassign(live.brand, task_id=task_id, by=WHO)
    with in_brand(live.brand):
        slow.refresh_from_db()
        assert (slow.state, slow.n, slow.contact_ids) == ("cancelled", 0, [])
        moved = {t.staff_id: t for t in SendTask.objects.filter(moved_from=slow.pk)}
        assert {staff: t.n for staff, t in moved.items()} == {live.guides[0].pk: 1, live.guides[1].pk: 2}
        assert moved[live.guides[1].pk].text == f"{live.guides[1].name}：新品"
    live.tick(NOW + timedelta(days=3, minutes=1))
    live.confirm_all(NOW + timedelta(days=3, minutes=5))
    live.tick(NOW + timedelta(days=3, minutes=50))
    rows = live.ledger()
    assert len(rows) == 6 and {t.state for t in rows} == {S.DELIVERED}
    assert Counter(t.staff_id for t in rows) == {live.guides[0].pk: 1, live.guides[1].pk: 5}
    assert len({external for external, _text in live.received()}) == 6 == sum(live.received().values())


def test_a_planned_task_keeps_whom_nobody_else_has(live: Live) -> None:
    share_customers(live, 1)
    with in_brand(live.brand), clock.at(NOW):
        broadcast_id = launch(live.brand)
        waves.run_due(live.brand)
        task = SendTask.objects.get(staff=live.guides[0])
    with tenant_scope(live.brand), clock.at(NOW):
        reassign.reassign(live.brand, task_id=task.pk, by=WHO)
    with in_brand(live.brand):
        assert sorted(SendTask.objects.values_list("n", "state")) == [
            (1, "planned"),
            (2, "planned"),
            (3, "planned"),
        ]
        broadcasts.reassign_all(live.brand, broadcast_id=broadcast_id, by=WHO)


def test_killed_after_wecom_was_asked_to_stop(live: Live, monkeypatch: Any) -> None:
    """The wish is on the task: the next poll moves the people."""
    share_customers(live, 3)
    with in_brand(live.brand), clock.at(NOW):
        launch(live.brand)
        waves.run_due(live.brand)
    live.tick(NOW)
    with in_brand(live.brand):
        task = SendTask.objects.get(staff=live.guides[0])

    def die(*_args: Any, **_more: Any) -> None:
        raise KeyboardInterrupt

    with tenant_scope(live.brand), clock.at(NOW + timedelta(hours=1)), monkeypatch.context() as patch:
        patch.setattr("campaigns.services.sending.results.record_results", die)
        with pytest.raises(KeyboardInterrupt):
            reassign.reassign(live.brand, task_id=task.pk, by=WHO)
    live.tick(NOW + timedelta(hours=1, minutes=5))
    with in_brand(live.brand):
        assert SendTask.objects.get(moved_from=task.pk).staff_id == live.guides[1].pk


# ---- priorities


@pytest.fixture
def people(brand: Any, corp: Any) -> list[Any]:
    with in_brand(brand):
        guides = [make_staff(brand, corp) for _ in range(2)]
        return [make_contact(brand, guides[n % 2]) for n in range(10)]


def test_a_planned_touch_gives_way_to_a_later_higher_one(brand: Any, people: list[Any]) -> None:
    with in_brand(brand), clock.at(at("2026-03-10 23:00")):
        policy.change_policy(brand, caps=[CapRule(1, 1)], quiet_start=time(22), quiet_end=time(8), by=SYSTEM)
        low = launch(brand, name="低", priority=2, audience={"contacts": [p.pk for p in people[:6]]})
        waves.run_due(brand)
        assert Touch.objects.filter(broadcast_id=low, state=S.PLANNED).count() == 6
        same = launch(brand, name="同", priority=2)
        waves.run_due(brand)
        assert Touch.objects.filter(broadcast_id=same, reason=R.CAPPED).count() == 6
        high = broadcasts.save_draft(
            brand,
            BroadcastInput("高", {"contacts": [p.pk for p in people[4:8]]}, [VariantInput("x")], priority=8),
            by=WHO,
        )
        run = dry_run.dry_run(brand, high)
        assert (run.planned, run.n_taken) == (4, 4)
        broadcasts.launch(brand, broadcast_id=high.pk, by=WHO)
        waves.run_due(brand)
        assert Touch.objects.filter(broadcast_id=high.pk, state=S.PLANNED).count() == 4
        gone = Touch.objects.filter(reason=R.OUTRANKED)
        assert Counter(gone.values_list("broadcast_id", flat=True)) == {low: 2, same: 2}
        assert set(gone.values_list("contact_id", flat=True)) == {p.pk for p in people[4:8]}
        wave = Wave.objects.get(broadcast=low)
        assert (wave.numbers["planned"], wave.numbers["outranked"]) == (4, 2)
        assert len(people_of(brand, wave, int(R.OUTRANKED))) == 2
        assert WaveSet.objects.filter(wave=wave, what=int(R.OUTRANKED)).exists()
        for task in SendTask.objects.all():
            live = Touch.objects.filter(send_task_id=task.pk, state=S.PLANNED)
            assert sorted(task.contact_ids) == sorted(live.values_list("contact_id", flat=True))
        # the ledger and the bitmaps still agree: nobody has two
        assert set(gate.ask(brand, [p.pk for p in people], at("2026-03-11 09:00")).values()) == {R.CAPPED}


def test_what_does_not_help_is_not_taken(brand: Any, people: list[Any]) -> None:
    """The cap is full with what was delivered: the planned one stays, and so does what WeCom has."""
    with in_brand(brand), clock.at(NOW):
        policy.change_policy(brand, caps=[CapRule(1, 2)], by=SYSTEM)
        for name in ("一", "二"):
            launch(brand, name=name, priority=1)
            waves.run_due(brand)
        SendTask.objects.filter(broadcast__name="一").update(state="handed")
        Touch.objects.filter(
            broadcast_id__in=SendTask.objects.filter(state="handed").values("broadcast")
        ).update(state=S.DELIVERED)
        policy.change_policy(brand, caps=[CapRule(1, 1)], by=SYSTEM)
        high = launch(brand, name="高", priority=9)
        waves.run_due(brand)
        assert Touch.objects.filter(broadcast_id=high, reason=R.CAPPED).count() == 10
        assert not Touch.objects.filter(reason=R.OUTRANKED).exists()


def test_only_touches_in_the_way_are_read(brand: Any, people: list[Any]) -> None:
    with in_brand(brand), clock.at(NOW):
        policy.change_policy(brand, caps=[CapRule(1, 1)], by=SYSTEM)
        launch(brand, priority=1)
        waves.run_due(brand)
        frame, places = frames.frame_of(brand, [p.pk for p in people])
        two = [position for position, pk in places.items() if pk in (people[3].pk, people[8].pk)]
        with CaptureQueriesContext(connection) as asked:
            freed, taken = outranking.find(
                brand, frame, {R.CAPPED: frame.of_positions(two)}, at=NOW, kind=Touch.Kind.BROADCAST, priority=5,
                rules=rules.rules_of(brand),
            )  # fmt: skip
        assert {row.contact_id for row in taken} == {people[3].pk, people[8].pk}
        assert sorted(frame.positions(freed)) == sorted(two)
        [read] = [query["sql"] for query in asked if "unnest(k.contact_ids)" in query["sql"]]
        with connection.cursor() as cursor:
            cursor.execute(read)
            assert len(cursor.fetchall()) == 2


def test_only_what_is_still_planned_is_taken_back(brand: Any, people: list[Any]) -> None:
    """One of two was settled after it was found: the task keeps its person, and the wave counts the other one."""
    with in_brand(brand), clock.at(NOW):
        low = launch(brand, priority=1)
        waves.run_due(brand)
        task = SendTask.objects.filter(broadcast=low).order_by("pk")[0]
        frame, places = frames.frame_of(brand, task.contact_ids)
        position_of = {contact_id: position for position, contact_id in places.items()}
        found = [
            outranking.Planned(position_of[t.contact_id], t.pk, t.at, t.kind, t.contact_id, task.pk, 1)
            for t in Touch.objects.filter(send_task_id=task.pk).order_by("pk")[:2]
        ]
        Touch.objects.filter(pk=found[0].touch_id).update(state=S.CANCELLED)
        outranking.take_back(brand, frame, found, NOW)
        left = SendTask.objects.get(pk=task.pk)
        assert left.contact_ids == [pk for pk in task.contact_ids if pk != found[1].contact_id]
        assert Touch.objects.get(pk=found[0].touch_id).state == S.CANCELLED
        wave = Wave.objects.get(broadcast=low)
        assert (wave.numbers["planned"], wave.numbers["outranked"]) == (9, 1)
        assert len(people_of(brand, wave, int(R.OUTRANKED))) == 1


def test_a_task_is_stopped_under_the_gate(brand: Any, people: list[Any]) -> None:
    with in_brand(brand), clock.at(NOW):
        launch(brand)
        waves.run_due(brand)
        task = SendTask.objects.order_by("pk")[0]
        with CaptureQueriesContext(connection) as asked:
            results.cancel(brand, task_id=task.pk, by=WHO)
    statements = [query["sql"] for query in asked]
    gates = [n for n, sql in enumerate(statements) if "pg_advisory_xact_lock(28684" in sql]
    locks = [n for n, sql in enumerate(statements) if "FOR UPDATE" in sql]
    assert gates and locks and gates[0] < locks[0]  # the gate first, as everywhere


def test_export_of_results(brand: Any, other_brand: Any, people: list[Any]) -> None:
    from scrm.errors import InvalidError

    with in_brand(brand), clock.at(NOW):
        policy.set_refusal(brand, contact_id=people[0].pk, kind=Touch.Kind.BROADCAST, refused=True, by=SYSTEM)
        number = launch(brand)
        waves.run_due(brand)
        kind = export_kind("broadcast")
        export = Export(brand, kind.read(brand, {"broadcast": str(number)}), None)
        rows, place = kind.page(export, None, 4)
        found = list(rows)
        while rows:
            rows, place = kind.page(export, place, 4)
            found += rows
        assert len(found) == 10 and {len(row) for row in found} == {len(kind.columns(export))}
        assert {row[3] for row in found} == {p.pk for p in people}
        assert [row[7] for row in found if row[3] == people[0].pk] == [str(R.REFUSED_KIND.label)]
    with in_brand(other_brand), pytest.raises(InvalidError):
        kind.read(other_brand, {"broadcast": str(number)})
