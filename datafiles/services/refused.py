"""Rows that were left out, as a file to mend and upload again: the input's columns, then row and reason."""

import csv
import heapq
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from django.utils.translation import gettext as _

from datafiles.blocks import bad_file
from datafiles.kinds.base import Task
from datafiles.layout import of_json
from datafiles.reasons import sentence
from scrm.harmless import harmless

NAME = "refused.csv"


def broken(folder: Path) -> dict[str, int]:
    """Reasons of lines that are no records at all, with how many."""
    path = bad_file(folder / "rows.csv")
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8") as lines:
        return dict(Counter(json.loads(line)[1] for line in lines))


def write(task: Task, folder: Path) -> int:
    """Make the file from what the check has found; gives the number of rows."""
    size = of_json(task.file.layout).n_columns
    names = task.file.headings
    labels = {key: names[column.number] for key, column in task.columns.items() if column.number < len(names)}
    n = 0
    with (folder / NAME).open("w", encoding="utf-8-sig", newline="") as out:
        writer = csv.writer(out)
        writer.writerow([harmless(name) for name in names] + [_("Row"), _("Reason")])
        rows = heapq.merge(_broken_rows(folder, size), _judged_rows(folder), key=lambda row: row[0])
        for number, reasons, cells in rows:
            writer.writerow([harmless(cell) for cell in cells] + [number, sentence(reasons, labels)])
            n += 1
    return n


def _broken_rows(folder: Path, size: int) -> Iterator[tuple[int, str, list[str]]]:
    path = bad_file(folder / "rows.csv")
    if path.is_file():
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                number, reason, text = json.loads(line)
                yield number, reason, [text] + [""] * (size - 1)


def _judged_rows(folder: Path) -> Iterator[tuple[int, str, list[str]]]:
    with (folder / "refused.tsv").open(encoding="utf-8", newline="") as lines:
        for number, reasons, *cells in csv.reader(lines):
            yield int(number), reasons, cells
