"""Begin an SOP: on an empty canvas, with a ready graph, from a file, or as steps by day; and give one away as a file."""

from typing import Any

from django.http import HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy
from django.views.decorators.http import require_GET, require_http_methods

from campaigns.graph.templates import TEMPLATES
from campaigns.models import Sop
from campaigns.services.graphs import graph_files, graphs
from campaigns.services.sops import sops
from campaigns.views import canvas_data
from org.access import staff_can
from scrm import json_in
from scrm.errors import InvalidError, NotFoundError, SCRMError
from scrm.responses import flash, go

MAX_BYTES = 2 * 1024 * 1024
SOURCES: dict[str, Any] = {
    "tags": lazy("Tags"), "segments": lazy("Segments"), "codes": lazy("Channel codes"), "staff": lazy("Guides"),
    "stores": lazy("Stores"), "products": lazy("Products"), "behaviours": lazy("Kinds of behaviour"),
    "contents": lazy("Content library"), "groups": lazy("Groups"), "group_codes": lazy("Group codes"), "sops": lazy("SOPs"),
    "regions": lazy("Regions"),
    "stages": lazy("Stages"), "fields": lazy("Fields"), "files": lazy("Files"), "numbers": lazy("Numbers"),
}  # fmt: skip


@require_http_methods(["GET", "POST"])
@staff_can("sops.edit")
def start(request: Any) -> HttpResponse:
    """The gallery. POST: `name` alone begins empty, with `template` from a ready graph; `file` takes one over."""
    context: dict[str, Any] = {"name": request.POST.get("name", ""), "templates": _templates()}
    if request.method == "POST":
        try:
            return _begin(request, context["name"])
        except SCRMError as error:
            context["file_error" if request.POST.get("from") == "file" else "error"] = str(error)
    failed = context.keys() & {"error", "file_error"}
    return render(request, "campaigns/sops/start.html", context, status=422 if failed else 200)


def _templates() -> list[dict[str, Any]]:
    found = []
    for template in TEMPLATES.values():
        nodes = template.graph()["nodes"]
        icons = [canvas_data.LOOKS[node["kind"]] for node in nodes if node["kind"] != "end"]
        counts = {
            kind: sum(node["kind"] == kind for node in nodes) for kind in ("touch", "task", "branch", "split")
        }
        found.append(
            {"key": template.key, "name": template.name, "note": template.note, "icons": icons[:9], **counts}
        )
    return found


def _begin(request: Any, name: str) -> HttpResponse:
    if request.POST.get("from") == "file":
        return _take_over(request)
    graph = None
    if key := request.POST.get("template", ""):
        if (template := TEMPLATES.get(key)) is None:
            raise NotFoundError()
        graph, name = template.graph(), str(template.name)[:60]
        if Sop.objects.filter(name=name).exists():
            name = sops.free_name(name)
    sop = graphs.create_graph_sop(request.brand, name=name, graph=graph, by=request.actor)
    return go(request, f"/sops/{sop.pk}/canvas/")


def _take_over(request: Any) -> HttpResponse:
    file = request.FILES.get("file")
    if file is None:
        raise InvalidError(_("Choose a file"))
    if file.size > MAX_BYTES:
        raise InvalidError(_("The file is larger than %(n)s MB") % {"n": MAX_BYTES // 2**20})
    try:
        data = json_in.loads(file.read().decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise InvalidError(_("This is not an SOP file")) from error
    sop, missing = graph_files.import_sop(request.brand, data, by=request.actor)
    if missing:
        names = "; ".join(f"{SOURCES.get(source, source)}: {name}" for source, name in missing[:10])
        text = _("Taken over. What this brand does not have is left open on the canvas: %(names)s") % {
            "names": names
        }
        flash(request, text, "warning")
        return go(request, f"/sops/{sop.pk}/canvas/")
    return go(request, f"/sops/{sop.pk}/canvas/", _("Taken over"))


@require_GET
@staff_can("sops.edit")
def export(request: Any, sop_id: int) -> HttpResponse:
    """The draft as a file that another brand can take over."""
    data = graph_files.export_sop(request.brand, sop_id=sop_id, by=request.actor)
    answer = JsonResponse(data, json_dumps_params={"ensure_ascii": False, "indent": 1})
    answer["Content-Disposition"] = content_disposition_header(True, f"{data['name']}.sop.json") or ""
    return answer
