"""Callbacks on their way: encrypted once, posted up to three times with the same body and query, logged.

Source: developer.work.weixin.qq.com/document/path/90930 (five seconds, three attempts).
"""

import heapq
import itertools
import json
import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import urlencode

import requests
from django.db import close_old_connections, transaction

from . import chance, clock, crypto, faults, store
from .models import App, Delivery, Fault

TIMEOUT_S = 5
ATTEMPTS = 3
THREADS = 12
REVERSE_WINDOW_S = 0.5
ANSWER_KEPT = 20_000  # of the answer while it is looked at; 200 of it stay in the log

log = logging.getLogger(__name__)
_waiting: list[tuple[float, int, int, int]] = []  # (real moment, order, delivery, its world)
_order = itertools.count()
_changed = threading.Condition()
_local = threading.local()
ON_REPLY: list[Callable[[Delivery, str], None]] = []  # what takes a passive reply; filled by happenings.py


def sealed(app: App, xml: str, *, receive_id: str | None = None, spoil: str = "") -> tuple[str, str]:
    """(url with query, body) of a callback.

    Args:
        spoil: "" or what to get wrong: "signature", "truncated".
    """
    timestamp = str(int(clock.running()))
    nonce = str(int.from_bytes(chance.noise(5, "nonce"), "big") % 10**10)
    encrypted = crypto.encrypt(xml.encode(), aes_key=app.aes_key, receive_id=receive_id or app.corpid)
    signed = crypto.signature(token=app.token, timestamp=timestamp, nonce=nonce, encrypted=encrypted)
    if spoil == "signature":
        signed = signed[::-1]
    if spoil == "truncated":
        encrypted = encrypted[: len(encrypted) // 2]
    agentid = "" if store.quirk("envelope_agentid") == "empty" else str(app.agentid)
    if store.quirk("envelope") == "json":
        body = json.dumps({"tousername": app.corpid, "encrypt": encrypted, "agentid": agentid})
    else:
        body = (
            f"<xml><ToUserName><![CDATA[{app.corpid}]]></ToUserName><AgentID><![CDATA[{agentid}]]></AgentID>"
            f"<Encrypt><![CDATA[{encrypted}]]></Encrypt></xml>"
        )
    query = urlencode({"msg_signature": signed, "timestamp": timestamp, "nonce": nonce})
    return app.callback_url + ("&" if "?" in app.callback_url else "?") + query, body


def send(app: App, *, event: str, change_type: str, xml: str) -> None:
    """Put a callback on its way once the surrounding transaction has committed."""
    if not app.callback_url:
        return
    key = f"{app.agentid} {xml}"
    how, struck = store.setting("callbacks"), faults.on_callback(app.corpid, event, change_type, key)
    lost = "cb_lose" in struck or chance.happens(how["lose"], "lose", key)
    times = 2 if "cb_double" in struck or chance.happens(how["double"], "double", key) else 1
    url, body = sealed(app, xml)
    row = Delivery(
        corpid=app.corpid,
        agentid=app.agentid,
        url=url,
        event=event,
        change_type=change_type,
        xml=xml,
        body=body,
        state="lost" if lost else "waiting",
        created_at=clock.now(),
    )
    for time_ in range(times):
        _enqueue(row, _due(how, struck, key, time_))


def hook(corpid: str, event: str, change_type: str, text: str) -> None:
    """Put JSON on its way to the address for purchases."""
    row = Delivery(
        corpid=corpid,
        agentid=0,
        url=store.setting("orders_url"),
        event=event,
        change_type=change_type,
        xml=text,
        body=text,
        created_at=clock.now(),
    )
    _enqueue(row, time.time())


def _enqueue(row: Delivery, due_at: float) -> None:
    row.pk, row.due_at = None, due_at
    row.save(force_insert=True)
    if row.state == "waiting":
        transaction.on_commit(partial(_put, row.due_at, row.pk))


def _due(how: dict[str, Any], struck: dict[str, Fault], key: str, time_: int) -> float:
    now = time.time()
    if (
        how["reverse"] or "cb_reverse" in struck
    ):  # what happens in one window leaves in the opposite order, after it
        end = (now // REVERSE_WINDOW_S + 1) * REVERSE_WINDOW_S
        return end + (end - now) * 5
    low, high = how["delay_s"] or (0, 0)
    late = struck["cb_late"].seconds if "cb_late" in struck else 0
    return now + late + chance.draws("delay", key, time_).uniform(low, high)


def _put(due_at: float, pk: int) -> None:
    with _changed:
        heapq.heappush(_waiting, (due_at, next(_order), pk, store.world()))
        _changed.notify()


def _take() -> tuple[int, int]:
    """(delivery, its world) of the next, when it is due."""
    with _changed:
        while True:
            if not _waiting:
                _changed.wait()
                continue
            left = _waiting[0][0] - time.time()
            if left <= 0:
                _due_at, _n, pk, world = heapq.heappop(_waiting)
                if _waiting:  # this thread may have watched for the next one: now another must
                    _changed.notify()
                return pk, world
            _changed.wait(left)


def forget() -> None:
    """Nothing waits any more: the table was wiped."""
    with _changed:
        _waiting.clear()


def take_up() -> None:
    """Send what the table says is waiting."""
    for due_at, pk in Delivery.objects.filter(state="waiting").values_list("due_at", "id"):
        _put(due_at, pk)


def post(url: str, body: str, more: dict[str, str] | None = None) -> dict[str, Any]:
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
            headers={
                "Content-Type": "application/json" if body.startswith("{") else "text/xml",
                **(more or {}),
            },
            timeout=TIMEOUT_S,
            allow_redirects=False,
        )
        entry["status"], entry["answer"] = answer.status_code, answer.text[:ANSWER_KEPT]
    except requests.RequestException as problem:
        entry["error"] = f"{type(problem).__name__}: {problem}"[:300]
    entry["ms"] = round((time.perf_counter() - started) * 1000, 1)
    return entry


def _deliver(pk: int, world: int) -> None:
    row = Delivery.objects.filter(pk=pk, state="waiting").first()
    if row is None:
        return
    is_order = row.agentid == 0
    headers = store.setting("orders_headers") if is_order else None
    while len(row.attempts) < ATTEMPTS:
        if world != store.world():  # wiped meanwhile; the key may be another's now
            return
        row.attempts.append(post(row.url, row.body, headers))
        answer = row.attempts[-1].get("answer", "")
        row.attempts[-1] |= {"answer": answer[:200]} if answer else {}
        status = row.attempts[-1].get("status")
        if status == 200 and row.event == "message" and "<Encrypt>" in answer:
            with store.writing():
                for take in ON_REPLY if world == store.world() else ():
                    take(row, answer)
        if status == 200 or (is_order and status in (201, 202, 204)):
            row.state = "done"
            break
    else:
        row.state = "failed"
    with store.writing():
        if world == store.world():
            Delivery.objects.filter(pk=pk).update(state=row.state, attempts=row.attempts)


def _run() -> None:
    while True:
        pk, world = _take()
        try:
            _deliver(pk, world)
        except Exception:  # a callback that cannot be sent must not end the thread that sends the others
            log.exception("callback %s", pk)
        finally:
            close_old_connections()


def start() -> None:
    """Start the senders and take up what an earlier process left."""
    take_up()
    for n in range(THREADS):
        threading.Thread(target=_run, name=f"callback-{n}", daemon=True).start()


def is_idle(corpid: str = "") -> bool:
    """Whether every callback (of a corp) has had its last attempt."""
    waiting = Delivery.objects.filter(state="waiting")
    return not (waiting.filter(corpid=corpid) if corpid else waiting).exists()
