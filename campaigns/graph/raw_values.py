"""Values of a graph as they come from outside: what is kept in a draft has the shape of its parameter, whatever is in it."""

import re
from typing import Any

from django.utils.translation import gettext as _

from campaigns.graph import kinds
from scrm.errors import InvalidError

MAX_CHARS, MAX_DEPTH, MAX_ROWS = 4_000, 12, 1_000
_NO_TEXT = re.compile("[\x00\ud800-\udfff]")  # Postgres stores neither, and half of a pair is no character

WORDS = (kinds.TEXT, kinds.LONG, kinds.CHOICE, kinds.TIME, kinds.DATE, kinds.EVENT, kinds.FIELD, kinds.DATE_FIELD,
         kinds.MESSAGE, kinds.URL)  # fmt: skip
NUMBERS = (kinds.SEGMENT, kinds.CONTENT, kinds.OBJECT, kinds.GROUP_CODE)
LISTS = (kinds.WEEKDAYS, kinds.TAGS, kinds.CODES)
OBJECTS = (kinds.FILTERS, kinds.CONDITION)
ROWS = (kinds.CASES, kinds.SHARES, kinds.EVENTS, kinds.ATTACHMENTS)
# what a row may hold, and how that is written; None: any plain value
PARTS: dict[str, dict[str, str | None]] = {
    kinds.CASES: {"key": kinds.TEXT, "title": kinds.TEXT, "condition": kinds.CONDITION},
    kinds.SHARES: {"key": kinds.TEXT, "title": kinds.TEXT, "percent": None},
    kinds.EVENTS: {"event": kinds.EVENT, "filters": kinds.FILTERS, "condition": kinds.CONDITION},
}


def wrong(value: Any, of: str | None) -> str:
    """What a value should have been, in words; empty when it has the shape of its parameter."""
    if of in WORDS:
        return "" if isinstance(value, str) else _("text")
    if of in NUMBERS:
        return "" if _is_number(value) else _("number")
    if of in LISTS:
        is_list = isinstance(value, list) and len(value) <= MAX_ROWS and all(map(_is_number, value))
        return "" if is_list else _("list of numbers")
    if of in OBJECTS:
        return "" if isinstance(value, dict) else _("object")
    if of in ROWS:
        is_list = isinstance(value, list) and len(value) <= MAX_ROWS
        return (
            "" if is_list and all(_is_row(row, PARTS.get(of, {})) for row in value) else _("list of objects")
        )
    return "" if isinstance(value, str | int | float) else _("plain value")


def _is_row(row: Any, parts: dict[str, str | None]) -> bool:
    if not isinstance(row, dict):
        return False
    return all(row.get(name) is None or not wrong(row[name], of) for name, of in parts.items())


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def rows(value: Any, of: str) -> Any:
    """Rows with what a row of theirs may hold; a part has a key, if only an empty one."""
    if of not in PARTS:
        return value
    kept = [{name: row[name] for name in PARTS[of] if name in row} for row in value]
    return [row | {"key": row.get("key") or ""} for row in kept] if "key" in PARTS[of] else kept


def storable(value: Any, depth: int = 0) -> Any:
    """JSON that Postgres keeps and Python gives back unchanged.

    Raises:
        InvalidError: too deep, a number that is none or too large.
    """
    if depth > MAX_DEPTH:
        raise InvalidError(_("This is not a valid canvas"), code="graph")
    if isinstance(value, dict):
        return {plain(str(key)): storable(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [storable(item, depth + 1) for item in value]
    if isinstance(value, str):
        return plain(value)[:MAX_CHARS]
    if value is None or isinstance(value, bool):
        return value
    if (isinstance(value, int) and abs(value) < 2**63) or (isinstance(value, float) and abs(value) < 1e15):
        return value
    raise InvalidError(_("This is not a valid canvas"), code="graph")


def plain(text: str) -> str:
    """A text without what is no text."""
    return _NO_TEXT.sub("", text)
