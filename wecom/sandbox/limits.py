"""Frequency (45009) per corp and API and per address and API, concurrency (45033) per corp and API, and the ban of
callers with a wrong secret.

Source: developer.work.weixin.qq.com/document/path/90312. A block lasts as long as the minute or
the hour, as the page says; both can be made shorter.
"""

import contextlib
import threading
from collections.abc import Iterator

from . import clock, store
from .errors import WeComError

PER_HOUR = {"get_jsapi_ticket": 400, "ticket/get": 100}  # the first per corp, the second per app
PER_APP = {"ticket/get"}
FREE = {"gettoken", "auth/getuserinfo", "user/getuserinfo"}  # not counted

_lock = threading.Lock()
_windows: dict[
    tuple[str, str], list[float]
] = {}  # [minute, calls in it, hour, calls in it, blocked since, until]
_running: dict[tuple[str, str], int] = {}
_bad_secrets: dict[str, tuple[float, int]] = {}


def forget() -> None:
    """Start all counts anew."""
    with _lock:
        _windows.clear()
        _bad_secrets.clear()


def _count(key: tuple[str, str], per_minute: int, per_hour: int) -> None:
    now = clock.now()
    minute_s, hour_s = store.setting("limit_minute_s"), store.setting("limit_hour_s")
    minute, hour = now // minute_s, now // hour_s
    window = _windows.setdefault(key, [minute, 0, hour, 0, 0, 0])
    if window[4] <= now < window[5]:  # before: the clock was set back
        raise WeComError(45009)
    if window[0] != minute:
        window[0], window[1] = minute, 0
    if window[2] != hour:
        window[2], window[3] = hour, 0
    window[1] += 1
    window[3] += 1
    if window[3] > per_hour:
        window[4:] = now, now + hour_s
        raise WeComError(45009)
    if window[1] > per_minute:
        window[4:] = now, now + minute_s
        raise WeComError(45009)


@contextlib.contextmanager
def within(corpid: str, agentid: int, ip: str, api: str) -> Iterator[None]:
    """Count a call of a corp's app from an address to an API and hold its place while it runs."""
    if not store.setting("limits") or api in FREE:
        yield
        return
    key = (corpid or ip, api)
    counted = (f"{corpid} {agentid}", api) if api in PER_APP else key
    most = store.setting("in_flight")
    with _lock:
        _count(
            (f"address {ip}", api), store.setting("address_minute_limit"), store.setting("address_hour_limit")
        )
        hour = store.setting("hour_limit")
        _count(counted, store.setting("minute_limit"), min(hour, PER_HOUR.get(api, hour)))
        if most and _running.get(key, 0) >= most:
            raise WeComError(45033)
        _running[key] = _running.get(key, 0) + 1
    try:
        yield
    finally:
        with _lock:
            _running[key] -= 1


def refuse_banned(ip: str) -> None:
    """45009 for an address that sent too many wrong secrets in this hour."""
    hour, n = _bad_secrets.get(ip, (0.0, 0))
    if store.setting("limits") and n >= store.setting("bad_secrets") and 0 <= clock.now() - hour < 3600:
        raise WeComError(45009)


def count_bad_secret(ip: str) -> None:
    """Remember one wrong secret."""
    with _lock:
        now = clock.now()
        hour, n = _bad_secrets.get(ip, (now, 0))
        _bad_secrets[ip] = (hour, n + 1) if 0 <= now - hour < 3600 else (now, 1)
