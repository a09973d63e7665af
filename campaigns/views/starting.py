"""Begin an SOP: on an empty canvas, with a ready one, from a file, or as steps by day."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods

from campaigns.services import graphs
from org.access import staff_can
from scrm.errors import SCRMError
from scrm.responses import go


@require_http_methods(["GET", "POST"])
@staff_can("sops.edit")
def start(request: Any) -> HttpResponse:
    """The gallery; POST `name` makes a draft of an empty canvas."""
    context: dict[str, Any] = {"name": request.POST.get("name", "")}
    if request.method == "POST":
        try:
            sop = graphs.create_graph_sop(request.brand, name=context["name"], by=request.actor)
            return go(request, f"/sops/{sop.pk}/canvas/")
        except SCRMError as error:
            context["error"] = str(error)
    return render(request, "campaigns/sops/start.html", context, status=422 if "error" in context else 200)
