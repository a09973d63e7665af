"""继承: customers and groups of hand-overs, with what became of each and why not."""

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from datafiles.exports.base import Export, ExportKind, Rows, last_id, next_by_id, read_one
from handover.models import HandoverItem, HandoverRun
from handover.services import listing, reasons
from scrm.errors import FilterError
from scrm.ids import read_id
from tenants.models import Brand


def _read(brand: Brand, query: Any) -> dict[str, Any]:
    """`run`: of one only; `giver`, `receiver`, `state` as on the pages."""
    found = read_one(query, "run", HandoverRun.objects.all())
    for name in ("giver", "receiver"):
        if text := query.get(name):
            found[name] = read_id(text)
    state = query.get("state") or ""
    if None in found.values() or state not in ("", *listing.GROUPED):
        raise FilterError()
    return found | ({"state": state} if state else {})


def _rows(export: Export) -> Any:
    rows = HandoverItem.objects.all()
    if export.staff is not None:
        rows = rows.filter(run__in=listing.visible(HandoverRun.objects.all(), export.staff).values("pk"))
    given = export.params
    if "state" in given:
        rows = rows.filter(state__in=listing.GROUPED[given["state"]])
    return rows.filter(**{name: given[name] for name in ("run", "giver", "receiver") if name in given})


def _columns(export: Export) -> list[str]:
    return [
        _("Number"), _("Begun"), _("From"), _("To"), _("Kind"), _("Name"), _("Contact number"), "external_userid / chat_id",
        _("State"), _("Reason"), _("What to do"), _("Asked"), _("Handed over at"), _("Ended"),
    ]  # fmt: skip


def _page(export: Export, after: Any, size: int) -> Rows:
    page = next_by_id(
        _rows(export).select_related("run", "giver", "receiver", "contact", "chat"), after, size
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
    return found, last_id(page, after)


HANDOVER = ExportKind(
    key="handover", label=gettext_lazy("Hand-overs"), icon="arrow-right-left", right="handover.view", read=_read,
    columns=_columns, page=_page, count=lambda export: _rows(export).count(),
)  # fmt: skip
