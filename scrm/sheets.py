"""Reads a spreadsheet as people make them: xlsx, or CSV in UTF-8, UTF-16 or GBK, with comma, semicolon or
tab. Plain values only."""

import csv
import io
import zipfile
from collections.abc import Iterable
from typing import Any

from django.utils.translation import gettext as _
from openpyxl import load_workbook

from scrm.errors import InvalidError

MAX_BYTES = 5 * 1024 * 1024
MAX_UNPACKED = 80 * 1024 * 1024
MAX_CELL = 5000
MAX_COLUMNS = 50


def read(data: bytes, name: str, *, max_rows: int) -> list[tuple[int, list[str]]]:
    """Rows that are not empty as (row number in the file, texts of its cells).

    Raises:
        InvalidError: too large, too many rows, or not a spreadsheet.
    """
    if len(data) > MAX_BYTES:
        raise InvalidError(_("The file is larger than %(n)d MB") % {"n": MAX_BYTES // 1024 // 1024})
    if not data.strip():
        raise InvalidError(_("The file is empty"))
    if data.startswith(b"PK\x03\x04"):
        rows: Iterable[Iterable[Any]] = _xlsx(data)
    elif data.startswith(b"\xd0\xcf\x11\xe0"):
        raise InvalidError(_("This is the old .xls format. Save it as .xlsx or CSV."))
    elif name.lower().endswith((".xlsx", ".xlsm")):
        raise InvalidError(_("This file is not a spreadsheet, or it is damaged"))
    else:
        rows = _csv(data)
    found: list[tuple[int, list[str]]] = []
    for number, row in enumerate(rows, 1):
        cells = [_text(value) for value, _n in zip(row, range(MAX_COLUMNS), strict=False)]
        if any(cells):
            found.append((number, cells))
        if len(found) > max_rows + 1:  # the heading is one of them
            raise InvalidError(_("The file has more than %(n)d rows; split it") % {"n": max_rows})
        if number > 50 * max_rows + 1000:
            raise InvalidError(_("The file has too many empty rows"))
    return found


def _xlsx(data: bytes) -> Iterable[Iterable[Any]]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(info.file_size for info in archive.infolist()) > MAX_UNPACKED:
                raise InvalidError(_("The file is too large once unpacked"))
        book = load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        sheet = book.worksheets[0]
        yield from sheet.iter_rows(values_only=True)
    except InvalidError:
        raise
    # openpyxl lets through whatever zip, XML and its own readers raise on a damaged file
    except Exception as error:
        raise InvalidError(_("This file is not a spreadsheet, or it is damaged")) from error


def _csv(data: bytes) -> Iterable[list[str]]:
    text = _decoded(data)
    if "\x00" in text:
        raise InvalidError(_("This file is not a spreadsheet, or it is damaged"))
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    try:
        yield from csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    except csv.Error as error:
        raise InvalidError(_("This file is not a spreadsheet, or it is damaged")) from error


def _decoded(data: bytes) -> str:
    """Excel in China writes GBK unless it is told otherwise, and a mark in front when it writes Unicode."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise InvalidError(_("The characters of this file cannot be read. Save it as .xlsx or CSV (UTF-8)."))


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # Excel keeps 12 as 12.0
    return str(value).strip()[:MAX_CELL]
