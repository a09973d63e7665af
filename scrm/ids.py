"""Ids as people's browsers send them."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from scrm.errors import InvalidError


def read_id(text: Any) -> int | None:
    """An id from an address or a form; None for anything else ('²' and '١' are digits, but not of an id)."""
    text = str(text or "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def read_ids(data: Any, name: str = "ids") -> list[int]:
    """Ids of ticked rows of a form; what is none is left out."""
    return [found for text in data.getlist(name) if (found := read_id(text)) is not None]


def need_id(text: Any) -> int:
    """As `read_id`. Raises InvalidError: not an id."""
    found = read_id(text)
    if found is None:
        raise InvalidError(_("Choose one of the list"))
    return found


def asked_id(given: Mapping[str, Any], name: str) -> int | None:
    """An id that a caller of the API may name in the address; None where they do not. Raises InvalidError: not an id."""
    if (text := given.get(name)) is None:
        return None
    found = read_id(text)
    if found is None:
        raise InvalidError(_("%(name)s must be a number") % {"name": name}, fields={name: "number"})
    return found
