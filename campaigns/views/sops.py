"""SOPs: the list with its figures, the editor, one SOP, and its states."""

import json
from typing import Any

from django import forms
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from campaigns.models import Enrolment, SendTask, Sop, SopRequest, SopStep, SopVersion
from campaigns.services.graphs import graphs
from campaigns.services.ledger.waiting import kept_of_sop
from campaigns.services.sending import variables
from campaigns.services.sops import numbers, sop_approval, sop_requests, sops
from campaigns.services.sops.sops import StepInput
from campaigns.views import graph_pages
from campaigns.views.media import files_of
from campaigns.views.sop_tabs import WAITS, list_tabs, tabs_of
from campaigns.views.touches import lists_of
from content.services import library
from org.access import staff_can
from org.forms import add_errors, is_for_saving
from org.models import Job
from scrm import json_in
from scrm.errors import ConflictError, InvalidError, SCRMError
from scrm.ids import read_id
from scrm.keyset import keyset_page
from scrm.responses import go

ENDED = "ended"


class SopForm(forms.Form):
    name = forms.CharField(label=gettext_lazy("Name"), max_length=60)
    late_days = forms.IntegerField(
        label=gettext_lazy("A late step is still sent within days"),
        min_value=0,
        max_value=sops.MAX_LATE_DAYS,
        help_text=gettext_lazy("After a pause or an outage. What is older is recorded as too late."),
    )


@require_GET
@staff_can("sops.view")
def sop_list(request: Any) -> HttpResponse:
    ended = request.GET.get("show") == ENDED
    rows = Sop.objects.filter(state=Sop.State.ENDED) if ended else Sop.objects.exclude(state=Sop.State.ENDED)
    page = keyset_page(rows, order=("-pk",), after=request.GET.get("after"), size=30)
    ids = [sop.pk for sop in page]
    drawn = SopVersion.objects.filter(pk__in=[sop.version_id for sop in page if sop.version_id])
    context = {
        "page": page,
        "numbers": numbers.of_sops(ids),
        "steps": numbers.steps_of(ids),
        "versions": dict(drawn.values_list("pk", "n")),
        "waiting": set(sop_requests.waiting().filter(sop__in=ids).values_list("sop_id", flat=True)),
        "tabs": list_tabs(request.brand, ENDED if ended else ""),
        "ended": ended,
    }
    return render(
        request, "campaigns/sops/_rows.html" if request.htmx else "campaigns/sops/list.html", context
    )


# ---- editor


def _steps_of(data: Any) -> list[dict[str, Any]]:
    """The rows of the editor as they were sent: parallel lists of fields."""
    names = ("step_id", "day", "time", "text", "attachments", "content")
    columns = [data.getlist(name) for name in names]
    columns[-1] = columns[-1] or [""] * len(columns[0])
    if len({len(column) for column in columns}) > 1:
        raise InvalidError(_("The steps did not arrive complete. Load the page again."))
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _step_input(number: int, row: dict[str, Any]) -> StepInput:
    try:
        hour, minute = (int(part) for part in row["time"].split(":")[:2])
        attachments = json_in.loads(row["attachments"] or "[]")
        step_id = int(row["step_id"]) if row["step_id"] else None
        return StepInput(
            int(row["day"]),
            hour,
            minute,
            row["text"].replace("\r\n", "\n"),
            attachments,
            step_id,
            read_id(row["content"]),
        )
    except ValueError as error:
        raise InvalidError(_("Step %(n)s: day and time are needed") % {"n": number}, step=number) from error


def _rows_of(sop: Sop | None, asked: SopRequest | None = None) -> list[dict[str, Any]]:
    """As they are in force, or as they were handed in."""
    if sop is None:
        return [{"step_id": "", "day": 1, "time": "10:00", "text": "", "attachments": "[]", "content": ""}]
    if asked is not None:
        live = {step.pk for step in sops.live_steps(sop.pk)}
        return [
            {
                "step_id": row["id"] if row["id"] in live else "",
                "day": row["day"],
                "time": f"{row['hour']:02}:{row['minute']:02}",
                "text": row["text"],
                "attachments": json.dumps(row["attachments"], ensure_ascii=False),
                "content": row["content_version"] or "",
            }
            for row in asked.steps
        ]
    return [
        {
            "step_id": step.pk,
            "day": step.day,
            "time": f"{step.hour:02}:{step.minute:02}",
            "text": step.text,
            "attachments": json.dumps(step.attachments, ensure_ascii=False),
            "content": step.content_id or "",
        }
        for step in sops.live_steps(sop.pk)
    ]


@require_http_methods(["GET", "POST"])
@staff_can("sops.edit")
def sop_edit(request: Any, sop_id: int | None = None) -> HttpResponse:
    sop = sops.get_sop(sop_id) if sop_id else None
    if sop and sop.is_graph:
        return go(request, f"/sops/{sop.pk}/canvas/")
    if sop and sop.state == Sop.State.ENDED:
        raise ConflictError(_("The SOP has ended. Copy it to use it again."))
    asked = sop_requests.last_of(sop) if sop else None
    taken_up = sop_requests.change_of(sop, read_id(request.GET.get("taken_up"))) if sop else None
    initial = {"name": sop.name if sop else "", "late_days": sop.late_days if sop else 3}
    if taken_up:
        initial["late_days"] = taken_up.late_days
    form = SopForm(request.POST or None, initial=initial)
    context: dict[str, Any] = {"form": form, "sop": sop, "variables": variables.NAMES, "asked": asked}
    if sop and sop.state != Sop.State.DRAFT:
        context["needs"] = sop_requests.are_needed(request.brand)
        context["note"] = request.POST.get("note", taken_up.note if taken_up else "")
    if request.method == "POST":
        context["rows"] = _steps_of(request.POST)
        if is_for_saving(request, form):
            try:
                if response := _save(request, sop, form, context):
                    return response
            except SCRMError as error:
                add_errors(form, error)
                if (n := error.details.get("step")) and 0 < n <= len(context["rows"]):
                    context["rows"][n - 1]["error"] = error.details.get("problem", error.message)
    else:
        context["rows"] = _rows_of(sop, taken_up)
    picked = library.names_of(read_id(row["content"]) for row in context["rows"])
    for row in context["rows"]:
        row["picked"] = picked.get(read_id(row["content"]) or 0)
    context["files"] = files_of(row["attachments"] for row in context["rows"])
    if sop:
        context["n_people"] = Enrolment.objects.filter(sop=sop, ended_at=None).count()
    return render(
        request, "campaigns/sops/edit.html", context, status=422 if request.method == "POST" else 200
    )


def _save(request: Any, sop: Sop | None, form: SopForm, context: dict[str, Any]) -> HttpResponse | None:
    """Save and go on; None when people in the SOP are concerned and nobody has agreed yet."""
    steps = [_step_input(n, row) for n, row in enumerate(context["rows"], 1)]
    if sop is None:
        sop = sops.create_sop(request.brand, steps=steps, by=request.actor, **form.cleaned_data)
        return go(request, f"/sops/{sop.pk}/", _("Saved. Switch it on when it is ready."))
    effect = sops.preview_edit(request.brand, sop_id=sop.pk, steps=steps)
    if (effect.n_moved or effect.n_finished) and not request.POST.get("agreed"):
        context["effect"] = effect
        return None
    asked = sop_approval.edit(
        request.brand,
        sop_id=sop.pk,
        steps=steps,
        note=request.POST.get("note", ""),
        by=request.actor,
        **form.cleaned_data,
    ).request
    if asked:
        return go(request, f"/sops/requests/{asked.pk}/", WAITS)
    return go(request, f"/sops/{sop.pk}/", _("Saved"))


# ---- one SOP


@require_GET
@staff_can("sops.view")
def sop_detail(request: Any, sop_id: int) -> HttpResponse:
    sop = sops.get_sop(sop_id)
    if sop.is_graph:
        n_in = Enrolment.objects.filter(sop=sop, ended_at=None).count()
        return graph_pages.detail(request, sop, _acts(sop, n_in), stops_of(sop))
    asked, needs = sop_requests.last_of(sop), sop_requests.are_needed(request.brand)
    steps = sops.live_steps(sop.pk)
    by_step, waiting = numbers.of_steps([sop.pk]), numbers.waiting_at(sop.pk)
    rows = [
        {"step": s, "numbers": by_step.get(s.pk, numbers.StepNumbers()), "n_next": waiting.get(s.position, 0)}
        for s in steps
    ]
    total = numbers.of_sops([sop.pk])[sop.pk]
    context = {
        "sop": sop,
        "rows": rows,
        "total": total,
        "kept": kept_of_sop(sop),
        "lists": lists_of("sop", sop.pk),
        "tabs": tabs_of(sop, "detail", total.n_in),
        "due": _calendar_chart(request.brand, sop, steps)
        if sop.state in (Sop.State.ON, Sop.State.PAUSED)
        else None,
        "result": _result_chart(rows),
        "unconfirmed": numbers.unconfirmed(sop_id=sop.pk, limit=20),
        "acts": _acts(sop, total.n_in, needs=needs, asked=asked),
        "asked": asked,
        "jobs": stops_of(sop),
    }
    return render(request, "campaigns/sops/detail.html", context)


def _calendar_chart(brand: Any, sop: Sop, steps: list[SopStep]) -> dict[str, Any]:
    days = numbers.calendar(brand, sop)
    return {
        "kind": "stack",
        "x": [f"{on:%m-%d}" for on in days],
        "series": [
            {"name": step_name(s), "data": [found.get(s.position, 0) for found in days.values()]}
            for s in steps
        ],
    }


def _result_chart(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "kind": "stack",
        "x": [step_name(row["step"]) for row in rows],
        "x_name": _("Step"),
        "series": [
            {"name": _("Delivered"), "data": [row["numbers"].n_sent for row in rows], "color": "green"},
            {"name": _("Waiting"), "data": [row["numbers"].n_waiting for row in rows], "color": "blue"},
            {"name": _("Held back"), "data": [row["numbers"].n_blocked for row in rows], "color": "amber"},
            {"name": _("Not delivered"), "data": [row["numbers"].n_failed for row in rows], "color": "red"},
            {"name": _("Cancelled"), "data": [row["numbers"].n_cancelled for row in rows], "color": "grey"},
        ],
    }


def step_name(step: SopStep) -> str:
    """Day 7 10:00."""
    return _("Day %(day)s %(time)s") % {"day": step.day, "time": f"{step.hour:02}:{step.minute:02}"}


def _acts(
    sop: Sop, n_in: int, *, needs: bool = False, asked: SopRequest | None = None
) -> list[dict[str, Any]]:
    """What can be done with the SOP in its state, with the words of the question that comes first.

    Args:
        needs: a second person has to approve that it is switched on. asked: what waits, or was sent back.
    """
    people = ngettext("%(n)s person is in it.", "%(n)s people are in it.", n_in) % {"n": f"{n_in:,}"}
    all_acts = {
        "on": (
            _("Ask for approval"), "send", "primary",
            _("A second person looks at it and switches it on, or sends it back with a reason."),
        ) if needs else (
            _("Switch on"), "play", "primary",
            _("From now on people can be put into it, by hand and by channel codes. Nobody is in it yet."),
        ),
        "pause": (
            _("Pause"), "pause", "primary",
            people + " " + _("Nothing more is planned or handed to WeCom; what guides have already, they"
            " may still send."),
        ),
        "resume": (
            _("Go on"), "play", "primary",
            people
            + " "
            + _("Of the steps that came due meanwhile each gets the newest one, if it is not older than"
            " %(n)s days.")
            % {"n": sop.late_days},
        ),
        "end": (
            _("End"), "square", "danger",
            " ".join([people, _stopped_words(sop) if sop.state in ENDING else "", _("This cannot be undone.")]),
        ),
        "duplicate": (_("Copy"), "copy", "", ""),
        "graph": (_("Open on a canvas"), "workflow", "", ""),
        "delete": (_("Delete"), "trash-2", "danger", _("The draft is removed.")),
    }  # fmt: skip
    State = Sop.State
    order = {
        State.DRAFT: ["duplicate", "delete"] if sop.is_graph else ["on", "duplicate", "graph", "delete"],
        State.ON: ["pause", "duplicate", "end"],
        State.PAUSED: ["resume", "duplicate", "end"],
        State.ENDED: ["duplicate"],
    }
    if not sop.is_graph:
        order[State.ON].insert(2, "graph")
    if asked is not None and asked.state == SopRequest.State.WAITING and "on" in order[State.DRAFT]:
        order[State.DRAFT].remove("on")
    keys = ("label", "icon", "kind", "confirm")
    return [{"act": act, **dict(zip(keys, all_acts[act], strict=True))} for act in order[State(sop.state)]]


ENDING = (Sop.State.ON, Sop.State.PAUSED)  # may be ended


def _stopped_words(sop: Sop) -> str:
    n = SendTask.objects.unconfirmed().filter(sop=sop.pk).count()
    if not n:
        return _("All of them leave it, and what was planned is not sent.")
    return ngettext(
        "All of them leave it, what was planned is not sent, and %(n)s send task that its guide has not confirmed is stopped.",
        "All of them leave it, what was planned is not sent, and %(n)s send tasks that guides have not confirmed are stopped.",
        n,
    ) % {"n": f"{n:,}"}


def stops_of(sop: Sop) -> list[Job]:
    """The job that stops what guides have, while it runs or when it needs somebody."""
    last = Job.objects.filter(kind="sop_stop", params__sop_id=sop.pk).order_by("-pk")[:1]
    return [job for job in last if job.is_live or job.state == Job.State.FAILED]


_DO = {
    "pause": (sops.pause, gettext_lazy("Paused")),
    "resume": (sops.resume, gettext_lazy("It goes on with the next minute")),
    "end": (sops.end, gettext_lazy("Ended")),
}


@require_POST
@staff_can("sops.edit")
def sop_act(request: Any, sop_id: str, act: str) -> HttpResponse:
    """Switch on, pause, go on, end, copy, delete."""
    number = int(sop_id)
    if act == "duplicate":
        copy = sops.duplicate(request.brand, sop_id=number, by=request.actor)
        return go(request, f"/sops/{copy.pk}/edit/", _("Copied. Give it a name."))
    if act == "graph":
        drawn = graphs.open_as_graph(request.brand, sop_id=number, by=request.actor)
        return go(
            request, f"/sops/{drawn.pk}/canvas/", _("A drawn copy; this SOP and its people stay as they are")
        )
    if act == "delete":
        sops.delete_draft(request.brand, sop_id=number, by=request.actor)
        return go(request, "/sops/", _("Deleted"))
    if act == "on":
        if asked := sop_approval.switch_on(request.brand, sop_id=number, by=request.actor).request:
            return go(request, f"/sops/requests/{asked.pk}/", WAITS)
        return go(request, f"/sops/{number}/", _("It is on. Put people in, or choose it in a channel code."))
    service, words = _DO[act]
    service(request.brand, sop_id=number, by=request.actor)
    return go(request, f"/sops/{number}/", words)
