"""Figures of channel codes."""

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from datafiles.exports.base import (
    Export,
    ExportKind,
    Rows,
    last_id,
    next_by_id,
    nothing,
    yuan,
)
from livecodes.models import ChannelCode
from livecodes.services.figures import of_codes


def code_columns(export: Export) -> list[str]:
    return [
        _("Name"), _("Where it hangs"), _("Store"), _("Owner"), _("State"), _("Today"), _("7 days"), _("All"), _("Lost"),
        _("Still there"), _("Cost"), _("Cost per add"), _("Created on"),
    ]  # fmt: skip


def code_page(export: Export, after: Any, size: int) -> Rows:
    page = next_by_id(ChannelCode.objects.live().select_related("store", "owner"), after, min(size, 500))
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
    return found, last_id(page, after)


CODES = ExportKind(
    key="codes", label=gettext_lazy("Channel codes with figures"), icon="qr-code", right="codes.view", read=nothing,
    columns=code_columns, page=code_page, count=lambda export: ChannelCode.objects.live().count(),
)  # fmt: skip
