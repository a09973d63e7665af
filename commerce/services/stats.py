"""The sums of orders in ContactStat, kept in the transaction that changes an order."""

from collections.abc import Iterable
from typing import Any

from django.db import connection

from contacts.services import stats
from contacts.services.staging import numbers
from tenants.db.joins import joined_by_hash
from tenants.models import Brand

# gives how many there are
LOCK = """
    WITH held AS MATERIALIZED (
        SELECT contact_id FROM contacts_contactstat WHERE brand_id = (SELECT %(brand)s) AND contact_id = ANY(%(ids)s::bigint[])
         ORDER BY contact_id FOR NO KEY UPDATE)
    SELECT count(*) FROM held
"""
MISSING = """
    SELECT i.id FROM unnest(%(ids)s::bigint[]) i(id) WHERE NOT EXISTS (
        SELECT 1 FROM contacts_contactstat t WHERE t.brand_id = (SELECT %(brand)s) AND t.contact_id = i.id)
"""
# both tables are read by all ids at once, each by its index of customers
SUM = """
    WITH sums AS MATERIALIZED (
        SELECT o.contact_id, count(*)::int AS n_orders, sum(o.amount_fen - o.refunded_fen)::bigint AS spent_fen,
               min(o.paid_at) AS first_at, max(o.paid_at) AS last_at
          FROM commerce_order o
         WHERE o.brand_id = (SELECT %(brand)s) AND o.contact_id = ANY(%(ids)s::bigint[]) AND o.is_sale
         GROUP BY o.contact_id
    )
    UPDATE contacts_contactstat t
       SET n_orders = coalesce(x.n_orders, 0), spent_fen = coalesce(x.spent_fen, 0), first_order_at = x.first_at,
           last_order_at = x.last_at
      FROM unnest(%(ids)s::bigint[]) c(id) LEFT JOIN sums x ON x.contact_id = c.id
     WHERE t.brand_id = (SELECT %(brand)s) AND t.contact_id = ANY(%(ids)s::bigint[]) AND t.contact_id = c.id
       AND (t.n_orders, t.spent_fen, t.first_order_at, t.last_order_at)
           IS DISTINCT FROM (coalesce(x.n_orders, 0), coalesce(x.spent_fen, 0), x.first_at, x.last_at)
"""


def refresh(brand: Brand, contact_ids: Iterable[int]) -> int:
    """Add up the orders of some contacts anew, in the caller's transaction; gives how many rows changed. An order
    counts while `is_sale`; money is net of refunds."""
    ids = set(contact_ids)
    with connection.cursor() as cursor:
        return _refresh(cursor, brand, len(ids), numbers(sorted(ids))) if ids else 0


def refresh_found(brand: Brand, query: str) -> int:
    """The same of those whose ids a query gives: a hundred thousand of them need not be seen here."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*), array_agg(id ORDER BY id)::text FROM ({query}) found(id)")  # noqa: S608
        n, ids = cursor.fetchone()
        return _refresh(cursor, brand, n, ids) if n else 0


def _refresh(cursor: Any, brand: Brand, n: int, ids: str) -> int:
    values = {"brand": brand.pk, "ids": ids}
    # first the locks, then the sum in a statement of its own: it sees the orders that others, whom we waited for,
    # have just committed
    cursor.execute(LOCK, values)
    if cursor.fetchone()[0] < n:  # contacts made in this very transaction
        cursor.execute(MISSING, values)
        stats.refresh(brand, [row[0] for row in cursor.fetchall()])
    with joined_by_hash(cursor, n):
        cursor.execute(SUM, values)
        n_changed: int = cursor.rowcount
    return n_changed
