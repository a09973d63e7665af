"""Rules by condition: when it becomes true and false, previews, runs taken back, rules that cannot run."""

import random
from datetime import timedelta
from typing import Any

import pytest

from contacts.models import Contact, ContactStat, EventType
from org.access import SYSTEM
from org.models import Job
from scrm import clock
from scrm.errors import InvalidError
from tagging.models import Segment, Tag, TagAct, TagRule
from tagging.services.rules import rule_preview, rule_runs, rules
from tagging.services.segments import segments
from tagging.services.tags import acts
from tagging.services.tags.tags import add_tags, remove_tags
from tenants.scoping import tenant_scope
from tests.factories import in_brand, make_tag
from tests.tagging.test_rules import NOW, agree, at_now, carriers, make, people, react, tag, tell

__all__ = ["at_now", "people", "tag"]
pytestmark = pytest.mark.django_db(transaction=True)


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


def test_a_rule_that_cannot_run_is_tried_once_a_night(brand: Any, people: Any, tag: Tag) -> None:
    """Not each minute; and at once when somebody has changed it."""
    with in_brand(brand):
        segment = Segment.objects.create(name="群", condition=SPENT)
    condition = {"kind": "segment", "mode": "any", "ids": [segment.pk]}
    rule = make(brand, kind="condition", condition=condition, add_tag_ids=[tag.pk])
    spend(brand, people[0], 2000)
    with in_brand(brand):
        Segment.objects.update(deleted_at=clock.now())
    with clock.at(NOW + timedelta(days=1)):
        with tenant_scope(brand):
            assert [len(rule_runs.start_nightly(brand)) for _ in range(3)] == [1, 0, 0]
        with in_brand(brand):
            rule.refresh_from_db()
            assert rule.problem
            rules.edit(brand, by=SYSTEM, rule=rule, values={"condition": SPENT}, confirmed=True)
        with tenant_scope(brand):
            assert len(rule_runs.start_nightly(brand)) == 1
    assert carriers(brand, tag) == {people[0].pk}


def test_a_segment_that_grew_to_everybody_tags_nobody(
    brand: Any, people: Any, tag: Tag, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rule was switched on for a few; at night it would change everybody, and nobody has said yes to that."""
    monkeypatch.setattr(rule_runs, "HELD_FROM", 3)
    spend(brand, people[0], 2000)
    with in_brand(brand):
        segment = Segment.objects.create(name="大客", condition=SPENT)
    condition = {"kind": "segment", "mode": "any", "ids": [segment.pk]}
    rule = make(brand, kind="condition", condition=condition, add_tag_ids=[tag.pk], confirmed=False)
    assert carriers(brand, tag) == {people[0].pk}
    with in_brand(brand):
        segments.update_segment(brand, by=SYSTEM, segment=segment, condition={"kind": "everybody"})
    for night in (1, 2):
        with clock.at(NOW + timedelta(days=night)), tenant_scope(brand):
            rule_runs.start_nightly(brand)
        assert carriers(brand, tag) == {people[0].pk}
    with in_brand(brand):
        rule.refresh_from_db()
        assert "7" in rule.problem and "8" in rule.problem and rule.is_on
        rules.switch_off(brand, by=SYSTEM, rule=rule)
        with pytest.raises(rules.NeedsYes):
            rules.switch_on(brand, by=SYSTEM, rule=rule)
    with in_brand(brand):
        rules.switch_on(brand, by=SYSTEM, rule=rule, confirmed=True)
    assert len(carriers(brand, tag)) == 8
    agree(brand)


def test_a_yes_holds_for_the_rule_as_it_was(
    brand: Any, people: Any, tag: Tag, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody has said yes to everybody, and to nothing after it was narrowed."""
    monkeypatch.setattr(rule_runs, "HELD_FROM", 3)
    spend(brand, people[0], 2000)
    with in_brand(brand):
        segment = Segment.objects.create(name="大客", condition=SPENT)
    rule = make(brand, kind="condition", condition={"kind": "everybody"}, add_tag_ids=[tag.pk])
    narrow = {"kind": "segment", "mode": "any", "ids": [segment.pk]}
    with in_brand(brand):
        rule = rules.edit(brand, by=SYSTEM, rule=rule, values={"condition": narrow}, confirmed=True)
        assert not rule.confirmed_by
    with clock.at(NOW + timedelta(days=1)), tenant_scope(brand):
        rule_runs.start_nightly(brand)
    with in_brand(brand):
        segments.update_segment(brand, by=SYSTEM, segment=segment, condition={"kind": "everybody"})
    with clock.at(NOW + timedelta(days=2)), tenant_scope(brand):
        rule_runs.start_nightly(brand)
    with in_brand(brand):
        rule.refresh_from_db()
        assert "8" in rule.problem


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
