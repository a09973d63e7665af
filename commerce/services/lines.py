"""The lines of orders, as the merge of orders writes them."""

from datetime import UTC, datetime
from typing import Any

from contacts.services.staging import analyze, drop
from scrm import clock
from tenants.models import Brand

# a product that only an order has named: whatever the catalogue tells later is newer
BEFORE_ALL = datetime(1970, 1, 1, tzinfo=UTC)

PRODUCTS = """
    INSERT INTO commerce_product (brand_id, sku, name, category, price_fen, is_active, updated_at, created_at)
    SELECT DISTINCT ON (l.sku) %(brand)s, l.sku, left(l.name, 200), '', greatest(l.amount_fen / greatest(l.quantity, 1), 0),
           true, %(before_all)s, %(now)s
      FROM line_in l
      LEFT JOIN commerce_product p ON p.brand_id = %(brand)s AND p.sku = l.sku
     WHERE l.sku <> '' AND l.name <> '' AND length(l.sku) <= 64 AND p.id IS NULL
     ORDER BY l.sku, l.order_n DESC
    ON CONFLICT DO NOTHING
"""
# the orders of the rows of one round, and whether the row is the newest telling of its order
# (joined as whole tables where there are many: looked up one by one, a brand of which Postgres has no statistics yet would
# be walked through for each)
ORDERS = """
    CREATE TEMP TABLE line_order ON COMMIT DROP AS
    SELECT s.n, o.id AS order_id, s.updated_at IS NULL OR s.updated_at >= o.updated_at AS is_newest
      FROM order_in s
      JOIN commerce_order o ON o.brand_id = %(brand)s AND o.source = %(source)s AND o.order_no = s.order_no
     WHERE s.round = %(round)s
"""
# lines that are new or differ, of tellings that are the newest of their order (or the first with lines)
NOW = """
    CREATE TEMP TABLE line_now ON COMMIT DROP AS
    WITH given AS MATERIALIZED (
        SELECT s.n AS given_n, s.order_id, s.is_newest, l.n, p.id AS product_id, coalesce(left(l.sku, 64), '') AS sku,
               left(coalesce(nullif(l.name, ''), p.name, ''), 200) AS name, l.quantity, l.amount_fen
          FROM line_in l
          JOIN line_order s ON s.n = l.order_n
          LEFT JOIN commerce_product p ON p.brand_id = %(brand)s AND p.sku = l.sku AND l.sku <> ''
    )
    SELECT g.* FROM given g
      LEFT JOIN commerce_orderline e ON e.brand_id = %(brand)s AND e.order_id = g.order_id AND e.n = g.n
     WHERE (e.n IS NULL OR (e.product_id, e.sku, e.name, e.quantity, e.amount_fen) IS DISTINCT FROM
            (g.product_id, g.sku, g.name::varchar, g.quantity, g.amount_fen))
       AND (g.is_newest OR NOT EXISTS (
            SELECT 1 FROM commerce_orderline x WHERE x.brand_id = %(brand)s AND x.order_id = g.order_id OFFSET 0))
"""
WRITE = """
    INSERT INTO commerce_orderline (brand_id, order_id, n, product_id, sku, name, quantity, amount_fen)
    SELECT %(brand)s, order_id, n, product_id, sku, name, quantity, amount_fen FROM line_now ORDER BY order_id, n
    ON CONFLICT (brand_id, order_id, n) DO UPDATE
       SET (product_id, sku, name, quantity, amount_fen) = ROW (excluded.product_id, excluded.sku, excluded.name,
            excluded.quantity, excluded.amount_fen)
"""
# lines of orders that now have fewer
SURPLUS = """
    SELECT s.order_id, e.n
      FROM (SELECT o.order_id, max(l.n) AS n FROM line_order o JOIN line_in l ON l.order_n = o.n WHERE o.is_newest
             GROUP BY o.order_id) s
      JOIN commerce_orderline e ON e.brand_id = %(brand)s AND e.order_id = s.order_id
     WHERE e.n > s.n
"""
DELETE = """
    DELETE FROM commerce_orderline e USING unnest(%(orders)s::bigint[], %(ns)s::smallint[]) x(order_id, n)
     WHERE e.brand_id = %(brand)s AND e.order_id = ANY(%(orders)s) AND e.order_id = x.order_id AND e.n = x.n
"""
# an order from which a line was only taken away
GONE = """
    INSERT INTO order_result
    SELECT o.n, o.order_id, false, '' FROM line_order o
     WHERE o.order_id = ANY(%(orders)s) AND NOT EXISTS (SELECT 1 FROM order_result r WHERE r.n = o.n)
"""
RESULT = """
    INSERT INTO order_result
    SELECT DISTINCT l.given_n, l.order_id, false, '' FROM line_now l
     WHERE NOT EXISTS (SELECT 1 FROM order_result r WHERE r.n = l.given_n)
"""


def add_products(cursor: Any, brand: Brand) -> None:
    """Products that lines name and the catalogue does not know yet."""
    cursor.execute(PRODUCTS, {"brand": brand.pk, "before_all": BEFORE_ALL, "now": clock.now()})


def merge_lines(cursor: Any, values: dict[str, Any], *, all_new: bool) -> int:
    """Write the lines of one round; gives of how many orders only the lines have changed."""
    drop(cursor, "line_order", "line_now")
    cursor.execute(ORDERS, values)
    analyze(cursor, "line_order")
    cursor.execute(NOW, values)
    analyze(cursor, "line_now")
    cursor.execute(WRITE, values)
    cursor.execute("SELECT count(*) FROM order_result")
    n_before = cursor.fetchone()[0]
    if not all_new:
        cursor.execute(SURPLUS, values)
        if surplus := cursor.fetchall():
            orders, ns = ([row[0] for row in surplus], [row[1] for row in surplus])
            cursor.execute(DELETE, values | {"orders": orders, "ns": ns})
            cursor.execute(GONE, values | {"orders": orders})
    cursor.execute(RESULT)
    cursor.execute("SELECT count(*) FROM order_result")
    return cursor.fetchone()[0] - n_before
