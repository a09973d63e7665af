"""One customer on the phone and in the sidebar: cards, and what a guide changes on them."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from contacts.models import Contact
from contacts.services import contacts as contact_services
from contacts.services import reminders, stages, tag_choice
from contacts.views.profile import fields_modal, moment_of
from content.models import Folder, Via
from content.services import cards, library, links, posters
from guides.services import customers as services
from guides.services.sending import filled
from guides.views.frame import page, through_other_corp
from org.access import staff_can
from scrm.errors import NotFoundError
from scrm.ids import need_id, read_id
from scrm.responses import toast

SCRIPTS, CARDS, POSTERS = 30, 15, 10


def own(request: Any, contact_id: int) -> Contact:
    return contact_services.get_visible(request.staff, contact_id)


def may_phones(request: Any) -> bool:
    return request.actor.can("contacts.phones")


@require_GET
@staff_can("contacts.view")
def customer(request: Any, contact_id: int) -> HttpResponse:
    """The customer in short. Another guide's is not shown: a clear page says so."""
    if (response := through_other_corp(request)) is not None:
        return response
    try:
        contact = own(request, contact_id)
    except NotFoundError:
        response = page(request, "guides/not_yours.html", {})
        response.status_code = 404
        return response
    context = services.whole(request.brand, contact, request.staff, may_phones=may_phones(request))
    return page(request, "guides/customer.html", context, active="customers")


@require_GET
@staff_can("contacts.view")
def card(request: Any, contact_id: int, name: str) -> HttpResponse:
    """One card anew."""
    return _card(request, own(request, contact_id), name)


def _card(request: Any, contact: Contact, name: str) -> HttpResponse:
    if name not in services.CARDS:
        raise NotFoundError()
    context = services.one(request.brand, contact, request.staff, name, may_phones=may_phones(request))
    context["in_chat"] = bool(request.GET.get("in_chat") or request.POST.get("in_chat"))
    return render(request, f"guides/cards/{name}.html", context)


@require_POST
@staff_can("contacts.edit")
def note(request: Any, contact_id: int) -> HttpResponse:
    contact = own(request, contact_id)
    contact_services.add_note(
        request.brand, contact=contact, text=request.POST.get("text", ""), by=request.actor
    )
    return toast(_card(request, contact, "notes"), _("Note saved"), actionChanged=True)


@require_POST
@staff_can("contacts.edit")
def stage(request: Any, contact_id: int) -> HttpResponse:
    contact = own(request, contact_id)
    chosen = request.POST.get("stage", "")
    target = stages.get_stage(need_id(chosen)) if chosen else None
    stages.set_stage(request.brand, contacts=[contact], stage=target, by=request.actor)
    contact.refresh_from_db()
    return toast(_card(request, contact, "head"), _("Stage saved"))


@require_POST
@staff_can("contacts.edit")
def do_not_contact(request: Any, contact_id: str, act: str) -> HttpResponse:
    """The customer's wish, told to the guide: on or off by one tap, which the notice takes back."""
    contact, value = own(request, int(contact_id)), act == "on"
    n = contact_services.set_do_not_contact(request.brand, contacts=[contact], value=value, by=request.actor)
    text = _("No more messages to this customer") if value else _("This customer may be contacted again")
    back = f"/g/customers/{contact.pk}/do-not-contact/{'off' if value else 'on'}/" if n else ""
    return toast(HttpResponse(status=204), text, undo=back, headChanged=True, actionChanged=True)


@require_http_methods(["GET", "POST"])
@staff_can("contacts.edit")
def tags(request: Any, contact_id: int) -> HttpResponse:
    """GET: the modal with all tags, those that are on ticked. POST: the ticked ones are on; `remove`: one is taken off."""
    contact = own(request, contact_id)
    if request.method == "GET":
        return render(request, "guides/tags.html", {"contact": contact, **tag_choice.offered(contact)})
    if "remove" in request.POST:
        off = need_id(request.POST["remove"])
        tag_choice.change(request.brand, contact=contact, tag_ids=[off], by=request.actor, remove=True)
    else:
        ticked = request.POST.getlist("tags")
        tag_choice.set_ticked(request.brand, contact=contact, ticked=ticked, by=request.actor)
    return toast(_card(request, contact, "tags"), _("Tags saved"), closeModal=True)


@require_http_methods(["GET", "POST"])
@staff_can("contacts.edit")
def fields(request: Any, contact_id: int) -> HttpResponse:
    """The modal with all own fields; what was typed wrongly is shown at its field."""
    contact = own(request, contact_id)

    def saved() -> HttpResponse:
        response = _card(request, contact, "profile")
        response["HX-Retarget"] = "#card-profile"
        return response

    return fields_modal(request, contact, "guides/fields.html", saved)


@require_POST
@staff_can("contacts.edit")
def reminder(request: Any, contact_id: int) -> HttpResponse:
    """Remind me of this customer at a moment."""
    contact = own(request, contact_id)
    reminders.add_reminder(
        request.brand,
        contact=contact,
        staff=request.staff,
        text=request.POST.get("text", ""),
        due_at=moment_of(request),
        by=request.actor,
    )
    return toast(_card(request, contact, "tasks"), _("Reminder set"))


@require_GET
@staff_can("contacts.view")
def scripts(request: Any, contact_id: int) -> HttpResponse:
    """Words and content to send: searched, by folder. The texts are shown as this customer would get them. What is
    written for the next step with this customer stands first."""
    contact = own(request, contact_id)
    q, folder_id = request.GET.get("q", "").strip()[:60], read_id(request.GET.get("folder"))
    step = services.next_step(request.brand, contact, request.staff)
    found = library.search(
        request.brand, q=q, folder_id=folder_id, personal=True, occasion=step.kind, limit=SCRIPTS
    )
    rows = [
        {**row, "text": filled(request.brand, row["text"], contact=contact, staff=request.staff)}
        for row in found
    ]
    context = {
        "contact": contact,
        "fitting": [row for row in rows if row["occasion"] == step.kind],
        "rows": [row for row in rows if row["occasion"] != step.kind],
        "step": step,
        "cards": [
            {**row, "address": _address(request, row["card"]["url"])}
            for row in cards.search(request.brand, q=q, folder_id=folder_id, limit=CARDS)
        ],
        "posters": [] if folder_id else posters.search(request.brand, q=q, limit=POSTERS),
        "q": q,
        "folder": folder_id,
        "folders": list(Folder.objects.order_by("name").values_list("pk", "name")[:200]),
    }
    return render(request, "guides/_scripts.html", context)


def _address(request: Any, url: str) -> str:
    """A tracked link to be pasted into the chat by this guide: who opens it is counted for them."""
    address, _attached = links.personalise(request.brand, url, staff_id=request.staff.pk, via=Via.DIRECT)
    return address
