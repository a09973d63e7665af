"""SOPs take part in the priorities between campaigns: what they plan has theirs, and takes the place of lower ones."""

from collections import Counter
from datetime import time, timedelta
from typing import Any

import pytest
from django.db import transaction

from campaigns.governance import CapRule
from campaigns.models import SendTask, Sop, Touch, Wave
from campaigns.services.broadcasts import broadcasts, waves
from campaigns.services.broadcasts.broadcasts import BroadcastInput, VariantInput
from campaigns.services.governance import gate, policy
from campaigns.services.graphs import graphs
from campaigns.services.journeys import entering, rehearsing, walking
from campaigns.services.journeys.rehearsal import Totals
from campaigns.services.sops import enrolments, sops, stepping
from campaigns.services.sops.sops import StepInput
from contacts.models import Event, EventType
from contacts.services.timeline import record_event
from org.access import SYSTEM
from org.models import AuditEntry
from scrm import clock
from scrm.errors import ConflictError, InvalidError
from tests.campaigns.conftest import at
from tests.campaigns.graphs import entry, line, touch
from tests.campaigns.test_api import client_of
from tests.campaigns.test_broadcasts import EVERYBODY
from tests.campaigns.test_reassign import launch, people
from tests.factories import in_brand, make_contact, make_staff

__all__ = ["people"]
pytestmark = pytest.mark.django_db(transaction=True)
R, S = Touch.Reason, Touch.State
NIGHT = at("2026-03-10 23:00")


def make(brand: Any, name: str, priority: int, *, form: str = "steps") -> Sop:
    """An SOP whose message is due at once when somebody has joined a day ago."""
    if form == "graph":
        sop = graphs.create_graph_sop(brand, name=name, graph=line(entry(), touch("你好")), by=SYSTEM)
        graphs.publish(brand, sop_id=sop.pk, by=SYSTEM)
    else:
        sop = sops.create_sop(brand, name=name, steps=[StepInput(1, 22, 30, name)], by=SYSTEM)
        sops.switch_on(brand, sop_id=sop.pk, by=SYSTEM)
    return sops.set_priority(brand, sop_id=sop.pk, priority=priority, by=SYSTEM)


def run(brand: Any, sop: Sop, contacts: list[Any]) -> None:
    ids = [contact.pk for contact in contacts]
    enrolments.enrol_many(brand, sop=sop, contact_ids=ids, source="page", at=NIGHT - timedelta(days=1))
    if sop.is_graph:
        walking.run(brand, clock.now() + timedelta(minutes=1))
    else:
        stepping.run(brand, clock.now())


def one_a_day(brand: Any) -> None:
    """What is planned in the evening waits for the morning, and nobody gets two."""
    policy.change_policy(brand, caps=[CapRule(1, 1)], quiet_start=time(22), quiet_end=time(8), by=SYSTEM)


@pytest.mark.parametrize("form", ["steps", "graph"])
def test_a_planned_broadcast_gives_way_to_a_higher_sop(brand: Any, people: list[Any], form: str) -> None:
    with in_brand(brand), clock.at(NIGHT):
        one_a_day(brand)
        low = launch(brand, name="低", priority=5, audience={"contacts": [p.pk for p in people[:6]]})
        waves.run_due(brand)
        same = make(brand, "同级", 5, form=form)
        run(brand, same, people[:2])  # not strictly higher: held back
        assert Touch.objects.filter(sop_id=same.pk, reason=R.CAPPED).count() == 2
        high = make(brand, "高", 7, form=form)
        run(brand, high, people[4:8])
        mine = Touch.objects.filter(sop_id=high.pk)
        assert set(mine.values_list("contact_id", "state")) == {(p.pk, S.PLANNED) for p in people[4:8]}
        assert set(SendTask.objects.filter(sop=high).values_list("priority", flat=True)) == {7}
        gone = Touch.objects.filter(reason=R.OUTRANKED)
        assert {(t.contact_id, t.broadcast_id) for t in gone} == {(p.pk, low) for p in people[4:6]}
        wave = Wave.objects.get(broadcast=low)
        assert (wave.numbers["planned"], wave.numbers["outranked"]) == (4, 2)
        told = Event.objects.filter(type=EventType.TOUCH_BLOCKED, contact_id=people[4].pk, source="broadcast")
        assert [event.data["reason"] for event in told] == ["outranked"]
        for task in SendTask.objects.exclude(state="cancelled"):
            live = Touch.objects.filter(send_task_id=task.pk, state=S.PLANNED)
            assert sorted(task.contact_ids) == sorted(live.values_list("contact_id", flat=True))
        # ledger and bitmaps agree: everybody has one, nobody two
        answer = gate.ask(brand, [p.pk for p in people[:8]], at("2026-03-11 09:00"))
        assert set(answer.values()) == {R.CAPPED} and len(answer) == 8


def test_between_sops(brand: Any, people: list[Any]) -> None:
    with in_brand(brand), clock.at(NIGHT):
        one_a_day(brand)
        low, high = make(brand, "低", 3), make(brand, "高", 4)
        run(brand, low, people[:3])
        run(brand, high, people[1:4])
        planned = Touch.objects.filter(state=S.PLANNED).values_list("contact_id", "sop_id")
        assert set(planned) == {(people[0].pk, low.pk), *((p.pk, high.pk) for p in people[1:4])}
        broadcast = launch(brand, name="更低", priority=2)
        waves.run_due(brand)
        assert Touch.objects.filter(broadcast_id=broadcast, state=S.PLANNED).count() == 6  # who has none yet
        assert not Touch.objects.filter(sop_id=high.pk, reason=R.OUTRANKED).exists()


def test_two_at_the_same_minute(brand: Any, people: list[Any]) -> None:
    """One batch holds people of both: the higher one is sent, whichever is written first."""
    with in_brand(brand), clock.at(NIGHT):
        one_a_day(brand)
        high, low = make(brand, "高", 8), make(brand, "低", 2)
        for sop in (high, low):
            enrolments.enrol_many(
                brand,
                sop=sop,
                contact_ids=[p.pk for p in people],
                source="page",
                at=NIGHT - timedelta(days=1),
            )
        stepping.run(brand, clock.now())
        planned = Touch.objects.filter(state=S.PLANNED)
        assert set(planned.values_list("sop_id", flat=True)) == {high.pk}
        assert planned.count() == 10


def test_who_has_no_guide_takes_nothing(brand: Any, people: list[Any]) -> None:
    with in_brand(brand), clock.at(NIGHT):
        one_a_day(brand)
        low = launch(brand, name="低", priority=1)
        waves.run_due(brand)
        sop = make(brand, "高", 9)
        SendTask.objects.filter(broadcast=low).update(state="handed")  # WeCom has it
        run(brand, sop, people[:4])
        assert Touch.objects.filter(sop_id=sop.pk, reason=R.CAPPED).count() == 4
        assert not Touch.objects.filter(reason=R.OUTRANKED).exists()


def test_set_on_the_page_and_by_api(brand: Any, other_brand: Any, people: list[Any], sign_in: Any) -> None:
    with in_brand(brand), clock.at(NIGHT):
        one_a_day(brand)
        sop = make(brand, "新客", 5)
        run(brand, sop, people[:2])
    operator, path = sign_in(brand, "operator"), f"/sops/{sop.pk}/priority/"
    assert 'value="5" selected' in operator.get(path).content.decode()
    assert operator.post(path, {"priority": "8"}).status_code == 302
    with in_brand(brand):
        assert Sop.objects.get(pk=sop.pk).priority == 8
        assert set(SendTask.objects.values_list("priority", flat=True)) == {8}  # also what is planned
        entry_ = AuditEntry.objects.filter(action="sop.edit").order_by("-pk").first()
        assert entry_ and (entry_.before, entry_.after) == ({"priority": 5}, {"priority": 8})
    for bad in ("0", "10", "x", ""):
        assert operator.post(path, {"priority": bad}).status_code == 422
    assert sign_in(brand, "manager").post(path, {"priority": "1"}).status_code == 403
    assert sign_in(other_brand).post(path, {"priority": "1"}).status_code == 404
    api, url = client_of(brand, "sops.view", "sops.edit"), f"/api/v1/sops/{sop.pk}/"
    assert api.patch(url, {"priority": 2}, "application/json").json()["priority"] == 2
    assert api.get(url).json()["priority"] == 2
    for body in ({"priority": 0}, {"priority": 10}, {"priority": "x"}, {}):
        assert api.patch(url, body, "application/json").status_code == 400
    assert client_of(brand, "sops.view").patch(url, {"priority": 3}, "application/json").status_code == 403
    stranger = client_of(other_brand, "sops.view", "sops.edit")
    assert stranger.patch(url, {"priority": 3}, "application/json").status_code == 404
    with in_brand(brand):
        copy = sops.duplicate(brand, sop_id=sop.pk, by=SYSTEM)
        assert copy.priority == 2
        assert graphs.open_as_graph(brand, sop_id=sop.pk, by=SYSTEM).priority == 2
        sops.end(brand, sop_id=sop.pk, by=SYSTEM)
        with pytest.raises(ConflictError):
            sops.set_priority(brand, sop_id=sop.pk, priority=3, by=SYSTEM)
        with pytest.raises(InvalidError):
            sops.set_priority(brand, sop_id=copy.pk, priority=99, by=SYSTEM)


def test_back_to_a_version_by_api(brand: Any, other_brand: Any, people: list[Any]) -> None:
    with in_brand(brand):
        sop = graphs.create_graph_sop(brand, name="旅程", graph=line(entry(), touch("你好")), by=SYSTEM)
        graphs.publish(brand, sop_id=sop.pk, by=SYSTEM)
        graphs.save_draft(brand, sop_id=sop.pk, graph=line(entry(), touch("您好")), by=SYSTEM)
        graphs.publish(brand, sop_id=sop.pk, by=SYSTEM)
    url, api = f"/api/v1/sops/{sop.pk}/versions", client_of(brand, "sops.view", "sops.edit")
    answer = api.post(f"{url}/1/back/", {"people": "stay"}, "application/json")
    assert (answer.status_code, answer.json()) == (201, {"version": 3, "job_id": None, "request_id": None})
    present = api.get(f"{url}/3/").json()
    assert present["is_present"] and "你好" in str(present["graph"])
    assert api.post(f"{url}/3/back/", {}, "application/json").status_code == 409
    assert api.post(f"{url}/9/back/", {}, "application/json").status_code == 404
    assert api.post(f"{url}/1/back/", {"people": "fly"}, "application/json").status_code == 400
    assert client_of(brand, "sops.view").post(f"{url}/1/back/", {}, "application/json").status_code == 403
    stranger = client_of(other_brand, "sops.view", "sops.edit")
    assert stranger.post(f"{url}/1/back/", {}, "application/json").status_code == 404


@pytest.mark.parametrize(
    "priority, ordered, sent",
    [
        (8, "2026-05-04 23:00", 1),
        (3, "2026-05-04 23:00", 0),
        (8, "2026-05-05 09:30", 0),
        (8, "2026-05-04 21:30", 1),
    ],
)
def test_a_rehearsal_lets_lower_campaigns_give_way(
    brand: Any, corp: Any, priority: int, ordered: str, sent: int
) -> None:
    """A broadcast of priority 5 was planned at night and handed over at nine: until then its messages could give way. What
    the engine does with the same order, the rehearsal says afterwards."""
    night, nine, now = at("2026-05-04 22:00"), at("2026-05-05 09:00"), at(ordered)
    with in_brand(brand):
        guide = make_staff(brand, corp)
        with clock.at(night - timedelta(days=1)):
            people = [make_contact(brand, guide) for _ in range(3)]
            policy.change_policy(
                brand, caps=[CapRule(1, 1)], quiet_start=time(21), quiet_end=time(9), by=SYSTEM
            )
            graph = line(entry("event", event="order_paid"), touch("谢谢"))
            sop = graphs.create_graph_sop(brand, name="旅程", graph=graph)
            graphs.publish(brand, sop_id=sop.pk, by=SYSTEM)
            sops.set_priority(brand, sop_id=sop.pk, priority=priority, by=SYSTEM)

        def plan_broadcast() -> None:
            with clock.at(night):
                draft = broadcasts.save_draft(
                    brand, BroadcastInput("春上新", EVERYBODY, [VariantInput("上新")]), by=SYSTEM
                )
                broadcasts.launch(brand, broadcast_id=draft.pk, by=SYSTEM)
                waves.run_due(brand)

        def handed_over() -> None:
            SendTask.objects.update(state="handed", called_at=nine)

        def order_paid() -> None:
            with clock.at(now):
                record_event(brand, contact_id=people[0].pk, type=EventType.ORDER_PAID, at=now, source="test")

        with transaction.atomic():  # the engine, and all of it taken back
            for _moment, act in sorted(
                [(night, plan_broadcast), (nine, handed_over), (now, order_paid)], key=lambda row: row[0]
            ):
                act()
                if act is order_paid:
                    with clock.at(now):
                        enter = [(people[0].pk, now)]
                        entering.enter(brand, sop_id=sop.pk, people=enter, source="test", node_id="n1")
                        walking.run(brand, now)
            states = dict(
                Touch.objects.filter(contact_id=people[0].pk, sop_id=sop.pk).values_list("state", "reason")
            )
            really = int(Touch.State.PLANNED in states)
            gave_way = Touch.objects.filter(reason=Touch.Reason.OUTRANKED).count()
            transaction.set_rollback(True)
        plan_broadcast()
        handed_over()
        order_paid()
        until = at("2026-05-06 12:00")
        with clock.at(until):
            graph = graphs.get_version(sop.pk, 1).graph
            found = rehearsing.run(
                brand, graph, sop_id=sop.pk, since=night - timedelta(hours=12), until=until
            )
            kept = rehearsing.from_json(rehearsing.to_json(Totals(taken=Counter({"n2": 3}))))
    assert (found["n_touches"], found["n_blocked"]) == (sent, 1 - sent)
    assert kept.taken == {"n2": 3}
    assert (really, found["n_gives_way"]) == (sent, sent)
    assert gave_way == (
        sent if now > night else 0
    )  # before it the broadcast came second, and found the place taken
    assert any("让路" in note for note in found["notes"]) == bool(found["n_gives_way"])
