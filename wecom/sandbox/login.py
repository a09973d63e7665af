"""OAuth and QR log-in: pages on which a tester picks who he is.

Source: developer.work.weixin.qq.com/document/path/91022, 98152.
"""

from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render

from . import clock, ids, people, ranges, store
from .errors import Refused
from .models import App, Corp, LoginCode, Member
from .page_frame import language

CODE_LIFE_S = 300
MOST_SHOWN = 200


def oauth(request: HttpRequest) -> HttpResponse:
    """/connect/oauth2/authorize: inside the WeCom client."""
    return _choose(request, scope=request.GET.get("scope") or "snsapi_base", title="oauth")


def sso(request: HttpRequest) -> HttpResponse:
    """/wwlogin/sso/login and /wwopen/sso/qrConnect: on a PC, by QR."""
    return _choose(request, scope="", title="qr")


def _choose(request: HttpRequest, *, scope: str, title: str) -> HttpResponse:
    corpid, redirect_uri = request.GET.get("appid", ""), request.GET.get("redirect_uri", "")
    context: dict[str, Any] = {"title": title, "scope": scope, **language(request)}
    corp = Corp.objects.filter(corpid=corpid).first()
    problem = ""
    if corp is None:
        problem = "40013 invalid corpid (appid)"
    else:
        try:
            check_redirect(corpid, request.GET.get("agentid"), redirect_uri)
        except Refused as reason:
            problem = str(reason)
    if problem:
        return render(request, "sandbox/login.html", context | {"problem": problem})
    wanted = request.GET.get("q", "").strip()
    rows = Member.objects.filter(corpid=corpid).exclude(status=ranges.LEFT).order_by("id")
    if wanted:
        rows = rows.filter(name__contains=wanted) | rows.filter(userid__contains=wanted)
    return render(
        request,
        "sandbox/login.html",
        context
        | {
            "corp": corp,
            "members": rows[:MOST_SHOWN],
            "q": wanted,
            "given": [(key, value) for key, value in request.GET.items() if key != "q"],
            "redirect_uri": redirect_uri,
            "refuse_url": with_query(redirect_uri, {"state": request.GET.get("state", "")}),
        },
    )


def pick(request: HttpRequest) -> HttpResponse:
    """The tester picked a member: back to the caller with a code."""
    given = {key: request.POST.get(key, "") for key in ("userid", "redirect_uri", "state", "scope")}
    try:
        answer = enter(
            request.POST.get("appid", ""), given | {"agent_id": int(request.POST.get("agentid") or 0) or None}
        )
    except Refused as reason:
        context = {"problem": str(reason), **language(request)}
        return render(request, "sandbox/login.html", context, status=reason.status)
    response = HttpResponseRedirect(answer["url"])
    response.allowed_schemes = ["http", "https"]
    return response


def check_redirect(corpid: str, agentid: Any, redirect_uri: str) -> None:
    """50001 unless the host (with port) is one of the app's trusted domains."""
    host = urlsplit(redirect_uri).netloc
    if not host:
        raise Refused("50001 redirect_uri is missing")
    apps = App.objects.filter(corpid=corpid, kind="app").order_by("id")
    if agentid:
        apps = apps.filter(agentid=int(agentid))
    app = apps.first()
    if app is None:
        raise Refused("40056 invalid agentid")
    if app.trusted_domains is not None and host not in app.trusted_domains:
        raise Refused(f"50001 {host} is not a trusted domain of this app")


def enter(corpid: str, given: dict[str, Any]) -> dict[str, str]:
    """A single-use code of five minutes for a member (userid) or a customer (or nobody known).

    Args:
        given: userid | external_userid, redirect_uri, state?, scope?, agent_id?.
    """
    store.corp(corpid)
    userid, external_userid = given.get("userid") or "", given.get("external_userid") or ""
    if userid:
        userid = people.member_of(corpid, userid).userid
    redirect_uri = given.get("redirect_uri") or ""
    check_redirect(corpid, given.get("agent_id"), redirect_uri)
    code = ids.code()
    with store.writing():
        LoginCode.objects.create(
            code=code,
            corpid=corpid,
            agentid=given.get("agent_id"),
            userid=userid,
            external_userid=external_userid,
            scope=given.get("scope") or "snsapi_base",
            expires_at=clock.now() + clock.for_machines(CODE_LIFE_S),
        )
    return {"code": code, "url": with_query(redirect_uri, {"code": code, "state": given.get("state") or ""})}


def with_query(url: str, more: dict[str, str]) -> str:
    """The address with more in its query."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(query=urlencode([*parse_qsl(parts.query), *more.items()])))
