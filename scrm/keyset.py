"""Keyset pages: the next page begins after the last row seen, so page 2,000 costs as much as page 1 and nothing is counted."""

import base64
import binascii
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from scrm.errors import InvalidError


@dataclass(frozen=True)
class Page:
    """Rows of one page; `next` is the token for `after=`, empty on the last page."""

    rows: Sequence[Any]
    next: str
    after: str

    def __iter__(self) -> Iterator[Any]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


def keyset_page(
    queryset: QuerySet, *, order: Sequence[str], after: str | None = None, size: int = 50
) -> Page:
    """One page of `queryset` in `order`, whose last field makes it unique (`-pk`); all fields in the same direction.

    Args:
        after: token of the previous page; None or "" for the first.

    Raises:
        InvalidError: the token was not made by this function for this order.
    """
    names = [name.lstrip("-") for name in order]
    if after:
        try:
            queryset = queryset.filter(beyond(order, after))
        except (TypeError, ValueError, ValidationError):  # a value that the field cannot hold
            raise bad_page() from None
    rows = list(queryset.order_by(*order)[: size + 1])
    more = len(rows) > size
    rows = rows[:size]
    return Page(rows, _encode([getattr(rows[-1], name) for name in names]) if more else "", after or "")


def bad_page() -> InvalidError:
    """A token that was not made for this order."""
    return InvalidError(_("This page link is not valid any more"), code="bad_page")


def beyond(order: Sequence[str], after: str | None) -> Q:
    """The condition of rows that come after a page's token; no condition without one.

    Raises:
        InvalidError: as `keyset_page`.
    """
    if not after:
        return Q()
    names = [name.lstrip("-") for name in order]
    return _beyond(names, _decode(after, len(names)), "lt" if order[0].startswith("-") else "gt")


def _beyond(names: list[str], values: list[Any], op: str) -> Q:
    """(a, b) beyond (x, y) as a <= x AND (a < x OR b < y), which an index on (a, b) serves."""
    condition = Q(**{f"{names[-1]}__{op}": values[-1]})
    for name, value in zip(names[-2::-1], values[-2::-1], strict=True):
        condition = Q(**{f"{name}__{op}e": value}) & (Q(**{f"{name}__{op}": value}) | condition)
    return condition


def _encode(values: list[Any]) -> str:
    plain = [v.isoformat() if isinstance(v, (datetime, date)) else v for v in values]
    return base64.urlsafe_b64encode(json.dumps(plain).encode()).decode().rstrip("=")


def _decode(token: str, n: int) -> list[Any]:
    try:
        values = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        if not isinstance(values, list) or len(values) != n:
            raise ValueError
        return [_value(v) for v in values]
    except (ValueError, binascii.Error, UnicodeDecodeError) as error:
        raise bad_page() from error


def _value(value: Any) -> Any:
    if isinstance(value, str) and len(value) >= 19 and value[10] == "T":
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:  # none of ours
            raise ValueError
        return moment
    if not isinstance(value, (str, int)) or (isinstance(value, str) and "\x00" in value):
        raise ValueError
    return value
