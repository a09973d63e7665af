"""Versions of a drawn SOP: publish, list, look at, compare, go back."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from django.db.models import Count
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from campaigns.graph import words
from campaigns.graph.shape import Graph, tidy
from campaigns.models import Enrolment, Sop, SopVersion
from campaigns.services.graphs import graph_checks, graph_warnings, graphs
from campaigns.services.graphs.graphs import MOVE, STAY
from campaigns.services.sops import sop_approval, sop_requests
from campaigns.views import canvas_data
from campaigns.views.sop_tabs import WAITS, tabs_of
from org.access import staff_can
from scrm.errors import InvalidError, NotFoundError, SCRMError
from scrm.ids import read_id
from scrm.responses import go

DRAFT = "draft"
LOOKS = {"added": "added", "removed": "removed", "changed": "changed", "way": "changed"}


@require_http_methods(["GET", "POST"])
@staff_can("sops.edit")
def publish(request: Any, sop_id: int) -> HttpResponse:
    """A dialog: what is new, what keeps it from being published, what becomes of the people; POST with `go` publishes."""
    sop = graphs.get_graph_sop(sop_id)
    graph = tidy(sop.draft or graphs.EMPTY)
    context = _question(request, sop, graph)
    context |= {
        "problems": graphs.validate(request.brand, graph),
        "act": "publish",
        "needs": sop_requests.are_needed(request.brand),
    }
    if sop.version_id:
        before = SopVersion.objects.get(pk=sop.version_id)
        context |= {"before": before, "changes": graphs.compare(request.brand, before.graph, graph)}
    if request.method == "POST" and request.POST.get("go"):
        try:
            outcome = sop_approval.publish(
                request.brand, sop_id=sop.pk, by=request.actor, note=request.POST.get("note", ""),
                people=context["people"], mapping=context["mapping"], draft_n=read_id(request.POST.get("draft_n")),
            )  # fmt: skip
            return _gone(request, sop, outcome)
        except InvalidError as error:
            context |= {"problems": error.details.get("problems", []), "error": str(error)}
        except SCRMError as error:
            context["error"] = str(error)
    return _dialog(request, graph, context)


@require_http_methods(["GET", "POST"])
@staff_can("sops.edit")
def roll_back(request: Any, sop_id: int, n: int) -> HttpResponse:
    """A dialog like that of publishing, for a version that was there before."""
    sop = graphs.get_graph_sop(sop_id)
    version = graphs.get_version(sop.pk, n)
    graph = tidy(version.graph)
    context = _question(request, sop, graph) | {
        "act": "back",
        "version": version,
        "problems": graphs.validate(request.brand, graph),
        "loses_draft": graphs.has_changes(sop),
        "needs": sop_requests.are_needed(request.brand) and not graphs.is_approved(version, graph),
    }
    if sop.version_id:
        present = SopVersion.objects.get(pk=sop.version_id)
        context |= {"before": present, "changes": graphs.compare(request.brand, present.graph, graph)}
    if request.method == "POST" and request.POST.get("go"):
        try:
            outcome = sop_approval.roll_back(
                request.brand, sop_id=sop.pk, n=n, by=request.actor, people=context["people"], mapping=context["mapping"]
            )  # fmt: skip
            return _gone(request, sop, outcome)
        except InvalidError as error:
            context |= {"problems": error.details.get("problems", []), "error": str(error)}
        except SCRMError as error:
            context["error"] = str(error)
    return _dialog(request, graph, context)


def _dialog(request: Any, graph: Graph, context: dict[str, Any]) -> HttpResponse:
    """What is wrong is said with the name of its node."""
    names = {node["id"]: words.name_of(node) for node in graph["nodes"]}
    problems = [{**problem, "where": names.get(problem["node"], "")} for problem in context["problems"]]
    return render(request, "campaigns/sops/canvas/_publish.html", {**context, "problems": problems})


def _gone(request: Any, sop: Sop, outcome: sop_approval.Outcome) -> HttpResponse:
    version, job = outcome.version, outcome.job
    if outcome.request or version is None:
        assert outcome.request is not None
        return go(request, f"/sops/requests/{outcome.request.pk}/", WAITS)
    text = _("Version %(n)s is published; people come into it from now on") % {"n": version.n}
    return go(request, f"/sops/{sop.pk}/" + (f"?job={job.pk}" if job else ""), text)


def _question(request: Any, sop: Sop, graph: Graph) -> dict[str, Any]:
    """What becomes of the people, as chosen so far."""
    given = request.POST
    people = given.get("people", STAY)
    mapping = {key.removeprefix("to_"): value for key, value in given.items() if key.startswith("to_")}
    known = {node["id"] for node in graph["nodes"]}
    mapping = {old: new for old, new in mapping.items() if new in known or not new}
    context: dict[str, Any] = {
        "sop": sop,
        "asked": sop_requests.waiting().filter(sop=sop).first(),
        "people": people if people in (STAY, MOVE) else STAY,
        "mapping": mapping,
        "note": given.get("note", ""),
        "warnings": graph_warnings.in_words(request.brand, graph, sop.pk),
        "n_in": Enrolment.objects.filter(sop=sop, ended_at=None).count() if sop.version_id else 0,
    }
    if context["n_in"] and context["people"] == MOVE:
        context["effect"] = graphs.preview_move(request.brand, sop_id=sop.pk, graph=graph, mapping=mapping)
        context["targets"] = targets(request.brand, graph)
    return context


def targets(brand: Any, graph: Graph) -> list[tuple[str, str]]:
    """Places to send people to, as they come through the graph; two that read the same are told apart by number."""
    nodes, say = {node["id"]: node for node in graph["nodes"]}, graph_checks.say_for(brand)
    found: list[tuple[str, str]] = []
    seen: Counter[str] = Counter()
    for node_id in words.order(graph):
        name = words.place_of(nodes[node_id], say)
        seen[name] += 1
        found.append((node_id, f"{name} ({seen[name]})" if seen[name] > 1 else name))
    return found


# ---- the list


@require_GET
@staff_can("sops.view")
def version_list(request: Any, sop_id: int) -> HttpResponse:
    sop = graphs.get_graph_sop(sop_id)
    inside = Enrolment.objects.filter(sop=sop, ended_at=None).order_by()
    by_version: Mapping[int | None, int] = dict(inside.values_list("version_id").annotate(n=Count("pk")))
    found = graphs.versions(sop.pk)
    rows = [
        {
            "version": v,
            "n_in": by_version.get(v.pk, 0),
            "n_nodes": len(v.graph.get("nodes", [])),
            "before": v.n - 1,
        }
        for v in found
    ]
    context = {
        "sop": sop,
        "rows": rows,
        "tabs": tabs_of(sop, "versions"),
        "has_changes": bool(found) and graphs.has_changes(sop),
    }
    return render(request, "campaigns/sops/canvas/versions.html", context)


@require_GET
@staff_can("sops.view")
def compare(request: Any, sop_id: int) -> HttpResponse:
    """Two versions (`a`, `b`; "draft" is what is being drawn), in words and on one canvas."""
    sop = graphs.get_graph_sop(sop_id)
    found = graphs.versions(sop.pk)
    choices = [(str(v.n), _("Version %(n)s") % {"n": v.n}) for v in found]
    if sop.state != Sop.State.ENDED:
        choices.insert(0, (DRAFT, _("Draft")))
    b = request.GET.get("b") or choices[0][0]
    if "b" not in request.GET and len(found) > 1 and not graphs.has_changes(sop):
        b = str(found[0].n)  # the draft is the present version: what that one has changed says more
    a = request.GET.get("a") or str(found[1].n if b == str(found[0].n) else found[0].n) if found else DRAFT
    old, new = _graph(sop, found, a), _graph(sop, found, b)
    changes = graphs.compare(request.brand, old, new)
    both = merged(old, new, changes)
    canvas = {**canvas_data.meta(), **canvas_data.of_graph(request.brand, both), "readonly": True}
    canvas["details"] = details(changes)
    context = {
        "sop": sop, "tabs": tabs_of(sop, "versions"), "choices": choices, "a": a, "b": b, "changes": changes, "canvas": canvas,
    }  # fmt: skip
    return render(request, "campaigns/sops/canvas/compare.html", context)


def _graph(sop: Sop, found: list[SopVersion], which: str) -> Graph:
    if which == DRAFT:
        return tidy(sop.draft or graphs.EMPTY)
    for version in found:
        if str(version.n) == which:
            return tidy(version.graph)
    raise NotFoundError()


def merged(old: Graph, new: Graph, changes: list[dict[str, str]]) -> Graph:
    """Everything of the new graph and what has gone from the old one, each with its look."""
    looks: dict[str, str] = {}
    for row in changes:
        if row["node"]:
            looks.setdefault(row["node"], LOOKS.get(row["what"], ""))
    here = {node["id"] for node in new["nodes"]}
    nodes = [{**node, "look": looks.get(node["id"], "")} for node in new["nodes"]]
    nodes += [{**node, "look": "removed"} for node in old["nodes"] if node["id"] not in here]
    was = {(e["from"], e["out"], e["to"]) for e in old["edges"]}
    now = {(e["from"], e["out"], e["to"]) for e in new["edges"]}
    edges = [{**e, "look": "" if (e["from"], e["out"], e["to"]) in was else "added"} for e in new["edges"]]
    gone = [e for e in old["edges"] if (e["from"], e["out"], e["to"]) not in now]
    return {**new, "nodes": nodes, "edges": edges + [{**e, "look": "removed"} for e in gone]}


def details(changes: list[dict[str, str]]) -> dict[str, list[str]]:
    """What has changed at each node, in words."""
    found: dict[str, list[str]] = {}
    for row in changes:
        if row["node"]:
            found.setdefault(row["node"], []).append(row["text"])
    return found
