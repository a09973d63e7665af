"""Groups change owners: on the job and after leaving, WeCom's limits, kills."""

from datetime import timedelta
from typing import Any

import pytest

from groups.models import GroupChat
from groups.services import sync as group_sync
from handover.services import handing
from handover.services.choosing import Choice
from handover.services.runs import Share, preview
from org.access import SYSTEM
from org.models import Staff
from org.services import jobs
from scrm import clock
from scrm.celery import app
from tenants.scoping import tenant_scope
from tests.factories import in_brand
from tests.handover.conftest import House
from tests.handover.test_customers import Killed

pytestmark = pytest.mark.django_db(transaction=True)

GROUPS = {"customers": "none", "groups": "all"}


def read_groups(house: House) -> None:
    with in_brand(house.brand):
        group_sync.start_sync(house.brand, corp=house.corp, by=SYSTEM)


def owners(house: House) -> dict[str, str]:
    """Group → its owner, as we have it; checked against WeCom."""
    with in_brand(house.brand):
        ours = {c.chat_id: c.owner_userid for c in GroupChat.objects.live()}
    there = {c["chat_id"]: c["owner"].lower() for c in house.sandbox.get("groups", corpid=house.corp.corpid)}
    assert ours == {chat_id: there[chat_id] for chat_id in ours}
    with in_brand(house.brand):
        return {
            c.name: c.owner.name if c.owner else "" for c in GroupChat.objects.live().select_related("owner")
        }


def test_groups_of_a_member_on_the_job(house: House) -> None:
    for n in range(4):
        house.make_group(f"群{n}", n=1)
    house.make_group("乙的群", owner=house.b)
    read_groups(house)
    run = house.start(house.b, house.c, **GROUPS)
    assert house.states(run) == {"DONE": 4}
    assert (house.job(run).state, house.fresh(run).state) == ("done", "done")
    found = owners(house)
    assert sorted(found.values()) == ["丙", "丙", "乙", "乙", "乙"]
    assert house.calls("groupchat/onjob_transfer") == 2
    house.deliver()  # WeCom tells of the new owners: nothing changes any more
    assert owners(house) == found


def test_groups_of_somebody_who_has_left(house: House) -> None:
    house.make_group("一群")
    house.make_group("二群")
    read_groups(house)
    house.leave(house.a)
    run = house.start(house.b, customers="all", groups="all")
    assert house.states(run) == {"WAITING": 10, "DONE": 2}
    assert set(owners(house).values()) == {"乙"}
    with in_brand(house.brand):
        assert set(GroupChat.objects.values_list("state", flat=True)) <= {0, 3}


def test_some_groups_only(house: House) -> None:
    ids = []
    for n in range(3):
        house.make_group(f"群{n}")
    read_groups(house)
    with in_brand(house.brand):
        ids = list(GroupChat.objects.filter(name__in=["群0", "群2"]).values_list("pk", flat=True))
    run = house.start(house.b, customers="none", groups="list", chat_ids=tuple(ids))
    assert house.states(run) == {"DONE": 2}
    assert owners(house) == {"群0": "乙", "群1": "甲", "群2": "乙"}


def test_refusals_have_reasons(house: House) -> None:
    for n in range(3):
        house.make_group(f"群{n}")
    read_groups(house)
    house.post("group_dismiss", chat_id=chat_id(house, "群0"))
    house.post("group_change", chat_id=chat_id(house, "群1"), owner=house.b.userid)
    run = house.start(house.b, **GROUPS)
    codes = sorted(item.errcode for item in house.items(run))
    assert codes == [0, 0, 90501]  # dissolved is no group; what the receiver owns already is done
    assert house.states(run) == {"FAILED": 1, "DONE": 2}


def chat_id(house: House, name: str) -> str:
    with in_brand(house.brand):
        return GroupChat.objects.get(name=name).chat_id


def test_twice_in_ninety_days_is_foreseen(house: House) -> None:
    house.make_group("一群")
    read_groups(house)
    house.start(house.b, **GROUPS)
    house.start(house.a, giver=house.b, **GROUPS)
    with in_brand(house.brand):
        giver = Staff.objects.select_related("corp").get(pk=house.a.pk)
        found = preview(
            house.brand,
            giver=giver,
            choice=Choice(customers="all", groups="all"),
            shares=[Share(house.b.pk)],
        )
        assert (found.n_groups, [n for _why, _what, n in found.refused]) == (0, [1])
    run = house.start(house.b, customers="all", groups="all")
    assert house.states(run) == {"WAITING": 10, "SKIPPED": 1}


def test_three_hundred_a_day_and_on_with_it_tomorrow(house: House, monkeypatch: Any) -> None:
    monkeypatch.setattr(handing, "GROUPS_A_DAY", 3)
    for n in range(5):
        house.make_group(f"群{n}", n=1)
    read_groups(house)
    noon = clock.now().replace(hour=4) + timedelta(
        days=1
    )  # of Shanghai, whatever the time is: all of it on one day
    with clock.at(noon):
        run = house.start(house.b, **GROUPS)
    job = house.job(run)
    assert (job.state, house.states(run)) == ("waiting", {"DONE": 3, "PLANNED": 2})
    assert "明天" in job.error
    with tenant_scope(house.brand), clock.at(noon + timedelta(hours=1)):
        jobs.run(house.brand, job.pk)
    assert house.states(run) == {"DONE": 3, "PLANNED": 2}
    with tenant_scope(house.brand), clock.at(noon + timedelta(days=1)):
        jobs.run(house.brand, job.pk)
    assert house.states(run) == {"DONE": 5}


@pytest.mark.parametrize("at", ["before the call", "after the call"])
def test_killed_in_the_middle(house: House, monkeypatch: Any, at: str) -> None:
    for n in range(4):
        house.make_group(f"群{n}", n=1)
    read_groups(house)
    app.conf.task_always_eager = False
    monkeypatch.setattr(handing, "CHUNK", 2)
    run = house.start(house.b, **GROUPS)
    calls, real = 0, handing.api.transfer_groups

    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2 and at == "before the call":
            raise Killed
        answer = real(*args, **kwargs)
        if calls == 2:
            raise Killed
        return answer

    monkeypatch.setattr(handing.api, "transfer_groups", call)
    with tenant_scope(house.brand), pytest.raises(Killed):
        jobs.run(house.brand, run.job_id or 0)
    assert house.states(run) == {"DONE": 2, "CALLING": 2}
    monkeypatch.setattr(handing.api, "transfer_groups", real)
    with tenant_scope(house.brand), clock.at(clock.now() + jobs.LEASE + timedelta(seconds=1)):
        jobs.run(house.brand, run.job_id or 0)
    assert house.states(run) == {"DONE": 4}
    assert set(owners(house).values()) == {"乙"}
    assert house.calls("groupchat/onjob_transfer") == 2
