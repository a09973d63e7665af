"""Give tasks: to the guides of a segment, of a list or of ticked contacts, or to guides themselves."""

import hashlib
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

from django import forms
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from campaigns.models import StaffTask, TaskPolicy
from campaigns.services.broadcasts import recipients
from campaigns.services.governance import workload_tasks
from campaigns.services.governance.rules import policy_of
from campaigns.services.tasks import staff_task_batches, task_policy
from campaigns.services.tasks.staff_tasks import TaskInput
from org.access import staff_can
from org.forms import add_errors, is_for_saving
from org.models import Staff
from scrm import clock
from scrm.errors import InvalidError, SCRMError
from scrm.responses import go
from tagging.models import Segment

ASKED_FROM = 50  # for so many customers it is asked once more


class TaskForm(forms.Form):
    """`who` says which of segment, people and guides counts."""

    kind = forms.ChoiceField(label=gettext_lazy("Kind"), choices=staff_task_batches.kinds)
    title = forms.CharField(
        label=gettext_lazy("Title"),
        max_length=80,
        widget=forms.TextInput(attrs={"placeholder": gettext_lazy("Call: the new season is here")}),
    )
    note = forms.CharField(
        label=gettext_lazy("What to do"),
        required=False,
        max_length=1000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=gettext_lazy("The guide reads it beside the task."),
    )
    due_at = forms.DateTimeField(
        label=gettext_lazy("Deadline"),
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )
    days = forms.IntegerField(
        label=gettext_lazy("Days after the deadline that it may still be done"),
        required=False,
        min_value=0,
        max_value=365,
        help_text=gettext_lazy("Then it ends as not done in time. Empty: it stays open."),
    )
    who = forms.ChoiceField(
        label=gettext_lazy("For whom"),
        choices=[
            ("segment", gettext_lazy("Customers of a segment, each by their own guide")),
            ("list", gettext_lazy("A list of customers, each by their own guide")),
            ("guides", gettext_lazy("Guides, not about a customer")),
        ],
        widget=forms.RadioSelect,
        initial="segment",
    )
    segment = forms.ModelChoiceField(
        label=gettext_lazy("Segment"),
        queryset=Segment.objects.none(),
        required=False,
        widget=forms.Select(attrs={"data-search-select": gettext_lazy("Nothing found")}),
    )
    values = forms.CharField(
        label=gettext_lazy("People"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 5, "placeholder": "wmXXXXXXXX\n13800000000"}),
        help_text=gettext_lazy(
            "WeCom's external ids, phone numbers or member numbers; one on each line, or with commas."
        ),
    )
    guides = forms.ModelMultipleChoiceField(
        label=gettext_lazy("Guides"), queryset=Staff.objects.none(), required=False
    )

    a_day = forms.IntegerField(
        label=gettext_lazy("Spread over days: of one guide a day at most"),
        required=False,
        min_value=1,
        max_value=staff_task_batches.MOST_A_DAY,
        help_text=gettext_lazy(
            "The first ones are due at the deadline, the next ones a day later each, at the same time of day. Empty: all at once."
        ),
    )

    def __init__(
        self, *args: Any, zone: str, segments: QuerySet, guides: QuerySet, policy: TaskPolicy, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.zone = zone
        self.fields["due_at"].help_text = _(
            "The guide is reminded %(before)s h before, the manager is told %(after)s h after it."
        ) % {"before": policy.remind_hours, "after": policy.escalate_hours}
        self.fields["segment"].queryset = segments  # type: ignore[attr-defined]
        self.fields["guides"].queryset = guides  # type: ignore[attr-defined]

    def clean_due_at(self) -> datetime:
        given: datetime = self.cleaned_data["due_at"]
        return given.replace(tzinfo=ZoneInfo(self.zone))  # as typed: the brand's time

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        needed = {"segment": "segment", "list": "values", "guides": "guides"}.get(given.get("who", ""))
        if needed and not given.get(needed) and not self.errors.get(needed):
            self.add_error(needed, _("Say for whom"))
        return given


def _form(request: Any, *args: Any, **kwargs: Any) -> TaskForm:
    can_segment = request.actor.can("segments.view")
    return TaskForm(
        *args,
        zone=request.brand.timezone,
        segments=Segment.objects.filter(deleted_at=None).order_by("name")
        if can_segment
        else Segment.objects.none(),
        guides=Staff.objects.visible_to(request.staff).guides().order_by("name"),
        policy=task_policy.policy_of(request.brand),
        **kwargs,
    )


def _initial(request: Any) -> dict[str, Any]:
    """Tomorrow at six in the evening, the brand's time."""
    tomorrow = clock.now().astimezone(ZoneInfo(request.brand.timezone)) + timedelta(days=1)
    return {
        "kind": StaffTask.Kind.CALL,
        "due_at": tomorrow.replace(hour=18, minute=0, second=0, microsecond=0, tzinfo=None),
        "segment": request.GET.get("segment") or None,
        "who": "segment" if request.actor.can("segments.view") else "list",
    }


@require_http_methods(["GET", "POST"])
@staff_can("tasks.edit")
def task_new(request: Any) -> HttpResponse:
    """The form; a POST starts the job (customers) or gives at once (guides)."""
    if request.method == "GET":
        return _page(request, _form(request, initial=_initial(request)))
    form = _form(request, request.POST)
    if not is_for_saving(request, form):
        return _page(request, form, status=422)
    given = form.cleaned_data
    common: dict[str, Any] = {
        "kind": given["kind"],
        "title": given["title"],
        "note": given["note"],
        "due_at": given["due_at"],
        "expires_at": given["due_at"] + timedelta(days=given["days"]) if given["days"] is not None else None,
    }
    try:
        if given["who"] == "guides":
            nonce = request.POST.get("nonce", "")[:32] or uuid4().hex
            rows = [TaskInput(staff_id=s.pk, key=f"page:{nonce}:{s.pk}", **common) for s in given["guides"]]
            return go(request, "staff_tasks", *_give(request, rows))
        target: dict[str, Any] = (
            {"contact_ids": _people(request, given["values"])}
            if given["who"] == "list"
            else {"segment_id": given["segment"].pk}
        )
        if asked := _question(request, target):
            return _page(request, form, asked=asked)
        staff_task_batches.start(
            request.brand, by=request.actor, staff=request.staff, a_day=given["a_day"], **common, **target
        )
    except SCRMError as error:
        add_errors(form, error)
        return _page(request, form, status=422)
    return go(request, "staff_task_batches", _("The tasks are being given"), "info")


def _question(request: Any, target: dict[str, Any]) -> dict[str, Any] | None:
    """How many tasks it would be, where that is many and nobody has said yes to just these people: {n, key}."""
    if "segment_id" in target:
        key = f"segment:{target['segment_id']}"
        n = staff_task_batches.n_in_segment(request.brand, target["segment_id"], request.staff)
    else:
        ids = sorted(set(target["contact_ids"]))
        key, n = f"list:{_digest(ids)}", len(ids)
    return None if n < ASKED_FROM or request.POST.get("agreed") == key else {"n": n, "key": key}


def _digest(ids: list[int]) -> str:
    return hashlib.sha256(",".join(map(str, ids)).encode()).hexdigest()[:20]


def _give(request: Any, rows: list[TaskInput]) -> tuple[str, str]:
    """Tasks for guides themselves: what became of them in words, and the kind of the notice."""
    given = workload_tasks.give(request.brand, rows, source="page", by=request.actor)
    said = [_("%(n)s tasks given") % {"n": len(given.ids)}]
    if given.moved:
        text = _("%(n)s with a later deadline: the guide has enough to do on that day")
        said.append(text % {"n": len(given.moved)})
    if given.left_out:
        said.append(_("%(n)s not given: the guide has enough to do on that day") % {"n": len(given.left_out)})
    if n := workload_tasks.n_over(request.brand, [(row.staff_id, row.due_at) for row in rows]):
        most = policy_of(request.brand).guide_tasks_a_day
        said.append(
            _("%(n)s guides have more than %(most)s things to do by hand on that day")
            % {"n": n, "most": most}
        )
    return " · ".join(said), "success" if len(said) == 1 else "warning"


def _people(request: Any, values: str) -> list[int]:
    """Those of a pasted list whom the person may see.

    Raises:
        InvalidError: somebody of it is unknown: nothing is given, and the unknown ones are named.
    """
    found = recipients.resolve(recipients.values_of_text(values), sop=None, staff=request.staff)
    missing = [*found.unknown, *found.ambiguous]
    if missing:
        text = _("Unknown, or not one person: %(values)s") % {"values": ", ".join(missing[:10])}
        raise InvalidError(text, fields={"values": text})
    return found.contact_ids


def _page(
    request: Any, form: TaskForm, status: int = 200, asked: dict[str, Any] | None = None
) -> HttpResponse:
    context = {
        "form": form,
        "asked": asked,
        "nonce": request.POST.get("nonce") or uuid4().hex,
        "can_segment": request.actor.can("segments.view"),
    }
    return render(request, "campaigns/staff_tasks/new.html", context, status=status)
