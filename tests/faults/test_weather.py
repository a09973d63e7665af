"""WeCom's bad days, with everything alive: tokens that die, clocks that differ, answers that fail, callbacks that come
twice, late, the wrong way round, or not at all. Compared with WeCom's own records."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from tests.faults.test_burst import check, delivered, rest
from tests.faults.world import Shop, World

N = 20


def come(shop: Shop, n: int = N) -> list[dict[str, Any]]:
    """Customers, four at a time."""
    state = shop.make_code()
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(lambda i: shop.scan(state, i), range(n)))


def is_all_welcomed(shop: Shop) -> bool:
    return all(states == ["DELIVERED"] for states in check(shop, delivered(shop)).values())


def test_the_token_is_killed(world: World) -> None:
    """Fetched once more by one of them; nobody notices."""
    shop = Shop(world)
    state = shop.make_code()
    before = len(shop.sandbox.calls("gettoken", shop.corpid))
    with ThreadPoolExecutor(4) as pool:
        scans = []
        for i in range(N):
            if i in (5, 12):
                shop.sandbox.post("kill_tokens", corpid=shop.corpid)
            scans.append(pool.submit(shop.scan, state, i))
        for scan in scans:
            scan.result()
    shop.sandbox.wait_idle(shop.corpid)
    rest(world, shop)
    assert len(delivered(shop)) == N and is_all_welcomed(shop)
    assert shop.counts()["outbound"] == {"done": N}
    assert len(shop.sandbox.calls("gettoken", shop.corpid)) - before <= 2


@pytest.mark.parametrize("ahead_s", [120, -120])
def test_clocks_differ_by_two_minutes(world: World, ahead_s: int) -> None:
    shop = Shop(world)
    shop.sandbox.post("clock", offset_s=ahead_s)
    met = come(shop)
    leaver = met[0]
    shop.sandbox.wait_idle(shop.corpid)
    rest(world, shop)
    assert len(delivered(shop)) == N and is_all_welcomed(shop)
    shop.sandbox.post(
        "customer_deletes",
        corpid=shop.corpid,
        userid=leaver["userid"],
        external_userid=leaver["external_userid"],
    )
    world.wait(lambda: shop.counts()["follows"] == N - 1, 10, "the loss is known")


def test_a_third_of_all_answers_fail(world: World) -> None:
    """Busy, broken, cut off after the work was done: whatever was to be done is done in the end, and once."""
    shop = Shop(world)
    state = shop.make_code()
    for kind, rate in (("http500", 0.1), ("errcode", 0.1), ("drop_after", 0.1)):
        shop.sandbox.post("faults", corpid=shop.corpid, kind=kind, rate=rate)
    # a code lives for 20 seconds, and the workers welcome two at once: a few come at a time, so that nobody's seconds pass in
    # the queue behind others of whom WeCom is asked again and again
    with ThreadPoolExecutor(4) as pool:
        for first in range(0, N, 4):
            list(pool.map(lambda i: shop.scan(state, i), range(first, first + 4)))
            world.wait(partial(_are_heard, shop, first + 4), 30, "whoever has come is dealt with")
    shop.sandbox.wait_idle(shop.corpid)
    rest(world, shop)
    shop.sandbox.post("faults/clear")
    for _later in range(3):
        counts = shop.later(8 * 3600)
    assert counts["inbox"] == {"done": N} and counts["outbound"] == {"done": N}
    world.wait(lambda: all(row["name"] for row in shop.people()), 10, "names")
    welcomes = check(shop, delivered(shop))
    assert len(welcomes) == N and set(map(tuple, welcomes.values())) == {("DELIVERED",)}


def _are_heard(shop: Shop, n: int) -> bool:
    """So many events are done with, and an event is when its welcome is; with the sweeps of beat meanwhile."""
    shop.agent("sweep", brand_id=shop.brand_id)
    return shop.counts()["inbox"] == {"done": n}


def test_a_sync_while_a_third_of_all_answers_fail(world: World) -> None:
    shop = Shop(world, guides=5)
    shop.sandbox.post("generate", corpid=shop.corpid, customers=600, seed=3)
    there = shop.sandbox.get("state", corpid=shop.corpid)["counts"]
    for kind in ("http500", "errcode", "html"):
        shop.sandbox.post("faults", corpid=shop.corpid, kind=kind, rate=0.1)
    job_id = shop.agent("start_sync", brand_id=shop.brand_id, kind="full")
    for minute in range(1, 11):
        world.wait(lambda: shop.agent("job", brand_id=shop.brand_id, job_id=job_id)["state"] != "running", 30)
        if shop.agent("job", brand_id=shop.brand_id, job_id=job_id)["state"] == "done":
            break
        # it waits when WeCom has failed three times in a row, and goes on from there; each time it waits anew
        shop.later(60 * minute)
    job = shop.agent("job", brand_id=shop.brand_id, job_id=job_id)
    assert (job["state"], job["result"].get("skipped", 0)) == ("done", 0), job
    people = shop.people()
    assert len(people) == len({(row["external_userid"], row["userid"]) for row in people}) == there["follows"]
    assert len({row["contact"] for row in people}) == there["customers"]
    assert all(row["added"] == row["n_follows"] for row in people)


@pytest.mark.parametrize("how", [{"double": 1.0}, {"reverse": True}, {"double": 0.5, "delay_s": [0, 1.5]}])
def test_callbacks_doubled_reversed_late(world: World, how: dict[str, Any]) -> None:
    """Half of the customers leave at once, some of these come back: whatever order we hear it in, it ends as WeCom has
    it. WeCom's times are whole seconds, so the acts lie two apart."""
    shop = Shop(world)
    shop.sandbox.post("settings", callbacks=how)
    met = come(shop)

    def at_once(act: str, some: list[dict[str, Any]]) -> None:
        shop.sandbox.post("clock", advance_s=2)
        for who in some:
            ids = {key: who[key] for key in ("userid", "external_userid")}
            shop.sandbox.post(act, corpid=shop.corpid, **ids)

    at_once("customer_deletes", met[: N // 2])
    shop.sandbox.wait_idle(shop.corpid)
    rest(world, shop)
    gone = {who["external_userid"] for who in met[: N // 2]}
    people = shop.people()
    assert {row["external_userid"] for row in people if row["ended"]} == gone
    assert len(people) == N and len({row["contact"] for row in people}) == N
    assert {row["added"] for row in people} == {1}
    sent = [row["external_userid"] for row in shop.sandbox.sent("welcome", shop.corpid)]
    assert len(sent) == len(set(sent)) and set(sent) >= {row["external_userid"] for row in people} - gone
    assert set(shop.counts()["inbox"]) == {"done"}


def test_lost_callbacks_are_found(world: World) -> None:
    """A third of what happened is never told: the reconciliation finds who came, whom a guide has deleted, and what
    guides have written. (Who deleted a guide stays in WeCom's lists: nobody but the callback can tell.)"""
    shop = Shop(world)
    sync(world, shop, "full")
    shop.sandbox.post("settings", callbacks={"lose": 0.33})
    met = come(shop, 30)
    ids = [{key: who[key] for key in ("userid", "external_userid")} for who in met]
    for n, who in enumerate(ids):
        if n % 3 == 0:
            shop.sandbox.post("member_deletes", corpid=shop.corpid, **who)
        elif n % 3 == 1:
            shop.sandbox.post("member_edits", corpid=shop.corpid, remark=f"老客{n}", **who)
    shop.sandbox.wait_idle(shop.corpid)
    assert shop.sandbox.deliveries(shop.corpid, state="lost")
    rest(world, shop)
    job_id = shop.agent("start_drift", brand_id=shop.brand_id)
    world.wait(lambda: _is_done(shop, job_id), 30, "reconciliation")
    people = {row["external_userid"]: row for row in shop.people()}
    live = {external: row for external, row in people.items() if not row["ended"]}
    assert set(live) == {who["external_userid"] for n, who in enumerate(ids) if n % 3}
    for n, who in enumerate(ids):
        if n % 3:
            assert live[who["external_userid"]]["remark"] == (f"老客{n}" if n % 3 == 1 else "")
    assert {(row["n_follows"], row["added"]) for row in live.values()} == {(1, 1)}
    sent = [row["external_userid"] for row in shop.sandbox.sent("welcome", shop.corpid)]
    assert len(sent) == len(set(sent))


def sync(world: World, shop: Shop, kind: str) -> None:
    job_id = shop.agent("start_sync", brand_id=shop.brand_id, kind=kind)
    world.wait(lambda: _is_done(shop, job_id), 30, "sync")


def _is_done(shop: Shop, job_id: int) -> bool:
    return shop.agent("job", brand_id=shop.brand_id, job_id=job_id)["state"] == "done"
