"""Callbacks on their way: encrypted once, posted up to three times with the same body and query, logged.

Source: developer.work.weixin.qq.com/document/path/90930 (five seconds, three attempts).
"""

import heapq
import itertools
import logging
import random
import secrets
import threading
import time
from functools import partial
from typing import Any
from urllib.parse import urlencode

import requests
from django.db import close_old_connections, transaction

from . import clock, crypto, store
from .models import App, Delivery

TIMEOUT_S = 5
ATTEMPTS = 3
THREADS = 12
REVERSE_WINDOW_S = 0.5

log = logging.getLogger(__name__)
_waiting: list[tuple[float, int, int]] = []  # (real moment, order, delivery)
_order = itertools.count()
_changed = threading.Condition()
_local = threading.local()


def sealed(app: App, xml: str, *, receive_id: str | None = None, spoil: str = "") -> tuple[str, str]:
    """(url with query, body) of a callback.

    Args:
        spoil: "" or what to get wrong: "signature", "truncated".
    """
    timestamp = str(int(clock.now()))
    nonce = str(secrets.randbelow(10**10))
    encrypted = crypto.encrypt(xml.encode(), aes_key=app.aes_key, receive_id=receive_id or app.corpid)
    signed = crypto.signature(token=app.token, timestamp=timestamp, nonce=nonce, encrypted=encrypted)
    if spoil == "signature":
        signed = signed[::-1]
    if spoil == "truncated":
        encrypted = encrypted[: len(encrypted) // 2]
    body = (
        f"<xml><ToUserName><![CDATA[{app.corpid}]]></ToUserName><AgentID><![CDATA[{app.agentid}]]></AgentID>"
        f"<Encrypt><![CDATA[{encrypted}]]></Encrypt></xml>"
    )
    query = urlencode({"msg_signature": signed, "timestamp": timestamp, "nonce": nonce})
    return app.callback_url + ("&" if "?" in app.callback_url else "?") + query, body


def send(app: App, *, event: str, change_type: str, xml: str) -> None:
    """Put a callback on its way once the surrounding transaction has committed."""
    if not app.callback_url:
        return
    how = store.setting("callbacks")
    lost = random.random() < how["lose"]
    times = 2 if random.random() < how["double"] else 1
    url, body = sealed(app, xml)
    now = time.time()
    rows = [
        Delivery(
            corpid=app.corpid,
            agentid=app.agentid,
            url=url,
            event=event,
            change_type=change_type,
            xml=xml,
            body=body,
            state="lost" if lost else "waiting",
            due_at=_due(now, how),
            created_at=clock.now(),
        )
        for _ in range(times)
    ]
    for row in rows:
        row.save()
        if not lost:
            transaction.on_commit(partial(_put, row.due_at, row.pk))


def _due(now: float, how: dict[str, Any]) -> float:
    if how["reverse"]:  # what happens in one window leaves in the opposite order, after it
        end = (now // REVERSE_WINDOW_S + 1) * REVERSE_WINDOW_S
        return end + (end - now) * 5
    low, high = how["delay_s"] or (0, 0)
    return now + random.uniform(low, high)


def _put(due_at: float, pk: int) -> None:
    with _changed:
        heapq.heappush(_waiting, (due_at, next(_order), pk))
        _changed.notify()


def _take() -> int:
    with _changed:
        while True:
            if not _waiting:
                _changed.wait()
                continue
            left = _waiting[0][0] - time.time()
            if left <= 0:
                return heapq.heappop(_waiting)[2]
            _changed.wait(left)


def forget() -> None:
    """Nothing waits any more (the table was wiped)."""
    with _changed:
        _waiting.clear()


def post(url: str, body: str) -> dict[str, Any]:
    """One attempt: {at, ms, status, answer} or {at, ms, error}."""
    session = getattr(_local, "session", None)
    if session is None:
        session = _local.session = requests.Session()
        session.trust_env = False
    started = time.perf_counter()
    entry: dict[str, Any] = {"at": round(clock.now(), 3)}
    try:
        answer = session.post(
            url,
            data=body.encode(),
            headers={"Content-Type": "text/xml"},
            timeout=TIMEOUT_S,
            allow_redirects=False,
        )
        entry["status"], entry["answer"] = answer.status_code, answer.text[:200]
    except requests.RequestException as problem:
        entry["error"] = f"{type(problem).__name__}: {problem}"[:300]
    entry["ms"] = round((time.perf_counter() - started) * 1000, 1)
    return entry


def _deliver(pk: int) -> None:
    row = Delivery.objects.filter(pk=pk, state="waiting").first()
    if row is None:
        return
    while len(row.attempts) < ATTEMPTS:
        row.attempts.append(post(row.url, row.body))
        if row.attempts[-1].get("status") == 200:
            row.state = "done"
            break
    else:
        row.state = "failed"
    with store.writing():
        Delivery.objects.filter(pk=pk).update(state=row.state, attempts=row.attempts)


def _run() -> None:
    while True:
        pk = _take()
        try:
            _deliver(pk)
        except Exception:  # a callback that cannot be sent must not end the thread that sends the others
            log.exception("callback %s", pk)
        finally:
            close_old_connections()


def start() -> None:
    """Start the senders and take up what an earlier process left."""
    for due_at, pk in Delivery.objects.filter(state="waiting").values_list("due_at", "id"):
        _put(due_at, pk)
    for n in range(THREADS):
        threading.Thread(target=_run, name=f"callback-{n}", daemon=True).start()


def is_idle(corpid: str = "") -> bool:
    """Whether every callback (of a corp) has had its last attempt."""
    waiting = Delivery.objects.filter(state="waiting")
    return not (waiting.filter(corpid=corpid) if corpid else waiting).exists()
