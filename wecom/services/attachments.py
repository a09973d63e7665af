"""Attachments of messages as we store them, and as WeCom wants them.

    {"type": "link", "title", "url", "desc", "picurl"}            {"type": "image", "file_id"}
    {"type": "miniprogram", "title", "appid", "page", "file_id"}  {"type": "video", "file_id"}   {"type":
    "file", "file_id"}

`file_id` is a `MediaFile`; a mini-program's is its cover picture. WeCom's limits (9 attachments, bytes of
titles) are those of wecom/api/messages.py.
"""

from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from org.models import Corp
from scrm.errors import InvalidError
from scrm.ids import read_id
from wecom.api import messages
from wecom.client import WeComClient
from wecom.models import MediaFile
from wecom.services import media

# type → (its text fields, kind of its file or None)
FIELDS: dict[str, tuple[tuple[str, ...], str | None]] = {
    "link": (("title", "url", "desc", "picurl"), None),
    "image": ((), "image"),
    "video": ((), "video"),
    "file": ((), "file"),
    "miniprogram": (("title", "appid", "page"), "image"),
}
_PLACEHOLDER = "0"  # stands for a media_id while only the rest is checked


def validate(attachments: Any) -> list[dict[str, Any]]:
    """Check what somebody has composed, in the caller's transaction; gives it with known fields only, ready
    to store.

    Raises:
        InvalidError: says which attachment and what is wrong with it.
    """
    if not isinstance(attachments, list):
        raise InvalidError(_("Attachments must be a list"))
    clean = [_clean(number, given) for number, given in enumerate(attachments, 1)]
    if len(clean) > messages.MAX_ATTACHMENTS:
        raise InvalidError(
            _("WeCom allows %(n)d attachments in one message") % {"n": messages.MAX_ATTACHMENTS}
        )
    files = _files(clean)
    for number, attachment in enumerate(clean, 1):
        kind = FIELDS[attachment["type"]][1]
        file = files.get(attachment.get("file_id", 0))
        if kind and (file is None or file.kind != kind):
            raise InvalidError(_("Attachment %(n)d: choose a file") % {"n": number})
        try:
            messages.check_content("", [_shape(attachment, _PLACEHOLDER)])
        except InvalidError as error:
            raise InvalidError(
                _("Attachment %(n)d: %(problem)s") % {"n": number, "problem": error}, code=error.code
            ) from None
    return clean


def to_wecom(
    corp: Corp, client: WeComClient, attachments: Sequence[dict[str, Any]]
) -> list[messages.Attachment]:
    """WeCom's form, files uploaded where needed. Calls WeCom, so outside a transaction.

    Raises:
        InvalidError: a file is not there any more. And what the client raises.
    """
    with transaction.atomic():
        files = _files(attachments)
    result: list[messages.Attachment] = []
    for attachment in attachments:
        media_id = ""
        if FIELDS[attachment["type"]][1]:
            file = files.get(attachment["file_id"])
            if file is None:
                raise InvalidError(_("A file of this message does not exist any more"))
            media_id = media.media_id(corp, client, file)
        result.append(_shape(attachment, media_id))
    return result


def _clean(number: int, given: Any) -> dict[str, Any]:
    kind = given.get("type") if isinstance(given, dict) else None
    if not isinstance(kind, str) or kind not in FIELDS:
        raise InvalidError(_("Attachment %(n)d: unknown type") % {"n": number})
    texts, file_kind = FIELDS[kind]
    clean: dict[str, Any] = {"type": kind}
    for name in texts:
        value = given.get(name) or ""
        if not isinstance(value, str):
            raise InvalidError(_("Attachment %(n)d: %(field)s must be text") % {"n": number, "field": name})
        clean[name] = value.replace("\x00", "").strip()
    if file_kind:
        file_id = read_id(given.get("file_id"))
        if file_id is None:
            raise InvalidError(_("Attachment %(n)d: choose a file") % {"n": number})
        clean["file_id"] = file_id
    return clean


def _files(attachments: Sequence[dict[str, Any]]) -> dict[int, MediaFile]:
    ids = [a["file_id"] for a in attachments if a.get("file_id")]
    return MediaFile.objects.in_bulk(ids) if ids else {}


def _shape(attachment: dict[str, Any], media_id: str) -> messages.Attachment:
    kind = attachment["type"]
    if kind == "link":
        fields = {name: attachment[name] for name in ("title", "url")}
        fields |= {name: attachment[name] for name in ("desc", "picurl") if attachment.get(name)}
        return {"msgtype": kind, kind: fields}
    if kind == "miniprogram":
        fields = {name: attachment[name] for name in ("title", "appid", "page")}
        return {"msgtype": kind, kind: fields | {"pic_media_id": media_id}}
    return {"msgtype": kind, kind: {"media_id": media_id}}
