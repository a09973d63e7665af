"""Log-in of WeCom members: to WeCom's page with a state bound to the session, and back with a code."""

import secrets
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.crypto import constant_time_compare
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from org import session
from org.access import public
from org.services import signin
from scrm import clock
from scrm.errors import InvalidError
from wecom.client import login_url, oauth_url
from wecom.services import login

STATE_LIFE_S = 600
_KEY = "wecom_login"


@public
@never_cache
@require_GET
def start(request: HttpRequest, corpid: str) -> HttpResponse:
    """To WeCom: silently inside its client, by QR code in any other browser."""
    door = login.find_door(corpid)
    state = secrets.token_hex(16)
    request.session[_KEY] = {
        "state": state,
        "corpid": corpid,
        "at": clock.now().timestamp(),
        "next": session.safe_next(request, request.GET.get("next")),
    }
    back = settings.PUBLIC_URL + reverse("wecom_login_done", args=[corpid])
    if "wxwork" in request.headers.get("User-Agent", "").lower():
        target = oauth_url(door.corp, back, state)
    else:
        target = login_url(
            door.corp, back, state, lang="en" if (get_language() or "").startswith("en") else "zh"
        )
    return HttpResponseRedirect(target)


@public
@never_cache
@require_GET
def done(request: HttpRequest, corpid: str) -> HttpResponse:
    """Back from WeCom. The state works once, in the browser that started, within ten minutes."""
    started: dict[str, Any] = request.session.pop(_KEY, None) or {}
    fresh = clock.now().timestamp() - started.get("at", 0) < STATE_LIFE_S
    same = constant_time_compare(request.GET.get("state", ""), started.get("state", "-"))
    if not (fresh and same and started.get("corpid") == corpid):
        raise InvalidError(
            _("This log-in was not started here or took too long. Please start again."), code="state"
        )
    code = request.GET.get("code", "")
    if not code:  # the member refused
        return redirect("login")
    door = login.find_door(corpid)
    user = login.sign_in(door, code)
    return session.welcome_in(
        request, user, signin.brands_of(user), brand=door.brand, target=started.get("next", "/")
    )
