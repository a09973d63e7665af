"""The dialog "Send me a test", for whatever writes a message: choose whom it speaks of, see it, send it to oneself."""

from collections.abc import Callable
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_POST

from contacts.models import Contact
from content.services import editing, trial, trial_send
from content.services.trial import Draft, Source
from org.access import brand_transaction, staff_can_outside
from org.models import Staff
from scrm import json_in
from scrm.errors import NotFoundError, SCRMError
from scrm.ids import read_id
from tenants.scoping import tenant_scope

KEPT = ("text", "attachments", "audience", "node")  # fields of the editor that the dialog sends again


def posted(request: Any) -> Draft:
    """Text and attachments as an editor has them."""
    try:
        given = json_in.loads(request.POST.get("attachments") or "[]")
    except ValueError:
        given = None
    return Draft(request.POST.get("text", "")[:20_000], given if isinstance(given, list) else [None])  # type: ignore[list-item]


def dialog(request: Any, read: Callable[[], Source]) -> HttpResponse:
    """POST: `act` (find, look, send), `contact`, `q`, and what the editor holds.

    Args:
        read: gives what is tried; in scope and transaction.
    """
    brand = request.brand
    with brand_transaction(request):
        source = read()
        draft = trial.check_draft(source.draft)
        me = Staff.objects.select_related("corp", "store").get(pk=request.staff.pk)
        found, chosen = _people(request, source)
        example = trial.example_of(brand, source, chosen, me)
        parts = trial.parts_of(brand, draft, example)
        context: dict[str, Any] = {
            "url": request.path, "kept": [(name, request.POST[name]) for name in KEPT if name in request.POST],
            "me": me, "why_not": trial_send.why_not(me), "people": found, "chosen": chosen, "guide": example.guide,
            "q": request.POST.get("q", "")[:60], "sees": request.actor.can("contacts.view"),
            "most": trial_send.MOST, "same_s": trial_send.SAME_S,
            "parts": parts, "doubts": trial.doubts(brand, draft),
        }  # fmt: skip
    status = 200
    if request.POST.get("act") == "send":
        try:
            with tenant_scope(brand):
                trial_send.send_test(
                    brand, to=me, parts=parts, contact=chosen, source=source, by=request.actor
                )
        except SCRMError as error:
            context["error"], status = str(error.message), 422
        else:
            states = {part.state for part in parts}
            context["result"] = "sent" if states == {"sent"} else "part" if "sent" in states else "refused"
    return render(request, "content/trial.html", context, status=status)


def _people(request: Any, source: Source) -> tuple[list[Contact], Contact | None]:
    """Who can be chosen, and who is: the first one, unless somebody has chosen."""
    sees, q = request.actor.can("contacts.view"), request.POST.get("q", "")[:60]
    found = trial.people(request.brand, request.staff, q=q, suggested=source.suggested, sees=sees)
    wanted = request.POST.get("contact", "")
    if not wanted or request.POST.get("act") == "find":
        return found, found[0] if found else None
    chosen = next((one for one in found if str(one.pk) == wanted), None)
    if chosen is None and sees:
        chosen = Contact.objects.visible_to(request.staff).filter(pk=read_id(wanted) or 0).first()
    if chosen is None:
        raise NotFoundError()
    return found if chosen in found else [chosen, *found], chosen


@require_POST
@staff_can_outside("content.edit")
def content_test(request: Any, content_id: int) -> HttpResponse:
    def read() -> Source:
        content = editing.get_content(content_id)
        return Source(trial.of_content(request.brand, content), "content.test", content)

    return dialog(request, read)
