"""The log of calls, as the client writes it: one line per try into a Redis list of the brand.

The line travels in the round trip that gives the call's place back, so it costs no time of its own, is not
lost with the process, and stays outside every transaction. A task moves the lines into the database in sets
(wecom/services/call_log.py). A line holds no token, no id of a customer and nothing that WeCom wrote, except
the number under which the corp's admin finds the call.
"""

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import redis

from scrm import clock
from wecom.errors import WeComError, hint_of

log = logging.getLogger(__name__)

KEEP = 50_000  # lines per brand; if nobody drains the list, the oldest go
KEEP_S = 2 * 86_400
# refusals that say how it is: a member without customers has no list of them
ORDINARY = {("externalcontact/list", 84061), ("externalcontact/batch/get_by_user", 84061)}


class Line(NamedTuple):
    """One try of a call."""

    corp_id: int
    api: str
    at: float  # seconds since 1970
    errcode: int | None  # None: no answer that could be read
    note: str  # then: what happened instead ("HTTP 502", "ReadTimeout", "limit")
    hint: str
    ms: int
    waited_ms: int  # for a place under the limits
    attempt: int

    @property
    def is_failed(self) -> bool:
        return self.errcode != 0 and (self.api, self.errcode) not in ORDINARY


def key(brand_id: int) -> str:
    """The Redis list of a brand."""
    return f"calls:{brand_id}:log"


class Try:
    """One try while it runs: `wecom/client.py` fills it in, `push` writes it down."""

    def __init__(self, brand_id: int, corp_id: int | None, api: str, attempt: int) -> None:
        self.brand_id, self.corp_id, self.api, self.attempt = brand_id, corp_id, api, attempt
        self.at, self._born = clock.now().timestamp(), time.monotonic()
        self.errcode: int | None = None
        self.note, self.hint = "limit", ""  # until it begins
        self.seconds = self.waited_s = 0.0

    @contextmanager
    def running(self, waited_s: float = 0.0) -> Iterator[None]:
        """Time the exchange; what it raises is noted and goes on."""
        self.waited_s, self.note = waited_s, "?"
        started = time.monotonic()
        try:
            yield
        except WeComError as error:
            self.note = error.errmsg[:40]  # our own words: there was no answer that could be read
            raise
        finally:
            self.seconds = time.monotonic() - started

    def answered(self, answer: dict[str, Any]) -> dict[str, Any]:
        """Note WeCom's answer and hand it on."""
        self.errcode, self.note = answer["errcode"], ""
        self.hint = hint_of(str(answer.get("errmsg", "")))[:40]
        return answer

    def refused(self) -> None:
        """Our own limit did not let it begin."""
        self.waited_s = time.monotonic() - self._born

    def push(self, pipe: redis.client.Pipeline) -> None:
        """Put the line into a pipeline; a corp that is not stored yet has no log."""
        if self.corp_id is None:
            return
        line = Line(
            self.corp_id,
            self.api,
            round(self.at, 3),
            self.errcode,
            self.note,
            self.hint,
            round(self.seconds * 1000),
            round(self.waited_s * 1000),
            self.attempt,
        )
        pipe.rpush(key(self.brand_id), json.dumps(line, separators=(",", ":")))
        pipe.ltrim(key(self.brand_id), -KEEP, -1)
        pipe.expire(key(self.brand_id), KEEP_S)

    def write(self, client: redis.Redis) -> None:
        """The same in a round trip of its own, for tries that held no place."""
        pipe = client.pipeline(transaction=False)
        self.push(pipe)
        try:
            pipe.execute()
        except redis.RedisError as error:
            log.warning("a call could not be logged: %r", error)
