"""The session of a signed-in person: what it holds, how it begins and changes."""

from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from tenants.models import Brand, User


def begin(request: HttpRequest, user: User, brand: Brand | None) -> None:
    """A new session under a new key: whatever the visitor's old one held is gone."""
    request.session.flush()
    request.session["user_id"] = user.pk
    request.session["user_hash"] = user.get_session_auth_hash()
    if brand is not None:
        request.session["brand_id"] = brand.pk


def enter_brand(request: HttpRequest, brand: Brand) -> None:
    """The same person in another brand, under a new key."""
    request.session.cycle_key()
    request.session["brand_id"] = brand.pk


def safe_next(request: HttpRequest, target: str | None) -> str:
    """Where to go afterwards: an address of our own, or the start."""
    good = target and url_has_allowed_host_and_scheme(
        target, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return str(target) if good and target not in ("/login/", "/logout/") else "/"


def address_of(request: HttpRequest) -> str:
    """The visitor's IP address. Behind our proxy (SECURE) it is the last one that the proxy has named."""
    forwarded = request.headers.get("X-Forwarded-For", "") if settings.SECURE else ""
    return forwarded.rpartition(",")[2].strip() or request.META.get("REMOTE_ADDR", "-")


def set_language_cookie(response: HttpResponse, language: str) -> HttpResponse:
    if language in dict(settings.LANGUAGES):
        response.set_cookie(
            settings.LANGUAGE_COOKIE_NAME,
            language,
            max_age=365 * 24 * 3600,
            samesite="Lax",
            secure=settings.SESSION_COOKIE_SECURE,
        )
    return response


def on_the_way(door: str, back: str) -> str:
    """The address of a page before the one where somebody wants to go."""
    return door if back == "/" else f"{door}?{urlencode({'next': back})}"


def welcome_in(
    request: Any, user: User, brands: list[Brand], *, brand: Brand | None, target: str
) -> HttpResponse:
    """Begin the session and go on: to the brand asked for, the only one, or the page where one is chosen.

    Args:
        brands: those that the user may enter.
        brand: the one asked for; taken only if it is among `brands`.
        target: where the person wanted to go (checked again here).
    """
    chosen = brand if brand in brands else brands[0] if len(brands) == 1 else None
    begin(request, user, chosen)
    if chosen is not None:
        response = redirect(safe_next(request, target))
    elif brands:
        response = redirect(on_the_way(reverse("switch"), safe_next(request, target)))
    else:
        response = redirect("platform" if user.is_platform_owner else "switch")
    return set_language_cookie(response, user.language)
