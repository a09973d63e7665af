"""What the sync costs, and its two connections."""

import gc
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from contacts.services.sync import sync, sync_halves, sync_lanes
from contacts.services.sync.sync_types import Conflict
from org.access import SYSTEM
from org.services import jobs
from tenants.scoping import tenant_scope
from tests.contacts.test_sync import customers, full, picture, queued
from tests.factories import in_brand, make_brand, make_corp

__all__ = ["queued"]
pytestmark = pytest.mark.django_db(transaction=True)


# ---- cost


def test_statements_per_batch_do_not_grow(connected: SimpleNamespace) -> None:
    counts = []
    for size, guide in ((10, connected.a), (60, connected.b)):
        connected.sandbox.load(customers=customers(size, 1000 * size, guides=(guide.userid,)))
        with in_brand(connected.brand):
            job = sync.start_sync(connected.brand, corp=connected.corp, by=SYSTEM, kind="guide", staff=guide)
        with tenant_scope(connected.brand):
            claimed = jobs.claim(job.pk)
            assert claimed
            sync.step(connected.brand, claimed)
            with CaptureQueriesContext(connection) as queries:
                sync.step(connected.brand, claimed)
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 52


# ---- two connections


def test_halves_make_one_picture(connected: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches parted between two connections: the same as by one, counted once."""
    monkeypatch.setattr(sync_lanes, "PAGE", 20)
    connected.sandbox.make_corp(open_platform=True)
    people = customers(120)
    twice = {"顾客40", "顾客41"}
    people[41]["unionid"] = people[40]["unionid"]  # one person with two ids, one in each half
    connected.sandbox.load(customers=people)
    other = make_brand()
    with in_brand(other):
        corp = make_corp(other, corpid="ww00000000000000cc", secret="other-secret")
    connected.sandbox.make_corp(corp.corpid, secret="other-secret", open_platform=True)
    groups = [{"group_name": "等级", "tags": ["普通", "黄金"]}, {"group_name": "兴趣", "tags": ["咖啡"]}]
    members = [{"userid": "GuideA", "name": "甲"}, {"userid": "guideb", "name": "乙"}]
    connected.sandbox.load(corp.corpid, members=members, tag_groups=groups, customers=people)
    alone = full(other, corp)
    monkeypatch.setattr(sync_halves, "HALF_FROM", 2)
    monkeypatch.setattr(sync, "MERGE", 2)
    parted = full(connected.brand, connected.corp)
    names = ("relations", "new_contacts", "new_relations", "changed", "returned")
    assert [parted[name] for name in names] == [alone[name] for name in names]
    assert (parted["new_contacts"], parted["new_relations"]) == (119, 159)
    got, want = picture(connected.brand), picture(other)
    for name in ("contacts", "identities"):  # whose name the one with two ids has is chance
        assert len(got[name]) == len(want[name])
        assert {row for row in got[name] if not {*row} & twice} == {
            row for row in want[name] if not {*row} & twice
        }
    assert got["positions"]
    again = full(connected.brand, connected.corp)
    assert (again["new_contacts"], again["new_relations"], again["changed"]) == (0, 0, 0)
    assert picture(connected.brand) == got


def test_half_that_is_in_the_way_comes_again(
    connected: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One half is rolled back: the batch is there once all the same, and counted once."""
    monkeypatch.setattr(sync_halves, "HALF_FROM", 2)
    connected.sandbox.load(customers=customers(60))
    inner, seen = sync_halves.merge, []

    def merge(*args: Any, careful: bool, **more: Any) -> Any:
        done = inner(*args, careful=careful, **more)
        seen.append(careful)
        if len(seen) == 2:
            raise Conflict
        return done

    monkeypatch.setattr(sync_halves, "merge", merge)
    result = full(connected.brand, connected.corp)
    assert (result["relations"], result["new_contacts"], result["new_relations"]) == (80, 60, 80)
    assert sorted(seen) == [False, False, True]
    assert picture(connected.brand)["positions"]


def test_the_second_connection_is_closed(connected: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a step is over, not when somebody collects garbage: a sync has many steps."""
    monkeypatch.setattr(sync_halves, "HALF_FROM", 2)
    connected.sandbox.load(customers=customers(20))
    pids: set[int] = set()
    inner = sync_halves.hurry

    def hurry() -> None:
        inner()
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            pids.add(cursor.fetchone()[0])

    monkeypatch.setattr(sync_halves, "hurry", hurry)
    gc.disable()
    try:
        full(connected.brand, connected.corp)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            mine = cursor.fetchone()[0]
            for _look in range(6_000):  # Postgres ends a backend a moment after its socket
                cursor.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE pid = ANY(%s)", [list(pids - {mine})]
                )
                if not cursor.fetchone()[0]:
                    break
                cursor.execute("SELECT pg_sleep(0.01)")
            else:
                pytest.fail("the second connection is still there")
    finally:
        gc.enable()
    assert len(pids) > 1
