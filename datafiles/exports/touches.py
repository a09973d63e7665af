"""触达: messages to customers, each with what became of it."""

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from campaigns.models import Sop, Touch
from campaigns.services.ledger import waiting
from contacts.models import Contact
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
)
from org.models import Staff


def touch_columns(export: Export) -> list[str]:
    return [
        _("Planned for"), _("Kind"), _("Contact number"), _("Name"), _("Guide"), _("SOP"), _("State"), _("Reason"), _("Done at"),
        _("Opened"), _("Answered"), _("Error"),
    ]  # fmt: skip


def touch_page(export: Export, after: Any, size: int) -> Rows:
    rows = lately(export, Touch.objects.all(), "at")
    page = next_rows(of_visible(export, rows), after, size)
    waiting.show(page)
    names = names_of(Contact, (t.contact_id for t in page))
    guides = names_of(Staff, (t.staff_id for t in page))
    sops = names_of(Sop, (t.sop_id for t in page))
    found = [
        [
            export.when(t.at), t.get_kind_display(), t.contact_id, names.get(t.contact_id, ""), guides.get(t.staff_id, ""),
            sops.get(t.sop_id, ""), t.get_state_display(), t.get_reason_display() if t.reason else "", export.when(t.done_at),
            export.when(t.opened_at), export.when(t.replied_at), t.error,
        ]
        for t in page
    ]  # fmt: skip
    return found, place_of(page, after)


TOUCHES = ExportKind(
    key="touches", label=gettext_lazy("Touches"), icon="send", right="sops.view", read=read_days, columns=touch_columns,
    page=touch_page,
)  # fmt: skip
