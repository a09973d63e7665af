"""Groups against the sandbox: the sync, WeCom's events in any order, late and doubled, kills and refusals."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from contacts.models import Contact, Identity
from contacts.services.follow import record_follow
from contacts.services.sync import sync as contact_sync
from groups.models import GroupChat, GroupMember
from groups.services import linking, sync
from groups.services.mirror import merge
from groups.services.reading import read_group
from org.access import SYSTEM
from org.models import Job, Staff
from org.services import jobs
from scrm import clock
from scrm.celery import app
from tagging.models import Dim, DimBits
from tagging.services.bits import bits_check
from tenants.scoping import tenant_scope
from tests.factories import in_brand, make_contact, make_staff
from tests.groups.conftest import Town, external
from wecom.client import client_for
from wecom.models import CallbackEvent
from wecom.services import inbox

pytestmark = pytest.mark.django_db(transaction=True)


def know(town: Town, *numbers: int) -> list[Contact]:
    """These customers of the sandbox are contacts of ours."""
    with in_brand(town.brand):
        found = []
        for n in numbers:
            contact = make_contact(town.brand, name=f"顾客{n}")
            Identity.objects.create(
                contact=contact, kind="external_userid", scope=town.corp.corpid, value=external(n)
            )
            found.append(contact)
        return found


def full(town: Town) -> dict[str, Any]:
    with in_brand(town.brand):
        job = sync.start_sync(town.brand, corp=town.corp, by=SYSTEM)
    with in_brand(town.brand):
        job.refresh_from_db()
    assert (job.state, job.error) == ("done", "")
    return job.result


# ---- sync


def test_the_sync_mirrors_groups_and_members(town: Town) -> None:
    _zero, contact = know(town, 0, 1)
    first = town.make_group("一群", n=3)
    second = town.make_group("二群", owner=town.b, n=1, notice="每晚八点上新", admins=[town.c.userid])

    result = full(town)

    assert (result["groups"], result["new_groups"], result["joined"]) == (2, 2, 6)
    chat = town.chat(first)
    assert (chat.name, chat.owner, chat.n_members, chat.n_customers) == ("一群", town.a, 4, 3)
    chat = town.chat(second)
    assert (chat.owner, chat.notice, chat.admin_userids) == (town.b, "每晚八点上新", [town.c.userid])
    assert town.there(first) == {town.a.userid, external(0), external(1), external(2)}
    (stay,) = town.stays(first, external(1))
    assert (stay.name, stay.invitor_userid, stay.contact_id) == ("顾客1", town.a.userid, contact.pk)
    (mine,) = town.stays(first, town.a.userid)
    assert (mine.kind, mine.staff_id) == (GroupMember.Kind.STAFF, town.a.pk)
    assert sorted(town.timeline(0)) == [("GROUP_JOINED", "一群"), ("GROUP_JOINED", "二群")]
    assert town.timeline(2) == []  # in a group, and nobody's customer here


def test_a_second_sync_changes_nothing(town: Town) -> None:
    know(town, 0)
    chat_id = town.make_group(n=3)
    full(town)
    before = [vars(s) | {"_state": 0} for s in town.stays(chat_id, external(0))]

    result = full(town)

    assert (result["groups"], result["new_groups"], result["joined"], result["left"]) == (1, 0, 0, 0)
    assert [vars(s) | {"_state": 0} for s in town.stays(chat_id, external(0))] == before
    assert town.timeline(0) == [("GROUP_JOINED", "一群")]


def test_the_sync_finds_what_events_did_not_tell(town: Town) -> None:
    know(town, 0, 5)
    chat_id, gone = town.make_group(n=2), town.make_group("散群", first=5)
    full(town)
    town.post("group_leave", chat_id=chat_id, who=external(0))
    town.post("group_join", chat_id=chat_id, external_userid=external(4))
    town.post("group_change", chat_id=chat_id, name="新名", owner=town.b.userid)
    town.post("group_dismiss", chat_id=gone)

    result = full(town)

    assert (result["joined"], result["left"], result["dismissed"]) == (2, 4, 1)
    assert town.there(chat_id) == {town.a.userid, town.b.userid, external(1), external(4)}
    chat = town.chat(chat_id)
    assert (chat.name, chat.owner, chat.n_members) == ("新名", town.b, 4)
    assert town.chat(gone).dismissed_at is not None
    assert town.timeline(0) == [("GROUP_JOINED", "一群"), ("GROUP_LEFT", "新名")]
    assert town.timeline(5)[-1] == ("GROUP_LEFT", "散群")
    (stay,) = town.stays(chat_id, external(0))
    assert stay.quit_scene == GroupMember.Quit.UNKNOWN


def test_the_full_sync_of_customers_reads_groups_too(town: Town) -> None:
    chat_id = town.make_group(n=2)
    with in_brand(town.brand):
        contact_sync.start_sync(town.brand, corp=town.corp, by=SYSTEM)
    (job,) = town.jobs(sync.KIND)
    assert job.state == "done"
    assert town.timeline(0) == [("GROUP_JOINED", "一群")]
    assert town.there(chat_id) == {town.a.userid, external(0), external(1)}


def test_groups_of_somebody_who_has_left_are_found(town: Town) -> None:
    chat_id = town.make_group()
    town.post("member_leaves", userid=town.a.userid)
    with in_brand(town.brand):
        Staff.objects.filter(pk=town.a.pk).update(state="left")
    full(town)
    assert town.chat(chat_id).state == GroupChat.State.OWNER_LEFT


def test_owners_whom_wecom_does_not_let_us_name_are_left_out(town: Town) -> None:
    chat_id = town.make_group(owner=town.b)
    town.sandbox.make_corp(town.corp.corpid, visible={"users": [town.a.userid, town.b.userid]})
    with in_brand(town.brand):
        for _ in range(3):
            make_staff(town.brand, town.corp)  # WeCom does not know them, or does not show them
    with in_brand(town.brand):
        job = sync.start_sync(town.brand, corp=town.corp, by=SYSTEM)
    with in_brand(town.brand):
        job.refresh_from_db()
    assert (job.state, job.n_bad) == ("done", 4)
    assert town.there(chat_id)


@pytest.fixture
def queued() -> Any:
    """Jobs only start when a test runs them."""
    app.conf.task_always_eager = False
    yield
    app.conf.task_always_eager = True


class Killed(BaseException):
    """What a SIGKILL is to Python code: nothing below catches it."""


@pytest.mark.parametrize("step", range(1, 6))
def test_a_killed_sync_goes_on_without_gap_or_double(
    town: Town, queued: Any, monkeypatch: Any, step: int
) -> None:
    know(town, *range(10))
    monkeypatch.setattr(sync, "PAGE", 2)
    chats = [town.make_group(f"群{n}", n=2, first=n) for n in range(5)]
    with in_brand(town.brand):
        job = sync.start_sync(town.brand, corp=town.corp, by=SYSTEM)
    n, real = 0, sync.merge

    def killed(*args: Any, **kwargs: Any) -> Any:
        nonlocal n
        n += 1
        result = real(*args, **kwargs)
        if n == step:
            raise Killed  # written, not committed
        return result

    monkeypatch.setattr(sync, "merge", killed)
    with tenant_scope(town.brand):
        try:
            jobs.run(town.brand, job.pk)
        except Killed:
            assert step <= 3
        monkeypatch.setattr(sync, "merge", real)
        with in_lease_over(job, town):
            jobs.run(town.brand, job.pk)
    with in_brand(town.brand):
        job.refresh_from_db()
        assert (job.state, job.result["groups"], job.result["joined"]) == ("done", 5, 15)
        assert GroupMember.objects.count() == 15
    assert all(len(town.there(chat_id)) == 3 for chat_id in chats)
    assert sorted(town.timeline(1)) == [("GROUP_JOINED", "群0"), ("GROUP_JOINED", "群1")]


class in_lease_over:
    """The lease of a job's dead process is over."""

    def __init__(self, job: Job, town: Town) -> None:
        self.later = clock.at(clock.now() + jobs.LEASE + timedelta(seconds=1))

    def __enter__(self) -> None:
        self.later.__enter__()

    def __exit__(self, *args: Any) -> None:
        self.later.__exit__(*args)


def test_statements_do_not_grow_with_groups_and_members(town: Town) -> None:
    few, many = [town.make_group(n=2)], [town.make_group(f"群{n}", n=10) for n in range(8)]
    counts = []
    for chat_ids in (few, many):
        with tenant_scope(town.brand):
            readings = [read_group(client_for(town.corp), chat_id) for chat_id in chat_ids]
        with in_brand(town.brand), CaptureQueriesContext(connection) as queries:
            merge(town.brand, town.corp, readings, source="sync")
        counts.append(len(queries))
    assert counts[0] == counts[1]


# ---- events


def test_events_bring_joins_and_leaves_with_who_invited_whom(town: Town) -> None:
    know(town, 0, 7, 8)
    chat_id = town.make_group(n=1)
    town.deliver()
    town.post("group_join", chat_id=chat_id, external_userid=external(7), invitor=town.b.userid)
    town.post("group_join", chat_id=chat_id, external_userid=external(8))
    town.post("group_leave", chat_id=chat_id, who=external(7))
    town.post("group_leave", chat_id=chat_id, who=external(8), removed_by=town.a.userid)
    town.deliver()

    assert town.inbox() == {"done": 5}
    assert town.there(chat_id) == {town.a.userid, external(0)}
    assert town.chat(chat_id).n_customers == 1
    assert town.timeline(7) == [("GROUP_JOINED", "一群"), ("GROUP_LEFT", "一群")]
    assert town.timeline(8) == [("GROUP_JOINED", "一群"), ("GROUP_LEFT", "一群")]


def test_who_invited_and_how_they_left_is_kept(town: Town) -> None:
    chat_id = town.make_group(n=1)
    town.post("group_join", chat_id=chat_id, external_userid=external(7), invitor=town.b.userid)
    town.post("group_join", chat_id=chat_id, external_userid=external(8))
    town.deliver()
    (stay,) = town.stays(chat_id, external(7))
    assert (stay.join_scene, stay.invitor_userid) == (GroupMember.Scene.INVITED, town.b.userid)
    (stay,) = town.stays(chat_id, external(8))
    assert (stay.join_scene, stay.invitor_userid) == (GroupMember.Scene.QR, "")
    town.post("group_leave", chat_id=chat_id, who=external(7))
    town.post("group_leave", chat_id=chat_id, who=external(8), removed_by=town.a.userid)
    town.deliver()
    assert [s.quit_scene for n in (7, 8) for s in town.stays(chat_id, external(n))] == [0, 1]


@pytest.mark.parametrize("order", ["as told", "reversed", "twice"])
def test_any_order_of_events_ends_as_wecom_shows_it(town: Town, order: str) -> None:
    know(town, 1)
    chat_id = town.make_group(n=1)
    town.post("group_join", chat_id=chat_id, external_userid=external(1), invitor=town.a.userid)
    town.post("group_leave", chat_id=chat_id, who=external(1))
    town.post("group_join", chat_id=chat_id, external_userid=external(2))
    town.post("group_change", chat_id=chat_id, name="改名", owner=town.b.userid)
    letters = town.letters()
    if order == "reversed":
        letters.reverse()
    town.deliver(letters * (2 if order == "twice" else 1))

    chat = town.chat(chat_id)
    assert (chat.name, chat.owner) == ("改名", town.b)
    assert town.there(chat_id) == {town.a.userid, town.b.userid, external(0), external(2)}
    assert town.timeline(1) == [("GROUP_JOINED", "改名"), ("GROUP_LEFT", "改名")]  # came and went unseen
    assert "dead" not in town.inbox()


def test_who_comes_back_has_a_second_stay(town: Town) -> None:
    (contact,) = know(town, 1)
    chat_id = town.make_group(n=2, create_time=int(time.time()) - 90 * 86_400)
    full(town)
    town.post("group_leave", chat_id=chat_id, who=external(1))
    town.post("group_join", chat_id=chat_id, external_userid=external(1))
    full(town)  # the leave was never told
    first, second = town.stays(chat_id, external(1))
    assert (first.left_at, first.quit_scene) == (second.joined_at, GroupMember.Quit.UNKNOWN)
    assert second.left_at is None
    assert [name for name, _ in town.timeline(1)] == ["GROUP_JOINED", "GROUP_LEFT", "GROUP_JOINED"]
    assert first.contact_id == second.contact_id == contact.pk


def test_a_group_that_wecom_shows_too_late_is_looked_at_again(town: Town, settings: Any) -> None:
    chat_id = town.make_group(n=1)
    town.deliver()
    town.sandbox.post("settings", group_lag_s=3600)
    town.post("group_join", chat_id=chat_id, external_userid=external(1))
    app.conf.task_always_eager = False
    try:
        town.deliver()
        with tenant_scope(town.brand):
            with transaction.atomic():
                event_id = CallbackEvent.objects.get(state="new").pk
            assert inbox.process(town.brand, event_id) == "retry"
            assert external(1) not in town.there(chat_id)
            town.sandbox.post("clock", offset_s=7200)
            with clock.at(clock.now() + timedelta(seconds=10)):
                assert inbox.process(town.brand, event_id) == "done"
    finally:
        app.conf.task_always_eager = True
    assert external(1) in town.there(chat_id)


def test_a_dissolved_group_is_over_for_everybody(town: Town) -> None:
    know(town, 0)
    chat_id = town.make_group(n=2)
    town.deliver()
    town.post("group_dismiss", chat_id=chat_id)
    town.deliver()
    chat = town.chat(chat_id)
    assert (chat.dismissed_at is not None, chat.n_members) == (True, 0)
    assert town.there(chat_id) == set()
    (stay,) = town.stays(chat_id, external(0))
    assert stay.quit_scene == GroupMember.Quit.DISMISSED
    assert town.timeline(0)[-1] == ("GROUP_LEFT", "一群")


def test_odd_events_harm_nothing(town: Town) -> None:
    town.tell(
        "update", ChatId="wr-unknown", UpdateDetail="add_member", MemChangeList="x", at=time.time() - 3600
    )
    town.tell("update", UpdateDetail="something_new", at=time.time() - 3600)
    town.tell("dismiss", ChatId="wr-unknown", at=time.time() - 3600)
    town.tell("create", ChatId="", at=time.time() - 3600)
    assert set(town.inbox()) <= {"done", "dead"}
    with in_brand(town.brand):
        assert not GroupChat.objects.exists()


# ---- people


def test_bitmaps_follow_who_is_in_which_group(town: Town) -> None:
    know(town, 0, 1, 7)
    chat_id = town.make_group(n=3)
    full(town)
    town.letters()
    town.post("group_leave", chat_id=chat_id, who=external(0))
    town.post("group_join", chat_id=chat_id, external_userid=external(7))
    town.deliver()
    with tenant_scope(town.brand):
        assert bits_check.check(town.brand) == {}
    with in_brand(town.brand):
        rows = list(DimBits.objects.filter(dim=Dim.GROUP))
        assert [(row.val, str(row.bits).count("1")) for row in rows] == [(GroupChat.objects.get().pk, 2)]
    town.post("group_dismiss", chat_id=chat_id)
    town.deliver()
    with tenant_scope(town.brand):
        assert bits_check.check(town.brand) == {}


def test_somebody_in_a_group_becomes_a_customer(town: Town) -> None:
    chat_id = town.make_group(n=3)
    full(town)
    with tenant_scope(town.brand):
        linking.run(town.brand)
    assert town.stays(chat_id, external(2))[0].contact_id is None
    with in_brand(town.brand):
        result = record_follow(
            town.brand,
            corp=town.corp,
            staff=town.a,
            external_userid=external(2),
            at=clock.now(),
            source="callback",
        )
    with tenant_scope(town.brand):
        assert linking.run(town.brand) == 1
        assert linking.run(town.brand) == 0
    assert town.stays(chat_id, external(2))[0].contact_id == result.contact.pk
    assert town.timeline(2) == [("GROUP_JOINED", "一群")]


def test_a_member_is_known_by_unionid_too(town: Town) -> None:
    with in_brand(town.brand):
        contact = make_contact(town.brand)
        Identity.objects.create(contact=contact, kind="unionid", value=f"o{town.corp.pk}x{3:024d}")
    chat_id = town.make_group(n=5)
    full(town)
    assert town.stays(chat_id, external(3))[0].contact_id == contact.pk


def test_two_brands_see_their_own_groups(town: Town, open_another: Callable[..., Town]) -> None:
    other = open_another()
    mine, theirs = town.make_group("甲群"), other.make_group("乙群")
    full(town)
    full(other)
    with in_brand(town.brand):
        assert list(GroupChat.objects.values_list("chat_id", flat=True)) == [mine]
    with in_brand(other.brand):
        assert list(GroupChat.objects.values_list("chat_id", flat=True)) == [theirs]
