"""The guide's own pages: today, customers, figures; and what is done there with one tap."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST
from django.views.decorators.vary import vary_on_headers

from campaigns.models import StaffTask
from campaigns.services.tasks import staff_tasks, task_later
from contacts.filters import Filters
from contacts.models import Follow, Reminder
from contacts.services import listing, reminders
from guides.services import calling
from guides.services import today as services
from guides.services.leads import numbers
from guides.views.frame import page, through_other_corp
from org.access import staff_can
from scrm import clock
from scrm.errors import NotFoundError
from scrm.responses import toast

SIZE = 30


@require_GET
@staff_can("contacts.view")
@vary_on_headers("HX-Request")
def today(request: Any) -> HttpResponse:
    """What is to be done: sends, moments, overdue and today's tasks, reminders; what comes, what is done."""
    if (response := through_other_corp(request)) is not None:
        return response
    found = services.today_of(request.brand, request.staff)
    context = {
        "list": found,
        "now": clock.now(),
        "phones": calling.of_tasks(found.tasks),
        "people": services.people_of(found.sends.rows),
        "delays": task_later.history(found.tasks),
    }
    if request.htmx:
        return render(request, "guides/_today.html", context)
    return page(request, "guides/today.html", context, active="today")


@require_GET
@staff_can("contacts.view")
def task_rows(request: Any) -> HttpResponse:
    """A fragment: the next tasks of one `list` of today's."""
    name = request.GET.get("list", "")
    if name not in services.TASK_LISTS:
        raise NotFoundError()
    rows = services.task_page(request.brand, request.staff, name, after=request.GET.get("after"))
    context = {
        "page": rows,
        "name": name,
        "now": clock.now(),
        "phones": calling.of_tasks(list(rows)),
        "delays": task_later.history(list(rows)),
    }
    return render(request, "guides/_task_rows.html", context)


@require_GET
@staff_can("contacts.view")
def waiting(request: Any) -> HttpResponse:
    """A fragment: who waits. It is loaded after the list, because it looks at all of the guide's customers."""
    context = {
        "groups": services.waiting_of(request.brand, request.staff),
        "leads": numbers.of_guide(request.staff),
    }
    return render(request, "guides/_waiting.html", context)


@require_GET
@staff_can("contacts.view")
@vary_on_headers("HX-Request")
def customers(request: Any) -> HttpResponse:
    """One's customers, newest first, found by name, remark or phone."""
    if (response := through_other_corp(request)) is not None:
        return response
    q = request.GET.get("q", "").strip()[:64]
    # whoever sees more than their own customers still finds their own here
    filters = Filters(q=q, guide=request.staff.pk, state="reachable")
    found = listing.page(
        request.brand, staff=request.staff, filters=filters, after=request.GET.get("after"), size=SIZE
    )
    remarks = dict(
        Follow.objects.filter(staff=request.staff, contact__in=[c.pk for c in found]).values_list(
            "contact_id", "remark"
        )
    )
    context = {"page": found, "remarks": remarks, "q": q}
    if request.htmx:
        return render(request, "guides/_customers.html", context)
    return page(request, "guides/customers.html", context, active="customers")


@require_GET
@staff_can("contacts.view")
def me(request: Any) -> HttpResponse:
    """One's own figures."""
    if (response := through_other_corp(request)) is not None:
        return response
    context = services.figures_of(request.brand, request.staff)
    return page(request, "guides/me.html", context, active="me")


# ---- one tap


def own_task(request: Any, task_id: int) -> StaffTask:
    """A task of the person who asks; everybody else's is not there."""
    task = staff_tasks.get_task(task_id)
    if task.staff_id != request.staff.pk:
        raise NotFoundError()
    return task


@require_POST
@staff_can("contacts.edit")
def task_done(request: Any, task_id: int) -> HttpResponse:
    """Done, with what came of it; the list that shows it is loaded anew."""
    task = own_task(request, task_id)
    staff_tasks.complete(
        request.brand,
        task_id=task.pk,
        by=request.actor,
        result=request.POST.get("result", ""),
        outcome=request.POST.get("outcome", ""),
    )
    return toast(HttpResponse(status=204), _("Done"), undo=f"/g/tasks/{task.pk}/reopen/", tasksChanged=True)


@require_POST
@staff_can("contacts.edit")
def task_reopen(request: Any, task_id: int) -> HttpResponse:
    task = own_task(request, task_id)
    staff_tasks.reopen(request.brand, task_id=task.pk, by=request.actor)
    return toast(HttpResponse(status=204), _("It is open again"), tasksChanged=True)


@require_POST
@staff_can("contacts.edit")
def reminder_done(request: Any, reminder_id: int) -> HttpResponse:
    row = Reminder.objects.filter(pk=reminder_id, staff=request.staff).first()
    if row is None:
        raise NotFoundError()
    reminders.finish(request.brand, row.pk, by=request.actor)
    return toast(HttpResponse(status=204), _("Done"), tasksChanged=True)
