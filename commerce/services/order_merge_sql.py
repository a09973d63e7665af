"""The statements of commerce/services/order_merge.py: what lies in `order_in` and `line_in` against the orders that are there."""

from commerce.models import Order
from commerce.services.owners import owner_of
from commerce.services.sql import GUIDE_AT, PAID_STATES, is_sale, is_to_tell
from contacts.models import EventType, Identity
from contacts.services.staging import SCOPE

S = Order.State

BAD = f"""
    WITH bad AS MATERIALIZED (SELECT x.n, x.reason FROM (
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
               WHEN s.contact_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM contacts_contact c
                    WHERE c.brand_id = (SELECT %(brand)s) AND c.id = s.contact_id OFFSET 0) THEN 'unknown_contact'
               END AS reason
          FROM order_in s) x WHERE x.reason IS NOT NULL
    ), gone AS (DELETE FROM order_in s USING bad b WHERE b.n = s.n)
    INSERT INTO order_bad SELECT n, reason FROM bad
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


COLUMNS = list(_fold("", ""))
_OLD = ", ".join(f"o.{name}" for name in COLUMNS)

_GUIDE = GUIDE_AT.format(
    contact="g.contact_id",
    at="coalesce(g.paid_at, o.paid_at, g.paid_default, g.placed_at)",
    needed="g.staff_id IS NULL AND o.staff_id IS NULL",
)
_INPUT = _fold("d.staff_id", "coalesce(g.staff_store_id, d.store_id)")

# new orders, and those that this telling may change. Each step is materialized: under row-level security Postgres takes
# an index only for a comparison with a plain column, `coalesce(…)` might leak. Buyers and orders are looked up one by one:
# a slice of a file must not cost as much as the brand is large. What the caller has found already is not looked for.
# Ids are given in the order of time, in which the rows are written then
NOW = f"""
    CREATE TEMP TABLE order_now ON COMMIT DROP AS
    WITH given AS MATERIALIZED (
        SELECT s.n, s.order_no, coalesce(s.buyer_kind, '') AS buyer_kind,
               {SCOPE} AS buyer_scope, coalesce(s.buyer_value, '') AS buyer_value, s.placed_at, s.paid_at,
               CASE WHEN s.state IN {PAID_STATES} THEN coalesce(s.placed_at, s.updated_at, %(now)s) END
               AS paid_default,
               s.amount_fen, coalesce(s.n_items, l.n_items)::int AS n_items,
               coalesce(s.state, CASE WHEN s.paid_at IS NULL THEN {S.UNPAID.value} ELSE {S.PAID.value} END)::smallint
               AS state,
               t.id AS staff_id, t.store_id AS staff_store_id, w.id AS store_id,
               coalesce(left(s.channel, 30), '') AS channel, s.updated_at, s.is_fresh AND %(trusting)s AS is_fresh,
               coalesce(s.contact_id, s.found_id) AS known_id, s.new_id
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
        SELECT x.*, coalesce(x.known_id, i.contact_id) AS contact_id
          FROM given x
          LEFT JOIN LATERAL {owner_of("x", "x.known_id IS NULL")} i ON true
         ORDER BY CASE WHEN %(by_time)s THEN coalesce(x.placed_at, x.paid_at) END, x.order_no
    )
    SELECT g.n, g.order_no, g.contact_id, g.buyer_kind, g.buyer_scope, g.buyer_value, g.placed_at,
           CASE WHEN o.id IS NULL THEN coalesce(g.paid_at, g.paid_default) ELSE g.paid_at END AS paid_at,
           g.paid_default, g.amount_fen, g.n_items, g.state, g.staff_id, g.store_id, g.channel, g.updated_at,
           coalesce(g.staff_store_id, d.store_id) AS place_id, d.staff_id AS guide_id, o.id IS NULL AS is_new,
           coalesce(o.id, g.new_id, nextval((SELECT pg_get_serial_sequence('commerce_order', 'id')::regclass))) AS order_id
      FROM g
      LEFT JOIN LATERAL (
           SELECT o.* FROM commerce_order o WHERE o.brand_id = (SELECT %(brand)s) AND o.source = %(source)s
              AND o.order_no = g.order_no AND NOT g.is_fresh OFFSET 0) o ON true
      LEFT JOIN LATERAL ({_GUIDE}) d ON true
     WHERE o.id IS NULL OR ({_OLD}) IS DISTINCT FROM ({", ".join(_INPUT[name] for name in COLUMNS)})
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
      FROM order_now g WHERE g.is_new
"""  # noqa: S608
INSERT_MISSING = f"{INSERT} ON CONFLICT DO NOTHING"
# somebody else has just told the same orders: they are there now
OVERTAKEN = """
    UPDATE order_now g SET is_new = false, order_id = x.id
      FROM (SELECT n.n, o.id FROM order_now n
             CROSS JOIN LATERAL (
                   SELECT o.id FROM commerce_order o WHERE o.brand_id = (SELECT %(brand)s) AND o.source = %(source)s
                      AND o.order_no = n.order_no OFFSET 0) o
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
_KEPT = ", ".join(f"old_{name}, {name}" for name in COLUMNS)
_KEEP = f", kept AS (INSERT INTO order_before SELECT id, {_KEPT} FROM done)"  # noqa: S608
# gives what has changed to `order_changed`; the rows are locked in the order of their ids
_UPDATE = f"""
    WITH locked AS (
        SELECT o.* FROM commerce_order o
         WHERE o.brand_id = (SELECT %(brand)s) AND o.id = ANY(%(known)s::bigint[]) ORDER BY o.id FOR NO KEY UPDATE
    ), folded AS (
        SELECT o.id, o.refunded_fen, o.is_told AS was_told,
               {", ".join(f"{value} AS {name}, o.{name} AS old_{name}" for name, value in _FOLDED.items())}
          FROM locked o JOIN order_now g ON g.order_id = o.id
    ), done AS (
        UPDATE commerce_order o
           SET {", ".join(f"{name} = f.{name}" for name in COLUMNS)},
               is_sale = {is_sale("f")}, is_told = f.was_told OR {is_to_tell("f")}
          FROM folded f
         WHERE o.brand_id = (SELECT %(brand)s) AND o.id = ANY(%(known)s::bigint[]) AND o.id = f.id
           AND ({_OLD}) IS DISTINCT FROM ({", ".join(f"f.{name}" for name in COLUMNS)})
        RETURNING o.id, o.order_no, NOT f.was_told AND o.is_told AS is_to_tell,
                  {", ".join(f"o.{name}, f.old_{name}" for name in COLUMNS)}
    ){{kept}}
    INSERT INTO order_changed
    SELECT id, order_no, contact_id, old_contact_id, staff_id, paid_at, amount_fen, is_to_tell FROM done
"""  # noqa: S608
UPDATE, UPDATE_AND_KEEP = _UPDATE.format(kept=""), _UPDATE.format(kept=_KEEP)
BEFORE = f"""
    CREATE TEMP TABLE order_before ON COMMIT DROP AS
    SELECT o.id, {", ".join(f"o.{name} AS old_{name}, o.{name}" for name in COLUMNS)} FROM commerce_order o WHERE false
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
