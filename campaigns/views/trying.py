"""Try a drawn SOP before it is on: on one person, and in a rehearsal over the past."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy
from django.views.decorators.http import require_GET, require_http_methods

from campaigns.graph.shape import tidy, way_name
from campaigns.models import Enrolment, Sop
from campaigns.services.graphs import graphs
from campaigns.views import canvas_data
from campaigns.views.sop_tabs import tabs_of
from contacts.models import Contact
from contacts.services.search import search
from org.access import staff_can
from org.models import Job
from scrm.errors import NotFoundError, SCRMError
from scrm.ids import read_id
from scrm.responses import go

KIND = "sop_rehearse"
FOUND, KEPT = 8, 20
PERIODS = [(30, lazy("30 days")), (91, lazy("A quarter")), (182, lazy("Half a year")), (365, lazy("A year"))]
DEFAULT_DAYS = 91


# ---- one person


@require_GET
@staff_can("sops.edit")
def on_person(request: Any, sop_id: int) -> HttpResponse:
    """A drawer: find somebody (`q`), see what would happen to them (`contact`)."""
    sop = graphs.get_graph_sop(sop_id)
    visible = Contact.objects.visible_to(request.staff)
    text = request.GET.get("q", "")[:60].strip()
    context: dict[str, Any] = {"sop": sop, "q": text}
    if wanted := request.GET.get("contact", ""):
        person = visible.filter(pk=read_id(wanted) or 0).first()
        if person is None:
            raise NotFoundError()
        context["person"] = person
        try:
            rows = graphs.simulate(request.brand, sop_id=sop.pk, contact_id=person.pk)
            nodes = {node["id"]: node for node in tidy(sop.draft or graphs.EMPTY)["nodes"]}
            for row in rows:
                row["way_name"] = (
                    way_name(nodes[row["node"]], row["way"]) if row["way"] not in ("", "next") else ""
                )
            context |= {"rows": rows, "path": [row["node"] for row in rows]}
        except SCRMError as error:
            context |= {"error": str(error), "problems": error.details.get("problems", [])}
    else:
        people = search(request.brand, text, visible) if text else visible
        context["people"] = people.order_by("-pk")[:FOUND]
    return render(request, "campaigns/sops/canvas/_try.html", context)


# ---- rehearsals


@require_http_methods(["GET", "POST"])
@staff_can("sops.edit")
def rehearsals(request: Any, sop_id: int) -> HttpResponse:
    """Those that were made; POST makes one over the last `days`."""
    sop = graphs.get_graph_sop(sop_id)
    context: dict[str, Any] = {
        "sop": sop,
        "tabs": tabs_of(sop, "rehearsals"),
        "periods": PERIODS,
        "days": DEFAULT_DAYS,
    }
    if request.method == "POST":
        context["days"] = read_id(request.POST.get("days")) or 0
        try:
            job = graphs.rehearse(request.brand, sop_id=sop.pk, by=request.actor, days=context["days"])
            return go(request, f"/sops/{sop.pk}/rehearsals/{job.pk}/")
        except SCRMError as error:
            context |= {"error": str(error), "problems": error.details.get("problems", [])}
    context["jobs"] = list(_jobs(sop)[:KEPT])
    return render(
        request, "campaigns/sops/canvas/rehearsals.html", context, status=422 if "error" in context else 200
    )


def _jobs(sop: Sop) -> Any:
    return Job.objects.filter(kind=KIND, params__sop_id=sop.pk).order_by("-pk")


@require_GET
@staff_can("sops.view")  # whoever is to approve it looks as well
def rehearsal(request: Any, sop_id: int, job_id: int) -> HttpResponse:
    """The result of one, or its progress."""
    sop = graphs.get_graph_sop(sop_id)
    job = _jobs(sop).filter(pk=job_id).first()
    if job is None:
        raise NotFoundError()
    context: dict[str, Any] = {"sop": sop, "job": job, "tabs": tabs_of(sop, "rehearsals")}
    if job.state == Job.State.DONE and job.result:
        context |= _result(request.brand, tidy(job.params["graph"]), job.result)
    return render(request, "campaigns/sops/canvas/rehearsal.html", context)


def _result(brand: Any, graph: Any, found: dict[str, Any]) -> dict[str, Any]:
    canvas = {**canvas_data.meta(), **canvas_data.of_graph(brand, graph), "readonly": True}
    canvas["numbers"] = {
        row["node"]: {
            "in": row["in"], "waiting": row["waiting"], "out": sum(row["outs"].values()),
            "touched": row["touched"], "blocked": row["blocked"],
        }
        for row in found["nodes"]
    }  # fmt: skip
    ends = {str(kind): str(label) for kind, label in Enrolment.End.choices}
    return {
        "result": found,
        "canvas": canvas,
        "weeks": list(_weeks(found)),
        "by_day": _day_chart(found["calendar"]),
        "ends": [
            (ends.get(kind, kind), n) for kind, n in sorted(found["ends"].items(), key=lambda row: -row[1])
        ],
        "since": date.fromisoformat(found["since"][:10]),
        "until": date.fromisoformat(found["until"][:10]),
    }


def _day_chart(calendar: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "kind": "stack",
        "x": [day["on"][5:] for day in calendar],
        "series": [
            {"name": _("Messages"), "data": [day["touches"] for day in calendar], "color": "blue"},
            {"name": _("Tasks"), "data": [day["tasks"] for day in calendar], "color": "teal"},
            {"name": _("Held back"), "data": [day["blocked"] for day in calendar], "color": "amber"},
        ],
    }


def _weeks(found: dict[str, Any]) -> Iterator[list[dict[str, Any] | None]]:
    """Weeks from Monday to Sunday with their days; `heat` is 0 to 5, `over` guides above the limit."""
    days = {date.fromisoformat(day["on"]): day for day in found["calendar"]}
    over = {row["on"]: row["guides"] for row in (found.get("workload") or {}).get("days", ())}
    if not days:
        return
    most = max((day["touches"] + day["tasks"] for day in days.values()), default=0) or 1
    on = min(days) - timedelta(days=min(days).weekday())
    while on <= max(days):
        week: list[dict[str, Any] | None] = []
        for n in range(7):
            at = on + timedelta(days=n)
            if not min(days) <= at <= max(days):
                week.append(None)
                continue
            day = days.get(at, {"touches": 0, "tasks": 0, "blocked": 0, "most": 0})
            load = day["touches"] + day["tasks"]
            of_day = {"date": at, "heat": -(-5 * load // most), "over": over.get(at.isoformat(), 0)}
            week.append({**day, **of_day})
        yield week
        on += timedelta(days=7)
