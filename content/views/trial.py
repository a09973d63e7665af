"""The dialog "Send me a test", for whatever writes a message: choose whom it speaks of, see it, send it to oneself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Model
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from contacts.models import Contact
from content.models import Content, TrackedLink
from content.services import cards, editing, trial
from content.services.trial import Draft, Example
from org.access import brand_transaction, staff_can_outside
from org.models import Staff
from scrm import json_in
from scrm.errors import InvalidError, NotFoundError, SCRMError
from scrm.ids import read_id
from tenants.models import Brand
from tenants.scoping import tenant_scope

KEPT = ("text", "attachments", "audience", "node")  # fields of the editor that the dialog sends again
Sender = Callable[[Brand, Contact], Staff | None]


@dataclass(frozen=True)
class Source:
    """What is tried.

    Attributes:
        action: of the audit log.
        about: what it belongs to; None: nothing is saved yet.
        suggested: customers to begin with.
        sender: from whom a customer would hear; None: as in messages by hand.
    """

    draft: Draft
    action: str
    about: Model | None = None
    name: str = ""
    suggested: Sequence[int] = ()
    sender: Sender | None = None


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
        found, chosen = _people(request, source.suggested)
        example = _example(brand, me, chosen, source.sender)
        context: dict[str, Any] = {
            "url": request.path, "kept": [(name, request.POST[name]) for name in KEPT if name in request.POST],
            "me": me, "why_not": trial.why_not(me), "people": found, "chosen": chosen, "guide": example.guide,
            "q": request.POST.get("q", "")[:60], "most": trial.MOST, "sees": request.actor.can("contacts.view"),
            "parts": trial.parts_of(brand, draft, example), "doubts": trial.doubts(brand, draft),
        }  # fmt: skip
    status = 200
    if request.POST.get("act") == "send":
        try:
            with tenant_scope(brand):
                context["sent"] = trial.send_test(
                    brand, to=me, draft=draft, example=example, by=request.actor, action=source.action,
                    about=source.about, name=source.name,
                )  # fmt: skip
        except SCRMError as error:
            context["error"], status = str(error.message), 422
    if sent := context.get("sent"):
        states = {part.state for part in sent}
        context["result"] = "sent" if states == {"sent"} else "part" if "sent" in states else "refused"
    return render(request, "content/trial.html", context, status=status)


def _people(request: Any, suggested: Sequence[int]) -> tuple[list[Contact], Contact | None]:
    """Who can be chosen, and who is: the first one, unless somebody has chosen."""
    sees, q = request.actor.can("contacts.view"), request.POST.get("q", "")[:60]
    found = trial.people(request.brand, request.staff, q=q, suggested=suggested, sees=sees)
    wanted = request.POST.get("contact", "")
    if not wanted or request.POST.get("act") == "find":
        return found, found[0] if found else None
    chosen = next((one for one in found if str(one.pk) == wanted), None)
    if chosen is None and sees:
        chosen = Contact.objects.visible_to(request.staff).filter(pk=read_id(wanted) or 0).first()
    if chosen is None:
        raise NotFoundError()
    return found if chosen in found else [chosen, *found], chosen


def _example(brand: Brand, me: Staff, chosen: Contact | None, sender: Sender | None) -> Example:
    """Without a customer it is as if one wrote oneself."""
    if chosen is None:
        return Example(None, me)
    guide = sender(brand, chosen) if sender else trial.guide_of(brand, chosen, me)
    return Example(chosen, guide)


# ---- of the library


def of_content(brand: Brand, content: Content) -> Draft:
    """The newest version; of a page its link card.

    Raises:
        InvalidError: nothing is written, or the page is not in force and has no link.
    """
    if content.kind == Content.Kind.PAGE:
        link = TrackedLink.objects.filter(content=content, archived_at=None).order_by("pk").first()
        if link is None or content.current_id is None:
            raise InvalidError(_("The page cannot be opened yet: it is not approved, or has no link."))
        return Draft("", [cards.get_card(brand, link.pk)["card"]], is_personal=True)
    version = editing.latest(content)
    if version is None:
        raise InvalidError(trial.nothing_to_send())
    return Draft(version.text, version.attachments, is_personal=True)


@require_POST
@staff_can_outside("content.edit")
def content_test(request: Any, content_id: int) -> HttpResponse:
    def read() -> Source:
        content = editing.get_content(content_id)
        return Source(of_content(request.brand, content), "content.test", content)

    return dialog(request, read)
