"""The outbox: what waits for WeCom and what it would not do, with the reason and 'try again'; and the long
jobs."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST
from django.views.decorators.vary import vary_on_headers

from org.access import staff_can
from org.models import Job
from scrm.errors import InvalidError
from scrm.ids import read_ids
from scrm.keyset import keyset_page
from scrm.responses import go
from wecom.models import OutboundCall
from wecom.services import outbound
from wecom.views.tabs import sync_tabs

State = OutboundCall.State


@require_GET
@staff_can("sync.view")
@vary_on_headers("HX-Request")
def outbound_list(request: Any) -> HttpResponse:
    """Newest first, by state and kind; failures when nothing is chosen and there are some."""
    state, kind = request.GET.get("state", ""), request.GET.get("kind", "")
    calls = OutboundCall.objects.select_related("corp")
    n_failed = calls.filter(state=State.FAILED).count()
    n_waiting = calls.filter(state__in=[State.WAITING, State.CALLING]).count()
    if state in State.values:
        calls = calls.filter(state=state)
    if kind in OutboundCall.Kind.values:
        calls = calls.filter(kind=kind)
    page = keyset_page(calls, order=("-pk",), after=request.GET.get("after"))
    context: dict[str, Any] = {"page": page}
    if request.htmx:
        return render(request, "wecom/outbound/_rows.html", context)
    context |= {
        "tabs": sync_tabs("outbound"),
        "n_failed": n_failed,
        "n_waiting": n_waiting,
        "given": {"state": state, "kind": kind},
        "states": State.choices,
        "kinds": OutboundCall.Kind.choices,
    }
    return render(request, "wecom/outbound/list.html", context)


@require_POST
@staff_can("sync.run")
def outbound_again(request: Any) -> HttpResponse:
    """Make failed calls again: one or all."""
    ids = read_ids(request.POST)
    if not ids and request.POST.get("what") != "all":
        raise InvalidError(_("Choose which calls to make again"))
    n = outbound.try_again(request.brand, by=request.actor, call_ids=ids or None)
    return go(request, "/sync/outbound/", _("%(n)d calls are made again") % {"n": n})


@require_GET
@staff_can("sync.view")
@vary_on_headers("HX-Request")
def job_list(request: Any) -> HttpResponse:
    """All long jobs, newest first."""
    page = keyset_page(Job.objects.all(), order=("-pk",), after=request.GET.get("after"), size=30)
    if request.htmx:
        return render(request, "wecom/jobs/_rows.html", {"page": page})
    return render(request, "wecom/jobs/list.html", {"page": page, "tabs": sync_tabs("jobs")})
