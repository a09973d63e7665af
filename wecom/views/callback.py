"""The address that WeCom posts its events to: open the letter, store it, answer. Everything else happens in
tasks.

WeCom gives up after five seconds and tries three times in all, so an event is safe as soon as it is in the
inbox; the answer is an empty 200. Redis may be down meanwhile: the sweep starts what could not be queued.

Source: developer.work.weixin.qq.com/document/path/90930, 90238
"""

import logging
import time
from collections.abc import Callable, Mapping

import redis
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.views.decorators.csrf import csrf_exempt
from kombu.exceptions import OperationalError

from org.access import public
from scrm import clock
from tenants.scoping import tenant_scope
from wecom.crypto import MAX_BODY_BYTES, BadCallback, CallbackTooLarge, decrypt_callback, verify_url
from wecom.services import callback_keys, inbox
from wecom.services.callback_keys import CallbackKeys
from wecom.tasks import handle_callback

log = logging.getLogger(__name__)

MAX_AGE_S = 600  # of the address check only; a delivery is repeated with its first timestamp
QUEUE_PAUSE_S = 2.0

_queue_down_until = 0.0

_COUNT_REFUSED = """
    INSERT INTO wecom_refusedcallback AS r (brand_id, corp_id, "on", reason, n, last_at)
    VALUES (%s, %s, %s, %s, 1, %s)
    ON CONFLICT (brand_id, corp_id, "on", reason) DO UPDATE SET n = r.n + 1, last_at = excluded.last_at
"""


@csrf_exempt
@public
def callback(request: HttpRequest, path: str) -> HttpResponse:
    """GET: WeCom checks the address and wants its word back. POST: an event."""
    if request.method not in ("GET", "POST"):
        return HttpResponseNotAllowed(["GET", "POST"])
    keys = callback_keys.find(path)
    if keys is None:
        return HttpResponse(status=404)
    try:
        if request.method == "GET":
            return HttpResponse(_check(request.GET, path, keys), content_type="text/plain; charset=utf-8")
        _take(request, path, keys)
    except BadCallback as error:
        log.warning("callback to corp %s refused: %s", keys.corp_id, error.reason)
        _count_refused(keys, error.reason)
        return HttpResponse(status=413 if isinstance(error, CallbackTooLarge) else 400)
    return HttpResponse(content_type="text/plain")


def _check(query: Mapping[str, str], path: str, keys: CallbackKeys) -> str:
    echo = _opened(path, keys, lambda k: verify_url(query, k.token, k.aes_key, k.corpid))
    try:
        late = abs(clock.now().timestamp() - int(query.get("timestamp", ""))) > MAX_AGE_S
    except ValueError:
        late = True
    if late:
        raise BadCallback("late")
    with tenant_scope(keys.brand_id), transaction.atomic():
        inbox.receive_verification(keys.brand_id, keys.corp_id, echo)
    return echo


def _take(request: HttpRequest, path: str, keys: CallbackKeys) -> None:
    try:
        if int(request.META.get("CONTENT_LENGTH") or 0) > MAX_BODY_BYTES:
            raise CallbackTooLarge  # without reading it
    except ValueError:
        raise BadCallback("length") from None
    body, query = request.read(MAX_BODY_BYTES + 1), request.GET
    xml = _opened(path, keys, lambda k: decrypt_callback(body, query, k.token, k.aes_key, k.corpid))
    with tenant_scope(keys.brand_id), transaction.atomic():
        received = inbox.receive(keys.brand_id, keys.corp_id, xml)
    if received.to_handle:
        _queue(keys.brand_id, received.event_id, received.priority)


def _opened(path: str, keys: CallbackKeys, open_: Callable[[CallbackKeys], str]) -> str:
    """The letter in plain text; keys that were renewed a moment ago in another process are read again."""
    try:
        return open_(keys)
    except CallbackTooLarge:
        raise
    except BadCallback:
        fresh = callback_keys.find(path, fresh=True)
        if fresh is None or fresh == keys:
            raise
        return open_(fresh)


def _queue(brand_id: int, event_id: int, priority: int) -> None:
    """Start the task. Without Redis it is left to the sweep, and for a moment nobody tries, so that answers
    stay quick."""
    global _queue_down_until
    if time.monotonic() < _queue_down_until:
        return
    try:
        handle_callback.apply_async(
            kwargs={"brand_id": brand_id, "event_id": event_id}, priority=priority, retry=False
        )
    except (OperationalError, redis.RedisError, OSError):
        _queue_down_until = time.monotonic() + QUEUE_PAUSE_S
        log.exception("event %s is stored but could not be queued; the sweep will find it", event_id)


def _count_refused(keys: CallbackKeys, reason: str) -> None:
    now = clock.now()
    with tenant_scope(keys.brand_id), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            _COUNT_REFUSED, [keys.brand_id, keys.corp_id, clock.today(keys.timezone), reason[:40], now]
        )
