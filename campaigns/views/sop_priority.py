"""A dialog: which campaign gives way when two compete for one person."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from campaigns.models import Sop
from campaigns.services.sops import sop_approval, sop_requests, sops
from campaigns.views.sop_tabs import WAITS
from org.access import staff_can
from scrm.errors import SCRMError
from scrm.ids import read_id
from scrm.responses import go


@require_http_methods(["GET", "POST"])
@staff_can("sops.edit")
def priority(request: Any, sop_id: int) -> HttpResponse:
    """The SOP's priority, 1 to 9."""
    sop = sops.get_sop(sop_id)
    needs = sop.state != Sop.State.DRAFT and sop_requests.are_needed(request.brand)
    context: dict[str, Any] = {"sop": sop, "priority": sop.priority, "choices": _choices(), "needs": needs}
    context |= {"asked": sop_requests.waiting().filter(sop=sop).first() if needs else None, "note": ""}
    if request.method == "POST":
        context["note"] = request.POST.get("note", "")
        context["priority"] = read_id(request.POST.get("priority")) or 0
        try:
            asked = sop_approval.set_priority(
                request.brand,
                sop_id=sop.pk,
                priority=context["priority"],
                by=request.actor,
                note=context["note"],
            ).request
            if asked:
                return go(request, f"/sops/requests/{asked.pk}/", WAITS)
            return go(request, f"/sops/{sop.pk}/", _("Saved"))
        except SCRMError as error:
            context["error"] = str(error.message)
    status = 422 if "error" in context else 200
    return render(request, "campaigns/sops/_priority.html", context, status=status)


def _choices() -> list[tuple[int, str]]:
    words = {1: _("lowest"), 5: _("as usual"), 9: _("highest")}
    numbers = range(sops.MAX_PRIORITY, sops.MIN_PRIORITY - 1, -1)
    return [(n, f"{n} · {words[n]}" if n in words else str(n)) for n in numbers]
