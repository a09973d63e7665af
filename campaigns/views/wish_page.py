"""What customers open: the page on which they say what they want to hear. Nobody is signed in: the signed visit and the
signed cookie of this very browser allow it."""

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST

from campaigns.models import Touch
from campaigns.services.governance import wish_page
from campaigns.services.governance.wish_page import Wishes
from content.services import browsers, throttle
from content.services.browsers import Place
from content.views.public import own_visit, read_by, reading_state
from org.access import public
from org.session import address_of
from scrm.ids import read_ids
from tenants.scoping import tenant_scope

SAVED = 60  # a minute and address
KINDS = [  # in the customer's words, not in those of the trade
    (int(Touch.Kind.SOP), gettext_lazy("Care and reminders"),
     gettext_lazy("How to use what you bought, when it runs low, birthdays")),
    (int(Touch.Kind.BROADCAST), gettext_lazy("News and offers"), gettext_lazy("New products, sales, events")),
]  # fmt: skip


def _place(key: str) -> Place | None:
    place = browsers.find_place(key)
    return place if place and place.link.page == wish_page.PAGE else None


def _gone(request: HttpRequest) -> HttpResponse:
    return render(request, "content/public/gone.html", {"brand": None}, status=404)


@public
@never_cache
@require_http_methods(["GET", "HEAD"])
def show(request: HttpRequest, key: str) -> HttpResponse:
    """`/w/<key>/`: opened through its tracked link, as an article is."""
    place = _place(key)
    if place is None:
        return _gone(request)
    away, token, _visit, visitor = read_by(request, place)
    if away is not None:
        return away
    with tenant_scope(place.brand), transaction.atomic():
        wishes = wish_page.wishes_of(visitor.contact_id) if visitor and visitor.contact_id else None
    context = {
        "brand": place.brand,
        "wishes": wishes,
        "kinds": [(kind, label, text, not wishes or kind not in wishes.refused) for kind, label, text in KINDS],
        "saved": "saved" in request.GET,
        "action": reverse("wish_save", args=[key]),
        "again": reverse("link", args=[key]),
        "token": token,
        "state": reading_state(key, token),
        "public_url": settings.PUBLIC_URL,
    }  # fmt: skip
    response = render(request, "campaigns/wish_page.html", context)
    response["X-Robots-Tag"] = "noindex"
    return response


@public
@csrf_exempt  # no session is involved; token and cookie of the visit are what allows it
@never_cache
@require_POST
def save(request: HttpRequest, key: str) -> HttpResponse:
    """POST: `wanted` kinds, `nothing`; `was_refused`, `was_nothing`: what the form showed. Of a browser that WeCom has not
    named nothing is taken."""
    place = _place(key)
    if place is None:
        return _gone(request)
    if len(request.body) > 5_000 or not throttle.allows("wishes", address_of(request), SAVED):
        return HttpResponse(status=429)
    brand, token = place.brand, request.POST.get("token", "")
    with tenant_scope(brand), transaction.atomic():
        own = own_visit(request, place, token)
        contact_id = own[1].contact_id if own else None
        if contact_id and wish_page.wishes_of(contact_id) is not None:
            shown = Wishes(frozenset(read_ids(request.POST, "was_refused")), "was_nothing" in request.POST)
            wanted, nothing = read_ids(request.POST, "wanted"), "nothing" in request.POST
            wish_page.save(brand, contact_id=contact_id, wanted=wanted, nothing=nothing, shown=shown)
            return HttpResponseRedirect(f"{reverse('wish_page', args=[key])}?v={token}&saved=1")
    # not this browser's visit, or joined with somebody since: begin with one of its own
    return HttpResponseRedirect(reverse("link", args=[key]))
