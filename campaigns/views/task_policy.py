"""Settings: when guides are reminded of tasks, and when managers are told."""

from typing import Any

from django import forms
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from campaigns.services.tasks import task_policy
from campaigns.services.tasks.task_policy import LIMITS
from org.access import staff_can
from org.forms import add_errors
from org.views.settings import tabs as settings_tabs
from scrm.errors import InvalidError
from scrm.responses import go


class TaskPolicyForm(forms.Form):
    """The columns of TaskPolicy, in hours."""

    remind_hours = forms.IntegerField(
        label=gettext_lazy("Remind the guide, hours before the deadline"),
        help_text=gettext_lazy(
            "In one message with everything that is due an hour later; none in quiet hours."
        ),
    )
    escalate_hours = forms.IntegerField(
        label=gettext_lazy("Tell the manager, hours after the deadline"),
        help_text=gettext_lazy(
            "Once for each task; the guide's superior in WeCom, else who answers for the store."
        ),
    )
    send_hours = forms.IntegerField(
        label=gettext_lazy("Tell the manager of a send that is not confirmed, after hours"),
        help_text=gettext_lazy("Counted from when WeCom gave it to the guide."),
    )
    later_hours = forms.IntegerField(
        label=gettext_lazy("A guide may put a task off beyond its deadline by hours"),
        help_text=gettext_lazy(
            "“Not reached, call later”: a moment after the deadline moves it to an hour after that moment. 0: it never moves."
        ),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, (least, most) in LIMITS.items():
            self.fields[name].widget.attrs |= {"min": least, "max": most}


@require_http_methods(["GET", "POST"])
@staff_can("brand.edit")
def task_settings(request: Any) -> HttpResponse:
    row = task_policy.policy_of(request.brand)
    form = TaskPolicyForm(request.POST or None, initial={name: getattr(row, name) for name in LIMITS})
    if request.method == "POST" and form.is_valid():
        try:
            task_policy.change_policy(request.brand, by=request.actor, **form.cleaned_data)
            return go(request, "/settings/tasks/", _("Saved. It holds from now on."))
        except InvalidError as error:
            add_errors(form, error)
    context = {"form": form, "tabs": settings_tabs(request, "tasks")}
    return render(request, "campaigns/staff_tasks/policy.html", context, status=422 if form.errors else 200)
