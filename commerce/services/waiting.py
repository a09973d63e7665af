"""Orders of people who were not known when they bought: they find their customer when the identity appears."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.db import connection, transaction

from commerce.services import owners, refund_merge, stats
from commerce.services.order_merge_sql import CHANGED, TELL_CHANGED
from commerce.services.owners import owner_of
from commerce.services.sql import GUIDE_AT, is_to_tell
from contacts.services.staging import drop, numbers
from contacts.services.timeline import FUTURE
from scrm import clock
from tenants.db.joins import joined_by_hash
from tenants.models import Brand

SLICE = 20_000
MANY = 50
ANY_WAITS = """
    SELECT EXISTS (SELECT 1 FROM commerce_order WHERE brand_id = %s AND contact_id IS NULL AND buyer_value <> '')
"""

# by the identities of some contacts: their orders, through the index of orders without a customer
OF_CONTACTS = """
    SELECT o.id, i.contact_id FROM contacts_identity i
      JOIN commerce_order o ON o.brand_id = (SELECT %(brand)s) AND o.contact_id IS NULL AND o.buyer_kind = i.kind
       AND o.buyer_scope = i.scope AND o.buyer_value = i.value
     WHERE i.brand_id = (SELECT %(brand)s) AND i.contact_id = ANY(%(contacts)s::bigint[])
"""
# the next orders that wait, newest first, each with the contact whose identity is there by now
OF_ORDERS = f"""
    SELECT o.id, i.contact_id, o.placed_at
      FROM (SELECT id, placed_at, buyer_kind, buyer_scope, buyer_value FROM commerce_order
             WHERE brand_id = %(brand)s AND contact_id IS NULL AND (placed_at, id) < (%(at)s, %(id)s)
             ORDER BY placed_at DESC, id DESC LIMIT %(limit)s) o
      LEFT JOIN LATERAL {owner_of("o")} i ON true
     ORDER BY o.placed_at DESC, o.id DESC
"""  # noqa: S608
UPDATE = f"""
    WITH found AS (
        SELECT o.*, x.contact_id AS new_contact_id FROM commerce_order o
          JOIN unnest(%(ids)s::bigint[], %(owners)s::bigint[]) x(id, contact_id) ON x.id = o.id
         WHERE o.brand_id = (SELECT %(brand)s) AND o.id = ANY(%(ids)s) AND o.contact_id IS NULL
         ORDER BY o.id FOR NO KEY UPDATE OF o
    ), final AS (
        SELECT w.id, w.new_contact_id AS contact_id, w.paid_at, w.state, w.is_told, coalesce(w.staff_id, d.staff_id) AS staff_id,
               coalesce(w.store_id, d.store_id) AS store_id
          FROM found w LEFT JOIN LATERAL (
               {GUIDE_AT.format(contact="w.new_contact_id", at="w.paid_at", needed="w.staff_id IS NULL")}) d ON true
    ), done AS (
        UPDATE commerce_order o SET contact_id = f.contact_id, staff_id = f.staff_id, store_id = f.store_id,
               is_told = f.is_told OR {is_to_tell("f")}
          FROM final f WHERE o.brand_id = (SELECT %(brand)s) AND o.id = ANY(%(ids)s) AND o.id = f.id
        RETURNING o.id, o.order_no, o.contact_id, NULL::bigint, o.staff_id, o.paid_at, o.amount_fen,
                  NOT f.is_told AND o.is_told
    )
    INSERT INTO order_changed SELECT * FROM done
"""  # noqa: S608


def attach(brand: Brand, contact_ids: Sequence[int]) -> int:
    """Give contacts whose identities are new the orders that waited for them, in the caller's transaction; gives how
    many."""
    if not contact_ids:
        return 0
    with connection.cursor() as cursor:
        if len(contact_ids) > MANY:  # a sync or an import: mostly nothing waits
            cursor.execute(ANY_WAITS, [brand.pk])
            if not cursor.fetchone()[0]:
                return 0
        cursor.execute(OF_CONTACTS, {"brand": brand.pk, "contacts": numbers(contact_ids)})
        return _give(cursor, brand, cursor.fetchall())


def attach_all(brand: Brand) -> int:
    """Go through everything that waits, orders for their people and refunds for their orders: what came in at the
    same moment as what it waited for. Nightly; gives how many."""
    owners.release(brand)
    n = 0
    after: dict[str, Any] = {"at": clock.now() + timedelta(days=366), "id": 0}
    while True:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(OF_ORDERS, {"brand": brand.pk, "limit": SLICE, **after})
            rows = cursor.fetchall()
            n += _give(cursor, brand, [(pk, owner) for pk, owner, _at in rows if owner])
        if len(rows) < SLICE:
            break
        after = {"at": rows[-1][2], "id": rows[-1][0]}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE commerce_refund r SET order_id = o.id FROM commerce_order o"
            " WHERE r.brand_id = %s AND r.order_id IS NULL AND o.brand_id = %s AND o.source = r.source"
            " AND o.order_no = r.order_no RETURNING r.order_id",
            [brand.pk, brand.pk],
        )
        orders = sorted({row[0] for row in cursor.fetchall()})
        refund_merge.apply(cursor, brand, orders, told_by="import")
    return n + len(orders)


def _give(cursor: Any, brand: Brand, pairs: Sequence[tuple[int, int]]) -> int:
    there = owners.hold(cursor, brand, (owner for _order, owner in pairs)) if pairs else set()
    pairs = [(order, owner) for order, owner in pairs if owner in there]
    if not pairs:
        return 0
    values: dict[str, Any] = {
        "brand": brand.pk, "ids": [p[0] for p in pairs], "owners": [p[1] for p in pairs], "told_by": "import",
        "latest_event": clock.now() + FUTURE,
    }  # fmt: skip
    drop(cursor, "order_changed")
    cursor.execute(CHANGED)
    with joined_by_hash(cursor, len(pairs)):
        cursor.execute(UPDATE, values)
    cursor.execute(TELL_CHANGED, values)
    cursor.execute("SELECT order_id, contact_id FROM order_changed")
    given = cursor.fetchall()
    refund_merge.tell(cursor, brand, [row[0] for row in given], told_by="import")
    stats.refresh(brand, {row[1] for row in given})
    return len(given)
