"""Tasks of guides, for operators and managers: the list and its acts, figures by guide, batches."""

from datetime import timedelta
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django.views.decorators.vary import vary_on_headers

from campaigns.models import StaffTask
from campaigns.services import scope
from campaigns.services.tasks import staff_task_batches, staff_task_numbers, staff_tasks, task_later
from org.access import staff_can
from org.models import Job, Staff
from scrm import clock
from scrm.errors import FilterError, InvalidError, NotFoundError
from scrm.ids import read_id, read_ids
from scrm.keyset import keyset_page
from scrm.responses import go, toast

State = StaffTask.State
MANY = 500
SHOWS: list[tuple[str, Any]] = [
    ("", gettext_lazy("Open")),
    ("late", gettext_lazy("Overdue")),
    ("off", gettext_lazy("Put off")),
    ("done", gettext_lazy("Done")),
    ("expired", gettext_lazy("Not done in time")),
    ("cancelled", gettext_lazy("Cancelled")),
    ("all", gettext_lazy("All")),
]
OPEN = ("", "late", "off")


def tabs_of(active: str) -> list[dict[str, Any]]:
    return [
        {"url": "/tasks/", "label": _("Tasks"), "active": active == "tasks"},
        {"url": "/tasks/guides/", "label": _("By guide"), "active": active == "guides"},
        {"url": "/tasks/batches/", "label": _("Given in batches"), "active": active == "batches"},
    ]


@require_GET
@staff_can("tasks.view")
@vary_on_headers("HX-Request")
def task_list(request: Any) -> HttpResponse:
    """Open tasks by their deadline; others newest first."""
    show = request.GET.get("show", "")
    if show not in dict(SHOWS):
        raise FilterError()
    rows = scope.of_guides(StaffTask.objects.all(), request.staff)
    now = clock.now()
    if show in OPEN:
        rows = rows.filter(state=State.OPEN)
    elif show != "all":
        rows = rows.filter(state=show)
    if show == "late":
        rows = rows.filter(due_at__lte=now)
    elif show == "off":
        rows = rows.filter(later_at__gt=now)
    kind = request.GET.get("kind", "")
    if kind in StaffTask.Kind.values:
        rows = rows.filter(kind=kind)
    outcome = request.GET.get("outcome", "")
    if outcome in StaffTask.Outcome.values:
        rows = rows.filter(outcome=outcome)
    guide, contact, batch = (read_id(request.GET.get(name)) for name in ("guide", "contact", "batch"))
    if guide is not None:
        rows = rows.filter(staff=guide)
    if contact is not None:
        rows = rows.filter(contact=contact)
    if batch is not None:
        rows = rows.filter(source=staff_task_batches.SOURCE, source_id=batch)
    order = ("due_at", "pk") if show in OPEN else ("-pk",)
    page = keyset_page(
        rows.select_related("staff", "contact"), order=order, after=request.GET.get("after"), size=50
    )
    context: dict[str, Any] = {
        "page": page,
        "now": now,
        "undo_after": now - staff_tasks.UNDO_WITHIN,
        "delays": task_later.history(list(page)),
    }
    if request.htmx:
        return render(request, "campaigns/staff_tasks/_rows.html", context)
    figures = staff_task_numbers.of_guides(request.brand, staff_task_numbers.visible_ids(request.staff))
    context |= {
        "tabs": tabs_of("tasks"),
        "shows": SHOWS[1:],
        "show": show,
        "kinds": staff_task_batches.kinds(),
        "kind": kind,
        "outcomes": StaffTask.Outcome.choices,
        "outcome": outcome,
        "guides": _guides(request.staff),
        "guide": guide,
        "contact": contact,
        "batch": batch,
        "all": staff_task_numbers.total(list(figures.values())),
        "colleagues": _guides(request.staff, active=True),
    }
    return render(request, "campaigns/staff_tasks/list.html", context)


def _guides(staff: Staff, *, active: bool = False) -> list[tuple[int, str]]:
    rows = Staff.objects.visible_to(staff).exclude(userid="").order_by("name", "pk")
    if active:
        rows = rows.filter(state=Staff.State.ACTIVE, is_guide=True)
    return list(rows.values_list("pk", "name")[:MANY])


# ---- acts on one task


def _task(request: Any, task_id: int) -> StaffTask:
    """A task of a guide in sight of whoever asks."""
    rows = StaffTask.objects.select_related("staff", "contact")
    task = scope.of_guides(rows, request.staff).filter(pk=task_id).first()
    if task is None:
        raise NotFoundError()
    return task


@require_http_methods(["GET", "POST"])
@staff_can("tasks.edit")
def task_done(request: Any, task_id: int) -> HttpResponse:
    """A modal that asks for the result; then it is done."""
    task = _task(request, task_id)
    if request.method == "GET":
        return render(request, "campaigns/staff_tasks/done.html", {"task": task})
    staff_tasks.complete(
        request.brand,
        task_id=task.pk,
        by=request.actor,
        result=request.POST.get("result", ""),
        outcome=request.POST.get("outcome", ""),
    )
    return toast(
        HttpResponse(status=204),
        _("Done"),
        undo=f"/tasks/{task.pk}/reopen/",
        closeModal=True,
        tasksChanged=True,
    )


@require_GET
@staff_can("tasks.view")
def task_put_off(request: Any, task_id: int) -> HttpResponse:
    """A modal: how often a task was put off, by whom and why."""
    task = _task(request, task_id)
    context = {"task": task, "past": task_later.history([task]).get(task.pk, [])}
    return render(request, "campaigns/staff_tasks/put_off.html", context)


@require_POST
@staff_can("tasks.edit")
def task_act(request: Any, task_id: int, act: str) -> HttpResponse:
    """Cancelled, given again, or opened again after it was done."""
    task = _task(request, task_id)
    undo = ""
    if act == "reopen":
        staff_tasks.reopen(request.brand, task_id=task.pk, by=request.actor)
        text = _("It is open again")
    elif act == "restore":
        staff_tasks.restore(request.brand, by=request.actor, task_ids=[task.pk])
        text = _("It is open again")
    else:
        staff_tasks.cancel(request.brand, by=request.actor, task_ids=[task.pk])
        text, undo = _("Cancelled"), f"/tasks/{task.pk}/restore/"
    if request.htmx:
        return toast(HttpResponse(status=204), text, undo=undo, tasksChanged=True)
    return go(request, "staff_tasks", text, undo=undo)


@require_POST
@staff_can("tasks.edit")
def chosen(request: Any) -> HttpResponse:
    """The ticked tasks (`ids`) are cancelled, or go to a colleague (`to`)."""
    given = read_ids(request.POST)
    rows = scope.of_guides(StaffTask.objects.filter(pk__in=given, state=State.OPEN), request.staff)
    ids = list(rows.values_list("pk", flat=True))
    if not ids:
        raise InvalidError(_("Tick at least one open task"))
    if request.POST.get("act") == "cancel":
        n = staff_tasks.cancel(request.brand, by=request.actor, task_ids=ids)
        return go(request, "staff_tasks", _("%(n)s cancelled") % {"n": n})
    to = read_id(request.POST.get("to")) or 0
    colleague = Staff.objects.visible_to(request.staff).guides().filter(pk=to).first()
    if colleague is None:
        raise InvalidError(_("Choose who is to do it"))
    n = staff_tasks.move(request.brand, task_ids=ids, to_staff_id=colleague.pk, by=request.actor)
    text = _("%(n)s given to %(name)s") % {"n": n, "name": colleague.name}
    if rows.filter(kind=StaffTask.Kind.ADD).exclude(staff=colleague).exists():
        text += " · " + _("Numbers to add stay: give them to others on the page of their list")
        return go(request, "staff_tasks", text, "warning")
    return go(request, "staff_tasks", text)


# ---- by guide


@require_GET
@staff_can("tasks.view")
def by_guide(request: Any) -> HttpResponse:
    """Each guide's open and overdue tasks, completion rate and unconfirmed sends; the worst first."""
    ids = staff_task_numbers.visible_ids(request.staff)
    figures = staff_task_numbers.of_guides(request.brand, ids)
    people = Staff.objects.select_related("store").in_bulk(list(figures))
    rows = [(people[pk], n) for pk, n in figures.items() if pk in people]
    rows.sort(key=lambda row: (-row[1].n_late, -row[1].n_sends, -row[1].n_open, row[0].name))
    context = {
        "tabs": tabs_of("guides"),
        "rows": rows[:MANY],
        "more": max(0, len(rows) - MANY),
        "all": staff_task_numbers.total(list(figures.values())),
        "outcomes": StaffTask.Outcome.choices,
    }
    return render(request, "campaigns/staff_tasks/guides.html", context)


# ---- batches


@require_GET
@staff_can("tasks.view")
@vary_on_headers("HX-Request")
def batch_list(request: Any) -> HttpResponse:
    """What was given to many at once, newest first, with what has become of it."""
    rows = Job.objects.filter(kind=staff_task_batches.KIND)
    page = keyset_page(rows, order=("-pk",), after=request.GET.get("after"), size=20)
    counts = staff_task_numbers.of_batches(request.brand, [job.pk for job in page])
    context: dict[str, Any] = {
        "page": page,
        "counts": counts,
        "undo_after": clock.now() - timedelta(hours=24),
    }
    if request.htmx:
        return render(request, "campaigns/staff_tasks/_batches.html", context)
    return render(request, "campaigns/staff_tasks/batches.html", context | {"tabs": tabs_of("batches")})


@require_POST
@staff_can("tasks.edit")
def batch_act(request: Any, job_id: int, act: str) -> HttpResponse:
    """All open tasks of a batch are taken back, or given again."""
    if act == "give":
        n = staff_task_batches.give_again(request.brand, job_id=job_id, by=request.actor)
        return go(request, "staff_task_batches", _("%(n)s are open again") % {"n": n})
    n = staff_task_batches.take_back(request.brand, job_id=job_id, by=request.actor)
    return go(
        request,
        "staff_task_batches",
        _("%(n)s taken back") % {"n": n},
        undo=f"/tasks/batches/{job_id}/give/" if n else "",
    )
