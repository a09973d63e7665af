"""人群: the list, the editor, one segment with its people, why somebody is in or out."""

import json
from collections.abc import Sequence
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from contacts.models import Contact
from org.access import staff_can
from scrm import clock, json_in
from scrm.errors import InvalidError, SCRMError
from scrm.ids import read_id
from scrm.keyset import keyset_page
from scrm.responses import go
from tagging.conditions import ConditionError, parse, references
from tagging.conditions.summary import sentence
from tagging.conditions.templates import TEMPLATES
from tagging.models import Dim, Segment, TagAct
from tagging.services import audience, mass, naming, portrait, segments, snapshots, why

PEOPLE = 50


@require_GET
@staff_can("segments.view")
def segment_list(request: Any) -> HttpResponse:
    rows = Segment.objects.filter(deleted_at=None)
    page = keyset_page(rows, order=("-changed_at", "-pk"), after=request.GET.get("after"), size=30)
    known = _known([s.condition or {} for s in page])
    for segment in page:
        segment.words = sentence(segment.condition, known) if segment.condition else ""
    context = {"page": page, "templates": TEMPLATES}
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
    name = segment.name if segment else str(begin.name) if begin else ""
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
            context["error"] = str(error)
    context["condition"] = json.dumps(condition, ensure_ascii=False)
    return render(request, "tagging/segments/edit.html", context, status=422 if "error" in context else 200)


def _given(request: Any) -> Any:
    """The condition that another page begins with (`?condition=`); nothing yet without one.

    Raises:
        InvalidError: it cannot be read.
    """
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
        context["people"] = Contact.objects.filter(pk__in=ids).order_by("-added_at", "-pk")
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
        tags = portrait.telling(portrait.shares(request.brand, version, Dim.TAG, "tags"))
        codes = portrait.shares(request.brand, version, Dim.CODE, "codes")[:8]
        context["profile"] = [
            ("tags", _("Tags"), _compared(tags)),
            ("channels", _("Channels"), _compared(codes)),
        ]
        context["overlaps"] = portrait.overlaps(request.brand, segment, n=8)
    return render(request, "tagging/segments/detail.html", context)


def _compared(shares: Sequence[portrait.Share]) -> dict[str, Any] | None:
    """A chart of what these people have beside everybody, in per cent."""
    if not shares:
        return None
    rows = [(f"{row.name} ×{row.lift:.1f}", row.share, row.share_all) for row in shares]
    return {
        "kind": "hbar",
        "unit": " %",
        "x": [name for name, _here, _all in rows],
        "series": [
            {
                "name": _("Here"),
                "data": [round(100 * here, 1) for _name, here, _all in rows],
                "color": "blue",
            },
            {
                "name": _("Everybody"),
                "data": [round(100 * rest, 1) for _name, _here, rest in rows],
                "color": "grey",
            },
        ],
    }


@require_GET
@staff_can("segments.view")
def segment_why(request: Any, segment_id: int) -> HttpResponse:
    """Why a person is in or out: the condition as a tree with what is true of them."""
    segment = segments.get_segment(segment_id)
    text = request.GET.get("contact", "").strip()
    seen = Contact.objects.visible_to(request.staff)
    contact = (
        seen.filter(pk=pk).first() if (pk := read_id(text)) is not None else seen.filter(name=text).first()
    )
    if contact is None:
        return render(request, "tagging/segments/_why.html", {"missing": text})
    tree = why.explain_segment(request.brand, segment, contact.pk)
    return render(request, "tagging/segments/_why.html", {"tree": tree, "contact": contact})


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
