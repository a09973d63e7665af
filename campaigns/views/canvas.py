"""The canvas of an SOP: draw it, save the draft, choose what a node names."""

import json
from typing import Any

from django.http import HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from campaigns.graph.shape import Graph, tidy
from campaigns.models import Sop
from campaigns.services.graphs import graph_warnings, graphs
from campaigns.services.sops import sop_requests
from campaigns.views import canvas_data
from campaigns.views.media import files_of
from campaigns.views.sops import tabs_of
from org.access import staff_can
from scrm import json_in
from scrm.errors import ConflictError, InvalidError, NotFoundError, SCRMError
from scrm.responses import error_body, go
from tagging.services.segments import naming


def draft_of(sop: Sop) -> Graph:
    return tidy(sop.draft or graphs.EMPTY)


@require_GET
@staff_can("sops.edit")
def edit(request: Any, sop_id: int) -> HttpResponse:
    sop = graphs.get_graph_sop(sop_id)
    if sop.state == Sop.State.ENDED:
        raise ConflictError(_("The SOP has ended. Copy it to use it again."))
    graph = draft_of(sop)
    data = {
        **canvas_data.meta(),
        **canvas_data.of_graph(request.brand, graph),
        "problems": graphs.validate(request.brand, graph),
        "warnings": graph_warnings.warnings(request.brand, graph, sop.pk),
        "revision": sop.draft_n,
        "urls": {
            "save": reverse("sop_canvas_save", args=[sop.pk]),
            "choices": reverse("sop_choices"),
            "test": reverse("sop_test", args=[sop.pk]),
        },
    }
    context = {
        "sop": sop,
        "canvas": data,
        "tabs": tabs_of(sop, "canvas"),
        "asked": sop_requests.last_of(sop),
        "files": files_of(json.dumps(node.get("attachments") or []) for node in graph["nodes"]),
    }
    return render(request, "campaigns/sops/canvas/edit.html", context)


@require_POST
@staff_can("sops.edit")
def save(request: Any, sop_id: int) -> HttpResponse:
    """The draft, with the number of the save it began from; without one it goes over what others saved.

    Answers how the graph reads and what is wrong with it; 409 when somebody has saved meanwhile.
    """
    sop = graphs.get_graph_sop(sop_id)
    try:
        given = json_in.loads(request.body)
        raw, revision = given["graph"], given["revision"]
        if revision is not None and type(revision) is not int:
            raise ValueError
    except (ValueError, KeyError, TypeError):
        return _refused(InvalidError(_("The draft did not arrive complete. Load the page again.")))
    try:
        sop = graphs.save_draft(request.brand, sop_id=sop.pk, graph=raw, draft_n=revision, by=request.actor)
    except SCRMError as error:
        return _refused(error)
    graph = draft_of(sop)
    read = canvas_data.of_graph(request.brand, graph)
    return JsonResponse(
        {
            "revision": sop.draft_n,
            "problems": graphs.validate(request.brand, graph),
            "warnings": graph_warnings.warnings(request.brand, graph, sop.pk),
            "summaries": read["summaries"],
            "sentences": read["sentences"],
        }
    )


def _refused(error: SCRMError) -> JsonResponse:
    return JsonResponse(error_body(error), status=error.http_status)


@require_http_methods(["GET", "POST"])
@staff_can("sops.edit")
def rename(request: Any, sop_id: int) -> HttpResponse:
    """A dialog with the name."""
    sop = graphs.get_graph_sop(sop_id)
    context: dict[str, Any] = {"sop": sop, "name": sop.name}
    if request.method == "POST":
        context["name"] = request.POST.get("name", "")
        try:
            graphs.rename(request.brand, sop_id=sop.pk, name=context["name"], by=request.actor)
            return go(request, f"/sops/{sop.pk}/canvas/", _("Saved"))
        except SCRMError as error:
            context["error"] = str(error)
    status = 422 if "error" in context else 200
    return render(request, "campaigns/sops/canvas/_rename.html", context, status=status)


@require_GET
@staff_can("sops.edit")
def choices(request: Any) -> HttpResponse:
    """What may be chosen from a source, by a part of its name: [[id, name], …]."""
    source = request.GET.get("source", "")
    if source not in canvas_data.SOURCES:
        raise NotFoundError()
    return JsonResponse({"results": naming.choices(source, request.GET.get("q", ""))})
