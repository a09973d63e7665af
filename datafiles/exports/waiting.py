"""待生效标签: tags of people who are known by an identity only."""

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from contacts.models import Identity
from datafiles.exports.base import Export, ExportKind, Rows, last_id, next_by_id
from tagging.services.tags import waiting
from tenants.models import Brand


def _read(brand: Brand, query: Any) -> dict[str, Any]:
    """`q`: of one identity, exactly."""
    value = waiting.clean_value(str(query.get("q") or ""))
    return {"q": value} if value else {}


def _columns(export: Export) -> list[str]:
    return [_("Kind"), _("Identity"), _("Tag group"), _("Tag"), _("Why"), _("Since"), _("Until")]


def _page(export: Export, after: Any, size: int) -> Rows:
    page = next_by_id(waiting.waiting_with(export.params.get("q", "")), after, size)
    kinds = dict(Identity.Kind.choices)
    found = [
        [
            str(kinds.get(row.kind, row.kind)), export.identity(row.kind, row.value), row.tag.group.name, row.tag.name,
            row.source, export.when(row.at), export.when(row.expires_at),
        ]
        for row in page
    ]  # fmt: skip
    return found, last_id(page, after)


WAITING = ExportKind(
    key="waiting_tags", label=gettext_lazy("Waiting tags"), icon="hourglass", right="tags.edit", read=_read,
    columns=_columns, page=_page,
)  # fmt: skip
