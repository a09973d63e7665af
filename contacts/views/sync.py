"""The sync page: start one, watch it, see what the last ones did."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from contacts.services.sync import sync
from org.access import staff_can
from org.models import Corp, Job, Staff
from scrm.errors import NotFoundError
from scrm.ids import read_id
from scrm.responses import go
from wecom.services import inbox
from wecom.views.tabs import sync_tabs

HISTORY = 10
LIVE = [Job.State.WAITING, Job.State.RUNNING, Job.State.PAUSED]


@require_GET
@staff_can("sync.view")
def sync_page(request: Any) -> HttpResponse:
    """Each company with its live sync or the button, the inbox in short, the last syncs with their counts."""
    jobs = list(Job.objects.filter(kind=sync.KIND).order_by("-created_at")[: HISTORY + 5])
    live: dict[int, list[Job]] = {}
    for job in jobs:
        if job.state in LIVE:
            live.setdefault(job.params.get("corp_id", 0), []).append(job)
    guides: dict[int, list[Staff]] = {}
    for guide in Staff.objects.guides().exclude(corp=None).order_by("name", "pk")[:2000]:
        guides.setdefault(guide.corp_id or 0, []).append(guide)
    context = {
        "tabs": sync_tabs("sync"),
        "corps": [
            (corp, _with_lanes(live.get(corp.pk, [])), guides.get(corp.pk, []))
            for corp in Corp.objects.order_by("pk")
        ],
        "history": [job for job in jobs if job.state not in LIVE][:HISTORY],
        "figures": inbox.figures(request.brand),
    }
    return render(request, "contacts/sync/page.html", context)


def _with_lanes(jobs: list[Job]) -> list[tuple[Job, list[str]]]:
    """Each job with the guides whose lists are being read, as words."""
    ids = {lane["staff"][0] for job in jobs for lane in job.position.get("lanes", []) if lane["staff"]}
    names = dict(Staff.objects.filter(pk__in=ids).values_list("pk", "name")) if ids else {}
    return [
        (
            job,
            [
                _("%(name)s and %(n)d more")
                % {"name": names.get(lane["staff"][0], "?"), "n": len(lane["staff"]) - 1}
                if len(lane["staff"]) > 1
                else names.get(lane["staff"][0], "?")
                for lane in job.position.get("lanes", [])
                if lane["staff"]
            ],
        )
        for job in jobs
    ]


@require_POST
@staff_can("sync.run")
def sync_start(request: Any) -> HttpResponse:
    """Start a full sync of a company, one of what changed, or read one guide's customers again."""
    corp = Corp.objects.filter(pk=read_id(request.POST.get("corp")) or 0).first()
    if corp is None:
        raise NotFoundError()
    staff = None
    if request.POST.get("kind") == "guide":
        staff = Staff.objects.filter(pk=read_id(request.POST.get("staff")) or 0, corp=corp).first()
        if staff is None:
            raise NotFoundError()
    kind = "guide" if staff else "changes" if request.POST.get("kind") == "changes" else "full"
    sync.start_sync(request.brand, corp=corp, by=request.actor, kind=kind, staff=staff)
    return go(request, "/sync/", _("The sync has started; you can leave this page."))
