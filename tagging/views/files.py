"""Tags by file: the library itself from a spreadsheet, and tags for the people of a list."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from org.access import staff_can
from org.models import Corp, Job
from scrm import sheets
from scrm.errors import InvalidError, NotFoundError, SCRMError
from scrm.ids import need_ids
from scrm.responses import go
from tagging.models import TagAct
from tagging.services.tags import library_file, lists, mass, waiting
from tagging.services.tags.tags import choices
from tagging.views.acts import act_rows
from tagging.views.tabs import tabs

SHOWN = 200


def uploaded(request: Any) -> tuple[bytes, str]:
    """The file of a form, or pasted lines."""
    file = request.FILES.get("file")
    if file is not None:
        return file.read(sheets.MAX_BYTES + 1), file.name or ""
    if pasted := request.POST.get("pasted", "").strip():
        return pasted.encode(), _("Pasted lines")
    raise InvalidError(_("Choose a file"), fields={"file": _("Choose a file")})


# ---- the library


@require_http_methods(["GET", "POST"])
@staff_can("tags.edit")
def library_import(request: Any) -> HttpResponse:
    """Upload; the answer is the preview."""
    corps = list(Corp.objects.order_by("pk"))
    context: dict[str, Any] = {"corps": corps, "where": request.POST.get("corp", "")}
    if request.method == "POST":
        where = request.POST.get("corp", "")
        corp = next((c for c in corps if str(c.pk) == where), None)
        try:
            if where and corp is None:
                raise InvalidError(_("Choose one of the list"))
            data, name = uploaded(request)
            found = library_file.preview(request.brand, corp=corp, data=data, name=name)
        except InvalidError as error:
            return render(
                request, "tagging/files/library.html", context | {"error": error.message}, status=422
            )
        shown = {"found": found, "corp": corp, "bad": found.bad[:SHOWN]}
        return render(request, "tagging/files/library_preview.html", shown)
    context["recent"] = Job.objects.filter(kind=library_file.JOB).order_by("-created_at")[:5]
    return render(request, "tagging/files/library.html", context)


@require_POST
@staff_can("tags.edit")
def library_import_start(request: Any) -> HttpResponse:
    job = library_file.start(request.brand, by=request.actor, token=request.POST.get("token", "")[:40])
    return go(request, f"/tags/import/{job.pk}/")


@require_GET
@staff_can("tags.edit")
def library_import_job(request: Any, job_id: int) -> HttpResponse:
    """Progress, then what could not be made."""
    job = Job.objects.filter(pk=job_id, kind=library_file.JOB).first()
    if job is None:
        raise NotFoundError()
    context = {"job": job, "problems": job.result.get("problems", [])}
    return render(request, "tagging/files/library_job.html", context)


# ---- people of a list


@require_http_methods(["GET", "POST"])
@staff_can("contacts.edit")
def list_new(request: Any) -> HttpResponse:
    """Upload or paste; the answer is who was found, with the choice of tags."""
    context: dict[str, Any] = {"tabs": tabs("acts"), "pasted": request.POST.get("pasted", "")}
    if request.method == "POST":
        try:
            data, name = uploaded(request)
            found = lists.read(request.brand, data=data, name=name, staff=request.staff)
        except InvalidError as error:
            return render(request, "tagging/files/list.html", context | {"error": error.message}, status=422)
        return _list_preview(request, found)
    return render(request, "tagging/files/list.html", context)


def _list_preview(request: Any, found: lists.Found, **more: Any) -> HttpResponse:
    context = {
        "found": found,
        "n_waiting": len(lists.can_wait(found, request.staff)),
        "unknown": found.unknown[:SHOWN],
        "bad": found.bad[:SHOWN],
        "groups": choices(),
        "shown": SHOWN,
        "kinds": [str(kind) for kind in waiting.KINDS],
    }
    return render(request, "tagging/files/list_preview.html", context | more, status=422 if more else 200)


@require_POST
@staff_can("contacts.edit")
def list_start(request: Any) -> HttpResponse:
    token = request.POST.get("token", "")[:40]
    try:
        done = lists.start(
            request.brand,
            by=request.actor,
            staff=request.staff,
            token=token,
            add=need_ids(request.POST, "tags"),
            days=mass.days_of(request.POST.get("days", "").strip()),
            wait=request.POST.get("wait") == "1",
        )
    except NotFoundError:
        raise
    except SCRMError as error:
        found = lists.recall(request.brand, token)
        return _list_preview(request, found, error=error.message, typed=request.POST)
    act_id = done.params["act_id"] if isinstance(done, Job) else done.pk
    return go(request, f"/tags/history/{act_id}/")


@require_GET
@staff_can("contacts.edit")
def act_page(request: Any, act_id: int) -> HttpResponse:
    """One act: its progress and what it did."""
    act = TagAct.objects.filter(pk=act_id).first()
    if act is None:
        raise NotFoundError()
    return render(request, "tagging/acts/detail.html", act_rows([act])[0])
