"""The reconciliation: what differs, by kind and state, repaired or left as it is; and the runs."""

from typing import Any

from django.db.models import Count
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_POST
from django.views.decorators.vary import vary_on_headers

from drift.kinds import KINDS
from drift.models import Difference, DriftRun
from drift.services import repairs, runs
from drift.services.settings import settings_of
from drift.words import lines
from org.access import staff_can
from org.models import Corp, Job
from scrm.errors import InvalidError, NotFoundError
from scrm.ids import read_id, read_ids
from scrm.keyset import keyset_page
from scrm.responses import go
from wecom.views.tabs import sync_tabs

LIVE = [Job.State.WAITING, Job.State.RUNNING, Job.State.PAUSED]
MAX_IDS = 500
State = Difference.State


@require_GET
@staff_can("sync.view")
@vary_on_headers("HX-Request")
def drift_list(request: Any) -> HttpResponse:
    """Open differences unless another state is chosen; newest first. Above them the counts by kind and the last run
    of each company."""
    state, kind = request.GET.get("state", State.OPEN), request.GET.get("kind", "")
    rows = Difference.objects.all()
    if state in State.values:
        rows = rows.filter(state=state)
    if kind in KINDS:
        rows = rows.filter(kind=kind)
    page = keyset_page(rows, order=("-pk",), after=request.GET.get("after"))
    context: dict[str, Any] = {"page": page, "lines": lines(page, request.brand.timezone), "state": state}
    context["is_new"] = not DriftRun.objects.filter(ended_at__isnull=False).exists()
    if request.htmx:
        return render(request, "drift/_rows.html", context)
    open_ = Difference.objects.filter(state=State.OPEN).values("kind").annotate(n=Count("pk")).order_by()
    counts = {row["kind"]: row["n"] for row in open_}
    jobs = list(Job.objects.filter(kind__in=[runs.KIND, repairs.KIND], state__in=LIVE).order_by("pk"))
    busy = {job.params.get("corp_id") for job in jobs if job.kind == runs.KIND}
    last: dict[int, DriftRun] = {}
    for run in DriftRun.objects.filter(ended_at__isnull=False).order_by("-pk")[:50]:
        last.setdefault(run.corp_id, run)
    context |= {
        "tabs": sync_tabs("drift"),
        "given": {"state": state, "kind": kind},
        "states": State.choices,
        "kinds": [(key, one.label) for key, one in KINDS.items()],
        "counts": [(key, one, counts[key]) for key, one in KINDS.items() if key in counts],
        "n_open": sum(counts.values()),
        "jobs": jobs,
        "corps": [(corp, last.get(corp.pk), corp.pk in busy) for corp in Corp.objects.order_by("pk")],
        "chosen": settings_of(request.brand),
    }
    return render(request, "drift/list.html", context)


@require_GET
@staff_can("sync.view")
@vary_on_headers("HX-Request")
def run_list(request: Any) -> HttpResponse:
    """The runs, newest first, with what each found and repaired."""
    page = keyset_page(
        DriftRun.objects.select_related("corp"), order=("-pk",), after=request.GET.get("after"), size=30
    )
    jobs = Job.objects.in_bulk([run.job_id for run in page if run.job_id])
    shown = [
        (
            run,
            jobs.get(run.job_id or 0),
            [
                (KINDS[kind].label, n["found"], n["repaired"])
                for kind, n in run.counts.items()
                if kind in KINDS
            ],
        )
        for run in page
    ]
    context: dict[str, Any] = {"page": page, "shown": shown}
    if request.htmx:
        return render(request, "drift/_runs.html", context)
    return render(request, "drift/runs.html", {**context, "tabs": sync_tabs("drift")})


@require_POST
@staff_can("sync.run")
def drift_start(request: Any) -> HttpResponse:
    """Compare a company with WeCom now."""
    corp = Corp.objects.filter(pk=read_id(request.POST.get("corp")) or 0).first()
    if corp is None:
        raise NotFoundError()
    runs.start_run(request.brand, corp=corp, by=request.actor)
    return go(request, "/sync/drift/", _("The comparison has started; you can leave this page."))


@require_POST
@staff_can("sync.run")
def drift_act(request: Any) -> HttpResponse:
    """Repair, leave or reopen differences: some by id, those of a kind, or all."""
    act = request.POST.get("act", "")
    ids = read_ids(request.POST)
    if len(ids) > MAX_IDS:
        raise InvalidError(_("Choose at most %(n)d") % {"n": MAX_IDS})
    if act == "repair":
        everything = request.POST.get("what") == "all"
        kind = request.POST.get("kind", "")
        repairs.start_repair(request.brand, by=request.actor, ids=ids, kind=kind, everything=everything)
        return go(request, "/sync/drift/", _("The repair has started: WeCom is read again first."))
    if act == "ignore":
        n = repairs.ignore(request.brand, by=request.actor, ids=ids)
        text = ngettext("%(n)d difference is left as it is", "%(n)d differences are left as they are", n)
        return go(request, "/sync/drift/", text % {"n": n})
    if act == "reopen":
        repairs.reopen(request.brand, by=request.actor, ids=ids)
        return go(request, "/sync/drift/", _("It is open again"))
    raise InvalidError(_("Choose what to repair"))
