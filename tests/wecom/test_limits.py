"""The shared limits, against a real Valkey: windows, places in flight, blocks, processes that die."""

import multiprocessing
import os
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
from django.conf import settings
from redis import Redis

from scrm.redis import redis_client
from tests.wecom.local_server import LocalServer
from wecom import limits
from wecom.client import WeComClient
from wecom.errors import WeComRateLimited, WeComUnavailable
from wecom.limits import Limits, slot

KEY, API = "wecom:1:ww1", "externalcontact/get"


@pytest.fixture
def redis() -> Any:
    return redis_client()


@pytest.fixture(autouse=True)
def own_gates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that another test has counted ahead; and what is counted here stays so, however long the machine stands still."""
    limits._gates.clear()
    monkeypatch.setattr(limits, "AHEAD_S", 600.0)


def refused(redis: Redis, key: str = KEY, api: str = API, **kwargs: Any) -> float:
    with pytest.raises(WeComRateLimited) as caught, slot(redis, key, api, **{"wait_s": 0, **kwargs}):
        pass
    return caught.value.retry_after_s


def until(holds: Callable[[], Any]) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.005)


def since(started: float) -> float:
    """Seconds that a test has taken so far: a window may have moved on by them."""
    return time.monotonic() - started


def test_minute_and_hour(redis: Redis) -> None:
    few, started = Limits(per_minute=3), time.monotonic()
    for _ in range(3):
        with slot(redis, KEY, API, wait_s=0, limits=few) as waited:
            assert waited.window_s == 0
    left_s = refused(redis, limits=few)
    assert 60 - since(started) < left_s <= 61.1
    assert 3500 < refused(redis, limits=Limits(per_hour=3)) <= 3661
    with slot(redis, KEY, API, wait_s=0):  # the documented limits still have room
        pass


def test_a_window_gives_its_calls_back(redis: Redis) -> None:
    """Calls of 61 seconds ago do not count; those of 60 seconds ago do."""
    few, started = Limits(per_minute=4), time.monotonic()
    now = int(redis.time()[0])
    key = f"{KEY}:calls:{API}:minute"
    redis.hset(
        key, mapping={"first": now - 70, "total": 5, str(now - 70): 2, str(now - 62): 1, str(now - 20): 2}
    )
    for _ in range(2):
        with slot(redis, KEY, API, wait_s=0, limits=few):
            pass
    left_s = refused(redis, limits=few)  # until the calls of 20 seconds ago have left
    assert 40 - since(started) - 1 < left_s <= 41.1
    fields = {k.decode() for k in redis.hkeys(key)}
    assert str(now - 70) not in fields
    assert str(now - 62) not in fields


def test_five_in_flight(redis: Redis) -> None:
    with ExitStack() as five:
        for _ in range(5):
            five.enter_context(slot(redis, KEY, API, wait_s=0))
        refused(redis)
        with slot(redis, KEY, "user/get", wait_s=0), slot(redis, "wecom:2:ww2", API, wait_s=0):
            pass  # another API and another brand have places of their own
    with slot(redis, KEY, API, wait_s=0):
        pass


def test_waits_for_a_place(redis: Redis) -> None:
    one = Limits(in_flight=1)
    gate = limits._gates[limits._keys(KEY, API)[2], 1] = limits._Gate(1)
    entered, held_s = threading.Event(), list[float]()

    def hold() -> None:
        with slot(redis, KEY, API, wait_s=0, limits=one):
            entered.set()
            until(lambda: gate._queue)
            started = time.monotonic()
            time.sleep(0.2)  # the other one waits meanwhile
            held_s.append(since(started))

    holder = threading.Thread(target=hold)
    holder.start()
    assert entered.wait(60)
    with slot(redis, KEY, API, wait_s=60, limits=one) as waited:
        holder.join()
        assert held_s[0] >= 0.2 and waited.s >= held_s[0] - 0.05 and waited.window_s == 0


def test_whoever_waits_is_woken(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by asking again: four wait, and each gets the one place as soon as it is free. A bell is heard for a second: where
    the machine was too busy for that, they do it once more."""
    monkeypatch.setattr(limits, "BELL_S", 8.0)
    one, held = Limits(in_flight=1), []

    def hold() -> None:
        with Redis.from_url(settings.REDIS_URL) as own, slot(own, KEY, API, wait_s=120, limits=one) as waited:
            limits._gates.clear()  # as if the next one were another process
            time.sleep(0.1)
            held.append(waited.s)

    for _round in range(4):
        held.clear()
        holders = []
        for _ in range(5):
            limits._gates.clear()
            holders.append(threading.Thread(target=hold))
            holders[-1].start()
        for holder in holders:
            holder.join(150)
        assert len(held) == 5
        if max(held) < 6:
            break
    else:
        pytest.fail(f"nobody was woken: {held}")


def test_a_place_goes_on_to_the_next_thread(redis: Redis) -> None:
    """Without being given back; each call is counted."""
    one, places, gone = Limits(in_flight=1), [], []
    gate = limits._gates[limits._keys(KEY, API)[2], 1] = limits._Gate(1)
    flight, minute = (f"{KEY}:calls:{API}:{part}" for part in ("flight", "minute"))

    def call() -> None:
        with slot(redis, KEY, API, wait_s=60, limits=one):
            # the others have come, and whoever was here before has counted the next call, so that nobody else does
            until(lambda: len(gate._queue) == 5 - len(places) and len(gone) == len(places))
            places.append(redis.zrange(flight, 0, -1))
        gone.append(1)

    threads = [threading.Thread(target=call) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(places) == 6 and len(places[0]) == 1 and all(place == places[0] for place in places)
    assert redis.hget(minute, "total") == b"6" and not redis.zcard(flight)


def test_a_call_counted_ahead_brings_no_place_back(redis: Redis) -> None:
    """The thread that was handed the place may be done before Redis hears of it."""
    asked = [*limits._keys(KEY, API), *limits._address_keys("1", API)]
    take, args = redis.register_script(limits._TAKE), [10, 10, 1, "place", 300_000, 10, 10, KEY]
    assert take(asked, [*args, 2]) == [2, 0] and not redis.zcard(asked[2]) and not redis.exists(asked[0])
    assert take(asked, [*args, 0]) == [0, 0]
    half_over = time.time() * 1000 + 150_000
    for mode in (3, 2):
        redis.zadd(asked[2], {"place": half_over})
        assert take(asked, [*args, mode]) == [0, 0]
        assert redis.zscore(asked[2], "place") > half_over + 100_000  # it begins anew
    assert redis.hget(asked[0], "total") == b"2" and redis.zcard(asked[2]) == 1


def _wait_once(url: str, start: Any, results: Any) -> None:
    start.wait(120)
    with slot(Redis.from_url(url), KEY, API, wait_s=120, limits=Limits(in_flight=1)) as waited:
        results.put(waited.s)


def test_handing_on_ends_where_it_must(redis: Redis) -> None:
    """Another process comes in between threads that call all the time; a full window stops them."""
    stop, taken, context = threading.Event(), [], multiprocessing.get_context("spawn")
    start, results = context.Barrier(2), context.Queue()

    def call(allowed: Limits) -> None:
        while not stop.is_set():
            try:
                with slot(redis_client(), KEY, API, wait_s=20, limits=allowed):
                    taken.append(1)
                    time.sleep(0.005)
            except WeComRateLimited:
                return

    def threads(allowed: Limits) -> list[threading.Thread]:
        found = [threading.Thread(target=call, args=[allowed]) for _ in range(4)]
        for thread in found:
            thread.start()
        return found

    guest = context.Process(target=_wait_once, args=[settings.REDIS_URL, start, results])
    guest.start()
    start.wait(120)  # it has come up: what follows is over long before a minute is
    others = threads(Limits(in_flight=1))
    assert results.get(timeout=180) < 30
    stop.set()
    for thread in others:
        thread.join(60)
    stop.clear()
    n = len(taken)
    for thread in threads(Limits(in_flight=1, per_minute=n + 31)):
        thread.join(60)
    gate = limits._gates[limits._keys(KEY, API)[2], 1]  # a call may be counted that nobody came to make
    assert len(taken) + len(gate._ahead) == n + 30  # and the guest's
    guest.join(60)
    results.close()
    results.join_thread()


def test_a_place_is_given_back_after_an_error(redis: Redis) -> None:
    one = Limits(in_flight=1)
    for _ in range(3):
        with pytest.raises(KeyError), slot(redis, KEY, API, wait_s=0, limits=one):
            raise KeyError


def _die_with_a_place(url: str) -> None:
    with slot(Redis.from_url(url), KEY, API, wait_s=0, limits=Limits(in_flight=1), lease_s=200):
        os._exit(0)


def test_a_killed_process_frees_its_place(redis: Redis) -> None:
    started = time.monotonic()
    process = multiprocessing.get_context("spawn").Process(
        target=_die_with_a_place, args=[settings.REDIS_URL]
    )
    process.start()
    process.join(120)
    one, flight = Limits(in_flight=1), limits._keys(KEY, API)[2]
    refused(redis, limits=one)
    [(place, ends_ms)] = redis.zrange(flight, 0, -1, withscores=True)
    left_ms = ends_ms - int(redis.time()[0]) * 1000
    assert 200_000 - since(started) * 1000 <= left_ms <= 201_000  # the lease that was asked for
    redis.zadd(flight, {place: ends_ms - 200_000})  # so much later
    with slot(redis, KEY, API, wait_s=0, limits=one):
        assert redis.zscore(flight, place) is None


def _call_often(url: str, start: Any, results: Any) -> None:
    redis, n, most = Redis.from_url(url), 0, 0
    start.wait(150)  # all have come up: the first one's calls count until the last one has made its own
    while True:
        try:
            with slot(redis, KEY, API, wait_s=20, limits=Limits(per_minute=300, in_flight=3)):
                most = max(most, redis.incr("test:busy"))
                n += 1
                redis.decr("test:busy")
        except WeComRateLimited:
            results.put((n, most))
            return


def test_processes_share_the_limits(redis: Redis) -> None:
    context = multiprocessing.get_context("spawn")
    start, results = context.Barrier(4), context.Queue()
    arguments = [settings.REDIS_URL, start, results]
    workers = [context.Process(target=_call_often, args=arguments) for _ in range(4)]
    for worker in workers:
        worker.start()
    found = [results.get(timeout=180) for _ in workers]
    for worker in workers:
        worker.join(60)
    results.close()
    results.join_thread()
    assert sum(n for n, _ in found) == 300
    assert max(most for _, most in found) <= 3


def test_block(redis: Redis) -> None:
    started = time.monotonic()
    limits.block(redis, KEY, API, 60)
    limits.block(redis, KEY, API, 0.1)  # a shorter one changes nothing
    left_s = refused(redis)
    assert 60 - since(started) - 0.1 < left_s <= 60.1
    with slot(redis, KEY, "user/get", wait_s=0):
        pass
    started = time.monotonic()
    limits.block(redis, KEY, "user/list", 0.5)
    with slot(redis, KEY, "user/list", wait_s=5) as waited:
        assert since(started) >= 0.49 and waited.s <= since(started)


def test_a_block_holds_for_whoever_queues(redis: Redis) -> None:
    """Also where the next call was counted ahead already."""
    one, done = Limits(in_flight=1), []
    gate = limits._gates[limits._keys(KEY, API)[2], 1] = limits._Gate(1)

    def call(name: str) -> None:
        try:
            with slot(redis, KEY, API, wait_s=200 if name != "c" else 100, limits=one):
                if name == "a":
                    until(lambda: len(gate._queue) == 2)
                else:
                    until(lambda: gate._ahead)  # the call of c
                    limits.block(redis, KEY, API, 300)
                done.append(name)
        except WeComRateLimited:
            done.append(f"{name} refused")

    threads = [threading.Thread(target=call, args=[name]) for name in "abc"]
    for n, thread in enumerate(threads):  # a waits for both to queue
        thread.start()
        until(lambda n=n: done or (len(gate._queue) == n and not gate._free))
    for thread in threads:
        thread.join(90)
    assert done == ["a", "b", "c refused"]


def test_keys_belong_to_the_brand_and_expire(redis: Redis) -> None:
    with slot(redis, KEY, API, wait_s=0):
        limits.block(redis, KEY, API, 60)
    keys = redis.keys("*")
    assert sum(key.startswith(b"wecom:1:ww1:") for key in keys) == 3  # the place was given back
    assert sum(key.startswith(b"wecom:egress:1:") for key in keys) == 3
    assert len(keys) == 6
    assert all(redis.ttl(key) > 0 for key in keys)


# ---- one address for all brands


def corp(n: int) -> str:
    return f"wecom:{n}:ww{n}"


def calls_until_refused(redis: Redis, n: int, few: Limits, most: int = 10_000) -> int:
    """How many calls a corp can make now, one after the other."""
    for made in range(most):
        try:
            with slot(redis, corp(n), API, wait_s=0, limits=few):
                pass
        except WeComRateLimited:
            return made
    return most


def test_address_limit_over_all_corps(redis: Redis) -> None:
    few, started = Limits(address_per_minute=100), time.monotonic()
    made = [calls_until_refused(redis, n, few) for n in range(1, 30)]
    assert made[0] == 90
    assert sum(made) == 100  # the last tenth went to those who came late
    assert max(made[1:]) <= 2
    with slot(redis, corp(1), "user/get", wait_s=0, limits=few):  # another API
        pass
    with slot(redis, corp(1), API, wait_s=0, limits=few, egress="2"):  # another address
        pass
    left_s = refused(redis, corp(1), limits=few)
    assert 60 - since(started) < left_s <= 61.1
    assert 3500 < refused(redis, corp(1), limits=Limits(address_per_hour=100)) <= 3661


def test_the_first_calls_of_a_brand_find_room(redis: Redis) -> None:
    """Two brands have taken what they could get; each of three others still has its first calls at once."""
    few = Limits(address_per_minute=1000)
    assert calls_until_refused(redis, 1, few) + calls_until_refused(redis, 2, few) >= 900
    for n in range(3, 6):
        assert calls_until_refused(redis, n, few, most=20) == 20
    assert refused(redis, corp(1), limits=few) < 1  # asks again soon: it waits for its turn, not for a window


def test_brands_come_to_equal_parts(redis: Redis) -> None:
    few = Limits(address_per_minute=1000)
    made = dict.fromkeys((1, 2, 3), 0)
    while True:
        now = {n: calls_until_refused(redis, n, few, most=1) for n in made}
        if not any(now.values()):
            break
        for n, more in now.items():
            made[n] += more
    assert max(made.values()) - min(made.values()) <= 1
    assert sum(made.values()) in range(895, 906)


def test_a_hog_makes_room_when_its_calls_grow_old(redis: Redis) -> None:
    """One corp has filled the minute alone; as its calls leave the window, a second one gets them, not it."""
    few = Limits(address_per_minute=100)
    now = int(redis.time()[0])
    for key in (f"{corp(1)}:calls:{API}:minute", f"wecom:egress:1:calls:{API}:minute"):
        seconds = {str(now - 70): 10, str(now - 30): 80}
        redis.hset(key, mapping={"first": now - 70, "total": 90, **seconds})
    assert calls_until_refused(redis, 2, few) == 10  # up to nine tenths, and no further than its part
    assert calls_until_refused(redis, 1, few) == 0


def test_a_brand_at_full_speed_does_not_hold_up_anothers_welcome(redis: Redis) -> None:
    """Brand 1 syncs with as many calls as it can get, by the API that brand 2 needs before its welcomes."""
    few = Limits(address_per_minute=400)
    stop, taken = threading.Event(), []

    def sync(client: WeComClient) -> None:
        while not stop.is_set():
            try:
                client.call("GET", API, repeatable=True, deadline_s=1.3)
            except WeComRateLimited:
                stop.wait(0.05)
                continue
            except WeComUnavailable:
                pass  # the machine was too busy for its answer: it is counted all the same
            taken.append(1)

    with LocalServer() as server, ExitStack() as opened:

        def client(brand_id: int) -> WeComClient:
            connection = opened.enter_context(Redis.from_url(settings.REDIS_URL))
            return WeComClient(
                f"ww{brand_id}",
                "s",
                1,
                brand_id=brand_id,
                api_url=server.url,
                redis_conn=connection,
                allowed=few,
                deadline_s=90,
            )

        hogs = [threading.Thread(target=sync, args=[client(1)]) for _ in range(8)]
        for hog in hogs:
            hog.start()
        while len(taken) < 355:
            stop.wait(0.02)
        guest, seconds = client(2), []
        for _ in range(4):  # 1 in 50 of the limit, halved: a profile and a welcome each
            started = time.monotonic()
            guest.call("GET", API, repeatable=True)
            guest.call("POST", "externalcontact/send_welcome_msg", body={})
            seconds.append(time.monotonic() - started)
        stop.set()
        for hog in hogs:
            hog.join(60)
    assert len(taken) <= 360
    assert guest.waited_s < 5 and max(seconds) < 15  # held up it would have waited for a minute
