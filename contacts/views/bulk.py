"""Acts on the contacts that are ticked in the list, or on everybody of the filter."""

from collections.abc import Sequence
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from contacts import hooks
from contacts.services import bulk
from contacts.views.lists import filters_of, query_of
from org.access import staff_can
from org.models import Job
from scrm.errors import ForbiddenError, InvalidError, NotFoundError, SCRMError
from scrm.ids import need_ids
from scrm.responses import go, toast

RIGHTS = {
    "tag": "contacts.edit",
    "untag": "contacts.edit",
    "dnc": "contacts.edit",
    "undnc": "contacts.edit",
    "enrol": "sops.edit",
    "task": "tasks.edit",
}


def _titles() -> dict[str, str]:
    return {
        "tag": _("Add tags"),
        "untag": _("Remove tags"),
        "dnc": _("Do not contact"),
        "undnc": _("May be contacted again"),
        "enrol": _("Put into an SOP"),
        "task": _("Give a task to the guides"),
    }


@require_http_methods(["GET", "POST"])
@staff_can("contacts.view")
def bulk_act(request: Any, act: str) -> HttpResponse:
    """GET: the modal that asks what exactly. POST: done at once for ticked ids, as a job for `everybody`."""
    if act not in RIGHTS:
        raise NotFoundError()
    if not request.actor.can(RIGHTS[act]):
        raise ForbiddenError()
    filters = filters_of(request)
    context: dict[str, Any] = {
        "act": act,
        "title": _titles()[act],
        "query": query_of(filters),
        "groups": hooks.tag_choices() if act in ("tag", "untag") else [],
        "sops": hooks.sop_choices() if act == "enrol" else [],
        "kinds": hooks.task_kinds() if act == "task" else [],
        "error": "",
    }
    if request.method == "GET":
        return render(request, "contacts/bulk.html", context)
    try:
        values = _values(request, act)
        if act == "task":
            everybody = request.POST.get("everybody") == "1"
            ids = (
                bulk.everybody_of(request.brand, staff=request.staff, filters=filters)
                if everybody
                else bulk.visible_ids(request.staff, need_ids(request.POST, "ids"))
            )
            job = hooks.start_tasks(
                request.brand, by=request.actor, staff=request.staff, contact_ids=ids, **values
            )
            return _job(request, context, job)
        if request.POST.get("everybody") == "1":
            if act == "enrol" and hooks.lists_are_approved(request.brand):
                ids = bulk.everybody_of(request.brand, staff=request.staff, filters=filters)
                return _enrolled(request, context, values["sop_id"], ids)
            job = bulk.start(
                request.brand,
                act=act,
                filters=filters,
                values=values,
                title=_("Contacts: %(act)s") % {"act": context["title"]},
                staff=request.staff,
                by=request.actor,
            )
            return _job(request, context, job)
        ids = bulk.visible_ids(request.staff, need_ids(request.POST, "ids"))
        if act == "enrol":
            return _enrolled(request, context, values["sop_id"], ids)
        if act in ("tag", "untag"):
            return _tagged(request, act, ids, values, context["title"])
        n = bulk.act_on(request.brand, act=act, contact_ids=ids, values=values, by=request.actor)
    except SCRMError as error:
        return render(request, "contacts/bulk.html", context | {"error": error.message}, status=422)
    text = _("%(n)s changed") % {"n": n} if n else _("Nothing had to be changed")
    return toast(HttpResponse(status=204), text, closeModal=True, contactsChanged=True)


def _enrolled(request: Any, context: dict[str, Any], sop_id: int, ids: Sequence[int]) -> HttpResponse:
    outcome = hooks.start_enrolling(request.brand, sop_id=sop_id, contact_ids=ids, by=request.actor)
    if outcome.request:
        text = _("Handed in: a second person has to approve it now")
        return go(request, f"/sops/requests/{outcome.request.pk}/", text)
    return _job(request, context, outcome.job)


def _job(request: Any, context: dict[str, Any], job: Job) -> HttpResponse:
    return render(request, "contacts/bulk_job.html", context | {"job": job})


def _tagged(request: Any, act: str, ids: list[int], values: dict[str, Any], title: str) -> HttpResponse:
    """Tags for those who are ticked, with a way back in the notice."""
    done = hooks.tag_selected(
        request.brand,
        title=title,
        by=request.actor,
        contact_ids=ids,
        add=values["tag_ids"] if act == "tag" else (),
        remove=values["tag_ids"] if act == "untag" else (),
        days=values["days"],
    )
    n = done.n_added + done.n_removed
    undo = f"/tags/history/{done.pk}/undo/" if n and request.actor.can("tags.edit") else ""
    text = _("%(n)s changed") % {"n": n} if n else _("Nothing had to be changed")
    return toast(HttpResponse(status=204), text, undo=undo, closeModal=True, contactsChanged=True)


def _values(request: Any, act: str) -> dict[str, Any]:
    """What the act needs, from the form."""
    try:
        if act in ("tag", "untag"):
            tag_ids = need_ids(request.POST, "tags")
            if not tag_ids:
                raise InvalidError(_("Choose at least one tag"))
            return {"tag_ids": tag_ids, "days": hooks.tag_days(request.POST.get("days", "").strip())}
        if act == "task":
            return {name: request.POST.get(name, "") for name in ("kind", "title", "due")}
        if act == "enrol":
            return {"sop_id": int(request.POST.get("sop") or 0)}
    except ValueError as error:
        raise InvalidError(_("Choose one of the list")) from error
    return {}
