"""Put one of one's own tasks about a customer off: why, until when, and back at once."""

from typing import Any
from zoneinfo import ZoneInfo

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from campaigns.models import StaffTask, TaskDelay
from campaigns.services.tasks import task_later as services
from campaigns.services.tasks import task_policy
from contacts.views.profile import moment_of
from guides.views.pages import own_task
from org.access import staff_can
from scrm import clock
from scrm.ids import read_id
from scrm.responses import toast


@require_http_methods(["GET", "POST"])
@staff_can("contacts.edit")
def task_later(request: Any, task_id: int) -> HttpResponse:
    """GET: the modal with reasons and moments. POST: `when` is a moment by name (services.choices) or `own` with
    `due_at`; `seen`: how often it had been put off when the modal was shown, so that a second tap changes nothing."""
    task = own_task(request, task_id)
    offered = services.choices(request.brand, task)
    if request.method == "GET":
        services.may_wait(task)
        zone = ZoneInfo(request.brand.timezone)
        last = services.latest(task, task_policy.policy_of(request.brand))
        context = {
            "task": task,
            "choices": offered,
            "whys": TaskDelay.Why.choices,
            "chosen": TaskDelay.Why.UNREACHED if task.kind == StaffTask.Kind.CALL else "",
            "last": last,
            "can_wait": last > clock.now(),
            "least": clock.now().astimezone(zone).strftime("%Y-%m-%dT%H:%M"),
            "most": last.astimezone(zone).strftime("%Y-%m-%dT%H:%M"),
            "delays": services.history([task]).get(task.pk, []),
        }
        return render(request, "guides/later.html", context)
    by_name = {choice.key: choice.at for choice in offered}
    task = services.put_off(
        request.brand,
        task_id=task.pk,
        by=request.actor,
        until=by_name.get(request.POST.get("when", "")) or moment_of(request),
        why=request.POST.get("why", ""),
        words=request.POST.get("words", ""),
        seen=read_id(request.POST.get("seen")),
    )
    delay = services.history([task])[task.pk][0]
    local = delay.until.astimezone(ZoneInfo(request.brand.timezone))
    return toast(
        HttpResponse(status=204),
        _("Put off until %(when)s") % {"when": f"{local:%m-%d %H:%M}"},
        undo=f"/g/tasks/{task.pk}/later/{delay.pk}/undo/",
        closeModal=True,
        tasksChanged=True,
    )


@require_POST
@staff_can("contacts.edit")
def task_later_undo(request: Any, task_id: int, delay_id: int) -> HttpResponse:
    task = own_task(request, task_id)
    services.take_back(request.brand, task_id=task.pk, delay_id=delay_id, by=request.actor)
    return toast(HttpResponse(status=204), _("It is in your list again"), tasksChanged=True)
