"""行为: what customers did, as sentences of the timeline."""

from datetime import timedelta
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from contacts.models import BehaviourKind, Contact, Event, EventType, visible_follows
from contacts.sentences import lines
from contacts.services.behaviour import KINDS
from datafiles.exports.base import Export, ExportKind, Rows, next_rows, place_of
from datafiles.exports.commerce import _between, read_days
from org.models import Staff
from scrm import clock
from scrm.errors import InvalidError, NotFoundError
from scrm.ids import read_id
from tenants.models import Brand

TYPES = (
    *KINDS.values(), EventType.CUSTOM, EventType.OPENED, EventType.READ, EventType.SHARED, EventType.FORM_ANSWERED,
    EventType.MOMENT_LIKED, EventType.MOMENT_COMMENTED,
)  # fmt: skip
OLDEST = timedelta(days=400)  # without `since`


def _read(brand: Brand, query: Any) -> dict[str, Any]:
    """Days, and `contact`: of one only."""
    found = {name: day for name, day in read_days(brand, query).items() if name in ("since", "until")}
    if text := query.get("contact"):
        given = read_id(text)
        if given is None:
            raise InvalidError(_("This filter cannot be read"), code="bad_filter")
        if not Contact.objects.filter(pk=given).exists():
            raise NotFoundError()
        found["contact"] = given
    return found


def _columns(export: Export) -> list[str]:
    return [
        _("When"), _("Kind of behaviour"), _("Contact number"), _("Name"), _("What happened"), _("Details"), _("Guide"),
        _("Source"),
    ]  # fmt: skip


def _page(export: Export, after: Any, size: int) -> Rows:
    rows = _between(export, Event.objects.filter(type__in=TYPES), "at")
    if "since" not in export.params:
        rows = rows.filter(at__gte=clock.now() - OLDEST)
    if "contact" in export.params:
        rows = rows.filter(contact_id=export.params["contact"])
    if export.staff is not None and (mine := visible_follows(export.staff)) is not None:
        rows = rows.filter(contact_id__in=mine.values("contact"))
    page = next_rows(rows, after, size)
    people = Contact.objects.in_bulk({event.contact_id for event in page})
    guides = dict(
        Staff.objects.filter(pk__in={event.staff_id for event in page if event.staff_id}).values_list(
            "pk", "name"
        )
    )
    own = dict(BehaviourKind.objects.values_list("pk", "label"))
    found = []
    for line in lines(None, page):
        event, contact = line.event, people.get(line.event.contact_id)
        kind = own.get(event.object_id or 0) if event.type == EventType.CUSTOM else None
        found.append(
            [
                export.when(event.at), kind or str(EventType(event.type).label), event.contact_id,
                contact.name if contact else "", line.text, line.detail, guides.get(event.staff_id or 0, ""), line.source,
            ]
        )  # fmt: skip
    return found, place_of(page, after)


BEHAVIOUR = ExportKind(
    key="behaviour", label=gettext_lazy("Behaviour"), icon="mouse-pointer-click", right="contacts.view", read=_read,
    columns=_columns, page=_page,
)  # fmt: skip
