"""SQL of row-level security and of month partitions; used by the schema editor and by `manage.py partitions`."""

from datetime import UTC, datetime
from typing import Any

POLICY = "brand_id = nullif(current_setting('app.brand_id', true), '')::bigint"


def protect(table: str) -> list[str]:
    """Statements that switch row-level security on. ENABLE, never FORCE: FORCE breaks shard moves on Citus."""
    return [
        f'ALTER TABLE "{table}" ENABLE ROW LEVEL SECURITY',
        f'CREATE POLICY brand_isolation ON "{table}" USING ({POLICY}) WITH CHECK ({POLICY})',
    ]


def partition(table: str, name: str, bounds: str) -> list[str]:
    """A child with the policy and no grants of its own: read directly, a child would not ask its parent's policy."""
    return [
        f'CREATE TABLE "{name}" PARTITION OF "{table}" {bounds}',
        *protect(name),
        f'REVOKE ALL ON "{name}" FROM app_rw, app_ops',
    ]


def month_bounds(first: datetime) -> tuple[str, str]:
    """Name suffix and FOR VALUES clause of the month that begins at `first` (UTC)."""
    after = datetime(first.year + first.month // 12, first.month % 12 + 1, 1, tzinfo=UTC)
    return f"{first:%Y%m}", f"FOR VALUES FROM ('{first:%Y-%m-%d} 00:00+00') TO ('{after:%Y-%m-%d} 00:00+00')"


def months(start: datetime, n: int) -> list[datetime]:
    """The first moments of n months, the one that holds `start` first."""
    index = start.year * 12 + start.month - 1
    return [datetime(i // 12, i % 12 + 1, 1, tzinfo=UTC) for i in range(index, index + n)]


def existing_partitions(cursor: Any, table: str) -> set[str]:
    cursor.execute(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
        " WHERE i.inhparent = %s::regclass",
        [f'"{table}"'],
    )
    return {row[0] for row in cursor.fetchall()}


def months_of_default(cursor: Any, table: str, column: str) -> dict[datetime, int]:
    """Months of which the default partition has rows, and how many."""
    cursor.execute(
        f"SELECT date_trunc('month', \"{column}\", 'UTC'), count(*) FROM \"{table}_default\" GROUP BY 1"  # noqa: S608
    )
    return dict(cursor.fetchall())


def make_month(cursor: Any, table: str, column: str, month: datetime, *, has_rows: bool) -> None:
    """One month's partition, in the caller's transaction; what the default partition has of it moves over first,
    because Postgres refuses a partition whose rows lie in the default one."""
    suffix, bounds = month_bounds(month)
    name = f"{table}_{suffix}"
    if not has_rows:
        for statement in partition(table, name, bounds):
            cursor.execute(statement)
        return
    after = months(month, 2)[1]
    cursor.execute("SET LOCAL lock_timeout = '30s'")
    cursor.execute(f'LOCK TABLE "{table}" IN SHARE UPDATE EXCLUSIVE MODE')
    cursor.execute(f'LOCK TABLE "{table}_default" IN ACCESS EXCLUSIVE MODE')
    cursor.execute(f'CREATE TABLE "{name}" (LIKE "{table}" INCLUDING DEFAULTS INCLUDING CONSTRAINTS)')
    cursor.execute(
        f'WITH gone AS (DELETE FROM "{table}_default" WHERE "{column}" >= %s AND "{column}" < %s RETURNING *)'  # noqa: S608
        f' INSERT INTO "{name}" SELECT * FROM gone',
        [month, after],
    )
    for statement in [*protect(name), f'REVOKE ALL ON "{name}" FROM app_rw, app_ops']:
        cursor.execute(statement)
    cursor.execute(f'ALTER TABLE "{table}" ATTACH PARTITION "{name}" {bounds}')
