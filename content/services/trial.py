"""A test message: what somebody writes, as the app messages that their own member would get (trial_send.py sends them).

Its tracked links count nothing. What an app message cannot carry is said in words.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from django.db.models import Model
from django.utils.translation import gettext as _

from contacts.models import Contact, Follow
from contacts.services.search import search
from content import variables
from content.models import Content, TrackedLink
from content.services import cards, editing, links, sensitive
from org.models import Staff
from scrm.errors import InvalidError
from tenants.models import Brand
from wecom.api import messages
from wecom.models import MediaFile
from wecom.services import attachments

FOUND = 8  # people to choose from
TEXT_BYTES = messages.APP_TEXT_BYTES - 60  # the rest is for the mark
State = Literal["planned", "sent", "refused", "left_out"]


@dataclass(frozen=True)
class Draft:
    """What is written. `is_personal`: it goes to one customer at a time, so it may speak of them."""

    text: str = ""
    attachments: Sequence[dict[str, Any]] = ()
    is_personal: bool = False


@dataclass(frozen=True)
class Example:
    """Whom the variables speak of: a customer, and the guide from whom they would hear, store loaded; either may be missing."""

    contact: Contact | None = None
    guide: Staff | None = None


Suggested = Callable[[], Sequence[int]]
Sender = Callable[[Brand, Contact], Staff | None]


def nobody() -> Sequence[int]:
    return ()


@dataclass(frozen=True)
class Source:
    """What is tried.

    Attributes:
        action: of the audit log.
        about: what it belongs to; None: nothing is saved yet.
        suggested: customers to begin with; asked only where nobody is looked for by name.
        sender: from whom a customer would hear; None: as in messages by hand.
    """

    draft: Draft
    action: str
    about: Model | None = None
    name: str = ""
    suggested: Suggested = nobody
    sender: Sender | None = None


@dataclass
class Part:
    """One app message of a test.

    Attributes:
        kind: text | image | video | file | link | miniprogram.
        words: the text; of anything else what it is called.
        given: the attachment, as wecom/services/attachments.py stores it.
        file: of an image, a video, a file.
        reason: why it was refused.
    """

    kind: str
    words: str
    given: dict[str, Any] = field(default_factory=dict)
    file: MediaFile | None = None
    state: State = "planned"
    reason: str = ""


def mark() -> str:
    return _("[Test]")


def nothing_to_send() -> str:
    return _("There is no message here that could be sent now.")


# ---- whom it speaks of


def people(
    brand: Brand, staff: Staff, *, q: str = "", suggested: Suggested = nobody, sees: bool = True
) -> list[Contact]:
    """Customers to choose from, the first one unless somebody chooses: those found by `q`; or else those suggested, one's
    own, anybody whom a guide can reach.

    Args:
        sees: whether the person may see contacts at all.
    """
    if not sees:
        return []
    visible = Contact.objects.visible_to(staff)
    if q.strip():
        return list(search(brand, q, visible).order_by("-pk")[:FOUND])
    if some := suggested():
        found = {one.pk: one for one in visible.filter(pk__in=some)}
        if found:
            return [found[pk] for pk in some if pk in found]
    own = Follow.objects.filter(staff=staff, ended_at=None, is_pending=False).order_by("-added_at", "-pk")
    ids = list(own.values_list("contact_id", flat=True)[:FOUND])
    found = Contact.objects.in_bulk(ids)
    if found:
        return [found[pk] for pk in ids if pk in found]
    return list(visible.reachable().order_by("-added_at", "-pk")[:FOUND])


def guide_of(brand: Brand, contact: Contact, staff: Staff) -> Staff | None:
    """From whom a customer would hear what is sent by hand: oneself, if one has them, or else the guide who came last."""
    rows = Follow.objects.filter(contact=contact, ended_at=None, is_pending=False)
    rows = rows.filter(staff__state=Staff.State.ACTIVE)
    last = rows.filter(staff=staff).first() or rows.order_by("-added_at", "-pk").first()
    return Staff.objects.select_related("store").get(pk=last.staff_id) if last else None


def example_of(brand: Brand, source: Source, contact: Contact | None, receiver: Staff) -> Example:
    """Without a customer it is as if the one who gets the test wrote."""
    if contact is None:
        return Example(None, receiver)
    guide = source.sender(brand, contact) if source.sender else guide_of(brand, contact, receiver)
    return Example(contact, guide)


# ---- what it would be


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
        raise InvalidError(nothing_to_send())
    return Draft(version.text, version.attachments, is_personal=True)


def check_draft(draft: Draft) -> Draft:
    """With its attachments as they are kept.

    Raises:
        InvalidError: nothing is written, or an attachment is not complete.
    """
    text = draft.text.replace("\r\n", "\n").replace("\x00", "").strip()
    clean = attachments.validate(list(draft.attachments))
    if not text and not clean:
        raise InvalidError(_("Write something first: there is neither text nor attachment"))
    return Draft(text, clean, draft.is_personal)


def doubts(brand: Brand, draft: Draft) -> list[str]:
    """Why it could not be saved or sent to customers as it is, and words to be careful with; a test goes out all the same."""
    found = []
    try:
        variables.check(draft.text, personal=draft.is_personal)
    except InvalidError as error:
        found.append(str(error.message))
    try:
        found += sensitive.check(brand, draft.text, draft.attachments)
    except InvalidError as error:
        found.append(str(error.message))
    return found


def parts_of(brand: Brand, draft: Draft, example: Example) -> list[Part]:
    """The app messages of a test, in order; the first one is always a text, with the mark."""
    customer = example.contact.name if example.contact and draft.is_personal else ""
    values = variables.values_for(brand=brand, staff=example.guide, customer=customer)
    text, given = links.uncounted(variables.render(draft.text, values).strip(), draft.attachments)
    pieces = list(_pieces(text or _("A message without text. What is attached to it:")))
    found = [Part("text", mark() + pieces[0])] if len(pieces) == 1 else []
    for n, piece in enumerate(pieces if not found else (), 1):
        of = _("[Test %(n)d of %(all)d]") % {"n": n, "all": len(pieces)}
        found.append(Part("text", of + piece))
    files = MediaFile.objects.in_bulk([a["file_id"] for a in given if a.get("file_id")])
    return found + [_part(one, files.get(one.get("file_id", 0))) for one in given]


def _pieces(text: str) -> Iterable[str]:
    """What an app message takes at a time, cut at the end of a line where there is one."""
    while text:
        piece = text.encode()[:TEXT_BYTES].decode(errors="ignore")
        end = piece.rfind("\n") + 1
        if len(piece) < len(text) and end > len(piece) // 2:
            piece = piece[:end]
        yield piece
        text = text[len(piece) :]


def _part(given: dict[str, Any], file: MediaFile | None) -> Part:
    kind = given["type"]
    if kind == "link":
        return Part(kind, mark() + given["title"], given)
    if kind == "miniprogram":
        words = _(
            "Mini-program card “%(title)s”, page %(page)s. Customers get the card; an app message cannot carry one, so it is"
            " only named here."
        )
        return Part(kind, mark() + words % {"title": given["title"], "page": given["page"]}, given)
    return Part(kind, file.name if file else _("missing file"), given, file)
