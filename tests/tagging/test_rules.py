"""Automatic rules set off by events: every event, filters, once in spite of a crash, the past."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from contacts.models import Contact, Event, EventType
from contacts.services.behaviour import record_behaviour
from contacts.services.timeline import record_event
from org.access import SYSTEM
from org.models import Job
from scrm import clock
from tagging.models import ContactTag, Tag, TagAct, TagRule
from tagging.rule_events import EVENTS
from tagging.services.bits import bits_check
from tagging.services.rules import reacting, rule_preview, rules
from tagging.services.tags.tags import add_tags, remove_tags
from tenants.scoping import tenant_scope
from tests.factories import in_brand, make_contact, make_staff, make_tag

pytestmark = pytest.mark.django_db(transaction=True)
NOW = datetime.fromisoformat("2026-11-20T04:00:00+00:00")


@pytest.fixture(autouse=True)
def at_now() -> Iterator[None]:
    with clock.at(NOW):
        yield


@pytest.fixture
def people(brand: Any, staff: Any) -> list[Contact]:
    with in_brand(brand):
        return [make_contact(brand, staff, position=n * 2500) for n in range(8)]


@pytest.fixture
def tag(brand: Any) -> Tag:
    with in_brand(brand):
        return make_tag(brand, "活跃")


def make(brand: Any, on: bool = True, confirmed: bool = True, **values: Any) -> TagRule:
    with in_brand(brand):
        given = {"name": f"规则{TagRule.objects.count()}", "kind": "event", **values}
        rule = rules.create(brand, by=SYSTEM, values=given)
    if on:
        with in_brand(brand):
            rules.switch_on(brand, by=SYSTEM, rule=rule, confirmed=confirmed)
    with in_brand(brand):
        rule.refresh_from_db()
    return rule


def tell(brand: Any, contact: Contact, kind: int, *, at: datetime | None = None, **more: Any) -> None:
    with in_brand(brand):
        record_event(
            brand, contact_id=contact.pk, type=EventType(kind), at=at or clock.now(), source="test", **more
        )


def react(brand: Any) -> int:
    with tenant_scope(brand):
        return reacting.react(brand)


def carriers(brand: Any, tag: Tag) -> set[int]:
    with in_brand(brand):
        return set(ContactTag.objects.filter(tag=tag).values_list("contact_id", flat=True))


def agree(brand: Any) -> None:
    with tenant_scope(brand):
        assert not bits_check.check(brand)


# ---- events


@pytest.mark.parametrize("key", sorted(EVENTS))
def test_every_event_of_the_table(brand: Any, people: Any, tag: Tag, key: str) -> None:
    """Also those that another part of the product will write one day: what counts is the number."""
    more = {"filters": {"behaviour_ids": [7]}} if key == "behaviour" else {}
    if key in ("tagged", "untagged"):
        with in_brand(brand):
            other = make_tag(brand)
            if key == "untagged":
                add_tags(brand, contacts=people[:1], tags=[other], source="page")
        more = {"filters": {"tag_ids": [other.pk]}}
    rule = make(brand, event=key, add_tag_ids=[tag.pk], **more)
    if key in ("tagged", "untagged"):
        with in_brand(brand):
            (add_tags if key == "tagged" else remove_tags)(
                brand, contacts=people[:1], tags=[other], source="page"
            )
    else:
        tell(brand, people[0], EVENTS[key].type, object_id=7)
    assert react(brand) >= 1
    assert carriers(brand, tag) == {people[0].pk}
    with in_brand(brand):
        row = ContactTag.objects.get(tag=tag)
        assert row.source == f"rule:{rule.pk}"
        act = TagAct.objects.get(owner_id=rule.pk)
        assert (act.n_people, act.n_added, act.day) == (1, 1, NOW.date())


def test_what_others_tell(brand: Any, people: Any) -> None:
    """Coupons used and words said, as the shop tells them; a coupon is known by its name or number."""
    with in_brand(brand):
        tags = {n: make_tag(brand, n) for n in ("券", "词")}
    make(brand, event="coupon_used", filters={"words": ["减30", "c9"]}, add_tag_ids=[tags["券"].pk])
    make(brand, event="word_said", filters={"words": ["退款"]}, add_tag_ids=[tags["词"].pk])
    told = [
        (0, "coupon_used", {"title": "满200减30", "code": "C1"}), (1, "coupon_used", {"code": "C9"}),
        (2, "coupon_used", {"title": "满500减80"}), (2, "word_said", {"word": "我要退款"}), (1, "word_said", {"word": "好"}),
    ]  # fmt: skip
    rows = [{"kind": kind, "at": NOW, "contact_id": people[i].pk, "data": data} for i, kind, data in told]
    with in_brand(brand):
        assert {o.result.value for o in record_behaviour(brand, rows, source="shop")} == {"accepted"}
    react(brand)
    assert carriers(brand, tags["券"]) == {people[0].pk, people[1].pk}
    assert carriers(brand, tags["词"]) == {people[2].pk}


def test_filters(brand: Any, people: Any, staff: Any) -> None:
    with in_brand(brand):
        other = make_staff(brand)
        tags = {n: make_tag(brand, n) for n in ("词", "组", "导购", "答")}
    make(brand, event="word_said", filters={"words": ["退款", "Price"]}, add_tag_ids=[tags["词"].pk])
    make(brand, event="group_joined", filters={"object_ids": [5, 6]}, add_tag_ids=[tags["组"].pk])
    make(brand, event="added", filters={"staff_ids": [staff.pk]}, add_tag_ids=[tags["导购"].pk])
    make(brand, event="form_answered", filters={"answers": [{"question": "肤质", "answer": "油性"}]},
         add_tag_ids=[tags["答"].pk])  # fmt: skip
    tell(brand, people[0], EventType.WORD_SAID, data={"text": "我想要退款100%"})
    tell(brand, people[1], EventType.WORD_SAID, data={"text": "what is the PRICE?"})
    tell(brand, people[2], EventType.WORD_SAID, data={"text": "你好"})
    tell(brand, people[0], EventType.GROUP_JOINED, object_id=6)
    tell(brand, people[1], EventType.GROUP_JOINED, object_id=7)
    tell(brand, people[0], EventType.ADDED, staff_id=staff.pk)
    tell(brand, people[1], EventType.ADDED, staff_id=other.pk)
    tell(brand, people[0], EventType.FORM_ANSWERED, data={"answers": {"肤质": "油性"}})
    tell(brand, people[1], EventType.FORM_ANSWERED, data={"answers": {"肤质": ["干性", "油性"]}})
    tell(brand, people[2], EventType.FORM_ANSWERED, data={"answers": {"肤质": "干性"}})
    react(brand)
    assert carriers(brand, tags["词"]) == {people[0].pk, people[1].pk}
    assert carriers(brand, tags["组"]) == {people[0].pk}
    assert carriers(brand, tags["导购"]) == {people[0].pk}
    assert carriers(brand, tags["答"]) == {people[0].pk, people[1].pk}
    agree(brand)


def test_what_was_before_does_not_count(brand: Any, people: Any, tag: Tag) -> None:
    tell(brand, people[0], EventType.OPENED)
    with clock.at(NOW + timedelta(minutes=1)):
        make(brand, event="content_opened", add_tag_ids=[tag.pk])
        tell(brand, people[1], EventType.OPENED, at=NOW)  # told late
        tell(brand, people[2], EventType.OPENED)
        assert react(brand) == 2
        assert react(brand) == 1  # the tag that it put on
        assert react(brand) == 0
    assert carriers(brand, tag) == {people[2].pk}


def test_once_in_spite_of_a_crash(brand: Any, people: Any, tag: Tag, monkeypatch: Any) -> None:
    """Effect and position are one: a batch that fails half way is done again, wholly, once."""
    make(brand, event="content_opened", add_tag_ids=[tag.pk])
    tell(brand, people[0], EventType.OPENED)
    move, calls = reacting.outbox.move_to, []

    def fails_once(*args: Any) -> None:
        calls.append(args)
        if len(calls) == 1:
            raise RuntimeError
        move(*args)

    monkeypatch.setattr(reacting.outbox, "move_to", fails_once)
    with pytest.raises(RuntimeError):
        react(brand)
    assert carriers(brand, tag) == set()
    react(brand)
    with in_brand(brand):
        assert Event.objects.filter(type=EventType.TAGGED).count() == 1
        assert TagAct.objects.get().n_added == 1


def test_the_last_event_counts_and_of_one_event_the_last_rule(brand: Any, people: Any, tag: Tag) -> None:
    a, b, c = people[:3]
    make(brand, event="group_joined", add_tag_ids=[tag.pk])
    make(brand, event="group_left", remove_tag_ids=[tag.pk])
    first = make(brand, event="content_opened", add_tag_ids=[tag.pk])
    make(brand, event="content_opened", remove_tag_ids=[tag.pk])
    tell(brand, a, EventType.GROUP_JOINED)
    tell(brand, a, EventType.GROUP_LEFT)
    tell(brand, b, EventType.GROUP_LEFT)
    tell(brand, b, EventType.GROUP_JOINED)
    tell(brand, c, EventType.OPENED)
    react(brand)
    assert carriers(brand, tag) == {b.pk}
    with in_brand(brand):
        ids = list(TagRule.objects.order_by("position").values_list("pk", flat=True))
        ids.remove(first.pk)
        rules.reorder(brand, by=SYSTEM, ids=[*ids, first.pk])
    tell(brand, c, EventType.OPENED)
    react(brand)
    assert carriers(brand, tag) == {b.pk, c.pk}
    agree(brand)


def test_how_often_and_how_much_in_a_window(brand: Any, people: Any, tag: Tag) -> None:
    """Three times in ten days; events of an order carry its net amount."""
    from commerce.models import Order

    with in_brand(brand):
        rich = make_tag(brand, "高客单")
    make(brand, event="content_opened", window_days=10, n_at_least=3, add_tag_ids=[tag.pk], expires_days=30)
    make(brand, event="order_paid", window_days=30, amount_at_least_fen=50_000, add_tag_ids=[rich.pk])
    a, b, c = people[:3]

    def opened(person: Contact, *days: float) -> None:
        for day in days:
            with clock.at(NOW + timedelta(days=day)):
                tell(brand, person, EventType.OPENED)

    opened(a, 1, 6, 10.9)  # three within ten days
    opened(b, 1, 6, 11.1)  # the first one is out of the window
    opened(c, 1, 2)
    with clock.at(NOW + timedelta(days=12)):
        for person, fens in ((a, (30_000, 20_000)), (b, (30_000, 19_999)), (c, (90_000,))):
            for fen in fens:
                with in_brand(brand):
                    order = Order.objects.create(
                        source="t", order_no=f"{person.pk}-{fen}", contact=person, placed_at=clock.now(),
                        paid_at=clock.now(), amount_fen=fen, state=2, is_sale=True, updated_at=clock.now(),
                        refunded_fen=45_000 if fen == 90_000 else 0,
                    )  # fmt: skip
                tell(brand, person, EventType.ORDER_PAID, object_id=order.pk)
        react(brand)
    assert carriers(brand, tag) == {a.pk}
    assert carriers(brand, rich) == {a.pk}
    with in_brand(brand):
        row = ContactTag.objects.get(tag=tag)
        assert row.expires_at == NOW + timedelta(days=10.9 + 30)
        found = rule_preview.preview(brand, TagRule.objects.get(event="content_opened"), days=60)
        assert found.n_match == 0  # nothing has happened yet at this moment of the test's clock
    with clock.at(NOW + timedelta(days=13)), in_brand(brand):
        by_event = {rule.event: rule_preview.preview(brand, rule, days=60) for rule in TagRule.objects.all()}
        assert {key: p.n_match for key, p in by_event.items()} == {"content_opened": 1, "order_paid": 1}
        assert by_event["order_paid"].n_people == 0  # they have it


def test_who_besides(brand: Any, people: Any, tag: Tag) -> None:
    with in_brand(brand):
        vip = make_tag(brand, "会员")
        add_tags(brand, contacts=people[:1], tags=[vip], source="page")
    condition = {"kind": "tags", "mode": "any", "ids": [vip.pk]}
    make(brand, event="content_opened", condition=condition, add_tag_ids=[tag.pk])
    for person in people[:3]:
        tell(brand, person, EventType.OPENED)
    react(brand)
    assert carriers(brand, tag) == {people[0].pk}


def test_rules_set_off_rules(brand: Any, people: Any, tag: Tag) -> None:
    with in_brand(brand):
        second, third = make_tag(brand, "二"), make_tag(brand, "三")
    make(brand, event="content_opened", add_tag_ids=[tag.pk])
    make(brand, event="tagged", filters={"tag_ids": [tag.pk]}, add_tag_ids=[second.pk])
    condition = {"all": [{"kind": "tags", "mode": "any", "ids": [second.pk]}]}
    make(brand, kind="condition", condition=condition, add_tag_ids=[third.pk])
    tell(brand, people[0], EventType.OPENED)
    while react(brand):
        pass
    assert carriers(brand, third) == {people[0].pk}


def test_the_past(brand: Any, people: Any, tag: Tag) -> None:
    with clock.at(NOW - timedelta(days=5)):
        tell(brand, people[0], EventType.OPENED)
    with clock.at(NOW - timedelta(days=50)):
        tell(brand, people[1], EventType.OPENED)
    rule = make(brand, on=False, event="content_opened", add_tag_ids=[tag.pk])
    with in_brand(brand):
        assert rule_preview.preview(brand, rule).n_people == 1
        rules.switch_on(brand, by=SYSTEM, rule=rule, past_days=30)
    assert carriers(brand, tag) == {people[0].pk}
    with in_brand(brand):
        assert Job.objects.get().state == "done" and TagAct.objects.get().n_added == 1
