"""Rules that are refused: for everybody without a yes, in circles, nonsense, of another brand."""

from typing import Any

import pytest

from contacts.models import BehaviourKind, EventType
from org.access import SYSTEM
from scrm.errors import ConflictError, InvalidError
from tagging.models import ContactTag, Segment, Tag, TagRule, TagRuleBits
from tagging.services.rules import rules
from tagging.services.segments import segments
from tagging.services.value import lifecycle
from tests.factories import in_brand, make_contact, make_tag
from tests.tagging.test_rules import at_now, carriers, make, people, react, tag, tell
from tests.tagging.test_rules_conditions import SPENT, spend

__all__ = ["at_now", "people", "tag"]
pytestmark = pytest.mark.django_db(transaction=True)


def test_everybody_needs_a_yes(brand: Any, people: Any, tag: Tag) -> None:
    rule = make(brand, on=False, kind="condition", condition={"kind": "everybody"}, add_tag_ids=[tag.pk])
    with in_brand(brand), pytest.raises(rules.NeedsYes) as refused:
        rules.switch_on(brand, by=SYSTEM, rule=rule)
    assert refused.value.details == {"n_match": 8, "n_people": 8, "n_everybody": 8, "share": 1.0}
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


def test_circles_through_the_lifecycle(brand: Any, people: Any) -> None:
    """Stage → rule → tag → stage would go round for ever; so would a stage that asks for stages."""
    with in_brand(brand):
        tag, other = make_tag(brand, "沉默"), make_tag(brand, "别的")
        segment = Segment.objects.create(name="一段", condition={"kind": "named", "value": True})
    has = lambda t: {"kind": "tags", "mode": "any", "ids": [t.pk]}  # noqa: E731
    in_segment = {"kind": "segment", "mode": "any", "ids": [segment.pk]}
    in_stage = {"kind": "lifecycle", "ids": [1]}

    def stages(condition: Any) -> None:
        with in_brand(brand):
            given = [
                lifecycle.StageInput("甲段", condition, number=1),
                lifecycle.StageInput("其他", lifecycle.EVERYBODY, number=7),
            ]
            lifecycle.change_stages(brand, given, by=SYSTEM)

    stages({"not": has(tag)})
    with pytest.raises(ConflictError) as refused:
        make(brand, name="一", kind="condition", condition=in_stage, add_tag_ids=[tag.pk], keeps_in_step=True)
    assert refused.value.code == "circle"
    make(brand, name="二", kind="condition", condition=in_stage, add_tag_ids=[other.pk], keeps_in_step=True)
    with pytest.raises(ConflictError):
        stages(has(other))
    for condition in (in_stage, {"not": {"any": [has(tag), in_stage]}}):
        with pytest.raises(InvalidError):
            stages(condition)
    stages(in_segment)
    with in_brand(brand), pytest.raises(ConflictError) as refused:
        segments.update_segment(brand, by=SYSTEM, segment=segment, condition=in_stage)
    assert refused.value.code == "circle"


BAD = [
    {"name": ""}, {"name": "长" * 61}, {"kind": "magic"}, {"event": "moon"}, {"filters": {"moon": 1}},
    {"filters": {"words": "x"}}, {"filters": {"words": ["x" * 50]}}, {"filters": [1]}, {"n_at_least": 3},
    {"n_at_least": 0}, {"window_days": 100_000, "n_at_least": 2}, {"amount_at_least_fen": 5, "window_days": 3},
    {"event": "order_paid", "filters": {"amount_from_fen": 500, "amount_to_fen": 500}},
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
