"""The temporary tables through which products, orders and refunds are told: filled by COPY (files) or from rows
(API, pages), merged by the services beside this one. They live until the end of the transaction."""

from collections.abc import Iterable, Mapping
from typing import Any

from contacts.services.outcomes import Outcome, Result
from contacts.services.staging import fill, open_table
from tenants.models import Brand

# table → columns. `n` is the caller's number of a row, unique in the table; empty (NULL) is 'not told'.
TABLES: dict[str, dict[str, str]] = {
    "product_in": {
        "n": "integer NOT NULL",
        "sku": "text NOT NULL",
        "name": "text",
        "category": "text",
        "price_fen": "bigint",
        "usage_days": "smallint",
        "is_active": "boolean",
        "updated_at": "timestamptz",  # the source's time of this state
    },
    "order_in": {
        "n": "integer NOT NULL",
        "order_no": "text NOT NULL",
        "contact_id": "bigint",  # who bought, when the caller knows; else by identity:
        "buyer_kind": "text",
        "buyer_scope": "text",
        "buyer_value": "text",
        "placed_at": "timestamptz",
        "paid_at": "timestamptz",
        "amount_fen": "bigint NOT NULL",
        "n_items": "integer",  # else the sum of the lines
        "state": "smallint",  # Order.State; else paid when there is a paid_at
        "staff_userid": "text",  # else the guide whom the customer had when paying
        "store_code": "text",  # number or name of a store; else the guide's
        "channel": "text",
        "updated_at": "timestamptz",
    },
    "line_in": {
        "order_n": "integer NOT NULL",  # order_in.n
        "n": "smallint NOT NULL",  # 1, 2, 3 … within the order
        "sku": "text",
        "name": "text",
        "quantity": "integer NOT NULL",
        "amount_fen": "bigint NOT NULL",
    },
    "refund_in": {
        "n": "integer NOT NULL",
        "refund_no": "text NOT NULL",
        "order_no": "text NOT NULL",
        "amount_fen": "bigint NOT NULL",
        "refunded_at": "timestamptz",
        "reason": "text",
        "is_cancelled": "boolean",
        "updated_at": "timestamptz",
    },
}


# columns of the merge itself; a COPY therefore names its columns. What the caller has just looked for need not be looked for
# once more: `is_fresh`, the order was not there; `found_id`, whose the buyer's identity was; `new_id`, for an order that is made
_OWN = {
    "order_in": {
        "round": "smallint DEFAULT 0",
        "is_fresh": "boolean DEFAULT false",
        "found_id": "bigint",
        "new_id": "bigint",
    }
}


def open_tables(cursor: Any, *names: str) -> None:
    """Make some of the tables, empty, in the caller's transaction; safe to call again in the same one."""
    for name in names:
        open_table(cursor, name, TABLES[name] | _OWN.get(name, {}))


def tell(cursor: Any, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Rows into one of the tables, as dicts by column."""
    fill(cursor, name, TABLES[name], rows)


# kind → (table, its number, does the number belong to a source)
_KINDS = {
    "product": ("commerce_product", "sku", False),
    "order": ("commerce_order", "order_no", True),
    "refund": ("commerce_refund", "refund_no", True),
}


def outcomes(cursor: Any, brand: Brand, kind: str, n_rows: int, *, source: str = "") -> list[Outcome]:
    """What a merge has done with rows 0 … n_rows - 1, in order. For batches of a page or the API, not for files."""
    table, number, by_source = _KINDS[kind]
    found: list[Outcome | None] = [None] * n_rows
    cursor.execute(f"SELECT n, id, reason FROM {kind}_result")  # noqa: S608
    for n, pk, reason in cursor.fetchall():
        found[n] = Outcome(Result.ACCEPTED, pk, reason)
    cursor.execute(f"SELECT n, reason FROM {kind}_bad")  # noqa: S608
    for n, reason in cursor.fetchall():
        found[n] = Outcome(Result.REFUSED, None, reason)
    cursor.execute(
        f"SELECT s.n, t.id FROM {kind}_in s JOIN {table} t ON t.brand_id = %s AND t.{number} = s.{number}"  # noqa: S608
        + (" AND t.source = %s" if by_source else ""),
        [brand.pk, source] if by_source else [brand.pk],
    )
    for n, pk in cursor.fetchall():
        found[n] = found[n] or Outcome(Result.REPEATED, pk)
    return [outcome or Outcome(Result.REPEATED) for outcome in found]
