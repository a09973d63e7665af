"""The inbox: each event handled once, tried again, given up, replayed; one worker at a time per customer."""

import time
from datetime import timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from org.access import SYSTEM
from org.models import AuditEntry, Corp, Staff
from scrm import clock
from scrm.celery import app
from scrm.errors import InvalidError
from tenants.models import Brand
from tenants.scoping import tenant_scope
from tests.factories import in_brand, make_brand, make_corp
from tests.threads import together
from tests.wecom.events import event_xml, post_event
from wecom import callbacks, tasks
from wecom.crypto import parse_event
from wecom.errors import WeComForbidden, WeComRateLimited, WeComRejected, WeComUnavailable
from wecom.models import CallbackEvent
from wecom.services import inbox, purge
from wecom.services.turns import turn

pytestmark = pytest.mark.django_db(transaction=True)

KEY = ("change_external_contact", "add_external_contact")
seen: list[str] = []
problems: list[Exception] = []
overlaps: list[str] = []
_inside: set[str] = set()


def handler(brand: Brand, corp: Corp, payload: dict, event: CallbackEvent) -> None:
    """What these tests put in the table: notes what it saw, or raises what it was told to."""
    customer = payload["ExternalUserID"]
    if customer in _inside:
        overlaps.append(customer)
    _inside.add(customer)
    try:
        if problems:
            raise problems.pop(0)
        time.sleep(float(payload.get("Slow") or 0))
        seen.append(payload["UserID"])
    finally:
        _inside.discard(customer)


def handler_of_known_members(brand: Brand, corp: Corp, payload: dict, event: CallbackEvent) -> None:
    with in_brand(brand):
        seen.append(Staff.objects.get(corp=corp, userid=payload["UserID"].lower()).name)


@pytest.fixture(autouse=True)
def own_handler(monkeypatch: pytest.MonkeyPatch) -> Any:
    for noted in (seen, problems, overlaps):
        noted.clear()
    monkeypatch.setitem(callbacks.HANDLERS, KEY, f"{__name__}.handler")


@pytest.fixture
def by_hand() -> Any:
    """Tasks are only put into the queue, which nobody reads: the test runs `process` itself."""
    app.conf.task_always_eager = False
    yield
    app.conf.task_always_eager = True


def put(brand: Brand, corp: Corp, userid: str, external: str = "wm1", **more: Any) -> int:
    xml = event_xml(corp, KEY[1], UserID=userid, ExternalUserID=external, **more)
    with in_brand(brand):
        return inbox.receive(brand.pk, corp.pk, xml).event_id


def process(brand: Brand, event_id: int) -> str | None:
    with tenant_scope(brand):
        return inbox.process(brand, event_id)


def event(brand: Brand, event_id: int) -> CallbackEvent:
    with in_brand(brand):
        return CallbackEvent.objects.get(pk=event_id)


def test_through_the_view_to_the_handler(brand: Brand, corp: Corp) -> None:
    for _ in range(2):
        assert post_event(corp, KEY[1], UserID="a", ExternalUserID="wm1", at=1_700_000_000).status_code == 200
    assert seen == ["a"]
    with in_brand(brand):
        (row,) = CallbackEvent.objects.all()
    assert (row.state, row.n_tries, row.n_repeats, row.error) == ("done", 1, 1, "")
    assert row.done_at is not None


def queued() -> list[int]:
    """Ids of the events in the order in which a worker takes them; they are taken."""
    found = []
    with app.connection_for_read() as connection:
        channel = connection.default_channel
        while message := channel.basic_get("fast", no_ack=True):
            found.append(message.decode()[1]["event_id"])
    return found


def test_a_waiting_customer_goes_before_everything_else(brand: Brand, corp: Corp, by_hand: None) -> None:
    """A hand-over of thousands brings an event for each of them at the same moment."""
    queued()
    for n in range(3):
        post_event(corp, "edit_external_contact", UserID="a", ExternalUserID=f"wm{n}")
    post_event(corp, KEY[1], UserID="a", ExternalUserID="wm9", WelcomeCode="code")
    with in_brand(brand):
        *others, greeted = CallbackEvent.objects.order_by("pk").values_list("pk", flat=True)
    assert queued() == [greeted, *others]
    with clock.at(clock.now() + inbox.SWEEP_AFTER):  # whose tasks got lost: the sweep keeps the order
        assert tasks.sweep_inbox() == 4
    assert queued() == [greeted, *others]


def test_finished_event_is_not_handled_again(brand: Brand, corp: Corp) -> None:
    event_id = put(brand, corp, "a")
    assert [process(brand, event_id) for _ in range(3)] == ["done", None, None]
    assert seen == ["a"]


@pytest.mark.parametrize(
    "problem",
    [
        WeComUnavailable(api="x", errcode=-1),
        WeComForbidden(api="x", errcode=60020),
        KeyError("a mistake of ours"),
        InvalidError("cannot be now"),
    ],
)
def test_what_failed_is_tried_again(brand: Brand, corp: Corp, by_hand: None, problem: Exception) -> None:
    event_id, now = put(brand, corp, "a"), clock.now()
    problems.append(problem)
    with clock.at(now):
        assert process(brand, event_id) == "retry"
    row = event(brand, event_id)
    assert type(problem).__name__ in row.error
    assert row.next_try_at == now + timedelta(seconds=5)
    with clock.at(now + timedelta(seconds=4)):
        assert process(brand, event_id) is None  # too early
    with clock.at(now + timedelta(seconds=6)):
        assert process(brand, event_id) == "done"
    assert event(brand, event_id).error == ""


def test_pauses_grow_and_end(brand: Brand, corp: Corp, by_hand: None) -> None:
    event_id, now = put(brand, corp, "a"), clock.now()
    pauses = []
    for _ in inbox.PAUSES_S:
        problems.append(WeComUnavailable(api="x"))
        with clock.at(now):
            assert process(brand, event_id) == "retry"
        row = event(brand, event_id)
        pauses.append((row.next_try_at - now).total_seconds())
        now = row.next_try_at
    assert pauses == list(inbox.PAUSES_S)
    assert pauses == sorted(pauses)
    problems.append(WeComUnavailable(api="x"))
    with clock.at(now):
        assert process(brand, event_id) == "dead"
    assert "WeComUnavailable" in event(brand, event_id).error
    with clock.at(now + timedelta(days=9)):
        assert process(brand, event_id) is None
        with tenant_scope(brand):
            assert inbox.due(10) == []


def test_a_limit_says_itself_how_long(brand: Brand, corp: Corp, by_hand: None) -> None:
    event_id, now = put(brand, corp, "a"), clock.now()
    problems.append(WeComRateLimited(retry_after_s=600, api="x"))
    with clock.at(now):
        process(brand, event_id)
    assert event(brand, event_id).next_try_at == now + timedelta(seconds=600)


def test_what_wecom_rejects_is_for_a_person(brand: Brand, corp: Corp) -> None:
    problems.append(WeComRejected(api="x", errcode=40096))
    assert process(brand, put(brand, corp, "a")) == "dead"


def test_event_without_handler_is_noted(brand: Brand, corp: Corp, monkeypatch: pytest.MonkeyPatch) -> None:
    event_id = put(brand, corp, "a")
    monkeypatch.delitem(callbacks.HANDLERS, KEY)
    assert process(brand, event_id) == "noted"


def test_unknown_member_is_fetched(connected: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(callbacks.HANDLERS, KEY, f"{__name__}.handler_of_known_members")
    connected.sandbox.load(members=[{"userid": "NewGuide", "name": "新导购"}])
    event_id = put(connected.brand, connected.corp, "NewGuide")
    assert process(connected.brand, event_id) == "done"
    assert seen == ["新导购"]
    with in_brand(connected.brand):
        staff = Staff.objects.get(userid="newguide")
    assert staff.is_guide
    assert staff.state == Staff.State.ACTIVE


def test_member_whom_wecom_does_not_know_either(
    connected: SimpleNamespace, monkeypatch: Any, by_hand: None
) -> None:
    monkeypatch.setitem(callbacks.HANDLERS, KEY, f"{__name__}.handler_of_known_members")
    event_id = put(connected.brand, connected.corp, "nobody")
    assert process(connected.brand, event_id) == "retry"
    assert "DoesNotExist" in event(connected.brand, event_id).error


# ---- killed workers, several workers


def test_event_of_a_killed_worker_comes_back(brand: Brand, corp: Corp, by_hand: None) -> None:
    event_id, now = put(brand, corp, "a"), clock.now()
    with tenant_scope(brand):
        with clock.at(now):
            assert inbox._claim(event_id)  # and the process is gone
            assert inbox.process(brand, event_id) is None
            assert inbox.due(10) == []
        with clock.at(now + inbox.LEASE + timedelta(seconds=1)):
            assert inbox.due(10) == [event_id]
            assert inbox.process(brand, event_id) == "done"
    assert seen == ["a"]


def test_worker_that_lost_its_lease_writes_nothing(brand: Brand, corp: Corp, by_hand: None) -> None:
    event_id, now = put(brand, corp, "a"), clock.now()
    with tenant_scope(brand):
        with clock.at(now):
            late = inbox._claim(event_id)
        assert late is not None
        with clock.at(now + inbox.LEASE + timedelta(seconds=1)):
            problems.append(WeComUnavailable(api="x"))
            assert inbox.process(brand, event_id) == "retry"
            assert inbox._finish(late, "done") is None
    assert event(brand, event_id).state == "retry"


def run_at_once(brand: Brand, *event_ids: int) -> list[str | None]:
    return together(*(partial(process, brand, event_id) for event_id in event_ids))


def test_one_event_many_workers(brand: Brand, corp: Corp) -> None:
    event_id = put(brand, corp, "a", Slow="0.1")
    results = run_at_once(brand, *[event_id] * 4)
    assert sorted(results, key=str) == [None, None, None, "done"]
    assert seen == ["a"]


def test_one_customer_one_at_a_time(brand: Brand, corp: Corp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "TURN_WAIT_S", 60.0)  # however long a busy machine takes for one
    ids = [put(brand, corp, f"u{n}", "wm1", Slow="0.1") for n in range(3)]
    assert run_at_once(brand, *ids) == ["done"] * 3
    assert sorted(seen) == ["u0", "u1", "u2"]
    assert overlaps == []


def test_busy_customer_is_put_back(brand: Brand, corp: Corp, by_hand: None) -> None:
    event_id = put(brand, corp, "a")
    with tenant_scope(brand), turn(brand, "inbox", f"{corp.pk}:wm1", wait_s=0, hold_s=300):
        assert inbox.process(brand, event_id) == "retry"
    row = event(brand, event_id)
    assert (row.n_tries, row.error) == (0, "")
    with clock.at(row.next_try_at):
        assert process(brand, event_id) == "done"


# ---- sweep and replay


def test_sweep_serves_every_brand(brand: Brand, corp: Corp, other_brand: Brand) -> None:
    with in_brand(other_brand):
        theirs = make_corp(other_brand)
    mine, other = put(brand, corp, "mine"), put(other_brand, theirs, "theirs")
    assert tasks.sweep_inbox() == 0  # their tasks may still come
    with clock.at(clock.now() + inbox.SWEEP_AFTER):
        assert tasks.sweep_inbox() == 2
    assert sorted(seen) == ["mine", "theirs"]
    assert event(brand, mine).state == event(other_brand, other).state == "done"


def test_replay(brand: Brand, corp: Corp) -> None:
    other = make_brand()
    with in_brand(other):
        foreign = put_dead(other, make_corp(other))
    dead = put_dead(brand, corp)
    done = put(brand, corp, "b")
    process(brand, done)
    seen.clear()
    with in_brand(brand):
        assert inbox.replay(brand, by=SYSTEM, event_ids=[dead, foreign]) == 1
    assert seen == ["a"]
    with in_brand(brand):
        assert inbox.replay(brand, by=SYSTEM, dead=True) == 0
        assert inbox.replay(brand, by=SYSTEM, since=clock.now() - timedelta(hours=1)) == 2
        with pytest.raises(InvalidError):
            inbox.replay(brand, by=SYSTEM)
        assert AuditEntry.objects.filter(action="inbox.replay").count() == 3
    assert sorted(seen) == ["a", "a", "b"]
    assert event(other, foreign).state == "dead"


def put_dead(brand: Brand, corp: Corp) -> int:
    event_id = put(brand, corp, "a")
    with in_brand(brand):
        CallbackEvent.objects.filter(pk=event_id).update(state="dead", error="x", next_try_at=None, n_tries=9)
    return event_id


def test_large_replay_is_left_to_the_sweep(brand: Brand, corp: Corp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "QUEUE_AT_ONCE", 2)
    for n in range(4):
        process(brand, put(brand, corp, f"u{n}", f"wm{n}"))
    seen.clear()
    with in_brand(brand):
        assert inbox.replay(brand, by=SYSTEM, since=clock.now() - timedelta(hours=1)) == 4
    assert seen == []
    assert tasks.sweep_inbox() == 4
    assert sorted(seen) == ["u0", "u1", "u2", "u3"]


def test_old_finished_events_are_forgotten(
    brand: Brand, corp: Corp, other_brand: Brand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purge, "AT_ONCE", 2)
    with clock.at(clock.now() - purge.KEPT - timedelta(days=1)):
        for n in range(5):
            process(brand, put(brand, corp, f"old{n}"))
        dead = put_dead(brand, corp)
        with in_brand(other_brand):
            theirs = make_corp(other_brand)
        kept_there = put(other_brand, theirs, "waits")
    fresh = put(brand, corp, "fresh")
    process(brand, fresh)
    assert tasks.purge_all_edges() == 2
    with in_brand(brand):
        assert set(CallbackEvent.objects.values_list("pk", flat=True)) == {dead, fresh}
    assert event(other_brand, kept_there)


def test_figures(brand: Brand, corp: Corp, by_hand: None) -> None:
    now = clock.now()
    with clock.at(now - timedelta(minutes=2)):
        put(brand, corp, "waits")
    process(brand, put(brand, corp, "done"))
    put_dead(brand, corp)
    problems.append(WeComUnavailable(api="x"))
    process(brand, put(brand, corp, "again"))
    with in_brand(brand), clock.at(now):
        figures = inbox.figures(brand)
    assert (figures.waiting, figures.retrying, figures.dead, figures.last_hour) == (1, 1, 1, 4)
    assert figures.lag_s == pytest.approx(120, abs=1)


def test_every_handler_of_the_table_is_a_pair_of_words() -> None:
    for name, change_type in {*callbacks.HANDLERS, *callbacks.NOTED}:
        assert parse_event(f"<xml><Event>{name}</Event><ChangeType>{change_type}</ChangeType></xml>")
    assert not set(callbacks.HANDLERS) & callbacks.NOTED
