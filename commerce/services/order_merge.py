"""The merge of `order_in` and `line_in` into the orders of one source: a handful of statements for any number of
rows, in the caller's transaction.

The newest telling of an order stands, by the source's own `updated_at`; an older one only fills what is empty.
A telling without that time counts as new, but never takes an order back to an earlier state.
"""

from datetime import timedelta
from typing import Any

from django.db import IntegrityError, connection, transaction

from commerce.services import lines, owners, refund_merge, stats
from commerce.services import order_merge_sql as sql
from contacts.services.outcomes import Counts
from contacts.services.staging import analyze, drop, open_results, own_corpid
from contacts.services.timeline import FUTURE
from scrm import clock
from tenants.db.clash import is_clash, turns
from tenants.db.joins import LARGE, joined_by_hash
from tenants.models import Brand

TRIES = 3
MAX_ROUNDS = 10  # tellings of one order in one batch; of more only the newest ten are read


def merge_orders(
    brand: Brand, *, source: str, told_by: str, keep_before: bool = False, once: bool = False
) -> Counts:
    """Merge what lies in `order_in` and `line_in` (services/staging.py), in the caller's transaction.

    Afterwards, until the end of the transaction, `order_bad(n, reason)` holds what was refused and `order_result(n,
    id, is_new, reason)` what is new or has changed (reason: a remark such as `unknown_person`, who is waited for); the
    other rows of `order_in` were known. Slices of 100,000 rows at most.

    Args:
        source: where the order numbers come from; with the number it makes an order one.
        told_by: `source` of the events: api, import, page …
        keep_before: `order_before` holds what changed orders were and are: `id`, and each of order_merge_sql.COLUMNS twice
            (`old_…`).
        once: the caller has seen to it that no order is told twice in `order_in`.
    """
    now = clock.now()
    values: dict[str, Any] = {
        "brand": brand.pk, "source": source, "told_by": told_by, "now": now, "latest": now + timedelta(days=1),
        "latest_event": now + FUTURE, "round": 0, "trusting": True, "by_time": False,
    }  # fmt: skip
    counts = Counts()
    with connection.cursor() as cursor:
        values["corpid"] = own_corpid(cursor, brand)
        open_results(cursor, "order")
        drop(cursor, "order_before")
        if keep_before:
            cursor.execute(sql.BEFORE)
        update = sql.UPDATE_AND_KEEP if keep_before else sql.UPDATE
        analyze(cursor, "order_in", "line_in")
        owners.hold_given(cursor, brand)
        cursor.execute(sql.BAD, values)
        if has_repeats := not once and _has_repeats(cursor):
            cursor.execute(sql.ROUNDS)
            analyze(cursor, "order_in")
            values["trusting"] = False
        cursor.execute("SELECT (SELECT count(*) FROM order_in), (SELECT count(*) FROM line_in)")
        n_rows, n_lines = cursor.fetchone()
        values["by_time"] = n_rows > LARGE
        with joined_by_hash(cursor, max(n_rows, n_lines)):
            if n_lines:
                lines.add_products(cursor, brand)
            for turn in range(1 - MAX_ROUNDS if has_repeats else 0, 1):
                counts += _merge_round(
                    cursor, brand, values | {"round": turn}, update, has_lines=bool(n_lines)
                )
    return counts


def _has_repeats(cursor: Any) -> bool:
    cursor.execute("SELECT EXISTS (SELECT 1 FROM order_in GROUP BY order_no HAVING count(*) > 1)")
    found: bool = cursor.fetchone()[0]
    return found


def _insert(cursor: Any, values: dict[str, Any], n_new: int) -> int:
    """Make the new orders; gives how many. Of many it is taken that nobody else tells them at this moment: looking
    before each costs a quarter of the whole.

    Few are written in the order of their numbers: two that tell the same wait for each other. Many are in the order of time;
    if they meet somebody, Postgres takes back what one of the two has written here, and it is written again.
    """
    if n_new <= 1:
        cursor.execute(sql.INSERT_MISSING, values)
        return cursor.rowcount
    statement = sql.INSERT if n_new > LARGE else sql.INSERT_MISSING

    def may_repeat(error: Exception) -> bool:
        return is_clash(error) or (statement is sql.INSERT and isinstance(error, IntegrityError))

    for turn in turns(TRIES, may_repeat):
        with turn, transaction.atomic():
            cursor.execute(statement, values)
            return cursor.rowcount
        statement = sql.INSERT_MISSING  # whoever was met may have told any of them
    raise AssertionError


def _merge_round(
    cursor: Any, brand: Brand, values: dict[str, Any], update: str, *, has_lines: bool
) -> Counts:
    counts = Counts()
    cursor.execute("SELECT count(*) FROM order_in WHERE round = %(round)s", values)
    if not (n_given := cursor.fetchone()[0]):
        return counts
    drop(cursor, "order_now", "order_changed")
    cursor.execute(sql.NOW, values)
    analyze(cursor, "order_now")
    owners.hold_found(cursor, values)
    cursor.execute(sql.CHANGED)
    cursor.execute("SELECT count(*) FILTER (WHERE is_new), count(*) FROM order_now")
    n_new, n_all = cursor.fetchone()
    counts.n_new = _insert(cursor, values, n_new)
    if n_new > counts.n_new:
        cursor.execute(sql.OVERTAKEN, values)
    if counts.n_new:
        cursor.execute(sql.TELL_NEW, values)
    if n_all > counts.n_new:
        cursor.execute(
            "SELECT coalesce(array_agg(order_id ORDER BY order_id), '{}')::text FROM order_now WHERE NOT is_new"
        )
        cursor.execute(update, values | {"known": cursor.fetchone()[0]})
        analyze(cursor, "order_changed")
        cursor.execute(sql.TELL_CHANGED, values)
        cursor.execute(sql.MOVED)
        if moved := cursor.fetchall():
            cursor.execute(sql.MOVE_EVENTS, [*(list(part) for part in zip(*moved, strict=True)), brand.pk])
    cursor.execute(sql.RESULT)
    counts.n_changed = cursor.rowcount - counts.n_new
    if has_lines:
        counts.n_changed += lines.merge_lines(cursor, values, all_new=counts.n_new == n_given)
    counts.n_same = n_given - counts.n_new - counts.n_changed
    cursor.execute("SELECT count(*) FROM order_now WHERE is_new AND contact_id IS NULL")
    counts.n_waiting = cursor.fetchone()[0]
    refund_merge.attach_to_new(cursor, brand, values)
    cursor.execute(sql.NEWLY_OWNED)
    refund_merge.tell(cursor, brand, [row[0] for row in cursor.fetchall()], told_by=values["told_by"])
    stats.refresh_found(brand, sql.TOUCHED)
    return counts
