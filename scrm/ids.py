"""Ids as people's browsers and other systems send them."""

from typing import Any

from django.utils.translation import gettext as _

from scrm.errors import InvalidError

MAX_ID = 2**63 - 1  # what Postgres can hold


def read_id(text: Any) -> int | None:
    """An id from an address or a form; None for anything else ('²' and '١' are digits, but not of an id)."""
    text = str(text or "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def read_ids(data: Any, name: str = "ids") -> list[int]:
    """Ids of ticked rows of a form; what is none is left out."""
    return [found for text in data.getlist(name) if (found := read_id(text)) is not None]


def need_ids(data: Any, name: str) -> list[int]:
    """As `read_ids`. Raises InvalidError: one of them is no id."""
    found = read_ids(data, name)
    if len(found) != len(data.getlist(name)):
        raise InvalidError(_("Choose one of the list"), fields={name: _("Choose one of the list")})
    return found


def need_id(text: Any) -> int:
    """As `read_id`. Raises InvalidError: not an id."""
    found = read_id(text)
    if found is None:
        raise InvalidError(_("Choose one of the list"))
    return found
