"""Wishes of customers: which kinds of messages somebody does not want, on the customer's page and as a list."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_POST

from campaigns.models import Refusal, Touch
from campaigns.services import scope
from campaigns.services.governance import policy, wish_page
from contacts.models import Contact
from content.services import links
from org.access import staff_can
from org.views.settings import tabs as settings_tabs
from scrm.errors import NotFoundError
from scrm.ids import read_id
from scrm.keyset import keyset_page
from scrm.responses import go

SOURCES = {  # of a wish
    "page": gettext_lazy("noted on the contact's page"),
    "api": gettext_lazy("through the API"),
    "customer": gettext_lazy("by the customer"),
}


@require_POST
@staff_can("contacts.edit")
def refusal(request: Any, contact_id: int) -> HttpResponse:
    """A customer's wish about one kind of message, from the contact's page."""
    contact = Contact.objects.visible_to(request.staff).filter(pk=contact_id).first()
    kind = read_id(request.POST.get("kind"))
    if contact is None or kind is None or kind >= 2**15:
        raise NotFoundError()
    refused = request.POST.get("refused") == "1"
    policy.set_refusal(request.brand, contact_id=contact.pk, kind=kind, refused=refused, by=request.actor)
    text = _("Noted: no messages of this kind") if refused else _("Noted: messages of this kind are welcome")
    is_list = request.POST.get("from") == "list"
    return go(request, reverse("refusals") if is_list else f"/contacts/{contact.pk}/", text)


@require_GET
@staff_can("contacts.edit")
def refusals(request: Any) -> HttpResponse:
    """Who wants no messages of a kind, who noted it and when; the customers added last come first."""
    rows = scope.of_contacts(Refusal.objects.select_related("contact"), request.staff)
    page = keyset_page(rows, order=("-contact_id", "-kind"), after=request.GET.get("after"))
    context = {"page": page, "kinds": dict(Touch.Kind.choices), "sources": SOURCES}
    if request.htmx:
        return render(request, "campaigns/touches/_refusals.html", context)
    link = wish_page.link_of()
    context |= {
        "may_set": request.actor.can("brand.edit"),
        "link": link,
        "address": links.address_of(link) if link else "",
        "tabs": settings_tabs(request, "touch"),
    }
    return render(request, "campaigns/touches/refusals.html", context)


@require_POST
@staff_can("brand.edit")
def make_page(request: Any) -> HttpResponse:
    """The page on which customers say their wishes themselves."""
    wish_page.make(request.brand, by=request.actor)
    return go(request, reverse("refusals"), _("The page is there. Send its address to your customers."))
