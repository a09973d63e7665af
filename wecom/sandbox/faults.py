"""Disturbances that a tester orders, for calls of the API and for callbacks.

API: slow, hang, http500, html, empty, drop_after, errcode, kill_token. Callbacks: cb_lose, cb_double, cb_late, cb_reverse.
"""

import socket
import threading
from typing import Any

from django.http import HttpRequest, HttpResponse

from . import chance, clock, store
from .errors import Refused, WeComError
from .models import Fault

KINDS = ("slow", "http500", "html", "empty", "hang", "drop_after", "errcode", "kill_token")
CALLBACK_KINDS = ("cb_lose", "cb_double", "cb_late", "cb_reverse")
HANG_S = 60.0

_faults: list[Fault] | None = (
    None  # changed with store.writers held: callbacks ask in the midst of a transaction
)
_cleared = threading.Event()  # wakes whoever is held by a fault of before


def add(given: dict[str, Any]) -> int:
    """Order a disturbance; its id.

    Args:
        given: kind; corpid; api ("*" by default; for callbacks an event or event/change_type); errcode (of errcode,
            or a status 5xx for http500), seconds (slow, hang, cb_late), times (how often), rate (share),
            for_s (sandbox seconds until it ends by itself).
    """
    kind = given.get("kind")
    if kind not in KINDS + CALLBACK_KINDS:
        raise Refused(f"kind must be one of {', '.join(KINDS + CALLBACK_KINDS)}")
    rate = 1.0 if given.get("rate") is None else float(given["rate"])
    if not 0 < rate <= 1:
        raise Refused("rate is a share above 0, up to 1")
    fault = Fault(
        corpid=given.get("corpid") or "",
        api=given.get("api") or "*",
        kind=kind,
        errcode=int(given.get("errcode", -1)),
        seconds=float(given.get("seconds") or (HANG_S if kind == "hang" else 1)),
        rate=rate,
        left=given.get("times"),
    )
    with store.writing():
        fault.until = clock.now() + float(given["for_s"]) if given.get("for_s") else None
        fault.save()
        forget()
    return fault.pk


def clear(kinds: tuple[str, ...] = KINDS + CALLBACK_KINDS, pk: int | None = None) -> None:
    """End disturbances of some kinds, or one; calls that hang now are let go."""
    global _cleared
    with store.writing():
        rows = Fault.objects.filter(kind__in=kinds)
        (rows.filter(pk=pk) if pk else rows).delete()
        forget()
        _cleared.set()
        _cleared = threading.Event()


def active() -> list[Any]:
    """The disturbances in force."""
    now = clock.now()
    return [
        row for row in Fault.objects.order_by("id").values() if row["until"] is None or now < row["until"]
    ]


def forget() -> None:
    """The table was changed: read it anew."""
    global _faults
    _faults = None


def _known() -> list[Fault]:
    global _faults
    if _faults is None:
        _faults = list(Fault.objects.order_by("id"))
        for fault in _faults:
            fault.cleared = _cleared
    return _faults


def _strikes(fault: Fault, corpid: str, names: tuple[str, ...], key: tuple[object, ...]) -> bool:
    """Whether it hits this time; one of its `times` is used up. Called with store.writers held."""
    global _faults
    if fault.corpid not in ("", corpid) or fault.api not in names:
        return False
    if fault.until is not None and clock.now() >= fault.until:
        return False
    if not chance.happens(fault.rate, "fault", fault.pk, *key):
        return False
    if fault.left is not None:
        fault.left -= 1
        with store.writing():
            if fault.left > 0:
                fault.save(update_fields=["left"])
            else:
                Fault.objects.filter(pk=fault.pk).delete()
        if fault.left <= 0:
            _faults = [other for other in _known() if other.pk != fault.pk]
    return True


def strike(corpid: str, api: str) -> Fault | None:
    """The disturbance for this call, if any."""
    if _faults is not None and not _faults:
        return None
    with store.writers:
        for fault in list(_known()):
            if fault.kind not in KINDS:
                continue
            if fault.kind in ("errcode", "kill_token") and api == "gettoken" and fault.api == "*":
                continue  # "every call says 42001" is about calls that carry a token
            if _strikes(fault, corpid, ("*", api), (chance.nth("fault"),)):
                return fault
    return None


def on_callback(corpid: str, event: str, change_type: str, key: str) -> dict[str, Fault]:
    """The disturbances of a callback, by kind. key: what tells this callback from others."""
    if _faults is not None and not _faults:
        return {}
    found: dict[str, Fault] = {}
    names = ("*", event, f"{event}/{change_type}")
    with store.writers:
        for fault in list(_known()):
            if (
                fault.kind in CALLBACK_KINDS
                and fault.kind not in found
                and _strikes(fault, corpid, names, (key,))
            ):
                found[fault.kind] = fault
    return found


def hold(fault: Fault | None) -> HttpResponse | None:
    """Keep the caller waiting, while his call counts as running; hang ends it without the work."""
    if fault is not None and fault.kind in ("slow", "hang"):
        fault.cleared.wait(fault.seconds)
        if fault.kind == "hang":
            return HttpResponse(status=504)
    return None


def instead(fault: Fault) -> HttpResponse | None:
    """What comes in place of WeCom's answer, if the fault is of that kind."""
    if fault.kind == "http500":
        status = fault.errcode if 500 <= fault.errcode <= 599 else 500
        return HttpResponse("<html><body>Internal Server Error</body></html>", status=status)
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
