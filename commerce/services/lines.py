"""The lines of orders, as the merge of orders writes them."""

from datetime import UTC, datetime
from typing import Any

from contacts.services.staging import analyze
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
# lines that are new or differ, of tellings that are the newest of their order (or the first with lines)
NOW = """
    CREATE TEMP TABLE line_now ON COMMIT DROP AS
    SELECT s.n AS given_n, o.id AS order_id, l.n, p.id AS product_id, coalesce(left(l.sku, 64), '') AS sku,
           left(coalesce(nullif(l.name, ''), p.name, ''), 200) AS name, l.quantity, l.amount_fen
      FROM line_in l
      JOIN order_in s ON s.n = l.order_n AND s.round = %(round)s
      JOIN commerce_order o ON o.brand_id = %(brand)s AND o.source = %(source)s AND o.order_no = s.order_no
      LEFT JOIN commerce_product p ON p.brand_id = %(brand)s AND p.sku = l.sku AND l.sku <> ''
      LEFT JOIN commerce_orderline e ON e.brand_id = %(brand)s AND e.order_id = o.id AND e.n = l.n
     WHERE (e.n IS NULL OR (e.product_id, e.sku, e.name, e.quantity, e.amount_fen) IS DISTINCT FROM
            (p.id, coalesce(left(l.sku, 64), ''), left(coalesce(nullif(l.name, ''), p.name, ''), 200)::varchar,
             l.quantity, l.amount_fen))
       AND (s.updated_at IS NULL OR s.updated_at >= o.updated_at OR NOT EXISTS (
            SELECT 1 FROM commerce_orderline x WHERE x.brand_id = %(brand)s AND x.order_id = o.id))
"""
WRITE = """
    INSERT INTO commerce_orderline (brand_id, order_id, n, product_id, sku, name, quantity, amount_fen)
    SELECT %(brand)s, order_id, n, product_id, sku, name, quantity, amount_fen FROM line_now ORDER BY order_id, n
    ON CONFLICT (brand_id, order_id, n) DO UPDATE
       SET (product_id, sku, name, quantity, amount_fen) = ROW (excluded.product_id, excluded.sku, excluded.name,
            excluded.quantity, excluded.amount_fen)
"""
# an order that now has fewer lines
SURPLUS = """
    DELETE FROM commerce_orderline e
     USING (SELECT o.id, max(l.n) AS n FROM line_in l
              JOIN order_in s ON s.n = l.order_n AND s.round = %(round)s
              JOIN commerce_order o ON o.brand_id = %(brand)s AND o.source = %(source)s AND o.order_no = s.order_no
             WHERE s.updated_at IS NULL OR s.updated_at >= o.updated_at
             GROUP BY o.id) x
     WHERE e.brand_id = %(brand)s AND e.order_id = x.id AND e.n > x.n
    RETURNING e.order_id
"""
RESULT = """
    INSERT INTO order_result
    SELECT DISTINCT l.given_n, l.order_id, false, '' FROM line_now l
     WHERE NOT EXISTS (SELECT 1 FROM order_result r WHERE r.n = l.given_n)
"""


def add_products(cursor: Any, brand: Brand) -> None:
    """Products that lines name and the catalogue does not know yet."""
    cursor.execute(PRODUCTS, {"brand": brand.pk, "before_all": BEFORE_ALL, "now": clock.now()})


def merge_lines(cursor: Any, brand: Brand, values: dict[str, Any]) -> int:
    """Write the lines of one round; gives how many orders only their lines have changed."""
    cursor.execute("SELECT EXISTS (SELECT 1 FROM line_in)")
    if not cursor.fetchone()[0]:
        return 0
    cursor.execute("DROP TABLE IF EXISTS pg_temp.line_now")
    cursor.execute(NOW, values)
    analyze(cursor, "line_now")
    cursor.execute(WRITE, values)
    cursor.execute(
        "SELECT EXISTS (SELECT 1 FROM order_in s JOIN order_now g USING (n) WHERE NOT g.is_new)"
        " OR (SELECT count(*) FROM order_in WHERE round = %(round)s) > (SELECT count(*) FROM order_now)",
        values,
    )
    if cursor.fetchone()[0]:
        cursor.execute(SURPLUS, values)
    cursor.execute(RESULT)
    return cursor.rowcount
