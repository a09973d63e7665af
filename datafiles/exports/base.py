"""What every list that can be taken out tells the machinery (datafiles/services/exports.py)."""

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import QuerySet

from contacts.identities import mask_phone
from org.models import Staff
from scrm.keyset import beyond
from tenants.models import Brand


@dataclass(frozen=True)
class Export:
    """One export as its kind sees it.

    Attributes:
        params: the filter, as `ExportKind.read` has given it.
        staff: whose customers and relations are meant; None: an API key, all of the brand.
        is_masked: phone numbers without their middle.
    """

    brand: Brand
    params: dict[str, Any]
    staff: Staff | None
    is_masked: bool = True

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.brand.timezone)

    def when(self, moment: datetime | None) -> str:
        """A moment in the brand's zone, as a spreadsheet reads it."""
        return f"{moment.astimezone(self.zone):%Y-%m-%d %H:%M:%S}" if moment else ""

    def phone(self, value: str) -> str:
        return mask_phone(value) if self.is_masked else value


def yuan(fen: int | None) -> str:
    return "" if fen is None else f"{fen / 100:.2f}"


def next_rows(rows: QuerySet, after: Any, size: int) -> list[Any]:
    """The next rows by (at, id), oldest first."""
    return list(rows.filter(beyond(("at", "pk"), after)).order_by("at", "pk")[:size])


def place_of(page: list[Any], after: Any) -> Any:
    """The place behind rows of `next_rows`; behind none it stays where it is."""
    if not page:
        return after
    plain = json.dumps([page[-1].at.isoformat(), page[-1].pk])
    return base64.urlsafe_b64encode(plain.encode()).decode().rstrip("=")


Rows = tuple[list[list[Any]], Any]


@dataclass(frozen=True)
class ExportKind:
    """
    Attributes:
        right: needed to see the list, beside `exports.run`.
        read: parameters of an address or the API as those of a filter; raises InvalidError for what is not understood.
        columns: headings, in the person's language.
        page: the next rows after a place (None at first) and the new place; no rows: the end.
        count: how many there will be, if that is quickly known.
        title: what it is of, in words.
    """

    key: str
    label: Any
    icon: str
    right: str
    read: Callable[[Brand, Any], dict[str, Any]]
    columns: Callable[[Export], Sequence[str]]
    page: Callable[[Export, Any, int], Rows]
    count: Callable[[Export], int | None] = lambda export: None
    title: Callable[[Export], str] = lambda export: ""
    needs: Sequence[str] = field(default_factory=tuple)  # parameters without which there is nothing to export


def nothing(brand: Brand, query: Any) -> dict[str, Any]:
    """A list without a filter."""
    return {}
