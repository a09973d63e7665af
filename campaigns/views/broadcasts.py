"""Broadcasts: the list, the editor, what a draft would do, a running one with its figures, and its states."""

import json
from dataclasses import asdict
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from campaigns.models import Broadcast, Wave
from campaigns.services import broadcast_numbers, broadcasts, numbers, variables, waves, winners
from campaigns.services.broadcasts import BroadcastInput, VariantInput, WaveInput
from campaigns.views.media import files_of
from contacts.models import Contact
from content.services import library
from org.access import staff_can
from org.forms import add_errors
from org.models import Job
from scrm import json_in
from scrm.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError, SCRMError
from scrm.ids import read_id
from scrm.keyset import keyset_page
from scrm.responses import go
from tagging.conditions import ConditionError
from tagging.models import Segment

State = Broadcast.State
AFTERS = [
    ("", gettext_lazy("Whoever of the audience was in no wave before")),
    ("not_opened", gettext_lazy("Got the wave before and did not open it")),
    ("not_replied", gettext_lazy("Got the wave before and did not reply")),
    ("opened", gettext_lazy("Opened the wave before")),
    ("everybody", gettext_lazy("Got the wave before")),
]
REPEATS = [
    ("", gettext_lazy("Once")),
    ("day", gettext_lazy("Every day")),
    ("week", gettext_lazy("Every week")),
    ("month", gettext_lazy("Every month")),
]
GOALS = [
    ("opened", gettext_lazy("Opened a link of it")),
    ("replied", gettext_lazy("Replied")),
    ("bought", gettext_lazy("Bought")),
]
EVERYBODY = "everybody"
_TEST = ("goal", "hours", "least", "confidence", "percent", "auto", "wait_hours")


class BroadcastForm(forms.Form):
    name = forms.CharField(label=gettext_lazy("Name"), max_length=60)
    audience = forms.ChoiceField(label=gettext_lazy("For whom"))
    priority = forms.IntegerField(
        label=gettext_lazy("Priority"),
        min_value=1,
        max_value=9,
        help_text=gettext_lazy(
            "9 goes first. Of campaigns that want the same person the higher one gets the place."
        ),
    )
    hold_out_percent = forms.IntegerField(
        label=gettext_lazy("Hold-out, per cent"),
        min_value=0,
        max_value=broadcasts.MAX_HOLD_OUT,
        help_text=gettext_lazy(
            "So many get nothing, always the same ones, so that the effect can be measured."
        ),
    )
    late_hours = forms.IntegerField(
        label=gettext_lazy("Hand over at most so many hours late"),
        min_value=1,
        max_value=broadcasts.MAX_LATE_HOURS,
    )
    repeat = forms.ChoiceField(label=gettext_lazy("How often"), choices=REPEATS, required=False)
    repeat_until = forms.DateField(
        label=gettext_lazy("until"), required=False, widget=forms.DateInput(attrs={"type": "date"})
    )

    test = forms.BooleanField(label=gettext_lazy("Compare the contents and name a winner"), required=False)
    test_goal = forms.ChoiceField(
        label=gettext_lazy("The better one is whose customers"), choices=GOALS, required=False
    )
    test_hours = forms.IntegerField(
        label=gettext_lazy("within hours after the delivery"),
        min_value=1,
        max_value=winners.MAX_HOURS,
        required=False,
    )
    test_least = forms.IntegerField(
        label=gettext_lazy("People of each content at least"),
        min_value=50,
        max_value=winners.MAX_LEAST,
        required=False,
    )
    test_confidence = forms.IntegerField(
        label=gettext_lazy("Certainty, per cent"),
        min_value=80,
        max_value=99,
        required=False,
        help_text=gettext_lazy(
            "95: where no content is better, a winner is named once in twenty times at most."
        ),
    )
    test_percent = forms.IntegerField(
        label=gettext_lazy("Per cent of the audience in the comparison"),
        min_value=1,
        max_value=100,
        required=False,
        help_text=gettext_lazy("The rest waits and gets the winner. 100: there is no rest."),
    )
    test_auto = forms.BooleanField(
        label=gettext_lazy("Send the winner to the rest by itself"), required=False
    )
    test_wait_hours = forms.IntegerField(
        label=gettext_lazy("Without a winner the rest gets the leading one after hours"),
        min_value=1,
        max_value=24 * 30,
        required=False,
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rows = Segment.objects.filter(deleted_at=None).order_by("name").values_list("pk", "name", "n")
        segments = [(str(pk), f"{name} · {n:,}" if n is not None else name) for pk, name, n in rows[:500]]
        choices = [(EVERYBODY, _("Everybody whom a guide can reach")), *segments]
        if self.initial.get("audience") == "as_is":
            choices = [("as_is", _("As before (a list or a condition)")), *choices]
        self.fields["audience"].choices = choices  # type: ignore[attr-defined]


@require_GET
@staff_can("broadcasts.view")
def broadcast_list(request: Any) -> HttpResponse:
    over = request.GET.get("show") == "over"
    ended = [State.DONE, State.CANCELLED]
    rows = Broadcast.objects.filter(state__in=ended) if over else Broadcast.objects.exclude(state__in=ended)
    page = keyset_page(rows, order=("-pk",), after=request.GET.get("after"), size=30)
    ids = [row.pk for row in page]
    firsts = {wave.broadcast_id: wave for wave in Wave.objects.filter(broadcast__in=ids, n=1)}
    found = broadcast_numbers.of_broadcasts(ids)
    for row in page:
        row.numbers, row.first = found.get(row.pk), firsts.get(row.pk)
    context = {
        "page": page,
        "tabs": [
            {"url": "/broadcasts/", "label": _("In use"), "active": not over},
            {"url": "/broadcasts/?show=over", "label": _("Ended"), "active": over},
        ],
    }
    template = "campaigns/broadcasts/_rows.html" if request.htmx else "campaigns/broadcasts/list.html"
    return render(request, template, context)


# ---- editor


@require_http_methods(["GET", "POST"])
@staff_can("broadcasts.edit")
def broadcast_edit(request: Any, broadcast_id: int | None = None) -> HttpResponse:
    broadcast = broadcasts.get_broadcast(broadcast_id) if broadcast_id else None
    if broadcast and broadcast.state != State.DRAFT:
        raise ConflictError(_("Only a draft can be changed; copy the broadcast to use it again"))
    form = BroadcastForm(request.POST or None, initial=_initial(request, broadcast))
    posted = request.method == "POST"
    context: dict[str, Any] = {
        "form": form,
        "broadcast": broadcast,
        "variables": variables.NAMES,
        "afters": AFTERS,
        "segments": Segment.objects.filter(deleted_at=None).order_by("name").values_list("pk", "name")[:500],
        "contents": _posted(request.POST, ("text", "attachments", "weight", "content"))
        if posted
        else _contents(broadcast),
        "waves": _posted(request.POST, ("at", "after", "segment")) if posted else _waves(request, broadcast),
    }
    if posted and form.is_valid():
        try:
            given = _input(request, form.cleaned_data, broadcast, context)
            saved = broadcasts.save_draft(request.brand, given, by=request.actor, broadcast_id=broadcast_id)
            return go(
                request, f"/broadcasts/{saved.pk}/", _("Saved. Check who would get it, then launch it.")
            )
        except SCRMError as error:
            add_errors(form, error)
            for n, problem in error.details.get("contents", {}).items():
                context["contents"][n]["error"] = problem
    context["contents"] = _with_names(context["contents"])
    context["files"] = files_of(row["attachments"] for row in context["contents"])
    return render(request, "campaigns/broadcasts/edit.html", context, status=422 if posted else 200)


def _initial(request: Any, broadcast: Broadcast | None) -> dict[str, Any]:
    if broadcast is None:
        given = request.GET.get("segment", "")
        return {
            "audience": given if read_id(given) else EVERYBODY,
            "priority": 5, "hold_out_percent": 0, "late_hours": 48, "repeat": "", **_initial_test({}),
        }  # fmt: skip
    audience = broadcast.audience
    if "segment" in audience:
        chosen = str(audience["segment"])
    else:
        chosen = EVERYBODY if audience == _everybody() else "as_is"
    until = broadcast.repeat.get("until")
    return {
        "name": broadcast.name,
        "audience": chosen,
        "priority": broadcast.priority,
        "hold_out_percent": broadcast.hold_out_percent,
        "late_hours": broadcast.late_hours,
        "repeat": broadcast.repeat.get("every", ""),
        "repeat_until": datetime.fromisoformat(until).date() if until else None,
        **_initial_test(broadcast.test),
    }


def _initial_test(stored: dict[str, Any]) -> dict[str, Any]:
    values = {**asdict(winners.Rule(percent=30)), **stored}
    return {"test": bool(stored)} | {f"test_{name}": values[name] for name in _TEST}


def _test(given: dict[str, Any]) -> dict[str, Any]:
    """The rule as it was sent; what was left empty is as suggested."""
    if not given["test"]:
        return {}
    usual = asdict(winners.Rule())
    return {
        name: usual[name] if given[f"test_{name}"] in (None, "") else given[f"test_{name}"] for name in _TEST
    }


def _everybody() -> dict[str, Any]:
    return {"condition": {"kind": "follow", "values": ["reachable"]}}


def _posted(data: Any, names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Rows of the editor as they were sent: parallel lists of fields."""
    columns = [data.getlist(name) for name in names]
    if len({len(column) for column in columns}) > 1:
        raise InvalidError(_("The form did not arrive complete. Load the page again."))
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _contents(broadcast: Broadcast | None) -> list[dict[str, Any]]:
    if broadcast is None:
        return [{"text": "", "attachments": "[]", "weight": 1, "content": ""}]
    return [
        {
            "text": v.text,
            "attachments": json.dumps(v.attachments, ensure_ascii=False),
            "weight": v.weight,
            "content": v.content_id or "",
        }
        for v in broadcast.variants.order_by("letter")
    ]


def _with_names(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The contents of the editor with what the library calls them."""
    ids = [read_id(row["content"]) for row in rows]
    names = library.names_of([pk for pk in ids if pk])
    return [{**row, "picked": names.get(pk or 0)} for row, pk in zip(rows, ids, strict=True)]


def _waves(request: Any, broadcast: Broadcast | None) -> list[dict[str, Any]]:
    if broadcast is None:
        return [{"at": "", "after": "", "segment": ""}]
    zone = ZoneInfo(request.brand.timezone)
    found = []
    for wave in broadcast.waves.order_by("n"):
        narrowed = wave.condition.get("condition") or {}
        at = "" if wave.condition.get("now") else wave.at.astimezone(zone).strftime("%Y-%m-%dT%H:%M")
        segment = str((narrowed.get("ids") or [""])[0])
        found.append({"at": at, "after": wave.condition.get("after", ""), "segment": segment})
    return found


def _input(
    request: Any, given: dict[str, Any], broadcast: Broadcast | None, context: dict[str, Any]
) -> BroadcastInput:
    zone = ZoneInfo(request.brand.timezone)
    chosen = given["audience"]
    if chosen == "as_is" and broadcast:
        audience = broadcast.audience
    else:
        audience = _everybody() if chosen == EVERYBODY else {"segment": int(chosen)}
    until = given["repeat_until"]
    return BroadcastInput(
        name=given["name"],
        audience=audience,
        variants=[_variant(n, row) for n, row in enumerate(context["contents"])],
        waves=[_wave(n, row, zone) for n, row in enumerate(context["waves"], 1)],
        priority=given["priority"],
        hold_out_percent=given["hold_out_percent"],
        late_hours=given["late_hours"],
        repeat=given["repeat"],
        repeat_until=datetime(until.year, until.month, until.day, 23, 59, tzinfo=zone) if until else None,
        test=_test(given),
    )


def _variant(n: int, row: dict[str, Any]) -> VariantInput:
    try:
        attachments, weight = json_in.loads(row["attachments"] or "[]"), int(row["weight"] or 1)
    except ValueError as error:
        raise InvalidError(
            _("Content %(letter)s: %(error)s") % {"letter": broadcasts.LETTERS[n % 5], "error": error}
        ) from error
    content = read_id(row["content"])
    return VariantInput(row["text"].replace("\r\n", "\n"), attachments, weight, content)


def _wave(n: int, row: dict[str, Any], zone: ZoneInfo) -> WaveInput:
    try:
        at = datetime.fromisoformat(row["at"]).replace(tzinfo=zone) if row["at"] else None
    except ValueError as error:
        raise InvalidError(_("Wave %(n)s: when?") % {"n": n}) from error
    segment_id = read_id(row["segment"])
    condition = {"kind": "segment", "mode": "any", "ids": [segment_id]} if segment_id else {}
    return WaveInput(at, row["after"], condition)


# ---- one broadcast


@require_GET
@staff_can("broadcasts.view")
def broadcast_detail(request: Any, broadcast_id: int) -> HttpResponse:
    broadcast = broadcasts.get_broadcast(broadcast_id)
    kinds = ["broadcast_cancel", "broadcast_remind", "broadcast_reassign"]
    jobs = Job.objects.filter(kind__in=kinds, params__broadcast_id=broadcast.pk).order_by("-pk")[:3]
    variants = list(broadcast.variants.order_by("letter"))
    context = {
        "broadcast": broadcast,
        "acts": _acts(broadcast, request.actor),
        "jobs": jobs,
        "audience": _audience_words(broadcast),
        "is_plan": broadcast.state in (State.DRAFT, State.APPROVAL),
        "variants": variants,
        "library": library.names_of(v.content_id for v in variants),
        "test_rule": winners.rule_of(broadcast),
        **_numbers(request.brand, broadcast),
    }
    return render(request, "campaigns/broadcasts/detail.html", context)


def _numbers(brand: Any, broadcast: Broadcast) -> dict[str, Any]:
    found = broadcast_numbers.report(broadcast)
    return {
        "broadcast": broadcast,
        "report": found,
        "test": winners.test_of(brand, broadcast) if broadcast.launched_at else None,
        "is_live": broadcast.state in (State.ON, State.PAUSED),
        "unconfirmed": numbers.unconfirmed(broadcast_id=broadcast.pk, limit=20)
        if broadcast.launched_at
        else [],
    }


@require_GET
@staff_can("broadcasts.view")
def live_numbers(request: Any, broadcast_id: int) -> HttpResponse:
    """The figures alone; a running page asks for them every few seconds."""
    context = _numbers(request.brand, broadcasts.get_broadcast(broadcast_id))
    return render(request, "campaigns/broadcasts/_numbers.html", context)


@require_POST
@staff_can("broadcasts.edit")
def choose_winner(request: Any, broadcast_id: int) -> HttpResponse:
    """This content goes to those who have waited for the winner."""
    variant_id = read_id(request.POST.get("variant"))
    if variant_id is None:
        raise NotFoundError()
    winners.choose(request.brand, broadcast_id=broadcast_id, variant_id=variant_id, by=request.actor)
    return go(request, f"/broadcasts/{broadcast_id}/", _("It goes to the rest"))


@require_GET
@staff_can("broadcasts.view")
def dry_run(request: Any, broadcast_id: int) -> HttpResponse:
    """What a draft would do now; nothing is written."""
    broadcast = broadcasts.get_broadcast(broadcast_id)
    try:
        found = waves.dry_run(request.brand, broadcast)
    except ConditionError as error:
        return render(request, "campaigns/broadcasts/_dry_run.html", {"error": error}, status=200)
    context = {"run": found, "broadcast": broadcast, "few": _too_few(broadcast, found.expected)}
    return render(request, "campaigns/broadcasts/_dry_run.html", context)


def _too_few(broadcast: Broadcast, expected: int) -> int | None:
    """How many people the smallest content of a comparison can count on, where the rule asks for more."""
    weights = list(broadcast.variants.values_list("weight", flat=True))
    if not broadcast.test or len(weights) < 2:
        return None
    n = expected * min(weights) // sum(weights)
    return n if n < winners.Rule(**broadcast.test).least else None


@require_GET
@staff_can("broadcasts.view")
def wave_people(request: Any, broadcast_id: int, wave_id: int) -> HttpResponse:
    """The people of a planned wave whom one reason held back (`what`; 0 is who was wanted)."""
    wave = Wave.objects.filter(pk=wave_id, broadcast=broadcast_id).first()
    what = read_id(request.GET.get("what", "0"))
    if wave is None or what is None or what >= 2**15:
        raise NotFoundError()
    ids = waves.people_of(request.brand, wave, what, limit=200)
    people = Contact.objects.visible_to(request.staff).filter(pk__in=ids).order_by("-added_at")
    return render(request, "campaigns/broadcasts/people.html", {"people": people, "limit": 200, "wave": wave})


def _audience_words(broadcast: Broadcast) -> str:
    given = broadcast.audience
    if "segment" in given:
        segment = Segment.objects.filter(pk=given["segment"]).first()
        return segment.name if segment else _("A segment that does not exist any more")
    if "contacts" in given:
        return _("A list of %(n)s customers") % {"n": len(given["contacts"])}
    return _("Everybody whom a guide can reach") if given == _everybody() else _("A condition")


_ACTS: dict[str, tuple[set[str], str, Any, str, Any, str]] = {
    # act: (states, icon, label, kind, question, right)
    "launch": (
        {State.DRAFT}, "rocket", gettext_lazy("Launch"), "primary",
        gettext_lazy("It goes out as planned. Guides confirm it in WeCom; what is sent cannot be taken back."),
        "broadcasts.edit",
    ),
    "approve": (
        {State.APPROVAL}, "check", gettext_lazy("Approve"), "primary",
        gettext_lazy("It goes out as planned."), "broadcasts.approve",
    ),
    "reject": ({State.APPROVAL}, "undo-2", gettext_lazy("Back to a draft"), "", "", "broadcasts.edit"),
    "pause": ({State.ON}, "pause", gettext_lazy("Pause"), "", "", "broadcasts.edit"),
    "resume": ({State.PAUSED}, "play", gettext_lazy("Go on"), "primary", "", "broadcasts.edit"),
    "remind": (
        {State.ON}, "bell", gettext_lazy("Remind guides"), "",
        gettext_lazy("Everybody who has not confirmed is reminded in WeCom, at most three times in 24 hours."),
        "broadcasts.edit",
    ),
    "reassign": (
        {State.ON}, "users", gettext_lazy("Other guides"), "",
        gettext_lazy("What guides have not confirmed goes to other guides of the same customers, where there are any."),
        "broadcasts.edit",
    ),
    "cancel": (
        {State.ON, State.PAUSED, State.APPROVAL}, "circle-x", gettext_lazy("Stop"), "danger",
        gettext_lazy("What is not sent yet is cancelled, also at the guides. What customers have stays."),
        "broadcasts.edit",
    ),
    "duplicate": (set(State), "copy", gettext_lazy("Copy"), "", "", "broadcasts.edit"),
    "delete": (
        {State.DRAFT}, "trash-2", gettext_lazy("Delete"), "danger", gettext_lazy("The draft is deleted."), "broadcasts.edit",
    ),
}  # fmt: skip


def _acts(broadcast: Broadcast, actor: Any) -> list[dict[str, Any]]:
    return [
        {"act": act, "icon": icon, "label": label, "kind": kind, "confirm": question}
        for act, (states, icon, label, kind, question, right) in _ACTS.items()
        if broadcast.state in states and actor.can(right)
    ]


_DONE = {
    "launch": gettext_lazy("It is on its way"),
    "approve": gettext_lazy("Approved. It is on its way"),
    "reject": gettext_lazy("It is a draft again"),
    "pause": gettext_lazy("Paused"),
    "resume": gettext_lazy("It goes on"),
    "cancel": gettext_lazy("Stopped. What was sent already stays."),
    "remind": gettext_lazy("The guides are being reminded"),
    "reassign": gettext_lazy("Other guides are being asked"),
}


@require_POST
@staff_can("broadcasts.view")
def broadcast_act(request: Any, broadcast_id: str, act: str) -> HttpResponse:
    number = int(broadcast_id)
    if not request.actor.can(_ACTS[act][5]):
        raise ForbiddenError()
    if act == "duplicate":
        copy = broadcasts.duplicate(request.brand, broadcast_id=number, by=request.actor)
        return go(request, f"/broadcasts/{copy.pk}/edit/", _("A copy, still a draft"))
    if act == "delete":
        broadcasts.delete_draft(request.brand, broadcast_id=number, by=request.actor)
        return go(request, "/broadcasts/", _("Deleted"))
    services = {
        "launch": broadcasts.launch,
        "approve": broadcasts.approve,
        "reject": broadcasts.reject,
        "pause": broadcasts.pause,
        "resume": broadcasts.resume,
        "cancel": broadcasts.cancel,
        "remind": broadcasts.remind_all,
        "reassign": broadcasts.reassign_all,
    }
    services[act](request.brand, broadcast_id=number, by=request.actor)
    return go(request, f"/broadcasts/{number}/", str(_DONE[act]))
