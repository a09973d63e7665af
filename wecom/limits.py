"""WeCom's frequency limits, kept by all processes together in Redis.

WeCom allows 10,000 calls a minute and 150,000 an hour per corp and API, "some APIs at most 5 at once", and
over all corps 20,000 a minute and 600,000 an hour per API from one address. Whoever goes over is shut out for
a minute or an hour. We stay below. Time is Redis' own: these windows are about the real world, also in a
rehearsal.

Two corps at full speed use up an address, so brands do share something. Below four fifths of the address'
limit nobody notices. Above it, a corp that has had its part (nine tenths of the limit divided by the corps of
the last minute) waits; the last tenth is kept for corps that have hardly called at all. So a brand's welcome
finds room however many others sync, and those that sync come to equal parts.

Source: developer.work.weixin.qq.com/document/path/90312
"""

import logging
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import NamedTuple
from uuid import uuid4

import redis

from wecom.errors import WeComRateLimited

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """Per corp and API; `address_*` over all corps, per API and outgoing address."""

    per_minute: int = 9_500
    per_hour: int = 145_000
    in_flight: int = 5
    address_per_minute: int = 19_000
    address_per_hour: int = 580_000


class Waited(NamedTuple):
    """Seconds spent waiting for a place."""

    s: float
    window_s: float  # of it for a full window; the rest for one of the places in flight, or blocked


DOCUMENTED = Limits()
# APIs with limits of their own, a little below WeCom's; strategies are made and edited one after the other
TIGHTER: dict[str, dict[str, int]] = {
    "externalcontact/add_moment_task": {"per_minute": 9},
    "get_jsapi_ticket": {"per_hour": 380},
    "ticket/get": {"per_hour": 95},
    **{
        f"externalcontact/{kind}_strategy/{act}": {"in_flight": 1}
        for kind in ("customer", "moment")
        for act in ("create", "edit")
    },
}
LEASE_S = 30.0  # a killed process gives its place back after this; longer than any call but a file's
UPLOAD_LEASE_S = 120.0
MINUTE_BLOCK_S = 60.0  # how long WeCom shuts an API after 45009; was it the hour's limit, we try every minute

# Counts are kept per second (minute) and per minute (hour), so a full window never lets more than its limit
# through in any 60 seconds or 60 minutes; a single counter per calendar minute would let twice as much pass
# around its change. Returns {0, 0} when the call may go, else {1 window full | 2 too many in flight | 3
# blocked | 4 others' turn at the address, milliseconds to wait}.
# KEYS: minute, hour, flight, block, queue of corp and API; minute, hour, corps of address and API.
_TAKE = b"""
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local blocked = redis.call('PTTL', KEYS[4])
if blocked > 0 then return {3, blocked} end

local function window(key, unit)
  local cur = math.floor(now / unit)
  local v = redis.call('HMGET', key, 'first', 'total')
  local w = {key = key, unit = unit, cur = cur, first = tonumber(v[1]) or cur, total = tonumber(v[2]) or 0}
  local moved = false
  while w.first < cur - 60 do
    local n = redis.call('HGET', key, w.first)
    if n then w.total = w.total - n; redis.call('HDEL', key, w.first) end
    w.first = w.first + 1; moved = true
  end
  if moved then redis.call('HSET', key, 'first', w.first, 'total', w.total) end
  return w
end
local function wait(w, limit)
  if w.total < limit then return 0 end
  while w.first < w.cur and redis.call('HEXISTS', w.key, w.first) == 0 do w.first = w.first + 1 end
  return (w.first + 61) * w.unit - now
end
local minute, hour = window(KEYS[1], 1000), window(KEYS[2], 60000)
local all_minute, all_hour = window(KEYS[6], 1000), window(KEYS[7], 60000)
local ms = math.max(wait(minute, tonumber(ARGV[1])), wait(hour, tonumber(ARGV[2])),
                    wait(all_minute, tonumber(ARGV[6])), wait(all_hour, tonumber(ARGV[7])))
if ms > 0 then return {1, ms} end

redis.call('ZREMRANGEBYSCORE', KEYS[8], '-inf', now - 60000)
redis.call('ZADD', KEYS[8], now, ARGV[8])
redis.call('PEXPIRE', KEYS[8], 61000)
local function others_turn(all, mine, limit)
  if all < limit * 0.8 then return false end
  if all >= limit * 0.9 then return mine >= limit * 0.02 end
  return mine >= limit * 0.9 / redis.call('ZCARD', KEYS[8])
end
if others_turn(all_minute.total, minute.total, tonumber(ARGV[6]))
   or others_turn(all_hour.total, hour.total, tonumber(ARGV[7])) then return {4, 200} end

redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now)
if redis.call('ZCARD', KEYS[3]) >= tonumber(ARGV[3]) then
  redis.call('SET', KEYS[5], 1, 'PX', 1000)
  return {2, 0}
end
redis.call('ZADD', KEYS[3], now + ARGV[5], ARGV[4])
redis.call('PEXPIRE', KEYS[3], 600000)

for _, w in ipairs({minute, hour, all_minute, all_hour}) do
  redis.call('HINCRBY', w.key, w.cur, 1)
  redis.call('HINCRBY', w.key, 'total', 1)
  redis.call('HSET', w.key, 'first', w.first)
  redis.call('PEXPIRE', w.key, 62 * w.unit)
end
return {0, 0}
"""
# Gives a place back. Whoever has found none within the last second waits at the bell (blpop) and is woken at once: many
# that ask again and again would cost more than the calls. KEYS: flight, queue, bell. ARGV: place, places.
_GIVE = """
redis.call('ZREM', KEYS[1], ARGV[1])
if redis.call('EXISTS', KEYS[2]) == 1 then
  redis.call('LPUSH', KEYS[3], 1)
  redis.call('LTRIM', KEYS[3], 0, ARGV[2] - 1)
  redis.call('PEXPIRE', KEYS[3], 1000)
end
"""
BELL_S = 0.1  # who hears nothing asks all the same: a place may have run out, or its bell been heard by one who is gone


# Threads of one process queue here, not in Redis: as many ask for a place as there are, and who gets one from another
# thread of this process gets it at once. Redis decides between processes.
_gates: dict[tuple[str, int], threading.Semaphore] = {}
os.register_at_fork(after_in_child=_gates.clear)


def _keys(corp_key: str, api: str) -> list[str]:
    return [f"{corp_key}:calls:{api}:{part}" for part in ("minute", "hour", "flight", "block", "queue")]


def _bell(keys: list[str]) -> str:
    return f"{keys[4]}:bell"


def _address_keys(egress: str, api: str) -> list[str]:
    return [f"wecom:egress:{egress}:calls:{api}:{part}" for part in ("minute", "hour", "corps")]


@contextmanager
def slot(
    client: redis.Redis,
    corp_key: str,
    api: str,
    *,
    wait_s: float,
    limits: Limits = DOCUMENTED,
    lease_s: float = LEASE_S,
    egress: str = "1",
    on_release: Callable[[redis.client.Pipeline], None] | None = None,
) -> Iterator[Waited]:
    """Hold one of the corp's places for a call of `api`; yields how long was waited for it.

    Args:
        corp_key: `wecom:{brand_id}:{corpid}`.
        wait_s: wait at most this long; 0 asks once.
        lease_s: a process that dies keeps its place no longer than this.
        egress: name of the address that the call goes out by.
        on_release: puts further commands into the round trip that gives the place back.

    Raises:
        WeComRateLimited: no place within `wait_s`; `retry_after_s` says when there may be one.
    """
    limits = replace(limits, **own) if (own := TIGHTER.get(api)) else limits
    keys, place = _keys(corp_key, api), uuid4().hex
    take = client.register_script(_TAKE)
    args: list[int | str] = [limits.per_minute, limits.per_hour, limits.in_flight, place, int(lease_s * 1000)]
    args += [limits.address_per_minute, limits.address_per_hour, corp_key]
    gate = _gates.setdefault((keys[2], limits.in_flight), threading.Semaphore(limits.in_flight))
    started, window_s = time.monotonic(), 0.0
    # who has queued in vain asks all the same: Redis knows how long it takes
    is_next = gate.acquire(timeout=wait_s) if wait_s > 0 else gate.acquire(blocking=False)
    try:
        while True:
            reason, wait_ms = take([*keys, *_address_keys(egress, api)], args)
            waited = time.monotonic() - started
            if not reason:
                break
            # a place in flight is free again after one answer; a full window says when it has room
            pause = 0.01 if reason == 2 else wait_ms / 1000 + random.uniform(0, 0.05)
            if waited + pause > wait_s:
                raise WeComRateLimited(retry_after_s=max(pause, 0.5), api=api)
            if reason == 2:
                client.blpop([_bell(keys)], timeout=min(BELL_S, wait_s - waited))
            else:
                time.sleep(pause)
            window_s += pause if reason in (1, 4) else 0.0
        try:
            yield Waited(waited, window_s)
        finally:
            _release(client, keys, place, limits.in_flight, on_release)
    finally:
        if is_next:
            gate.release()


def _release(
    client: redis.Redis,
    keys: list[str],
    place: str,
    places: int,
    on_release: Callable[[redis.client.Pipeline], None] | None,
) -> None:
    """Give the place back. The call is over, whatever Redis says now: its answer must reach the caller, and
    the place runs out by itself."""
    pipe = client.pipeline(transaction=False)
    pipe.eval(_GIVE, 3, keys[2], keys[4], _bell(keys), place, places)
    if on_release is not None:
        on_release(pipe)
    try:
        pipe.execute()
    except redis.RedisError as error:
        log.warning("a place of %s could not be given back: %r", keys[2], error)


def block(client: redis.Redis, corp_key: str, api: str, seconds: float) -> None:
    """No process calls `api` for this corp for so long (WeCom said 45009 or 45033); never shortens an earlier
    block."""
    key, milliseconds = _keys(corp_key, api)[3], max(1, int(seconds * 1000))
    if not client.set(key, 1, px=milliseconds, nx=True):
        client.pexpire(key, milliseconds, gt=True)
