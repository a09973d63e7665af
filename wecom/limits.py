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
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
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

# Gives a place back. Whoever has found none within the last second waits at the bell (blpop) and is woken at once: many
# that ask again and again would cost more than the calls.
_GIVE = """
local function give(flight, queue, bell, place, places)
  redis.call('ZREM', flight, place)
  if redis.call('EXISTS', queue) == 1 then
    redis.call('LPUSH', bell, 1)
    redis.call('LTRIM', bell, 0, places - 1)
    redis.call('PEXPIRE', bell, 1000)
  end
end
"""
_GIVE_BACK = f"{_GIVE} give(KEYS[1], KEYS[2], KEYS[3], ARGV[1], ARGV[2])"
# Counts are kept per second (minute) and per minute (hour), so a full window never lets more than its limit
# through in any 60 seconds or 60 minutes; a single counter per calendar minute would let twice as much pass
# around its change. Returns {0, 0} when the call may go, else {1 window full | 2 too many in flight | 3
# blocked | 4 others' turn at the address | 5 others wait for the place, milliseconds to wait}.
# Who leaves may ask for the next thread of its process (ARGV[9] = 1): the place goes on to that one, or is given back. Or
# it has handed the place on already: the lease begins anew (3), and the call after that one may be counted (2).
# KEYS: minute, hour, flight, block, queue, bell of corp and API; minute, hour, corps of address and API.
_TAKE = f"""
{_GIVE}
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local passes = ARGV[9] ~= '0'
local function refuse(reason, ms)
  if ARGV[9] == '1' then give(KEYS[3], KEYS[5], KEYS[6], ARGV[4], ARGV[3]) end
  return {{reason, ms}}
end
if ARGV[9] == '2' or ARGV[9] == '3' then
  if not redis.call('ZSCORE', KEYS[3], ARGV[4]) then return refuse(2, 0) end
  redis.call('ZADD', KEYS[3], now + ARGV[5], ARGV[4])
  if ARGV[9] == '3' then return {{0, 0}} end
end
if passes and redis.call('EXISTS', KEYS[5]) == 1 then return refuse(5, 0) end
local blocked = redis.call('PTTL', KEYS[4])
if blocked > 0 then return refuse(3, blocked) end

local function window(key, unit)
  local cur = math.floor(now / unit)
  local v = redis.call('HMGET', key, 'first', 'total')
  local w = {{key = key, unit = unit, cur = cur, first = tonumber(v[1]) or cur, total = tonumber(v[2]) or 0}}
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
local all_minute, all_hour = window(KEYS[7], 1000), window(KEYS[8], 60000)
local ms = math.max(wait(minute, tonumber(ARGV[1])), wait(hour, tonumber(ARGV[2])),
                    wait(all_minute, tonumber(ARGV[6])), wait(all_hour, tonumber(ARGV[7])))
if ms > 0 then return refuse(1, ms) end

redis.call('ZREMRANGEBYSCORE', KEYS[9], '-inf', now - 60000)
redis.call('ZADD', KEYS[9], now, ARGV[8])
redis.call('PEXPIRE', KEYS[9], 61000)
local function others_turn(all, mine, limit)
  if all < limit * 0.8 then return false end
  if all >= limit * 0.9 then return mine >= limit * 0.02 end
  return mine >= limit * 0.9 / redis.call('ZCARD', KEYS[9])
end
if others_turn(all_minute.total, minute.total, tonumber(ARGV[6]))
   or others_turn(all_hour.total, hour.total, tonumber(ARGV[7])) then return refuse(4, 200) end

redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now)
if not (passes and redis.call('ZSCORE', KEYS[3], ARGV[4])) and redis.call('ZCARD', KEYS[3]) >= tonumber(ARGV[3]) then
  redis.call('SET', KEYS[5], 1, 'PX', 1000)
  return {{2, 0}}
end
redis.call('ZADD', KEYS[3], now + ARGV[5], ARGV[4])
redis.call('PEXPIRE', KEYS[3], 600000)

for _, w in ipairs({{minute, hour, all_minute, all_hour}}) do
  redis.call('HINCRBY', w.key, w.cur, 1)
  redis.call('HINCRBY', w.key, 'total', 1)
  redis.call('HSET', w.key, 'first', w.first)
  redis.call('PEXPIRE', w.key, 62 * w.unit)
end
return {{0, 0}}
""".encode()
AHEAD_S = 5.0  # a call that was counted so long ago without being made is counted anew
BELL_S = 0.1  # who hears nothing asks all the same: a place may have run out, or its bell been heard by one who is gone


class _Turn:
    """A thread before the gate: what it would ask of Redis, and the place it was handed, if any."""

    def __init__(self, args: list[int | str]) -> None:
        self.args, self.place, self.called = args, "", threading.Event()


class _Gate:
    """Threads of one process queue here, not in Redis: as many ask for a place as there are, and who leaves hands its place
    on. Redis decides between processes, and counts: while threads queue, one call for each place is counted ahead, so that
    a place is not empty while Redis answers."""

    def __init__(self, places: int, *, counts_ahead: bool = True) -> None:
        self.places = self._free = places
        self._most_ahead = places if counts_ahead else 0  # nothing where a few calls more are too many
        self._queue, self._lock = deque[_Turn](), threading.Lock()
        self._ahead: list[float] = []  # when calls were counted that are not made yet
        self._asked = 0  # further ones that Redis is being asked for

    def enter(self, turn: _Turn, wait_s: float) -> bool:
        """Whether this thread was let in within so long."""
        with self._lock:
            if self._free:
                self._free -= 1
                return True
            if wait_s <= 0:
                return False
            self._queue.append(turn)
        try:
            turn.called.wait(wait_s)
        except BaseException:
            if not self._withdraw(turn) and (then := self.next()):
                then.called.set()
            raise
        return not self._withdraw(turn)

    def _withdraw(self, turn: _Turn) -> bool:
        with self._lock:
            if is_there := turn in self._queue:
                self._queue.remove(turn)
        if not is_there:
            turn.called.wait()  # called in this moment
        return is_there

    def next(self, place: str = "") -> _Turn | None:
        """One who was let in leaves; who comes in for it has to be called. Theirs is the `place` of who leaves, if a call of
        theirs is counted already."""
        with self._lock:
            if not self._queue:
                self._free += 1
                return None
            then = self._queue.popleft()
            if place:
                now = time.monotonic()
                self._ahead = [at for at in self._ahead if now - at < AHEAD_S]
                if self._ahead:
                    self._ahead.pop()
                    then.place = place
            return then

    def wants_ahead(self) -> bool:
        """Whether one more call is to be counted ahead; `counted` has to follow."""
        with self._lock:
            wants = len(self._ahead) + self._asked < min(len(self._queue), self._most_ahead)
            self._asked += wants
            return wants

    def forget_ahead(self) -> None:
        """Nobody goes without asking Redis: it is said meanwhile that no call may be made."""
        with self._lock:
            self._ahead.clear()

    def counted(self, is_done: bool) -> None:
        """What Redis said to a call ahead."""
        with self._lock:
            self._asked -= 1
            if is_done:
                self._ahead.append(time.monotonic())


_gates: dict[tuple[str, int], _Gate] = {}
os.register_at_fork(after_in_child=_gates.clear)


def _keys(corp_key: str, api: str) -> list[str]:
    parts = ("minute", "hour", "flight", "block", "queue", "queue:bell")
    return [f"{corp_key}:calls:{api}:{part}" for part in parts]


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
    limits = replace(limits, **(own := TIGHTER.get(api, {})))
    keys, place = _keys(corp_key, api), uuid4().hex
    asked = [*keys, *_address_keys(egress, api)]
    take = client.register_script(_TAKE)
    args: list[int | str] = [limits.per_minute, limits.per_hour, limits.in_flight, place, int(lease_s * 1000)]
    args += [limits.address_per_minute, limits.address_per_hour, corp_key, 0]
    gate = _gates.setdefault((keys[2], limits.in_flight), _Gate(limits.in_flight, counts_ahead=not own))
    started, window_s, turn = time.monotonic(), 0.0, _Turn(args)
    # who has queued in vain asks all the same: Redis knows how long it takes
    is_in, is_held = gate.enter(turn, wait_s), False
    try:
        while not turn.place:
            reason, wait_ms = take(asked, args)
            waited = time.monotonic() - started
            if not reason:
                turn.place = place
                break
            # a place in flight is free again after one answer; a full window says when it has room
            pause = 0.01 if reason == 2 else wait_ms / 1000 + random.uniform(0, 0.05)
            if waited + pause > wait_s:
                raise WeComRateLimited(retry_after_s=max(pause, 0.5), api=api)
            if reason == 2:
                client.blpop([keys[5]], timeout=min(BELL_S, wait_s - waited))
            else:
                time.sleep(pause)
            window_s += pause if reason in (1, 4) else 0.0
        is_held = True
        yield Waited(time.monotonic() - started, window_s)
    finally:
        then = gate.next(turn.place if is_held else "") if is_in else None
        if then and then.place:
            then.called.set()
        try:
            if is_held:
                _leave(client, take, asked, turn.place, gate, then, on_release)
        finally:
            if then:
                then.called.set()


def _leave(
    client: redis.Redis,
    take: Any,
    asked: list[str],
    place: str,
    gate: _Gate,
    then: _Turn | None,
    on_release: Callable[[redis.client.Pipeline], None] | None,
) -> None:
    """Hand the place on to the next thread, or give it back, unless that thread has it already. The call is over, whatever
    Redis says now: its answer must reach the caller, and the place runs out by itself."""
    pipe, is_open, ahead = client.pipeline(transaction=False), then is not None and not then.place, False
    if then is None:
        pipe.eval(_GIVE_BACK, 3, asked[2], asked[4], asked[5], place, gate.places)
    else:
        ahead = gate.wants_ahead()
        for mode in [*([1] if is_open else []), *([2] if ahead else []), *([] if is_open or ahead else [3])]:
            pipe.evalsha(take.sha, len(asked), *asked, *then.args[:3], place, *then.args[4:8], mode)
    if on_release is not None:
        on_release(pipe)
    answers: list[Any] = []
    try:
        answers = pipe.execute()
    except redis.RedisError as error:
        log.warning("a place of %s could not be given back: %r", asked[2], error)
    finally:
        if ahead:
            gate.counted(bool(answers) and not answers[is_open][0])
    if then and is_open and answers and not answers[0][0]:
        then.place = place


def block(client: redis.Redis, corp_key: str, api: str, seconds: float) -> None:
    """No process calls `api` for this corp for so long (WeCom said 45009 or 45033); never shortens an earlier
    block."""
    key, milliseconds = _keys(corp_key, api)[3], max(1, int(seconds * 1000))
    if not client.set(key, 1, px=milliseconds, nx=True):
        client.pexpire(key, milliseconds, gt=True)
    flight = _keys(corp_key, api)[2]
    for gate in [gate for (name, _places), gate in list(_gates.items()) if name == flight]:
        gate.forget_ahead()
