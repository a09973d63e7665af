# ruff: noqa: S608  queries of our own
"""What an import leaves behind so that it can be undone: ranges of ids that it has made."""

from typing import Any

from datafiles.models import ImportFile


def note_ranges(cursor: Any, file: ImportFile, table: str, ids: str) -> None:
    """Keep the ids that a query gives (column `id`) as ranges: one for a slice, unless others were writing at once."""
    cursor.execute(
        'INSERT INTO datafiles_importrange (brand_id, file_id, "table", low, high)'
        " SELECT %s, %s, %s, min(id), max(id) FROM"
        f" (SELECT id, id - row_number() OVER (ORDER BY id) AS island FROM ({ids}) x) y GROUP BY island",
        [file.brand_id, file.pk, table],
    )
