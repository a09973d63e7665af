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
