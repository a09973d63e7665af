"""A sync while one process after the other is killed: no gap and no double afterwards, compared with WeCom's own records."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.faults.world import AgentError, Shop, World

N, KILL_AT = 3000, 400
SLOW = {"api": "externalcontact/batch/get_by_user", "kind": "slow", "seconds": 0.15}


@pytest.mark.parametrize("victim", ["worker", "worker child", "valkey", "postgres", "web"])
def test_killed_in_the_middle(world: World, victim: str) -> None:
    shop = Shop(world, guides=6)
    shop.sandbox.post("generate", corpid=shop.corpid, customers=N, seed=7)
    there = shop.sandbox.get("state", corpid=shop.corpid)["counts"]
    shop.sandbox.post("faults", corpid=shop.corpid, **SLOW)
    job_id = shop.agent("start_sync", brand_id=shop.brand_id, kind="full")

    def progress() -> dict[str, Any]:
        return shop.agent("job", brand_id=shop.brand_id, job_id=job_id)

    world.wait(lambda: progress()["n_done"] >= KILL_AT, 20, "the sync is under way")
    if victim == "worker child":
        world.kill_child("worker")
    else:
        world.kill(victim)
    shop.sandbox.post("faults/clear")
    if victim in ("worker", "valkey", "postgres", "web"):
        world.raise_again(victim)
    seen: list[tuple[float, Any]] = []
    world.wait(lambda: _is_at_rest(seen, progress), 15, "the sync stands or is over")
    if progress()["state"] != "done":
        assert progress()["state"] in ("running", "waiting")
        shop.later(150)
    assert progress()["state"] == "done"

    people = shop.people()
    pairs = {(row["external_userid"], row["userid"]) for row in people}
    assert len(people) == len(pairs) == there["follows"]
    assert len({row["contact"] for row in people}) == shop.counts()["contacts"]
    assert {row["external_userid"] for row in people} == _at_wecom(shop)
    assert all(row["added"] == row["n_follows"] for row in people if not row["ended"])


def _is_at_rest(seen: list[tuple[float, Any]], progress: Callable[[], dict[str, Any]]) -> bool:
    """Over, or without a change for two seconds."""
    try:
        now = progress()
    except AgentError:  # Postgres is still coming up
        return False
    seen.append((time.monotonic(), now))
    since = min(at for at, then in seen if then == now)
    return now["state"] in ("done", "waiting") or time.monotonic() - since > 2


def _at_wecom(shop: Shop) -> set[str]:
    token = shop.sandbox.token(shop.corpid)
    found: set[str] = set()
    for userid in shop.userids:
        answer = shop.sandbox.api("externalcontact/list", userid=userid, access_token=token)
        found |= set(answer.get("external_userid", []))
    return found
