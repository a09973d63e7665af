"""The audit log."""

import json
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from datafiles.exports.base import (
    Export,
    ExportKind,
    Rows,
    between,
    next_rows,
    place_of,
    read_days,
)
from org.models import AuditEntry


def audit_columns(export: Export) -> list[str]:
    return [_("When"), _("Who"), _("What"), _("Kind"), _("Number"), _("Name"), _("Before"), _("After")]


def audit_page(export: Export, after: Any, size: int) -> Rows:
    page = next_rows(between(export, AuditEntry.objects.all(), "at"), after, size)
    found = [
        [
            export.when(e.at), e.actor, e.action, e.object_type, e.object_id or "", e.object_name,
            json.dumps(e.before, ensure_ascii=False) if e.before else "",
            json.dumps(e.after, ensure_ascii=False) if e.after else "",
        ]
        for e in page
    ]  # fmt: skip
    return found, place_of(page, after)


AUDIT = ExportKind(
    key="audit", label=gettext_lazy("Audit log"), icon="scroll-text", right="audit.view", read=read_days, columns=audit_columns,
    page=audit_page,
)  # fmt: skip
