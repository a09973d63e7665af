"""员工任务: what guides have and had to do."""

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from campaigns.models import StaffTask
from campaigns.services import scope, staff_task_batches
from datafiles.exports.base import Export, ExportKind, Rows, last_id, next_by_id
from scrm import clock
from scrm.errors import FilterError
from scrm.ids import read_id
from tenants.models import Brand

SHOWS = ("", "late", "all", *(state for state in StaffTask.State.values if state != StaffTask.State.OPEN))


def _read(brand: Brand, query: Any) -> dict[str, Any]:
    """The filter of the page: `show`, `kind`, `guide`, `contact`, `batch`. Without `show` open ones."""
    found: dict[str, Any] = {}
    for name, known in (("show", SHOWS), ("kind", ("", *StaffTask.Kind.values))):
        if (text := query.get(name, "")) not in known:
            raise FilterError()
        if text:
            found[name] = text
    for name in ("guide", "contact", "batch"):
        if text := query.get(name):
            if (given := read_id(text)) is None:
                raise FilterError()
            found[name] = given
    if found.get("show") == "late":  # of the moment of asking, whenever the file is made
        found["due_before"] = clock.now().isoformat()
    return found


def _rows(export: Export) -> Any:
    given = export.params
    rows = StaffTask.objects.all()
    if export.staff is not None:
        rows = scope.of_guides(rows, export.staff)
    show = given.get("show", "")
    if show in ("", "late"):
        rows = rows.filter(state=StaffTask.State.OPEN)
    elif show != "all":
        rows = rows.filter(state=show)
    if "due_before" in given:
        rows = rows.filter(due_at__lte=given["due_before"])
    if "batch" in given:
        rows = rows.filter(source=staff_task_batches.SOURCE, source_id=given["batch"])
    return rows.filter(**{column: given[name] for name, column in _COLUMNS.items() if name in given})


_COLUMNS = {"kind": "kind", "guide": "staff", "contact": "contact"}


def _columns(export: Export) -> list[str]:
    return [
        _("Number"), _("Kind"), _("Title"), _("What to do"), _("Guide"), _("Contact number"), _("Name"), _("State"),
        _("Deadline"), _("Created on"), _("Done at"), _("Done by"), _("Result"), _("Source"),
    ]  # fmt: skip


def _page(export: Export, after: Any, size: int) -> Rows:
    page = next_by_id(_rows(export).select_related("staff", "contact"), after, size)
    found = [
        [
            task.pk, task.get_kind_display(), task.title, task.note, task.staff.name, task.contact_id or "",
            task.contact.name if task.contact else "", task.get_state_display(), export.when(task.due_at),
            export.when(task.created_at), export.when(task.done_at), task.done_by, task.result, task.source,
        ]
        for task in page
    ]  # fmt: skip
    return found, last_id(page, after)


TASKS = ExportKind(
    key="tasks", label=gettext_lazy("Guides' tasks"), icon="list-todo", right="tasks.view", read=_read, columns=_columns,
    page=_page, count=lambda export: _rows(export).count(),
)  # fmt: skip
