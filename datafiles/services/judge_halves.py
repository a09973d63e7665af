# ruff: noqa: S608  statements are put together from our own tables of targets; texts of files are never part of them
"""A large file of which all rows have to be looked at, judged by two connections, each with half of its rows.

Rows are judged each by itself (`Judgement.named`). What hangs on others both halves find out alike, from what they tell each
other: of rows about the same the last one counts, and rows that name the same id of nobody are written one after the
other. They tell numbers made of texts; only where a number is there twice the texts are looked at. The second connection only
reads.
"""

import shutil
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from threading import Barrier, BrokenBarrierError
from typing import Any

import numpy as np
from django.db import connection, transaction

from contacts.services.staging import numbers
from datafiles.blocks import Prepared
from datafiles.kinds.base import PLANNED, Code, Judgement, Task, plan_columns
from datafiles.layout import of_json
from datafiles.services import judged, stage

HALVES_FROM = 100_000  # rows
MAX_TWICE = 20_000  # numbers that are there twice; with more of them one connection judges the file
WAIT_S = 1800  # of one half for the other
_COUNTED = ", ".join(str(int(code)) for code in (Code.SAME, *PLANNED))
_HEAD, _ROW = (
    19,
    np.dtype([("cells", ">i2"), ("size", ">i4"), ("value", ">i8")]),
)  # COPY in binary, of one bigint
WRITTEN = (Code.NEW, Code.CHANGED)


class Pair:
    """Two threads that tell each other something, in turns."""

    def __init__(self) -> None:
        self._meet, self._told = Barrier(2), [[], []]  # type: ignore[var-annotated]

    def tell(self, side: int, value: Any) -> Any:
        """Gives what the other side tells; raises BrokenBarrierError if it has ended."""
        self._told[side].append(value)
        self._meet.wait(WAIT_S)
        return self._told[1 - side][len(self._told[side]) - 1]

    def end(self) -> None:
        self._meet.abort()


def judge(
    cursor: Any, task: Task, prepared: Prepared, judgement: Judgement, folder: Path
) -> dict[str, Any] | None:
    """Counts as judge.py gives them, with `plan.tsv` and `refused.tsv` in the folder. None where one connection has to do it
    after all; nothing is left of it then."""
    first, (start, stop) = of_json(task.file.layout).first_row, stage.span(task, prepared)
    middle = stage.middle_of(prepared, start, stop)
    second = first + _count_lines(prepared.path, start, middle)
    pair = Pair()
    with ThreadPoolExecutor(1, thread_name_prefix="judge") as helper:
        other = helper.submit(
            copy_context().run, _other, pair, task, prepared, judgement, folder, (middle, stop), second
        )
        try:
            mine = _half(cursor, 0, pair, task, prepared, judgement, folder, (start, middle), first)
        except BrokenBarrierError:
            other.result()  # raises what has ended the other one
            raise
        except BaseException:
            pair.end()
            raise
        theirs = other.result()
    if mine is None or theirs is None:
        cursor.execute("DROP TABLE IF EXISTS pg_temp.stage, pg_temp.judged")
        return None
    counts, lines = mine
    reasons = _sum(counts.pop("reasons"), theirs[0].pop("reasons"))
    counts = _sum(counts, theirs[0]) | {"reasons": reasons}
    n_shared = _put_together(cursor, task, judgement, lines + theirs[1], folder / "half-shared")
    parts = ["shared", *(f"{half}-{code.value}" for code in WRITTEN for half in (1, 2))]
    _join(folder, "plan.tsv", parts)
    _join(folder, "refused.tsv", ["1-refused", "2-refused"])
    return counts | {
        "planned": sum(counts.get(judged.NAMES[code], 0) for code in WRITTEN),
        "shared": n_shared,
    }


def _other(pair: Pair, task: Task, prepared: Prepared, judgement: Judgement, *args: Any) -> Any:
    own = replace(task)
    try:
        with (
            transaction.atomic(),
            connection.cursor() as cursor,
            stage.comparing(cursor, own, stage.MEMORY_OF_HALF),
        ):
            own.kind.open(own, cursor)
            return _half(cursor, 1, pair, own, prepared, judgement, *args)
    except BaseException:
        pair.end()
        raise
    finally:
        connection.close()  # of this thread


def _half(
    cursor: Any, side: int, pair: Pair, task: Task, prepared: Prepared, judgement: Judgement, folder: Path,
    span: tuple[int, int], first: int,
) -> tuple[dict[str, Any], bytes] | None:  # fmt: skip
    """Judge rows of a part of the file, numbered from `first` on; its counts, and the rows that are shared, as lines of a
    plan."""
    stage.begin(cursor, task, first)
    stage.copy(cursor, task, prepared, *span)
    judged.rows(cursor, task, judgement, stage.ALL)
    cursor.execute(f"SELECT EXISTS (SELECT 1 FROM judged WHERE code = {Code.JOIN})")
    has_joined = cursor.fetchone()[0]
    who = _hashes(
        cursor,
        f"SELECT hashtextextended(who, 0) FROM judged WHERE code IN ({_COUNTED}) AND who IS NOT NULL",
    )
    ids = _hashes(cursor, f"SELECT h FROM ({judgement.named}) x") if judgement.named else who[:0]
    other = pair.tell(side, (has_joined, who, ids))
    twice, shared = _twice(who, other[1]), _twice(ids, other[2])
    if has_joined or other[0] or max(len(twice), len(shared)) > MAX_TWICE:
        return None
    if len(twice):
        mine = _named_twice(cursor, twice)
        _note_repeated(cursor, judgement, mine, [*mine, *pair.tell(side, mine)])
    counts = judged.count(cursor, judgement)
    n_left_out = counts.get("refused", 0) + counts.get("repeated", 0)
    judged.write_refused(cursor, folder / f"half-{side + 1}-refused", task, n_left_out)
    aside = "false"
    if len(shared):
        cursor.execute(
            f"CREATE TEMP TABLE shared ON COMMIT DROP AS SELECT DISTINCT n FROM ({judgement.named}) x"
            " WHERE h = ANY(%s::bigint[])",
            [numbers(shared.tolist())],
        )
        aside = "n IN (SELECT n FROM shared)"
    columns = plan_columns(task, judgement)
    for code in WRITTEN:
        order = (judgement.order_of_new if code == Code.NEW else "") or judgement.order or "n"
        with (folder / f"half-{side + 1}-{code.value}").open("wb") as file:
            _plan(cursor, columns, f"judged WHERE code = {code} AND NOT ({aside}) ORDER BY {order}", file)
    lines = BytesIO()
    if len(shared):
        codes = ", ".join(str(int(code)) for code in WRITTEN)
        _plan(cursor, columns, f"judged WHERE code IN ({codes}) AND {aside}", lines)
    return counts, lines.getvalue()


def _sum(one: dict[str, int], two: dict[str, int]) -> dict[str, Any]:
    return {name: one.get(name, 0) + two.get(name, 0) for name in one | two}


def _count_lines(path: Path, start: int, stop: int) -> int:
    n = 0
    with path.open("rb") as file:
        file.seek(start)
        while start < stop and (data := file.read(min(1 << 22, stop - start))):
            n, start = n + data.count(b"\n"), start + len(data)
    return n


def _hashes(cursor: Any, query: str) -> np.ndarray:
    out = BytesIO()
    cursor.copy_expert(f"COPY ({query}) TO STDOUT (FORMAT binary)", out)
    return np.frombuffer(out.getbuffer()[_HEAD:-2], _ROW)["value"].astype(np.int64)


def _twice(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Numbers that are there twice."""
    all_of_them = np.sort(np.concatenate([one, two]))
    return np.unique(all_of_them[1:][all_of_them[1:] == all_of_them[:-1]])


def _named_twice(cursor: Any, twice: np.ndarray) -> list[tuple[str, int]]:
    cursor.execute(
        f"SELECT who, n FROM judged WHERE code IN ({_COUNTED}) AND hashtextextended(who, 0) = ANY(%s::bigint[])",
        [numbers(twice.tolist())],
    )
    found: list[tuple[str, int]] = cursor.fetchall()
    return found


def _note_repeated(
    cursor: Any, judgement: Judgement, mine: list[tuple[str, int]], all_of_them: list[tuple[str, int]]
) -> None:
    """Of rows about the same the last one counts."""
    last: dict[str, int] = {}
    for who, n in all_of_them:
        last[who] = max(n, last.get(who, 0))
    repeated = {n: last[who] for who, n in mine if n < last[who]}
    code = Code.SAME if judgement.same_is_fine else Code.REPEATED
    cursor.execute(
        f"UPDATE judged j SET code = {code}, reasons = 'repeated:' || x.last"
        " FROM unnest(%s::int[], %s::int[]) x(n, last) WHERE j.n = x.n",
        [numbers(repeated), numbers(repeated.values())],
    )


def _plan(cursor: Any, columns: dict[str, str], rows: str, file: Any) -> int:
    cursor.copy_expert(f"COPY (SELECT '', {', '.join(columns)} FROM {rows}) TO STDOUT", file)
    n: int = cursor.rowcount
    return n


def _put_together(cursor: Any, task: Task, judgement: Judgement, lines: bytes, path: Path) -> int:
    """Shared rows of both halves in the order of a plan; gives how many."""
    with path.open("wb") as file:
        if not lines:
            return 0
        columns = plan_columns(task, judgement)
        names = ", ".join(f"{name} {kind}" for name, kind in columns.items())
        cursor.execute(f"CREATE TEMP TABLE together (plan_group text, {names}) ON COMMIT DROP")
        cursor.copy_expert(f"COPY together (plan_group, {', '.join(columns)}) FROM STDIN", BytesIO(lines))
        order = ", ".join(part for part in ("code", judgement.order, "n") if part)
        return _plan(cursor, columns, f"together ORDER BY {order}", file)


def _join(folder: Path, name: str, parts: list[str]) -> None:
    with (folder / name).open("wb") as out:
        for part in parts:
            path = folder / f"half-{part}"
            with path.open("rb") as file:
                shutil.copyfileobj(file, out, 1 << 20)
            path.unlink()
