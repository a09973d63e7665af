# ruff: noqa: S608  statements are put together from our own tables of targets; texts of files are never part of them
"""The rows of a file as texts in the temporary table `stage`, and which of them have to be looked at.

Most files say each night what was known the day before. Where enough is known, all rows are compared quickly first, character
for character (`quick` of the kind); only those that differ are read and judged. One connection keeps one processor busy, so
a large file is compared by two side by side, each with half of its rows. The second one only reads.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from io import BytesIO
from threading import Event
from typing import Any

from django.db import connection, transaction

from contacts.services.staging import analyze
from datafiles import values
from datafiles.blocks import Prepared
from datafiles.kinds.base import Task
from datafiles.layout import of_json
from datafiles.services.plans import READ, Part
from tenants.db.joins import joined_by_hash

SMALL_SHARE = 4  # up to a quarter of the rows the changed ones are looked at alone
SAMPLE = 500  # rows of a large file by which it is guessed how many have changed
KNOWN_SHARE = 4  # with fewer known ones than a quarter of the rows, all rows are looked at
HALVES_FROM = 50_000  # rows; fewer are compared by one connection
MEMORY, MEMORY_OF_HALF = "128MB", "64MB"
ALL, NOTHING = "stage s", "stage s JOIN odd o ON o.n = s.n"  # behind FROM; in the second `odd` is empty


@contextmanager
def comparing(cursor: Any, task: Task, memory: str = MEMORY) -> Iterator[None]:
    """Settings of a transaction that compares. Whole tables are joined: statistics may be those of a brand that was empty an
    hour ago, with which Postgres would compare every row of the file with every contact."""
    with joined_by_hash(cursor, work_mem=memory, merging=False):
        cursor.execute("SELECT set_config('timezone', %s, true)", [task.brand.timezone])
        yield


def is_whole(cursor: Any, task: Task, prepared: Prepared) -> bool:
    """Whether all rows have to be looked at, as far as can be said before they are read: by some lines of a large file."""
    n_rows = prepared.n_records - of_json(task.file.layout).first_row + 1
    if not task.kind.quick(task) or not _is_known(cursor, task, n_rows):
        return True
    if not prepared.is_tidy or n_rows < HALVES_FROM:
        return False
    begin(cursor, task, 1, "glance")
    return _most_differ(cursor, task, _copy_some(cursor, task, prepared, *span(task, prepared)))


def fill(cursor: Any, task: Task, prepared: Prepared, *, whole: bool) -> str:
    """Fill `stage`; gives the rows that have to be looked at, as SQL behind FROM with the alias `s`. Where that is not ALL, the
    table may hold a part of the file.

    Args:
        whole: what `is_whole` says.
    """
    first_row = of_json(task.file.layout).first_row
    n_rows = prepared.n_records - first_row + 1
    start, stop = span(task, prepared)
    begin(cursor, task, first_row if prepared.is_tidy else 1)
    if whole:
        copy(cursor, task, prepared, start, stop)
        return _without_headings(cursor, prepared, first_row)
    quick = task.kind.quick(task)
    if prepared.is_tidy and n_rows >= HALVES_FROM:
        return _by_halves(cursor, task, prepared, quick, n_rows, start, stop)
    copy(cursor, task, prepared, start, stop)
    _without_headings(cursor, prepared, first_row)
    if n_rows > 20 * SAMPLE:
        cursor.execute(
            f"CREATE TEMP TABLE glance ON COMMIT DROP AS SELECT s.* FROM stage s WHERE s.n % {n_rows // SAMPLE | 1} = 0"
        )
        if _most_differ(cursor, task, cursor.rowcount):
            return ALL
    return _odd(cursor, task) if _find_odd(cursor, task, quick, n_rows) else ALL


def span(task: Task, prepared: Prepared) -> tuple[int, int]:
    """First and last byte of what is copied."""
    return _behind_headings(prepared, of_json(task.file.layout).first_row), prepared.path.stat().st_size


def _by_halves(
    cursor: Any, task: Task, prepared: Prepared, quick: str, n_rows: int, start: int, stop: int
) -> str:
    middle = middle_of(prepared, start, stop)
    is_vain = Event()
    with ThreadPoolExecutor(1, thread_name_prefix="compare") as helper:
        other: Future[str | None] = helper.submit(
            copy_context().run, _other_half, task, prepared, quick, (middle, stop), is_vain
        )
        n_first = copy(cursor, task, prepared, start, middle)
        if not (is_found := _find_odd(cursor, task, quick, n_first)):
            is_vain.set()
        later = other.result()
    if is_found and later == "{}" and not _is_odd(cursor):
        return NOTHING
    copy(cursor, task, prepared, middle, stop)
    if not is_found or later is None:
        return ALL
    offset = of_json(task.file.layout).first_row - 1 + n_first
    cursor.execute("INSERT INTO odd SELECT x.n + %s FROM unnest(%s::int[]) x(n)", [offset, later])
    return _odd(cursor, task)


def _other_half(
    task: Task, prepared: Prepared, quick: str, span: tuple[int, int], is_vain: Event
) -> str | None:
    """Rows that differ, numbered from 1, as an array; None where they are too many or nobody wants to know any more."""
    try:
        with (
            transaction.atomic(),
            connection.cursor() as cursor,
            comparing(cursor, task, MEMORY_OF_HALF),
        ):
            begin(cursor, task, 1)
            n_rows = copy(cursor, task, prepared, *span)
            if is_vain.is_set() or not _find_odd(cursor, task, quick, n_rows):
                return None
            cursor.execute("SELECT coalesce(array_agg(n), '{}')::text FROM odd")
            found: str = cursor.fetchone()[0]
            return found
    finally:
        connection.close()  # of this thread


# ---- the table


def begin(cursor: Any, task: Task, first: int, name: str = "stage") -> None:
    cells = ", ".join(f"c{n + 1} text" for n in range(of_json(task.file.layout).n_columns))
    cursor.execute(
        f"CREATE TEMP TABLE {name} (n integer GENERATED BY DEFAULT AS IDENTITY (START WITH {first}), {cells})"
        " ON COMMIT DROP"
    )


def copy(cursor: Any, task: Task, prepared: Prepared, start: int, stop: int) -> int:
    """COPY a part of the regular file behind the rows that are there; gives how many it has."""
    part = Part(prepared.path, start, stop)
    try:
        return _read(cursor, task, prepared, part, "stage")
    finally:
        part.close()


def _copy_some(cursor: Any, task: Task, prepared: Prepared, start: int, stop: int) -> int:
    """Lines here and there into `glance`; gives how many."""
    lines = {}
    with prepared.path.open("rb") as file:
        for k in range(SAMPLE):
            file.seek(start + (stop - start) * k // SAMPLE)
            if k:
                file.readline()
            if (at := file.tell()) < stop:
                lines[at] = file.readline().rstrip(b"\r\n")
    return _read(cursor, task, prepared, BytesIO(b"\n".join(lines.values()) + b"\n"), "glance")


def _read(cursor: Any, task: Task, prepared: Prepared, lines: Any, table: str) -> int:
    names = ", ".join(f"c{n + 1}" for n in range(of_json(task.file.layout).n_columns))
    how = f"WITH (FORMAT csv, DELIMITER {values.quote(prepared.separator)}, ENCODING 'UTF8')"
    cursor.copy_expert(f"COPY {table} ({names}) FROM STDIN {how}", lines, size=READ)
    n: int = cursor.rowcount
    analyze(cursor, f"{table} (n)")
    return n


def _behind_headings(prepared: Prepared, first_row: int) -> int:
    """The first byte to copy. Of a tidy file, which has no quotes, each line is a record; of others the headings are copied."""
    if not prepared.is_tidy:
        return prepared.skip
    with prepared.path.open("rb") as file:
        file.seek(prepared.skip)
        for _ in range(first_row - 1):
            file.readline()
        return file.tell()


def _without_headings(cursor: Any, prepared: Prepared, first_row: int) -> str:
    if not prepared.is_tidy:
        cursor.execute("DELETE FROM stage WHERE n < %s", [first_row])
    return ALL


def middle_of(prepared: Prepared, start: int, stop: int) -> int:
    """Where a line begins near the middle."""
    with prepared.path.open("rb") as file:
        file.seek(start + (stop - start) // 2)
        file.readline()
        return file.tell()


# ---- what differs


def _is_known(cursor: Any, task: Task, n_rows: int) -> bool:
    enough = n_rows // KNOWN_SHARE + 1
    cursor.execute(f"SELECT count(*) FROM ({task.kind.known(task)} LIMIT {enough}) x", task.params)
    return bool(cursor.fetchone()[0] >= enough)


def _most_differ(cursor: Any, task: Task, n_some: int) -> bool:
    """Whether so many of the rows in `glance` have changed that comparing all of them quickly would be in vain."""
    analyze(cursor, "glance")
    cursor.execute(f"SELECT count(*) FROM ({task.kind.quick(task, 'glance')}) x", task.params)
    return bool(cursor.fetchone()[0] > n_some // SMALL_SHARE)


def _find_odd(cursor: Any, task: Task, quick: str, n_rows: int) -> bool:
    """Put what differs into `odd`; gives whether that is a small part."""
    cursor.execute(f"CREATE TEMP TABLE odd ON COMMIT DROP AS {quick}", task.params)
    return bool(cursor.rowcount <= n_rows // SMALL_SHARE)


def _odd(cursor: Any, task: Task) -> str:
    if not _is_odd(cursor):
        return NOTHING
    if kin := task.kind.kin(task):
        # another row about the same person may say something else
        cursor.execute("ANALYZE odd")
        cursor.execute(f"INSERT INTO odd {kin}", task.params)
    return "stage s JOIN (SELECT DISTINCT n FROM odd) o ON o.n = s.n"


def _is_odd(cursor: Any) -> bool:
    cursor.execute("SELECT EXISTS (SELECT 1 FROM odd)")
    return bool(cursor.fetchone()[0])
