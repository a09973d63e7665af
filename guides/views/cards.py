"""Cards of guides: the public page, the guide's own on the phone, all of them for the admin."""

from typing import Any

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from content.services import browsers, links
from content.views.public import read_by, reading_state
from guides.models import Card
from guides.services import cards
from guides.views.frame import page, through_other_corp
from org.access import public, staff_can
from org.models import Staff
from scrm.errors import InvalidError
from scrm.ids import need_id
from scrm.keyset import keyset_page
from scrm.responses import go
from tenants.scoping import tenant_scope


@public
@never_cache
@require_http_methods(["GET", "HEAD"])
def business_card(request: HttpRequest, key: str) -> HttpResponse:
    """`/c/<key>/`: opened through its tracked link, as an article is."""
    place = browsers.find_place(key)
    if place is None or place.link.page != "card":
        return render(request, "content/public/gone.html", {"brand": None}, status=404)
    away, token, _visit, _visitor = read_by(request, place)
    if away is not None:
        return away
    with tenant_scope(place.brand), transaction.atomic():
        found = cards.by_link(place.link.pk)
        shown = cards.shown(place.brand, *found) if found else None
    if shown is None:
        return render(request, "content/public/gone.html", {"brand": place.brand}, status=410)
    context = {
        "card": shown,
        "token": token,
        "state": reading_state(key, token),
        "public_url": settings.PUBLIC_URL,
    }
    response = render(request, "guides/cards_public/card.html", context)
    response["X-Robots-Tag"] = "noindex"
    return response


# ---- the guide's own


@require_http_methods(["GET", "POST"])
@staff_can("contacts.view")
def my_card(request: Any) -> HttpResponse:
    """See, change and send on one's own card."""
    if (response := through_other_corp(request)) is not None:
        return response
    staff = Staff.objects.select_related("store").get(pk=request.staff.pk)
    problems: dict[str, str] = {}
    if request.method == "POST" and "make" in request.POST:
        cards.make_card(request.brand, staff=staff, by=request.actor)
        return go(request, "/g/card/", _("Your card is made"))
    if request.method == "POST":
        try:
            _save(request, staff)
            return go(request, "/g/card/", _("Saved"))
        except InvalidError as error:
            problems = error.details.get("fields") or {"words": str(error.message)}
    context = _form(request, cards.own_or_blank(staff), staff, problems)
    response = page(request, "guides/card.html", context, active="me")
    response.status_code = 422 if problems else 200
    return response


def _save(request: Any, staff: Staff) -> Card:
    given = request.POST
    return cards.edit_card(
        request.brand, staff=staff, by=request.actor, title=given.get("title", ""), words=given.get("words", ""),
        code_id=need_id(given["code"]) if given.get("code") else None,
    )  # fmt: skip


def _form(request: Any, card: Card, staff: Staff, problems: dict[str, str]) -> dict[str, Any]:
    given = request.POST if problems else {}
    return {
        "card": cards.shown(request.brand, card, staff),
        "address": links.address_of(card.link) if card.pk else "",
        "link": card.link if card.pk else None,
        "guide": staff,
        "title": given.get("title", card.title),
        "words": given.get("words", card.words),
        "code_id": given.get("code", card.code_id or ""),
        "codes": [(code.pk, code.name) for code in cards.codes_of([staff.pk]).get(staff.pk, [])],
        "problems": problems,
    }


# ---- all of them


@require_GET
@staff_can("content.view")
def card_list(request: Any) -> HttpResponse:
    """Each guide's card with who has opened it; what all have in common."""
    rows = Staff.objects.visible_to(request.staff).guides().select_related("store")
    found = keyset_page(rows, order=("name", "pk"), after=request.GET.get("after"), size=50)
    ids = [guide.pk for guide in found]
    mine = {card.staff_id: card for card in Card.objects.select_related("link").filter(staff__in=ids)}
    codes = cards.codes_of(ids)
    context = {"page": found, "cards": mine, "codes": codes, "style": cards.style_of()}
    if request.htmx and found.after:
        return render(request, "guides/business_cards/_rows.html", context)
    context["n_missing"] = rows.exclude(pk__in=Card.objects.values("staff")).count()
    return render(request, "guides/business_cards/list.html", context)


@require_POST
@staff_can("content.edit")
def card_make(request: Any) -> HttpResponse:
    n = cards.make_cards(request.brand, staff=request.staff, by=request.actor)
    return go(request, "business_cards", _("%(n)s cards made") % {"n": n})


@require_http_methods(["GET", "POST"])
@staff_can("content.edit")
def card_style(request: Any) -> HttpResponse:
    """A modal: words, invitation and colour of all cards."""
    style = cards.style_of()
    problems: dict[str, str] = {}
    values = {name: getattr(style, name) for name in cards.STYLE}
    if request.method == "POST":
        values = {name: request.POST.get(name, "") for name in cards.STYLE}
        try:
            cards.save_style(request.brand, by=request.actor, **values)
            return go(request, "business_cards", _("Saved"))
        except InvalidError as error:
            problems = error.details.get("fields") or {"words": str(error.message)}
    context = {"values": values, "problems": problems}
    return render(request, "guides/business_cards/style.html", context, status=422 if problems else 200)


@require_http_methods(["GET", "POST"])
@staff_can("content.edit")
def card_edit(request: Any, staff_id: int) -> HttpResponse:
    """A modal: one guide's card."""
    guide = cards.visible_guide(request.staff, staff_id)
    problems: dict[str, str] = {}
    if request.method == "POST":
        try:
            _save(request, guide)
            return go(request, "business_cards", _("Saved"))
        except InvalidError as error:
            problems = error.details.get("fields") or {"words": str(error.message)}
    context = _form(request, cards.own_or_blank(guide), guide, problems)
    return render(request, "guides/business_cards/edit.html", context, status=422 if problems else 200)
