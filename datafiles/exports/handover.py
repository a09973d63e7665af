"""继承: customers and groups of hand-overs, with what became of each and why not."""

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from datafiles.exports.base import Export, ExportKind, Rows
from handover.models import HandoverItem, HandoverRun
from handover.services import listing, reasons
from scrm.errors import InvalidError, NotFoundError
from scrm.ids import read_id
from tenants.models import Brand


def _read(brand: Brand, query: Any) -> dict[str, Any]:
    """`run`: of one only."""
    if not (text := query.get("run")):
        return {}
    given = read_id(text)
    if given is None:
        raise InvalidError(_("This filter cannot be read"), code="bad_filter")
    if not HandoverRun.objects.filter(pk=given).exists():
        raise NotFoundError()
    return {"run": given}


def _rows(export: Export) -> Any:
    rows = HandoverItem.objects.all()
    if export.staff is not None:
        rows = rows.filter(run__in=listing.visible(HandoverRun.objects.all(), export.staff).values("pk"))
    return rows.filter(run=export.params["run"]) if "run" in export.params else rows


def _columns(export: Export) -> list[str]:
    return [
        _("Number"), _("Begun"), _("From"), _("To"), _("Kind"), _("Name"), _("Contact number"), "external_userid / chat_id",
        _("State"), _("Reason"), _("What to do"), _("Asked"), _("Handed over at"), _("Ended"),
    ]  # fmt: skip


def _page(export: Export, after: Any, size: int) -> Rows:
    page = list(
        _rows(export)
        .filter(pk__gt=after or 0)
        .select_related("run", "giver", "receiver", "contact", "chat")
        .order_by("pk")[:size]
    )
    found = []
    for item in page:
        why, what = reasons.words_of(item)
        found.append(
            [
                item.run_id, export.when(item.run.created_at), item.giver.name, item.receiver.name, item.get_kind_display(),
                str(item.chat) if item.chat else item.contact.name if item.contact else "", item.contact_id or "",
                item.chat.chat_id if item.chat else item.external_userid, item.get_state_display(), str(why), str(what),
                export.when(item.asked_at), export.when(item.takeover_at), export.when(item.done_at),
            ]
        )  # fmt: skip
    return found, page[-1].pk if page else after


HANDOVER = ExportKind(
    key="handover", label=gettext_lazy("Hand-overs"), icon="arrow-right-left", right="handover.view", read=_read,
    columns=_columns, page=_page, count=lambda export: _rows(export).count(),
)  # fmt: skip
