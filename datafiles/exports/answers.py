"""What people answered on a page."""

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from content import questions
from content.models import Content, ContentVersion
from content.services import answers
from content.services.editing import get_content
from datafiles.exports.base import Export, ExportKind, Rows
from scrm.errors import FilterError
from scrm.ids import read_id
from tenants.models import Brand


def read_content(brand: Brand, query: Any) -> dict[str, Any]:
    """`content`: the page."""
    given = read_id(query.get("content"))
    if given is None or get_content(given).kind != Content.Kind.PAGE:
        raise FilterError()
    return {"content": given}


def _asked(export: Export) -> list[dict[str, Any]]:
    """Questions of all versions, the words of the newest."""
    found: dict[str, dict[str, Any]] = {}
    versions = ContentVersion.objects.filter(content_id=export.params["content"]).order_by("no")
    for page in versions.values_list("page", flat=True):
        form = questions.form_of(page or {})
        found |= {question["key"]: question for question in (form["questions"] if form else ())}
    return list(found.values())


def columns(export: Export) -> list[str]:
    first = [_("Answered at"), _("First answered at"), _("Contact number"), _("Name"), _("Link")]
    return first + [question["label"] for question in _asked(export)]


def page(export: Export, after: Any, size: int) -> Rows:
    asked = _asked(export)
    rows, last = [], after
    for row, name, link in answers.rows_of(export.params["content"], export.staff, after or 0, size):
        given = ["、".join(questions.texts(row.answers.get(q["key"]))) for q in asked]
        rows.append(
            [export.when(row.at), export.when(row.first_at), row.contact_id or "", name, link, *given]
        )
        last = row.pk
    return rows, last


ANSWERS = ExportKind(
    key="answers", label=gettext_lazy("Answers to a form"), icon="clipboard-list", right="content.view", read=read_content,
    columns=columns, page=page, title=lambda export: get_content(export.params["content"]).name, needs=("content",),
)  # fmt: skip
