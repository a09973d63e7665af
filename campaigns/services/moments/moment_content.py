"""What a moment may say: text, and up to nine pictures, or one video, or one link with its cover.

Stored as attachments of messages are (wecom/services/attachments.py), but a link carries its cover as a file:
`{"type": "link", "title", "url", "file_id"}`. WeCom gives every customer the same, so there are no variables.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from content import variables
from content.services import sensitive
from org.models import Corp
from scrm.errors import InvalidError
from tenants.models import Brand
from wecom.api import moments as api
from wecom.client import WeComClient
from wecom.models import MediaFile, MediaUpload
from wecom.services import media

KINDS = ("image", "video", "link")
_PLACEHOLDER = "0"  # stands for a media_id while the rest is checked


def checked(brand: Brand, text: Any, attachments: Any) -> tuple[str, list[dict[str, Any]]]:
    """Text and attachments with known fields only, ready to store; in the caller's transaction.

    Raises:
        InvalidError: what WeCom or the list of sensitive words would refuse.
    """
    text = _text(text)
    if not isinstance(attachments, list):
        raise InvalidError(_("Attachments must be a list"))
    clean = [_clean(number, given) for number, given in enumerate(attachments, 1)]
    files = MediaFile.objects.in_bulk([a["file_id"] for a in clean])
    for number, attachment in enumerate(clean, 1):
        file = files.get(attachment["file_id"])
        kind = "video" if attachment["type"] == "video" else "image"
        if file is None or file.kind != kind:
            raise InvalidError(_("Attachment %(n)d: choose a file") % {"n": number})
    api.check_moment(text, [_shape(attachment, _PLACEHOLDER) for attachment in clean])
    sensitive.check(brand, text, clean)
    return text, clean


def _text(given: Any) -> str:
    if not isinstance(given, str):
        raise InvalidError(_("Text must be text"))
    text = given.replace("\r\n", "\n").replace("\x00", "").strip()
    if len(text.encode()) > api.TEXT_BYTES:
        raise InvalidError(_("The text is too long: WeCom takes 4,000 bytes, about 1,300 Chinese characters"))
    if used := [name for name in variables.names_in(text) if name in variables.VARIABLES]:
        raise InvalidError(
            _("{%(name)s} cannot be used in a moment: all guides publish the same text") % {"name": used[0]}
        )
    return text


def _clean(number: int, given: Any) -> dict[str, Any]:
    kind = given.get("type") if isinstance(given, dict) else None
    if kind not in KINDS:
        raise InvalidError(_("A moment has pictures, or a video, or a link"))
    clean: dict[str, Any] = {"type": kind}
    for name in ("title", "url") if kind == "link" else ():
        value = given.get(name) or ""
        if not isinstance(value, str):
            raise InvalidError(_("Attachment %(n)d: %(field)s must be text") % {"n": number, "field": name})
        clean[name] = value.strip()
    try:
        clean["file_id"] = int(given.get("file_id"))
    except (TypeError, ValueError):
        raise InvalidError(_("Attachment %(n)d: choose a file") % {"n": number}) from None
    return clean


def _shape(attachment: dict[str, Any], media_id: str) -> dict[str, Any]:
    kind = attachment["type"]
    fields = {name: attachment[name] for name in ("title", "url") if name in attachment}
    return {"msgtype": kind, kind: {**fields, "media_id": media_id}}


def to_wecom(corp: Corp, client: WeComClient, attachments: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """WeCom's form, files uploaded where needed. Calls WeCom, so outside a transaction.

    Raises:
        InvalidError: a file is not there any more. And what the client raises.
    """
    with transaction.atomic():
        files = MediaFile.objects.in_bulk([a["file_id"] for a in attachments])
    result = []
    for attachment in attachments:
        file = files.get(attachment["file_id"])
        if file is None:
            raise InvalidError(_("A file of this message does not exist any more"))
        use = MediaUpload.Use.MOMENT
        result.append(_shape(attachment, media.media_id(corp, client, file, use=use)))
    return result


def digest(text: str, attachments: Sequence[dict[str, Any]]) -> str:
    """Tells contents apart."""
    whole = json.dumps([text, list(attachments)], ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(whole.encode()).hexdigest()[:40]


def is_like(record: api.Moment, text: str, attachments: Sequence[dict[str, Any]], *, to_some: bool) -> bool:
    """Whether WeCom's record shows this content: its text, number of pictures, link, and for whom it is."""
    kinds = [attachment["type"] for attachment in attachments]
    return (
        (record.get("text") or {}).get("content", "").strip() == text
        and len(record.get("image") or []) == kinds.count("image")
        and bool(record.get("video")) == ("video" in kinds)
        and (record.get("link") or {}).get("url", "")
        == next((a["url"] for a in attachments if a["type"] == "link"), "")
        and (record.get("visible_type") == 0) == to_some
    )
