"""Opened, replied, bought: what customers do after a message, read from their events."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from campaigns.models import SendTask, Touch, TouchOrder
from campaigns.services.broadcasts import broadcast_numbers
from campaigns.services.governance import policy
from campaigns.services.ledger import marks, touches
from campaigns.services.sending import results
from campaigns.services.sops import enrolments, numbers, sops, stepping
from campaigns.services.sops.sops import StepInput
from commerce.services.orders import record_orders, record_refunds
from contacts.models import EventType, Follow
from contacts.services.timeline import record_events
from org.access import SYSTEM
from scrm import clock
from tenants.scoping import tenant_scope
from tests.campaigns.conftest import at
from tests.campaigns.test_fanout import make_broadcast, plan
from tests.factories import in_brand, make_contact, make_staff

NOW = at("2026-03-10 10:00")
S = Touch.State
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def sent(brand: Any, corp: Any) -> Any:
    """Six customers of two guides."""
    with in_brand(brand):
        guides = [make_staff(brand, corp) for _ in range(2)]
        return [make_contact(brand, guides[n % 2]) for n in range(6)]


def deliver(brand: Any, moment: datetime = NOW, **over: Any) -> Any:
    """Another broadcast that everybody has got at `moment`."""
    with in_brand(brand), clock.at(moment):
        wave = make_broadcast(moment, **over)
        plan(brand, wave)
        for task in SendTask.objects.filter(broadcast=wave.broadcast):
            done = touches.settle(brand, send_task_id=task.pk, at=task.at, state=S.DELIVERED, done_at=moment)
            SendTask.objects.filter(pk=task.pk).update(state="final", n_sent=len(done), confirmed_at=moment)
    return wave.broadcast


def happened(brand: Any, contact: Any, type: EventType, moment: datetime, **data: Any) -> None:
    with in_brand(brand):
        record_events(
            brand, [{"contact_id": contact.pk, "type": type, "at": moment, "source": "test", "data": data}]
        )


def read(brand: Any) -> int:
    with tenant_scope(brand):
        return marks.run(brand)


def task_of(brand: Any, contact: Any, broadcast: Any) -> int:
    with in_brand(brand):
        return Touch.objects.get(contact_id=contact.pk, broadcast_id=broadcast.pk).send_task_id


def touch_of(brand: Any, contact: Any, broadcast: Any) -> Touch:
    with in_brand(brand):
        return Touch.objects.get(contact_id=contact.pk, broadcast_id=broadcast.pk)


def test_each_mark_is_set_once_and_counted(brand: Any, sent: list[Any]) -> None:
    read(brand)
    broadcast = deliver(brand)
    one, two, three, *_rest = sent
    later = NOW + timedelta(hours=2)
    for _twice in range(2):
        happened(brand, one, EventType.OPENED, later, send_task=task_of(brand, one, broadcast))
    happened(brand, two, EventType.OPENED, later, send_task=task_of(brand, one, broadcast))  # not his message
    happened(brand, three, EventType.OPENED, later, page="a link of nothing")
    happened(brand, three, EventType.OPENED, later, send_task="x", touch=None)
    happened(brand, two, EventType.WORD_SAID, later, text="好")
    happened(brand, three, EventType.ORDER_PAID, later, amount_fen=5_000)
    happened(brand, three, EventType.ORDER_PAID, later + timedelta(days=1), amount_fen=2_000)
    happened(brand, one, EventType.ORDER_PAID, NOW - timedelta(minutes=1), amount_fen=100)  # before it
    happened(brand, two, EventType.ORDER_PAID, NOW + timedelta(days=8), amount_fen=100)  # too long after it
    assert read(brand) == 10 and read(brand) == 0
    rows = [touch_of(brand, person, broadcast) for person in (one, two, three)]
    assert [(t.opened_at, t.replied_at, t.converted_at) for t in rows] == [
        (later, None, None), (None, later, None), (None, None, later),
    ]  # fmt: skip
    with in_brand(brand):
        total = broadcast_numbers.report(broadcast).total
        assert (total.n_sent, total.n_opened, total.n_replied, total.n_converted) == (6, 1, 1, 1)
        assert total.converted_fen == 7_000


def test_the_last_message_gets_the_order(brand: Any, sent: list[Any]) -> None:
    read(brand)
    first = deliver(brand)
    second = deliver(brand, NOW + timedelta(days=2))
    happened(brand, sent[0], EventType.ORDER_PAID, NOW + timedelta(days=1), amount_fen=1)
    happened(brand, sent[1], EventType.ORDER_PAID, NOW + timedelta(days=3), amount_fen=2)
    read(brand)
    with in_brand(brand):
        assert [broadcast_numbers.report(b).total.converted_fen for b in (first, second)] == [1, 2]
        policy.change_policy(brand, attribution_days=1, by=SYSTEM)
    happened(brand, sent[2], EventType.ORDER_PAID, NOW + timedelta(days=4), amount_fen=4)
    read(brand)
    with in_brand(brand):
        assert broadcast_numbers.report(second).total.n_converted == 1


def test_a_delivery_that_is_known_late(brand: Any, sent: list[Any]) -> None:
    """The order comes before the poll that tells of the delivery; it counts once, for the later message."""
    read(brand)
    with in_brand(brand), clock.at(NOW):
        wave = make_broadcast()
        plan(brand, wave)
    happened(brand, sent[0], EventType.ORDER_PAID, NOW + timedelta(minutes=10), amount_fen=900)
    read(brand)
    assert touch_of(brand, sent[0], wave.broadcast).converted_at is None
    with in_brand(brand):
        task = SendTask.objects.select_related("corp", "staff", "broadcast", "sop").get(
            pk=Touch.objects.get(contact_id=sent[0].pk).send_task_id
        )
        SendTask.objects.filter(pk=task.pk).update(state="handed")
        rows = [
            {"external_userid": e, "status": 1}
            for e in Follow.objects.filter(contact__in=task.contact_ids).values_list(
                "external_userid", flat=True
            )
        ]
    with in_brand(brand), clock.at(NOW + timedelta(minutes=20)):
        for _twice in range(2):
            results.record_results(brand, task, rows, NOW + timedelta(minutes=5))  # type: ignore[arg-type]
    touch = touch_of(brand, sent[0], wave.broadcast)
    assert touch.converted_at == NOW + timedelta(minutes=10)
    with in_brand(brand):
        assert SendTask.objects.get(pk=task.pk).converted_fen == 900


def test_a_brand_that_begins_now_and_another_one(brand: Any, other_brand: Any, sent: list[Any]) -> None:
    broadcast = deliver(brand)
    happened(brand, sent[0], EventType.ORDER_PAID, NOW + timedelta(hours=1), amount_fen=5)
    assert read(brand) == 0  # begins here
    with in_brand(other_brand):
        stranger = make_contact(other_brand)
    read(other_brand)
    happened(
        other_brand,
        stranger,
        EventType.OPENED,
        NOW + timedelta(hours=1),
        send_task=task_of(brand, sent[0], broadcast),
    )
    assert read(other_brand) == 1
    with in_brand(brand):
        assert broadcast_numbers.report(broadcast).total.n_opened == 0


def test_marks_of_sops_stand_by_their_step(brand: Any, sent: list[Any]) -> None:
    joined = NOW - timedelta(minutes=5)
    with in_brand(brand), clock.at(joined):
        sop = sops.create_sop(brand, name="新客", steps=[StepInput(0, 10, 0, "你好")], by=SYSTEM)
        sop = sops.switch_on(brand, sop_id=sop.pk, by=SYSTEM)
        enrolments.enrol_many(brand, sop=sop, contact_ids=[sent[0].pk], source="page")
    with tenant_scope(brand), clock.at(NOW):
        stepping.run(brand, NOW)
    with in_brand(brand):
        task = SendTask.objects.get()
        touches.settle(brand, send_task_id=task.pk, at=task.at, state=S.DELIVERED, done_at=NOW)
    read(brand)
    happened(brand, sent[0], EventType.OPENED, NOW + timedelta(hours=1), send_task=task.pk)
    read(brand)
    with in_brand(brand):
        [step] = numbers.of_steps([sop.pk]).values()
        assert step.n_opened == 1 and Touch.objects.get(sop_id=sop.pk).opened_at


# ---- orders that are paid back


def bought(brand: Any, contact: Any, no: str, moment: datetime, fen: int) -> None:
    with in_brand(brand):
        row = {"order_no": no, "contact_id": contact.pk, "paid_at": moment, "amount_fen": fen}
        record_orders(brand, [row], source="shop")


def paid_back(brand: Any, no: str, fen: int, refund: str = "R1") -> None:
    with in_brand(brand):
        row = {"refund_no": refund, "order_no": no, "amount_fen": fen, "refunded_at": clock.now()}
        record_refunds(brand, [row], source="shop")


def figures(brand: Any, broadcast: Any) -> tuple[int, int, int]:
    """Bought and its money as the send tasks say, and the orders kept for it."""
    with in_brand(brand):
        total = broadcast_numbers.report(broadcast).total
        return total.n_converted, total.converted_fen, TouchOrder.objects.count()


def test_an_order_that_is_wholly_paid_back_counts_no_more(brand: Any, sent: list[Any]) -> None:
    read(brand)
    broadcast = deliver(brand)
    one, two, *_rest = sent
    first, second = NOW + timedelta(hours=1), NOW + timedelta(hours=5)
    bought(brand, one, "A1", first, 5_000)
    bought(brand, one, "A2", second, 2_000)
    bought(brand, two, "B1", first, 900)
    read(brand)
    assert figures(brand, broadcast) == (2, 7_900, 3)
    paid_back(brand, "A1", 1_000, "R1")  # a part: the order stays
    read(brand)
    assert figures(brand, broadcast) == (2, 7_900, 3)
    for _twice in range(2):
        paid_back(brand, "A1", 4_000, "R2")  # and the rest
        read(brand)
        assert figures(brand, broadcast) == (2, 2_900, 2)
        assert touch_of(brand, one, broadcast).converted_at == second  # the next order holds the mark
    paid_back(brand, "A2", 2_000, "R3")
    paid_back(brand, "B1", 900, "R4")
    read(brand)
    assert figures(brand, broadcast) == (0, 0, 0)
    assert touch_of(brand, one, broadcast).converted_at is None


def test_paid_back_before_it_is_read(brand: Any, sent: list[Any]) -> None:
    read(brand)
    broadcast = deliver(brand)
    bought(brand, sent[0], "A1", NOW + timedelta(hours=1), 5_000)
    paid_back(brand, "A1", 5_000)
    read(brand)
    assert figures(brand, broadcast) == (0, 0, 0)
    assert touch_of(brand, sent[0], broadcast).converted_at is None


def test_a_mark_of_another_order_stays(brand: Any, sent: list[Any]) -> None:
    """An order that was counted before orders were kept: its mark is nobody else's to take."""
    read(brand)
    broadcast = deliver(brand)
    happened(brand, sent[0], EventType.ORDER_PAID, NOW + timedelta(minutes=30), amount_fen=100)
    bought(brand, sent[0], "A1", NOW + timedelta(hours=1), 5_000)
    read(brand)
    assert figures(brand, broadcast) == (1, 5_100, 1)
    paid_back(brand, "A1", 5_000)
    read(brand)
    assert figures(brand, broadcast) == (1, 100, 0)
    assert touch_of(brand, sent[0], broadcast).converted_at == NOW + timedelta(minutes=30)
