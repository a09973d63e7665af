"""Access tokens and tickets, shared by all processes through Redis: fetched by one of them, read by all.

WeCom bans the server's address for an hour after many calls with a wrong secret, and all brands share that
address. So a refusal is remembered too, for a few minutes, and no process asks again until then.

Source: developer.work.weixin.qq.com/document/path/91039
"""

import hashlib
import json
import random
import time
from collections.abc import Callable
from typing import Any, cast
from uuid import uuid4

import redis

from wecom.errcodes import Kind, advice
from wecom.errors import WeComError, WeComUnavailable, refusal

LOCK_MS = 20_000  # longer than one call to gettoken can take (3 s to connect, 10 s to answer)
WAIT_S = 15.0
REFUSED_S = 300  # wrong secret or corp id: at most 12 calls an hour for one app
REFUSED_SHORT_S = 60  # a trusted IP works a minute after it was entered; a minute's limit ends

_DELETE_IF = b"if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


def fingerprint(secret: str) -> str:
    """Tells two secrets apart in a key name without telling anything about them."""
    return hashlib.sha256(secret.encode()).hexdigest()[:12]


def delete_if(client: redis.Redis, key: str, value: str) -> None:
    """Delete the key if it still holds this value: somebody else may have renewed it already."""
    client.register_script(_DELETE_IF)([key], [value])


def lifetime(expires_in: int) -> int:
    """Seconds to keep what lives `expires_in`: five minutes less, so that nobody starts a call with a dying
    token."""
    return max(1, expires_in - 300 if expires_in > 600 else expires_in // 2)


def shared(
    client: redis.Redis,
    key: str,
    fetch: Callable[[], tuple[str, int]],
    *,
    wait_s: float = WAIT_S,
    fresh: bool = False,
) -> str:
    """The value of `key`; where there is none, one process fetches it and the others wait for it.

    Args:
        fetch: gives value and `expires_in` in seconds; its exceptions go to the caller that ran it. A refusal
            (wrong secret, too many calls) is remembered and raised for everybody until it is forgotten.
        fresh: ask WeCom even if a value or a refusal is remembered (the set-up doctor).

    Raises:
        WeComForbidden: refused, now or a moment ago.
        WeComUnavailable: no value within `wait_s`.
    """
    refused_key, lock, me = f"{key}:refused", f"{key}:lock", uuid4().hex
    end = time.monotonic() + wait_s
    while True:
        if not fresh:
            value, refused = cast(list[Any], client.mget(key, refused_key))
            if value:
                return _text(value)
            if refused:
                api, errcode, errmsg = json.loads(refused)
                raise refusal(api, errcode, errmsg)
        if client.set(lock, me, nx=True, px=LOCK_MS):
            break
        if time.monotonic() > end:
            raise WeComUnavailable(errmsg="another process is fetching the token")
        time.sleep(random.uniform(0.02, 0.06))
    try:
        value = (
            None if fresh else cast(Any, client.get(key))
        )  # somebody may have finished between our look and our lock
        if value:
            return _text(value)
        try:
            text, expires_in = fetch()
        except WeComError as error:
            if error.errcode is not None and advice(error.errcode).kind in (Kind.ADMIN, Kind.LIMIT):
                seconds = REFUSED_SHORT_S if error.errcode in (60020, 45009, 45033) else REFUSED_S
                client.set(refused_key, json.dumps([error.api, error.errcode, error.errmsg]), ex=seconds)
            raise
        pipe = client.pipeline()
        pipe.set(key, text, ex=lifetime(expires_in))
        pipe.delete(refused_key)
        pipe.execute()
        return text
    finally:
        delete_if(client, lock, me)


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
