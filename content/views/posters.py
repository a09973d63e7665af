"""Posters: list, the editor in which parts are dragged, the picture for a guide."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from content import hooks
from content.models import Poster, TrackedLink
from content.services import poster_pictures, posters
from content.views.tabs import tabs
from org.access import brand_transaction, staff_can, staff_can_outside
from org.models import Staff
from scrm import json_in
from scrm.errors import InvalidError
from scrm.ids import read_id
from scrm.keyset import keyset_page
from scrm.responses import go
from tenants.scoping import tenant_scope

FIRST = {
    "parts": [
        {"kind": "qr", "x": 40, "y": 40, "w": 160},
        {"kind": "text", "x": 40, "y": 220, "w": 160, "size": 24, "text": "{员工姓名}", "color": "#222222", "align": "center"},
    ]
}  # fmt: skip


@require_GET
@staff_can("content.view")
def poster_list(request: Any) -> HttpResponse:
    archived = request.GET.get("state") == "archived"
    found = Poster.objects.filter(archived_at__isnull=not archived).select_related("link")
    page = keyset_page(found, order=("-pk",), after=request.GET.get("after"), size=30)
    context = {
        "page": page,
        "tabs": tabs(request, "posters"),
        "states": [("archived", _("In the archive"))],
        "is_filtered": archived,
    }
    template = "content/posters/_rows.html" if request.htmx else "content/posters/list.html"
    return render(request, template, context)


@require_http_methods(["GET", "POST"])
@staff_can("content.edit")
def poster_edit(request: Any, poster_id: int | None = None) -> HttpResponse:
    row = posters.get_poster(poster_id) if poster_id else None
    given: dict[str, Any] = {
        "name": row.name if row else "",
        "background": row.background_id if row else "",
        "link": (row.link_id or "") if row else "",
        "layout": row.layout if row else FIRST,
    }
    error = ""
    if request.method == "POST":
        try:
            layout = json_in.loads(request.POST.get("layout", ""))
        except ValueError:
            layout = None
        given = {name: request.POST.get(name, "") for name in ("name", "background", "link")}
        given["layout"] = (
            layout if isinstance(layout, dict) and isinstance(layout.get("parts"), list) else FIRST
        )
        try:
            saved = posters.save_poster(
                request.brand,
                name=given["name"],
                background_id=read_id(given["background"]) or 0,
                link_id=read_id(given["link"]),
                layout=layout,
                poster_id=poster_id,
                by=request.actor,
            )
            return go(request, f"/posters/{saved.pk}/", _("Saved"))
        except InvalidError as problem:
            error = str(problem.message)
    links = _links(row)
    context = {
        "row": row,
        "given": given,
        "error": error,
        "links": links,
        "codes": hooks.poster_codes(),
    }
    return render(request, "content/posters/edit.html", context, status=422 if error else 200)


@require_POST
@staff_can("content.edit")
def poster_archive(request: Any, poster_id: int) -> HttpResponse:
    archive = request.POST.get("back") != "1"
    posters.archive_poster(request.brand, poster_id=poster_id, archive=archive, by=request.actor)
    text = _("In the archive. Guides do not see it any more.") if archive else _("Restored")
    return go(request, f"/posters/{poster_id}/", text)


def _links(row: Poster | None) -> list[tuple[int, str]]:
    """Where the code may lead to: the newest links, and the poster's own however old it is."""
    found = TrackedLink.objects.filter(archived_at=None, page="").order_by("-pk").values_list("pk", "name")
    newest = list(found[:300])
    own = row.link_id if row else None
    if own and own not in dict(newest):
        newest += TrackedLink.objects.filter(pk=own).values_list("pk", "name")
    return newest


@require_GET
@staff_can_outside("content.view")
def poster_picture(request: Any, poster_id: int) -> HttpResponse:
    """The poster of a guide (`staff`; otherwise of nobody), as a JPEG."""
    with brand_transaction(request):
        row = posters.get_poster(poster_id)
        wanted = read_id(request.GET.get("staff"))
        staff = Staff.objects.select_related("store").filter(pk=wanted).first() if wanted else None
        drawing = poster_pictures.plan(request.brand, row, staff=staff)
    with tenant_scope(request.brand):
        data = poster_pictures.draw(request.brand, drawing)
    return HttpResponse(data, content_type="image/jpeg")
