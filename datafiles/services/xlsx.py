"""Workbooks: the first rows for a look, all rows as regular CSV for COPY. Read row by row, never as a whole."""

import csv
import itertools
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from django.utils.translation import gettext as _
from openpyxl import load_workbook

from datafiles.blocks import Prepared, bad_file
from datafiles.layout import MAX_COLUMNS, Layout
from scrm.errors import InvalidError

MAX_ROWS = 200_000
MAX_UNPACKED = 1024 * 1024 * 1024
MAX_EMPTY = 50_000  # formatting far below the table makes rows without end
LOOK = 250


def first_rows(path: Path) -> list[list[str]]:
    """The beginning of the first sheet."""
    rows = [list(row) for row in itertools.islice(_rows(path), LOOK)]
    width = max((n + 1 for row in rows for n, cell in enumerate(row) if cell), default=0)
    return [(row + [""] * width)[:width] for row in rows]


def prepare(source: Path, layout: Layout, target: Path) -> Prepared:
    """All rows as CSV.

    Raises:
        InvalidError: damaged, or too many rows.
    """
    bad_file(target).unlink(missing_ok=True)
    n, n_empty, size = 0, 0, layout.n_columns
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(
            file, lineterminator="\n", quoting=csv.QUOTE_ALL if size == 1 else csv.QUOTE_MINIMAL
        )
        for row in _rows(source):
            if not any(row):
                n_empty += 1
                if n_empty > MAX_EMPTY:
                    break
                continue
            writer.writerows([[""] * size] * n_empty)
            n, n_empty = n + n_empty + 1, 0
            if n > MAX_ROWS + layout.first_row:
                raise InvalidError(
                    _("A workbook may have %(n)s rows; save a longer one as CSV") % {"n": f"{MAX_ROWS:,}"}
                )
            writer.writerow((row + [""] * size)[:size])
    return Prepared(target, ",", 0, n, 0, is_tidy=False)


def _rows(path: Path) -> Iterator[list[str]]:
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(info.file_size for info in archive.infolist()) > MAX_UNPACKED:
                raise InvalidError(_("The file is too large once unpacked"))
        with path.open("rb") as file:  # by its bytes: our files have no suffix
            book = load_workbook(file, read_only=True, data_only=True)
            for row in book.worksheets[0].iter_rows(values_only=True):
                yield [
                    _text(value) for value in row[: MAX_COLUMNS + 1]
                ]  # one more: it is refused, not cut off
            book.close()
    except InvalidError:
        raise
    # openpyxl lets through whatever zip, XML and its own readers raise on a damaged file
    except Exception as error:
        raise InvalidError(_("This file is not a spreadsheet, or it is damaged")) from error


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, float):
        # as Excel shows it: 12.3 × 3 is kept as 36.900000000000006
        return str(int(value)) if value.is_integer() and abs(value) < 1e18 else f"{value:.15g}"
    if isinstance(value, datetime):
        return value.isoformat(" ", "seconds") if value.time() != time() else value.date().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    return str(value).replace("\x00", "�")
