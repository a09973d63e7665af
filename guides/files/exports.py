"""Numbers of a list with what has become of them; phones as the person may see them."""

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from datafiles.exports.base import Export, ExportKind, Rows, last_id, names_of, next_by_id
from guides.models import Lead, LeadList
from org.models import Staff
from scrm.errors import FilterError, InvalidError
from scrm.ids import read_id
from tenants.models import Brand


def _read(brand: Brand, query: Any) -> dict[str, Any]:
    given = read_id(query.get("list"))
    if given is None or not LeadList.objects.filter(pk=given).exists():
        raise InvalidError(_("Choose a list"), fields={"list": _("Choose a list")})
    found: dict[str, Any] = {"list": given}
    if state := query.get("state"):
        if state not in Lead.State.values:
            raise FilterError(fields={"state": ", ".join(Lead.State.values)})
        found["state"] = state
    return found


def _rows(export: Export) -> Any:
    rows = Lead.objects.visible_to(export.staff).filter(list=export.params["list"])
    return rows.filter(state=export.params["state"]) if "state" in export.params else rows


def _columns(export: Export) -> list[str]:
    return [
        _("Phone"), _("Name"), _("Note for the guide"), _("Store"), _("Guide"), _("State"), _("Given on"), _("Asked on"),
        _("Ended on"), _("Guide's note"), _("Contact number"), _("Has added"), _("How often given"),
    ]  # fmt: skip


def _page(export: Export, after: Any, size: int) -> Rows:
    page = next_by_id(_rows(export).select_related("staff", "store"), after, size)
    guides = names_of(Staff, (x.added_staff_id for x in page))
    found = [
        [
            export.phone(x.phone), x.name, x.note, str(x.store or ""), str(x.staff or ""), x.get_state_display(),
            export.when(x.given_at), export.when(x.asked_at), export.when(x.ended_at), x.said, x.contact_id or "",
            guides.get(x.added_staff_id, ""), x.n_given,
        ]
        for x in page
    ]  # fmt: skip
    return found, last_id(page, after)


LEADS = ExportKind(
    key="leads", label=gettext_lazy("Numbers to add"), icon="user-plus", right="leads.view", read=_read, columns=_columns,
    page=_page, count=lambda export: _rows(export).count(),
    title=lambda export: LeadList.objects.get(pk=export.params["list"]).name, needs=("list",),
)  # fmt: skip
