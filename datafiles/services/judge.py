# ruff: noqa: S608  statements are put together from our own tables of targets; texts of files are never part of them
"""The dry run: a whole file beside what the brand has, in one transaction that writes nothing.

    the regular file → COPY → `stage` (texts) → typed rows → `judged` (what each row would do)
                                                              ├─ counts and reasons
                                                              ├─ refused.csv: rows that cannot be read
                                                              └─ plan.tsv: rows that would change something

Of a large file two connections judge half of the rows each (services/judge_halves.py).
The import itself reads the plan only (services/plans.py). Rows are numbered as in the file, from 1.
"""

from pathlib import Path
from typing import Any

from django.db import connection, transaction

from datafiles.blocks import Prepared
from datafiles.kinds.base import PLANNED, Code, Judgement, Task, plan_columns
from datafiles.layout import of_json
from datafiles.services import judge_halves, judged, stage

LANES_FROM = 50_000  # planned rows; fewer are written by one connection


def judge(task: Task, prepared: Prepared, folder: Path) -> dict[str, Any]:
    """Judge all rows of a file; writes `plan.tsv` and `refused.tsv` into the folder and gives the counts.

    {"rows", "new", "changed", "same", "repeated", "refused", …, "reasons": {key: n}}, and of the plan how many rows it has,
    `planned`, and how many of its first ones must be written one after the other, `shared` (None: all).
    """
    with transaction.atomic(), connection.cursor() as cursor:
        task.params = {"brand": task.brand.pk, **task.kind.params(task)}
        task.is_tidy = prepared.is_tidy
        judgement = task.kind.judge(task)
        n_rows = prepared.n_records - of_json(task.file.layout).first_row + 1
        with stage.comparing(cursor, task):
            task.kind.open(task, cursor)
            whole = stage.is_whole(cursor, task, prepared)
            counts = None
            if (
                whole
                and prepared.is_tidy
                and judgement.named is not None
                and n_rows >= judge_halves.HALVES_FROM
            ):
                counts = judge_halves.judge(cursor, task, prepared, judgement, folder)
            if counts is None:
                counts = _by_one(cursor, task, prepared, judgement, folder, whole=whole)
            counts["same"] = counts.get("same", 0) + n_rows - counts.pop("looked_at")
            counts["rows"] = n_rows - counts.pop("empty", 0)
    if counts["planned"] < LANES_FROM:
        counts["shared"] = None
    return counts


def _by_one(
    cursor: Any, task: Task, prepared: Prepared, judgement: Judgement, folder: Path, *, whole: bool
) -> dict[str, Any]:
    source = stage.fill(cursor, task, prepared, whole=whole)
    judged.rows(cursor, task, judgement, source)
    _compare(cursor, judgement)
    counts = judged.count(cursor, judgement)
    n_left_out = counts.get("refused", 0) + counts.get("repeated", 0)
    judged.write_refused(cursor, folder / "refused.tsv", task, n_left_out)
    counts |= task.kind.look(task, cursor)
    counts["planned"], counts["shared"] = _write_plan(cursor, folder / "plan.tsv", task, judgement, counts)
    return counts


def _compare(cursor: Any, judgement: Judgement) -> None:
    """What hangs on other rows."""
    if judgement.who != "NULL":
        _repeated(cursor, Code.SAME if judgement.same_is_fine else Code.REPEATED)
    if judgement.whole:
        cursor.execute(
            f"UPDATE judged j SET code = {Code.CHANGED} WHERE code = {Code.SAME} AND {judgement.whole} IN"
            f" (SELECT {judgement.whole} FROM judged WHERE code IN ({', '.join(str(int(c)) for c in PLANNED)}))"
        )


def _repeated(cursor: Any, code: Code) -> None:
    """Of rows about the same the last one counts. Numbers are grouped in half the time of texts: a text is compared only
    where its number is there twice."""
    planned = ", ".join(str(int(code)) for code in (Code.SAME, *PLANNED))
    cursor.execute(
        "CREATE TEMP TABLE twice ON COMMIT DROP AS SELECT hashtextextended(who, 0) AS number FROM judged"
        f" WHERE code IN ({planned}) AND who IS NOT NULL GROUP BY 1 HAVING count(*) > 1"
    )
    if cursor.rowcount:
        cursor.execute(
            f"UPDATE judged j SET code = {code}, reasons = 'repeated:' || x.n FROM ("
            "   SELECT who, max(n) AS n FROM judged WHERE hashtextextended(who, 0) IN (SELECT number FROM twice)"
            f"     AND code IN ({planned}) GROUP BY who HAVING count(*) > 1) x"
            f" WHERE j.who = x.who AND j.n < x.n AND j.code IN ({planned})"
        )


def _write_plan(
    cursor: Any, path: Path, task: Task, judgement: Judgement, counts: dict[str, Any]
) -> tuple[int, int | None]:
    names = list(plan_columns(task, judgement))
    planned = ", ".join(str(int(code)) for code in PLANNED)
    there = [code for code in PLANNED if counts.get(judged.NAMES[code])]
    order, is_mixed = [judgement.order] if judgement.order else [], len(there) > 1
    if there == [Code.NEW] and judgement.order_of_new:
        order = [judgement.order_of_new]
    if is_mixed and not judgement.group and (order or task.kind.ids_of):
        order.insert(0, "code")  # new ones together: their ids are one range for each slice
    n_shared = None
    if judgement.named is not None and not counts.get("joined") and _n_planned(counts) >= LANES_FROM:
        n_shared = _note_shared(cursor, judgement.named, task)
        if n_shared:
            order = ["(j.n IN (SELECT n FROM shared)) DESC", *(order or ["n"])]
    group, sorting = judgement.group or "''", f"ORDER BY {', '.join(order)}" if order else ""
    with path.open("wb") as file:
        cursor.copy_expert(
            f"COPY (SELECT {group}, {', '.join(names)} FROM judged j WHERE code IN ({planned})"
            f" {sorting}) TO STDOUT",
            file,
        )
    return cursor.rowcount, n_shared


def _n_planned(counts: dict[str, Any]) -> int:
    return sum(counts.get(judged.NAMES[code], 0) for code in PLANNED)


def _note_shared(cursor: Any, query: str, task: Task) -> int:
    """Put the rows that must not be written side by side into `shared`; gives how many."""
    if not query:
        return 0
    cursor.execute(
        f"CREATE TEMP TABLE shared ON COMMIT DROP AS WITH named AS MATERIALIZED ({query}), twice AS MATERIALIZED"
        " (SELECT h FROM named GROUP BY h HAVING count(*) > 1)"
        " SELECT DISTINCT n FROM named WHERE EXISTS (SELECT 1 FROM twice) AND h IN (SELECT h FROM twice)",
        task.params,
    )
    n: int = cursor.rowcount
    return n
