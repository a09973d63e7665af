"""A test message: what somebody writes, as app messages to their own member of WeCom, before any customer gets it.

Nothing knows of it but the audit log: no send task, no touch, no cap and no figure, and its tracked links count nothing.
What an app message cannot carry is said in words.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from django.db import transaction
from django.db.models import Model
from django.utils.translation import gettext as _

from contacts.models import Contact, Follow
from contacts.services.search import search
from content import variables
from content.services import links, sensitive, throttle
from org import audit
from org.access import Actor
from org.models import Corp, Staff
from scrm.errors import InvalidError, LimitError
from tenants.models import Brand
from wecom.api import app_messages, messages
from wecom.api.app_messages import To
from wecom.client import WeComClient, client_for
from wecom.errors import WeComError, WeComForbidden, WeComRejected, WeComUnavailable
from wecom.models import MediaFile
from wecom.services import attachments, media, notice_pace

MOST = 10  # a minute and person
FOUND = 8  # people to choose from
SAME_S = 30  # a double click arrives once; whoever tries again after a change gets everything again
TEXT_BYTES = messages.APP_TEXT_BYTES - 60  # the rest is for the mark
TITLE_BYTES, DESC_BYTES = 128, 512
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
    brand: Brand, staff: Staff, *, q: str = "", suggested: Sequence[int] = (), sees: bool = True
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
    if suggested:
        found = {one.pk: one for one in visible.filter(pk__in=suggested[:100])}
        if found:
            return [found[pk] for pk in suggested if pk in found][:FOUND]
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


# ---- what it would be


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


# ---- send it


def why_not(staff: Staff) -> str:
    """Why a person cannot get a test; empty when they can. The corp has to be loaded."""
    if not Corp.objects.exists():
        return _("WeCom is not connected yet, so there is no app that could send a test.")
    if staff.corp is None or not staff.userid:
        return _(
            "No WeCom member is bound to your log-in, so there is nobody to whom the test could go. Sign in with WeCom, or have"
            " an administrator give the log-in to your member under Staff."
        )
    if not staff.corp.secret or not staff.corp.agent_id:
        return _("The app of “%(corp)s” is not connected completely: its secret is missing.") % {
            "corp": staff.corp.name
        }
    return ""


def send_test(
    brand: Brand,
    *,
    to: Staff,
    draft: Draft,
    example: Example,
    by: Actor,
    action: str,
    about: Model | None = None,
    name: str = "",
) -> list[Part]:
    """Send what the message would be to a member; gives what became of each part. Calls WeCom: in the brand's scope,
    outside a transaction.

    Args:
        to: with the corp loaded.
        draft: as `check_draft` gives it.
        action: of the audit log, about `about` or, where nothing is saved yet, `name`.

    Raises:
        InvalidError: the person has no member, or there is no app (`why_not`).
        LimitError: more than MOST in a minute.
    """
    with transaction.atomic():
        if said := why_not(to):
            raise InvalidError(said, code="no_member")
        parts = parts_of(brand, draft, example)
    if not throttle.allows("test", f"{brand.pk}:{to.pk}", MOST):
        raise LimitError(_("At most %(n)d tests a minute. Wait a moment.") % {"n": MOST}, retry_after_s=60)
    assert to.corp is not None
    _send(to.corp, to.userid, parts)
    refused = next((part.reason for part in parts if part.state == "refused"), "")
    with transaction.atomic():
        audit.record(
            by,
            action,
            about,
            name=name,
            after={
                "receivers": to.name,
                "contact_id": example.contact.pk if example.contact else None,
                "n_sent": sum(part.state == "sent" for part in parts),
                "reason": refused,
            },
        )
    return parts


def _send(corp: Corp, userid: str, parts: Sequence[Part]) -> None:
    """One after the other. What WeCom refuses is noted; where no other one would go better, the rest is left out."""
    client = client_for(corp, deadline_s=10)
    for n, part in enumerate(parts):
        try:
            notice_pace.take(client, userid)
            lost = _call(corp, client, userid, part)
        except InvalidError as error:  # a file that is gone, a limit of app messages
            part.state, part.reason = "refused", str(error.message)
            continue
        except WeComError as error:
            part.state, part.reason = "refused", _reason(error)
            if n == 0 or isinstance(error, (WeComUnavailable, WeComForbidden)):
                break
            continue
        if lost:
            part.state = "refused"
            part.reason = _(
                "WeCom does not deliver to this member: outside the app's visible range, not active, or without a licence."
            )
            break
        part.state = "sent"
    for part in parts:
        if part.state == "planned":
            part.state = "left_out"


def _reason(error: WeComError) -> str:
    where = f" {error.page}" if error.page else ""
    code = f" ({error.errcode} {error.errmsg[:80]})" if error.errcode is not None else ""
    return f"{error.message}{where}{code}"


def _call(corp: Corp, client: WeComClient, userid: str, part: Part) -> bool:
    """Whether WeCom says that the member does not get it."""
    to = To([userid])
    if part.kind in ("text", "miniprogram"):
        return bool(messages.send_text(client, [userid], part.words, same_s=SAME_S))
    if part.kind == "link":
        article: app_messages.Article = {
            "title": _cut(part.words, TITLE_BYTES),
            "description": _cut(part.given.get("desc", ""), DESC_BYTES),
            "url": part.given["url"],
            "picurl": part.given.get("picurl", ""),
        }
        return bool(app_messages.send_news(client, to, [article], same_s=SAME_S)["invalid_userids"])
    file = part.file
    if file is None:
        raise InvalidError(_("A file of this message does not exist any more"))
    return _with_file(corp, client, file, lambda media_id: _file_message(client, to, part.kind, media_id))


def _file_message(client: WeComClient, to: To, kind: str, media_id: str) -> bool:
    if kind == "video":
        sent = app_messages.send_video(client, to, media_id, title=mark(), same_s=SAME_S)
    else:
        sent = app_messages.send_media(
            client, to, "image" if kind == "image" else "file", media_id, same_s=SAME_S
        )
    return bool(sent["invalid_userids"])


def _with_file(corp: Corp, client: WeComClient, file: MediaFile, send: Callable[[str], bool]) -> bool:
    """Uploaded anew where WeCom has forgotten it before its time."""
    media_id = media.media_id(corp, client, file)
    try:
        return send(media_id)
    except WeComRejected as error:
        if error.errcode != media.UNKNOWN or not media.forget([{file.kind: {"media_id": media_id}}]):
            raise
    return send(media.media_id(corp, client, file))


def _cut(text: str, most: int) -> str:
    return text.encode()[:most].decode(errors="ignore")
