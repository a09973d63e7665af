"""Settings: the brand's own fields, stages of following up, kinds of behaviour."""

from collections.abc import Callable
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from contacts.models import BehaviourKind, CustomField, Stage
from contacts.services import fields, kinds, stages
from org.access import staff_can
from org.views.settings import tabs
from scrm.errors import NotFoundError, SCRMError
from scrm.responses import go

PAGE = "/fields/"


@require_GET
@staff_can("fields.edit")
def own_page(request: Any) -> HttpResponse:
    """Three lists: live ones in their order, archived ones below."""
    context = {
        "tabs": tabs(request, "fields"),
        "fields": fields.live_fields(),
        "stages": stages.live_stages(),
        "kinds": BehaviourKind.objects.filter(archived_at=None).order_by("pk"),
        "archived": [
            *(("field", row) for row in CustomField.objects.exclude(archived_at=None).order_by("position")),
            *(("stage", row) for row in Stage.objects.exclude(archived_at=None).order_by("position")),
            *(("kind", row) for row in BehaviourKind.objects.exclude(archived_at=None).order_by("pk")),
        ],
    }
    return render(request, "contacts/settings/own.html", context)


def _modal(request: Any, context: dict[str, Any], act: Callable[[], Any]) -> HttpResponse:
    """GET shows the form, POST acts; a refusal is shown at its field with what was typed."""
    if request.method == "GET":
        return render(request, "contacts/settings/edit.html", context)
    try:
        act()
    except NotFoundError:
        raise
    except SCRMError as error:
        names = ("label", "key", "type", "options")
        typed = {name: request.POST.get(name, "") for name in names}
        errors = dict(error.details.get("fields") or {"label": error.message})
        if "name" in errors:
            errors["label"] = errors.pop("name")
        return render(
            request, "contacts/settings/edit.html", context | typed | {"errors": errors}, status=422
        )
    return go(request, PAGE, _("Saved"))


@require_http_methods(["GET", "POST"])
@staff_can("fields.edit")
def own_new(request: Any, what: str) -> HttpResponse:
    """A modal for a new field, stage or kind."""
    given = request.POST
    acts: dict[str, Callable[[], Any]] = {
        "field": lambda: fields.create_field(
            request.brand, by=request.actor, label=given.get("label", ""), type=given.get("type", ""),
            options=given.get("options", "").splitlines(), key=given.get("key", ""),
        ),
        "stage": lambda: stages.create_stage(request.brand, by=request.actor, name=given.get("label", "")),
        "kind": lambda: kinds.create_kind(
            request.brand, by=request.actor, label=given.get("label", ""), key=given.get("key", "")
        ),
    }  # fmt: skip
    if what not in acts:
        raise NotFoundError()
    titles = {"field": _("New field"), "stage": _("New stage"), "kind": _("New kind of behaviour")}
    context = {
        "title": titles[what],
        "url": f"{PAGE}{what}/new/",
        "what": what,
        "is_new": True,
        "types": CustomField.Type.choices,
    }
    return _modal(request, context, acts[what])


@require_http_methods(["GET", "POST"])
@staff_can("fields.edit")
def own_edit(request: Any, what: str, row_id: int) -> HttpResponse:
    """A modal for one that is there: its name, and the options of a choice, a line each in their old order."""
    given = request.POST
    context: dict[str, Any] = {"url": f"{PAGE}{what}/{row_id}/", "what": what, "is_new": False}
    if what == "field":
        field = fields.get_field(row_id)
        lines = given.get("options", "").splitlines()
        old = list(field.options)
        # as many lines as before: what stands at an option's place is its new name
        renamed = dict(zip(old, lines, strict=True)) if len(lines) == len(old) else {}
        renamed = {a: b.strip() for a, b in renamed.items() if b.strip() not in old and a not in lines}
        context |= {
            "title": _("Edit field"), "label": field.label, "type": field.type,
            "options": "\n".join(field.options),
        }  # fmt: skip
        return _modal(
            request,
            context,
            lambda: fields.edit_field(
                request.brand,
                row_id,
                by=request.actor,
                label=given.get("label", ""),
                options=lines,
                renamed=renamed,
            ),
        )
    if what == "stage":
        context |= {"title": _("Edit stage"), "label": stages.get_stage(row_id).name}
        return _modal(
            request,
            context,
            lambda: stages.rename_stage(request.brand, row_id, by=request.actor, name=given.get("label", "")),
        )
    if what == "kind":
        context |= {"title": _("Edit kind of behaviour"), "label": kinds.get_kind(row_id).label}
        return _modal(
            request,
            context,
            lambda: kinds.rename_kind(request.brand, row_id, by=request.actor, label=given.get("label", "")),
        )
    raise NotFoundError()


@require_POST
@staff_can("fields.edit")
def own_act(request: Any, what: str, row_id: int, act: str) -> HttpResponse:
    """Up, down, away, back."""
    movers = {"field": fields.move_field, "stage": stages.move_stage}
    archivers: dict[str, Callable[..., Any]] = {
        "field": fields.set_archived, "stage": stages.set_archived, "kind": kinds.set_archived,
    }  # fmt: skip
    if act in ("up", "down") and what in movers:
        movers[what](request.brand, row_id, down=act == "down")
        return go(request, PAGE)
    if act in ("archive", "restore") and what in archivers:
        archivers[what](request.brand, row_id, by=request.actor, archived=act == "archive")
        return go(request, PAGE, _("Archived") if act == "archive" else _("It is back"))
    raise NotFoundError()
