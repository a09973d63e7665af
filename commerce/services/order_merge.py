"""The merge of `order_in` and `line_in` into the orders of one source: a handful of statements for any number of
rows, in the caller's transaction.

The newest telling of an order stands, by the source's own `updated_at`; an older one only fills what is empty.
A telling without that time counts as new, but never takes an order back to an earlier state.
"""

from datetime import timedelta
from typing import Any

from django.db import IntegrityError, connection, transaction

from commerce.models import Order
from commerce.services import lines, refund_merge, stats
from commerce.services.sql import GUIDE_AT, PAID_STATES, is_sale, is_to_tell
from contacts.models import EventType, Identity
from contacts.services.outcomes import Counts
from contacts.services.staging import SCOPE, analyze, drop, numbers, open_results, own_corpid
from contacts.services.timeline import FUTURE
from scrm import clock
from tenants.db.joins import LARGE, joined_by_hash
from tenants.models import Brand

MAX_ROUNDS = 10  # tellings of one order in one batch; of more only the newest ten are read
S = Order.State

BAD = f"""
    WITH bad AS (
        SELECT s.n, CASE
               WHEN s.order_no = '' OR length(s.order_no) > 64 THEN 'bad_number'
               WHEN s.amount_fen IS NULL OR s.amount_fen NOT BETWEEN 0 AND 100000000000 THEN 'bad_amount'
               WHEN s.n_items < 0 THEN 'bad_quantity'
               WHEN s.state IS NOT NULL AND s.state NOT IN ({", ".join(str(s.value) for s in S)})
                    THEN 'bad_state'
               WHEN s.buyer_value <> '' AND (s.buyer_kind IS NULL OR s.buyer_kind NOT IN
                    ({", ".join(f"'{kind}'" for kind in Identity.Kind.values)})) THEN 'bad_buyer'
               WHEN length(s.buyer_value) > 64 OR length(s.buyer_scope) > 64 THEN 'bad_buyer'
               WHEN greatest(s.placed_at, s.paid_at) > %(latest)s OR least(s.placed_at, s.paid_at) < '1990-01-01'
                    THEN 'bad_time'
               WHEN s.contact_id IS NOT NULL AND NOT EXISTS (
                    SELECT 1 FROM contacts_contact c WHERE c.brand_id = %(brand)s AND c.id = s.contact_id)
                    THEN 'unknown_contact'
               END AS reason
          FROM order_in s
    ), gone AS (DELETE FROM order_in s USING bad b WHERE b.n = s.n AND b.reason IS NOT NULL)
    INSERT INTO order_bad SELECT n, reason FROM bad WHERE reason IS NOT NULL
"""  # noqa: S608

# the newest telling of each order is of round 0, the one before it of round -1 …
ROUNDS = """
    UPDATE order_in s SET round = r.round
      FROM (SELECT n, 1 - row_number() OVER (PARTITION BY order_no
                   ORDER BY coalesce(updated_at, 'infinity') DESC, n DESC) AS round FROM order_in) r
     WHERE r.n = s.n
"""


# ---- what a telling `g` makes of an order `o`

_NEWER = "(g.updated_at IS NULL OR g.updated_at >= o.updated_at)"


def _fold(guide: str, place: str) -> dict[str, str]:
    """Column → its value after the telling; guide and place: SQL of the guide and store that follow from the
    customer."""
    filled = {
        "contact_id": "g.contact_id",
        "paid_at": "g.paid_at",
        "placed_at": "g.placed_at",
        "staff_id": "g.staff_id",
        "store_id": "g.store_id",
        "channel": "nullif(g.channel, '')",
    }
    fold = {
        name: f"CASE WHEN {_NEWER} THEN coalesce({value}, o.{name}) ELSE coalesce(o.{name}, {value}) END"
        for name, value in filled.items()
    }
    fold["paid_at"] = f"coalesce({fold['paid_at']}, g.paid_default)"
    fold["placed_at"] = f"CASE WHEN {_NEWER} THEN coalesce(g.placed_at, o.placed_at) ELSE o.placed_at END"
    fold["channel"] = f"coalesce(CASE WHEN {_NEWER} THEN coalesce(nullif(g.channel, ''), o.channel)"
    fold["channel"] += " ELSE coalesce(nullif(o.channel, ''), g.channel) END, '')"
    fold["staff_id"] = f"coalesce({fold['staff_id']}, {guide})"
    fold["store_id"] = f"coalesce({fold['store_id']}, {place})"
    for name in ("buyer_kind", "buyer_scope", "buyer_value"):
        takes = f"g.buyer_value <> '' AND ({_NEWER} OR o.buyer_value = '')"
        fold[name] = f"CASE WHEN {takes} THEN g.{name} ELSE o.{name} END"
    fold["amount_fen"] = f"CASE WHEN {_NEWER} THEN g.amount_fen ELSE o.amount_fen END"
    fold["n_items"] = f"CASE WHEN {_NEWER} THEN coalesce(g.n_items, o.n_items) ELSE o.n_items END"
    fold["state"] = (
        f"CASE WHEN NOT {_NEWER} THEN o.state WHEN g.updated_at IS NULL THEN greatest(o.state, g.state)"
        " ELSE g.state END"
    )
    fold["updated_at"] = "greatest(o.updated_at, g.updated_at)"
    return fold


_COLUMNS = list(_fold("", ""))
_OLD = ", ".join(f"o.{name}" for name in _COLUMNS)

_GUIDE = GUIDE_AT.format(
    contact="g.contact_id",
    at="coalesce(g.paid_at, o.paid_at, g.paid_default, g.placed_at)",
    needed="g.staff_id IS NULL AND o.staff_id IS NULL",
)
_INPUT = _fold("d.staff_id", "coalesce(g.staff_store_id, d.store_id)")

# new orders, and those that this telling may change. Each step is materialized: under row-level security Postgres takes
# an index only for a comparison with a plain column, `coalesce(…)` might leak. Many are joined as whole tables
NOW = f"""
    CREATE TEMP TABLE order_now ON COMMIT DROP AS
    WITH given AS MATERIALIZED (
        SELECT s.n, s.order_no, s.contact_id AS given_contact_id, coalesce(s.buyer_kind, '') AS buyer_kind,
               {SCOPE} AS buyer_scope, coalesce(s.buyer_value, '') AS buyer_value, s.placed_at, s.paid_at,
               CASE WHEN s.state IN {PAID_STATES} THEN coalesce(s.placed_at, s.updated_at, %(now)s) END
               AS paid_default,
               s.amount_fen, coalesce(s.n_items, l.n_items)::int AS n_items,
               coalesce(s.state, CASE WHEN s.paid_at IS NULL THEN {S.UNPAID.value} ELSE {S.PAID.value} END)::smallint
               AS state,
               t.id AS staff_id, t.store_id AS staff_store_id, w.id AS store_id,
               coalesce(left(s.channel, 30), '') AS channel, s.updated_at
          FROM order_in s
          LEFT JOIN (SELECT DISTINCT ON (userid) userid, id, store_id FROM org_staff
                      WHERE brand_id = %(brand)s AND userid <> '' ORDER BY userid, id) t
            ON t.userid = lower(s.staff_userid)
          LEFT JOIN (SELECT DISTINCT ON (word) word, id FROM (
                        SELECT code AS word, id, 1 AS rank FROM org_store WHERE brand_id = %(brand)s AND code <> ''
                        UNION ALL SELECT name, id, 2 FROM org_store WHERE brand_id = %(brand)s) names
                      ORDER BY word, rank, id) w ON w.word = s.store_code
          LEFT JOIN (SELECT order_n, sum(quantity) AS n_items FROM line_in GROUP BY order_n) l ON l.order_n = s.n
         WHERE s.round = %(round)s
    ), g AS MATERIALIZED (
        SELECT x.*, coalesce(x.given_contact_id, i.contact_id) AS contact_id
          FROM given x
          LEFT JOIN contacts_identity i ON i.brand_id = %(brand)s AND i.kind = x.buyer_kind
                AND i.scope = x.buyer_scope AND i.value = x.buyer_value AND x.buyer_value <> ''
    )
    SELECT g.n, g.order_no, g.contact_id, g.buyer_kind, g.buyer_scope, g.buyer_value, g.placed_at,
           CASE WHEN o.id IS NULL THEN coalesce(g.paid_at, g.paid_default) ELSE g.paid_at END AS paid_at,
           g.paid_default, g.amount_fen, g.n_items, g.state, g.staff_id, g.store_id, g.channel, g.updated_at,
           coalesce(g.staff_store_id, d.store_id) AS place_id, d.staff_id AS guide_id, o.id IS NULL AS is_new,
           coalesce(o.id, nextval((SELECT pg_get_serial_sequence('commerce_order', 'id')::regclass))) AS order_id
      FROM g
      LEFT JOIN commerce_order o ON o.brand_id = %(brand)s AND o.source = %(source)s AND o.order_no = g.order_no
      LEFT JOIN LATERAL ({_GUIDE}) d ON true
     WHERE o.id IS NULL OR ({_OLD}) IS DISTINCT FROM ({", ".join(_INPUT[name] for name in _COLUMNS)})
"""  # noqa: S608
INSERT = f"""
    INSERT INTO commerce_order (brand_id, id, source, order_no, contact_id, buyer_kind, buyer_scope, buyer_value,
           placed_at, paid_at, amount_fen, refunded_fen, n_items, state, is_sale, staff_id, store_id, channel,
           is_told, updated_at, created_at)
    SELECT %(brand)s, g.order_id, %(source)s, g.order_no, g.contact_id, g.buyer_kind, g.buyer_scope, g.buyer_value,
           coalesce(g.placed_at, g.paid_at, g.updated_at, %(now)s), g.paid_at, g.amount_fen, 0,
           coalesce(g.n_items, 0), g.state, {is_sale("g").replace("g.refunded_fen", "0")},
           coalesce(g.staff_id, g.guide_id), coalesce(g.store_id, g.place_id), g.channel,
           {is_to_tell("g")}, coalesce(g.updated_at, g.paid_at, g.placed_at, %(now)s), %(now)s
      FROM order_now g WHERE g.is_new ORDER BY g.order_no
"""  # noqa: S608
# somebody else has just told the same orders: they are there now
OVERTAKEN = """
    UPDATE order_now g SET is_new = false, order_id = x.id
      FROM (SELECT n.n, o.id FROM order_now n
              JOIN commerce_order o ON o.brand_id = %(brand)s AND o.source = %(source)s AND o.order_no = n.order_no
             WHERE n.is_new AND o.id <> n.order_id) x
     WHERE x.n = g.n
"""
_EVENT = "INSERT INTO contacts_event (brand_id, at, contact_id, type, staff_id, object_id, source, data)"
TELL_NEW = f"""
    {_EVENT}
    SELECT %(brand)s, least(g.paid_at, %(latest_event)s), g.contact_id, {EventType.ORDER_PAID.value},
           coalesce(g.staff_id, g.guide_id), g.order_id, %(told_by)s,
           jsonb_build_object('order_no', g.order_no, 'amount_fen', g.amount_fen)
      FROM order_now g WHERE g.is_new AND {is_to_tell("g")} ORDER BY 2
"""  # noqa: S608
_FOLDED = _fold("g.guide_id", "g.place_id")
# gives what has changed to `order_changed`; the rows are locked in the order of their ids
UPDATE = f"""
    WITH locked AS (
        SELECT o.* FROM commerce_order o
         WHERE o.brand_id = %(brand)s AND o.id = ANY(%(known)s::bigint[]) ORDER BY o.id FOR NO KEY UPDATE
    ), folded AS (
        SELECT o.id, o.refunded_fen, o.contact_id AS old_contact_id, o.is_told AS was_told,
               {", ".join(f"{value} AS {name}" for name, value in _FOLDED.items())}
          FROM locked o JOIN order_now g ON g.order_id = o.id
    ), done AS (
        UPDATE commerce_order o
           SET {", ".join(f"{name} = f.{name}" for name in _COLUMNS)},
               is_sale = {is_sale("f")}, is_told = f.was_told OR {is_to_tell("f")}
          FROM folded f
         WHERE o.brand_id = %(brand)s AND o.id = ANY(%(known)s::bigint[]) AND o.id = f.id
           AND ({_OLD}) IS DISTINCT FROM ({", ".join(f"f.{name}" for name in _COLUMNS)})
        RETURNING o.id, o.order_no, o.contact_id, f.old_contact_id, o.staff_id, o.paid_at, o.amount_fen,
                  NOT f.was_told AND o.is_told AS is_to_tell
    )
    INSERT INTO order_changed SELECT * FROM done
"""  # noqa: S608
CHANGED = """
    CREATE TEMP TABLE order_changed (order_id bigint, order_no text, contact_id bigint, old_contact_id bigint,
        staff_id bigint, paid_at timestamptz, amount_fen bigint, is_to_tell boolean) ON COMMIT DROP
"""
TELL_CHANGED = f"""
    {_EVENT}
    SELECT %(brand)s, least(c.paid_at, %(latest_event)s), c.contact_id, {EventType.ORDER_PAID.value}, c.staff_id,
           c.order_id, %(told_by)s, jsonb_build_object('order_no', c.order_no, 'amount_fen', c.amount_fen)
      FROM order_changed c WHERE c.is_to_tell ORDER BY 2
"""  # noqa: S608
# an order that turns out to be another customer's takes its events along
MOVED = "SELECT order_id, old_contact_id, contact_id FROM order_changed WHERE old_contact_id <> contact_id"
MOVE_EVENTS = f"""
    UPDATE contacts_event e SET contact_id = x.now_id
      FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[]) x(order_id, old_id, now_id)
     WHERE e.brand_id = %s AND e.contact_id = x.old_id AND e.object_id = x.order_id
       AND e.type IN ({EventType.ORDER_PAID.value}, {EventType.ORDER_REFUNDED.value})
"""  # noqa: S608
# the refunds of orders whose customer has just become known
NEWLY_OWNED = "SELECT order_id FROM order_changed WHERE contact_id IS NOT NULL AND old_contact_id IS NULL"
RESULT = """
    INSERT INTO order_result
    SELECT g.n, g.order_id, g.is_new,
           CASE WHEN g.contact_id IS NULL AND g.buyer_value <> '' THEN 'unknown_person'
                WHEN s.staff_userid <> '' AND g.staff_id IS NULL THEN 'unknown_guide'
                WHEN s.store_code <> '' AND g.store_id IS NULL THEN 'unknown_store' ELSE '' END
      FROM order_now g JOIN order_in s ON s.n = g.n
     WHERE g.is_new OR EXISTS (SELECT 1 FROM order_changed c WHERE c.order_id = g.order_id)
"""
TOUCHED = """
    SELECT contact_id FROM order_now WHERE is_new AND contact_id IS NOT NULL
    UNION SELECT contact_id FROM order_changed WHERE contact_id IS NOT NULL
    UNION SELECT old_contact_id FROM order_changed WHERE old_contact_id IS NOT NULL
"""


def merge_orders(brand: Brand, *, source: str, told_by: str) -> Counts:
    """Merge what lies in `order_in` and `line_in` (services/staging.py), in the caller's transaction.

    Afterwards, until the end of the transaction, `order_bad(n, reason)` holds what was refused and `order_result(n,
    id, is_new, reason)` what is new or has changed (reason: a remark such as `unknown_person`, who is waited for); the
    other rows of `order_in` were known. Slices of 100,000 rows at most.

    Args:
        source: where the order numbers come from; with the number it makes an order one.
        told_by: `source` of the events: api, import, page …
    """
    now = clock.now()
    values: dict[str, Any] = {
        "brand": brand.pk, "source": source, "told_by": told_by, "now": now, "latest": now + timedelta(days=1),
        "latest_event": now + FUTURE, "round": 0,
    }  # fmt: skip
    counts = Counts()
    with connection.cursor() as cursor:
        values["corpid"] = own_corpid(cursor, brand)
        open_results(cursor, "order")
        analyze(cursor, "order_in", "line_in")
        cursor.execute(BAD, values)
        cursor.execute("SELECT EXISTS (SELECT 1 FROM order_in GROUP BY order_no HAVING count(*) > 1)")
        has_repeats = cursor.fetchone()[0]
        if has_repeats:
            cursor.execute(ROUNDS)
            analyze(cursor, "order_in")
        cursor.execute("SELECT (SELECT count(*) FROM order_in), (SELECT count(*) FROM line_in)")
        n_rows, n_lines = cursor.fetchone()
        with joined_by_hash(cursor, max(n_rows, n_lines)):
            if n_lines:
                lines.add_products(cursor, brand)
            for turn in range(1 - MAX_ROUNDS if has_repeats else 0, 1):
                counts += _merge_round(cursor, brand, values | {"round": turn}, has_lines=bool(n_lines))
    return counts


def _insert(cursor: Any, values: dict[str, Any], n_new: int) -> int:
    """Make the new orders; gives how many. Of many it is taken that nobody else tells them at this moment: looking
    before each costs a quarter of the whole."""
    if n_new > LARGE:
        try:
            with transaction.atomic():
                cursor.execute(INSERT, values)
                return cursor.rowcount
        except IntegrityError:
            pass
    cursor.execute(f"{INSERT} ON CONFLICT DO NOTHING", values)
    return cursor.rowcount


def _merge_round(cursor: Any, brand: Brand, values: dict[str, Any], *, has_lines: bool) -> Counts:
    counts = Counts()
    cursor.execute("SELECT count(*) FROM order_in WHERE round = %(round)s", values)
    if not (n_given := cursor.fetchone()[0]):
        return counts
    drop(cursor, "order_now", "order_changed")
    cursor.execute(NOW, values)
    analyze(cursor, "order_now")
    cursor.execute(CHANGED)
    cursor.execute("SELECT count(*) FILTER (WHERE is_new), count(*) FROM order_now")
    n_new, n_all = cursor.fetchone()
    counts.n_new = _insert(cursor, values, n_new)
    if n_new > counts.n_new:
        cursor.execute(OVERTAKEN, values)
    if counts.n_new:
        cursor.execute(TELL_NEW, values)
    if n_all > counts.n_new:
        cursor.execute("SELECT order_id FROM order_now WHERE NOT is_new")
        cursor.execute(UPDATE, values | {"known": numbers(row[0] for row in cursor.fetchall())})
        analyze(cursor, "order_changed")
        cursor.execute(TELL_CHANGED, values)
        cursor.execute(MOVED)
        if moved := cursor.fetchall():
            cursor.execute(MOVE_EVENTS, [*(list(part) for part in zip(*moved, strict=True)), brand.pk])
    cursor.execute(RESULT)
    counts.n_changed = cursor.rowcount - counts.n_new
    if has_lines:
        counts.n_changed += lines.merge_lines(cursor, values, all_new=counts.n_new == n_given)
    counts.n_same = n_given - counts.n_new - counts.n_changed
    cursor.execute("SELECT count(*) FROM order_now WHERE is_new AND contact_id IS NULL")
    counts.n_waiting = cursor.fetchone()[0]
    refund_merge.attach_to_new(cursor, brand, values)
    cursor.execute(NEWLY_OWNED)
    refund_merge.tell(cursor, brand, [row[0] for row in cursor.fetchall()], told_by=values["told_by"])
    cursor.execute(TOUCHED)
    stats.refresh(brand, [row[0] for row in cursor.fetchall()])
    return counts
