"""Group chats in the reconciliation: what WeCom's callbacks have not told comes to light, and is repaired from WeCom."""

import time
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from drift.models import Difference, DriftRun
from drift.services import chat_stage, repairs
from drift.services.settings import edit_settings
from drift.words import lines
from groups.models import GroupChat, GroupCode, GroupMember
from groups.services import code_push, codes
from groups.services import sync as group_sync
from org.access import SYSTEM
from org.models import Job, Staff
from scrm import clock
from scrm.errors import NotFoundError
from tenants.scoping import tenant_scope
from tests.contacts.test_sync import customers, external
from tests.drift.conftest import full_sync, run_job
from tests.factories import in_brand
from tests.wecom.sandbox_client import CORPID
from wecom.models import CallbackEvent

pytestmark = pytest.mark.django_db(transaction=True)
Reconcile = Callable[..., DriftRun]
DAY = 86_400


def make_group(world: SimpleNamespace, name: str, *numbers: int, owner: str = "GuideA", **over: Any) -> str:
    given = {"owner": owner, "name": name, "customers": [external(n) for n in numbers]}
    given |= {"create_time": int(time.time()) - 5 * DAY}
    return world.sandbox.post("group_create", corpid=CORPID, **{**given, **over})["chat_id"]


def act(world: SimpleNamespace, what: str, /, **given: Any) -> None:
    world.sandbox.post(what, corpid=CORPID, **given)


def read_groups_once(world: SimpleNamespace) -> None:
    with in_brand(world.brand):
        job = Job.objects.get(kind=group_sync.KIND)
    assert run_job(world, job).state == "done"


@pytest.fixture
def world(connected: SimpleNamespace) -> SimpleNamespace:
    """Three groups, all of which are mirrored: 一群 (0, 1, 2), 二群 of B (3), 散群 (4)."""
    connected.sandbox.load(customers=customers(12))
    connected.first = make_group(connected, "一群", 0, 1, 2)
    connected.second = make_group(connected, "二群", 3, owner="guideb")
    connected.gone = make_group(connected, "散群", 4)
    full_sync(connected)
    read_groups_once(connected)
    return connected


def rows(world: SimpleNamespace, **where: Any) -> list[Difference]:
    with in_brand(world.brand):
        return list(Difference.objects.filter(**where).order_by("kind", "key"))


def there(world: SimpleNamespace, chat_id: str) -> set[str]:
    with in_brand(world.brand):
        stays = GroupMember.objects.filter(chat__chat_id=chat_id, left_at=None)
        return set(stays.values_list("userid", flat=True))


def behind_our_back(world: SimpleNamespace) -> str:
    """Somebody leaves, somebody comes, a group has another name, owner and notice, one ends, one is new."""
    act(world, "group_leave", chat_id=world.first, who=external(0))
    act(world, "group_join", chat_id=world.first, external_userid=external(7))
    act(world, "group_change", chat_id=world.second, name="新二群", owner="guidea", notice="八点上新")
    act(world, "group_dismiss", chat_id=world.gone)
    return make_group(world, "三群", 5)


def only_look(world: SimpleNamespace, auto: list[str] | None = None) -> None:
    with in_brand(world.brand):
        edit_settings(
            world.brand,
            by=SYSTEM,
            is_nightly=True,
            at=clock.now().time().replace(tzinfo=None),
            auto=auto or [],
        )


def later(world: SimpleNamespace, reconcile: Reconcile) -> DriftRun:
    """After the grace that a callback has to arrive."""
    with clock.at(clock.now() + timedelta(minutes=20)):
        return reconcile(world)


def test_nothing_differs(world: SimpleNamespace, reconcile: Reconcile) -> None:
    run = later(world, reconcile)
    assert (run.n_found, run.note, rows(world)) == (0, "", [])


def test_everything_comes_to_light_and_nothing_is_changed(
    world: SimpleNamespace, reconcile: Reconcile
) -> None:
    only_look(world)
    new = behind_our_back(world)
    later(world, reconcile)

    found = {(row.kind, row.key): row for row in rows(world)}
    assert set(found) == {
        ("group_differs", world.second), ("group_members_differ", world.second),  # the new owner came in
        ("group_members_differ", world.first), ("group_ghost", world.gone), ("group_missing", new),
    }  # fmt: skip
    second = found["group_differs", world.second]
    with in_brand(world.brand):
        names = dict(Staff.objects.values_list("userid", "name"))
    assert second.ours == {"name": "二群", "owner": names["guideb"], "notice": ""}
    assert second.theirs == {"name": "新二群", "owner": names["guidea"], "notice": "八点上新"}
    people = found["group_members_differ", world.first]
    assert (people.ours["users"], people.theirs["users"]) == (["顾客0"], ["顾客7"])
    assert (people.title, people.staff_id) == ("一群", world.a.pk)
    assert external(0) in there(world, world.first) and external(7) not in there(world, world.first)
    with in_brand(world.brand):
        assert GroupChat.objects.live().count() == 3
        shown = {(line.row.kind, line.row.key): line for line in lines(rows(world), world.brand.timezone)}
        chat = GroupChat.objects.get(chat_id=world.first)
    assert shown["group_members_differ", world.first].group_id == chat.pk
    assert [(field.ours, field.theirs) for field in shown["group_members_differ", world.first].fields] == [
        ("4", "4"), ("顾客0", "顾客7"),
    ]  # fmt: skip


def check_repaired(world: SimpleNamespace, new: str) -> None:
    assert there(world, world.first) == {"guidea", external(1), external(2), external(7)}
    with in_brand(world.brand):
        chats = {chat.chat_id: chat for chat in GroupChat.objects.select_related("owner")}
        assert chats[world.second].name == "新二群"
        assert (chats[world.second].owner, chats[world.second].notice) == (world.a, "八点上新")
        assert chats[world.gone].dismissed_at is not None
        assert (chats[new].name, chats[new].n_customers) == ("三群", 1)


def test_repaired_by_itself(world: SimpleNamespace, reconcile: Reconcile) -> None:
    new = behind_our_back(world)
    run = later(world, reconcile)
    assert [row.state for row in rows(world)] == ["repaired"] * 5
    assert run.counts["group_members_differ"] == {"found": 2, "repaired": 2}
    check_repaired(world, new)
    assert later(world, reconcile).n_found == 0


def test_repaired_by_a_person(
    world: SimpleNamespace, reconcile: Reconcile, repair: Callable[..., Job]
) -> None:
    only_look(world)
    new = behind_our_back(world)
    later(world, reconcile)
    (row,) = rows(world, kind="group_members_differ", key=world.first)
    repair(world, ids=[row.pk])
    assert external(7) in there(world, world.first)
    repair(world, everything=True)
    check_repaired(world, new)
    assert rows(world, state="open") == []


def test_a_group_that_wecom_does_not_show_is_given_back(
    world: SimpleNamespace, reconcile: Reconcile, repair: Callable[..., Job]
) -> None:
    only_look(world)
    behind_our_back(world)
    later(world, reconcile)
    (row,) = rows(world, kind="group_members_differ", key=world.first)
    world.sandbox.post(
        "faults", corpid=CORPID, api="externalcontact/groupchat/get", kind="errcode", errcode=60011
    )
    job = repair(world, ids=[row.pk])
    assert (job.state, job.n_done, job.n_bad) == ("done", 1, 1)
    (row,) = rows(world, kind="group_members_differ", key=world.first)
    assert row.state == "open" and row.note


def test_a_state_is_repaired_from_the_list(
    world: SimpleNamespace, reconcile: Reconcile, repair: Callable[..., Job]
) -> None:
    """A group itself does not tell that its owner has left; the list of the owner's groups does."""
    only_look(world)
    act(world, "member_leaves", userid="guideb")
    later(world, reconcile)
    (row,) = rows(world, kind="group_differs")
    assert (row.ours, row.theirs) == ({"group_state": 0}, {"group_state": 1})
    repair(world, ids=[row.pk])
    with in_brand(world.brand):
        assert GroupChat.objects.get(chat_id=world.second).state == GroupChat.State.OWNER_LEFT


def test_a_group_is_followed_as_a_whole(world: SimpleNamespace, reconcile: Reconcile) -> None:
    """Its name differs and its people, and only the people are to be followed: it waits for somebody."""
    only_look(world, auto=["group_members_differ"])
    act(world, "group_join", chat_id=world.first, external_userid=external(7))
    act(world, "group_change", chat_id=world.first, name="新名")
    act(world, "group_join", chat_id=world.second, external_userid=external(8))
    later(world, reconcile)
    assert [(row.key, row.kind, row.state) for row in rows(world) if row.key == world.second] == [
        (world.second, "group_members_differ", "repaired")
    ]
    assert {row.state for row in rows(world) if row.key == world.first} == {"open"}
    with in_brand(world.brand):
        assert GroupChat.objects.get(chat_id=world.first).name == "一群"


def test_what_is_on_its_way_is_no_difference(world: SimpleNamespace, reconcile: Reconcile) -> None:
    """Somebody joined this moment; of another group an event waits in the inbox."""
    only_look(world)
    act(world, "group_join", chat_id=world.first, external_userid=external(7))
    act(world, "group_leave", chat_id=world.second, who=external(3))
    with in_brand(world.brand):
        CallbackEvent.objects.create(
            corp=world.corp, digest="x", event="change_external_chat", change_type="update",
            happened_at=clock.now(), next_try_at=clock.now() + timedelta(hours=1),
            body=f"<xml><ChatId><![CDATA[{world.second}]]></ChatId></xml>",
        )  # fmt: skip
    assert reconcile(world).n_found == 0
    with in_brand(world.brand):
        CallbackEvent.objects.update(state="done")
    later(world, reconcile)
    assert [(row.key, row.kind) for row in rows(world)] == [(world.second, "group_members_differ")]


def test_what_a_run_leaves_alone_stays_open(world: SimpleNamespace, reconcile: Reconcile) -> None:
    """An event of a group that differs waits in the inbox in the next night."""
    only_look(world)
    act(world, "group_leave", chat_id=world.second, who=external(3))
    with in_brand(world.brand):
        CallbackEvent.objects.update(state="done")
    later(world, reconcile)
    with in_brand(world.brand):
        CallbackEvent.objects.create(
            corp=world.corp, digest="x", event="change_external_chat", change_type="update",
            happened_at=clock.now(), next_try_at=clock.now() + timedelta(hours=1),
            body=f"<xml><ChatId><![CDATA[{world.second}]]></ChatId></xml>",
        )  # fmt: skip
    run = later(world, reconcile)
    assert (run.n_found, run.n_settled) == (0, 0)
    assert [(row.key, row.state) for row in rows(world)] == [(world.second, "open")]


def test_an_app_that_may_not_see_groups_compares_the_rest(
    world: SimpleNamespace, reconcile: Reconcile
) -> None:
    only_look(world)
    behind_our_back(world)
    later(world, reconcile)
    world.sandbox.post(
        "faults", corpid=CORPID, api="externalcontact/groupchat/list", kind="errcode", errcode=48002
    )
    act(world, "member_edits", userid="GuideA", external_userid=external(4), remark="新备注")
    run = later(world, reconcile)
    assert run.note
    assert run.counts == {"remark_differs": {"found": 1, "repaired": 0}}
    assert len(rows(world, state="open")) == 6  # what could not be looked at is not settled


def make_code(world: SimpleNamespace, name: str) -> GroupCode:
    """A group code that exists in the sandbox too."""
    with in_brand(world.brand):
        chat = GroupChat.objects.get(chat_id=world.first)
        given = codes.GroupCodeInput(name=name, group_ids=[chat.pk], base_name="新群")
        code = codes.create_code(world.brand, given=given, by=SYSTEM)
    return push(world, code)


def push(world: SimpleNamespace, code: GroupCode) -> GroupCode:
    with (
        tenant_scope(world.brand),
        clock.at(clock.now() + timedelta(hours=1)),
    ):  # after what `later` has ordered
        code_push.push(world.brand, code.pk)
    with in_brand(world.brand):
        return GroupCode.objects.get(pk=code.pk)


def way_of(world: SimpleNamespace, code: GroupCode) -> Any:
    answer = world.sandbox.api(
        "externalcontact/groupchat/get_join_way",
        {"config_id": code.config_id},
        access_token=world.sandbox.token(),
    )
    return answer["join_way"]


def test_group_codes(world: SimpleNamespace, reconcile: Reconcile, repair: Callable[..., Job]) -> None:
    """Changed in WeCom: rewritten by itself. Deleted there: shown, and made anew only when somebody says so."""
    _same, changed, gone = (make_code(world, name) for name in ("一样", "货架", "海报"))
    assert later(world, reconcile).n_found == 0
    token, api = world.sandbox.token(), "externalcontact/groupchat/"
    world.sandbox.api(
        f"{api}update_join_way",
        {
            "config_id": changed.config_id,
            "scene": 2,
            "chat_id_list": [world.second],
            "remark": "别的",
            "auto_create_room": 0,
        },
        access_token=token,
    )
    world.sandbox.api(f"{api}del_join_way", {"config_id": gone.config_id}, access_token=token)

    later(world, reconcile)

    differs, missing = rows(world)
    assert (differs.kind, differs.state, differs.object_id) == ("group_code_differs", "repaired", changed.pk)
    assert differs.theirs["remark"] == "别的" and differs.ours["chats"] == ["一群"]
    assert (missing.kind, missing.state, missing.object_id) == ("group_code_missing", "open", gone.pk)
    push(world, changed)
    way = way_of(world, changed)
    assert (way["remark"], way["chat_id_list"][0], way["state"]) == ("货架", world.first, changed.state)
    assert way["auto_create_room"] == 1
    with in_brand(world.brand), pytest.raises(NotFoundError):
        repairs.start_repair(
            world.brand, by=SYSTEM, everything=True
        )  # a new picture is a decision of its own
    repair(world, kind="group_code_missing")
    again = push(world, gone)
    assert again.sync_state == "ok" and again.config_id not in ("", gone.config_id)
    assert way_of(world, again)["remark"] == "海报"
    assert later(world, reconcile).n_found == 0


def test_groups_that_were_never_read_are_read_first(connected: SimpleNamespace, reconcile: Reconcile) -> None:
    connected.sandbox.load(customers=customers(3))
    make_group(connected, "一群", 0)
    full_sync(connected)
    with in_brand(connected.brand):
        Job.objects.filter(kind=group_sync.KIND).delete()
    assert later(connected, reconcile).n_found == 0
    read_groups_once(connected)
    with in_brand(connected.brand):
        assert GroupChat.objects.count() == 1
    assert later(connected, reconcile).n_found == 0


def test_by_small_steps_with_answers_that_fail(
    world: SimpleNamespace, reconcile: Reconcile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A group a step, while WeCom is busy now and then."""
    monkeypatch.setattr(chat_stage, "GROUPS", 1)
    new = behind_our_back(world)
    world.sandbox.post(
        "faults", corpid=CORPID, api="externalcontact/groupchat/list", kind="errcode", errcode=-1, times=2
    )
    later(world, reconcile)
    check_repaired(world, new)
