"""行为: what customers did, as sentences of the timeline."""

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from contacts.models import BehaviourKind, Contact, Event, EventType
from contacts.sentences import lines
from contacts.services.behaviour import KINDS
from datafiles.exports.base import (
    Export,
    ExportKind,
    Rows,
    lately,
    names_of,
    next_rows,
    of_visible,
    place_of,
    read_days,
    read_one,
)
from org.models import Staff
from tenants.models import Brand

TYPES = (
    *KINDS.values(), EventType.CUSTOM, EventType.OPENED, EventType.READ, EventType.SHARED, EventType.FORM_ANSWERED,
    EventType.MOMENT_LIKED, EventType.MOMENT_COMMENTED,
)  # fmt: skip


def _read(brand: Brand, query: Any) -> dict[str, Any]:
    """Days, and `contact`: of one only."""
    return read_days(brand, query) | read_one(query, "contact", Contact.objects.all())


def _columns(export: Export) -> list[str]:
    return [
        _("When"), _("Kind of behaviour"), _("Contact number"), _("Name"), _("What happened"), _("Details"), _("Guide"),
        _("Source"),
    ]  # fmt: skip


def _page(export: Export, after: Any, size: int) -> Rows:
    rows = lately(export, Event.objects.filter(type__in=TYPES), "at")
    if "contact" in export.params:
        rows = rows.filter(contact_id=export.params["contact"])
    page = next_rows(of_visible(export, rows), after, size)
    people = Contact.objects.in_bulk({event.contact_id for event in page})
    guides = names_of(Staff, (event.staff_id for event in page))
    own = dict(BehaviourKind.objects.values_list("pk", "label"))
    found = []
    for line in lines(page):
        event, contact = line.event, people.get(line.event.contact_id)
        kind = own.get(event.object_id or 0) if event.type == EventType.CUSTOM else None
        found.append(
            [
                export.when(event.at), kind or str(EventType(event.type).label), event.contact_id,
                contact.name if contact else "", line.text, line.detail, guides.get(event.staff_id, ""), line.source,
            ]
        )  # fmt: skip
    return found, place_of(page, after)


BEHAVIOUR = ExportKind(
    key="behaviour", label=gettext_lazy("Behaviour"), icon="mouse-pointer-click", right="contacts.view", read=_read,
    columns=_columns, page=_page,
)  # fmt: skip
