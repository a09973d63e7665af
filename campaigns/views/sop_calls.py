"""Calls of an SOP's web hooks: what signs them, what was answered, what is to be made again."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_POST

from campaigns.graph import words
from campaigns.models import SopCall
from campaigns.services.graphs import graphs
from campaigns.services.journeys import hooks, plans
from campaigns.views.sop_tabs import tabs_of
from org.access import staff_can
from scrm.errors import FilterError
from scrm.ids import need_id
from scrm.keyset import keyset_page
from scrm.responses import go


@require_GET
@staff_can("sops.view")
def call_list(request: Any, sop_id: int) -> HttpResponse:
    """Newest first; `state` waiting, done or failed."""
    sop = graphs.get_graph_sop(sop_id)
    state = request.GET.get("state", "")
    rows = SopCall.objects.filter(sop=sop).defer("body")
    if state:
        if state not in SopCall.State.values:
            raise FilterError()
        rows = rows.filter(state=state)
    page = keyset_page(rows, order=("-pk",), after=request.GET.get("after"), size=50)
    names: dict[str, str] = {}
    for plan in plans.load([sop.version_id] if sop.version_id else []).values():
        names = {node_id: words.name_of(node) for node_id, node in plan.nodes.items()}
    for call in page:
        call.node_name = names.get(call.node, call.node)
    context: dict[str, Any] = {"sop": sop, "page": page}
    if request.htmx and request.GET.get("after"):
        return render(request, "campaigns/sops/canvas/_calls.html", context)
    context |= {
        "tabs": tabs_of(sop, "calls"),
        "secret": sop.hook_secret if request.actor.can("sops.edit") else "",
        "states": SopCall.State.choices,
        "state": state,
        "n_failed": SopCall.objects.filter(sop=sop, state=SopCall.State.FAILED).count(),
    }
    return render(request, "campaigns/sops/canvas/calls.html", context)


@require_POST
@staff_can("sops.edit")
def call_again(request: Any, sop_id: int) -> HttpResponse:
    """Failed calls are made again: one by id, or all."""
    sop = graphs.get_graph_sop(sop_id)
    n = hooks.again(
        sop, by=request.actor, call_id=need_id(request.POST["id"]) if "id" in request.POST else None
    )
    text = ngettext("%(n)s call is made again", "%(n)s calls are made again", n) % {"n": n}
    return go(request, f"/sops/{sop.pk}/calls/", text)


@require_POST
@staff_can("sops.edit")
def new_secret(request: Any, sop_id: int) -> HttpResponse:
    """Another secret from now on."""
    sop = graphs.get_graph_sop(sop_id)
    hooks.renew_secret(sop, by=request.actor)
    return go(request, f"/sops/{sop.pk}/calls/", _("The next calls are signed with the new secret"))
