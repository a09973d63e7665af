"""A rush of customers while one process after the other is killed: what WeCom was told is stored stays stored, everybody
is welcomed once at most, and what happened in between is made up for."""

import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest

from tests.faults.world import Shop, World

N = 30
PER_S = 15
KILL_AT = 8  # customers dealt with
FEW = KILL_AT + 6  # who come before whoever welcomes them is back


def rush(world: World, shop: Shop, victim: str) -> None:
    """Customers come; in the middle of it the victim dies and is started again; then everything comes to rest. While nobody
    could welcome them only a few come."""
    state, coming = shop.make_code(), Event()
    if victim != "worker-fast":
        coming.set()
    with ThreadPoolExecutor(4) as pool:
        scans = [
            pool.submit(_scan_at, shop, state, n, time.monotonic() + n / PER_S, coming if n >= FEW else None)
            for n in range(N)
        ]
        try:
            world.wait(lambda: shop.counts()["inbox"].get("done", 0) >= KILL_AT, 15, "the rush begins")
            if victim.endswith(" child"):
                world.kill_child(victim.removesuffix(" child"))
            else:
                world.kill(victim)
                world.raise_again(victim)
                if victim == "worker-fast":
                    world.wait_for_workers()
        finally:
            coming.set()  # nobody is waited for who never comes
        for scan in scans:
            scan.result()
    shop.sandbox.wait_idle(shop.corpid)
    if victim == "postgres":
        world.wait(lambda: _answers(shop), 10, "Postgres answers")
    rest(world, shop)


def _answers(shop: Shop) -> bool:
    try:
        return shop.agent("ready")
    except AssertionError:
        return False


def _scan_at(shop: Shop, state: str, n: int, moment: float, coming: Event | None) -> None:
    if (pause := moment - time.monotonic()) > 0:
        time.sleep(pause)
    if coming:
        coming.wait(300)
    shop.scan(state, n)


def rest(world: World, shop: Shop) -> None:
    """Until all is done and nothing changes for a second, or for longer where something is open or is to be tried again; with
    the sweeps of beat meanwhile."""
    seen: list[Any] = []

    def is_still() -> bool:
        shop.agent("sweep", brand_id=shop.brand_id)
        seen.append((time.monotonic(), shop.counts()))
        since = [at for at, counts in seen if counts == seen[-1][1]]
        inbox, outbound = seen[-1][1]["inbox"], seen[-1][1]["outbound"]
        still_s = 1.0 if {*inbox, *outbound} <= {"done"} else 4.0
        return seen[-1][0] - min(since) > (7.0 if inbox.get("retry") else still_s) and not inbox.get("new")

    world.wait(is_still, 25, "rest")


def _external(row: dict[str, Any]) -> str:
    return str(row["xml"].split("<ExternalUserID><![CDATA[")[1].split("]]>")[0])


def delivered(shop: Shop) -> set[str]:
    """Customers of whom WeCom has told us and got its 200."""
    rows = shop.sandbox.deliveries(shop.corpid, change_type="add_external_contact", state="done")
    return {_external(row) for row in rows}


def cut_off(shop: Shop) -> set[str]:
    """Customers of whom web had begun to hear when it died: perhaps stored, and no 200. (A refused connection told nothing.)"""
    rows = shop.sandbox.deliveries(shop.corpid, change_type="add_external_contact", state="failed")
    told = [(_external(row), attempt.get("error", "")) for row in rows for attempt in row["attempts"]]
    return {external for external, error in told if error and "refused" not in error}


def lost_welcomes(shop: Shop) -> int:
    """Calls of a welcome that WeCom carried out and whose answer never came."""
    return sum(
        row["errcode"] == "drop_after"
        for row in shop.sandbox.calls("externalcontact/send_welcome_msg", shop.corpid)
    )


def check(shop: Shop, known: set[str]) -> dict[str, list[str]]:
    """Nobody is lost or doubled, and the ledger says what customers really got; external id → states of welcomes.

    Whose callback was cut off may be here or not. A welcome whose answer was lost, and whose code died before WeCom could
    be asked again, was sent, and the ledger cannot know: it has not arrived there.
    """
    people = shop.people()
    here = {row["external_userid"] for row in people}
    assert known <= here <= known | cut_off(shop)
    assert len(people) == len({row["contact"] for row in people}) == len(here)
    assert {(row["n_follows"], row["added"], row["ended"]) for row in people} == {(1, 1, False)}
    assert all(row["name"].startswith("客户") for row in people)
    sent = [row["external_userid"] for row in shop.sandbox.sent("welcome", shop.corpid)]
    assert len(sent) == len(set(sent))
    told_of = {row["external_userid"] for row in people if row["welcomes"] == ["DELIVERED"]}
    unknown = [row["welcomes"] for row in people if row["external_userid"] in set(sent) - told_of]
    assert told_of <= set(sent) and all(states == ["FAILED"] for states in unknown)
    assert len(unknown) <= lost_welcomes(shop)
    assert all(len(row["welcomes"]) <= 1 for row in people)
    return {row["external_userid"]: row["welcomes"] for row in people}


def told(shop: Shop) -> int:
    """Notices that guides got."""
    return len(shop.sandbox.sent("app", shop.corpid))


@pytest.mark.parametrize("victim", ["worker-fast child", "worker-fast", "worker", "web child"])
def test_killed_processes_of_ours(world: World, victim: str) -> None:
    """Web's other process takes what the killed one has dropped, so WeCom's three attempts reach us."""
    shop = Shop(world)
    rush(world, shop, victim)
    counts = shop.later(150)
    assert counts["inbox"] == {"done": N} and counts["outbound"] == {"done": N}, counts
    welcomes = check(shop, delivered(shop))
    assert len(welcomes) == N
    late = [states for states in welcomes.values() if states != ["DELIVERED"]]
    if victim != "worker-fast":
        assert late == []
    else:  # what it held comes back when the lease is over: too late for WeCom, and the ledger says so
        assert len(late) <= 8 and all(states == ["FAILED"] for states in late)
    assert N <= told(shop) <= N + 2  # a notice may be made twice when its worker dies before writing it down


@pytest.mark.parametrize("victim", ["valkey", "postgres", "web"])
def test_killed_servers(world: World, victim: str) -> None:
    """Redis loses all it had: queues, locks, tokens. While Postgres or web are away, WeCom gets no 200 and gives up:
    those customers come with the next look at the lists."""
    shop = Shop(world)
    rush(world, shop, victim)
    counts = shop.later(150)
    assert set(counts["inbox"]) == {"done"} and set(counts["outbound"]) == {"done"}
    stored = delivered(shop)
    if victim == "valkey":
        assert len(stored) == N  # stored without it
    assert len(stored) >= KILL_AT
    welcomes = check(shop, stored)
    assert sum(states == ["DELIVERED"] for states in welcomes.values()) >= KILL_AT
    missing = N - len(stored)
    job_id = shop.agent("start_sync", brand_id=shop.brand_id, kind="changes")
    world.wait(
        lambda: shop.agent("job", brand_id=shop.brand_id, job_id=job_id)["state"] == "done", 15, "sync"
    )
    everybody = {row["external_userid"] for row in shop.people()}
    assert len(everybody) == N and len(everybody - stored) == missing
    check(shop, everybody)
