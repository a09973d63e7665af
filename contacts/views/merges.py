"""Records of one person: joined by hand; what a parting would do, and the parting."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from contacts.models import Contact
from contacts.services import contacts as services
from contacts.services.identity import joining, parting
from contacts.services.search import search
from org.access import staff_can
from scrm.ids import read_id
from scrm.responses import go

FOUND = 8


@require_http_methods(["GET", "POST"])
@staff_can("contacts.edit")
def contact_join(request: Any, contact_id: int) -> HttpResponse:
    """A modal that finds the other record (`q`) and says what happens; POST with `other`: they are one."""
    contact = services.get_visible(request.staff, contact_id)
    text = (request.POST or request.GET).get("q", "")[:60].strip()
    context: dict[str, Any] = {"contact": contact, "q": text}
    if request.method == "POST":
        if other := read_id(request.POST.get("other")):
            services.get_visible(request.staff, other)
            kept = joining.join(request.brand, one_id=contact.pk, other_id=other, by=request.actor)
            return go(request, f"/contacts/{kept.pk}/", _("They are one customer now"))
        context["error"] = _("Choose the other record")
    others = Contact.objects.visible_to(request.staff).exclude(pk=contact.pk)
    if text:
        context["people"] = list(search(request.brand, text, others).order_by("-pk")[:FOUND])
    return render(request, "contacts/join.html", context, status=422 if "error" in context else 200)


@require_http_methods(["GET", "POST"])
@staff_can("contacts.edit")
def contact_part(request: Any, contact_id: int, merge_id: int) -> HttpResponse:
    """GET: a modal that tells what goes back to whom. POST: they are two again."""
    contact = services.get_visible(request.staff, contact_id)
    if request.method == "GET":
        found = parting.preview(contact.pk, merge_id)
        return render(request, "contacts/part.html", {"contact": contact, "found": found})
    parting.part(request.brand, contact_id=contact.pk, merge_id=merge_id, by=request.actor)
    return go(request, f"/contacts/{contact.pk}/", _("They are two customers again"))
