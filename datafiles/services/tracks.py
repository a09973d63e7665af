# ruff: noqa: S608  queries of our own
"""What an import leaves behind so that it can be undone: ranges of ids that it has made, values that it has changed."""

from collections.abc import Sequence
from typing import Any

from datafiles.kinds.base import Task
from datafiles.models import ImportFile
from tenants.db.joins import joined_by_hash


def note_ranges(cursor: Any, file: ImportFile, table: str, ids: str) -> None:
    """Keep the ids that a query gives (column `id`) as ranges: one for a slice, unless others were writing at once."""
    islands = f"SELECT id, id - row_number() OVER (ORDER BY id) AS island FROM ({ids}) x"
    cursor.execute(
        'INSERT INTO datafiles_importrange (brand_id, file_id, "table", low, high)'
        f" SELECT %s, %s, %s, min(id), max(id) FROM ({islands}) y GROUP BY island",
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
        f" FROM {table} b WHERE b.brand_id = %(brand)s AND b.id IN ({ids})",
        task.params,
    )


def note_changes(cursor: Any, task: Task, name: str, table: str, fields: Sequence[str]) -> None:
    """Keep what is different now from `before_merge`; the first change of a row by this file stands."""
    cursor.execute("SELECT count(*), coalesce(array_agg(id), '{}')::text FROM before_merge")
    n, ids = cursor.fetchone()
    if not n:
        return
    with joined_by_hash(cursor, n):
        cursor.execute(
            f"""
            INSERT INTO datafiles_importchange AS w (brand_id, file_id, "table", object_id, before, after)
            SELECT %(brand)s, %(file)s, %(name)s, b.id, {_differences(fields, "b")}, {_differences(fields, "a")}
              FROM before_merge b JOIN {table} a ON a.id = b.id
             WHERE a.brand_id = %(brand)s AND a.id = ANY(%(ids)s::bigint[])
               AND ({_row("a", fields)}) IS DISTINCT FROM ({_row("b", fields)})
            ON CONFLICT (brand_id, file_id, "table", object_id) DO UPDATE
               SET before = excluded.before || w.before, after = w.after || excluded.after
            """,
            {**task.params, "file": task.file.pk, "name": name, "ids": ids},
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
