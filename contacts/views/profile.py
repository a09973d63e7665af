"""Own fields, stage and reminders of one contact; and the page of reminders."""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django.views.decorators.vary import vary_on_headers

from contacts.cards import profile_context, reminder_context
from contacts.models import Contact, Reminder, visible_follows
from contacts.services import fields, reminders, stages, values
from contacts.views.detail import get_contact
from org.access import staff_can
from org.models import Staff
from scrm import clock
from scrm.errors import InvalidError, NotFoundError, SCRMError
from scrm.ids import need_id
from scrm.keyset import keyset_page
from scrm.responses import toast


@require_http_methods(["GET", "POST"])
@staff_can("contacts.edit")
def contact_fields(request: Any, contact_id: int) -> HttpResponse:
    """A modal with all own fields; what was typed wrongly is shown at its field."""
    contact = get_contact(request, contact_id)

    def saved() -> HttpResponse:
        response = render(request, "contacts/profile/card.html", profile_context(contact))
        response["HX-Retarget"] = "#profile-card"
        return response

    return fields_modal(request, contact, "contacts/profile/edit.html", saved)


def fields_modal(
    request: Any, contact: Contact, template: str, saved: Callable[[], HttpResponse]
) -> HttpResponse:
    """The modal with all own fields; what was typed wrongly is shown at its field.

    Args:
        saved: draws the card that takes the modal's place, its HX-Retarget set.
    """
    live = fields.live_fields()
    present = values.values_of([contact.pk], live).get(contact.pk, {})
    errors: dict[str, str] = {}
    if request.method == "POST":
        typed = {field: request.POST.get(field.key, "") for field in live}
        for field, raw in typed.items():
            try:
                values.parse(field, raw)
            except InvalidError as error:
                errors |= error.details["fields"]
        if not errors:
            values.set_values(request.brand, contact=contact, values=typed, by=request.actor)
            response = saved()
            response["HX-Reswap"] = "outerHTML"
            return toast(response, _("Saved"), closeModal=True, timelineChanged=True)
    rows = []
    for field in live:
        shown = request.POST.get(field.key) if errors else _plain(present.get(field.pk))
        rows.append((field, shown, errors.get(field.key, "")))
    context = {"contact": contact, "rows": rows}
    return render(request, template, context, status=422 if errors else 200)


def _plain(value: Any) -> str:
    """A value as its input holds it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    return f"{value:.10g}" if isinstance(value, float) else str(value)


@require_POST
@staff_can("contacts.edit")
def contact_stage(request: Any, contact_id: int) -> HttpResponse:
    """The choice of the stage on the card."""
    contact = get_contact(request, contact_id)
    chosen = request.POST.get("stage", "")
    stage = stages.get_stage(need_id(chosen)) if chosen else None
    stages.set_stage(request.brand, contacts=[contact], stage=stage, by=request.actor)
    contact.refresh_from_db()
    response = render(request, "contacts/profile/card.html", profile_context(contact))
    return toast(response, _("Stage saved"), timelineChanged=True)


# ---- reminders


def moment_of(request: Any) -> datetime:
    """`due_at` of a form (local time of the brand, as datetime-local sends it). Raises InvalidError."""
    try:
        found = datetime.fromisoformat(request.POST.get("due_at", ""))
    except ValueError as error:
        raise InvalidError(_("Choose a moment"), fields={"due_at": _("Choose a moment")}) from error
    return found if found.tzinfo else found.replace(tzinfo=ZoneInfo(request.brand.timezone))


@require_http_methods(["GET", "POST"])
@staff_can("contacts.edit")
def reminder_new(request: Any, contact_id: int) -> HttpResponse:
    """A modal: what, when, who."""
    contact = get_contact(request, contact_id)
    people = Staff.objects.visible_to(request.staff).filter(state=Staff.State.ACTIVE).order_by("name")[:500]
    given = {"text": request.POST.get("text", ""), "due_at": request.POST.get("due_at", "")}
    chosen = request.POST.get("staff", str(request.staff.pk))
    errors: dict[str, Any] = {}
    if request.method == "POST":
        staff = next((person for person in people if str(person.pk) == chosen), None)
        try:
            if staff is None:
                raise InvalidError(_("Choose one of the list"), fields={"staff": _("Choose one of the list")})
            reminders.add_reminder(
                request.brand, contact=contact, staff=staff, text=given["text"], due_at=moment_of(request),
                by=request.actor,
            )  # fmt: skip
        except SCRMError as error:
            errors = error.details.get("fields") or {"text": error.message}
        else:
            response = render(request, "contacts/profile/reminders.html", reminder_context(contact))
            response["HX-Retarget"] = "#reminder-card"
            response["HX-Reswap"] = "outerHTML"
            return toast(response, _("Reminder set"), closeModal=True)
    context = {"contact": contact, "people": people, "chosen": chosen, "errors": errors, **given}
    return render(request, "contacts/profile/reminder_new.html", context, status=422 if errors else 200)


def _reminder(request: Any, reminder_id: int) -> tuple[Reminder, Contact]:
    """A reminder of a contact whom the person may see."""
    row = Reminder.objects.filter(pk=reminder_id).first()
    if row is None:
        raise NotFoundError()
    return row, get_contact(request, row.contact_id)


@require_POST
@staff_can("contacts.edit")
def reminder_act(request: Any, reminder_id: int, act: str) -> HttpResponse:
    """Done, not done after all, put off until tomorrow, deleted; the card or the row anew."""
    row, contact = _reminder(request, reminder_id)
    if act == "later":
        reminders.move_reminder(request.brand, row.pk, due_at=clock.now() + reminders.A_DAY)
        text = _("Put off until tomorrow")
    elif act == "delete":
        reminders.delete_reminder(request.brand, row.pk)
        text = _("Reminder deleted")
    elif act in ("done", "open"):
        reminders.finish(request.brand, row.pk, by=request.actor, done=act == "done")
        text = _("Done") if act == "done" else _("It is open again")
    else:
        raise NotFoundError()
    if request.POST.get("on") == "list":
        found = Reminder.objects.select_related("contact", "staff").filter(pk=row.pk)
        context = {"rows": found, "now": clock.now()}
        return toast(render(request, "contacts/profile/_reminder_rows.html", context), text)
    response = render(request, "contacts/profile/reminders.html", reminder_context(contact))
    return toast(response, text, timelineChanged=True)


@require_GET
@staff_can("contacts.view")
@vary_on_headers("HX-Request")
def reminder_list(request: Any) -> HttpResponse:
    """One's own reminders, or those of all visible customers; open ones by their moment, done ones newest first."""
    whose = "all" if request.GET.get("whose") == "all" else "mine"
    done = request.GET.get("done") == "1"
    rows = Reminder.objects.filter(done_at__isnull=not done).select_related("contact", "staff")
    if whose == "mine":
        rows = rows.filter(staff=request.staff.pk)
    elif (follows := visible_follows(request.staff)) is not None:
        rows = rows.filter(contact__in=follows.values("contact"))
    order = ("-due_at", "-pk") if done else ("due_at", "pk")
    page = keyset_page(rows, order=order, after=request.GET.get("after"))
    context = {"page": page, "rows": page.rows, "now": clock.now()}
    if request.htmx:
        return render(request, "contacts/profile/_reminder_rows.html", context)
    tabs = [
        {"url": "/reminders/", "label": _("Mine"), "active": whose == "mine" and not done},
        {"url": "/reminders/?whose=all", "label": _("Of everybody"), "active": whose == "all" and not done},
        {"url": f"/reminders/?done=1&whose={whose}", "label": _("Done"), "active": done},
    ]
    return render(request, "contacts/profile/reminder_list.html", context | {"tabs": tabs})
