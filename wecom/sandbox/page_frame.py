"""What every page shares: language, the frame of a corp, a page of its own for what is not there."""

import functools
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render

from . import clock, ranges, store
from .errors import Refused
from .models import Corp, Member

Page = Callable[..., HttpResponse]


def language(request: HttpRequest) -> dict[str, Any]:
    """Chinese unless the page's cookie says English; with the address to come back to after a change."""
    lang = "en" if request.COOKIES.get("sandbox_lang") == "en" else "zh"
    return {"lang": lang, "address": request.get_full_path()}


def set_language(request: HttpRequest) -> HttpResponse:
    """Switch the language and go back."""
    back = request.GET.get("next", "/")
    response = HttpResponseRedirect(back if back.startswith("/") and not back.startswith("//") else "/")
    response.set_cookie("sandbox_lang", "en" if request.GET.get("to") == "en" else "zh", max_age=365 * 86_400)
    return response


def page(view: Page) -> Page:
    """A page of one corp: what the frame needs, and a page of its own for what is not there."""

    @functools.wraps(view)
    def shown(request: HttpRequest, corpid: str, **parts: str) -> HttpResponse:
        try:
            corp = store.corp(corpid)
            return view(request, corp, **parts)
        except Refused as reason:
            context = {"problem": str(reason), **language(request)}
            return render(request, "sandbox/problem.html", context, status=reason.status)

    return shown


def frame(request: HttpRequest, corp: Corp, tab: str) -> dict[str, Any]:
    """What base.html needs."""
    return {
        "corp": corp,
        "corps": Corp.objects.order_by("name"),
        "tab": tab,
        "problem": request.GET.get("problem", ""),
        "done": request.GET.get("done", ""),
        "q": request.GET.get("q", "").strip(),
        "here": request.path,
        "now": clock.now(),
        "speed": clock.speed(),
        **language(request),
    }


def names_of(corpid: str) -> dict[str, str]:
    """Names of members by userid, those who left included."""
    return dict(Member.objects.filter(corpid=corpid).values_list("userid", "name"))


def able_members(corpid: str) -> Any:
    """Members who may have customers."""
    return Member.objects.filter(corpid=corpid, status=ranges.ACTIVE, has_contact_right=True).order_by("id")
