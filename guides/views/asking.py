"""Numbers that a guide is to add, on the phone: copied, asked, noted."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django.views.decorators.vary import vary_on_headers

from contacts.models import Contact
from guides.models import Lead
from guides.services.leads import asking, numbers
from guides.views.frame import page, through_other_corp
from org.access import staff_can
from scrm.ids import need_id
from scrm.keyset import keyset_page
from scrm.responses import toast

SIZE = 30
State = Lead.State
SHOWS: dict[str, tuple[str, ...]] = {
    "": (State.GIVEN,),
    "asked": (State.ASKED,),
    "ended": (State.ADDED, State.NOT_FOUND, State.REFUSED),
}


@require_GET
@staff_can("contacts.view")
@vary_on_headers("HX-Request")
def leads(request: Any) -> HttpResponse:
    """One's numbers: to add, asked, ended."""
    if (response := through_other_corp(request)) is not None:
        return response
    show = request.GET.get("show", "")
    show = show if show in SHOWS else ""
    rows = Lead.objects.filter(staff=request.staff, state__in=SHOWS[show]).select_related("list")
    order = ("-ended_at", "-pk") if show == "ended" else ("given_at", "pk")
    found = keyset_page(rows, order=order, after=request.GET.get("after"), size=SIZE)
    people = dict(
        Contact.objects.visible_to(request.staff)
        .filter(pk__in={x.contact_id for x in found if x.contact_id})
        .values_list("pk", "name")
    )
    context = {
        "page": found, "show": show, "n": numbers.of_guide(request.staff), "people": people,
        "words": {lead.pk: lead.list.words.replace("{name}", lead.name) for lead in found},
    }  # fmt: skip
    if request.htmx:
        return render(
            request, "guides/leads/_rows.html" if found.after else "guides/leads/_list.html", context
        )
    return page(request, "guides/leads/list.html", context, active="today")


@require_POST
@staff_can("contacts.edit")
def lead_act(request: Any, lead_id: int, act: str) -> HttpResponse:
    """One tap; it can be undone from the notice."""
    lead = asking.mark(
        request.brand,
        staff=request.staff,
        by=request.actor,
        lead_id=lead_id,
        act=act,
        said=request.POST.get("said"),
    )
    undo = "" if act == "back" else f"/g/leads/{lead.pk}/back/"
    text = _("Back in the list") if act == "back" else lead.get_state_display()
    return toast(HttpResponse(status=204), text, undo=undo, leadsChanged=True)


@require_POST
@staff_can("contacts.edit")
def lead_note(request: Any, lead_id: int) -> HttpResponse:
    asking.note(request.brand, staff=request.staff, lead_id=lead_id, said=request.POST.get("said", ""))
    return toast(HttpResponse(status=204), _("Saved"))


@require_http_methods(["GET", "POST"])
@staff_can("contacts.edit")
def lead_person(request: Any, lead_id: int) -> HttpResponse:
    """Which of one's new customers it is: the number is noted on them."""
    lead = asking.get_own(request.staff, lead_id)
    if request.method == "GET":
        context = {"lead": lead, "follows": asking.candidates(lead, request.staff)}
        return render(request, "guides/leads/person.html", context)
    asking.name_contact(
        request.brand, staff=request.staff, by=request.actor, lead_id=lead_id,
        contact_id=need_id(request.POST.get("contact")),
    )  # fmt: skip
    return toast(HttpResponse(status=204), _("Added"), leadsChanged=True, closeModal=True)
