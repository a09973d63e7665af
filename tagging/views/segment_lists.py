"""Lists: segments of people named one by one, made and changed by a file or pasted lines."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from contacts.services import contacts
from org.access import staff_can
from scrm.errors import ConflictError, InvalidError, NotFoundError
from scrm.ids import read_id
from scrm.responses import go, toast
from tagging.models import Segment
from tagging.services.segments import segments
from tagging.services.tags import lists
from tagging.views.files import SHOWN, uploaded


@require_http_methods(["GET", "POST"])
@staff_can("segments.edit")
def list_new(request: Any, segment_id: int | None = None) -> HttpResponse:
    """Upload or paste; the answer is who was found, to be made a list of or put on one (`segment_id`)."""
    context: dict[str, Any] = {"segment": _list(segment_id), "pasted": request.POST.get("pasted", "")}
    if request.method == "POST":
        try:
            data, name = uploaded(request)
            found = lists.read(request.brand, data=data, name=name, staff=request.staff)
        except InvalidError as error:
            return render(
                request, "tagging/segments/list_new.html", context | {"error": error.message}, status=422
            )
        first = "" if request.FILES.get("file") is None else name.rpartition(".")[0]
        return _preview(request, context["segment"], found, name=first[: segments.MAX_NAME])
    return render(request, "tagging/segments/list_new.html", context)


def _list(segment_id: int | None) -> Segment | None:
    segment = segments.get_segment(segment_id) if segment_id else None
    if segment and segment.kind != Segment.Kind.LIST:
        raise ConflictError(_("Only the members of a list can be changed one by one"))
    return segment


def _preview(
    request: Any, segment: Segment | None, found: lists.Found, status: int = 200, **more: Any
) -> HttpResponse:
    context: dict[str, Any] = {"segment": segment, "found": found, "shown": SHOWN}
    context |= {"unknown": found.unknown[:SHOWN], "bad": found.bad[:SHOWN], **more}
    return render(request, "tagging/segments/list_preview.html", context, status=status)


@require_POST
@staff_can("segments.edit")
def list_save(request: Any, segment_id: int | None = None) -> HttpResponse:
    """Make the list that was looked at (`token`), or put its people on another one or take them off (`way`)."""
    segment, way = _list(segment_id), request.POST.get("way", "")
    if segment and way not in ("add", "remove"):
        raise NotFoundError()
    found = lists.recall(request.brand, request.POST.get("token", "")[:40])
    ids, source = found.contact_ids, f"file:{found.name}"
    name, note = request.POST.get("name", ""), request.POST.get("note", "")
    try:
        if not ids:
            raise InvalidError(_("Nobody of this list is here"))
        if segment:
            segments.change_list(request.brand, by=request.actor, segment=segment, why=source, **{way: ids})
            pk = segment.pk
        else:
            pk = segments.create_list(
                request.brand, by=request.actor, name=name, note=note, contact_ids=ids, why=source
            ).pk
    except (InvalidError, ConflictError) as error:
        errors = error.details.get("fields", {})
        more = {"errors": errors} if errors else {"error": error.message}
        return _preview(request, segment, found, status=422, name=name, note=note, **more)
    lists.forget(request.brand, found)
    return go(request, f"/segments/{pk}/", _("Saved"))


@require_POST
@staff_can("segments.edit")
def list_drop(request: Any, segment_id: int) -> HttpResponse:
    """Take one person off a list."""
    segment = segments.get_segment(segment_id)
    contact = contacts.get_visible(request.staff, read_id(request.POST.get("contact")) or 0)
    segments.change_list(request.brand, by=request.actor, segment=segment, remove=[contact.pk])
    return toast(HttpResponse(), _("Taken off the list"))
