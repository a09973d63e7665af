"""Disturbances that a tester orders: slow, http500, html, empty, hang, drop_after, errcode."""

import random
import socket
import threading
from typing import Any

from django.http import HttpRequest, HttpResponse

from . import store
from .errors import Refused, WeComError
from .models import Fault

KINDS = ("slow", "http500", "html", "empty", "hang", "drop_after", "errcode")
HANG_S = 60.0

_lock = threading.Lock()
_faults: list[Fault] | None = None
_cleared = threading.Event()  # wakes whoever is held by a fault


def add(given: dict[str, Any]) -> int:
    """Order a disturbance; its id.

    Args:
        given: kind; corpid, api ("*" by default), errcode, seconds, times (how often), rate (share of calls).
    """
    kind = given.get("kind")
    if kind not in KINDS:
        raise Refused(f"kind must be one of {', '.join(KINDS)}")
    fault = Fault(
        corpid=given.get("corpid") or "",
        api=given.get("api") or "*",
        kind=kind,
        errcode=int(given.get("errcode", -1)),
        seconds=float(given.get("seconds") or (HANG_S if kind == "hang" else 1)),
        rate=float(given.get("rate") or 1),
        left=given.get("times"),
    )
    with _lock, store.writing():
        fault.save()
        _forget()
    return fault.pk


def clear() -> None:
    """End all disturbances; calls that hang now are let go."""
    global _cleared
    with _lock, store.writing():
        Fault.objects.all().delete()
        _forget()
        _cleared.set()
        _cleared = threading.Event()


def active() -> list[Any]:
    """The disturbances in force."""
    return list(Fault.objects.order_by("id").values())


def _forget() -> None:
    global _faults
    _faults = None


def forget() -> None:
    """The table was wiped."""
    clear()


def strike(corpid: str, api: str) -> Fault | None:
    """The disturbance for this call, if any; one of its `times` is used up."""
    global _faults
    if _faults is not None and not _faults:
        return None
    with _lock:
        if _faults is None:
            _faults = list(Fault.objects.order_by("id"))
        for fault in _faults:
            if fault.corpid not in ("", corpid) or fault.api not in ("*", api):
                continue
            if fault.kind == "errcode" and api == "gettoken" and fault.api == "*":
                continue  # "every call says 42001" is about calls that carry a token
            if fault.rate < 1 and random.random() >= fault.rate:
                continue
            if fault.left is not None:
                fault.left -= 1
                with store.writing():
                    if fault.left > 0:
                        fault.save(update_fields=["left"])
                    else:
                        Fault.objects.filter(pk=fault.pk).delete()
                if fault.left <= 0:
                    _faults = [other for other in _faults if other.pk != fault.pk]
            return fault
    return None


def hold(fault: Fault | None) -> HttpResponse | None:
    """Keep the caller waiting, while his call counts as running; hang ends it without the work."""
    if fault is not None and fault.kind in ("slow", "hang"):
        _cleared.wait(fault.seconds)
        if fault.kind == "hang":
            return HttpResponse(status=504)
    return None


def instead(fault: Fault) -> HttpResponse | None:
    """What comes in place of WeCom's answer, if the fault is of that kind."""
    if fault.kind == "http500":
        return HttpResponse("<html><body>Internal Server Error</body></html>", status=500)
    if fault.kind == "html":
        return HttpResponse("<html><body><h1>502 Bad Gateway</h1></body></html>", content_type="text/html")
    if fault.kind == "empty":
        return HttpResponse(b"")
    if fault.kind == "errcode":
        raise WeComError(fault.errcode)
    return None


def drop(request: HttpRequest) -> None:
    """Close the connection without an answer (gunicorn gives the socket in the environment)."""
    connection = request.META.get("gunicorn.socket")
    if connection is not None:
        connection.shutdown(socket.SHUT_RDWR)
