"""差异: what was not here as it is in WeCom, field by field."""

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from datafiles.exports.base import Export, ExportKind, Rows, last_id, next_by_id
from drift.kinds import KINDS
from drift.models import Difference
from drift.words import lines
from scrm.errors import FilterError
from tenants.models import Brand


def _read(brand: Brand, query: Any) -> dict[str, Any]:
    """The filter of the page: `state` (any: all of them; open if not given) and `kind`."""
    state, kind = query.get("state") or Difference.State.OPEN, query.get("kind") or ""
    if state not in ("any", *Difference.State.values) or kind not in ("", *KINDS):
        raise FilterError()
    return {name: str(value) for name, value in (("state", state), ("kind", kind)) if value}


def _rows(export: Export) -> Any:
    rows = Difference.objects.all()
    if export.params["state"] != "any":
        rows = rows.filter(state=export.params["state"])
    return rows.filter(kind=export.params["kind"]) if "kind" in export.params else rows


def _columns(export: Export) -> list[str]:
    return [
        _("Kind"), _("Name"), _("Key"), _("Contact number"), _("Guide"), _("Field"), _("Here"), _("In WeCom"), _("State"),
        _("Note"), _("Found at"), _("Ended"), _("By whom"),
    ]  # fmt: skip


def _page(export: Export, after: Any, size: int) -> Rows:
    """A row for each field that differs."""
    page = next_by_id(_rows(export), after, size)
    found = []
    for line in lines(page, export.brand.timezone):
        row = line.row
        differing = [[field.label, field.ours, field.theirs] for field in line.fields]
        for differs in differing or [["", "", ""]]:
            found.append(
                [
                    line.label, row.title, row.key, row.contact_id or "", line.guide, *differs, row.get_state_display(),
                    row.note, export.when(row.found_at), export.when(row.closed_at), row.closed_by,
                ]
            )  # fmt: skip
    return found, last_id(page, after)


DIFFERENCES = ExportKind(
    key="differences", label=gettext_lazy("Differences from WeCom"), icon="scale", right="sync.view", read=_read,
    columns=_columns, page=_page,
)  # fmt: skip
