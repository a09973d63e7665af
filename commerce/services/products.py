"""商品: products as they are told, and what a person changes on them."""

from collections.abc import Sequence
from typing import Any

from django.db import connection, transaction
from django.utils.translation import gettext as _

from commerce.models import Product
from commerce.services import staging
from contacts.services.outcomes import Counts, Outcome
from contacts.services.staging import analyze, drop, open_results
from org import audit
from org.access import Actor
from scrm import clock
from scrm.errors import ConflictError
from tenants.models import Brand

BAD = """
    WITH bad AS (
        SELECT s.n, CASE
               WHEN s.sku = '' OR length(s.sku) > 64 THEN 'bad_number'
               WHEN s.price_fen NOT BETWEEN 0 AND 100000000000 THEN 'bad_amount'
               WHEN s.usage_days NOT BETWEEN 1 AND 3650 THEN 'bad_quantity'
               END AS reason
          FROM product_in s
    ), gone AS (DELETE FROM product_in s USING bad b WHERE b.n = s.n AND b.reason IS NOT NULL)
    INSERT INTO product_bad SELECT n, reason FROM bad WHERE reason IS NOT NULL
"""
_NEWER = "(g.updated_at IS NULL OR g.updated_at >= p.updated_at)"
_COLUMNS = ("name", "category", "price_fen", "usage_days", "is_active")
_FOLD = {c: f"coalesce(g.{c}, p.{c})" for c in _COLUMNS} | {
    # told without a time: newer than what only orders have named
    "updated_at": "greatest(p.updated_at, coalesce(g.updated_at, p.created_at))"
}
_DIFFERS = (
    f"{_NEWER} AND ({', '.join(f'p.{c}' for c in _FOLD)}) IS DISTINCT FROM ({', '.join(_FOLD.values())})"
)
NOW = f"""
    CREATE TEMP TABLE product_now ON COMMIT DROP AS
    SELECT g.*, p.id IS NULL AS is_new,
           coalesce(p.id, nextval((SELECT pg_get_serial_sequence('commerce_product', 'id')::regclass))) AS product_id
      FROM (SELECT DISTINCT ON (s.sku) s.n, s.sku, nullif(left(s.name, 200), '') AS name, left(s.category, 60) AS category,
                   s.price_fen, s.usage_days, s.is_active, s.updated_at
              FROM product_in s
             ORDER BY s.sku, coalesce(s.updated_at, 'infinity') DESC, s.n DESC) g
      LEFT JOIN LATERAL (
           SELECT p.* FROM commerce_product p WHERE p.brand_id = %(brand)s AND p.sku = g.sku OFFSET 0) p ON true
     WHERE p.id IS NULL OR ({_DIFFERS})
"""  # noqa: S608
INSERT = """
    INSERT INTO commerce_product (brand_id, id, sku, name, category, price_fen, usage_days, is_active, updated_at,
           created_at)
    SELECT %(brand)s, product_id, sku, coalesce(name, sku), coalesce(category, ''), coalesce(price_fen, 0), usage_days,
           coalesce(is_active, true), coalesce(updated_at, %(now)s), %(now)s
      FROM product_now WHERE is_new ORDER BY sku
    ON CONFLICT DO NOTHING
"""
OVERTAKEN = """
    UPDATE product_now g SET is_new = false, product_id = x.id
      FROM (SELECT n.n, p.id FROM product_now n CROSS JOIN LATERAL (
                   SELECT p.id FROM commerce_product p WHERE p.brand_id = %(brand)s AND p.sku = n.sku OFFSET 0) p
             WHERE n.is_new AND p.id <> n.product_id) x
     WHERE x.n = g.n
"""
UPDATE = f"""
    WITH locked AS (
        SELECT p.* FROM commerce_product p
         WHERE p.brand_id = %(brand)s AND p.id = ANY(%(known)s) ORDER BY p.id FOR NO KEY UPDATE
    ), folded AS (
        SELECT p.id, {", ".join(f"{value} AS {name}" for name, value in _FOLD.items())}
          FROM locked p JOIN product_now g ON g.product_id = p.id WHERE {_DIFFERS}
    )
    UPDATE commerce_product p SET {", ".join(f"{c} = f.{c}" for c in _FOLD)}
      FROM folded f WHERE p.brand_id = %(brand)s AND p.id = ANY(%(known)s) AND p.id = f.id
    RETURNING p.id
"""  # noqa: S608
# lines of orders that named a product before the catalogue did
ATTACH = """
    UPDATE commerce_orderline l SET product_id = g.product_id, name = coalesce(nullif(l.name, ''), g.name, '')
      FROM product_now g
     WHERE g.is_new AND l.brand_id = %(brand)s AND l.product_id IS NULL AND l.sku <> '' AND l.sku = g.sku
"""


@transaction.atomic
def record_products(brand: Brand, rows: Sequence[dict[str, Any]]) -> list[Outcome]:
    """Products as somebody tells them; one outcome for each row, in order. Safe to repeat.

    Args:
        rows: dicts with the columns of `product_in` (services/staging.py) but `n`; what is missing stays as it is.
    """
    with connection.cursor() as cursor:
        staging.open_tables(cursor, "product_in")
        staging.tell(cursor, "product_in", [{**row, "n": n} for n, row in enumerate(rows)])
        merge_products(brand)
        return staging.outcomes(cursor, brand, "product", len(rows))


def merge_products(brand: Brand) -> Counts:
    """Merge what lies in `product_in` (services/staging.py), in the caller's transaction.

    Afterwards `product_bad(n, reason)` holds what was refused, `product_result(n, id, is_new, reason)` the rows that
    are new or have changed something. The newest telling stands, by `updated_at`.
    """
    values: dict[str, Any] = {"brand": brand.pk, "now": clock.now()}
    counts = Counts()
    with connection.cursor() as cursor:
        open_results(cursor, "product")
        analyze(cursor, "product_in")
        cursor.execute(BAD, values)
        cursor.execute("SELECT count(*) FROM product_in")
        n_given = cursor.fetchone()[0]
        drop(cursor, "product_now")
        cursor.execute(NOW, values)
        analyze(cursor, "product_now")
        cursor.execute(INSERT, values)
        counts.n_new = cursor.rowcount
        cursor.execute("SELECT count(*) FILTER (WHERE is_new), count(*) FROM product_now")
        n_new, n_all = cursor.fetchone()
        if n_new > counts.n_new:
            cursor.execute(OVERTAKEN, values)
        changed: list[int] = []
        if n_all > counts.n_new:
            cursor.execute("SELECT product_id FROM product_now WHERE NOT is_new")
            cursor.execute(UPDATE, values | {"known": [row[0] for row in cursor.fetchall()]})
            changed = [row[0] for row in cursor.fetchall()]
        if counts.n_new:
            cursor.execute(ATTACH, values)
        cursor.execute(
            "INSERT INTO product_result SELECT n, product_id, is_new, '' FROM product_now"
            " WHERE is_new OR product_id = ANY(%s)",
            [changed],
        )
        counts.n_changed = len(changed)
        counts.n_same = n_given - counts.n_new - counts.n_changed
    return counts


def names_of(product_ids: Sequence[int]) -> dict[int, str]:
    """Names of products by id."""
    return dict(Product.objects.filter(pk__in=product_ids).values_list("pk", "name"))


def by_sku(skus: Sequence[str]) -> dict[str, int]:
    """Ids of products by their number."""
    return dict(Product.objects.filter(sku__in=skus).values_list("sku", "pk"))


@transaction.atomic
def save_product(
    brand: Brand,
    *,
    product: Product | None,
    by: Actor,
    sku: str,
    name: str,
    category: str,
    price_fen: int,
    usage_days: int | None,
    is_active: bool,
) -> Product:
    """A product made (None) or changed by a person; newer than what was told before.

    Raises:
        ConflictError: the number is taken.
    """
    names = ["name", "category", "price_fen", "usage_days", "is_active"]
    before = audit.snapshot(product, names) if product else {}
    if product is None:
        if Product.objects.filter(sku=sku.strip()).exists():
            text = _("There is a product of this number already")
            raise ConflictError(text, fields={"sku": text})
        record_products(brand, [{"sku": sku.strip(), "name": name}])
        product = Product.objects.get(sku=sku.strip())
    given = (name.strip(), category.strip(), price_fen, usage_days, is_active)
    for field, value in zip(names, given, strict=True):
        setattr(product, field, value)
    product.updated_at = clock.now()
    product.save(update_fields=[*names, "updated_at"])
    after = audit.snapshot(product, names)
    audit.record(by, "product.edit" if before else "product.create", product, before=before, after=after)
    return product
