"""People walk through a graph (wait, branch, split, messages, a task, a moment, a wait for the cart) while processes are
killed at random moments and a fifth of WeCom's answers fail. Nobody is lost or stuck, nobody hears anything twice, a cart
counts from the moment it should, each step is counted once, each guide has each task, moment and alert once."""

import os
import random
import time
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import requests

from tests.faults.journey import BEFORE, REMINDER, THANKS
from tests.faults.test_broadcast import FAULTS, _answers, _is_done
from tests.faults.world import AgentError, Shop, World

PEOPLE, GUIDES = 48, 6
VICTIMS = ("worker", "web", "worker child", "valkey", "postgres", "worker-fast", "worker")
APART_S = 0.35  # between two people who are due
OVER = ("final", "failed", "cancelled")


def test_killed_at_random_moments(world: World) -> None:
    chance = random.Random(int(os.environ.get("JOURNEY_SEED", "11")))
    shop = Shop(world, guides=GUIDES)
    shop.sandbox.post("generate", corpid=shop.corpid, customers=PEOPLE, seed=11)
    job_id = shop.agent("start_sync", brand_id=shop.brand_id, kind="full")
    world.wait(lambda: _is_done(shop, job_id), 40, "sync")
    shop.sandbox.post("settings", confirm_after_s=[0, 1], confirm_rate=1.0, moment_job_s=1)
    made = shop.agent("start_journey", brand_id=shop.brand_id)
    for kind, rate in FAULTS:
        shop.sandbox.post("faults", corpid=shop.corpid, kind=kind, rate=rate)
    counts_from = shop.agent("put_in", brand_id=shop.brand_id, sop_id=made["sop_id"], apart_s=APART_S)
    waiting = chance.sample(made["contacts"], PEOPLE // 2)
    carted: dict[int, float] = {}
    hasty: set[int] = set()  # who may fill the cart before a worker has seen them
    for victim in VICTIMS:
        _beat(shop)
        there = shop.agent("at_the_cart", brand_id=shop.brand_id)
        hasty.add(waiting.pop())
        chosen = [who for who in waiting if who in there][:3]
        _fill_carts(world, made["secret"], [*hasty - carted.keys(), *chosen], carted)
        waiting = [who for who in waiting if who not in carted]
        time.sleep(chance.uniform(0.1, 1.5))
        if victim.endswith(" child"):
            world.kill_child(victim.removesuffix(" child"))
        else:
            world.kill(victim)
            world.raise_again(victim)
        world.revive()
        world.wait(lambda: _answers(shop), 15, "Postgres answers")
    world.wait(lambda: _stand_there(shop, waiting), 30, "whoever is left waits for the cart")
    _fill_carts(world, made["secret"], waiting, carted)
    _play_on(world, shop)
    _nobody_is_lost_and_nothing_twice(shop, made["sop_id"], counts_from, carted, hasty)


def _beat(shop: Shop) -> None:
    try:
        shop.agent("beat_journey", brand_id=shop.brand_id)
    except AgentError:
        return  # beat, too, misses a minute in which Redis is down


def _stand_there(shop: Shop, people: list[int]) -> bool:
    try:
        return set(people) <= set(shop.agent("at_the_cart", brand_id=shop.brand_id, walk=True))
    except AgentError:
        return False  # a minute that fails is made up for by the next


def _fill_carts(world: World, secret: str, people: list[int], carted: dict[int, float]) -> None:
    """The shop tells of some carts, and tells again until it is answered."""
    now = time.time()
    rows = []
    for contact_id in people:
        carted[contact_id] = now
        at = datetime.fromtimestamp(now, UTC).isoformat()
        key, product = f"cart-{contact_id}", f"商品{contact_id}"
        rows.append(
            {"kind": "cart", "at": at, "contact_id": contact_id, "source_key": key, "product": product}
        )
    if rows:
        world.wait(lambda: _told(world, secret, rows), 20, "the shop's facts are taken")
        assert _told(world, secret, rows)  # once more: shops do


def _told(world: World, secret: str, rows: list[dict[str, Any]]) -> bool:
    url, headers = (
        f"http://127.0.0.1:{world.web_port}/api/v1/behaviour/",
        {"Authorization": f"Bearer {secret}"},
    )
    try:
        answer = requests.post(url, json={"rows": rows}, headers=headers, timeout=10)
    except requests.RequestException:
        return False
    assert answer.status_code < 400 or answer.status_code >= 500, answer.text
    return answer.ok


def _play_on(world: World, shop: Shop) -> None:
    """The hours after it, with WeCom failing for the first ones."""
    passed, left = 0, {}
    for n, step in enumerate((120, 300, 700, 700, 1900, 1900, 3600, 3600, 3600, 3600)):
        if n == 4:
            shop.sandbox.post("faults/clear")
        passed += step
        shop.sandbox.post("clock", offset_s=passed)
        left = _tried(shop, passed)
        if not any(left.values()):
            break
    assert not any(left.values()), left


def _tried(shop: Shop, seconds: int) -> dict[str, int]:
    """What a minute does; one that fails is made up for by the next. What is still open."""
    left: dict[str, int] = {}
    for attempt in range(6):
        try:
            left = shop.agent("later_journey", brand_id=shop.brand_id, seconds=seconds)
            sends = shop.agent("later_reach", brand_id=shop.brand_id, seconds=seconds)
        except AgentError:
            if attempt == 5:
                raise
            time.sleep(0.2)
        else:
            return left | {"sends": sum(n for state, n in sends.items() if state not in OVER)}
    return left


def _nobody_is_lost_and_nothing_twice(
    shop: Shop, sop_id: int, counts_from: dict[str, float], carted: dict[int, float], hasty: set[int]
) -> None:
    found = shop.agent("outcome", brand_id=shop.brand_id, sop_id=sop_id)
    people = set(map(int, counts_from))
    assert found["ends"] == {"done": PEOPLE}
    # the ledger: two messages for each, and which
    texts: dict[int, list[str]] = {}
    moments: dict[int, set[str]] = {}
    for _external, contact_id, text, _state, _reason, at in found["touches"]:
        texts.setdefault(contact_id, []).append(text)
        moments.setdefault(contact_id, set()).add(at)
    thanked = {who for who in people if who in carted and carted[who] > counts_from[str(who)]}
    for who in people:
        first, last = sorted(texts[who], key=lambda text: text in (THANKS, REMINDER))
        assert first in (BEFORE[:2] if who in found["male"] else BEFORE[2:])
        assert last == (THANKS if who in thanked else REMINDER), (who, carted.get(who), counts_from[str(who)])
    # WeCom's own records: each message once, and what the ledger says
    got = Counter(
        (row["external_userid"], row["text"]) for row in shop.sandbox.sent("mass", shop.corpid, limit=1000)
    )
    assert set(got.values()) == {1}
    delivered = {(row[0], row[2]) for row in found["touches"] if row[3] == "DELIVERED"}
    assert delivered == set(got)
    # whoever had filled the cart before a worker came back hears one thing and not two in one minute: the ledger says why
    held = [row for row in found["touches"] if row[3] != "DELIVERED"]
    assert {tuple(row[2:5]) for row in held} <= {(THANKS, "BLOCKED", "TOO_LATE")}
    assert len(held) + len(delivered) == 2 * PEOPLE
    in_one_minute = {who for who, times in moments.items() if len(times) == 1}
    assert {row[1] for row in held} == in_one_minute and in_one_minute <= hasty
    assert thanked >= carted.keys() - hasty and len(carted) == PEOPLE // 2
    _steps_are_counted_once(found["flow"], found["male"], len(thanked))
    assert sorted(found["tasks"]) == sorted(people)
    _moments_once(shop, found)
    _alerts_once(shop, found, carted)


def _steps_are_counted_once(flow: dict[str, int], male: list[int], n_thanked: int) -> None:
    for node in ("in", "minute", "branch", "task", "moment", "cart", "end"):
        assert flow[f"{node}:in"] == PEOPLE, node
    for node in ("in", "minute", "task", "moment"):
        assert flow[f"{node}:next"] == PEOPLE, node
    assert (flow["branch:yes"], flow["branch:no"]) == (len(male), PEOPLE - len(male))
    assert flow["split:a"] + flow["split:b"] == len(male)
    assert (flow.get("cart:next", 0), flow["cart:timeout"]) == (n_thanked, PEOPLE - n_thanked)
    assert flow["end:done"] == PEOPLE


def _moments_once(shop: Shop, found: dict[str, Any]) -> None:
    ours = Counter((staff_id, day) for ids, day, _state, _id in found["moments"] for staff_id in ids)
    assert set(ours.values()) == {1} and len({staff_id for staff_id, _day in ours}) == GUIDES
    theirs = Counter(
        task["userid"]
        for moment in shop.sandbox.get("moments", corpid=shop.corpid)
        for task in moment["tasks"]
    )
    assert theirs == Counter(found["userids"][str(staff_id)] for staff_id, _day in ours)
    assert {state for _ids, _day, state, _id in found["moments"]} <= {"out", "done"}


def _alerts_once(shop: Shop, found: dict[str, Any], carted: dict[int, float]) -> None:
    assert sorted(contact for contact, _state, _reason in found["alerts"]) == sorted(carted)
    assert {(state, reason) for _contact, state, reason in found["alerts"]} == {("sent", "")}
    assert found["told"] == len(carted) and len(found["notices"]) == found["messages"]
    assert {state for *_what, state in found["notices"]} == {"done"}
    wanted = Counter((userid, url, text) for userid, url, text, _state in found["notices"])
    cards = [
        (row["userid"], row["attachments"][0]["textcard"])
        for row in shop.sandbox.sent("app", shop.corpid, limit=1000)
        if row["attachments"]
    ]
    got = Counter((userid, card["url"], card["description"]) for userid, card in cards)
    assert {what: n for what, n in got.items() if what in wanted} == dict(wanted)
