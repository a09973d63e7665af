# ruff: noqa: S608  names of our own tables
"""Products, orders, refunds and behaviour of an import taken back."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from django.utils.translation import gettext as _

from commerce.models import Order, Product, Refund
from commerce.services import order_merge_sql, owners, refund_merge, stats
from contacts.models import EventType
from datafiles.kinds.commerce_apply import PRODUCT_FIELDS, REFUND_FIELDS
from datafiles.models import ImportFile
from datafiles.services import imports, lanes, plans
from datafiles.services.undo import Undone
from tenants.models import Brand

_TYPES = {
    "price_fen": "bigint", "usage_days": "smallint", "is_active": "boolean", "updated_at": "timestamptz",
    "contact_id": "bigint", "placed_at": "timestamptz", "paid_at": "timestamptz", "amount_fen": "bigint", "n_items": "int",
    "state": "smallint", "staff_id": "bigint", "store_id": "bigint", "order_id": "bigint", "refunded_at": "timestamptz",
    "is_cancelled": "boolean",
}  # fmt: skip


def _give_back(
    brand: Brand, file: ImportFile, cursor: Any, ids: list[int], name: str, model: Any, fields: Sequence[str]
) -> Undone:
    """Rows whose values are still those of the import get the ones before."""
    table, label = model._meta.db_table, {"product": "name", "order": "order_no", "refund": "refund_no"}[name]
    params = {"brand": brand.pk, "file": file.pk, "ids": ids, "name": name}
    cursor.execute(
        f"SELECT id FROM {table} WHERE brand_id = %(brand)s AND id = ANY(%(ids)s) ORDER BY id FOR NO KEY UPDATE",
        params,
    )
    differs = " OR ".join(
        f"(w.after ? '{f}' AND t.{f} IS DISTINCT FROM (w.after->>'{f}')::{_TYPES.get(f, 'text')})"
        for f in fields
    )
    join = (
        f"FROM datafiles_importchange w JOIN {table} t ON t.brand_id = %(brand)s AND t.id = w.object_id"
        " WHERE w.brand_id = %(brand)s AND w.file_id = %(file)s AND w.table = %(name)s AND w.object_id = ANY(%(ids)s)"
    )
    cursor.execute(f"SELECT t.id, t.{label} {join} AND ({differs}) ORDER BY t.id", params)
    kept = [(pk, text, _("changed since")) for pk, text in cursor.fetchall()]
    params["ids"] = back = sorted(set(ids) - {pk for pk, _name, _why in kept})
    sets = ", ".join(
        f"{f} = CASE WHEN w.after ? '{f}' THEN (w.before->>'{f}')::{_TYPES.get(f, 'text')} ELSE t.{f} END"
        for f in fields
    )
    cursor.execute(
        f"UPDATE {table} t SET {sets} FROM datafiles_importchange w WHERE t.brand_id = %(brand)s AND t.id = ANY(%(ids)s)"
        " AND w.brand_id = %(brand)s AND w.file_id = %(file)s AND w.table = %(name)s AND w.object_id = t.id",
        params,
    )
    return Undone(restored=len(back), kept=kept)


def give_back_products(brand: Brand, file: ImportFile, cursor: Any, ids: list[int]) -> Undone:
    return _give_back(brand, file, cursor, ids, "product", Product, PRODUCT_FIELDS)


def give_back_orders(brand: Brand, file: ImportFile, cursor: Any, ids: list[int]) -> Undone:
    people = _people(brand, cursor, ids)
    done = _give_back(brand, file, cursor, ids, "order", Order, order_merge_sql.COLUMNS)
    owners.release_gone(cursor, brand, ids)
    refund_merge.apply(cursor, brand, ids, told_by="import")
    stats.refresh(brand, people | _people(brand, cursor, ids))
    return done


def give_back_refunds(brand: Brand, file: ImportFile, cursor: Any, ids: list[int]) -> Undone:
    orders = _orders_of(brand, cursor, ids)
    done = _give_back(brand, file, cursor, ids, "refund", Refund, REFUND_FIELDS)
    refund_merge.apply(cursor, brand, sorted(orders | _orders_of(brand, cursor, ids)), told_by="import")
    return done


def _people(brand: Brand, cursor: Any, ids: list[int]) -> set[int]:
    cursor.execute(
        "SELECT DISTINCT contact_id FROM commerce_order WHERE brand_id = %s AND id = ANY(%s) AND contact_id IS NOT NULL",
        [brand.pk, ids],
    )
    return {row[0] for row in cursor.fetchall()}


def _orders_of(brand: Brand, cursor: Any, ids: list[int]) -> set[int]:
    cursor.execute(
        "SELECT DISTINCT order_id FROM commerce_refund WHERE brand_id = %s AND id = ANY(%s) AND order_id IS NOT NULL",
        [brand.pk, ids],
    )
    return {row[0] for row in cursor.fetchall()}


def remove_refunds(brand: Brand, file: ImportFile, cursor: Any, ids: list[int]) -> Undone:
    orders = _orders_of(brand, cursor, ids)
    cursor.execute(
        "DELETE FROM contacts_event e USING commerce_refund r JOIN commerce_order o ON o.brand_id = %s AND o.id = r.order_id"
        " WHERE r.brand_id = %s AND r.id = ANY(%s) AND e.brand_id = %s AND e.contact_id = o.contact_id AND e.type = %s"
        " AND e.object_id = o.id AND e.data->>'refund_no' = r.refund_no",
        [brand.pk, brand.pk, ids, brand.pk, int(EventType.ORDER_REFUNDED)],
    )
    cursor.execute("DELETE FROM commerce_refund WHERE brand_id = %s AND id = ANY(%s)", [brand.pk, ids])
    n = cursor.rowcount
    refund_merge.apply(cursor, brand, sorted(orders), told_by="import")
    return Undone(removed=n)


def remove_orders(brand: Brand, file: ImportFile, cursor: Any, ids: list[int]) -> Undone:
    """Orders with their lines and what they have put on timelines. One with refunds from elsewhere stays."""
    cursor.execute(
        "SELECT o.id, o.order_no FROM commerce_order o WHERE o.brand_id = %s AND o.id = ANY(%s) AND EXISTS (SELECT 1"
        " FROM commerce_refund r WHERE r.brand_id = %s AND r.order_id = o.id) ORDER BY o.id",
        [brand.pk, ids, brand.pk],
    )
    kept = [(pk, number, _("has refunds")) for pk, number in cursor.fetchall()]
    gone = sorted(set(ids) - {pk for pk, _number, _why in kept})
    people = _people(brand, cursor, gone)
    types = [int(EventType.ORDER_PAID), int(EventType.ORDER_REFUNDED)]
    cursor.execute(
        "DELETE FROM contacts_event e USING commerce_order o WHERE o.brand_id = %s AND o.id = ANY(%s) AND e.brand_id = %s"
        " AND e.contact_id = o.contact_id AND e.type = ANY(%s) AND e.object_id = o.id",
        [brand.pk, gone, brand.pk, types],
    )
    cursor.execute(
        "DELETE FROM commerce_orderline WHERE brand_id = %s AND order_id = ANY(%s)", [brand.pk, gone]
    )
    cursor.execute("DELETE FROM commerce_order WHERE brand_id = %s AND id = ANY(%s)", [brand.pk, gone])
    n = cursor.rowcount
    stats.refresh(brand, people)
    return Undone(removed=n, kept=kept)


def remove_products(brand: Brand, file: ImportFile, cursor: Any, ids: list[int]) -> Undone:
    cursor.execute(
        "SELECT p.id, p.name FROM commerce_product p WHERE p.brand_id = %s AND p.id = ANY(%s) AND EXISTS (SELECT 1"
        " FROM commerce_orderline l WHERE l.brand_id = %s AND l.product_id = p.id) ORDER BY p.id",
        [brand.pk, ids, brand.pk],
    )
    kept = [(pk, name, _("has been sold")) for pk, name in cursor.fetchall()]
    gone = sorted(set(ids) - {pk for pk, _name, _why in kept})
    cursor.execute("DELETE FROM commerce_product WHERE brand_id = %s AND id = ANY(%s)", [brand.pk, gone])
    return Undone(removed=cursor.rowcount, kept=kept)


def remove_events(brand: Brand, file: ImportFile, cursor: Any, ids: list[int]) -> Undone:
    """Behaviour that one transaction of the import has put on timelines."""
    cursor.execute(
        "DELETE FROM contacts_event WHERE brand_id = %s AND xid = ANY(%s) AND source = 'import' AND type >= 90",
        [brand.pk, ids],
    )
    return Undone(removed=cursor.rowcount)


def remove_waiting(brand: Brand, file: ImportFile, cursor: Any, ids: list[int]) -> Undone:
    cursor.execute(
        "DELETE FROM contacts_waitingbehaviour WHERE brand_id = %s AND id = ANY(%s)", [brand.pk, ids]
    )
    return Undone(removed=cursor.rowcount)


def forget_keys(brand: Brand, file: ImportFile, cursor: Any, ids: list[int]) -> Undone:
    """What makes a fact one: without it the same file could not be imported again."""
    if file.kind == "behaviour":
        task = imports.task_of(brand, file)
        for number in range(1, lanes.MAX_ROUNDS + 1):
            path = plans.of_round(file, number)
            slices = plans.cut(path) if path.is_file() else []
            for (start, _n), (stop, _m) in pairwise(slices):
                cursor.execute("DROP TABLE IF EXISTS pg_temp.rows")
                plans.load(cursor, task, path, start, stop)
                cursor.execute(
                    "DELETE FROM contacts_eventkey k USING rows r WHERE k.brand_id = %(brand)s AND k.source = %(key_source)s"
                    " AND k.source_key = r.key",
                    task.params,
                )
    return Undone()
