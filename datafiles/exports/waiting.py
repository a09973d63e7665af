"""待生效标签: tags of people who are known by an identity only."""

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from contacts.models import Identity
from datafiles.exports.base import Export, ExportKind, Rows, nothing
from tagging.models import WaitingTag


def _columns(export: Export) -> list[str]:
    return [_("Kind"), _("Identity"), _("Tag group"), _("Tag"), _("Why"), _("Since"), _("Until")]


def _page(export: Export, after: Any, size: int) -> Rows:
    rows = WaitingTag.objects.filter(pk__gt=after or 0).select_related("tag__group").order_by("pk")
    page, kinds = list(rows[:size]), dict(Identity.Kind.choices)
    found = [
        [
            str(kinds.get(row.kind, row.kind)), export.phone(row.value) if row.kind == Identity.Kind.PHONE else row.value,
            row.tag.group.name, row.tag.name, row.source, export.when(row.at), export.when(row.expires_at),
        ]
        for row in page
    ]  # fmt: skip
    return found, page[-1].pk if page else after


WAITING = ExportKind(
    key="waiting_tags", label=gettext_lazy("Waiting tags"), icon="hourglass", right="tags.edit", read=nothing,
    columns=_columns, page=_page,
)  # fmt: skip
