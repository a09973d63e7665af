"""WeCom's frequency limits, kept by all processes together in Redis.

WeCom allows 10,000 calls a minute and 150,000 an hour per corp and API, and "some APIs at most 5 at once";
whoever goes over is shut out for a minute or an hour. We stay below. The keys carry the corp, so one brand's
sync never takes another brand's calls. Time is Redis' own: these windows are about the real world, also in a
rehearsal.

Source: developer.work.weixin.qq.com/document/path/90312
"""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import uuid4

import redis

from wecom.errors import WeComRateLimited


@dataclass(frozen=True)
class Limits:
    per_minute: int = 9_500
    per_hour: int = 145_000
    in_flight: int = 5


DOCUMENTED = Limits()
LEASE_S = 30.0  # a killed process gives its place back after this; longer than any call but an upload
MINUTE_BLOCK_S = 60.0  # how long WeCom shuts an API after 45009; was it the hour's limit, we try every minute

# Counts are kept per second (minute) and per minute (hour), so a full window never lets more than its limit
# through in any 60 seconds or 60 minutes; a single counter per calendar minute would let twice as much pass
# around its change. Returns {0, 0} when the call may go, else {1 window full | 2 too many in flight | 3
# blocked, milliseconds to wait}.
_TAKE = b"""
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local blocked = redis.call('PTTL', KEYS[4])
if blocked > 0 then return {3, blocked} end

local function window(key, unit, limit)
  local cur = math.floor(now / unit)
  local v = redis.call('HMGET', key, 'first', 'total')
  local first, total = tonumber(v[1]) or cur, tonumber(v[2]) or 0
  local moved = false
  while first < cur - 60 do
    local n = redis.call('HGET', key, first)
    if n then total = total - n; redis.call('HDEL', key, first) end
    first = first + 1; moved = true
  end
  if moved then redis.call('HSET', key, 'first', first, 'total', total) end
  if total < limit then return 0, cur, first end
  while first < cur and redis.call('HEXISTS', key, first) == 0 do first = first + 1 end
  return (first + 61) * unit - now, cur, first
end
local wait_m, sec, first_m = window(KEYS[1], 1000, tonumber(ARGV[1]))
local wait_h, min, first_h = window(KEYS[2], 60000, tonumber(ARGV[2]))
if wait_m > 0 or wait_h > 0 then return {1, math.max(wait_m, wait_h)} end

redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now)
if redis.call('ZCARD', KEYS[3]) >= tonumber(ARGV[3]) then return {2, 0} end
redis.call('ZADD', KEYS[3], now + ARGV[5], ARGV[4])
redis.call('PEXPIRE', KEYS[3], 600000)

local function count(key, unit, cur, first)
  redis.call('HINCRBY', key, cur, 1)
  redis.call('HINCRBY', key, 'total', 1)
  redis.call('HSET', key, 'first', first)
  redis.call('PEXPIRE', key, 62 * unit)
end
count(KEYS[1], 1000, sec, first_m)
count(KEYS[2], 60000, min, first_h)
return {0, 0}
"""


def _keys(corp_key: str, api: str) -> list[str]:
    return [f"{corp_key}:calls:{api}:{part}" for part in ("minute", "hour", "flight", "block")]


@contextmanager
def slot(
    client: redis.Redis,
    corp_key: str,
    api: str,
    *,
    wait_s: float,
    limits: Limits = DOCUMENTED,
    lease_s: float = LEASE_S,
) -> Iterator[float]:
    """Hold one of the corp's places for a call of `api`; yields the seconds that were spent waiting for it.

    Args:
        corp_key: `wecom:{brand_id}:{corpid}`.
        wait_s: wait at most this long; 0 asks once.
        lease_s: a process that dies keeps its place no longer than this.

    Raises:
        WeComRateLimited: no place within `wait_s`; `retry_after_s` says when there may be one.
    """
    keys, place = _keys(corp_key, api), uuid4().hex
    take = client.register_script(_TAKE)
    args: list[int | str] = [limits.per_minute, limits.per_hour, limits.in_flight, place, int(lease_s * 1000)]
    started = time.monotonic()
    while True:
        reason, wait_ms = take(keys, args)
        waited = time.monotonic() - started
        if not reason:
            break
        # a place in flight is free again after one answer: ask often; a full window says when it has room
        pause = random.uniform(0.01, 0.04) if reason == 2 else wait_ms / 1000 + random.uniform(0, 0.05)
        if waited + pause > wait_s:
            raise WeComRateLimited(retry_after_s=max(pause, 0.5), api=api)
        time.sleep(pause)
    try:
        yield waited
    finally:
        client.zrem(keys[2], place)


def block(client: redis.Redis, corp_key: str, api: str, seconds: float) -> None:
    """No process calls `api` for this corp for so long (WeCom said 45009 or 45033); never shortens an earlier
    block."""
    key, milliseconds = _keys(corp_key, api)[3], max(1, int(seconds * 1000))
    if not client.set(key, 1, px=milliseconds, nx=True):
        client.pexpire(key, milliseconds, gt=True)
