# ruff: noqa: S608  names of tables and of our own targets; values are parameters
"""Products, orders, refunds and behaviour of a plan, told to the merges that everybody tells them to."""

from typing import Any

from commerce.services import staging
from commerce.services.order_merge import merge_orders
from commerce.services.order_merge_sql import COLUMNS
from commerce.services.products import merge_products
from commerce.services.refund_merge import merge_refunds
from contacts.models import Merge
from contacts.services import behaviour
from contacts.services.outcomes import Counts
from contacts.services.staging import open_table
from datafiles.kinds.base import Code, Done, Task
from datafiles.kinds.commerce_targets import SAID
from datafiles.kinds.orders_judge import has_lines
from datafiles.services.tracks import keep_before, note_changes, note_kept, note_ranges, note_transaction

PRODUCT_FIELDS = ("name", "category", "price_fen", "usage_days", "is_active", "updated_at")
REFUND_FIELDS = ("order_no", "order_id", "amount_fen", "refunded_at", "reason", "is_cancelled", "updated_at")


def _col(task: Task, key: str, kind: str = "text", row: str = "r") -> str:
    return f"{row}.{key}" if task.has(key) else f"NULL::{kind}"


def _done(cursor: Any, kind: str, counts: Counts) -> Done:
    """Counts of a merge; rows that it refused after all are noted with their reason."""
    done = Done(new=counts.n_new, changed=counts.n_changed, waiting=counts.n_waiting)
    cursor.execute(f"SELECT reason, count(*) FROM {kind}_bad GROUP BY reason")
    for reason, n in cursor.fetchall():
        done.notes[f"refused_late:{reason}"] = n
    return done


def apply_products(task: Task, cursor: Any) -> Done:
    staging.open_tables(cursor, "product_in")
    cursor.execute(
        "INSERT INTO product_in (n, sku, name, category, price_fen, usage_days, is_active)"
        f" SELECT n, sku, {_col(task, 'name')}, {_col(task, 'category')}, {_col(task, 'price_fen', 'bigint')},"
        f" {_col(task, 'usage_days', 'smallint')}, {_col(task, 'is_active', 'boolean')} FROM rows r"
    )
    ids = (
        "SELECT p.id FROM rows r JOIN commerce_product p ON p.brand_id = %(brand)s AND p.sku = r.sku"
        f" WHERE r.code = {Code.CHANGED}"
    )
    keep_before(cursor, task, "commerce_product", PRODUCT_FIELDS, ids)
    counts = merge_products(task.brand)
    note_ranges(cursor, task.file, "product", "SELECT id FROM product_result WHERE is_new")
    note_changes(cursor, task, "product", "commerce_product", PRODUCT_FIELDS)
    return _done(cursor, "product", counts)


def apply_orders(task: Task, cursor: Any) -> Done:
    lines = has_lines(task)
    staging.open_tables(cursor, "order_in", "line_in")

    def first(key: str, kind: str = "text") -> str:
        """The first value that the rows of an order have."""
        if not task.has(key) and key not in ("buyer_kind", "buyer_value"):
            return f"NULL::{kind}"
        return (
            f"(array_agg(r.{key} ORDER BY r.n) FILTER (WHERE r.{key} IS NOT NULL))[1]"
            if lines
            else f"r.{key}"
        )

    amount = first("amount_fen", "bigint")
    if not task.has("amount_fen"):
        amount = "sum(r.line_fen)::bigint"
    elif lines and not task.has("order_no"):
        amount = "sum(r.amount_fen)::bigint"
    scope = "CASE WHEN {} = 'external_userid' THEN %(corpid)s ELSE '' END".format(first("buyer_kind"))
    found = "r.buyer_id"
    if Merge.objects.filter(parted_at__gt=task.file.created_at).exists():
        found = "NULL::bigint"  # ids have gone back to whose they are since the file was checked
    elif lines:
        found = "CASE WHEN count(r.buyer_id) = count(*) AND min(r.buyer_id) = max(r.buyer_id) THEN min(r.buyer_id) END"
    new_id = "NULL::bigint" if lines else "r.new_id"
    cursor.execute(
        "INSERT INTO order_in (n, order_no, buyer_kind, buyer_scope, buyer_value, placed_at, paid_at, amount_fen, n_items,"
        " state, staff_userid, store_code, channel, is_fresh, found_id, new_id)"
        f" SELECT {'min(r.n)' if lines else 'r.n'}, r.no, {first('buyer_kind')}, {scope}, {first('buyer_value')},"
        f" {first('placed_at', 'timestamptz')}, {first('paid_at', 'timestamptz')}, {amount},"
        f" {first('n_items', 'integer')}, {first('state', 'smallint')}, {first('staff_userid')}, {first('store_code')},"
        f" {first('channel')}, {'bool_and' if lines else ''}(r.code = {Code.NEW}), {found}, {new_id}"
        f" FROM rows r {'GROUP BY r.no' if lines else ''}",
        task.params,
    )
    if lines:
        own = "NULL" if task.has("order_no") else _col(task, "amount_fen", "bigint")
        line_fen = f"coalesce({_col(task, 'line_fen', 'bigint')}, {own}, 0)"
        cursor.execute(
            "INSERT INTO line_in (order_n, n, sku, name, quantity, amount_fen)"
            " SELECT o.n, row_number() OVER (PARTITION BY o.n ORDER BY r.n),"
            f" coalesce({_col(task, 'sku')}, ''), {_col(task, 'product')}, coalesce({_col(task, 'quantity', 'integer')}, 1),"
            f" {line_fen} FROM rows r JOIN order_in o ON o.order_no = r.no"
        )
    counts = merge_orders(
        task.brand, source=task.params["source"], told_by="import", keep_before=True, once=True
    )
    note_ranges(cursor, task.file, "order", "SELECT id FROM order_result WHERE is_new")
    note_kept(cursor, task, "order", "order_before", COLUMNS)
    return _done(cursor, "order", counts)


def apply_refunds(task: Task, cursor: Any) -> Done:
    staging.open_tables(cursor, "refund_in")
    cursor.execute(
        "INSERT INTO refund_in (n, refund_no, order_no, amount_fen, refunded_at, reason, is_cancelled)"
        f" SELECT n, no, order_no, amount_fen, {_col(task, 'refunded_at', 'timestamptz')}, {_col(task, 'reason')},"
        f" {_col(task, 'is_cancelled', 'boolean')} FROM rows r"
    )
    ids = (
        "SELECT f.id FROM rows r JOIN commerce_refund f ON f.brand_id = %(brand)s AND f.source = %(source)s"
        f" AND f.refund_no = r.no WHERE r.code = {Code.CHANGED}"
    )
    keep_before(cursor, task, "commerce_refund", REFUND_FIELDS, ids)
    counts = merge_refunds(task.brand, source=task.params["source"], told_by="import")
    note_ranges(cursor, task.file, "refund", "SELECT id FROM refund_result WHERE is_new")
    note_changes(cursor, task, "refund", "commerce_refund", REFUND_FIELDS)
    return _done(cursor, "refund", counts)


def apply_behaviour(task: Task, cursor: Any) -> Done:
    open_table(cursor, "behaviour_in", behaviour.COLUMNS)
    words = {**SAID, "amount_fen": "amount_fen"}
    data = ", ".join(f"'{name}', r.{key}" for key, name in words.items() if task.has(key))
    cursor.execute(
        "INSERT INTO behaviour_in (n, kind, at, source_key, buyer_kind, buyer_scope, buyer_value, sku, data)"
        " SELECT r.n, r.kind, r.at, r.key, r.buyer_kind,"
        " CASE WHEN r.buyer_kind = 'external_userid' THEN %(corpid)s ELSE '' END, r.buyer_value,"
        f" {_col(task, 'sku')}, jsonb_strip_nulls(jsonb_build_object({data})) FROM rows r",
        task.params,
    )
    cursor.execute(
        "SELECT coalesce(max(id), 0) FROM contacts_waitingbehaviour WHERE brand_id = %(brand)s", task.params
    )
    last = cursor.fetchone()[0]
    counts = behaviour.merge_behaviour(task.brand, source=task.params["source"], told_by="import")
    note_transaction(cursor, task.file, "event")
    note_ranges(
        cursor, task.file, "waiting",
        f"SELECT id FROM contacts_waitingbehaviour WHERE brand_id = {int(task.brand.pk)} AND id > {int(last)}"
        " AND xmin::text::bigint = txid_current() %% 4294967296",
    )  # fmt: skip
    return _done(cursor, "behaviour", counts)
