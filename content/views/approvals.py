"""What waits for a second person, and the brand's rule about it."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from content.services import approval, editing
from content.views.items import preview_of
from content.views.tabs import tabs
from org.access import staff_can
from scrm.ids import read_id
from scrm.keyset import keyset_page
from scrm.responses import go


@require_GET
@staff_can("content.view")
def approvals(request: Any) -> HttpResponse:
    found = approval.waiting().select_related("content", "content__folder")
    page = keyset_page(found, order=("created_at", "pk"), after=request.GET.get("after"), size=30)
    for version in page.rows:
        version.is_own = version.made_by_user_id == request.actor.user_id
    context = {"page": page, "tabs": tabs(request, "content_approvals")}
    if request.htmx and request.GET.get("after"):
        return render(request, "content/_approvals.html", context)
    context["needs"] = editing.needs_approval(request.brand)
    return render(request, "content/approvals.html", context)


@require_GET
@staff_can("content.view")
def approval_look(request: Any, content_id: int, no: int) -> HttpResponse:
    """The modal in which somebody decides: preview, and what differs from the version in force."""
    content = editing.get_content(content_id)
    version = approval.get_version(content_id, no)
    old = None
    if content.current_id and content.current_id != version.pk:
        old = content.versions.filter(pk=content.current_id).select_related("content").first()
    context = {
        "content": content,
        "version": version,
        "old": old,
        "change": approval.compare(old, version) if old else None,
        "is_own": version.made_by_user_id == request.actor.user_id,
        **preview_of(request, version),
    }
    return render(request, "content/decide.html", context)


@require_POST
@staff_can("content.approve")
def approval_decide(request: Any, content_id: int, no: int) -> HttpResponse:
    approve = request.POST.get("decision") == "approve"
    approval.decide(
        request.brand,
        content_id=content_id,
        no=no,
        approve=approve,
        note=request.POST.get("note", ""),
        by=request.actor,
    )
    text = _("Approved: it is in force now") if approve else _("Sent back")
    back = read_id(request.POST.get("from"))
    return go(request, f"/content/{back}/" if back else "content_approvals", text)


@require_POST
@staff_can("content.approve")
def approval_rule(request: Any) -> HttpResponse:
    needs = request.POST.get("needs") == "1"
    approval.set_needs_approval(request.brand, needs=needs, by=request.actor)
    return go(request, "content_approvals", _("Saved"))
