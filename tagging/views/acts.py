"""What was done with the tags of many people, with a way back; and who waits for tags."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from contacts.identities import listed
from contacts.models import Identity
from org.access import staff_can
from org.models import Job
from scrm.errors import FilterError, NotFoundError
from scrm.ids import need_ids
from scrm.keyset import keyset_page
from scrm.responses import go, toast
from tagging.models import Tag, TagAct
from tagging.services.tags import acts, waiting
from tagging.views.tabs import tabs

PAGE = 30


@require_GET
@staff_can("tags.edit")
def history(request: Any) -> HttpResponse:
    """Acts, newest first; `kind` filters."""
    kind = request.GET.get("kind", "")
    if kind and kind not in TagAct.Kind.values:
        raise FilterError()
    rows = TagAct.objects.filter(kind=kind) if kind else TagAct.objects.all()
    page = keyset_page(rows, order=("-at", "-pk"), after=request.GET.get("after"), size=PAGE)
    context = {
        "tabs": tabs("acts"),
        "page": page,
        "rows": act_rows(page.rows),
        "kinds": TagAct.Kind.choices,
        "kind": kind,
    }
    template = "tagging/acts/_rows.html" if request.GET.get("after") else "tagging/acts/list.html"
    return render(request, template, context)


def act_rows(found: Any) -> list[dict[str, Any]]:
    """Acts with the names of their tags, their job, and whether they can be taken back: two queries."""
    tag_ids = {tag_id for act in found for tag_id in (*act.add_tag_ids, *act.remove_tag_ids)}
    names = dict(Tag.objects.filter(pk__in=tag_ids).values_list("pk", "name"))
    jobs_of = {job.pk: job for job in Job.objects.filter(pk__in=[act.job_id for act in found if act.job_id])}
    return [
        {
            "act": act,
            "plus": [names.get(n, "?") for n in act.add_tag_ids[:8]],
            "minus": [names.get(n, "?") for n in act.remove_tag_ids[:8]],
            "job": jobs_of.get(act.job_id),
            "can_undo": acts.can_undo(act)
            and bool(act.n_added or act.n_removed or act.n_waiting)
            and not (act.job_id in jobs_of and jobs_of[act.job_id].is_live),
        }
        for act in found
    ]


@require_POST
@staff_can("tags.edit")
def undo(request: Any, act_id: int) -> HttpResponse:
    """Take an act back; a large one becomes a job, whose card is shown."""
    done = acts.undo(request.brand, act_id=act_id, by=request.actor)
    if isinstance(done, Job):
        return render(request, "tagging/job.html", {"title": _("Take back"), "job": done})
    return toast(
        HttpResponse(status=204), _("Taken back"), closeModal=True, contactsChanged=True, actsChanged=True
    )


@require_GET
@staff_can("tags.edit")
def waiting_list(request: Any) -> HttpResponse:
    """Who waits for tags, newest first; `q` is an identity, exactly."""
    q = waiting.clean_value(request.GET.get("q", ""))
    rows = waiting.waiting_with(q)
    page = keyset_page(rows, order=("-pk",), after=request.GET.get("after"), size=50)
    kinds = dict(Identity.Kind.choices)
    shown = [
        {
            "row": row,
            "kind": kinds.get(row.kind, row.kind),
            "value": listed(row.kind, row.value, request.actor.can),
        }
        for row in page.rows
    ]
    context = {"tabs": tabs("waiting"), "page": page, "rows": shown, "q": q}
    template = "tagging/waiting/_rows.html" if request.GET.get("after") else "tagging/waiting/list.html"
    return render(request, template, context)


@require_POST
@staff_can("tags.edit")
def waiting_drop(request: Any) -> HttpResponse:
    """Waiting tags that are not wanted any more."""
    ids = need_ids(request.POST, "ids")[:1000]
    n = waiting.drop(request.brand, ids=ids, by=request.actor)
    if not n:
        raise NotFoundError()
    return go(request, "/tags/waiting/", _("%(n)s taken off the list") % {"n": n})
