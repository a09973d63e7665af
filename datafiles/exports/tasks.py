"""员工任务: what guides have and had to do."""

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from campaigns.models import StaffTask
from campaigns.services import scope
from campaigns.services.tasks import staff_task_batches
from datafiles.exports.base import Export, ExportKind, Rows, last_id, next_by_id
from scrm import clock
from scrm.errors import FilterError
from scrm.ids import read_id
from tenants.models import Brand

SHOWS = (
    "",
    "late",
    "off",
    "all",
    *(state for state in StaffTask.State.values if state != StaffTask.State.OPEN),
)

_WORDS = (
    ("show", SHOWS),
    ("kind", ("", *StaffTask.Kind.values)),
    ("outcome", ("", *StaffTask.Outcome.values)),
)


def _read(brand: Brand, query: Any) -> dict[str, Any]:
    """The filter of the page: `show`, `kind`, `outcome`, `guide`, `contact`, `batch`. Without `show` open ones."""
    found: dict[str, Any] = {}
    for name, known in _WORDS:
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
    elif found.get("show") == "off":
        found["later_after"] = clock.now().isoformat()
    return found


def _rows(export: Export) -> Any:
    given = export.params
    rows = StaffTask.objects.all()
    if export.staff is not None:
        rows = scope.of_guides(rows, export.staff)
    show = given.get("show", "")
    if show in ("", "late", "off"):
        rows = rows.filter(state=StaffTask.State.OPEN)
    elif show != "all":
        rows = rows.filter(state=show)
    if "due_before" in given:
        rows = rows.filter(due_at__lte=given["due_before"])
    if "later_after" in given:
        rows = rows.filter(later_at__gt=given["later_after"])
    if "batch" in given:
        rows = rows.filter(source=staff_task_batches.SOURCE, source_id=given["batch"])
    return rows.filter(**{column: given[name] for name, column in _COLUMNS.items() if name in given})


_COLUMNS = {"kind": "kind", "outcome": "outcome", "guide": "staff", "contact": "contact"}


def _columns(export: Export) -> list[str]:
    return [
        _("Number"), _("Kind"), _("Title"), _("What to do"), _("Guide"), _("Contact number"), _("Name"), _("State"),
        _("Deadline"), _("Created on"), _("Done at"), _("Done by"), _("Result"), _("Source"),
        _("How it ended"), _("Put off, times"), _("Put off until"), _("Deadline at first"),
    ]  # fmt: skip


def _page(export: Export, after: Any, size: int) -> Rows:
    page = next_by_id(_rows(export).select_related("staff", "contact"), after, size)
    found = [
        [
            task.pk, task.get_kind_display(), task.title, task.note, task.staff.name, task.contact_id or "",
            task.contact.name if task.contact else "", task.get_state_display(), export.when(task.due_at),
            export.when(task.created_at), export.when(task.done_at), task.done_by, task.result, task.source,
            task.get_outcome_display() if task.outcome else "", task.n_later, export.when(task.later_at),
            export.when(task.first_due_at),
        ]
        for task in page
    ]  # fmt: skip
    return found, last_id(page, after)


TASKS = ExportKind(
    key="tasks", label=gettext_lazy("Guides' tasks"), icon="list-todo", right="tasks.view", read=_read, columns=_columns,
    page=_page, count=lambda export: _rows(export).count(),
)  # fmt: skip
