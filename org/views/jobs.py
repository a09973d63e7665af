"""The progress card of a long job (components/job.html): polled while live, with pause, go on and cancel."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_POST

from org import audit
from org.access import signed_in
from org.models import Job
from org.services import jobs
from org.session import safe_next
from scrm.errors import ForbiddenError, NotFoundError

# what a kind of job belongs to: whoever may do the thing may watch and stop its job
RIGHTS_OF_KIND = {
    "wecom_sync": ("sync.view", "sync.run"),
    "code_batch": ("codes.edit", "codes.edit"),
    "code_zip": ("codes.view", "codes.view"),
    "sop_enrol": ("sops.edit", "sops.edit"),
    "sop_stop": ("sops.view", "sops.edit"),
    "sop_move": ("sops.view", "sops.edit"),
    "sop_rehearse": ("sops.view", "sops.edit"),
    "lookalike": ("segments.view", "segments.edit"),
    "broadcast_cancel": ("broadcasts.view", "broadcasts.edit"),
    "broadcast_remind": ("broadcasts.view", "broadcasts.edit"),
    "broadcast_reassign": ("broadcasts.view", "broadcasts.edit"),
    "staff_tasks": ("tasks.view", "tasks.edit"),
    "file_check": ("imports.run", "imports.run"),
    "file_import": ("imports.run", "imports.run"),
    "file_undo": ("imports.run", "imports.run"),
    "file_export": ("exports.run", "exports.run"),
    "group_sync": ("sync.view", "sync.run"),
    "handover": ("handover.view", "handover.run"),
    "leavers": ("handover.view", "handover.run"),
    "link_sync": ("codes.view", "codes.edit"),
    "staff_stats": ("sync.view", "sync.run"),
    "contact_bulk": ("contacts.edit", "contacts.edit"),
    "tag_mass": ("contacts.edit", "contacts.edit"),
    "tag_rule": ("tags.edit", "tags.edit"),
    "tag_computed": ("tags.edit", "tags.edit"),
    "tag_undo": ("tags.edit", "tags.edit"),
    "tag_merge": ("tags.edit", "tags.edit"),
    "tag_restore": ("tags.edit", "tags.edit"),
    "tag_library_file": ("tags.edit", "tags.edit"),
}


def _job(request: Any, job_id: int, *, to_change: bool) -> Job:
    found = Job.objects.filter(pk=job_id).first()
    if found is None:
        raise NotFoundError()
    view, change = RIGHTS_OF_KIND.get(found.kind, ("sync.view", "sync.run"))
    if not request.actor.can(view):
        raise NotFoundError()
    if to_change and not request.actor.can(change):
        raise ForbiddenError()
    return found


def _card(request: Any, found: Job) -> HttpResponse:
    # the link for afterwards comes back from our own page; an address that is not ours becomes the start page
    done_url = safe_next(request, request.GET["done_url"]) if request.GET.get("done_url") else ""
    context = {"job": found, "done_url": done_url, "done_label": request.GET.get("done_label", "")[:60]}
    return render(request, "components/job.html", context)


@signed_in
@require_GET
def job(request: Any, job_id: int) -> HttpResponse:
    return _card(request, _job(request, job_id, to_change=False))


@signed_in
@require_POST
def job_act(request: Any, job_id: int, act: str) -> HttpResponse:
    """Pause, go on with or cancel a job."""
    found = _job(request, job_id, to_change=True)
    if act == "resume":
        found = jobs.resume(request.brand, found.pk)
    else:
        found = {"pause": jobs.pause, "cancel": jobs.cancel}[act](found.pk)
    audit.record(request.actor, f"job.{act}", found, name=found.title)
    return _card(request, found)
