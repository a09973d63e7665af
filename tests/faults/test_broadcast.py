"""A broadcast while processes are killed at random moments and a fifth of WeCom's answers fail: what WeCom's own records say
each customer got is what the ledger says, and nobody got it twice.

REACH_PEOPLE=100000 REACH_GUIDES=1000 runs it at the size of a large brand (about ten minutes).
"""

import os
import random
import time
from collections import Counter

from tests.faults.world import AgentError, Shop, World

PEOPLE, GUIDES = int(os.environ.get("REACH_PEOPLE", "240")), int(os.environ.get("REACH_GUIDES", "24"))
SLOW = max(1.0, PEOPLE / 2_000)  # how much longer everything takes than in the small world
VICTIMS = ("worker", "worker child", "web", "valkey", "postgres", "worker")
# answers that never come though the work was done, refusals that pass, broken pages: 20 % together
FAULTS = (("http500", 0.05), ("errcode", 0.05), ("html", 0.04), ("drop_after", 0.06))


def test_killed_at_random_moments(world: World) -> None:
    chance = random.Random(int(os.environ.get("REACH_SEED", "7")))
    shop = Shop(world, guides=GUIDES)
    shop.sandbox.post("generate", corpid=shop.corpid, customers=PEOPLE, seed=5)
    job_id = shop.agent("start_sync", brand_id=shop.brand_id, kind="full")
    world.wait(lambda: _is_done(shop, job_id), 40 * SLOW, "sync")
    shop.sandbox.post("settings", confirm_after_s=[0, 1], confirm_rate=1.0)
    for kind, rate in FAULTS:
        shop.sandbox.post("faults", corpid=shop.corpid, kind=kind, rate=rate)
    shop.agent("start_broadcast", brand_id=shop.brand_id)
    for victim in VICTIMS:
        _beat(shop)
        time.sleep(chance.uniform(0.1, 1.2) * min(SLOW, 10))
        if victim.endswith(" child"):
            world.kill_child(victim.removesuffix(" child"))
        else:
            world.kill(victim)
            world.raise_again(victim)
        world.revive()
        world.wait(lambda: _answers(shop), 15, "Postgres answers")
    everything = _play_on(world, shop)
    assert everything == {"final"}
    got = Counter(row["external_userid"] for row in shop.sandbox.sent("mass", shop.corpid, limit=10 * PEOPLE))
    assert set(got.values()) == {1}  # none twice
    rows = shop.agent("ledger", brand_id=shop.brand_id)
    assert {n for _external, _state, n in rows} == {1}
    assert len(rows) == PEOPLE  # everybody is accounted for
    assert {external for external, state, _n in rows if state == "DELIVERED"} == set(got)
    assert len(got) == PEOPLE


def _is_done(shop: Shop, job_id: int) -> bool:
    return shop.agent("job", brand_id=shop.brand_id, job_id=job_id)["state"] == "done"


def _beat(shop: Shop) -> None:
    try:
        shop.agent("beat", brand_id=shop.brand_id)
    except AgentError:
        return  # Redis or Postgres has just been killed: beat, too, would miss this minute


def _answers(shop: Shop) -> bool:
    try:
        return bool(shop.agent("ready"))
    except AgentError:
        return False


def _play_on(world: World, shop: Shop) -> set[str]:
    """The hours after it, with WeCom failing for the first ones; states of the send tasks at the end."""
    passed, states = 0, set[str]()
    for n, step in enumerate((120, 300, 700, 700, 1800, 1800, 3600, 3600, 3600, 3600)):
        if n == 4:
            shop.sandbox.post("faults/clear")
        passed += step
        shop.sandbox.post("clock", offset_s=passed)
        found = _tried(shop, passed)
        states = {state for state, count in found.items() if count}
        if states == {"final"}:
            break
    # whatever WeCom still has to send is sent before its records are read
    world.wait(
        lambda: not shop.sandbox.get("state", corpid=shop.corpid)["waiting_tasks"], 30, "guides confirm"
    )
    return states


def _tried(shop: Shop, seconds: int) -> dict[str, int]:
    """What a minute does; one that fails is made up for by the next."""
    for _attempt in range(5):
        try:
            return shop.agent("later_reach", brand_id=shop.brand_id, seconds=seconds)
        except AgentError:
            time.sleep(0.2)
    return shop.agent("later_reach", brand_id=shop.brand_id, seconds=seconds)
