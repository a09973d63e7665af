"""What Postgres believes about tables, after much was written for one brand.

A brand that was empty when statistics were last taken counts as one row, however large it is now, and any index that
begins with the brand looks as good as the right one: a look-up by it goes through the whole brand. Autovacuum takes new
statistics when a tenth of a table has changed, and in a table of many brands that may be never.
"""

import json
from collections.abc import Sequence

from django.conf import settings
from django.db import connection, connections, transaction

from tenants.models import Brand


def has_owner() -> bool:
    """Whether this process was given the address of the tables' owner; without it Postgres would only warn."""
    return settings.DATABASES["owner"]["USER"] != settings.DATABASES["default"]["USER"]


def refresh(brand: Brand, tables: Sequence[str], n_rows: int) -> bool:
    """Take new statistics, as the owner of the tables, if Postgres believes that the brand has less than half of `n_rows`
    rows in one of them. Outside of transactions. Gives whether it was done."""
    if not has_owner():
        return False
    with transaction.atomic():
        if not any(is_surprised(brand, table, n_rows) for table in tables):
            return False
    with connections["owner"].cursor() as cursor:
        cursor.execute(f"ANALYZE {', '.join(map(connection.ops.quote_name, tables))}")
    return True


def is_surprised(brand: Brand, table: str, n_rows: int) -> bool:
    """Whether Postgres believes that the brand has less than half of `n_rows` rows in a table. In the caller's
    transaction."""
    return _believed(brand, table) < n_rows / 2


def believes(brand: Brand, table: str, n_rows: int) -> bool:
    """Whether Postgres believes that the brand has `n_rows` rows or more in a table, so that it looks a part of them up by
    their keys rather than read all. In the caller's transaction."""
    return _believed(brand, table) >= n_rows


def _believed(brand: Brand, table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            f"EXPLAIN (FORMAT JSON) SELECT 1 FROM {connection.ops.quote_name(table)} WHERE brand_id = %s",  # noqa: S608
            [brand.pk],
        )
        plan = cursor.fetchone()[0]
    return int((plan if isinstance(plan, list) else json.loads(plan))[0]["Plan"]["Plan Rows"])
