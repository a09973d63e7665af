"""WeCom's documented limits, checked before a call, so that a person hears of them while they write."""

from collections.abc import Mapping, Sized
from typing import Any

from django.utils.translation import gettext as _

from wecom.errors import InvalidMessage, LostAnswer


def at_most_bytes(name: Any, text: str, limit: int) -> None:
    """WeCom counts bytes of UTF-8 here: a Chinese character is three."""
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > limit:
        raise InvalidMessage(
            _("%(name)s is too long: %(size)d bytes, WeCom allows %(limit)d (a Chinese character counts 3)")
            % {"name": name, "size": size, "limit": limit}
        )


def at_most_chars(name: Any, text: str, limit: int) -> None:
    if len(text) > limit:
        raise InvalidMessage(
            _("%(name)s is too long: %(size)d characters, WeCom allows %(limit)d")
            % {"name": name, "size": len(text), "limit": limit}
        )


def at_most(name: Any, items: Sized, limit: int) -> None:
    if len(items) > limit:
        raise InvalidMessage(
            _("%(name)s: %(size)d given, WeCom allows %(limit)d")
            % {"name": name, "size": len(items), "limit": limit}
        )


def needed(name: Any, value: Any) -> None:
    if not value:
        raise InvalidMessage(_("%(name)s is missing") % {"name": name})


def link(name: Any, url: str, limit: int = 2048) -> None:
    """A link that WeCom accepts: with its scheme, at most 2048 bytes."""
    if not url.startswith(("https://", "http://")):
        raise InvalidMessage(_("%(name)s must begin with https:// or http://") % {"name": name})
    at_most_bytes(name, url, limit)


def answered(answer: Mapping[str, Any], api: str, name: str) -> str:
    """A field without which the call cannot be told from one whose answer was lost."""
    value = answer.get(name)
    if not isinstance(value, str) or not value:
        raise LostAnswer(api=api, errmsg=f"no {name} in the answer")
    return value
