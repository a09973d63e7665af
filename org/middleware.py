"""Finds person and brand of a request; opens the brand's scope and transaction around view and rendering."""

import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import Resolver404, resolve
from django.utils.crypto import constant_time_compare
from django.utils.http import urlencode

from org.access import Actor
from org.api_auth import actor_of_key
from org.models import Staff
from scrm.errors import ForbiddenError, SCRMError
from scrm.responses import error_response
from tenants.models import Brand, User, UserBrand
from tenants.scoping import tenant_scope

NOBODY = Actor("-")
GUIDES = "/g/"  # pages of guides, opened inside WeCom
CORP_COOKIE = "scrm_corp"  # through whose corp a guide came last
CORPID = re.compile(r"[A-Za-z0-9_-]{4,64}")


class BrandMiddleware:
    """Sets `request.user`, `request.brand`, `request.staff`, `request.actor`.

    The brand comes from the session (checked against UserBrand) or from an API key, never from the request's
    own words.
    Views declare by decorator what they need (org/access.py). Status ≥ 400 rolls the transaction back.
    """

    def __init__(self, get_response: Callable) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> HttpResponse:
        request.user, request.brand, request.staff, request.actor = None, None, None, NOBODY
        try:
            view = resolve(request.path_info).func
        except Resolver404:
            request.user = signed_in_user(request)
            return self.get_response(request)
        if request.path_info.startswith(("/static/",)):
            return self.get_response(request)
        access = getattr(view, "access", None) or ("api" if hasattr(view, "cls") else None)
        if access is None:
            raise RuntimeError(f"view {view!r} declares no access; see org/access.py")
        try:
            return getattr(self, f"_{access}")(request)
        except SCRMError as error:
            return error_response(request, error)

    def _public(self, request: Any) -> HttpResponse:
        return self.get_response(request)

    def _user(self, request: Any) -> HttpResponse:
        request.user = signed_in_user(request)
        if request.user is None:
            return to_login(request)
        request.actor = Actor(str(request.user), request.user.pk)
        request.brand = _brand_of_session(request)
        if request.brand is not None:  # the frame shows the navigation of the brand that one is in
            with tenant_scope(request.brand), transaction.atomic(), suppress(ForbiddenError):
                request.staff = _staff_of(request)
        return self.get_response(request)

    def _platform(self, request: Any) -> HttpResponse:
        request.user = signed_in_user(request)
        if request.user is None:
            return to_login(request)
        if not request.user.is_platform_owner:
            raise ForbiddenError()
        request.actor = Actor(str(request.user), request.user.pk)
        return self.get_response(request)

    def _brand(self, request: Any) -> HttpResponse:
        if (response := self._enter(request)) is not None:
            return response
        with tenant_scope(request.brand), transaction.atomic():
            request.staff = _staff_of(request)
            return _finish(self.get_response(request))

    def _outside(self, request: Any) -> HttpResponse:
        if (response := self._enter(request)) is not None:
            return response
        with tenant_scope(request.brand), transaction.atomic():
            request.staff = _staff_of(request)
        return self.get_response(request)

    def _api(self, request: Any) -> HttpResponse:
        """In scope and transaction; a view set with `calls_out`, which talks to WeCom, opens its own short ones."""
        key = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        request.brand, request.actor = actor_of_key(key)
        view: Any = resolve(request.path_info).func
        if getattr(view.cls, "calls_out", False):
            return self.get_response(request)
        with tenant_scope(request.brand), transaction.atomic():
            return _finish(self.get_response(request))

    def _enter(self, request: Any) -> HttpResponse | None:
        request.user = signed_in_user(request)
        if request.user is None:
            return to_login(request)
        request.brand = _brand_of_session(request)
        if request.brand is None:
            return redirect("platform" if request.user.is_platform_owner else "switch")
        return None


def _finish(response: HttpResponse) -> HttpResponse:
    if response.status_code >= 400:
        transaction.set_rollback(True)
    return response


def signed_in_user(request: Any) -> User | None:
    """The user of the session, if active and if the password has not changed since."""
    user_id = request.session.get("user_id")
    user = User.objects.filter(pk=user_id, is_active=True).first() if isinstance(user_id, int) else None
    if user and constant_time_compare(request.session.get("user_hash", ""), user.get_session_auth_hash()):
        return user
    return None


def _brand_of_session(request: Any) -> Brand | None:
    brand_id = request.session.get("brand_id")
    if not isinstance(brand_id, int):
        return None
    entry = UserBrand.objects.filter(user=request.user, brand_id=brand_id).select_related("brand").first()
    if entry is None or entry.brand.state == Brand.State.CLOSED:
        return None
    request.staff_id = entry.staff_id
    return entry.brand


def _staff_of(request: Any) -> Staff:
    staff = Staff.objects.select_related("role", "store", "region").filter(pk=request.staff_id).first()
    if staff is None or staff.role is None or staff.state != Staff.State.ACTIVE:
        raise ForbiddenError()
    request.actor = Actor(staff.name, request.user.pk, staff, frozenset(staff.role.rights))
    return staff


def to_login(request: HttpRequest) -> HttpResponse:
    """The log-in page, coming back here afterwards; for htmx the whole page goes there. A guide's page that knows its
    corp (`?corp=`, or the cookie of the last visit) goes through WeCom at once: inside its client that is silent."""
    guides = request.path_info.startswith(GUIDES)
    if request.headers.get("HX-Request"):
        response = HttpResponse(status=204)
        response["HX-Redirect"] = (
            _start_of(request.path_info) if guides else _door(request, _page_of(request))
        )
        return response
    back = request.get_full_path() if request.method == "GET" else _page_of(request)
    if guides and request.method == "GET":
        corpid = request.GET.get("corp") or request.COOKIES.get(CORP_COOKIE, "")
        if CORPID.fullmatch(corpid):
            return redirect(f"/login/wecom/{corpid}/?{urlencode({'next': back})}")
    return redirect(_door(request, back))


def _door(request: HttpRequest, back: str) -> str:
    """The log-in page; it tells whoever sent a form that it was not taken."""
    given = {} if back == "/" else {"next": back}
    if request.method == "POST":
        given["unsaved"] = "1"
    return f"/login/?{urlencode(given)}" if given else "/login/"


def _page_of(request: HttpRequest) -> str:
    """The page of ours that a form or a part was asked from."""
    try:
        page = urlsplit(request.headers.get("HX-Current-URL") or request.headers.get("Referer") or "")
    except ValueError:  # no address at all
        return "/"
    if page.netloc != request.get_host() or not page.path.startswith("/"):
        return "/"
    return f"{page.path}?{page.query}" if page.query else page.path


def _start_of(path: str) -> str:
    return f"{GUIDES}sidebar/" if path.startswith(f"{GUIDES}sidebar/") else GUIDES


__all__ = ["BrandMiddleware", "signed_in_user"]
