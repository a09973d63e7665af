# ruff: noqa: S608  queries of our own
"""What an import leaves behind so that it can be undone: ranges of ids that it has made, values that it has changed."""

from collections.abc import Sequence
from typing import Any

from datafiles.kinds.base import Task
from datafiles.models import ImportFile


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
    cursor.execute("ANALYZE before_merge (id)")
    sides = []
    for prefix in ("b", "a"):
        sides.append(
            " || ".join(
                f"CASE WHEN a.{f} IS DISTINCT FROM b.{f} THEN jsonb_build_object('{f}', {prefix}.{f}) ELSE '{{}}' END"
                for f in fields
            )
        )
    cursor.execute(
        f"""
        INSERT INTO datafiles_importchange AS w (brand_id, file_id, "table", object_id, before, after)
        SELECT %(brand)s, %(file)s, %(name)s, id, before, after FROM (
            SELECT b.id, {sides[0]} AS before, {sides[1]} AS after FROM before_merge b CROSS JOIN LATERAL (
                SELECT * FROM {table} a WHERE a.brand_id = %(brand)s AND a.id = b.id OFFSET 0) a) y
         WHERE after <> '{{}}'
        ON CONFLICT (brand_id, file_id, "table", object_id) DO UPDATE
           SET before = excluded.before || w.before, after = w.after || excluded.after
        """,
        {**task.params, "file": task.file.pk, "name": name},
    )
