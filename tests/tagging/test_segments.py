"""Segments: made, changed, counted, frozen, put together; versions and who moved; why somebody is in or out."""

from datetime import timedelta
from typing import Any

import pytest

from org.access import SYSTEM
from org.models import AuditEntry
from scrm import clock
from scrm.errors import ConflictError, InvalidError, NotFoundError
from tagging.conditions import ConditionError
from tagging.conditions.summary import WORDS
from tagging.models import Dim, DimBits, Segment, SegmentVersion
from tagging.services.segments import audience, portrait, segments, snapshots, why
from tagging.services.tags.tags import add_tags, remove_tags
from tests.factories import in_brand, make_contact, make_tag


@pytest.fixture
def tagged(brand: Any) -> Any:
    """(tag a, tag b, contacts): the first four have a, the third to sixth have b."""
    with in_brand(brand):
        a, b = make_tag(brand, "甲"), make_tag(brand, "乙")
        people = [make_contact(brand, position=i * 3_000, name=f"客户{i}") for i in range(8)]
        add_tags(brand, contacts=people[:4], tags=[a], source="page")
        add_tags(brand, contacts=people[2:6], tags=[b], source="page")
    return a, b, people


def has(tag: Any) -> dict[str, Any]:
    return {"kind": "tags", "mode": "any", "ids": [tag.pk]}


def make(brand: Any, name: str, condition: Any) -> Segment:
    return segments.create_segment(brand, by=SYSTEM, name=name, condition=condition)


def members(brand: Any, segment: Segment) -> list[int]:
    return audience.ids(brand, snapshots.condition_of(segment))


def test_created_counted_and_kept(brand: Any, tagged: Any) -> None:
    a, _b, people = tagged
    with in_brand(brand):
        segment = make(brand, " 甲的人 ", has(a))
        assert (segment.name, segment.n) == ("甲的人", 4)
        assert SegmentVersion.objects.get().n == 4
        assert members(brand, segment) == [p.pk for p in people[:4]]
        assert AuditEntry.objects.get(object_type="segment").after["n"] == 4
        with pytest.raises(ConflictError):
            make(brand, "甲的人", has(a))
        with pytest.raises(InvalidError):
            make(brand, "", has(a))


def test_what_cannot_be_read_is_nobody(brand: Any, tagged: Any) -> None:
    with in_brand(brand):
        for bad in (
            {},
            {"all": []},
            {"kind": "loves_us"},
            {"kind": "tags", "ids": [999_999]},
            {"kind": "tags", "ids": []},
            {"kind": "everybody", "extra": 1},
            [],
            None,
        ):
            with pytest.raises(ConditionError):
                make(brand, "x", bad)
        assert not Segment.objects.exists()


def test_problems_name_their_place(brand: Any, tagged: Any) -> None:
    a, _b, _people = tagged
    raw = {
        "all": [
            has(a),
            {
                "any": [
                    {"kind": "added", "window": {"type": "last", "n": 0}},
                    {"kind": "gender", "values": ["x"]},
                ]
            },
        ]
    }
    with in_brand(brand), pytest.raises(ConditionError) as caught:
        audience.read(brand, raw)
    assert [(p.path, p.param) for p in caught.value.problems] == [("1.0", "window"), ("1.1", "values")]


def test_entered_and_left(brand: Any, tagged: Any) -> None:
    a, _b, people = tagged
    with in_brand(brand):
        segment = make(brand, "甲", has(a))
        begin, nobody = snapshots.entered_since(brand, segment.pk, None)
        assert nobody == []
        add_tags(brand, contacts=people[6:], tags=[a], source="page")
        remove_tags(brand, contacts=people[:1], tags=[a], source="page")
        with clock.at(clock.now() + timedelta(hours=1)):
            version = snapshots.snapshot(brand, segment)
        assert (version.n, version.n_entered, version.n_left) == (5, 2, 1)
        entered, left = snapshots.changes(brand, begin, version.pk)
        assert (entered, left) == ([p.pk for p in people[6:]], [people[0].pk])
        assert snapshots.entered_since(brand, segment.pk, begin) == (version.pk, entered)
        assert snapshots.entered_since(brand, segment.pk, version.pk) == (version.pk, [])
        day = snapshots.curve(segment)[-1]  # an hour later may be another day
        assert (day["n"], day["entered"], day["left"]) == (5, 2, 1)


def test_old_bits_are_forgotten_numbers_stay(brand: Any, tagged: Any) -> None:
    a, _b, _people = tagged
    with in_brand(brand):
        now = clock.now()
        with clock.at(now - timedelta(days=20)):
            segment = make(brand, "甲", has(a))
            first = SegmentVersion.objects.get().pk
            again = snapshots.snapshot(brand, segment)
        newest = snapshots.snapshot(brand, segment)
        assert snapshots.purge(brand) == 1
        assert list(
            SegmentVersion.objects.filter(has_bits=True).order_by("pk").values_list("pk", flat=True)
        ) == [first, newest.pk]
        assert not DimBits.objects.filter(dim=Dim.SEGMENT, val=again.pk).exists()
        assert SegmentVersion.objects.get(pk=again.pk).n == 4
        assert snapshots.entered_since(brand, segment.pk, again.pk) == (newest.pk, [])


def test_frozen_does_not_move(brand: Any, tagged: Any) -> None:
    a, _b, people = tagged
    with in_brand(brand):
        segment = make(brand, "甲", has(a))
        frozen = segments.freeze(brand, by=SYSTEM, name="甲·今天", segment=segment)
        add_tags(brand, contacts=people[6:], tags=[a], source="page")
        assert len(members(brand, segment)) == 6
        assert members(brand, frozen) == [p.pk for p in people[:4]]


def test_list_by_ids(brand: Any, other_brand: Any, tagged: Any) -> None:
    _a, _b, people = tagged
    with in_brand(other_brand):
        theirs = make_contact(other_brand)
    with in_brand(brand):
        some = segments.create_list(
            brand, by=SYSTEM, name="名单", contact_ids=[people[0].pk, theirs.pk, 10**9]
        )
        assert members(brand, some) == [people[0].pk]
        n = segments.change_list(
            brand, by=SYSTEM, segment=some, add=[people[1].pk, people[7].pk], remove=[people[0].pk]
        )
        assert (n, members(brand, some)) == (2, [people[1].pk, people[7].pk])
        with pytest.raises(ConflictError):
            segments.update_segment(brand, by=SYSTEM, segment=some, condition={"kind": "everybody"})
        first = snapshots.snapshot(brand, some)
        segments.change_list(brand, by=SYSTEM, segment=some, add=[people[3].pk])
        second = snapshots.snapshot(brand, some)
        assert (first.n, second.n, second.n_entered) == (2, 3, 1)


def test_segments_in_segments(brand: Any, tagged: Any) -> None:
    a, b, people = tagged
    with in_brand(brand):
        first, second = make(brand, "甲", has(a)), make(brand, "乙", has(b))
        expected = {"union": people[:6], "intersection": people[2:4], "difference": people[:2]}
        for operation, there in expected.items():
            put = make(brand, operation, segments.combination(operation, [first.pk, second.pk]))
            assert members(brand, put) == [p.pk for p in there]
        inside = {"kind": "segment", "ids": [Segment.objects.get(name="union").pk]}
        with pytest.raises(ConditionError, match=r"circle|循环"):
            segments.update_segment(brand, by=SYSTEM, segment=first, condition={"any": [has(a), inside]})
        with pytest.raises(ConflictError, match="union"):
            segments.delete_segment(brand, by=SYSTEM, segment=first)
        for operation in expected:
            segments.delete_segment(
                brand, by=SYSTEM, segment=Segment.objects.get(name=operation, deleted_at=None)
            )
        segments.delete_segment(brand, by=SYSTEM, segment=first)
        with pytest.raises(ConditionError):
            make(brand, "x", segments.combination("union", [first.pk, second.pk]))


def test_what_was_deleted_finds_nobody_and_says_so(brand: Any, tagged: Any) -> None:
    a, b, _people = tagged
    with in_brand(brand):
        first = make(brand, "甲", has(a))
        outer = make(brand, "外", segments.combination("union", [first.pk, make(brand, "乙", has(b)).pk]))
        Segment.objects.filter(pk=first.pk).update(deleted_at=clock.now())  # two people at once
        with pytest.raises(NotFoundError):
            members(brand, outer)
        assert snapshots.snapshot_all(brand) == {"segments": 1, "failed": 1}
        assert Segment.objects.get(pk=outer.pk).error


def test_why(brand: Any, tagged: Any) -> None:
    a, b, people = tagged
    with in_brand(brand):
        first = make(brand, "甲", has(a))
        condition = audience.read(brand, {"all": [has(b), {"not": {"kind": "segment", "ids": [first.pk]}}]})
        tree = why.explain(brand, condition, people[2].pk)
        assert not tree["holds"]
        yes, no = tree["items"]
        assert yes["holds"] and yes["fact"] == "乙"
        assert not no["holds"] and no["items"][0]["holds"]
        assert no["items"][0]["items"][0]["name"] == "甲"
        assert no["items"][0]["fact"] == "甲"
        facts = [
            why.explain(brand, audience.read(brand, {"kind": kind, "values": values}), people[2].pk)["fact"]
            for kind, values in (
                ("gender", ["male"]), ("follow", ["lost"]), ("contact_kind", ["wecom"]),
            )
        ]  # fmt: skip
        assert facts == [str(WORDS[word]) for word in ("unknown", "pending", "wechat")]
        assert why.explain(brand, condition, people[5].pk)["holds"]
        with pytest.raises(NotFoundError):
            why.explain(brand, condition, 10**9)


def test_portrait(brand: Any, tagged: Any) -> None:
    a, b, _people = tagged
    with in_brand(brand):
        first, second = make(brand, "甲", has(a)), make(brand, "乙", has(b))
        version = portrait.version_of(first)
        assert version
        found = {s.name: (s.n, s.n_all, s.lift) for s in portrait.shares(brand, version, Dim.TAG, "tags")}
        assert found == {"甲": (4, 4, 2.0), "乙": (2, 4, 1.0)}
        (overlap,) = portrait.overlaps(brand, first)
        assert (overlap.segment, overlap.n, overlap.share) == (second, 2, 0.5)
        classes = portrait.classes(brand, version)
        assert {key: sum(row.n for row in rows) for key, rows in classes.items()} == dict.fromkeys(classes, 4)
        assert portrait.flags(brand, version)["named"].n == 4
