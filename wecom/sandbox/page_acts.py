"""Forms of the pages: each calls one function of the control API and goes back."""

from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from . import control
from .errors import Refused

# act → fields of its form; ":" gives what the text becomes
FIELDS: dict[str, tuple[str, ...]] = {
    "scan": ("config_id", "link_id", "customer_channel", "userid", "external_userid", "name", "half:bool"),
    "accept": ("userid", "external_userid"),
    "say": ("userid", "external_userid", "text"),
    "reply": ("userid", "external_userid", "text"),
    "customer_deletes": ("userid", "external_userid"),
    "member_deletes": ("userid", "external_userid"),
    "member_leaves": ("userid",),
    "confirm": ("userid", "msgid"),
    "publish": ("userid", "moment_id"),
    "react": ("userid", "moment_id", "external_userid", "kind", "text"),
    "group_create": ("owner", "name"),
    "group_join": ("chat_id", "config_id", "external_userid", "name", "userid", "invitor"),
    "group_leave": ("chat_id", "who", "removed_by"),
    "group_change": ("chat_id", "name", "notice", "owner", "template_id"),
    "group_dismiss": ("chat_id",),
    "group_say": ("chat_id", "who", "text"),
    "faults": ("api", "kind", "errcode:int", "seconds:float", "times:int", "rate:float"),
    "faults/clear": (),
    "kill_tokens": (),
    "clock": ("advance_s:float", "offset_s:float", "speed:float"),
    "stream": ("per_minute:float", "minutes:float"),
}
MAKE: dict[str, Any] = {"": str, "int": int, "float": float, "bool": bool}


def act(request: HttpRequest, corpid: str, name: str) -> HttpResponse:
    """Do it and go back to `next`, with what went wrong, if anything did."""
    back = request.POST.get("next", f"/c/{corpid}/")
    if not back.startswith("/") or back.startswith("//"):
        back = f"/c/{corpid}/"
    try:
        answer = _do(request, corpid, name)
    except (Refused, ValueError, KeyError) as reason:
        return _to(back, {"problem": str(reason)})
    if name == "scan":
        back = f"/c/{corpid}/customer/{answer['external_userid']}"
        return _to(back, {"with": answer["userid"]} | ({} if answer["is_new"] else {"done": "known"}))
    if name in ("group_create", "group_join"):
        return _to(f"/c/{corpid}/group/{answer['chat_id']}", {})
    return _to(back, {"done": name})


def _to(path: str, query: dict[str, str]) -> HttpResponse:
    return HttpResponseRedirect(f"{path}{'&' if '?' in path else '?'}{urlencode(query)}")


def _do(request: HttpRequest, corpid: str, name: str) -> Any:
    if name == "settings":
        return control.done("settings", _settings(request))
    if name == "member_edits":
        return control.done("member_edits", {"corpid": corpid, **_edits(request)})
    if name not in FIELDS:
        raise Refused(f"no act {name!r}", status=404)
    given: dict[str, Any] = {"corpid": corpid} if "corpid" in control.ACTS[name].takes else {}
    for field in FIELDS[name]:
        key, _, kind = field.partition(":")
        value = request.POST.get(key, "").strip()
        if value:
            given[key] = MAKE[kind](value)
    return control.done(name, given)


def _edits(request: HttpRequest) -> dict[str, Any]:
    """Remark and tags as the form shows them: tags that are not ticked any more are taken off."""
    ticked, shown = set(request.POST.getlist("tag")), set(request.POST.getlist("shown"))
    return {
        "userid": request.POST["userid"],
        "external_userid": request.POST["external_userid"],
        "remark": request.POST.get("remark", "")[:20],
        "add_tags": sorted(ticked),
        "remove_tags": sorted(shown - ticked),
    }


def _settings(request: HttpRequest) -> dict[str, Any]:
    """The form of the trouble page; what is empty stays as it was."""
    changes: dict[str, Any] = {"limits": bool(request.POST.get("limits"))}
    for key in ("minute_limit", "hour_limit", "in_flight", "welcome_life_s", "token_life_s"):
        if request.POST.get(key):
            changes[key] = int(request.POST[key])
    if request.POST.get("guides"):
        low, high = request.POST.get("confirm_min") or 20, request.POST.get("confirm_max") or 120
        changes["confirm_after_s"] = [float(low), float(high)]
    else:
        changes["confirm_after_s"] = None
    if request.POST.get("confirm_rate"):
        changes["confirm_rate"] = float(request.POST["confirm_rate"])
    delay = float(request.POST.get("delay") or 0)
    changes["callbacks"] = {
        "double": float(request.POST.get("double") or 0),
        "lose": float(request.POST.get("lose") or 0),
        "delay_s": [0, delay] if delay else None,
        "reverse": bool(request.POST.get("reverse")),
    }
    return changes
