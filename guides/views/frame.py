"""What every page of guides shares: the corp through which one comes, the JS SDK, the frame."""

from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import redirect, render

from org.middleware import CORP_COOKIE
from scrm.errors import ForbiddenError

YEAR_S = 365 * 24 * 3600
SDK = "node/open/js/wecom-jssdk-2.0.2.js"  # developer.work.weixin.qq.com/document/path/98179


def corp_of(request: Any) -> Any:
    """The corp of the person who reads; None for somebody who only uses the dashboard."""
    return request.staff.corp if request.staff.corp_id else None


def through_other_corp(request: Any) -> HttpResponse | None:
    """A link of another corp than one is signed in for goes through WeCom once more; None: nothing to do.

    Raises:
        ForbiddenError: WeCom led back here, and it is still another corp.
    """
    wanted, corp = request.GET.get("corp", ""), corp_of(request)
    if not wanted or (corp is not None and corp.corpid == wanted) or corp is None:
        return None
    if request.GET.get("again"):
        raise ForbiddenError()
    back = request.path + "?" + urlencode({"corp": wanted, "again": "1"})
    return redirect(f"/login/wecom/{wanted}/?{urlencode({'next': back})}")


def page(request: Any, template: str, context: dict[str, Any], *, active: str = "") -> HttpResponse:
    """A whole page: the JS SDK's host is allowed on it, and the corp is remembered for the next log-in."""
    corp = corp_of(request)
    context |= {"active": active, "corp": corp, "sdk_url": f"{settings.WECOM_JSSDK_URL}/{SDK}"}
    response = render(request, template, context)
    response.sidebar = corp is not None  # type: ignore[attr-defined]  # scrm/middleware.py
    response.xframe_options_exempt = True  # the policy's frame-ancestors say who may
    if corp is not None:
        response.set_cookie(
            CORP_COOKIE,
            corp.corpid,
            max_age=YEAR_S,
            httponly=True,
            samesite="Lax",
            secure=settings.SESSION_COOKIE_SECURE,
        )
    return response
