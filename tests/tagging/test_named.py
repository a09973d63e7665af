"""What names a tag or a segment anywhere: told before it is deleted, rewritten when two tags become one."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from campaigns.models import AlertRule, Broadcast, Moment, NoContactRule, Sop, SopVersion, Wave
from guides.models import Lead, LeadList
from org.access import SYSTEM
from scrm import clock
from scrm.errors import ConflictError
from tagging.models import LifecycleStage, Segment, TagRule
from tagging.named import segments_in, tags_in, with_tag
from tagging.services.segments import audience, segments
from tagging.services.tags import deleting, merging, references
from tagging.services.tags.tags import add_tags
from tagging.services.value import lifecycle
from tenants.scoping import tenant_scope
from tests.factories import in_brand, make_contact, make_tag

pytestmark = pytest.mark.django_db(transaction=True)


def has(*ids: int, **more: Any) -> dict[str, Any]:
    return {"kind": "tags", "mode": "any", "ids": list(ids), **more}


def test_json_names_and_is_rewritten() -> None:
    graph = {
        "nodes": [
            {"id": "n1", "kind": "entry", "by": "segment", "segment_id": 7, "filters": {"tag_ids": [1, 2]}},
            {"id": "n2", "kind": "tag", "add_tag_ids": [1, 3], "remove_tag_ids": [2]},
            {"id": "n3", "kind": "branch", "condition": {"all": [has(1, 5), {"kind": "segment", "ids": [8]}]}},
        ],
        "settings": {"exits": [{"condition": {"not": has(2, 1, 4, mode="at_least", n=3)}}]},
    }  # fmt: skip
    assert tags_in(graph) == {1, 2, 3, 4, 5} and segments_in(graph) == {7, 8}
    assert segments_in({"segment": 9}) == {9} and segments_in({"contacts": [1]}) == set()
    new = with_tag(graph, 1, 2)
    assert tags_in(new) == {2, 3, 4, 5}
    assert new["nodes"][1] == {"id": "n2", "kind": "tag", "add_tag_ids": [2, 3], "remove_tag_ids": []}
    assert new["settings"]["exits"][0]["condition"]["not"] == has(2, 4, mode="at_least", n=2)
    assert new["nodes"][0]["segment_id"] == 7 and tags_in(graph) == {1, 2, 3, 4, 5}


@pytest.fixture
def named(brand: Any, corp: Any) -> dict[str, Any]:
    """A tag and a segment, and everything that can name them."""
    with in_brand(brand):
        tag, other = make_tag(brand, "旧"), make_tag(brand, "新")
        segment = segments.create_segment(
            brand, by=SYSTEM, name="人群", condition={"kind": "follow", "values": ["lost"]}
        )
        both = {"any": [has(tag.pk), {"kind": "segment", "mode": "any", "ids": [segment.pk]}]}
        stages = lifecycle.stages_of(brand)
        lifecycle.change_stages(
            brand,
            [
                lifecycle.StageInput("特别", both),
                *(lifecycle.StageInput(s.name, s.condition, s.color, s.number) for s in stages),
            ],
            by=SYSTEM,
        )
        graph = {
            "nodes": [
                {"id": "n1", "kind": "entry", "by": "segment", "segment_id": segment.pk},
                {"id": "n2", "kind": "tag", "add_tag_ids": [tag.pk]},
            ],
            "edges": [],
            "settings": {},
        }
        sop = Sop.objects.create(name="旅程", form="graph", state="on", draft=graph)
        version = SopVersion.objects.create(sop=sop, n=1, graph=graph)
        sop.version_id = version.pk
        sop.save()
        mail = Broadcast.objects.create(name="群发", state="on", audience={"segment": segment.pk})
        Wave.objects.create(broadcast=mail, n=1, at=clock.now(), condition={"now": True, "condition": both})
        AlertRule.objects.create(name="提醒", event="added", condition=both, is_on=True)
        Moment.objects.create(
            name="圈", corp=corp, tag_ids=[tag.pk], at=clock.now(), state="planned", content_digest="x"
        )
        NoContactRule.objects.create(name="别打扰", tag=tag)
        numbers = LeadList.objects.create(name="名单", source="page", created_by="x", tag_ids=[tag.pk])
        for n, tags in enumerate(([tag.pk], [tag.pk, other.pk], [])):
            Lead.objects.create(list=numbers, phone=f"1380013800{n}", tag_ids=tags)
        TagRule.objects.create(
            name="规则", kind="condition", condition=both, add_tag_ids=[other.pk], created_by="x"
        )
    return {"tag": tag, "other": other, "segment": segment}  # fmt: skip


def test_a_tag_in_use_is_not_deleted_and_merged_everywhere(brand: Any, named: dict[str, Any]) -> None:
    tag, other = named["tag"], named["other"]
    with in_brand(brand):
        found = {use.name: use.is_needed for use in references.uses(brand, [tag.pk])}
    assert found == {
        "特别": True, "旅程": True, "群发": True, "提醒": True, "圈": True, "别打扰": True, "规则": False, "名单": False,
    }  # fmt: skip
    with tenant_scope(brand), pytest.raises(ConflictError):
        deleting.delete_tag(brand, by=SYSTEM, tag=tag)
    with in_brand(brand):
        merging.start(brand, by=SYSTEM, old=tag, new=other)
    with in_brand(brand):
        assert references.uses(brand, [tag.pk]) == []
        assert {use.name for use in references.uses(brand, [other.pk])} == set(found)
        assert Sop.objects.get().draft_n == 1
        assert [lead.tag_ids for lead in Lead.objects.order_by("pk")] == [[other.pk], [other.pk], []]
        assert lifecycle.place(brand) == 0
        tag.refresh_from_db()
        assert tag.merged_into_id == other.pk


def test_a_segment_in_use_is_not_deleted(brand: Any, named: dict[str, Any]) -> None:
    segment = named["segment"]
    with in_brand(brand):
        found = segments.uses(brand, segment.pk)
        assert {name for _kind, name, _url in found} == {"特别", "旅程", "群发", "提醒", "规则"}
        with pytest.raises(ConflictError, match="群发"):
            segments.delete_segment(brand, by=SYSTEM, segment=segment)
        Broadcast.objects.update(state="done")
        Sop.objects.update(state="ended")
        for model in (AlertRule, TagRule):
            model.objects.update(deleted_at=clock.now())
        LifecycleStage.objects.filter(name="特别").delete()
        segments.delete_segment(brand, by=SYSTEM, segment=segment)


def test_a_merge_that_would_close_a_circle_is_refused(brand: Any) -> None:
    with in_brand(brand):
        a, b, c = (make_tag(brand, name) for name in "甲乙丙")
        for name, condition, tag in (("一", has(a.pk), b), ("二", has(b.pk), c)):
            TagRule.objects.create(
                name=name,
                kind="condition",
                condition=condition,
                add_tag_ids=[tag.pk],
                is_on=True,
                created_by="x",
            )
        with pytest.raises(ConflictError) as refused:
            merging.start(brand, by=SYSTEM, old=c, new=a)
        assert refused.value.code == "circle"
        # nothing was renamed on the way to the refusal
        rules = {r.name: (tags_in(r.condition), r.add_tag_ids) for r in TagRule.objects.all()}
        assert rules == {"一": ({a.pk}, [b.pk]), "二": ({b.pk}, [c.pk])}
        c.refresh_from_db()
        assert c.deleted_at is None


def test_a_stage_that_cannot_be_read_stops_no_other(brand: Any, staff: Any, sign_in: Any) -> None:
    """A tag may be deleted in WeCom whatever we say: who is in the stage stays, nobody comes, the page says why."""
    with in_brand(brand):
        tag = make_tag(brand, "金")
        people = [make_contact(brand, staff) for _ in range(3)]
        add_tags(brand, contacts=people[:1], tags=[tag], source="page")
        lifecycle.change_stages(
            brand,
            [lifecycle.StageInput("金牌", has(tag.pk)), lifecycle.StageInput("其他", lifecycle.EVERYBODY)],
            by=SYSTEM,
        )
        lifecycle.place(brand)
        first, rest = LifecycleStage.objects.order_by("position")
        new = make_contact(brand, staff)
        add_tags(brand, contacts=[new], tags=[tag], source="page")
        tag.deleted_at = clock.now()
        tag.save(update_fields=["deleted_at"])
        assert lifecycle.place(brand) == 1
        assert lifecycle.place_few(brand, [p.pk for p in (*people, new)]) == 0
        inside = audience.ids(brand, {"kind": "lifecycle", "ids": [first.number]})
        assert inside == [people[0].pk]
        assert len(audience.ids(brand, {"kind": "lifecycle", "ids": [rest.number]})) == 3
        assert set(lifecycle.problems_of(brand, [first, rest])) == {first.pk}
    client = sign_in(brand, "admin")
    for url in ("/value/lifecycle/", "/value/stages/"):
        assert "alert-danger" in client.get(url).text


def test_as_many_queries_for_ten_stages_as_for_two(brand: Any) -> None:
    """Stages of segments in segments, one of them deleted: the pages that say so ask once for all of them."""
    counts = []
    with in_brand(brand):
        tag = make_tag(brand, "金")
        inner = segments.create_segment(brand, by=SYSTEM, name="内", condition=has(tag.pk))
        ids = [
            segments.create_segment(
                brand,
                by=SYSTEM,
                name=f"外{n}",
                condition={"kind": "segment", "mode": "any", "ids": [inner.pk]},
            ).pk
            for n in range(9)
        ]
        for n in (1, 9):
            wanted = [
                lifecycle.StageInput(f"段{k}", {"kind": "segment", "mode": "any", "ids": [k]})
                for k in ids[:n]
            ]
            lifecycle.change_stages(
                brand, [*wanted, lifecycle.StageInput("其他", lifecycle.EVERYBODY)], by=SYSTEM
            )
            stages = lifecycle.stages_of(brand)
            assert len(stages) == n + 1
            with CaptureQueriesContext(connection) as asked:
                assert lifecycle.problems_of(brand, stages) == {}
            counts.append(len(asked))
        assert counts[0] == counts[1]
        Segment.objects.filter(pk=inner.pk).update(deleted_at=clock.now())
        assert set(lifecycle.problems_of(brand, stages)) == {stage.pk for stage in stages[:-1]}
        tag.deleted_at = clock.now()
        tag.save(update_fields=["deleted_at"])
        Segment.objects.filter(pk=ids[0]).update(deleted_at=clock.now())
        Segment.objects.filter(pk=inner.pk).update(deleted_at=None)
        assert set(lifecycle.problems_of(brand, stages)) == {stages[0].pk}


def test_segments_in_segments_have_an_end(brand: Any) -> None:
    """Each names the one before twice: a million conditions after twenty, were it not refused."""
    with in_brand(brand):
        last = segments.create_segment(brand, by=SYSTEM, name="0", condition={"kind": "everybody"})
        with pytest.raises(ConflictError) as refused:
            for n in range(1, 25):
                inside = {"kind": "segment", "mode": "any", "ids": [last.pk]}
                last = segments.create_segment(
                    brand, by=SYSTEM, name=str(n), condition={"all": [inside, {"not": {"not": inside}}]}
                )
        assert refused.value.code == "too_many" and Segment.objects.count() < 12
    with in_brand(brand):
        last = segments.create_segment(brand, by=SYSTEM, name="a0", condition={"kind": "everybody"})
        with pytest.raises(ConflictError) as refused:
            for n in range(1, 25):
                last = segments.create_segment(
                    brand,
                    by=SYSTEM,
                    name=f"a{n}",
                    condition={"kind": "segment", "mode": "any", "ids": [last.pk]},
                )
        assert refused.value.code == "too_deep" and Segment.objects.filter(name__startswith="a").count() == 11
