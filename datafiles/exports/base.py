"""What every list that can be taken out tells the machinery (datafiles/services/exports.py)."""

import base64
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import QuerySet
from django.utils.dateparse import parse_date

from contacts.identities import listed, mask_phone
from contacts.models import visible_follows
from org.models import Staff
from scrm import clock
from scrm.errors import FilterError, NotFoundError
from scrm.ids import read_id
from scrm.keyset import beyond
from tenants.models import Brand

OLDEST = timedelta(days=400)  # of what is listed without `since`


@dataclass(frozen=True)
class Export:
    """One export as its kind sees it.

    Attributes:
        params: the filter, as `ExportKind.read` has given it.
        staff: whose customers and relations are meant; None: an API key, all of the brand.
        is_masked: phone numbers without their middle.
        has_whole_ids: ids of WeChat's are whole, as on the page of somebody with `contacts.edit`.
        kept: what a kind works out once for all pages of a step.
    """

    brand: Brand
    params: dict[str, Any]
    staff: Staff | None
    is_masked: bool = True
    has_whole_ids: bool = False
    kept: dict[str, Any] = field(default_factory=dict)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.brand.timezone)

    def when(self, moment: datetime | None) -> str:
        """A moment in the brand's zone, as a spreadsheet reads it."""
        return f"{moment.astimezone(self.zone):%Y-%m-%d %H:%M:%S}" if moment else ""

    def phone(self, value: str) -> str:
        return mask_phone(value) if self.is_masked else value

    def identity(self, kind: str, value: str) -> str:
        """An outside id, by the rule of lists (contacts/identities.py: listed)."""
        rights = {"contacts.phones": not self.is_masked, "contacts.edit": self.has_whole_ids}
        return listed(kind, value, rights.__getitem__)


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
        also: rights that a filter needs beside `right`.
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
    also: Callable[[dict[str, Any]], Sequence[str]] = lambda params: ()


# ---- parameters


def nothing(brand: Brand, query: Any) -> dict[str, Any]:
    """A list without a filter."""
    return {}


def read_days(brand: Brand, query: Any) -> dict[str, Any]:
    """`since` and `until`, days of the brand, both included."""
    found: dict[str, Any] = {}
    for name in ("since", "until"):
        if text := str(query.get(name) or ""):
            try:
                day = parse_date(text)
            except ValueError:
                day = None
            if day is None:
                raise FilterError()
            found[name] = day.isoformat()
    return found


def read_one(query: Any, name: str, rows: QuerySet) -> dict[str, Any]:
    """`name`: the id of one of `rows`, to which the list is narrowed; without it {}.

    Raises:
        FilterError: no id.
        NotFoundError: of no row.
    """
    if not (text := query.get(name)):
        return {}
    given = read_id(text)
    if given is None:
        raise FilterError()
    if not rows.filter(pk=given).exists():
        raise NotFoundError()
    return {name: given}


# ---- rows and cells


def yuan(fen: int | None) -> str:
    return "" if fen is None else f"{fen / 100:.2f}"


def between(export: Export, rows: QuerySet, column: str) -> QuerySet:
    """Those whose moment `column` lies in the days of `read_days`."""

    def start(text: str, days: int = 0) -> datetime:
        day = datetime.fromisoformat(text).date() + timedelta(days=days)
        return datetime.combine(day, time.min, export.zone).astimezone(UTC)

    if since := export.params.get("since"):
        rows = rows.filter(**{f"{column}__gte": start(since)})
    if until := export.params.get("until"):
        rows = rows.filter(**{f"{column}__lt": start(until, 1)})
    return rows


def lately(export: Export, rows: QuerySet, column: str) -> QuerySet:
    """As `between`; where nobody says since when, those of a year and a month: older partitions are left alone."""
    rows = between(export, rows, column)
    return rows if "since" in export.params else rows.filter(**{f"{column}__gte": clock.now() - OLDEST})


def of_visible(export: Export, rows: QuerySet, column: str = "contact_id") -> QuerySet:
    """Those of contacts whom the person may see."""
    if export.staff is not None and (mine := visible_follows(export.staff)) is not None:
        return rows.filter(**{f"{column}__in": mine.values("contact")})
    return rows


def names_of(model: Any, ids: Iterable[int | None]) -> dict[int | None, str]:
    """{id: name}; empty ids are passed over."""
    return dict(model.objects.filter(pk__in={pk for pk in ids if pk}).values_list("pk", "name"))


def next_by_id(rows: QuerySet, after: Any, size: int) -> list[Any]:
    """The next rows by id, oldest first."""
    return list(rows.filter(pk__gt=after or 0).order_by("pk")[:size])


def last_id(page: Sequence[Any], after: Any) -> Any:
    """The place behind rows of `next_by_id`; behind none it stays where it is."""
    return page[-1].pk if page else after


def next_rows(rows: QuerySet, after: Any, size: int) -> list[Any]:
    """The next rows by (at, id), oldest first."""
    return list(rows.filter(beyond(("at", "pk"), after)).order_by("at", "pk")[:size])


def place_of(page: list[Any], after: Any) -> Any:
    """The place behind rows of `next_rows`; behind none it stays where it is."""
    if not page:
        return after
    plain = json.dumps([page[-1].at.isoformat(), page[-1].pk])
    return base64.urlsafe_b64encode(plain.encode()).decode().rstrip("=")
