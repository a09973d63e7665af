"""Shared tokens, against a real Valkey: one fetch for all, refusals remembered, no secret in a key."""

import multiprocessing
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.conf import settings
from redis import Redis

from scrm.redis import redis_client
from wecom import tokens
from wecom.errors import WeComForbidden, WeComRateLimited, WeComUnavailable, refusal

KEY = "wecom:1:ww1:token:1000002:abc"


@pytest.fixture
def redis() -> Any:
    return redis_client()


def _fetch_slowly(url: str, start: Any, results: Any) -> None:
    redis = Redis.from_url(url)

    def fetch() -> tuple[str, int]:
        number = redis.incr("test:fetches")
        threading.Event().wait(0.2)  # as long as WeCom takes
        return f"T{number}", 7200

    start.wait(120)
    results.put(tokens.shared(redis, KEY, fetch))


def test_two_processes_one_fetch(redis: Redis) -> None:
    context = multiprocessing.get_context("spawn")
    start, results = context.Barrier(3), context.Queue()
    workers = [
        context.Process(target=_fetch_slowly, args=[settings.REDIS_URL, start, results]) for _ in range(3)
    ]
    for worker in workers:
        worker.start()
    assert [results.get(timeout=180) for _ in workers] == ["T1"] * 3
    for worker in workers:
        worker.join(60)
    results.close()
    results.join_thread()
    assert redis.get("test:fetches") == b"1"


def test_many_threads_one_fetch(redis: Redis) -> None:
    fetched: list[int] = []

    def fetch() -> tuple[str, int]:
        fetched.append(1)
        return "T1", 7200

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: tokens.shared(redis, KEY, fetch), range(40))) == {"T1"}
    assert len(fetched) == 1


def test_lifetime_has_a_margin(redis: Redis) -> None:
    started = time.monotonic()
    tokens.shared(redis, KEY, lambda: ("T1", 7200))
    left_s = redis.ttl(KEY)
    assert 6898 - (time.monotonic() - started) <= left_s <= 6900
    assert tokens.lifetime(60) == 30
    assert tokens.lifetime(0) == 1
    assert not redis.exists(f"{KEY}:lock")


def test_only_the_token_that_failed_is_dropped(redis: Redis) -> None:
    redis.set(KEY, "new")
    tokens.delete_if(redis, KEY, "old")
    assert redis.get(KEY) == b"new"
    tokens.delete_if(redis, KEY, "new")
    assert redis.get(KEY) is None


@pytest.mark.parametrize(
    ("errcode", "seconds"), [(40001, 300), (40013, 300), (40091, 300), (60020, 60), (45009, 60)]
)
def test_refusals_are_remembered(redis: Redis, errcode: int, seconds: int) -> None:
    asked: list[int] = []
    started = time.monotonic()

    def fetch() -> tuple[str, int]:
        asked.append(1)
        raise refusal("gettoken", errcode, "no, hint: [1-2-3], from ip: 203.0.113.7, more info")

    for _ in range(3):
        with pytest.raises((WeComForbidden, WeComRateLimited)) as caught:
            tokens.shared(redis, KEY, fetch)
        assert (caught.value.errcode, caught.value.hint) == (errcode, "1-2-3")
        assert caught.value.from_ip == "203.0.113.7"
    assert len(asked) == 1
    left_s = redis.ttl(f"{KEY}:refused")
    assert seconds - 2 - (time.monotonic() - started) <= left_s <= seconds

    assert tokens.shared(redis, KEY, lambda: ("T1", 7200), fresh=True) == "T1"  # the doctor asks again
    assert tokens.shared(redis, KEY, fetch) == "T1"  # and with that it is forgotten


def test_a_passing_failure_is_not_remembered(redis: Redis) -> None:
    def fetch() -> tuple[str, int]:
        raise WeComUnavailable(api="gettoken")

    with pytest.raises(WeComUnavailable):
        tokens.shared(redis, KEY, fetch)
    assert tokens.shared(redis, KEY, lambda: ("T1", 7200)) == "T1"


def test_waiting_is_bounded(redis: Redis) -> None:
    redis.set(f"{KEY}:lock", "somebody", px=20_000)
    with pytest.raises(WeComUnavailable):
        tokens.shared(redis, KEY, lambda: ("T1", 7200), wait_s=0.1)
    assert redis.get(f"{KEY}:lock") == b"somebody"


def test_fingerprint_tells_nothing() -> None:
    secret = "s3cr3t-" * 6
    assert tokens.fingerprint(secret) != tokens.fingerprint(secret[:-1])
    assert secret[:4] not in tokens.fingerprint(secret)
