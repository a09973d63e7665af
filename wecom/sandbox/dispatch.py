"""The entry of every /cgi-bin call: the order of checks, limits, faults, the log of calls.

Order: token present (41001), known (40014), not expired (42001), IP (60020), permission (48002), then the
handler's own parameters, visible range, business. Errors are HTTP 200, unknown paths 404 with an empty body.
"""

import collections
import itertools
import time
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse

from . import clock, faults, limits, store
from .api.table import TABLE
from .call import Answer, Api, Call, parse_body
from .errors import WeComError, errmsg
from .models import App, Corp, Fault

CALLS_KEPT = 50_000
numbers = itertools.count(1)
calls: collections.deque[dict[str, Any]] = collections.deque(maxlen=CALLS_KEPT)  # newest last

NOBODY = (App(corpid="", agentid=0), Corp(corpid=""))


def forget() -> None:
    """Another log; a call that is still under way is noted in the one of before."""
    global calls
    calls = collections.deque(maxlen=CALLS_KEPT)


def cgi_bin(request: HttpRequest, api: str) -> HttpResponse:
    """Serve one call."""
    entry = TABLE.get(api)
    if entry is None:
        return HttpResponse(status=404)
    started, log, world = time.perf_counter(), calls, store.world()
    corpid = _corpid(request)
    errcode: int | str = 0
    fault = None
    response: HttpResponse | None = None
    try:
        fault = faults.strike(corpid, api)
        if fault is not None and fault.kind == "kill_token":
            store.revoke(request.GET.get("access_token", ""))
        elif fault is not None:
            response = faults.instead(fault)
            errcode = fault.kind if response is not None else 0
        if response is None:
            response = _render(_answer(request, api, entry, fault, world))
    except WeComError as problem:
        errcode = problem.errcode
        ip = request.META.get("REMOTE_ADDR", "")
        response = JsonResponse(
            {
                "errcode": problem.errcode,
                "errmsg": errmsg(problem.errcode, problem.detail, at=clock.now(), ip=ip),
                **({name: [] for name in entry.empty} if store.quirk("error_lists") == "empty" else {}),
                **problem.fields,
            },
            json_dumps_params={"ensure_ascii": False},
        )
    if fault is not None and fault.kind == "drop_after":
        errcode = "drop_after"
        faults.drop(request)
    ms = (time.perf_counter() - started) * 1000
    log.append(
        {
            "id": next(numbers),
            "corpid": corpid,
            "api": api,
            "errcode": errcode,
            "at": clock.now(),
            "ms": round(ms, 2),
        }
    )
    return response


def _corpid(request: HttpRequest) -> str:
    """Whose call it is, before anything is checked: for faults and the log."""
    known = store.token(request.GET.get("access_token", ""))
    if known is not None:
        return store.app(known[0]).corpid
    return request.GET.get("corpid", "")


def _answer(request: HttpRequest, api: str, entry: Api, fault: Fault | None, world: int) -> Answer:
    if entry.needs == "none":
        app, corp = NOBODY
    else:
        app = _app_of(request)
        corp = store.corp(app.corpid)
        _check_app(request, app, entry.needs)
    call = Call(
        request=request,
        app=app,
        corp=corp,
        now=clock.now(),
        query={key: request.GET[key] for key in request.GET},
        body=parse_body(request),
    )
    with limits.within(app.corpid, app.agentid, request.META.get("REMOTE_ADDR", ""), api):
        if entry.method == "POST" and request.method != "POST":
            raise WeComError(40063, "POST expected")
        started = time.perf_counter()
        held = faults.hold(fault)
        if held is not None:
            return held
        try:
            if not entry.writes and world == store.world():
                return entry.handler(call)
            with store.writing():
                if world != store.world():  # all was wiped while it was held or waited
                    return HttpResponse(status=504)
                call.now = clock.now()  # who wrote before may have moved it
                return entry.handler(call)
        finally:
            if wait_ms := store.setting("answer_ms"):
                time.sleep(max(0.0, wait_ms / 1000 - (time.perf_counter() - started)))


def _app_of(request: HttpRequest) -> App:
    token = request.GET.get("access_token")
    if not token:
        raise WeComError(41001)
    known = store.token(token)
    if known is None or known[2]:
        raise WeComError(40014)
    if clock.now() >= known[1]:
        raise WeComError(42001)
    return store.app(known[0])


def _check_app(request: HttpRequest, app: App, needs: str) -> None:
    if app.trusted_ips is not None and request.META.get("REMOTE_ADDR") not in app.trusted_ips:
        raise WeComError(60020)
    if needs == "provider" or (needs == "contacts" and app.kind != "contacts"):
        raise WeComError(48002)
    if needs == "customer" and (app.kind != "app" or not app.callable):
        raise WeComError(48002)


def _render(answer: Answer) -> HttpResponse:
    if isinstance(answer, HttpResponse):
        return answer
    whole = {"errcode": 0, "errmsg": "ok", **answer}
    if store.quirk("success_errcode") == "absent":
        del whole["errcode"], whole["errmsg"]
    if whole.get("next_cursor") == "" and store.quirk("last_cursor") == "absent":
        del whole["next_cursor"]
    return JsonResponse(whole, json_dumps_params={"ensure_ascii": False})
