"""Forms of the pages: each calls one function of the control API and goes back."""

from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from . import control, control_files, scenario_file, store
from .errors import Refused
from .pages_stage import CUSTOMERS, GUIDES
from .quirks import QUIRKS

MAKE: dict[str, Any] = {"": str, "any": str, "int": int, "num": float, "bool": bool}


def act(request: HttpRequest, corpid: str, name: str) -> HttpResponse:
    """Do it and go back to `next`, with what went wrong, if anything did."""
    back = request.POST.get("next", f"/c/{corpid}/")
    if not back.startswith("/") or back.startswith("//"):
        back = f"/c/{corpid}/"
    if request.method != "POST":
        return HttpResponseRedirect(back)
    try:
        answer = (SPECIAL.get(name) or _plain)(request, corpid, name)
    except (Refused, ValueError, KeyError) as reason:
        return _to(back, {"problem": str(reason)})
    if name == "scan":
        back = f"/c/{corpid}/customer/{answer['external_userid']}"
        return _to(back, {"with": answer["userid"]} | ({} if answer["is_new"] else {"done": "known"}))
    if name in ("group_create", "group_join"):
        return _to(f"/c/{corpid}/group/{answer['chat_id']}", {})
    if name in ("reset", "import"):
        return HttpResponseRedirect("/")
    return _to(back, {"done": name})


def begin(request: HttpRequest) -> HttpResponse:
    """A ready scenario in an empty sandbox, from its first page: with the shop that it brings."""
    if request.method != "POST":
        return HttpResponseRedirect("/")
    name = request.POST.get("name", "")
    try:
        speed = scenario_file.ready_one(name).get("speed") or 1
        playing = control.done("scenario/start", {"name": name, "speed": speed})
    except Refused as reason:
        return HttpResponse(str(reason), status=reason.status, content_type="text/plain")
    return HttpResponseRedirect(f"/c/{playing['corpid']}/stage")


def _to(path: str, query: dict[str, str]) -> HttpResponse:
    """Back to a page; what an earlier act left in its address goes."""
    bare, _, given = path.partition("?")
    kept = [one for one in given.split("&") if one and not one.startswith(("problem=", "done="))]
    whole = "&".join([*kept, urlencode(query)] if query else kept)
    return HttpResponseRedirect(f"{bare}?{whole}" if whole else bare)


def _plain(request: HttpRequest, corpid: str, name: str) -> Any:
    """The fields of the call as the table has them; what is empty in the form is left out."""
    row = control.ACTS.get(name)
    if row is None or row.takes == "*":
        raise Refused(f"no act {name!r}", status=404)
    given: dict[str, Any] = {}
    for field in row.fields:
        value = request.POST.get(field.name, "").strip()
        if value and field.type in MAKE:
            given[field.name] = MAKE[field.type](value)
    if "corpid" in row.takes.split() or (name == "faults" and not request.POST.get("everywhere")):
        given["corpid"] = corpid
    return control.done(name, given)


def _edits(request: HttpRequest, corpid: str, name: str) -> Any:
    """Remark and tags as the form shows them: tags that are not ticked any more are taken off."""
    ticked, shown = set(request.POST.getlist("tag")), set(request.POST.getlist("shown"))
    given = {
        "corpid": corpid,
        "userid": request.POST["userid"],
        "external_userid": request.POST["external_userid"],
        "remark": request.POST.get("remark", "")[:20],
        "add_tags": sorted(ticked),
        "remove_tags": sorted(shown - ticked),
    }
    return control.done(name, given)


def _settings(request: HttpRequest, corpid: str, name: str) -> Any:
    """The form of the trouble page; what is empty stays as it was."""
    changes: dict[str, Any] = {"limits": bool(request.POST.get("limits"))}
    counts = ("minute_limit", "hour_limit", "address_minute_limit", "address_hour_limit", "in_flight")
    times = ("limit_minute_s", "answer_ms", "token_life_s", "welcome_life_s", "group_lag_s", "dispatch_s")
    for key in (*counts, *times):
        if request.POST.get(key):
            changes[key] = int(float(request.POST[key]))
    return control.done(name, changes)


def _callbacks(request: HttpRequest, corpid: str, name: str) -> Any:
    """All callbacks disturbed alike."""
    delay = float(request.POST.get("delay") or 0)
    changes = {
        "double": float(request.POST.get("double") or 0) / 100,
        "lose": float(request.POST.get("lose") or 0) / 100,
        "delay_s": [0, delay] if delay else None,
        "reverse": bool(request.POST.get("reverse")),
    }
    return control.done("settings", {"callbacks": changes})


def _quirks(request: HttpRequest, corpid: str, name: str) -> Any:
    """The choices as the form has them, or all as they are by default."""
    if request.POST.get("default"):
        return control.done("settings", {"quirks": dict(store.DEFAULTS["quirks"])})
    return control.done(
        "settings", {"quirks": {one: request.POST[one] for one in QUIRKS if one in request.POST}}
    )


def _behaviour(request: HttpRequest, corpid: str, name: str) -> Any:
    """Shares in per cent and delays of a form; `who` is customers, "*" or a guide."""
    who = request.POST.get("who", "*")
    habits: dict[str, Any] = {}
    for habit, _, _ in CUSTOMERS if who == "customers" else GUIDES:
        if request.POST.get(f"{habit}_rate"):
            habits[f"{habit}_rate"] = float(request.POST[f"{habit}_rate"]) / 100
        low, high = request.POST.get(f"{habit}_from"), request.POST.get(f"{habit}_to")
        if low and high:
            habits[f"{habit}_after_s"] = [float(low), float(high)]
    if request.POST.get("never"):
        habits |= {"confirm_rate": 0}
    if who == "customers":
        return control.done("behaviour", {"corpid": corpid, "customers": habits})
    return control.done("behaviour", {"corpid": corpid, "guides": {who: habits}})


def _import(request: HttpRequest, corpid: str, name: str) -> Any:
    return control_files.import_(request)


def _scenario(request: HttpRequest, corpid: str, name: str) -> Any:
    """A ready one by its name, or a file, or what was typed."""
    given: dict[str, Any] = {"corpid": corpid}
    uploaded = request.FILES.get("file")
    text = (
        uploaded.read().decode("utf-8", "replace") if uploaded else request.POST.get("scenario", "").strip()
    )
    if text:
        given["scenario"] = text
    given["name"] = request.POST.get("name", "").strip() or None
    given["seed"] = request.POST.get("seed", "").strip() or None
    given["speed"] = float(request.POST.get("speed") or 1)
    return control.done(name, {key: value for key, value in given.items() if value is not None})


def _card(request: HttpRequest, corpid: str, name: str) -> Any:
    """A button of a card, with what was chosen above it."""
    options = {key[2:]: request.POST.getlist(key) for key in request.POST if key.startswith("q:")}
    given = {key: request.POST[key] for key in ("userid", "msgid", "key")}
    return control.done(name, {"corpid": corpid, **given, "options": options})


SPECIAL: dict[str, Any] = {
    "card_click": _card,
    "member_edits": _edits,
    "settings": _settings,
    "callbacks": _callbacks,
    "quirks": _quirks,
    "behaviour": _behaviour,
    "import": _import,
    "scenario/start": _scenario,
}
