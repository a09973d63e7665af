# ruff: noqa: S608  expressions of values.py over our own temporary table
"""The first rows of a file as an import would read them: the same expressions as in the check, over thirty rows."""

from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.utils.translation import gettext as _

from datafiles.kinds.base import Task
from datafiles.reasons import CELLS
from datafiles.services.judged import typed
from datafiles.services.uploads import SHOWN, Head
from datafiles.values import TYPES

_SHOWN = {
    "timestamptz": "to_char({0}, 'YYYY-MM-DD HH24:MI:SS')",
    "date": "to_char({0}, 'YYYY-MM-DD')",
    "bigint": "to_char({0} / 100.0, 'FM999,999,999,990.00')",
}


@dataclass(frozen=True)
class Cell:
    """`text`: as in the file; `shown`: as it is read; `problem`: why it cannot be."""

    text: str
    shown: str = ""
    problem: str = ""

    @property
    def differs(self) -> bool:
        return bool(self.shown) and self.shown != self.text.strip()


def rows_of(task: Task, head: Head) -> list[list[Cell]]:
    """Cells of the mapped columns, in the order of `task.columns`, in the caller's transaction."""
    if not task.columns or not head.rows:
        return []
    rows = [(row + [""] * len(head.headings))[: len(head.headings)] for row in head.rows[:SHOWN]]
    names = [f"c{n + 1}" for n in range(len(head.headings))]
    select = []
    for key, column in task.columns.items():
        kind = TYPES[column.target.type][0]
        is_word = column.target.type in ("gender", "code", "bool", "choice")
        shown = (
            f"CASE WHEN t.{key} IS NOT NULL THEN t.v_{key} END" if is_word else _SHOWN.get(kind, "{0}::text")
        )
        select.append(f"t.v_{key}, {shown.format(f't.{key}')}")
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('timezone')")
        zone = cursor.fetchone()[0]
        cursor.execute("SELECT set_config('timezone', %s, true)", [task.brand.timezone])
        cursor.execute("DROP TABLE IF EXISTS pg_temp.stage")
        cursor.execute(
            f"CREATE TEMP TABLE stage (n integer, {', '.join(f'{name} text' for name in names)}) ON COMMIT DROP"
        )
        marks = ", ".join(["%s"] * (len(names) + 1))
        cursor.executemany(
            f"INSERT INTO stage VALUES ({marks})",
            [[n, *(cell.replace("\x00", "�") or None for cell in row)] for n, row in enumerate(rows)],
        )
        cursor.execute(
            f"SELECT {', '.join(select)} FROM {typed(task, 'stage s')} t ORDER BY t.n",
            {"brand": task.brand.pk},
        )
        found = cursor.fetchall()
        cursor.execute("DROP TABLE pg_temp.stage")
        cursor.execute("SELECT set_config('timezone', %s, true)", [zone])
    return [
        [
            _cell(column.target.type, values[2 * n], values[2 * n + 1])
            for n, column in enumerate(task.columns.values())
        ]
        for values in found
    ]


def _cell(kind: str, text: Any, shown: Any) -> Cell:
    if text is None:
        return Cell("")
    if shown is None:
        return Cell(text, problem=_("This %(what)s") % {"what": CELLS[TYPES[kind][2]]})
    return Cell(text, shown)
