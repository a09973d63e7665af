"""What waits for a second person in SOPs: the list, one with all that is in it, yes and no."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from django.db.models import Sum
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_POST

from campaigns.graph import tidy, words
from campaigns.graph.kinds import MESSAGES
from campaigns.models import Enrolment, SendTask, SopRequest
from campaigns.services.graphs import graphs
from campaigns.services.sops import sop_approval, sop_request_words, sop_requests
from campaigns.services.sops.sop_request_words import Files, files_gone
from campaigns.views import canvas_data
from campaigns.views.media import files_of
from campaigns.views.sop_tabs import list_tabs
from campaigns.views.versions import details, merged
from contacts.models import Contact
from content.services import approval, library
from org.access import staff_can
from scrm.errors import ForbiddenError, InvalidError
from scrm.keyset import keyset_page
from scrm.responses import go

SAMPLE = 20  # people of a list who are named
REACHING = (*MESSAGES, "moments")
Kind, State = SopRequest.Kind, SopRequest.State


@require_GET
@staff_can("sops.view")
def request_list(request: Any) -> HttpResponse:
    """Those that wait, the oldest first."""
    page = keyset_page(sop_requests.waiting(), order=("pk",), after=request.GET.get("after"), size=30)
    for row in page:
        row.is_own = sop_requests.is_own(row, request.actor)
    context = {"page": page, "tabs": list_tabs(request.brand, "requests")}
    is_more = request.htmx and request.GET.get("after")
    return render(request, f"campaigns/sops/{'_requests' if is_more else 'requests'}.html", context)


@require_GET
@staff_can("sops.view")
def request_detail(request: Any, request_id: int) -> HttpResponse:
    return _page(request, sop_requests.get_request(request_id))


def _page(request: Any, found: SopRequest, **over: Any) -> HttpResponse:
    brand, waits = request.brand, found.state == State.WAITING
    context: dict[str, Any] = {
        "found": found,
        "sop": found.sop,
        "is_own": sop_requests.is_own(found, request.actor),
        "may_decide": request.actor.can("broadcasts.approve"),
        "entries": sop_request_words.entries(brand, found),
        "n_in": Enrolment.objects.filter(sop=found.sop, ended_at=None).count(),
        "effect": sop_request_words.effect(brand, found) if waits else None,
        "problem": sop_request_words.problem(brand, found) if waits else "",
        "warnings": sop_request_words.warnings(brand, found) if waits else [],
        "history": SopRequest.objects.filter(sop=found.sop).exclude(pk=found.pk).defer("proposal").order_by("-pk")[:10],
        **_SHOWN[Kind(found.kind)][1](brand, found),
        **over,
    }  # fmt: skip
    if "first_ids" in context:
        seen = Contact.objects.visible_to(request.staff).filter(pk__in=context["first_ids"]).order_by("pk")
        context["sample"] = list(seen)
    template = f"campaigns/sops/{_SHOWN[Kind(found.kind)][0]}.html"
    return render(request, template, context, status=422 if over else 200)


def _steps(brand: Any, found: SopRequest) -> dict[str, Any]:
    rows = sop_request_words.step_changes(found)
    picked = library.names_of(change.row["content_version"] for change in rows)
    attached = _attached([(change.row["attachments"], change.files_gone) for change in rows])
    return {
        "rows": [
            (
                change,
                _pieces(change),
                files,
                picked.get(change.row["content_version"] or 0),
            )
            for change, files in zip(rows, attached, strict=True)
        ],
        "late": found.late_days,
        "late_before": found.before["late_days"] if found.before else None,
    }


def _attached(messages: Sequence[tuple[Files, Files]]) -> list[Files]:
    """What goes with each message, and what went with it and does not any more: {name, url, gone}."""
    files = files_of(json.dumps([*now, *gone]) for now, gone in messages)
    return [
        [
            {
                "name": a.get("title")
                or files.get(str(a.get("file_id")), {}).get("name")
                or a.get("type", ""),
                "url": a.get("url") or " ".join(filter(None, [a.get("appid"), a.get("page")])),
                "gone": n >= len(now),
            }
            for n, a in enumerate([*now, *gone])
        ]
        for now, gone in messages
    ]


def _pieces(change: sop_request_words.StepChange) -> list[approval.Piece] | None:
    """Both texts in one, where they differ."""
    return None if change.old_text is None else approval.differences(change.old_text, change.row["text"])


def _canvas(brand: Any, found: SopRequest) -> dict[str, Any]:
    graph, before = sop_request_words.graph_of(found), sop_request_words.before_of(found)
    changes = graphs.compare(brand, before.graph, graph) if before else []
    shown = merged(tidy(before.graph), graph, changes) if before else graph
    canvas = {**canvas_data.meta(), **canvas_data.of_graph(brand, shown), "readonly": True}
    canvas["details"] = details(changes)
    looks = {row["node"]: row["what"] for row in reversed(changes) if row["node"]}
    nodes = {node["id"]: node for node in graph["nodes"]}
    messages = [nodes[i] for i in words.order(graph) if nodes[i]["kind"] in REACHING]
    was = {node["id"]: node for node in tidy(before.graph)["nodes"]} if before else {}
    attached = _attached(
        [(node.get("attachments") or [], files_gone(was.get(node["id"], {}), node)) for node in messages]
    )
    return {
        "before": before,
        "changes": changes,
        "canvas": canvas,
        "moves": found.people == graphs.MOVE,
        "messages": [
            {
                "name": words.name_of(node),
                "text": node.get("text") or "",
                "attached": files,
                "content_id": node.get("content_id"),
                "what": looks.get(node["id"], ""),
            }
            for node, files in zip(messages, attached, strict=True)
        ],
        "rehearsals": sop_request_words.rehearsals(found),
    }


def _people(brand: Any, found: SopRequest) -> dict[str, Any]:
    return {"n_people": len(found.contact_ids), "first_ids": found.contact_ids[:SAMPLE]}


def _priority(brand: Any, found: SopRequest) -> dict[str, Any]:
    planned = SendTask.objects.filter(sop=found.sop, state=SendTask.State.PLANNED)
    return {
        "changes": sop_request_words.changes(brand, found),
        "n_planned": planned.aggregate(n=Sum("n"))["n"] or 0,
    }


_SHOWN: dict[str, tuple[str, Callable[[Any, SopRequest], dict[str, Any]]]] = {
    Kind.ON: ("request_steps", _steps),
    Kind.CHANGE: ("request_steps", _steps),
    Kind.VERSION: ("request_canvas", _canvas),
    Kind.PRIORITY: ("request_priority", _priority),
    Kind.PEOPLE: ("request_people", _people),
}
_RIGHTS = {"approve": "broadcasts.approve", "reject": "broadcasts.approve", "withdraw": "sops.edit"}
_DONE = {
    Kind.ON: gettext_lazy("Approved: it is on. Put people in, or choose it in a channel code."),
    Kind.CHANGE: gettext_lazy("Approved: these are its steps from now on"),
    Kind.VERSION: gettext_lazy("Approved: it is published, people come into it from now on"),
    Kind.PEOPLE: gettext_lazy("Approved: they are being put in"),
    Kind.PRIORITY: gettext_lazy("Approved: this is its priority from now on"),
}


@require_POST
@staff_can("sops.view")
def request_act(request: Any, request_id: str, act: str) -> HttpResponse:
    """Approve, send back (`reason`), withdraw."""
    if not request.actor.can(_RIGHTS[act]):
        raise ForbiddenError()
    number, by = int(request_id), request.actor
    found = sop_requests.get_request(number)
    address = f"/sops/{found.sop_id}/"
    if act == "withdraw":
        sop_approval.withdraw(request.brand, request_id=number, by=by)
        words = _("Taken back: it can be changed and handed in again")
        return go(request, f"/sops/requests/{number}/", words)
    if act == "reject":
        reason = request.POST.get("reason", "")
        try:
            sop_approval.reject(request.brand, request_id=number, reason=reason, by=by)
        except InvalidError as error:
            return _page(request, found, reason=reason, wrong=str(error.message))
        return go(request, "/sops/requests/", _("Sent back to %(who)s") % {"who": found.asked_by})
    outcome = sop_approval.approve(request.brand, request_id=number, by=by)
    page = f"{address}people/" if found.kind == Kind.PEOPLE else address
    return go(request, page + (f"?job={outcome.job.pk}" if outcome.job else ""), _DONE[Kind(found.kind)])
