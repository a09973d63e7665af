"""A workbook from a CSV of our own, row by row: memory does not grow with it."""

import csv
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Font

from scrm.harmless import harmless

MAX_ROWS = 1_000_000  # of one sheet; Excel's limit is 1,048,576


def write(source: Path, target: Path, *, words: str, title: str, by: str) -> None:
    """Write `source` (its first row names the columns) as a workbook; `words` stand below the last row, in the print's
    header and footer, and in the properties. Everything is text: what looks like a formula is none.

    A longer file goes over several sheets.
    """
    book = Workbook(write_only=True)
    book.properties.title, book.properties.creator, book.properties.description = title, by, words
    with source.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file)
        headings = next(rows)
        n = 0
        while True:
            part: Iterable[list[str]] = islice(rows, MAX_ROWS)
            first = next(iter(part), None)
            if first is None and n:
                break
            n += 1
            sheet = book.create_sheet(f"{n}")
            sheet.freeze_panes = "A2"
            sheet.oddFooter.center.text = words
            sheet.oddHeader.right.text = words
            bold = []
            for name in headings:
                cell = WriteOnlyCell(sheet, value=name)
                cell.font = Font(bold=True)
                bold.append(cell)
            sheet.append(bold)
            if first is not None:
                sheet.append([_plain(cell) for cell in first])
            for row in part:
                sheet.append([_plain(cell) for cell in row])
            if first is None:
                break
        sheet.append([])
        sheet.append([harmless(words)])
    draft = target.with_suffix(".part")
    book.save(draft)
    draft.replace(target)


def _plain(text: str) -> str | float:
    """Amounts and counts as numbers; ids with leading zeros or many digits stay text."""
    if (
        len(text) <= 12
        and text.replace(".", "", 1).isdecimal()
        and text.isascii()
        and (text[0] != "0" or text[:2] == "0." or text == "0")
    ):
        return float(text) if "." in text else int(text)
    return "".join(c for c in text if c >= " " or c in "\t\n\r")
