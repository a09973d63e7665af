"""Automatic rules: set off by events and by conditions, previewed, confirmed, refused in circles, taken back."""

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from contacts.models import BehaviourKind, Contact, ContactStat, Event, EventType
from contacts.services.behaviour import record_behaviour
from contacts.services.timeline import record_event
from org.access import SYSTEM
from org.models import Job
from scrm import clock
from scrm.errors import ConflictError, InvalidError
from tagging.models import ContactTag, Segment, Tag, TagAct, TagRule, TagRuleBits
from tagging.rule_events import EVENTS
from tagging.services import acts, bits_check, reacting, rule_preview, rule_runs, rules
from tagging.services.tags import add_tags, remove_tags
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


# ---- conditions


SPENT = {"kind": "number", "measure": "spent_fen", "compare": {"op": "ge", "value": 1000}}


def spend(brand: Any, contact: Contact, fen: int) -> None:
    """What commerce keeps, and the event that it writes."""
    with in_brand(brand):
        ContactStat.objects.filter(contact=contact).update(spent_fen=fen)
    tell(brand, contact, EventType.ORDER_PAID)


def test_condition_becomes_true_and_false(brand: Any, people: Any, tag: Tag) -> None:
    a, b, c = people[:3]
    spend(brand, a, 2000)
    with in_brand(brand):
        add_tags(brand, contacts=[c], tags=[tag], source="page")
    rule = make(brand, kind="condition", condition=SPENT, add_tag_ids=[tag.pk], keeps_in_step=True)
    assert carriers(brand, tag) == {a.pk, c.pk}
    spend(brand, b, 1500)
    spend(brand, c, 1500)
    react(brand)
    assert carriers(brand, tag) == {a.pk, b.pk, c.pk}
    # taken off by hand, while it is still true: left alone, by the events and by the night
    with in_brand(brand):
        remove_tags(brand, contacts=[a], tags=[tag], source="page")
    tell(brand, a, EventType.OPENED)
    react(brand)
    with clock.at(NOW + timedelta(days=1)), tenant_scope(brand):
        assert len(rule_runs.start_nightly(brand)) == 1
        assert rule_runs.start_nightly(brand) == []
    assert carriers(brand, tag) == {b.pk, c.pk}
    # true no more: what the rule has put on goes, what somebody has put on stays
    for person in (b, c):
        spend(brand, person, 10)
    react(brand)
    assert carriers(brand, tag) == {c.pk}
    spend(brand, b, 5000)
    react(brand)
    assert carriers(brand, tag) == {b.pk, c.pk}
    with in_brand(brand):
        ContactStat.objects.filter(contact=b).update(spent_fen=0)  # without an event: the night sees it
    with clock.at(NOW + timedelta(days=2)), tenant_scope(brand):
        rule_runs.start_nightly(brand)
    assert carriers(brand, tag) == {c.pk}
    with in_brand(brand):
        rule.refresh_from_db()
        assert rule.problem == "" and rule.run_at == NOW + timedelta(days=2)
    agree(brand)


@pytest.mark.parametrize("seed", range(12))
def test_a_preview_says_what_the_run_does(brand: Any, people: Any, seed: int) -> None:
    """Random rules over random carriers, some for a time: people, tags on and tags off are as foretold."""
    dice = random.Random(seed)
    with in_brand(brand):
        tags = [make_tag(brand, f"签{n}") for n in range(4)]
        for one in tags:
            for until in (None, NOW + timedelta(days=2), NOW + timedelta(days=300)):
                add_tags(brand, contacts=dice.sample(people, 2), tags=[one], source="page", expires_at=until)
    for person in dice.sample(people, 5):
        spend(brand, person, dice.choice([500, 2000]))
    on, off = tags[: dice.randint(1, 2)], tags[2 : 2 + dice.randint(0, 2)]
    days = dice.choice([None, 1, 30])
    values = {"add_tag_ids": [t.pk for t in on], "remove_tag_ids": [t.pk for t in off], "expires_days": days}
    if dice.random() < 0.5:
        rule = make(brand, on=False, kind="condition", condition=SPENT, **values)
    else:
        rule = make(brand, on=False, event="order_paid", **values)
    before = {t.pk: carriers(brand, t) for t in tags}
    with in_brand(brand):
        found = rule_preview.preview(brand, rule)
    with in_brand(brand):
        rules.switch_on(brand, by=SYSTEM, rule=rule, confirmed=True, past_days=rule_preview.DAYS)
    after = {t.pk: carriers(brand, t) for t in tags}
    assert {t.pk: len(after[t.pk] - before[t.pk]) for t in on} == found.added
    assert {t.pk: len(before[t.pk] - after[t.pk]) for t in off} == found.removed
    with in_brand(brand):
        act = TagAct.objects.filter(kind=TagAct.Kind.RULE).first()
        changed = (act.n_added, act.n_removed) if act else (0, 0)
        assert changed == (sum(found.added.values()) + found.n_later, sum(found.removed.values()))
        assert (act.n_people if act else 0) == found.n_match
    moved = {p for t in tags for p in after[t.pk] ^ before[t.pk]}
    assert len(moved) == found.n_people


def test_a_run_is_taken_back(brand: Any, people: Any, tag: Tag) -> None:
    for person in people[:4]:
        spend(brand, person, 2000)
    with in_brand(brand):
        other = make_tag(brand, "旧")
        add_tags(brand, contacts=people[:2], tags=[other], source="page")
    make(brand, kind="condition", condition=SPENT, add_tag_ids=[tag.pk], remove_tag_ids=[other.pk])
    assert len(carriers(brand, tag)) == 4 and carriers(brand, other) == set()
    with in_brand(brand):
        act = TagAct.objects.get()
        assert (act.n_people, act.n_added, act.n_removed) == (4, 4, 2)
        acts.undo(brand, act_id=act.pk, by=SYSTEM)
    assert carriers(brand, tag) == set() and carriers(brand, other) == {p.pk for p in people[:2]}
    # it is true of them still, and they are not tagged again
    react(brand)
    with clock.at(NOW + timedelta(days=1)), tenant_scope(brand):
        rule_runs.start_nightly(brand)
    assert carriers(brand, tag) == set()
    agree(brand)


def test_a_condition_that_cannot_be_read_is_nobodys(brand: Any, people: Any, tag: Tag) -> None:
    with in_brand(brand):
        segment = Segment.objects.create(name="群", condition=SPENT)
    spend(brand, people[0], 2000)
    condition = {"kind": "segment", "mode": "any", "ids": [segment.pk]}
    rule = make(brand, kind="condition", condition=condition, add_tag_ids=[tag.pk])
    assert carriers(brand, tag) == {people[0].pk}
    with in_brand(brand):
        Segment.objects.update(deleted_at=clock.now())
    spend(brand, people[1], 2000)
    react(brand)
    with clock.at(NOW + timedelta(days=1)), tenant_scope(brand):
        rule_runs.start_nightly(brand)
    assert carriers(brand, tag) == {people[0].pk}
    with in_brand(brand):
        rule.refresh_from_db()
        assert rule.problem
        assert Job.objects.order_by("pk").last().state == "failed"  # type: ignore[union-attr]
        with pytest.raises(InvalidError):
            rules.build(brand, {}, rule)


def test_a_condition_of_an_unknown_kind_stops_no_other_rule(brand: Any, people: Any, tag: Tag) -> None:
    """A kind that a later version knew: nobody's, the rule says so, and the reader goes on."""
    rule = make(brand, kind="condition", condition=SPENT, add_tag_ids=[tag.pk])
    with in_brand(brand):
        TagRule.objects.filter(pk=rule.pk).update(condition={"kind": "moon"})
        other = make_tag(brand, "别的")
    make(brand, name="另一条", kind="condition", condition=SPENT, add_tag_ids=[other.pk])
    spend(brand, people[0], 2000)
    react(brand)
    assert carriers(brand, tag) == set() and carriers(brand, other) == {people[0].pk}
    with in_brand(brand):
        rule.refresh_from_db()
        assert rule.problem


# ---- what is refused


def test_everybody_needs_a_yes(brand: Any, people: Any, tag: Tag) -> None:
    rule = make(brand, on=False, kind="condition", condition={"kind": "everybody"}, add_tag_ids=[tag.pk])
    with in_brand(brand), pytest.raises(rules.NeedsYes) as refused:
        rules.switch_on(brand, by=SYSTEM, rule=rule)
    assert refused.value.details == {"n_people": 8, "n_everybody": 8, "share": 1.0}
    assert carriers(brand, tag) == set()
    with in_brand(brand):
        rules.switch_on(brand, by=SYSTEM, rule=rule, confirmed=True)
    assert len(carriers(brand, tag)) == 8
    with in_brand(brand):
        rule.refresh_from_db()
        assert rule.confirmed_by == "system"
    small = make(brand, on=False, kind="condition", condition=SPENT, add_tag_ids=[tag.pk], name="小")
    spend(brand, people[0], 2000)
    with in_brand(brand):
        rules.switch_on(brand, by=SYSTEM, rule=small)
        with pytest.raises(rules.NeedsYes):
            rules.edit(brand, by=SYSTEM, rule=small, values={"condition": {"kind": "everybody"}})


def test_circles(brand: Any, people: Any) -> None:
    with in_brand(brand):
        a, b, c = (make_tag(brand, n) for n in "甲乙丙")
        segment = Segment.objects.create(
            name="带乙的人", condition={"kind": "tags", "mode": "any", "ids": [b.pk]}
        )
    has = lambda t: {"kind": "tags", "mode": "any", "ids": [t.pk]}  # noqa: E731
    make(brand, name="一", kind="condition", condition=has(a), add_tag_ids=[b.pk])
    in_segment = {"kind": "segment", "mode": "any", "ids": [segment.pk]}
    make(brand, name="二", kind="condition", condition=in_segment, add_tag_ids=[c.pk])
    with pytest.raises(ConflictError) as refused:
        make(brand, name="三", event="tagged", filters={"tag_ids": [c.pk]}, add_tag_ids=[a.pk])
    chain = refused.value.details["chain"]
    assert refused.value.code == "circle" and all(
        part in chain for part in ("一", "二", "三", "[甲]", "[乙]", "[丙]")
    )
    for itself in (
        {"kind": "condition", "condition": has(a), "remove_tag_ids": [a.pk]},
        {"event": "tagged", "add_tag_ids": [a.pk]},
        {"event": "untagged", "filters": {"tag_ids": [a.pk]}, "add_tag_ids": [a.pk], "expires_days": 3},
    ):
        with pytest.raises(ConflictError):
            make(brand, name="自己", **itself)
    # a tag among 'who besides' does not set a rule off, and the other way round is no circle
    make(brand, name="四", event="content_opened", condition=has(c), remove_tag_ids=[c.pk])
    make(brand, name="五", event="untagged", filters={"tag_ids": [a.pk]}, add_tag_ids=[a.pk])
    # two that are off may be a circle; the second one cannot be switched on
    with in_brand(brand):
        d, e = make_tag(brand, "丁"), make_tag(brand, "戊")
    six = make(brand, on=False, name="六", event="tagged", filters={"tag_ids": [d.pk]}, add_tag_ids=[e.pk])
    seven = make(brand, on=False, name="七", event="tagged", filters={"tag_ids": [e.pk]}, add_tag_ids=[d.pk])
    with in_brand(brand):
        rules.switch_on(brand, by=SYSTEM, rule=seven, confirmed=True)
    with in_brand(brand), pytest.raises(ConflictError):
        rules.switch_on(brand, by=SYSTEM, rule=six, confirmed=True)


BAD = [
    {"name": ""}, {"name": "长" * 61}, {"kind": "magic"}, {"event": "moon"}, {"filters": {"moon": 1}},
    {"filters": {"words": "x"}}, {"filters": {"words": ["x" * 50]}}, {"filters": [1]}, {"n_at_least": 3},
    {"n_at_least": 0}, {"window_days": 100_000, "n_at_least": 2}, {"amount_at_least_fen": 5, "window_days": 3},
    {"add_tag_ids": []}, {"add_tag_ids": ["x"]}, {"add_tag_ids": [10**9]}, {"expires_days": -1}, {"expires_days": 2.5},
    {"condition": {"kind": "moon"}}, {"condition": {"all": []}}, {"moon": 1}, {"kind": "condition", "condition": None},
]  # fmt: skip


@pytest.mark.parametrize("bad", BAD, ids=str)
def test_nonsense_is_refused(brand: Any, tag: Tag, bad: dict[str, Any]) -> None:
    with in_brand(brand):
        good = {"name": "好", "kind": "event", "event": "word_said", "add_tag_ids": [tag.pk]}
        with pytest.raises(InvalidError):
            rules.create(brand, by=SYSTEM, values={**good, **bad})
        assert not TagRule.objects.exists()


def test_other_brands(brand: Any, other_brand: Any, people: Any, tag: Tag) -> None:
    with in_brand(other_brand):
        foreign, theirs = make_contact(other_brand), make_tag(other_brand)
        BehaviourKind.objects.create(key="x", label="x")
    with pytest.raises(InvalidError):
        make(brand, event="content_opened", add_tag_ids=[theirs.pk])
    make(brand, kind="condition", condition={"kind": "everybody"}, add_tag_ids=[tag.pk])
    make(brand, event="content_opened", add_tag_ids=[tag.pk])
    tell(other_brand, foreign, EventType.OPENED)
    assert react(other_brand) == 0
    react(brand)
    with in_brand(other_brand):
        assert (
            not ContactTag.objects.exists()
            and not TagRuleBits.objects.exists()
            and not TagRule.objects.exists()
        )
    assert len(carriers(brand, tag)) == 8
