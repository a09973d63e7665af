"""The editor of a broadcast: its form, what a draft holds as fields, and the fields as a draft again."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from campaigns.models import Broadcast, Wave
from campaigns.services.broadcasts import broadcasts, winners
from campaigns.services.broadcasts.broadcasts import BroadcastInput, VariantInput, WaveInput
from campaigns.services.sending import trial, variables
from campaigns.views.media import files_of
from content.services import library
from org.access import staff_can
from org.forms import add_errors, is_for_saving
from scrm import json_in
from scrm.errors import ConflictError, InvalidError, SCRMError
from scrm.ids import read_id
from scrm.responses import go
from tagging.conditions import ConditionError
from tagging.conditions.summary import sentence
from tagging.models import Segment
from tagging.services.segments import audience, naming
from tenants.models import Brand

State = Broadcast.State
AFTERS = [
    ("", gettext_lazy("Whoever of the audience was in no wave before")),
    ("not_opened", gettext_lazy("Got the wave before and did not open it")),
    ("not_replied", gettext_lazy("Got the wave before and did not reply (group, chat archive or form)")),
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
    ("replied", gettext_lazy("Replied (group, chat archive or form)")),
    ("bought", gettext_lazy("Bought")),
]
EVERYBODY, AS_IS = "everybody", "as_is"
MOST_SEGMENTS = 500  # in a select; those that are chosen already always
_TEST = ("goal", "hours", "least", "confidence", "percent", "auto", "wait_hours")


class BroadcastForm(forms.Form):
    name = forms.CharField(label=gettext_lazy("Name"), max_length=60)
    audience = forms.ChoiceField(
        label=gettext_lazy("For whom"),
        widget=forms.Select(attrs={"data-search-select": gettext_lazy("Nothing found")}),
    )
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
        given = self.data.get("audience") if self.is_bound else ""
        segments = segment_choices([self.initial.get("audience"), given])
        choices = [(EVERYBODY, _("Everybody whom a guide can reach")), *segments]
        if self.initial.get("audience") == AS_IS:
            choices = [(AS_IS, _("As before (a list or a condition)")), *choices]
        self.fields["audience"].choices = choices  # type: ignore[attr-defined]


def segment_choices(chosen: Iterable[Any]) -> list[tuple[str, str]]:
    """Segments of a select, and whatever is chosen already: what the select lacked, a browser would silently turn into
    its first choice. One that is gone is there as well, and refused when it is saved."""
    wanted = {pk for text in chosen if (pk := read_id(text))}
    columns = ("pk", "name", "n", "deleted_at")
    rows = list(
        Segment.objects.filter(deleted_at=None).order_by("name").values_list(*columns)[:MOST_SEGMENTS]
    )
    if missing := wanted - {row[0] for row in rows}:
        rows += Segment.objects.filter(pk__in=missing).order_by("name").values_list(*columns)
    return [(str(pk), _segment_words(name, n, gone)) for pk, name, n, gone in rows]


def _segment_words(name: str, n: int | None, gone: Any) -> str:
    if gone:
        return _("%(name)s (deleted)") % {"name": name}
    return f"{name} · {n:,}" if n is not None else name


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
        "contents": _posted(request.POST, ("text", "attachments", "weight", "content"))
        if posted
        else _contents(broadcast),
        "waves": _posted(request.POST, ("at", "after", "segment")) if posted else _waves(request, broadcast),
        "kept": _kept(request.brand, broadcast),
    }
    context["segments"] = segment_choices(row["segment"] for row in context["waves"])
    if is_for_saving(request, form):
        try:
            given = _input(request, form.cleaned_data, broadcast, context)
            saved = broadcasts.save_draft(request.brand, given, by=request.actor, broadcast_id=broadcast_id)
            return go(
                request, f"/broadcasts/{saved.pk}/", _("Saved. Check who would get it, then launch it.")
            )
        except SCRMError as error:
            add_errors(form, error)
            for rows in ("contents", "waves"):
                for n, problem in error.details.get(rows, {}).items():
                    context[rows][n]["error"] = problem
    elif (
        posted and "brought_back" not in request.POST
    ):  # what is missing further down is told with it, not at the next try
        for row in context["contents"]:
            if not (row["text"].strip() or row["content"] or row["attachments"] not in ("", "[]")):
                row["error"] = _("neither text nor attachment")
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
    stored = broadcast.audience
    if "segment" in stored:
        chosen = str(stored["segment"])
    else:
        chosen = EVERYBODY if stored == everybody() else AS_IS
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


def everybody() -> dict[str, Any]:
    return dict(trial.EVERYBODY)


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
        at = "" if wave.condition.get("now") else wave.at.astimezone(zone).strftime("%Y-%m-%dT%H:%M")
        narrowed = wave.condition.get("condition") or {}
        segment = _segment_of(narrowed)
        chosen = str(segment) if segment else _kept_value(wave) if narrowed else ""
        found.append({"at": at, "after": wave.condition.get("after", ""), "segment": chosen})
    return found


def _segment_of(condition: dict[str, Any]) -> int | None:
    """The one segment that a condition asks for; None: it asks for something else."""
    ids = condition.get("ids")
    if isinstance(ids, list) and len(ids) == 1 and condition == _in_segment(ids[0]):
        return int(ids[0])
    return None


def _in_segment(segment_id: int) -> dict[str, Any]:
    return {"kind": "segment", "mode": "any", "ids": [segment_id]}


def _kept_value(wave: Wave) -> str:
    return f"{AS_IS}-{wave.pk}"


def _kept(brand: Brand, broadcast: Broadcast | None) -> list[tuple[str, str]]:
    """Conditions of the draft's waves that the editor cannot show as a segment: they stay as they are."""
    found = []
    for wave in _conditioned(broadcast):
        narrowed = wave.condition["condition"]
        if not _segment_of(narrowed):
            words = {"n": wave.n, "condition": condition_words(brand, narrowed)}
            found.append((_kept_value(wave), _("As before in wave %(n)s: %(condition)s") % words))
    return found


def condition_words(brand: Brand, condition: dict[str, Any]) -> str:
    try:
        text = sentence(audience.read(brand, condition), naming.known(condition))
    except ConditionError:
        return _("a condition that cannot be read any more")
    return Truncator(text).chars(80)


def _input(
    request: Any, given: dict[str, Any], broadcast: Broadcast | None, context: dict[str, Any]
) -> BroadcastInput:
    zone = ZoneInfo(request.brand.timezone)
    chosen = given["audience"]
    if chosen == AS_IS and broadcast:
        whom = broadcast.audience
    else:
        whom = everybody() if chosen == EVERYBODY else {"segment": int(chosen)}
    kept = {_kept_value(wave): wave.condition["condition"] for wave in _conditioned(broadcast)}
    until = given["repeat_until"]
    return BroadcastInput(
        name=given["name"],
        audience=whom,
        variants=[_variant(n, row) for n, row in enumerate(context["contents"])],
        waves=[_wave(n, row, zone, kept) for n, row in enumerate(context["waves"], 1)],
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


def _conditioned(broadcast: Broadcast | None) -> list[Wave]:
    rows = broadcast.waves.order_by("n") if broadcast else []
    return [wave for wave in rows if wave.condition.get("condition")]


def _wave(n: int, row: dict[str, Any], zone: ZoneInfo, kept: dict[str, dict[str, Any]]) -> WaveInput:
    try:
        at = datetime.fromisoformat(row["at"]).replace(tzinfo=zone) if row["at"] else None
    except ValueError as error:
        text = _("Wave %(n)s: when?") % {"n": n}
        raise InvalidError(text, waves={n - 1: text}) from error
    chosen, condition = row["segment"], dict[str, Any]()
    if segment_id := read_id(chosen):
        condition = _in_segment(segment_id)
    elif chosen in kept:
        condition = kept[chosen]
    elif chosen:  # never everybody because something else was not understood
        text = _("Wave %(n)s: its condition has been changed meanwhile. Load the page again.") % {"n": n}
        raise InvalidError(text, fields={"waves": text})
    return WaveInput(at, row["after"], condition)
