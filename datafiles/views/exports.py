"""Exports: what was taken out by whom, a new one, its download."""

from typing import Any

from django.http import FileResponse, HttpResponse, QueryDict
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from datafiles.exports import all_export_kinds, export_kind
from datafiles.models import ExportFile
from datafiles.services import exports
from datafiles.views.imports import tabs_of
from org.access import staff_can
from org.models import Job
from scrm import clock
from scrm.errors import ForbiddenError, NotFoundError, SCRMError
from scrm.keyset import keyset_page
from scrm.responses import go


@require_GET
@staff_can("exports.run")
def export_list(request: Any) -> HttpResponse:
    """All exports of the brand, newest first: who took what. Only the person who asked can download."""
    page = keyset_page(
        ExportFile.objects.all(), order=("-created_at", "-pk"), after=request.GET.get("after"), size=30
    )
    jobs = Job.objects.in_bulk([row.job_id for row in page if row.job_id])
    now = clock.now()
    rows = [
        {
            "row": row, "job": jobs.get(row.job_id), "is_mine": row.user_id == request.actor.user_id,
            "is_open": row.ended_at is not None and row.purged_at is None and row.expires_at > now,
        }
        for row in page
    ]  # fmt: skip
    context: dict[str, Any] = {
        "page": page,
        "rows": rows,
        "is_live": any(r["job"] and r["job"].is_live for r in rows),
    }
    if request.htmx:
        return render(request, "datafiles/_export_rows.html", context)
    mine = [kind for kind in all_export_kinds() if request.actor.can(kind.right) and not kind.needs]
    context |= {"kinds": mine, "tabs": tabs_of("exports", request)}
    return render(request, "datafiles/exports.html", context)


@require_http_methods(["GET", "POST"])
@staff_can("exports.run")
def export_new(request: Any) -> HttpResponse:
    """Begin an export of a list with its filter (a modal): the filter comes in the address, as on the list's own page."""
    # the first `kind` says which list; another one is a filter of the page (the kind of a task)
    first, *further = request.GET.getlist("kind") or ["contacts"]
    kind = export_kind(first or "contacts")
    if not request.actor.can(kind.right):
        raise ForbiddenError()
    query = QueryDict(request.GET.urlencode(), mutable=True)
    query.setlist("kind", further)
    error: Any = ""
    if request.method == "POST":
        try:
            exports.start_export(
                request.brand, kind=kind.key, query=query, format=request.POST.get("format", "csv"), by=request.actor,
                staff=request.staff,
            )  # fmt: skip
            return go(request, "/exports/", _("The export has begun"))
        except NotFoundError:
            raise
        except SCRMError as problem:
            error = problem.message
    context = {
        "kind": kind, "query": request.GET.urlencode(), "error": error, "may_phones": request.actor.can("contacts.phones"),
        "filters": [(name, value) for name, values in query.lists() for value in values if value],
    }  # fmt: skip
    return render(request, "datafiles/export_new.html", context, status=422 if error else 200)


@require_GET
@staff_can("exports.run")
def export_file(request: Any, export_id: int) -> Any:
    """The file, for the person who asked for it."""
    path, name = exports.open_file(request.brand, export_id=export_id, by=request.actor)
    kinds = {"csv": "text/csv", "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"}
    response = FileResponse(
        path.open("rb"), as_attachment=True, filename=name, content_type=kinds[path.suffix[1:]]
    )
    response["Cache-Control"] = "no-store"
    return response
