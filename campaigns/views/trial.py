"""“Send me a test” in the editors of broadcasts and SOPs."""

from typing import Any

from django.http import HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from campaigns.graph.shape import tidy
from campaigns.services.broadcasts import broadcasts
from campaigns.services.sending import trial
from campaigns.services.sops import sops
from content.services.trial import Draft, Source
from content.views.trial import dialog, posted
from org.access import staff_can_outside
from scrm import json_in
from scrm.errors import InvalidError
from scrm.ids import read_id


@require_POST
@staff_can_outside("broadcasts.edit")
def broadcast_test(request: Any, broadcast_id: int | None = None) -> HttpResponse:
    """A content as it is in the editor, for customers of the audience that is chosen there."""

    def read() -> Source:
        broadcast = broadcasts.get_broadcast(broadcast_id) if broadcast_id else None
        if segment := read_id(request.POST.get("audience")):
            audience: dict[str, Any] = {"segment": segment}
        elif broadcast and request.POST.get("audience") == "as_is":
            audience = broadcast.audience
        else:
            audience = trial.EVERYBODY

        def some() -> list[int]:
            return trial.of_audience(request.brand, audience, request.staff)

        name = broadcast.name if broadcast else _("not saved yet")
        return Source(posted(request), "broadcast.test", broadcast, name, some, trial.guide_of)

    return dialog(request, read)


@require_POST
@staff_can_outside("sops.edit")
def sop_test(request: Any, sop_id: int | None = None) -> HttpResponse:
    """A node of the canvas as it is drawn (`node`), or a step as it is in the editor."""

    def read() -> Source:
        sop = sops.get_sop(sop_id) if sop_id else None
        draft = _of_node(request) if "node" in request.POST else posted(request)
        name = sop.name if sop else _("not saved yet")
        return Source(draft, "sop.test", sop, name, sender=trial.guide_of)

    return dialog(request, read)


def _of_node(request: Any) -> Draft:
    try:
        raw = json_in.loads(request.POST["node"])
    except ValueError:
        raw = None
    if not isinstance(raw, dict):
        raise InvalidError(_("The draft did not arrive complete. Load the page again."))
    return trial.message_of(request.brand, tidy({"nodes": [raw], "edges": []})["nodes"][0])
