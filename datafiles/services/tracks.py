# ruff: noqa: S608  queries of our own
"""What an import leaves behind so that it can be undone: ranges of ids that it has made, values that it has changed."""

from collections.abc import Sequence
from typing import Any

from django.db import IntegrityError, transaction

from datafiles.kinds.base import Task
from datafiles.models import ImportFile
from tenants.db.joins import joined_by_hash


def note_ranges(cursor: Any, file: ImportFile, table: str, ids: str) -> None:
    """Keep the ids that a query gives (column `id`) as ranges: one for a slice, unless others were writing at once."""
    cursor.execute(f"SELECT min(id), max(id), count(DISTINCT id) FROM ({ids}) x", [])
    low, high, n = cursor.fetchone()
    if not n:
        return
    insert = 'INSERT INTO datafiles_importrange (brand_id, file_id, "table", low, high)'
    if high - low + 1 == n:
        cursor.execute(f"{insert} VALUES (%s, %s, %s, %s, %s)", [file.brand_id, file.pk, table, low, high])
        return
    islands = f"SELECT id, id - dense_rank() OVER (ORDER BY id) AS island FROM ({ids}) x"
    cursor.execute(
        f"{insert} SELECT %s, %s, %s, min(id), max(id) FROM ({islands}) y GROUP BY island",
        [file.brand_id, file.pk, table],
    )


def note_transaction(cursor: Any, file: ImportFile, table: str) -> None:
    """Keep the number of this transaction: events carry it."""
    cursor.execute(
        'INSERT INTO datafiles_importrange (brand_id, file_id, "table", low, high)'
        " VALUES (%s, %s, %s, txid_current(), txid_current())",
        [file.brand_id, file.pk, table],
    )


def keep_before(cursor: Any, task: Task, table: str, fields: Sequence[str], ids: str) -> None:
    """Copy rows as they are before a merge into `before_merge`."""
    cursor.execute("DROP TABLE IF EXISTS pg_temp.before_merge")
    cursor.execute(
        f"CREATE TEMP TABLE before_merge ON COMMIT DROP AS SELECT b.id, {', '.join(f'b.{f}' for f in fields)}"
        f" FROM {table} b WHERE b.brand_id = (SELECT %(brand)s) AND b.id = ANY(ARRAY({ids}))",
        task.params,
    )


def note_changes(cursor: Any, task: Task, name: str, table: str, fields: Sequence[str]) -> None:
    """Keep what is different now from `before_merge`; the first change of a row by this file stands."""
    cursor.execute("SELECT count(*), coalesce(array_agg(id), '{}')::text FROM before_merge")
    n, ids = cursor.fetchone()
    if not n:
        return
    source = (
        f"before_merge b JOIN {table} a ON a.id = b.id WHERE a.brand_id = (SELECT %(brand)s)"
        f" AND a.id = ANY(%(ids)s::bigint[]) AND ({_row('a', fields)}) IS DISTINCT FROM ({_row('b', fields)})"
    )
    with joined_by_hash(cursor, n):
        _note(cursor, task, name, source, fields, ids)


def note_kept(cursor: Any, task: Task, name: str, table: str, fields: Sequence[str]) -> None:
    """The same of a merge that has kept it all: `table` has each field twice, `old_…` before and without it after."""
    sides = (
        f"LATERAL (SELECT {', '.join(f'k.{prefix}{f} AS {f}' for f in fields)}) {alias}"
        for alias, prefix in (("b", "old_"), ("a", ""))
    )
    _note(
        cursor, task, name, f"(SELECT * FROM {table} ORDER BY id) k, {', '.join(sides)}", fields, id_="k.id"
    )


def _note(
    cursor: Any, task: Task, name: str, source: str, fields: Sequence[str], ids: str = "", id_: str = "b.id"
) -> None:
    """Changes of rows with the fields before, `b`, and after, `a`."""
    write_changes(
        cursor,
        f"SELECT %(brand)s, %(file)s, %(name)s, {id_}, {_differences(fields, 'b')}, {_differences(fields, 'a')}"
        f" FROM {source}",
        {**task.params, "file": task.file.pk, "name": name, "ids": ids},
    )


def write_changes(cursor: Any, query: str, params: dict[str, Any]) -> None:
    """Keep what a query gives: brand, file, table, id, before, after. The first change of a row by this file stands; mostly
    it is the only one, and looking before each costs a third of the whole."""
    insert = (
        'INSERT INTO datafiles_importchange AS w (brand_id, file_id, "table", object_id, before, after)'
        f" {query}"
    )
    try:
        with transaction.atomic():
            cursor.execute(insert, params)
    except IntegrityError:
        cursor.execute(
            f'{insert} ON CONFLICT (brand_id, file_id, "table", object_id) DO UPDATE'
            " SET before = excluded.before || w.before, after = w.after || excluded.after",
            params,
        )


def _differences(fields: Sequence[str], side: str) -> str:
    """The fields that differ as jsonb. Few do: most are passed over four at a time."""
    parts = []
    for some in _batched(fields, 4):
        each = " || ".join(
            f"CASE WHEN a.{f} IS DISTINCT FROM b.{f} THEN jsonb_build_object('{f}', {side}.{f}) ELSE '{{}}' END"
            for f in some
        )
        parts.append(
            f"CASE WHEN ({_row('a', some)}) IS DISTINCT FROM ({_row('b', some)}) THEN {each} ELSE '{{}}' END"
        )
    return " || ".join(parts)


def _row(alias: str, fields: Sequence[str]) -> str:
    return f"ROW({', '.join(f'{alias}.{f}' for f in fields)})"


def _batched(items: Sequence[str], size: int) -> list[Sequence[str]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
