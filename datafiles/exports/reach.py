"""Results of a broadcast: one row for everybody who was wanted, with what became of it."""

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from campaigns.models import Broadcast, Touch, Variant, Wave
from campaigns.services import waiting
from contacts.models import Contact, visible_follows
from datafiles.exports.base import Export, ExportKind, Rows, next_rows, place_of
from org.models import Staff
from scrm.errors import InvalidError
from scrm.ids import read_id
from tenants.models import Brand


def _read(brand: Brand, query: Any) -> dict[str, Any]:
    given = read_id(query.get("broadcast"))
    if given is None or not Broadcast.objects.filter(pk=given).exists():
        raise InvalidError(_("Choose a broadcast"), fields={"broadcast": _("Choose a broadcast")})
    return {"broadcast": given}


def _columns(export: Export) -> list[str]:
    return [
        _("Wave"), _("Content"), _("Planned for"), _("Contact number"), _("Name"), _("Guide"), _("State"), _("Reason"),
        _("Done at"), _("Opened"), _("Replied"), _("Bought"), _("Error"),
    ]  # fmt: skip


def _page(export: Export, after: Any, size: int) -> Rows:
    broadcast = Broadcast.objects.get(pk=export.params["broadcast"])
    rows = Touch.objects.filter(broadcast_id=broadcast.pk, at__gte=broadcast.created_at)
    if export.staff is not None and (mine := visible_follows(export.staff)) is not None:
        rows = rows.filter(contact_id__in=mine.values("contact"))
    page = next_rows(rows, after, size)
    waiting.show(page)
    waves = dict(Wave.objects.filter(broadcast=broadcast).values_list("pk", "n"))
    letters = dict(Variant.objects.filter(broadcast=broadcast).values_list("pk", "letter"))
    names = dict(Contact.objects.filter(pk__in={t.contact_id for t in page}).values_list("pk", "name"))
    guides = dict(
        Staff.objects.filter(pk__in={t.staff_id for t in page if t.staff_id}).values_list("pk", "name")
    )
    found = [
        [
            waves.get(t.wave_id or 0, ""), letters.get(t.variant_id or 0, ""), export.when(t.at), t.contact_id,
            names.get(t.contact_id, ""), guides.get(t.staff_id or 0, ""), t.get_state_display(),
            t.get_reason_display() if t.reason else "", export.when(t.done_at), export.when(t.opened_at),
            export.when(t.replied_at), export.when(t.converted_at), t.error,
        ]
        for t in page
    ]  # fmt: skip
    return found, place_of(page, after)


def _title(export: Export) -> str:
    return Broadcast.objects.get(pk=export.params["broadcast"]).name


BROADCAST = ExportKind(
    key="broadcast", label=gettext_lazy("Results of a broadcast"), icon="send", right="broadcasts.view", read=_read,
    columns=_columns, page=_page, title=_title, needs=("broadcast",),
)  # fmt: skip
