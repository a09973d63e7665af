"""Cards of the 360° page that this app itself brings: own fields and stage, reminders (contacts/panels.py names them)."""

from typing import Any

from django.utils.translation import gettext as _

from contacts.models import Contact, CustomField, Reminder, Stage
from contacts.services.fields import live_fields
from contacts.services.stages import live_stages
from contacts.services.values import show, values_of
from org.access import Actor
from tenants.models import Brand

N_REMINDERS = 10


def stage_choices(contact: Contact) -> list[Stage]:
    """The stages that one chooses from, and the customer's own though it is archived."""
    stages = live_stages()
    if contact.stage_id and contact.stage_id not in {stage.pk for stage in stages}:
        stages += list(
            Stage.objects.filter(pk=contact.stage_id)
        )  # archived, but still where the customer stands
    return stages


def field_rows(contact: Contact) -> list[tuple[CustomField, str]]:
    """Own fields with the customer's values as they are shown; two queries."""
    fields = live_fields()
    values = values_of([contact.pk], fields).get(contact.pk, {})
    return [(field, show(field, values.get(field.pk))) for field in fields]


def profile_context(contact: Contact) -> dict[str, Any]:
    """What the card of own fields and stage shows; three queries."""
    return {"contact": contact, "stages": stage_choices(contact), "rows": field_rows(contact)}


def profile_panel(brand: Brand, contact: Contact, actor: Actor) -> dict[str, Any] | None:
    """Own fields and stage; nothing where the brand has neither and the person cannot make any."""
    context = profile_context(contact)
    if not context["rows"] and not context["stages"] and not actor.can("fields.edit"):
        return None
    return {
        "title": _("Profile"),
        "icon": "id-card",
        "template": "contacts/profile/card.html",
        "context": context,
        "right": "contacts.view",
    }


def reminder_context(contact: Contact) -> dict[str, Any]:
    rows = Reminder.objects.filter(contact=contact).select_related("staff").order_by("-due_at", "-pk")
    found = sorted(rows[:N_REMINDERS], key=lambda row: (row.done_at is not None, row.due_at))
    return {"contact": contact, "reminders": found}


def reminder_panel(brand: Brand, contact: Contact, actor: Actor) -> dict[str, Any] | None:
    """Reminders about this customer, open ones first."""
    context = reminder_context(contact)
    if not context["reminders"] and not actor.can("contacts.edit"):
        return None
    return {
        "title": _("Reminders"),
        "icon": "alarm-clock",
        "template": "contacts/profile/reminders.html",
        "context": context,
        "right": "contacts.view",
    }
