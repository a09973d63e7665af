# ruff: noqa: S608  statements are put together from our own tables of targets; texts of files are never part of them
"""The table `judged`: what each row of `stage` would do, counted, and what of it is left out."""

from pathlib import Path
from typing import Any

from datafiles import values
from datafiles.kinds.base import Code, Judgement, Task
from datafiles.layout import of_json

NAMES = {
    Code.SAME: "same", Code.NEW: "new", Code.CHANGED: "changed", Code.JOIN: "joined", Code.EMPTY: "empty",
    Code.SKIPPED: "skipped",    Code.REPEATED: "repeated", Code.REFUSED: "refused",
}  # fmt: skip


def typed(task: Task, source: str) -> str:
    """A subquery of the rows of `source` with their values. OFFSET 0 keeps each text from being read twice."""
    texts = ", ".join(
        f"{values.cleaned(c, is_tidy=task.is_tidy)} AS v_{key}" for key, c in task.columns.items()
    )
    read = ", ".join(f"{values.value(f'v.v_{key}', c)} AS {key}" for key, c in task.columns.items())
    return f"(SELECT v.*, {read} FROM (SELECT s.n, {texts} FROM {source} OFFSET 0) v OFFSET 0)"


def rows(cursor: Any, task: Task, judgement: Judgement, source: str) -> None:
    """Each row by itself, into `judged`."""
    unread = [
        (f"t.v_{key} IS NOT NULL AND t.{key} IS NULL", f"{values.TYPES[c.target.type][2]}:{key}")
        for key, c in task.columns.items()
    ]
    reasons = [*unread, *judgement.reasons]
    is_bad = " OR ".join(f"({condition})" for condition, _ in reasons) or "false"
    words = ", ".join(f"CASE WHEN {condition} THEN '{key}' END" for condition, key in reasons)
    is_empty = " AND ".join(f"t.v_{key} IS NULL" for key in task.columns)
    extra = "".join(f", {expression} AS {name}" for name, (_, expression) in judgement.extra.items())
    given = "".join(f", t.{key}" for key in task.columns)
    is_left_out = f"({is_bad}) AND ({judgement.is_read}) AND NOT ({is_empty})"
    cursor.execute(
        f"CREATE TEMP TABLE judged ON COMMIT DROP AS SELECT t.n, (CASE WHEN {is_empty} THEN {Code.EMPTY}"
        f"   WHEN NOT ({judgement.is_read}) THEN {Code.SKIPPED} WHEN {is_bad} THEN {Code.REFUSED}"
        f"   ELSE {judgement.code} END)::smallint AS code, {judgement.who} AS who,"
        f"   CASE WHEN {is_left_out} THEN concat_ws(' ', {words}) END AS reasons{extra}{given}"
        f" FROM {judgement.wrap.format(typed=typed(task, source))} t {judgement.joins}",
        task.params,
    )


def count(cursor: Any, judgement: Judgement) -> dict[str, Any]:
    further = "".join(f", count(*) FILTER (WHERE {condition})" for condition in judgement.counts.values())
    cursor.execute(f"SELECT code, count(*){further} FROM judged GROUP BY code")
    rows = cursor.fetchall()
    found: dict[str, Any] = {NAMES[Code(code)]: n for code, n, *_ in rows}
    found["looked_at"] = sum(found.values())
    for at, name in enumerate(judgement.counts, start=2):
        found[name] = sum(row[at] for row in rows)
    found["reasons"] = {}
    if found.get("refused"):
        cursor.execute(
            "SELECT word, count(*) FROM judged, LATERAL regexp_split_to_table(reasons, ' ') word"
            f" WHERE code = {Code.REFUSED} GROUP BY word"
        )
        found["reasons"] = dict(cursor.fetchall())
    return found


def write_refused(cursor: Any, path: Path, task: Task, n_rows: int) -> None:
    """Rows that are left out with their reasons and all their cells, one per line, in the order of the file."""
    if not n_rows:
        path.write_bytes(b"")
        return
    n_columns = of_json(task.file.layout).n_columns
    cells = ", ".join(f"s.c{n + 1}" for n in range(n_columns))
    with path.open("wb") as file:
        cursor.copy_expert(
            f"COPY (SELECT j.n, j.reasons, {cells} FROM judged j JOIN stage s ON s.n = j.n"
            f" WHERE j.code IN ({Code.REFUSED}, {Code.REPEATED}) ORDER BY j.n) TO STDOUT WITH (FORMAT csv)",
            file,
        )
