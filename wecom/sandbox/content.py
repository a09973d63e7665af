"""Text and attachments of welcome messages and mass sends. Limits are bytes of UTF-8.

Source: developer.work.weixin.qq.com/document/path/92135, 92137.
"""

from typing import Any

from .api import media
from .call import Call, text
from .errors import WeComError

MOST_ATTACHMENTS = 9
TEXT_BYTES = 4000


def bounded(
    body: dict[str, Any], key: str, most: int, *, missing: int | None = None, over: int = 40058
) -> str:
    """A string parameter of at most so many bytes."""
    value = text(body, key, missing=missing)
    if len(value.encode()) > most:
        raise WeComError(over, f"{key} exceeds {most} bytes")
    return value


def part(body: dict[str, Any], key: str) -> dict[str, Any]:
    """An object inside the body; absent: {}."""
    value = body.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise WeComError(40058, f"{key} should be an object")
    return value


def link_url(body: dict[str, Any], key: str, *, missing: int | None, most: int = 2048) -> str:
    """An http(s) address."""
    value = bounded(body, key, most, missing=missing, over=40039)
    if value and not value.startswith(("http://", "https://")):
        raise WeComError(40054 if key == "url" else 40055, key)
    return value


def image(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    """media_id or pic_url; media_id wins."""
    media_id, pic_url = text(given, "media_id"), text(given, "pic_url")
    if media_id:
        media.check(call.corpid, media_id, "image", now=call.now)
        return {"media_id": media_id}
    if not pic_url:
        raise WeComError(40063, "image")
    media.check_pic_url(call.corpid, pic_url)
    return {"pic_url": pic_url}


def link(given: dict[str, Any]) -> dict[str, Any]:
    """A card with a title and an address."""
    found = {
        "title": bounded(given, "title", 128, missing=41016),
        "picurl": link_url(given, "picurl", missing=None),
        "desc": bounded(given, "desc", 512),
        "url": link_url(given, "url", missing=40063),
    }
    return {key: value for key, value in found.items() if value}


def miniprogram(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    """A mini-program card with its cover."""
    found = {
        "title": bounded(given, "title", 64, missing=41016),
        "pic_media_id": text(given, "pic_media_id", missing=40063),
        "appid": text(given, "appid", missing=40063),
        "page": text(given, "page", missing=40063),
    }
    media.check(call.corpid, found["pic_media_id"], "image", now=call.now)
    return found


def _attachment(call: Call, given: Any) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise WeComError(40058, "attachments")
    kind = text(given, "msgtype", missing=40063)
    if kind not in ("image", "link", "miniprogram", "video", "file"):
        raise WeComError(41065, kind)
    if not isinstance(given.get(kind), dict):
        raise WeComError(40063, kind)
    own = given[kind]
    if kind == "image":
        found = image(call, own)
    elif kind == "link":
        found = link(own)
    elif kind == "miniprogram":
        found = miniprogram(call, own)
    else:
        found = {"media_id": text(own, "media_id", missing=40063)}
        media.check(call.corpid, found["media_id"], kind, now=call.now)
    return {"msgtype": kind, kind: found}


def content(call: Call) -> tuple[str, list[dict[str, Any]]]:
    """(text, attachments) of a body, checked. Both empty: 40058."""
    words = bounded(part(call.body, "text"), "content", TEXT_BYTES, over=45002)
    given = call.body.get("attachments") or []
    if not isinstance(given, list):
        raise WeComError(40058, "attachments should be an array")
    if len(given) > MOST_ATTACHMENTS:
        raise WeComError(40058, "attachments exceed 9")
    attachments = [_attachment(call, one) for one in given]
    if not words and not attachments:
        raise WeComError(40058, "text and attachments are both empty")
    return words, attachments
