"""Results of a broadcast: one row for everybody who was wanted, with what became of it."""

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from campaigns.models import Broadcast, Touch, Variant, Wave
from campaigns.services.broadcasts import left_out
from campaigns.services.ledger import waiting
from contacts.models import Contact, ContactStat
from datafiles.exports.base import Export, ExportKind, Rows, names_of, next_rows, of_visible, place_of
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


LEFT_OUT = "left-out:"  # of places beyond the ledger: wave and position follow


def _page(export: Export, after: Any, size: int) -> Rows:
    """The ledger, then whom a wave's condition left out with so many others that they have no row there."""
    broadcast = Broadcast.objects.get(pk=export.params["broadcast"])
    if str(after or "").startswith(LEFT_OUT):
        return _left_out(export, broadcast, after, size)
    rows = Touch.objects.filter(broadcast_id=broadcast.pk, at__gte=broadcast.created_at)
    page = next_rows(of_visible(export, rows), after, size)
    if not page:
        return _left_out(export, broadcast, f"{LEFT_OUT}0:-1", size)
    waiting.show(page)
    return _cells(export, broadcast, page), place_of(page, after)


def _left_out(export: Export, broadcast: Broadcast, after: str, size: int) -> Rows:
    page: list[Touch] = []
    while not page:  # none of a page may be for the eyes of whoever asks
        wave_id, position = (int(part) for part in after.removeprefix(LEFT_OUT).split(":"))
        found = left_out.of_broadcast(export.brand, broadcast, (wave_id, position), size)
        if not found:
            break
        after = f"{LEFT_OUT}{found[-1][1].wave_id}:{found[-1][0]}"
        people = ContactStat.objects.filter(contact__in=[touch.contact_id for _position, touch in found])
        seen = set(of_visible(export, people).values_list("contact_id", flat=True))
        page = [touch for _position, touch in found if touch.contact_id in seen]
    return _cells(export, broadcast, page), after


def _cells(export: Export, broadcast: Broadcast, page: list[Touch]) -> list[list[Any]]:
    waves = dict(Wave.objects.filter(broadcast=broadcast).values_list("pk", "n"))
    letters = dict(Variant.objects.filter(broadcast=broadcast).values_list("pk", "letter"))
    names = names_of(Contact, (t.contact_id for t in page))
    guides = names_of(Staff, (t.staff_id for t in page))
    return [
        [
            waves.get(t.wave_id or 0, ""), letters.get(t.variant_id or 0, ""), export.when(t.at), t.contact_id,
            names.get(t.contact_id, ""), guides.get(t.staff_id, ""), t.get_state_display(),
            t.get_reason_display() if t.reason else "", export.when(t.done_at), export.when(t.opened_at),
            export.when(t.replied_at), export.when(t.converted_at), t.error,
        ]
        for t in page
    ]  # fmt: skip


def _title(export: Export) -> str:
    return Broadcast.objects.get(pk=export.params["broadcast"]).name


BROADCAST = ExportKind(
    key="broadcast", label=gettext_lazy("Results of a broadcast"), icon="send", right="broadcasts.view", read=_read,
    columns=_columns, page=_page, title=_title, needs=("broadcast",),
)  # fmt: skip
