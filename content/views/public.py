"""What customers open: the short link, WeCom's answer who they are, the page, its pictures, and what it tells back.

Nobody is signed in here. Only the key finds a brand; a wrong tail (somebody has changed it) leads to the target and
counts nothing; a target is always a stored one.
"""

import json
import secrets
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core import signing
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from content import hooks, pages, questions, tokens, visitors
from content.models import ContentVersion, Visit
from content.services import answers, browsers, page_html, throttle, visits
from content.services.browsers import Place, Visitor
from org.access import public
from org.models import Corp, Staff
from org.session import address_of
from scrm import clock, json_in
from scrm.errors import SCRMError
from tenants.scoping import tenant_scope
from wecom.api import auth
from wecom.client import client_for, oauth_url
from wecom.models import MediaFile
from wecom.services import media

COOKIE_LIFE_S = 180 * 24 * 3600
ASK_LIFE_S = 300
WECOM_PATIENCE_S = 4.0
ASK_COOKIE = "scrm_who"
STAFF = -1  # a colleague looked: counted nowhere


@public
@never_cache
@require_http_methods(["GET", "HEAD"])
def follow(request: HttpRequest, key: str, token: str = "") -> HttpResponse:
    """`/l/<key>/[<token>/]`: note the opening and lead on; inside WeChat ask WeCom first, once a browser."""
    place = browsers.find_place(key)
    if place is None:
        return _gone(request)
    sent = tokens.unpack(place.brand.pk, key, token) if token else None
    if (token and sent is None) or not _counts(request):
        return _lead_on(place, None)
    visitor = browsers.read_cookie(place.brand, request.COOKIES)
    with tenant_scope(place.brand):
        known = browsers.is_known(visitor)
    if not known and place.link.asks_who and visitors.is_wechat(request.headers):
        asking = _ask(place, token, sent)
        if asking:
            return asking
    return _open(place, visitor or browsers.new_visitor(), sent)


@public
@never_cache
@require_GET
def who(request: HttpRequest, key: str) -> HttpResponse:
    """WeCom's answer. Whatever is wrong with it, the customer gets to the target."""
    place = browsers.find_place(key)
    if place is None:
        return _gone(request)
    try:
        asked = signing.loads(request.COOKIES.get(ASK_COOKIE, ""), salt="link.who", max_age=ASK_LIFE_S)
        good = (
            secrets.compare_digest(str(asked["state"]), request.GET.get("state", "")) and asked["key"] == key
        )
    except (signing.BadSignature, KeyError, TypeError):
        good, asked = False, {}
    token = str(asked.get("token", "")) if good else ""
    sent = tokens.unpack(place.brand.pk, key, token) if token else None
    visitor = browsers.read_cookie(place.brand, request.COOKIES)
    visitor = visitor or browsers.new_visitor()
    if not good or not _counts(request):
        return _lead_on(place, None)
    contact_id = _ask_wecom(place, int(asked["corp"]), request.GET.get("code", "")[:600])
    if contact_id == STAFF:
        return _lead_on(place, None)
    if contact_id:
        # another person on this device is another visitor
        same = visitor.contact_id in (None, contact_id)
        visitor = Visitor(visitor.id if same else browsers.new_visitor().id, contact_id)
    response = _open(place, visitor, sent)
    response.delete_cookie(ASK_COOKIE)
    return response


def _counts(request: HttpRequest) -> bool:
    if visitors.is_machine(request.method or "", request.headers):
        return False
    return throttle.allows("open", address_of(request), throttle.OPENS)


def _ask(place: Place, token: str, sent: Any) -> HttpResponse | None:
    """To WeCom's page, silently; None where the brand has no corp to ask."""
    with tenant_scope(place.brand), transaction.atomic():
        corps = Corp.objects.order_by("pk")
        if isinstance(sent, (tokens.Sent, tokens.Passed)) and sent.staff_id:
            of_guide = Staff.objects.filter(pk=sent.staff_id).values("corp")
            corp = corps.filter(pk__in=of_guide).first() or corps.first()
        else:
            corp = corps.first()
    if corp is None:
        return None
    state = secrets.token_hex(16)
    back = settings.PUBLIC_URL + reverse("link_who", args=[place.link.key])
    response = HttpResponseRedirect(oauth_url(corp, back, state))
    asked = {"state": state, "key": place.link.key, "token": token, "corp": corp.pk}
    response.set_cookie(
        ASK_COOKIE,
        signing.dumps(asked, salt="link.who"),
        max_age=ASK_LIFE_S,
        httponly=True,
        samesite="Lax",
        secure=settings.SECURE,
    )
    return response


def _ask_wecom(place: Place, corp_id: int, code: str) -> int | None:
    """The contact behind a code, STAFF for a member, None when WeCom does not say; never an error to the customer."""
    if not code:
        return None
    with tenant_scope(place.brand), transaction.atomic():
        corp = Corp.objects.filter(pk=corp_id).first()
    if corp is None:
        return None
    try:
        found = auth.user_info(client_for(corp, deadline_s=WECOM_PATIENCE_S), code)
    except SCRMError:
        return None  # the client has logged the call
    if found.userid:
        return STAFF
    with tenant_scope(place.brand), transaction.atomic():
        return browsers.contact_of(place.brand, corp, found.external_userid, found.openid)


def _open(place: Place, visitor: Visitor, sent: Any) -> HttpResponse:
    with tenant_scope(place.brand):
        visit = visits.record_open(place, visitor, sent)
    response = _lead_on(place, visit)
    response.set_cookie(
        browsers.cookie_name(place.brand),
        browsers.write_cookie(place.brand, visitor),
        max_age=COOKIE_LIFE_S,
        httponly=True,
        samesite="Lax",
        secure=settings.SECURE,
    )
    return response


def _lead_on(place: Place, visit: Visit | None) -> HttpResponse:
    link = place.link
    if link.content_id is None and not link.page:
        target = link.url
    else:
        token = visits.share_token(place.brand, link.key, visit) if visit else ""
        target = reverse(hooks.PAGES[link.page] if link.page else "page", args=[link.key]) + (
            f"?v={token}" if token else "?n=1"
        )
    response = HttpResponseRedirect(target)
    response["Referrer-Policy"] = "no-referrer"
    return response


def _gone(request: HttpRequest) -> HttpResponse:
    return render(request, "content/public/gone.html", {"brand": None}, status=404)


# ---- the page


@public
@never_cache
@require_http_methods(["GET", "HEAD"])
def page(request: HttpRequest, key: str) -> HttpResponse:
    """`/p/<key>/`: an article. `v` names the visit; without one a browser is first led through the link."""
    place = browsers.find_place(key)
    if place is None or place.link.content_id is None:
        return _gone(request)
    brand = place.brand
    away, token, visit, visitor = read_by(request, place)
    if away is not None:
        return away
    with tenant_scope(brand), transaction.atomic():
        version = version_of(place)
        # the address is passed on: what was answered is shown to the browser that answered only
        kept = answers.of_visit(version.content_id, visit) if version and visitor else None
    if version is None:
        return render(request, "content/public/gone.html", {"brand": brand}, status=410)
    form = {
        "token": token,
        "done": kept is not None and "again" not in request.GET,
        "values": kept and kept.answers,
    }
    return show_page(request, place, version, token, form)


def read_by(
    request: HttpRequest, place: Place
) -> tuple[HttpResponse | None, str, Visit | None, Visitor | None]:
    """Who reads a page of ours: (where to go first: through the link, token of the visit, visit, visitor). Token and visit
    are empty for machines and for what is not counted."""
    brand, key = place.brand, place.link.key
    if "n" in request.GET or visitors.is_machine(request.method or "", request.headers):
        return None, "", None, None
    token = request.GET.get("v", "")
    told = tokens.unpack(brand.pk, key, token)
    visitor = browsers.read_cookie(brand, request.COOKIES)
    if not isinstance(told, tokens.Shared):
        return HttpResponseRedirect(reverse("link", args=[key])), "", None, None
    with tenant_scope(brand), transaction.atomic():
        visit = visits.visit_of(place.link, told)
    theirs = visit is not None and (visitor is None or visitor.id == visit.visitor)
    if not theirs or visit is None or clock.now() - visit.at > timedelta(hours=6):
        return HttpResponseRedirect(reverse("link_sent", args=[key, token])), "", None, None
    return None, token, visit, visitor


def own_visit(request: HttpRequest, place: Place, token: str) -> tuple[Visit, Visitor] | None:
    """The visit that a tail names and who made it, if it was this very browser: what allows to write. In the brand's scope
    and a transaction."""
    visit = visits.visit_of(place.link, tokens.unpack(place.brand.pk, place.link.key, token))
    visitor = browsers.read_cookie(place.brand, request.COOKIES)
    if visit is None or visitor is None or visitor.id != visit.visitor:
        return None
    return visit, visitor


def reading_state(key: str, token: str) -> str:
    """What article.js needs, as JSON."""
    return json.dumps(
        {"share": f"/l/{key}/{token}/", "beat": reverse("link_beat", args=[key]), "token": token}
    )


def show_page(
    request: HttpRequest,
    place: Place,
    version: ContentVersion,
    token: str,
    form: dict[str, Any],
    status: int = 200,
) -> HttpResponse:
    """The article. `form`: token, done, problem; values (answers, or texts as they were sent) and errors by key."""
    brand, key = place.brand, place.link.key
    article = page_html.shown(version.page, lambda file_id: reverse("page_picture", args=[key, file_id]))
    context = {
        "brand": brand,
        "article": article,
        "form": _filled(version, form)
        | {"action": reverse("page_answer", args=[key]), "opened_by": reverse("link", args=[key])},
        "token": token,
        "address": f"{settings.PUBLIC_URL}/l/{key}/",
        "public_url": settings.PUBLIC_URL,
        "state": reading_state(key, token),
    }
    response = render(request, "content/public/page.html", context, status=status)
    response["X-Robots-Tag"] = "noindex"
    return response


def _filled(version: ContentVersion, form: dict[str, Any]) -> dict[str, Any]:
    """With the questions of the page, each with what was answered and what is wrong with that."""
    block = questions.form_of(version.page)
    if block is None:
        return form
    values, errors = form.get("values") or {}, form.get("errors") or {}
    ready = [
        {**q, "value": questions.texts(values.get(q["key"])), "error": errors.get(q["key"])}
        for q in block["questions"]
    ]
    return form | {"questions": ready}


def version_of(place: Place) -> ContentVersion | None:
    """The version in force of a link's page, unless the page is archived or its time is over."""
    content = place.link.content  # read with the link
    if content is None or content.archived_at is not None or content.current_id is None:
        return None
    if content.expires_at is not None and content.expires_at <= clock.now():
        return None
    return ContentVersion.objects.filter(pk=content.current_id).first()


@public
@require_GET
def picture(request: HttpRequest, key: str, file_id: int) -> HttpResponse:
    """A picture of a page; no other file of the brand can be had here."""
    place = browsers.find_place(key)
    if place is None or place.link.content_id is None:
        return _gone(request)
    with tenant_scope(place.brand), transaction.atomic():
        version = version_of(place)
        shown = version is not None and file_id in pages.file_ids(version.page)
        file = MediaFile.objects.filter(pk=file_id, kind="image").first() if shown else None
    if file is None:
        return _gone(request)
    kind = "image/png" if file.path.endswith(".png") else "image/jpeg"
    response = HttpResponse(media.read(file), content_type=kind)
    response["Cache-Control"] = "public, max-age=86400"
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return response


@public
@csrf_exempt  # sendBeacon sends no header; the signed token is what allows it
@require_POST
def beat(request: HttpRequest, key: str) -> HttpResponse:
    """{"token", "seconds", "depth"}: how long and how far a page has been read so far."""
    if len(request.body) > 500 or not throttle.allows("beat", address_of(request), throttle.BEATS):
        return HttpResponse(status=429)
    place = browsers.find_place(key)
    try:
        given = json_in.loads(request.body)
        token, seconds, depth = str(given["token"]), int(given["seconds"]), int(given["depth"])
    except (ValueError, KeyError, TypeError, OverflowError):
        return HttpResponse(status=400)
    if place is not None:
        with tenant_scope(place.brand), transaction.atomic():
            visits.record_beat(place.brand, key, token, seconds=seconds, depth=depth)
    return HttpResponse(status=204)
