"""Test messages on their way to one member (trial.py says what they are).

Nothing knows of them but the audit log: no send task, no touch, no cap and no figure.
"""

from collections.abc import Callable, Sequence

from django.db import transaction
from django.utils.translation import gettext as _

from contacts.models import Contact
from content.services import throttle
from content.services.trial import Part, Source, mark
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
from wecom.services import media, notice_pace

MOST = 10  # a minute and person
SAME_S = 30  # a double click, and what is asked again because its answer was lost, arrives once
TITLE_BYTES, DESC_BYTES = 128, 512


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
    parts: Sequence[Part],
    contact: Contact | None,
    source: Source,
    by: Actor,
) -> None:
    """Send what the message would be to a member, and note at each part what became of it. Calls WeCom: in the brand's
    scope, outside a transaction.

    Args:
        to: with the corp loaded.
        parts: as trial.parts_of gives them for `contact`.

    Raises:
        InvalidError: the person has no member, or there is no app (`why_not`).
        LimitError: more than MOST in a minute.
    """
    with transaction.atomic():
        if said := why_not(to):
            raise InvalidError(said, code="no_member")
    if not throttle.allows("test", f"{brand.pk}:{to.pk}", MOST):
        raise LimitError(_("At most %(n)d tests a minute. Wait a moment.") % {"n": MOST}, retry_after_s=60)
    assert to.corp is not None
    _send(to.corp, to.userid, parts)
    refused = next((part.reason for part in parts if part.state == "refused"), "")
    with transaction.atomic():
        audit.record(
            by,
            source.action,
            source.about,
            name=source.name,
            after={
                "receivers": to.name,
                "contact_id": contact.pk if contact else None,
                "n_sent": sum(part.state == "sent" for part in parts),
                "reason": refused,
            },
        )


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
