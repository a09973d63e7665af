"""A drawn SOP while it runs: figures on the canvas, the people at a node, figures by guide."""

from collections.abc import Mapping
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET

from campaigns.graph import words
from campaigns.graph.kinds import MESSAGES
from campaigns.graph.shape import Graph, Node, tidy, way_name
from campaigns.models import Enrolment, Sop, SopStep, SopVersion, Touch
from campaigns.services import scope
from campaigns.services.graphs import graph_checks, graphs
from campaigns.services.journeys import figures, moments, trouble
from campaigns.services.journeys.figures import NodeNumbers
from campaigns.services.ledger import waiting
from campaigns.services.moments.moment_failures import reason_of
from campaigns.services.sops import numbers, sop_figures, sop_requests, sops
from campaigns.views import canvas_data
from campaigns.views.sop_tabs import tabs_of
from campaigns.views.touches import lists_of
from org.access import staff_can
from org.models import Job
from scrm.errors import NotFoundError
from scrm.ids import read_id
from scrm.keyset import keyset_page

REACHING = (*MESSAGES, "moments")
# how people leave a node by no way of the graph
MOVED = "moved"
WAYS: dict[str, Any] = {str(kind): label for kind, label in Enrolment.End.choices}
WAYS[MOVED] = lazy("went over into another version")


def detail(request: Any, sop: Sop, acts: list[dict[str, Any]], stops: list[Job]) -> HttpResponse:
    """The page of a drawn SOP; `v`: the figures of one version on that version."""
    found = graphs.versions(sop.pk)
    version = _version(request, sop, found)
    graph = tidy(version.graph) if version else tidy(sop.draft or graphs.EMPTY)
    only = version.pk if version and request.GET.get("v") else None
    by_node = _numbers(sop, only) if version else {}
    reach = [node for node in graph["nodes"] if node["kind"] in REACHING]
    fresh_part = _fresh(sop, graph, by_node, version, only)
    canvas = canvas_data.meta() | canvas_data.of_graph(request.brand, graph) | {"readonly": True}
    if version:
        canvas |= fresh_part["fresh"]
        canvas["words"] |= {"n_problems": _("{n} not published")}
        url = reverse("sop_node", args=[sop.pk, "NODE"])
        canvas["urls"] = {"node": url + (f"?v={only}" if only else "")}
    context = {
        **fresh_part,
        "acts": acts,
        "asked": sop_requests.last_of(sop),
        "tabs": tabs_of(sop, "detail", fresh_part["total"].n_in),
        "versions": found,
        "has_changes": bool(version) and graphs.has_changes(sop),
        "canvas": canvas,
        "is_running": bool(version) and sop.state in (Sop.State.ON, Sop.State.PAUSED),
        "result": _result_chart(reach, by_node),
        "outcome": _outcome_chart(sop),
        "unconfirmed": numbers.unconfirmed(sop_id=sop.pk, limit=10),
        "jobs": _moves(request, sop) + stops,
        "errors": _entry_errors(request.brand, sop, graph) if version else [],
    }  # fmt: skip
    return render(request, "campaigns/sops/canvas/detail.html", context)


@require_GET
@staff_can("sops.view")
def fresh(request: Any, sop_id: int) -> HttpResponse:
    """What changes while the page of a drawn SOP is open: figures on the cards, above and below; `v` as on the page."""
    sop = graphs.get_graph_sop(sop_id)
    version = _version(request, sop, graphs.versions(sop.pk))
    if version is None:
        raise NotFoundError()
    only = version.pk if request.GET.get("v") else None
    context = _fresh(sop, tidy(version.graph), _numbers(sop, only), version, only)
    return render(request, "campaigns/sops/canvas/_fresh.html", context | {"is_fresh": True})


def _fresh(
    sop: Sop,
    graph: Graph,
    by_node: Mapping[str, NodeNumbers],
    version: SopVersion | None,
    only: int | None,
) -> dict[str, Any]:
    """`fresh` is for the cards: {numbers, problems}."""
    refused = moments.refused_of(sop) if version else {}
    troubles = [
        {"node": node["id"], "name": words.name_of(node), "rows": found, "words": _refusal(found)}
        for node in graph["nodes"]
        if (found := refused.get(node["id"]))
    ]
    return {
        "sop": sop,
        "version": version,
        "only": only,
        "total": numbers.of_sops([sop.pk])[sop.pk],
        "lists": lists_of("sop", sop.pk),
        "rows": [
            _row(node, by_node.get(node["id"], NodeNumbers()))
            for node in graph["nodes"]
            if node["kind"] in REACHING
        ],
        "troubles": troubles,
        "kept": waiting.kept_of_sop(sop),
        "fresh": {
            "numbers": {
                node: {
                    "in": n.n_in, "waiting": n.n_waiting, "out": n.n_out, "touched": n.touched, "blocked": n.n_blocked,
                }
                for node, n in by_node.items()
            },
            "problems": [{"node": t["node"], "field": "", "message": t["words"]} for t in troubles],
        },
    }  # fmt: skip


def _refusal(found: list[moments.Refused]) -> str:
    """The newest refusal of a node in a sentence."""
    n = len({staff_id for row in found for staff_id in row.moment.staff_ids})
    said = ngettext(
        "Not published for %(n)d guide: %(error)s", "Not published for %(n)d guides: %(error)s", n
    )
    return said % {"n": n, "error": reason_of(found[0].error)}


def _entry_errors(brand: Any, sop: Sop, graph: Graph) -> list[tuple[str, str]]:
    """(what cannot be read, why): an entry lets nobody in, others hold people. Of the present version, and of older ones
    with people."""
    found, goals = trouble.errors_of(sop), _("Goals and exits")
    whole = [(goals, found[trouble.WHOLE])] if trouble.WHOLE in found else []
    nodes = [(words.name_of(node), found[node["id"]]) for node in graph["nodes"] if node["id"] in found]
    older = [
        (_("%(name)s (version %(n)s)") % {"name": row.name or goals, "n": row.n}, row.error)
        for row in trouble.of_older(brand, sop)
    ]
    return whole + nodes + older


def _numbers(sop: Sop, only: int | None) -> dict[str, NodeNumbers]:
    """Numbers of nodes; over all versions, whoever went over into another one counts once."""
    found = figures.of_nodes(sop, version_id=only)
    if only is None:
        for n in found.values():
            n.n_in -= n.outs.pop(MOVED, 0)
    return found


def _moves(request: Any, sop: Sop) -> list[Job]:
    """The last move of people between versions, while it runs or when it is asked for."""
    last = Job.objects.filter(kind="sop_move", params__sop_id=sop.pk).order_by("-created_at")[:1]
    return [job for job in last if job.is_live or request.GET.get("job") == str(job.pk)]


def _version(request: Any, sop: Sop, found: list[SopVersion]) -> SopVersion | None:
    wanted = request.GET.get("v", "")
    for version in found:
        if str(version.n) == wanted if wanted else version.pk == sop.version_id:
            return version
    if wanted:
        raise NotFoundError()
    return None


def _row(node: Node, found: NodeNumbers) -> dict[str, Any]:
    return {"node": node["id"], "name": words.name_of(node), "text": node.get("text") or "", "n": found}


def _result_chart(reach: list[Node], by_node: Mapping[str, NodeNumbers]) -> dict[str, Any] | None:
    rows = [(words.name_of(node), by_node.get(node["id"], NodeNumbers())) for node in reach]
    if not any(
        n.touched or n.waiting_for_guide or n.n_blocked or n.failed or n.cancelled for _name, n in rows
    ):
        return None
    return {
        "kind": "stack",
        "x": [name for name, _n in rows],
        "x_name": _("Node"),
        "series": [
            {"name": _("Delivered"), "data": [n.touched for _name, n in rows], "color": "green"},
            {"name": _("Waiting"), "data": [n.waiting_for_guide for _name, n in rows], "color": "blue"},
            {"name": _("Held back"), "data": [n.n_blocked for _name, n in rows], "color": "amber"},
            {"name": _("Not delivered"), "data": [n.failed for _name, n in rows], "color": "red"},
            {"name": _("Cancelled"), "data": [n.cancelled for _name, n in rows], "color": "grey"},
        ],
    }


def _outcome_chart(sop: Sop) -> dict[str, Any] | None:
    """How those who have left it left it."""
    rows = sop_figures.ends_of(sop.pk)
    if not rows:
        return None
    return {
        "kind": "donut",
        "x": [str(WAYS.get(kind, kind)) for kind in rows],
        "series": [{"name": _("People"), "data": list(rows.values())}],
    }


# ---- one node


@require_GET
@staff_can("sops.view")
def node(request: Any, sop_id: int, node_id: str) -> HttpResponse:
    """A drawer: what became of those who came to a node, and who stands there now. `v`: of one version only."""
    sop = graphs.get_graph_sop(sop_id)
    version = _of_version(sop, request.GET.get("v", ""))
    graph = tidy(version.graph)
    found = next((n for n in graph["nodes"] if n["id"] == node_id), None)
    if found is None:
        raise NotFoundError()
    only = version.pk if request.GET.get("v") else None
    people = Enrolment.objects.filter(sop=sop, node=node_id, ended_at=None).select_related("contact")
    if only:
        people = people.filter(version_id=only)
    page = keyset_page(
        scope.of_contacts(people, request.staff),
        order=("-contact_id",),
        after=request.GET.get("after"),
        size=20,
    )
    context = {"sop": sop, "node": found, "page": page}
    if request.GET.get("after"):
        return render(request, "campaigns/sops/canvas/_node_people.html", context)
    n = _numbers(sop, only).get(node_id, NodeNumbers())
    steps = SopStep.objects.filter(sop=sop, node=node_id, version__isnull=False).order_by("-pk")
    context |= {
        "title": words.name_of(found),
        "words": words.describe(found, graph_checks.say_for(request.brand)),
        "n": n,
        "ways": [
            {"name": WAYS.get(way) or way_name(found, way), "n": count}
            for way, count in sorted(n.outs.items(), key=lambda row: -row[1])
        ],
        "reasons": [
            (Touch.Reason(reason).label, count, reason)
            for reason, count in sorted(n.blocked.items(), key=lambda row: -row[1])
        ],
        "step": steps.first(),
        "refused": [(row, reason_of(row.error)) for row in moments.refused_of(sop).get(node_id, [])],
    }
    return render(request, "campaigns/sops/canvas/_node.html", context)


def _of_version(sop: Sop, wanted: str) -> SopVersion:
    pk = read_id(wanted) or sop.version_id
    version = SopVersion.objects.filter(sop=sop, pk=pk or 0).first()
    if version is None:
        raise NotFoundError()
    return version


# ---- by guide, of both forms


@require_GET
@staff_can("sops.view")
def guides(request: Any, sop_id: int) -> HttpResponse:
    sop = sops.get_sop(sop_id)
    context = {
        "sop": sop,
        "rows": sop_figures.of_guides(sop.pk, request.staff),
        "tabs": tabs_of(sop, "guides"),
    }
    return render(request, "campaigns/sops/guides.html", context)
