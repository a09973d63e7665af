"""What a customer sends from the form of a page. Nobody is signed in: the signed visit of this very browser allows it."""

from typing import Any

from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from content.services import answers, browsers, throttle
from content.views.public import own_visit, show_page, version_of
from org.access import public
from org.session import address_of
from scrm.errors import InvalidError
from tenants.scoping import tenant_scope

MOST_BYTES = 100_000
ANSWERS = 60  # a minute and address


@public
@csrf_exempt  # no session is involved; token and cookie of the visit are what allows it
@never_cache
@require_POST
def answer(request: HttpRequest, key: str) -> HttpResponse:
    """Answers to the form of `/p/<key>/`. What is wrong is said at its question, with everything that was written."""
    place = browsers.find_place(key)
    if place is None or place.link.content_id is None:
        return render(request, "content/public/gone.html", {"brand": None}, status=404)
    if len(request.body) > MOST_BYTES or not throttle.allows("answer", address_of(request), ANSWERS):
        return HttpResponse(status=429)
    brand, token = place.brand, request.POST.get("token", "")
    with tenant_scope(brand), transaction.atomic():
        own = own_visit(request, place, token)
        version = version_of(place)
    if version is None:
        return render(request, "content/public/gone.html", {"brand": brand}, status=410)
    if own is None:
        # not this browser's visit: begin with one of its own
        return HttpResponseRedirect(reverse("link", args=[key]))
    given: dict[str, list[str]] = {name: request.POST.getlist(name) for name in request.POST}
    try:
        with tenant_scope(brand):
            answers.record(brand, version=version, visit=own[0], given=given)
    except InvalidError as error:
        form: dict[str, Any] = {
            "token": token, "values": given, "errors": error.details.get("fields", {}), "problem": error.message,
        }  # fmt: skip
        return show_page(request, place, version, token, form, status=422)
    return HttpResponseRedirect(f"{reverse('page', args=[key])}?v={token}")
