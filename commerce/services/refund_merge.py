"""The merge of `refund_in` into the refunds of one source, and what refunds do to their orders."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.db import connection

from commerce.services import stats
from commerce.services.sql import is_sale
from contacts.models import EventType
from contacts.services.outcomes import Counts
from contacts.services.staging import analyze, drop, open_results
from contacts.services.timeline import FUTURE
from scrm import clock
from tenants.db.joins import joined_by_hash
from tenants.models import Brand

BAD = """
    WITH bad AS (
        SELECT s.n, CASE
               WHEN s.refund_no = '' OR length(s.refund_no) > 64 OR s.order_no = '' OR length(s.order_no) > 64
                    THEN 'bad_number'
               WHEN s.amount_fen IS NULL OR s.amount_fen NOT BETWEEN 0 AND 100000000000 THEN 'bad_amount'
               WHEN s.refunded_at > %(latest)s OR s.refunded_at < '1990-01-01' THEN 'bad_time'
               END AS reason
          FROM refund_in s
    ), gone AS (DELETE FROM refund_in s USING bad b WHERE b.n = s.n AND b.reason IS NOT NULL)
    INSERT INTO refund_bad SELECT n, reason FROM bad WHERE reason IS NOT NULL
"""
# the newest telling of each refund; with its order, if that is there
_NEWER = "(g.updated_at IS NULL OR g.updated_at >= r.updated_at)"
_COLUMNS = ("order_no", "order_id", "amount_fen", "refunded_at", "reason", "is_cancelled", "updated_at")
_FOLD = {
    "order_no": "g.order_no",
    "order_id": "g.order_id",
    "amount_fen": "g.amount_fen",
    "refunded_at": "coalesce(g.refunded_at, r.refunded_at)",
    "reason": "coalesce(nullif(g.reason, ''), r.reason)",
    "is_cancelled": "coalesce(g.is_cancelled, r.is_cancelled)",
    "updated_at": "greatest(r.updated_at, g.updated_at)",
}
_DIFFERS = (
    f"{_NEWER} AND ({', '.join(f'r.{c}' for c in _COLUMNS)})"
    f" IS DISTINCT FROM ({', '.join(_FOLD[c] for c in _COLUMNS)})"
)
NOW = f"""
    CREATE TEMP TABLE refund_now ON COMMIT DROP AS
    SELECT g.*, r.id IS NULL AS is_new,
           coalesce(r.id, nextval((SELECT pg_get_serial_sequence('commerce_refund', 'id')::regclass))) AS refund_id
      FROM (
        SELECT DISTINCT ON (s.refund_no) s.n, s.refund_no, s.order_no, s.amount_fen, s.refunded_at,
               coalesce(left(s.reason, 200), '') AS reason, s.is_cancelled, s.updated_at, o.id AS order_id
          FROM refund_in s
          LEFT JOIN LATERAL (
               SELECT o.id FROM commerce_order o
                WHERE o.brand_id = %(brand)s AND o.order_no = s.order_no AND o.source = %(source)s OFFSET 0) o ON true
         ORDER BY s.refund_no, coalesce(s.updated_at, 'infinity') DESC, s.n DESC
      ) g
      LEFT JOIN LATERAL (
           SELECT r.* FROM commerce_refund r
            WHERE r.brand_id = %(brand)s AND r.source = %(source)s AND r.refund_no = g.refund_no OFFSET 0) r ON true
     WHERE r.id IS NULL OR ({_DIFFERS})
"""  # noqa: S608
INSERT = """
    INSERT INTO commerce_refund (brand_id, id, source, refund_no, order_no, order_id, amount_fen, refunded_at, reason,
           is_cancelled, is_told, updated_at, created_at)
    SELECT %(brand)s, refund_id, %(source)s, refund_no, order_no, order_id, amount_fen,
           coalesce(refunded_at, updated_at, %(now)s), reason, coalesce(is_cancelled, false), false,
           coalesce(updated_at, refunded_at, %(now)s), %(now)s
      FROM refund_now WHERE is_new ORDER BY refund_no
    ON CONFLICT DO NOTHING
"""
OVERTAKEN = """
    UPDATE refund_now g SET is_new = false, refund_id = x.id
      FROM (SELECT n.n, r.id FROM refund_now n CROSS JOIN LATERAL (
                   SELECT r.id FROM commerce_refund r WHERE r.brand_id = %(brand)s AND r.source = %(source)s
                      AND r.refund_no = n.refund_no OFFSET 0) r
             WHERE n.is_new AND r.id <> n.refund_id) x
     WHERE x.n = g.n
"""
UPDATE = f"""
    WITH locked AS (
        SELECT r.* FROM commerce_refund r
         WHERE r.brand_id = %(brand)s AND r.id = ANY(%(known)s) ORDER BY r.id FOR NO KEY UPDATE
    ), folded AS (
        SELECT r.id, r.order_id AS old_order_id, {", ".join(f"{_FOLD[c]} AS {c}" for c in _COLUMNS)}
          FROM locked r JOIN refund_now g ON g.refund_id = r.id WHERE {_DIFFERS}
    )
    UPDATE commerce_refund r SET {", ".join(f"{c} = f.{c}" for c in _COLUMNS)}
      FROM folded f WHERE r.brand_id = %(brand)s AND r.id = ANY(%(known)s) AND r.id = f.id
    RETURNING r.id, r.order_id, f.old_order_id
"""  # noqa: S608
WAITING = """
    SELECT r.id, g.order_id FROM order_now g CROSS JOIN LATERAL (
           SELECT r.id FROM commerce_refund r WHERE r.brand_id = %(brand)s AND r.source = %(source)s
              AND r.order_no = g.order_no AND r.order_id IS NULL OFFSET 0) r
     WHERE g.is_new
"""
ATTACH = """
    UPDATE commerce_refund r SET order_id = x.order_id FROM unnest(%(ids)s::bigint[], %(orders)s::bigint[]) x(id, order_id)
     WHERE r.brand_id = %(brand)s AND r.id = ANY(%(ids)s) AND r.id = x.id AND r.order_id IS NULL
"""
LOCK = "SELECT id FROM commerce_order WHERE brand_id = %s AND id = ANY(%s) ORDER BY id FOR NO KEY UPDATE"
_IS_SALE = is_sale("o").replace("o.refunded_fen", "x.refunded_fen")
SUM = f"""
    UPDATE commerce_order o SET refunded_fen = x.refunded_fen, is_sale = {_IS_SALE}
      FROM (SELECT i.id, s.refunded_fen FROM unnest(%(ids)s::bigint[]) i(id) CROSS JOIN LATERAL (
                   SELECT coalesce(sum(r.amount_fen), 0)::bigint AS refunded_fen FROM commerce_refund r
                    WHERE r.brand_id = %(brand)s AND r.order_id = i.id AND NOT r.is_cancelled) s) x
     WHERE o.brand_id = %(brand)s AND o.id = ANY(%(ids)s) AND o.id = x.id AND o.refunded_fen <> x.refunded_fen
    RETURNING o.contact_id
"""  # noqa: S608
TELL = f"""
    WITH told AS (
        UPDATE commerce_refund r SET is_told = true FROM commerce_order o
         WHERE o.brand_id = %(brand)s AND o.id = ANY(%(ids)s) AND o.contact_id IS NOT NULL
           AND r.brand_id = %(brand)s AND r.order_id = ANY(%(ids)s) AND r.order_id = o.id AND NOT r.is_told AND NOT r.is_cancelled
        RETURNING r.refund_no, r.amount_fen, r.refunded_at, r.reason, o.id, o.contact_id, o.staff_id, o.order_no
    )
    INSERT INTO contacts_event (brand_id, at, contact_id, type, staff_id, object_id, source, data)
    SELECT %(brand)s, least(t.refunded_at, %(latest_event)s), t.contact_id, {EventType.ORDER_REFUNDED.value},
           t.staff_id, t.id, %(told_by)s,
           jsonb_strip_nulls(jsonb_build_object('order_no', t.order_no, 'refund_no', t.refund_no,
                             'amount_fen', t.amount_fen, 'text', nullif(t.reason, '')))
      FROM told t
"""  # noqa: S608


def merge_refunds(brand: Brand, *, source: str, told_by: str) -> Counts:
    """Merge what lies in `refund_in` (services/staging.py), in the caller's transaction.

    Afterwards `refund_bad(n, reason)` holds what was refused, `refund_result(n, id, is_new, reason)` what is new or has
    changed (`unknown_order`: it waits). Arguments as `merge_orders`; `source` is that of the orders.
    """
    now = clock.now()
    values: dict[str, Any] = {
        "brand": brand.pk, "source": source, "now": now, "latest": now + timedelta(days=1),
    }  # fmt: skip
    counts = Counts()
    with connection.cursor() as cursor:
        drop(cursor, "refund_now")
        open_results(cursor, "refund")
        analyze(cursor, "refund_in")
        cursor.execute(BAD, values)
        cursor.execute("SELECT count(*) FROM refund_in")
        n_given = cursor.fetchone()[0]
        with joined_by_hash(cursor, n_given):
            counts.n_new, changed, orders = _write(cursor, values)
        counts.n_changed = len(changed)
        counts.n_same = n_given - counts.n_new - counts.n_changed
        cursor.execute("SELECT DISTINCT order_id FROM refund_now WHERE is_new AND order_id IS NOT NULL")
        orders |= {row[0] for row in cursor.fetchall()}
        cursor.execute(
            "INSERT INTO refund_result SELECT n, refund_id, is_new,"
            " CASE WHEN order_id IS NULL THEN 'unknown_order' ELSE '' END FROM refund_now WHERE is_new OR refund_id = ANY(%s)",
            [changed],
        )
        cursor.execute("SELECT count(*) FROM refund_result WHERE reason = 'unknown_order'")
        counts.n_waiting = cursor.fetchone()[0]
        apply(cursor, brand, sorted(pk for pk in orders if pk), told_by=told_by)
    return counts


def _write(cursor: Any, values: dict[str, Any]) -> tuple[int, list[int], set[int | None]]:
    """How many refunds are new, ids of those that changed, the orders concerned."""
    cursor.execute(NOW, values)
    analyze(cursor, "refund_now")
    cursor.execute(INSERT, values)
    n_made, changed = cursor.rowcount, []
    orders: set[int | None] = set()
    cursor.execute("SELECT count(*) FILTER (WHERE is_new), count(*) FROM refund_now")
    n_new, n_all = cursor.fetchone()
    if n_new > n_made:
        cursor.execute(OVERTAKEN, values)
    if n_all > n_made:
        cursor.execute("SELECT refund_id FROM refund_now WHERE NOT is_new")
        cursor.execute(UPDATE, values | {"known": [row[0] for row in cursor.fetchall()]})
        for refund_id, order_id, old_order_id in cursor.fetchall():
            changed.append(refund_id)
            orders |= {order_id, old_order_id}
    return n_made, changed, orders


def attach_to_new(cursor: Any, brand: Brand, values: dict[str, Any]) -> None:
    """Refunds that waited for the orders that have just been made (`order_now`)."""
    cursor.execute(
        "SELECT EXISTS (SELECT 1 FROM commerce_refund WHERE brand_id = %s AND source = %s"
        " AND order_id IS NULL)",
        [brand.pk, values["source"]],
    )
    if not cursor.fetchone()[0]:
        return
    cursor.execute(WAITING, values)
    if pairs := cursor.fetchall():
        orders = [order_id for _id, order_id in pairs]
        cursor.execute(ATTACH, values | {"ids": [pk for pk, _order in pairs], "orders": orders})
        apply(cursor, brand, sorted(set(orders)), told_by=values["told_by"])


def apply(cursor: Any, brand: Brand, order_ids: Sequence[int], *, told_by: str) -> None:
    """Add up the refunds of some orders again; tell what has not been told."""
    if not order_ids:
        return
    ids = list(order_ids)
    # locked first: the sum below then sees what others have committed meanwhile
    cursor.execute(LOCK, [brand.pk, ids])
    with joined_by_hash(cursor, len(ids)):
        cursor.execute(SUM, {"brand": brand.pk, "ids": ids})
        contacts = {row[0] for row in cursor.fetchall()} - {None}
        tell(cursor, brand, ids, told_by=told_by)
    stats.refresh(brand, contacts)


def tell(cursor: Any, brand: Brand, order_ids: Sequence[int], *, told_by: str) -> None:
    """ORDER_REFUNDED of refunds of known customers, each once."""
    if order_ids:
        values: dict[str, Any] = {"brand": brand.pk, "ids": list(order_ids), "told_by": told_by}
        cursor.execute(TELL, values | {"latest_event": clock.now() + FUTURE})
