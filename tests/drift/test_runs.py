"""The reconciliation against a sandbox that tells us nothing: every change comes to light, once, with before and after."""

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from contacts.models import Event, EventType, Follow
from contacts.services.sync import sync_gone, sync_lanes
from drift.kinds import AUTO, KINDS
from drift.models import Difference, DriftRun
from drift.services import nightly, repairs, runs
from drift.services.settings import edit_settings
from livecodes.models import ChannelCode
from livecodes.services import ways
from livecodes.services.codes import create_code
from livecodes.services.content import CodeInput, GuideInput
from org.access import SYSTEM
from org.models import Department, Job, Staff
from org.services import jobs
from scrm import clock
from scrm.errors import ConflictError, InvalidError, NotFoundError
from tagging.models import ContactTag, Tag
from tagging.services.tags.tags import add_tags
from tenants.scoping import tenant_scope
from tests.contacts.test_sync import OLD, customers, external
from tests.drift.conftest import full_sync
from tests.factories import in_brand
from tests.wecom.sandbox_client import CORPID
from wecom.services import outbound

pytestmark = pytest.mark.django_db(transaction=True)
Reconcile = Callable[..., DriftRun]


def only_look(world: SimpleNamespace) -> None:
    """Nothing is repaired by itself."""
    with in_brand(world.brand):
        edit_settings(world.brand, by=SYSTEM, is_nightly=True, at=time(3, 30), auto=[])


def rows(world: SimpleNamespace, **where: Any) -> list[Difference]:
    with in_brand(world.brand):
        return list(Difference.objects.filter(**where).order_by("kind", "key"))


def kinds(world: SimpleNamespace, **where: Any) -> list[str]:
    return [row.kind for row in rows(world, **where)]


def behind_our_back(world: SimpleNamespace) -> None:
    """One change of every sort that no callback tells us."""
    box = world.sandbox
    # customers: one comes, one goes, one moves from A to B, one has another remark, one other tags, one another source
    box.load(customers=customers(1, 30, guides=("GuideA",)))
    box.post("member_deletes", corpid=CORPID, userid="GuideA", external_userid=external(1))
    box.post("member_deletes", corpid=CORPID, userid="GuideA", external_userid=external(2))
    box.load(customers=[{**customers(1, 2)[0], "follows": [{"userid": "guideb", "createtime": OLD + 5000}]}])
    box.post("member_edits", corpid=CORPID, userid="GuideA", external_userid=external(4), remark="新备注")
    box.post(
        "member_edits", corpid=CORPID, userid="GuideA", external_userid=external(5), add_tags=["咖啡"],
        remove_tags=["普通"],
    )  # fmt: skip
    follow = {**customers(1, 7)[0]["follows"][0], "state": "shelf", "add_way": 3}
    box.load(customers=[{**customers(1, 7)[0], "follows": [follow]}])
    # the console: members, departments, tags
    box.post("member_changes", corpid=CORPID, userid="guideb", name="乙改", position="店长")
    box.post("member_joins", corpid=CORPID, userid="guidec", name="丙")
    box.post("department_put", corpid=CORPID, id=7, name="新店", parentid=1)
    box.post("tag_adds", corpid=CORPID, group_name="兴趣", tags=["茶"])
    tags = {tag["name"]: tag["id"] for group in box_tags(world) for tag in group["tag"]}
    groups = {group["group_name"]: group["group_id"] for group in box_tags(world)}
    box.post("tag_renames", corpid=CORPID, id=tags["黄金"], name="金卡")
    box.post("tag_renames", corpid=CORPID, id=groups["等级"], name="会员等级")


def box_tags(world: SimpleNamespace) -> list[dict]:
    return world.sandbox.api("externalcontact/get_corp_tag_list", {}, access_token=world.sandbox.token())[
        "tag_group"
    ]


EVERYTHING = [
    "department_missing", "member_differs", "member_missing", "owner_differs", "relation_ghost", "relation_missing",
    "remark_differs", "source_differs", "tag_differs", "tag_group_differs", "tag_missing", "tags_differ",
]  # fmt: skip


@pytest.fixture
def world(connected: SimpleNamespace) -> SimpleNamespace:
    connected.sandbox.load(customers=customers(12))
    full_sync(connected)
    return connected


def test_nothing_differs_after_a_sync(world: SimpleNamespace, reconcile: Reconcile) -> None:
    run = reconcile(world)
    assert (run.n_found, run.counts, rows(world)) == (0, {}, [])
    assert run.n_compared > 16
    assert run.ended_at is not None


def test_everything_comes_to_light(world: SimpleNamespace, reconcile: Reconcile) -> None:
    only_look(world)
    behind_our_back(world)
    before = picture(world)
    run = reconcile(world)
    assert kinds(world) == EVERYTHING
    assert (run.n_found, run.n_repaired) == (len(EVERYTHING), 0)
    assert run.counts["owner_differs"] == {"found": 1, "repaired": 0}
    assert picture(world) == before  # looking changes nothing
    found = {row.kind: row for row in rows(world)}
    assert (found["remark_differs"].ours, found["remark_differs"].theirs) == (
        {"remark": ""},
        {"remark": "新备注"},
    )
    assert found["tags_differ"].theirs == {"tags": ["咖啡"]}
    assert found["tags_differ"].ours["tags"] == ["普通"] if found["tags_differ"].ours["tags"] else True
    assert found["source_differs"].theirs == {"add_way": 3, "state": "shelf"}
    assert found["member_differs"].theirs == {"name": "乙改", "position": "店长"}
    assert (found["owner_differs"].ours, found["owner_differs"].theirs) == (
        {"staff_id": world.a.pk}, {"staff_id": world.b.pk},
    )  # fmt: skip
    assert found["tag_differs"].theirs == {"name": "金卡"}
    assert {row.state for row in found.values()} == {"open"}
    # once more: the same rows
    again = reconcile(world)
    assert again.n_found == len(EVERYTHING)
    assert [(row.pk, row.last_run_id) for row in rows(world) if row.kind != "owner_differs"] == [
        (row.pk, again.pk) for row in found.values() if row.kind != "owner_differs"
    ]


def picture(world: SimpleNamespace) -> tuple:
    with in_brand(world.brand):
        return (
            sorted(Follow.objects.values_list("staff_id", "external_userid", "remark", "state", "end_kind")),
            sorted(ContactTag.objects.values_list("tag_id", "contact_id")),
            sorted(Tag.objects.filter(deleted_at=None).values_list("name", "group__name")),
            sorted(Staff.objects.exclude(userid="").values_list("userid", "name", "position", "is_guide")),
            sorted(Department.objects.values_list("wecom_id", "name")),
        )


def test_repaired_by_itself(world: SimpleNamespace, reconcile: Reconcile) -> None:
    behind_our_back(world)
    run = reconcile(world)
    assert kinds(world, state="repaired") == EVERYTHING
    assert (run.n_found, run.n_repaired) == (len(EVERYTHING), len(EVERYTHING))
    assert {row.closed_by for row in rows(world)} == {"system"}
    check_repaired(world)
    assert reconcile(world).n_found == 0


def check_repaired(world: SimpleNamespace) -> None:
    with in_brand(world.brand):
        live = {
            (f.staff.userid, f.external_userid): f
            for f in Follow.objects.select_related("staff").filter(ended_at=None)
        }
        assert ("guidea", external(30)) in live
        assert ("guidea", external(1)) not in live
        assert ("guidea", external(2)) not in live and ("guideb", external(2)) in live
        assert live["guidea", external(4)].remark == "新备注"
        assert (live["guidea", external(7)].add_way, live["guidea", external(7)].state) == (3, "shelf")
        tags = {(t.tag.name, t.contact.name) for t in ContactTag.objects.select_related("tag", "contact")}
        assert ("咖啡", "顾客5") in tags
        assert set(Tag.objects.filter(deleted_at=None).values_list("name", "group__name")) >= {
            ("金卡", "会员等级"), ("茶", "兴趣"),
        }  # fmt: skip
        assert Staff.objects.get(userid="guideb").position == "店长"
        assert Staff.objects.filter(userid="guidec", is_guide=True).exists()
        assert Department.objects.filter(wecom_id=7).exists()
        told = set(Event.objects.values_list("type", flat=True))
        assert {EventType.ADDED, EventType.GONE, EventType.TAGGED, EventType.REMARKED} <= told


def test_repaired_by_a_person(
    world: SimpleNamespace, reconcile: Reconcile, repair: Callable[..., Job]
) -> None:
    """One row, then a kind, then all; WeCom is asked again, and the history says who did it."""
    only_look(world)
    behind_our_back(world)
    reconcile(world)
    one = next(row for row in rows(world) if row.kind == "remark_differs")
    world.sandbox.post(
        "member_edits", corpid=CORPID, userid="GuideA", external_userid=external(4), remark="更新的"
    )
    repair(world, ids=[one.pk])
    with in_brand(world.brand):
        assert (
            Follow.objects.get(staff=world.a, external_userid=external(4)).remark == "更新的"
        )  # as it is now
    assert kinds(world, state="repaired") == ["remark_differs"]
    repair(world, kind="tag_missing")
    assert kinds(world, state="repaired") == ["remark_differs", "tag_missing"]
    world.sandbox.post(
        "member_edits", corpid=CORPID, userid="GuideA", external_userid=external(4), remark="新备注"
    )
    job = repair(world, everything=True)
    assert (job.n_done, job.n_bad) == (len(EVERYTHING) - 2, 0)
    assert kinds(world, state="open") == []
    with in_brand(world.brand):
        assert Difference.objects.filter(closed_by="system").count() == len(EVERYTHING)
        with pytest.raises(NotFoundError):
            repairs.start_repair(world.brand, by=SYSTEM, ids=[one.pk])
        with pytest.raises(InvalidError):
            repairs.start_repair(world.brand, by=SYSTEM, kind="nonsense")
        with pytest.raises(InvalidError):
            repairs.start_repair(world.brand, by=SYSTEM)
    reconcile(world)
    repair(world, everything=True)  # what was changed after the run
    check_repaired(world)


def test_only_some_kinds_by_themselves(world: SimpleNamespace, reconcile: Reconcile) -> None:
    """A relation with another remark and other tags, of which only the tags are followed."""
    with in_brand(world.brand):
        edit_settings(
            world.brand, by=SYSTEM, is_nightly=True, at=time(3, 30), auto=["tags_differ", "relation_missing"]
        )
    world.sandbox.post(
        "member_edits",
        corpid=CORPID,
        userid="GuideA",
        external_userid=external(4),
        remark="新",
        add_tags=["普通"],
    )
    behind_our_back(world)
    run = reconcile(world)
    assert sorted(kinds(world, state="repaired")) == ["relation_missing", "tags_differ", "tags_differ"]
    with in_brand(world.brand):
        follow = Follow.objects.get(staff=world.a, external_userid=external(4))
        assert follow.remark == ""
        assert len(follow.wecom_tag_ids) == 3
        # the move is half done: the customer is with both until somebody repairs it
        assert Difference.objects.get(kind="owner_differs").state == "open"
    assert run.n_repaired == 3


def test_ignored_until_wecom_says_something_else(world: SimpleNamespace, reconcile: Reconcile) -> None:
    only_look(world)
    edit = {"corpid": CORPID, "userid": "GuideA", "external_userid": external(4)}
    world.sandbox.post("member_edits", **edit, remark="一")
    reconcile(world)
    (row,) = rows(world)
    with in_brand(world.brand):
        repairs.ignore(world.brand, by=SYSTEM, ids=[row.pk])
    reconcile(world)
    assert [row.state for row in rows(world)] == ["ignored"]
    world.sandbox.post("member_edits", **edit, remark="二")
    reconcile(world)
    assert [row.state for row in rows(world)] == ["open"]
    with in_brand(world.brand):
        repairs.ignore(world.brand, by=SYSTEM, ids=[row.pk])
        repairs.reopen(world.brand, by=SYSTEM, ids=[row.pk])
    assert [row.state for row in rows(world)] == ["open"]
    world.sandbox.post("member_edits", **edit, remark="")
    assert reconcile(world).n_settled == 1
    assert [row.state for row in rows(world)] == ["settled"]


def test_half_of_them_missing_is_not_believed(
    world: SimpleNamespace, reconcile: Reconcile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync_gone, "GONE_ALLOWED", 2)
    for n in range(8):
        world.sandbox.post("member_deletes", corpid=CORPID, userid="GuideA", external_userid=external(n))
    run = reconcile(world)
    assert run.n_suspicious == 8
    assert kinds(world, state="open") == ["relation_ghost"] * 8
    with in_brand(world.brand):
        assert not Follow.objects.filter(ended_at__isnull=False).exists()


def test_what_is_on_its_way_is_no_difference(world: SimpleNamespace, reconcile: Reconcile) -> None:
    with in_brand(world.brand):
        contact = Follow.objects.get(staff=world.a, external_userid=external(2)).contact_id
        add_tags(world.brand, contacts=[contact], tags=[Tag.objects.get(name="普通")], source="page")
        outbound.enqueue(
            world.brand, corp=world.corp, kind="remark", key="r", subject=external(2),
            payload={"userid": "guidea", "external_userid": external(2), "remark": "我们的"},
        )  # fmt: skip
        Follow.objects.filter(external_userid=external(2)).update(remark="我们的")
    assert reconcile(world).n_found == 0


def test_a_new_customer_is_still_the_callbacks(world: SimpleNamespace, reconcile: Reconcile) -> None:
    world.sandbox.load(customers=[{**customers(1, 40)[0], "follows": [{"userid": "GuideA"}]}])  # this moment
    assert reconcile(world).n_found == 0


def make_code(world: SimpleNamespace, name: str) -> ChannelCode:
    """A code that exists in the sandbox too."""
    given = CodeInput(name=name, guides=[GuideInput(world.a.pk)], welcomes=[])
    with in_brand(world.brand):
        code = create_code(world.brand, by=SYSTEM, corp=world.corp, given=given)
    with tenant_scope(world.brand):
        ways.push(world.brand, code.pk)
    with in_brand(world.brand):
        return ChannelCode.objects.get(pk=code.pk)


def test_codes(world: SimpleNamespace, reconcile: Reconcile, repair: Callable[..., Job]) -> None:
    """Changed in WeCom: rewritten by itself. Deleted there: shown, and made anew only when somebody says so."""
    changed, gone = make_code(world, "货架"), make_code(world, "海报")
    token = world.sandbox.token()
    world.sandbox.api(
        "externalcontact/update_contact_way",
        {"config_id": changed.config_id, "state": "别的", "skip_verify": True}, access_token=token,
    )  # fmt: skip
    world.sandbox.api("externalcontact/del_contact_way", {"config_id": gone.config_id}, access_token=token)
    reconcile(world)
    assert [(row.kind, row.state, row.object_id) for row in rows(world)] == [
        ("code_differs", "repaired", changed.pk), ("code_missing", "open", gone.pk),
    ]  # fmt: skip
    with tenant_scope(world.brand):
        ways.push(world.brand, changed.pk)
    way = world.sandbox.api(
        "externalcontact/get_contact_way", {"config_id": changed.config_id}, access_token=token
    )
    assert way["contact_way"]["state"] == changed.state
    repair(world, kind="code_missing")
    with tenant_scope(world.brand):
        ways.push(world.brand, gone.pk)
    with in_brand(world.brand):
        assert ChannelCode.objects.get(pk=gone.pk).config_id not in ("", gone.config_id)


# ---- the job


def test_interrupted_runs_come_to_the_same(world: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps of a page each; WeCom fails in between, and the job is taken up again and again."""
    monkeypatch.setattr(sync_lanes, "PAGE", 3)
    monkeypatch.setattr(runs, "MERGE", 1)
    monkeypatch.setattr(runs, "STEP_S", 0)
    behind_our_back(world)
    world.sandbox.post("seed", seed=4)
    world.sandbox.post("faults", corpid=CORPID, kind="errcode", errcode=-1, rate=0.3)
    with in_brand(world.brand):
        world.corp.refresh_from_db()
        job = runs.start_run(world.brand, corp=world.corp, by=SYSTEM)
        assert runs.start_run(world.brand, corp=world.corp, by=SYSTEM).pk == job.pk  # a double click
    for turn in range(30):
        with tenant_scope(world.brand), clock.at(clock.now() + timedelta(minutes=3 * turn)):
            done = jobs.run(world.brand, job.pk)
        assert done
        if done.state == "done":
            break
        assert done.state == "waiting", done.error
        if turn == 10:
            world.sandbox.post("faults/clear")
    assert kinds(world, state="repaired") == EVERYTHING
    with in_brand(world.brand):
        assert DriftRun.objects.get(job_id=job.pk).n_repaired == len(EVERYTHING)
    check_repaired(world)


def test_not_before_the_first_sync(connected: SimpleNamespace) -> None:
    with in_brand(connected.brand), pytest.raises(ConflictError):
        runs.start_run(connected.brand, corp=connected.corp, by=SYSTEM)


def test_at_night(world: SimpleNamespace) -> None:
    """Once a night, after the hour that the brand has chosen, and not hours too late."""

    def at(hour: int, minute: int = 0, day: int = 1) -> list[int]:
        moment = datetime(2026, 12, day, hour, minute, tzinfo=UTC) - timedelta(hours=8)  # Asia/Shanghai
        with tenant_scope(world.brand), clock.at(moment):
            return nightly.run_due(world.brand)

    assert at(3, 29) == []
    (job_id,) = at(3, 31)
    assert at(3, 36) == []
    with tenant_scope(world.brand):
        done = jobs.run(world.brand, job_id)
    assert done and done.state == "done"
    assert at(9, day=2) == []
    assert len(at(4, day=3)) == 1
    with in_brand(world.brand):
        edit_settings(world.brand, by=SYSTEM, is_nightly=False, at=time(3, 30), auto=AUTO)
    assert at(4, day=5) == []


def test_left_lying_repairs_are_taken_up(world: SimpleNamespace, reconcile: Reconcile) -> None:
    only_look(world)
    behind_our_back(world)
    reconcile(world)
    with in_brand(world.brand):
        job = repairs.start_repair(world.brand, by=SYSTEM, everything=True)
        jobs.cancel(job.pk)
        assert repairs.take_up(world.brand) is not None
        assert repairs.take_up(world.brand) is None


def test_history_is_forgotten_after_half_a_year(world: SimpleNamespace, reconcile: Reconcile) -> None:
    behind_our_back(world)
    reconcile(world)
    with tenant_scope(world.brand), clock.at(clock.now() + timedelta(days=181)):
        assert nightly.purge(world.brand) == len(EVERYTHING) + 1
    assert rows(world) == []


def test_kinds_are_whole() -> None:
    assert {kind.area for kind in KINDS.values()} == set(repairs.REPAIRS)
    assert all(len(key) <= 24 for key in KINDS)
    assert "code_missing" not in AUTO
