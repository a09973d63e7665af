"""The plan of an import, as judge.py wrote it: one line for each row that would change something; cut into slices, and
written slice by slice."""

from math import ceil
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from django.db import connection

from contacts.services.staging import analyze
from datafiles.kinds.base import Done, Task, plan_columns
from datafiles.models import ImportFile
from datafiles.services import places

SLICE = 100_000
READ = 1 << 18
_numbering = Lock()  # of two slices read side by side each gets ids that are one range


def of_round(file: ImportFile, number: int) -> Path:
    """The plan of a round of an import; kept with the file, for the undo."""
    return places.import_folder(file) / f"plan-{number}.tsv"


def cut(path: Path) -> list[list[int]]:
    """Where the slices begin and the last one ends: [byte, rows before]. Lines of one group stay together."""
    if not path.stat().st_size:
        return [[0, 0]]
    data, ends = _lines(path)
    found, n = [[0, 0]], 0
    while n + SLICE < len(ends):
        n += SLICE
        while n < len(ends) and (group := _group(data, ends, n)) and group == _group(data, ends, n - 1):
            n += 1
        if n < len(ends):
            found.append([int(ends[n - 1]) + 1, n])
    found.append([int(ends[-1]) + 1, len(ends)])
    return found


def cut_in_two(path: Path, n_shared: int) -> tuple[list[list[int]], list[list[int]]]:
    """The same of lines without groups, for two connections: slices, and for each of the two where it begins and ends among
    them. The first `n_shared` lines are slices of the first one."""
    _data, ends = _lines(path)
    n_all = len(ends)
    middle = max(n_shared, n_all // 2)
    marks, lanes = [0], []
    for parts in (((0, n_shared), (n_shared, middle)), ((middle, n_all),)):
        begin = len(marks) - 1
        for start, stop in parts:
            n_slices = ceil((stop - start) / SLICE)
            marks += [start + (stop - start) * (k + 1) // n_slices for k in range(n_slices)]
        lanes.append([begin, len(marks) - 1])
    return [[int(ends[n - 1]) + 1 if n else 0, n] for n in marks], lanes


def _lines(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The bytes of a file, and where its lines end."""
    data = np.memmap(path, np.uint8, "r")
    ends = np.concatenate(
        [
            np.flatnonzero(data[start : start + READ * 64] == 10) + start
            for start in range(0, len(data), READ * 64)
        ]
    )
    return data, ends


def _group(data: np.ndarray, ends: np.ndarray, n: int) -> bytes:
    """The first cell of a line."""
    start = int(ends[n - 1]) + 1 if n else 0
    return bytes(data[start : min(start + 200, int(ends[n]))]).split(b"\t", 1)[0]


class Part:
    """A part of a file, as COPY reads it."""

    def __init__(self, path: Path, start: int, stop: int) -> None:
        self.file, self.left = path.open("rb"), stop - start
        self.file.seek(start)

    def read(self, size: int = READ) -> bytes:
        data = self.file.read(min(size, self.left))
        self.left -= len(data)
        return data

    def close(self) -> None:
        self.file.close()


def apply(task: Task, path: Path, start: int, stop: int) -> Done:
    """Write the rows of a part of the plan, in the caller's transaction."""
    with connection.cursor() as cursor:
        load(cursor, task, path, start, stop)
        return task.kind.apply(task, cursor)


def load(cursor: Any, task: Task, path: Path, start: int, stop: int) -> None:
    """A part of the plan into the temporary table `rows`."""
    task.params = {"brand": task.brand.pk, "file": task.file.pk, **task.kind.params(task)}
    judgement = task.kind.judge(task)
    columns: dict[str, Any] = {"plan_group": "text", **plan_columns(task, judgement)}
    # foreign keys are checked by plans that a connection keeps; one made while the tables were small may walk the brand's
    # part of an index for every row
    cursor.execute("DISCARD PLANS")
    cursor.execute("SET LOCAL work_mem = '64MB'")
    cursor.execute("SELECT current_setting('timezone')")
    zone = cursor.fetchone()[0]
    cursor.execute("SELECT set_config('timezone', %s, true)", [task.brand.timezone])
    names = ", ".join(f"{name} {kind}" for name, kind in columns.items())
    if task.kind.ids_of and not judgement.group:
        names += f", new_id bigint DEFAULT nextval('{task.kind.ids_of}_id_seq')"
    cursor.execute(f"CREATE TEMP TABLE rows ({names}) ON COMMIT DROP")
    task.kind.open(task, cursor)
    part = Part(path, start, stop)
    try:
        with _numbering:
            cursor.copy_expert(f"COPY rows ({', '.join(columns)}) FROM STDIN", part, size=READ)
    finally:
        part.close()
    # what follows reads moments into Python too (merges): the driver takes them for UTC
    cursor.execute("SELECT set_config('timezone', %s, true)", [zone])
    analyze(cursor, "rows (n, code)")
