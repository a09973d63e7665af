"""人群: the list, the editor, one segment; its parts that are loaded by themselves are in `segment_parts`."""

import json
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from org.access import staff_can
from scrm import clock, json_in
from scrm.errors import InvalidError, SCRMError
from scrm.ids import read_id
from scrm.keyset import keyset_page
from scrm.responses import go
from tagging.conditions import ConditionError, parse, references
from tagging.conditions.summary import sentence
from tagging.conditions.templates import TEMPLATES
from tagging.models import Segment, TagAct
from tagging.services.segments import audience, naming, portrait, segments, snapshots
from tagging.services.tags import mass
from tagging.views import segment_parts

PEOPLE = 50


@require_GET
@staff_can("segments.view")
def segment_list(request: Any) -> HttpResponse:
    rows = Segment.objects.filter(deleted_at=None)
    if q := request.GET.get("q", "").replace("\x00", "").strip()[:60]:
        rows = rows.filter(name__icontains=q)
    page = keyset_page(rows, order=("-changed_at", "-pk"), after=request.GET.get("after"), size=30)
    known = _known([s.condition or {} for s in page])
    for segment in page:
        segment.words = sentence(segment.condition, known) if segment.condition else ""
    context = {"page": page, "templates": TEMPLATES, "q": q}
    template = "tagging/segments/_rows.html" if request.htmx else "tagging/segments/list.html"
    return render(request, template, context)


def _known(conditions: list[Any]) -> Any:
    wanted: dict[str, set[int]] = {}
    for condition in conditions:
        for source, ids in references(condition).items():
            wanted.setdefault(source, set()).update(ids)
    return naming.Known(naming.names(wanted), naming.fields())


# ---- the builder


@require_http_methods(["GET", "POST"])
@staff_can("segments.edit")
def segment_edit(request: Any, segment_id: int | None = None) -> HttpResponse:
    """Make a segment, or change its condition."""
    segment = segments.get_segment(segment_id) if segment_id else None
    if segment and segment.kind != Segment.Kind.DYNAMIC:
        raise InvalidError(_("A list has no condition; put people on it or take them off"))
    begin = next((t for t in TEMPLATES if t.key == request.GET.get("template")), None)
    name = (
        segment.name if segment else str(begin.name) if begin else segment_parts.name_of_combination(request)
    )
    condition = segment.condition if segment else begin.condition if begin else _given(request)
    context: dict[str, Any] = {"segment": segment, "name": name, "note": segment.note if segment else ""}
    if request.method == "POST":
        context |= {"name": request.POST.get("name", ""), "note": request.POST.get("note", "")}
        try:
            condition = json_in.loads(request.POST.get("condition", ""))
            saved = _save(request, segment, context["name"], context["note"], condition)
            return go(request, f"/segments/{saved.pk}/", _("Saved"))
        except ValueError:
            context["error"] = _("The form did not arrive complete. Load the page again.")
        except SCRMError as error:
            context |= _refused(error, context["name"])
    context["condition"] = json.dumps(condition, ensure_ascii=False)
    refused = "error" in context or "errors" in context
    return render(request, "tagging/segments/edit.html", context, status=422 if refused else 200)


def _refused(error: SCRMError, name: str) -> dict[str, Any]:
    """What is wrong, at its place: `errors` by field. A name that is missing is told together with the condition."""
    errors = dict(error.details.get("fields", {}))
    if isinstance(error, ConditionError):
        errors["condition"] = str(error)
        if not name.strip():
            errors["name"] = _("A name is needed")
    return {"errors": errors} if errors else {"error": str(error)}


def _given(request: Any) -> Any:
    """The condition that another page begins with (`?condition=`, or `?operation=` of some `segment`); nothing yet
    without one.

    Raises:
        InvalidError: it cannot be read.
    """
    if operation := request.GET.get("operation"):
        return segment_parts.combination(operation, request.GET.getlist("segment"))
    if not (text := request.GET.get("condition")):
        return {"all": []}
    try:
        return parse(json_in.loads(text))
    except ValueError as error:
        raise InvalidError(_("This page link is not valid any more")) from error


def _save(request: Any, segment: Segment | None, name: str, note: str, condition: Any) -> Segment:
    if segment is None:
        return segments.create_segment(
            request.brand, by=request.actor, name=name, note=note, condition=condition
        )
    return segments.update_segment(
        request.brand, by=request.actor, segment=segment, name=name, note=note, condition=condition
    )


# ---- one segment


@require_GET
@staff_can("segments.view")
def segment_detail(request: Any, segment_id: int) -> HttpResponse:
    segment = segments.get_segment(segment_id)
    context: dict[str, Any] = {"segment": segment, "uses": segments.uses(request.brand, segment.pk)}
    if request.actor.can("tags.edit"):
        context["tags"] = naming.choices("tags")
    try:
        people = audience.Audience(request.brand, snapshots.condition_of(segment), staff=request.staff)
        context["n"], ids = people.count_and_sample(PEOPLE)
        context |= segment_parts.people_of(ids, PEOPLE)
        context["words"] = (
            sentence(segment.condition, naming.known(segment.condition)) if segment.condition else ""
        )
    except ConditionError as error:
        context["error"] = str(error)
    curve = snapshots.curve(segment)
    if curve:
        context["curve"] = {
            "kind": "bar",
            "x": [f"{row['on']:%m-%d}" for row in curve],
            "series": [
                {"name": _("Entered"), "data": [row["entered"] for row in curve], "color": "green"},
                {"name": _("Dropped out"), "data": [-row["left"] for row in curve], "color": "red"},
                {"name": _("Size"), "data": [row["n"] for row in curve], "kind": "line", "color": "blue"},
            ],
        }
    version = portrait.version_of(segment)
    if version:
        context["profile"] = segment_parts.charts(portrait.of_bits(request.brand, version))
        context["overlaps"] = portrait.overlaps(request.brand, segment, n=8)
    if request.actor.can("segments.edit"):
        context["others"] = segment_parts.others(segment)
    return render(request, "tagging/segments/detail.html", context)


@require_POST
@staff_can("tags.edit")
def segment_tag(request: Any, segment_id: int) -> HttpResponse:
    """Put a tag on everybody of a segment, or take it off: a job with progress, and an act that can be taken back."""
    segment = segments.get_segment(segment_id)
    tag_ids = [pk] if (pk := read_id(request.POST.get("tag"))) else []
    takes_off = request.POST.get("way") == "remove"
    who = mass.Who(*audience.Audience(request.brand, snapshots.condition_of(segment)).bits_sql())
    job = mass.start(
        request.brand,
        kind=TagAct.Kind.SEGMENT,
        title=_("Segment “%(name)s”") % {"name": segment.name},
        by=request.actor,
        who=who,
        add=[] if takes_off else tag_ids,
        remove=tag_ids if takes_off else [],
        days=None if takes_off else mass.days_of(request.POST.get("days", "")),
    )
    return go(
        request, f"/tags/history/{job.params['act_id']}/", _("Under way; it can be left, and taken back")
    )


@require_POST
@staff_can("segments.edit")
def segment_act(request: Any, segment_id: str, act: str) -> HttpResponse:
    """Count now, freeze, delete."""
    segment = segments.get_segment(int(segment_id))
    if act == "count":
        snapshots.snapshot(request.brand, segment)
        return go(request, f"/segments/{segment.pk}/", _("Counted"))
    if act == "freeze":
        name = f"{segment.name[:45]} {clock.today(request.brand.timezone):%m-%d}"
        made = segments.freeze(request.brand, by=request.actor, name=name, segment=segment)
        return go(request, f"/segments/{made.pk}/", _("Frozen: these people stay, whatever changes"))
    segments.delete_segment(request.brand, by=request.actor, segment=segment)
    return go(request, "/segments/", _("Deleted"))
