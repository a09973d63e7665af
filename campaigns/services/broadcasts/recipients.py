"""A list of people as somebody pastes or uploads it: external ids, phone numbers, member numbers."""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any
from xml.etree.ElementTree import ParseError
from zipfile import BadZipFile

from django.db.models import Q
from django.utils.translation import gettext as _
from openpyxl import load_workbook
from openpyxl.utils.exceptions import InvalidFileException

from campaigns.models import Enrolment, Sop
from contacts.models import Contact, Identity
from org.models import Corp, Staff
from scrm.errors import InvalidError
from tagging.models import Segment
from tagging.services.segments import audience, snapshots
from tenants.models import Brand

MAX_VALUES = 100_000
MAX_BYTES = 10 * 1024 * 1024
SLICE = 5_000
SHOWN = 200  # unknown values that the preview names
_SEPARATORS = re.compile(r"[\s,;，；、|]+")
_HEADINGS = re.compile(r"id|号|phone|mobile|tel|member|客户|用户", re.I)


@dataclass
class Found:
    """What a list is about.

    Attributes:
        contact_ids: people who can be put in, each once.
        unknown: values that nobody has (in sight of whoever asks), as they were given.
        ambiguous: values that two people have.
        n_values: distinct values given.
        n_inside, n_lost: already in the SOP; without a guide now. Both are not in `contact_ids`.
    """

    contact_ids: list[int] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    ambiguous: list[str] = field(default_factory=list)
    n_values: int = 0
    n_inside: int = 0
    n_lost: int = 0


def values_of_text(text: str) -> list[str]:
    """Values divided by blanks, commas or lines, each once, in order.

    Raises:
        InvalidError: none, or too many.
    """
    return _once(value for value in _SEPARATORS.split(text) if value)


def values_of_file(file: Any) -> list[str]:
    """The first column of an uploaded CSV, text or XLSX file; a heading is passed over.

    Raises:
        InvalidError: too large, not readable, empty.
    """
    data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise InvalidError(_("The file is larger than %(n)s MB") % {"n": MAX_BYTES // 2**20})
    rows = _sheet(data) if data[:2] == b"PK" else _lines(data)
    first = (row[0].strip() for row in islice(rows, 2 * MAX_VALUES) if row and row[0].strip())
    return _once(value for n, value in enumerate(first) if n or not _is_heading(value))


def _is_heading(value: str) -> bool:
    return (
        not any(c.isdigit() for c in value)
        and bool(_HEADINGS.search(value))
        and not value.startswith(("wm", "wo"))
    )


def _sheet(data: bytes) -> Iterator[list[str]]:
    try:
        book = load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        for row in book.worksheets[0].iter_rows(max_col=1, values_only=True):
            yield [_cell(row[0])] if row else []
    except (InvalidFileException, BadZipFile, ParseError, KeyError, ValueError, OSError, IndexError) as error:
        raise InvalidError(_("The spreadsheet cannot be read")) from error


def _cell(value: Any) -> str:
    # Excel keeps long numbers as floats
    return (
        ""
        if value is None
        else str(int(value))
        if isinstance(value, float) and value.is_integer()
        else str(value)
    )


def _lines(data: bytes) -> Iterator[list[str]]:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return csv.reader(io.StringIO(data.decode(encoding)))
        except UnicodeDecodeError:
            continue
    raise InvalidError(_("The file is neither text nor a spreadsheet"))


def _once(values: Iterable[str]) -> list[str]:
    found = dict.fromkeys(value.strip()[:64] for value in values)
    found.pop("", None)
    if not found:
        raise InvalidError(_("The list is empty"))
    if len(found) > MAX_VALUES:
        raise InvalidError(_("At most %(n)s people at a time") % {"n": f"{MAX_VALUES:,}"})
    return list(found)


def resolve(values: Sequence[str], *, sop: Sop | None, staff: Staff) -> Found:
    """Who the values are, of those whom `staff` may see; four statements for each 5,000 values."""
    found = Found(n_values=len(values))
    scopes = list(Corp.objects.values_list("corpid", flat=True))
    chosen: dict[int, None] = {}
    for start in range(0, len(values), SLICE):
        part = values[start : start + SLICE]
        owners: dict[str, set[int]] = {value: set() for value in part}
        rows = Identity.objects.filter(_kinds(scopes), value__in=part)
        for value, contact_id in rows.values_list("value", "contact_id"):
            owners[value].add(contact_id)
        ids = {i for one in owners.values() for i in one}
        seen = set(Contact.objects.visible_to(staff).filter(pk__in=ids).values_list("pk", flat=True))
        for value in part:
            mine = owners[value] & seen
            if not mine:
                found.unknown.append(value)
            elif len(mine) > 1:
                found.ambiguous.append(value)
            else:
                chosen[mine.pop()] = None
    _sort_out(found, list(chosen), sop)
    return found


def check_ids(contact_ids: Sequence[int], *, sop: Sop | None, staff: Staff) -> Found:
    """The same for contacts that were chosen in the list of contacts."""
    found = Found(n_values=len(set(contact_ids)))
    seen = set(Contact.objects.visible_to(staff).filter(pk__in=contact_ids).values_list("pk", flat=True))
    found.unknown = [str(i) for i in dict.fromkeys(contact_ids) if i not in seen]
    _sort_out(found, sorted(seen), sop)
    return found


def of_segment(brand: Brand, segment: Segment, *, sop: Sop | None, staff: Staff) -> Found:
    """The same for everybody who is in a segment now and whom `staff` may see.

    Raises:
        InvalidError: too many for a list, or the segment's condition cannot be read.
    """
    people = audience.Audience(brand, snapshots.condition_of(segment), staff=staff)
    if (n := people.count()) > MAX_VALUES:
        raise InvalidError(
            _(
                "%(n)s people are in it; at most %(most)s at a time. Let an entry of a canvas take them in instead."
            )
            % {"n": f"{n:,}", "most": f"{MAX_VALUES:,}"}
        )
    ids = people.ids()
    found = Found(n_values=len(ids))
    _sort_out(found, ids, sop)
    return found


def _kinds(scopes: Sequence[str]) -> Q:
    # kind and scope lead to the value in the unique index
    kinds = Identity.Kind
    return Q(kind=kinds.EXTERNAL_USERID, scope__in=scopes) | Q(
        kind__in=[kinds.PHONE, kinds.MEMBER_NO], scope=""
    )


def _sort_out(found: Found, ids: Sequence[int], sop: Sop | None) -> None:
    for start in range(0, len(ids), SLICE):
        part = ids[start : start + SLICE]
        lost = set(Contact.objects.filter(pk__in=part, lost_at__isnull=False).values_list("pk", flat=True))
        inside: set[int] = set()
        if sop is not None:
            open_rows = Enrolment.objects.filter(sop=sop, contact__in=part, ended_at=None)
            inside = set(open_rows.values_list("contact_id", flat=True)) - lost
        found.n_lost += len(lost)
        found.n_inside += len(inside)
        found.contact_ids += [i for i in part if i not in lost and i not in inside]
