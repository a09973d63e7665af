"""Touches, figures of channel codes, the audit log."""

import json
from datetime import timedelta
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from campaigns.models import Sop, Touch
from campaigns.services import waiting
from contacts.models import Contact, visible_follows
from datafiles.exports.base import Export, ExportKind, Rows, next_rows, nothing, place_of, yuan
from datafiles.exports.commerce import _between, read_days
from livecodes.models import ChannelCode
from livecodes.services.figures import of_codes
from org.models import AuditEntry, Staff
from scrm import clock
from tenants.models import Brand


def touch_columns(export: Export) -> list[str]:
    return [
        _("Planned for"), _("Kind"), _("Contact number"), _("Name"), _("Guide"), _("SOP"), _("State"), _("Reason"), _("Done at"),
        _("Opened"), _("Answered"), _("Error"),
    ]  # fmt: skip


def touch_page(export: Export, after: Any, size: int) -> Rows:
    rows = _between(export, Touch.objects.all(), "at")
    if "since" not in export.params:
        rows = rows.filter(at__gte=clock.now() - timedelta(days=400))
    if export.staff is not None and (mine := visible_follows(export.staff)) is not None:
        rows = rows.filter(contact_id__in=mine.values("contact"))
    page = next_rows(rows, after, size)
    waiting.show(page)
    names = dict(Contact.objects.filter(pk__in={t.contact_id for t in page}).values_list("pk", "name"))
    guides = dict(
        Staff.objects.filter(pk__in={t.staff_id for t in page if t.staff_id}).values_list("pk", "name")
    )
    sops = dict(Sop.objects.filter(pk__in={t.sop_id for t in page if t.sop_id}).values_list("pk", "name"))
    found = [
        [
            export.when(t.at), t.get_kind_display(), t.contact_id, names.get(t.contact_id, ""), guides.get(t.staff_id, ""),
            sops.get(t.sop_id, ""), t.get_state_display(), t.get_reason_display() if t.reason else "", export.when(t.done_at),
            export.when(t.opened_at), export.when(t.replied_at), t.error,
        ]
        for t in page
    ]  # fmt: skip
    return found, place_of(page, after)


def code_columns(export: Export) -> list[str]:
    return [
        _("Name"), _("Where it hangs"), _("Store"), _("Owner"), _("State"), _("Today"), _("7 days"), _("All"), _("Lost"),
        _("Still there"), _("Cost"), _("Cost per add"), _("Created on"),
    ]  # fmt: skip


def code_page(export: Export, after: Any, size: int) -> Rows:
    rows = (
        ChannelCode.objects.live().filter(pk__gt=after or 0).select_related("store", "owner").order_by("pk")
    )
    page = list(rows[: min(size, 500)])
    figures = of_codes(export.brand, page)
    found = []
    for code in page:
        n = figures[code.pk]
        share = "" if n.still_ratio is None else f"{n.still_ratio:.4f}"
        found.append(
            [
                code.name, code.place, str(code.store or ""), str(code.owner or ""), code.get_sync_state_display(), n.n_today,
                n.n_week, n.n_all, n.n_lost, share, yuan(code.cost_fen), yuan(n.fen_per_add), export.when(code.created_at),
            ]
        )  # fmt: skip
    return found, page[-1].pk if page else after


def audit_columns(export: Export) -> list[str]:
    return [_("When"), _("Who"), _("What"), _("Kind"), _("Number"), _("Name"), _("Before"), _("After")]


def audit_page(export: Export, after: Any, size: int) -> Rows:
    page = next_rows(_between(export, AuditEntry.objects.all(), "at"), after, size)
    found = [
        [
            export.when(e.at), e.actor, e.action, e.object_type, e.object_id or "", e.object_name,
            json.dumps(e.before, ensure_ascii=False) if e.before else "",
            json.dumps(e.after, ensure_ascii=False) if e.after else "",
        ]
        for e in page
    ]  # fmt: skip
    return found, place_of(page, after)


def _days(brand: Brand, query: Any) -> dict[str, Any]:
    return {name: value for name, value in read_days(brand, query).items() if name != "state"}


TOUCHES = ExportKind(
    key="touches", label=gettext_lazy("Touches"), icon="send", right="sops.view", read=_days, columns=touch_columns,
    page=touch_page,
)  # fmt: skip
CODES = ExportKind(
    key="codes", label=gettext_lazy("Channel codes with figures"), icon="qr-code", right="codes.view", read=nothing,
    columns=code_columns, page=code_page, count=lambda export: ChannelCode.objects.live().count(),
)  # fmt: skip
AUDIT = ExportKind(
    key="audit", label=gettext_lazy("Audit log"), icon="scroll-text", right="audit.view", read=_days, columns=audit_columns,
    page=audit_page,
)  # fmt: skip
