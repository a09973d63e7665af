"""The sums of orders in ContactStat, kept in the transaction that changes an order."""

from collections.abc import Iterable

from django.db import connection

from contacts.services import stats
from contacts.services.staging import numbers
from tenants.db.joins import joined_by_hash
from tenants.models import Brand

LOCK = (
    "SELECT contact_id FROM contacts_contactstat WHERE brand_id = %s AND contact_id = ANY(%s::bigint[])"
    " ORDER BY contact_id FOR NO KEY UPDATE"
)
# both tables are read by all ids at once: looked up one by one, a brand of which Postgres has no statistics yet would be
# walked through for each
SUM = """
    WITH sums AS MATERIALIZED (
        SELECT o.contact_id, count(*)::int AS n_orders, sum(o.amount_fen - o.refunded_fen)::bigint AS spent_fen,
               min(o.paid_at) AS first_at, max(o.paid_at) AS last_at
          FROM commerce_order o
         WHERE o.brand_id = %(brand)s AND o.contact_id = ANY(%(ids)s::bigint[]) AND o.is_sale
         GROUP BY o.contact_id
    )
    UPDATE contacts_contactstat t
       SET n_orders = coalesce(x.n_orders, 0), spent_fen = coalesce(x.spent_fen, 0), first_order_at = x.first_at,
           last_order_at = x.last_at
      FROM unnest(%(ids)s::bigint[]) c(id) LEFT JOIN sums x ON x.contact_id = c.id
     WHERE t.brand_id = %(brand)s AND t.contact_id = ANY(%(ids)s::bigint[]) AND t.contact_id = c.id
       AND (t.n_orders, t.spent_fen, t.first_order_at, t.last_order_at)
           IS DISTINCT FROM (coalesce(x.n_orders, 0), coalesce(x.spent_fen, 0), x.first_at, x.last_at)
"""


def refresh(brand: Brand, contact_ids: Iterable[int]) -> int:
    """Add up the orders of some contacts anew, in the caller's transaction; gives how many rows changed. An order
    counts while `is_sale`; money is net of refunds."""
    ids = sorted(set(contact_ids))
    if not ids:
        return 0
    with connection.cursor() as cursor:
        # first the locks, then the sum in a statement of its own: it sees the orders that others, whom we waited for,
        # have just committed
        cursor.execute(LOCK, [brand.pk, numbers(ids)])
        if cursor.rowcount < len(ids):  # contacts made in this very transaction
            known = {row[0] for row in cursor.fetchall()}
            stats.refresh(brand, [pk for pk in ids if pk not in known])
        with joined_by_hash(cursor, len(ids)):
            cursor.execute(SUM, {"brand": brand.pk, "ids": numbers(ids)})
            return cursor.rowcount
