"""Temporary tables through which many rows are told at once: filled by COPY (files) or from dicts (API, pages), merged
by set-based statements. They live until the end of the transaction."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from psycopg2.extras import Json, execute_values

from tenants.models import Brand


def open_table(cursor: Any, name: str, columns: Mapping[str, str]) -> None:
    """Make a table, empty, in the caller's transaction; safe to call again in the same one."""
    drop(cursor, name)
    cursor.execute(
        f"CREATE TEMP TABLE {name} ({', '.join(f'{c} {kind}' for c, kind in columns.items())}) ON COMMIT DROP"
    )


def drop(cursor: Any, *names: str) -> None:
    for name in names:
        cursor.execute(f"DROP TABLE IF EXISTS pg_temp.{name}")


def fill(cursor: Any, name: str, columns: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Rows as dicts by column; what a row does not have is NULL: not told."""
    columns = list(columns)
    values: Sequence[tuple] = [tuple(_plain(row.get(column)) for column in columns) for row in rows]
    if values:
        statement = f"INSERT INTO {name} ({', '.join(columns)}) VALUES %s"  # noqa: S608
        # psycopg2's own cursor is inside Django's wrapper
        execute_values(getattr(cursor, "cursor", cursor), statement, values, page_size=1000)


def _plain(value: Any) -> Any:
    return Json(value) if isinstance(value, dict) else value


def analyze(cursor: Any, *names: str) -> None:
    """Tell the planner how much is in the tables: it takes a temporary table for a small one, and loops. Autovacuum
    does not see them. How many rows there are is what matters: three thousand of them are looked at."""
    cursor.execute(f"SET LOCAL default_statistics_target = 10; ANALYZE {', '.join(names)}")


def numbers(ids: Iterable[int | None]) -> str:
    """Many ids for `%(ids)s::bigint[]`, as one text: ARRAY[1, 2, …] is read number by number, in ten times as long."""
    return f"{{{','.join(map(str, ids)).replace('None', 'NULL')}}}"


def open_results(cursor: Any, kind: str) -> None:
    """Make `<kind>_bad(n, reason)` for rows that are refused and `<kind>_result(n, id, is_new, reason)` for those that
    are new or change something (`reason`: a remark, may be empty)."""
    open_table(cursor, f"{kind}_bad", {"n": "integer", "reason": "text"})
    open_table(
        cursor, f"{kind}_result", {"n": "integer", "id": "bigint", "is_new": "boolean", "reason": "text"}
    )


# the scope of an identity as it was told; an external_userid is valid in one corp, which need not be told where the
# brand has only one (`corpid`: own_corpid)
SCOPE = "coalesce(nullif(s.buyer_scope, ''), CASE WHEN s.buyer_kind = 'external_userid' THEN %(corpid)s ELSE '' END)"


def own_corpid(cursor: Any, brand: Brand) -> str:
    """The brand's corp, if it has exactly one; else empty."""
    cursor.execute("SELECT min(corpid) FROM org_corp WHERE brand_id = %s HAVING count(*) = 1", [brand.pk])
    row = cursor.fetchone()
    return row[0] if row else ""
