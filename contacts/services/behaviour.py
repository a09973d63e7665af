"""行为: what people do on a brand's own pages (view, keep, put into the cart, search …), told by others in any order.

A fact that comes twice is written once. What an unknown person does waits (WaitingBehaviour) until the identity
appears.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.db import connection, transaction

from contacts import hooks
from contacts.identities import normal
from contacts.models import BehaviourKind, EventType, Identity
from contacts.services.identity.owner_sql import whose
from contacts.services.outcomes import Counts, Outcome, Result
from contacts.services.staging import (
    SCOPE,
    analyze,
    fill,
    numbers,
    open_results,
    open_table,
    own_corpid,
)
from contacts.services.timeline import FUTURE
from scrm import clock
from tenants.db.joins import joined_by_hash
from tenants.models import Brand

# word in files and the API → type of the event; other words are the brand's own kinds (BehaviourKind.key)
KINDS: dict[str, EventType] = {
    "view": EventType.VIEWED,
    "favourite": EventType.FAVOURITED,
    "cart": EventType.CARTED,
    "checkout": EventType.CHECKED_OUT,
    "search": EventType.SEARCHED,
    "coupon_used": EventType.COUPON_USED,  # data: title (the coupon's name), code
    "word_said": EventType.WORD_SAID,  # data: word (what was said); WeCom itself tells no words
}
WAIT_DAYS = 180  # so long behaviour waits for its person

COLUMNS = {
    "n": "integer NOT NULL",
    "kind": "text NOT NULL",
    "at": "timestamptz NOT NULL",
    "source_key": "text",  # what makes the fact one; else person, kind, moment, product and text do
    "contact_id": "bigint",  # who, when the caller knows; else by identity:
    "buyer_kind": "text",
    "buyer_scope": "text",
    "buyer_value": "text",
    "sku": "text",  # product
    "data": "jsonb",  # query, page, product (a name), title, code, word, quantity, amount_fen … for the sentence
}

BAD = f"""
    WITH bad AS (
        SELECT s.n, CASE
               WHEN k.kind IS NULL THEN 'unknown_kind'
               WHEN length(s.source_key) > 120 THEN 'bad_number'
               WHEN s.at > %(latest)s OR s.at < '1990-01-01' THEN 'bad_time'
               WHEN length(s.data::text) > 4000 THEN 'too_long'
               WHEN s.contact_id IS NOT NULL AND c.id IS NULL THEN 'unknown_contact'
               WHEN s.contact_id IS NULL AND (coalesce(s.buyer_value, '') = '' OR length(s.buyer_value) > 64
                    OR length(s.buyer_scope) > 64 OR s.buyer_kind IS NULL OR s.buyer_kind NOT IN
                    ({", ".join(f"'{kind}'" for kind in Identity.Kind.values)})) THEN 'bad_buyer'
               END AS reason
          FROM behaviour_in s
          LEFT JOIN behaviour_kind k ON k.kind = s.kind
          LEFT JOIN LATERAL (
               SELECT c.id FROM contacts_contact c WHERE c.brand_id = %(brand)s AND c.id = s.contact_id OFFSET 0) c
            ON s.contact_id IS NOT NULL
    ), gone AS (DELETE FROM behaviour_in s USING bad b WHERE b.n = s.n AND b.reason IS NOT NULL)
    INSERT INTO behaviour_bad SELECT n, reason FROM bad WHERE reason IS NOT NULL
"""  # noqa: S608
# the keys are claimed in their order: two that tell the same wait for each other instead of deadlocking
MERGE = f"""
    WITH told AS MATERIALIZED (
        SELECT s.n, s.contact_id AS given_contact_id, s.buyer_kind, {SCOPE} AS buyer_scope, s.buyer_value, k.type,
               coalesce(k.id, p.id) AS object_id, least(s.at, %(latest_event)s) AS at,
               coalesce(s.source_key, md5(concat_ws('|', s.contact_id, s.buyer_kind, {SCOPE}, s.buyer_value, s.kind,
                        extract(epoch FROM s.at), s.sku, s.data))) AS key,
               CASE WHEN s.sku <> '' AND p.id IS NULL THEN jsonb_build_object('sku', s.sku) ELSE '{{}}' END
               || coalesce(s.data, '{{}}') AS data
          FROM behaviour_in s
          JOIN behaviour_kind k ON k.kind = s.kind
          LEFT JOIN behaviour_product p ON p.sku = s.sku
    ), given AS MATERIALIZED (
        SELECT DISTINCT ON (t.key) t.*, coalesce(t.given_contact_id, i.contact_id) AS contact_id
          FROM told t
          LEFT JOIN LATERAL {whose("t.buyer_kind", "t.buyer_scope", "t.buyer_value")} i ON t.buyer_value <> ''
         ORDER BY t.key, t.n
    ), fresh AS (
        INSERT INTO contacts_eventkey (brand_id, source, source_key)
        SELECT %(brand)s, %(key_source)s, key FROM given ORDER BY key
        ON CONFLICT DO NOTHING RETURNING source_key
    ), new AS (
        SELECT g.* FROM given g JOIN fresh f ON f.source_key = g.key
    ), written AS (
        INSERT INTO contacts_event (brand_id, at, contact_id, type, object_id, source, data)
        SELECT %(brand)s, at, contact_id, type, object_id, %(told_by)s, data FROM new WHERE contact_id IS NOT NULL
    ), waits AS (
        INSERT INTO contacts_waitingbehaviour (brand_id, kind, scope, value, type, at, object_id, source, data,
               created_at)
        SELECT %(brand)s, buyer_kind, buyer_scope, buyer_value, type, at, object_id, %(told_by)s, data,
               %(now)s
          FROM new WHERE contact_id IS NULL
    )
    INSERT INTO behaviour_result
    SELECT n, NULL, true, CASE WHEN contact_id IS NULL THEN 'unknown_person' ELSE '' END FROM new
"""  # noqa: S608
ANY_WAITS = "SELECT EXISTS (SELECT 1 FROM contacts_waitingbehaviour WHERE brand_id = %s)"
# of a brand that is new Postgres knows nothing: it plans for any brand
ATTACH = """
    WITH gone AS (
        DELETE FROM contacts_waitingbehaviour w USING contacts_identity i
         WHERE i.brand_id = (SELECT %(brand)s) AND i.contact_id = ANY(%(contacts)s::bigint[])
           AND w.brand_id = (SELECT %(brand)s) AND w.kind = i.kind AND w.scope = i.scope AND w.value = i.value
        RETURNING w.at, i.contact_id, w.type, w.object_id, w.source, w.data
    )
    INSERT INTO contacts_event (brand_id, at, contact_id, type, object_id, source, data)
    SELECT %(brand)s, at, contact_id, type, object_id, source, data FROM gone
"""


@transaction.atomic
def record_behaviour(
    brand: Brand, rows: Sequence[dict[str, Any]], *, source: str, told_by: str = "api"
) -> list[Outcome]:
    """Behaviour as somebody tells it; one outcome for each row, in order. Safe to repeat, in any order, however late.

    Args:
        rows: dicts with the columns of COLUMNS but `n`.
        source: namespace of the source keys (≤ 18 characters): mini-program, shop, taobao …
        told_by: `source` of the events: api, import, demo.
    """
    given = [
        {**row, "n": n, "buyer_value": normal(row.get("buyer_kind") or "", row.get("buyer_value") or "")}
        for n, row in enumerate(rows)
    ]
    with connection.cursor() as cursor:
        open_table(cursor, "behaviour_in", COLUMNS)
        fill(cursor, "behaviour_in", COLUMNS, given)
        merge_behaviour(brand, source=source, told_by=told_by)
        found = [Outcome(Result.REPEATED)] * len(given)
        cursor.execute("SELECT n, reason FROM behaviour_result")
        for n, reason in cursor.fetchall():
            found[n] = Outcome(Result.ACCEPTED, None, reason)
        cursor.execute("SELECT n, reason FROM behaviour_bad")
        for n, reason in cursor.fetchall():
            found[n] = Outcome(Result.REFUSED, None, reason)
    return found


def merge_behaviour(brand: Brand, *, source: str, told_by: str) -> Counts:
    """Merge what lies in the temporary table `behaviour_in` (columns: COLUMNS; `open_table` of services/staging.py
    makes it), in the caller's transaction. Slices of 100,000 rows at most.

    Afterwards `behaviour_bad(n, reason)` holds what was refused, `behaviour_result(n, …)` what is new (reason
    `unknown_person`: it waits); the other rows were known.
    """
    now = clock.now()
    values: dict[str, Any] = {
        "brand": brand.pk, "now": now, "latest": now + timedelta(days=1), "latest_event": now + FUTURE,
        "key_source": f"b:{source}"[:20], "told_by": told_by,
    }  # fmt: skip
    with connection.cursor() as cursor:
        values["corpid"] = own_corpid(cursor, brand)
        open_results(cursor, "behaviour")
        analyze(cursor, "behaviour_in")
        _open_names(cursor)
        cursor.execute(BAD, values)

        cursor.execute("SELECT count(*) FROM behaviour_in")
        n_given = cursor.fetchone()[0]
        with joined_by_hash(cursor, n_given):
            cursor.execute(MERGE, values)
            n_new = cursor.rowcount
        cursor.execute("SELECT count(*) FROM behaviour_result WHERE reason = 'unknown_person'")
        return Counts(n_new=n_new, n_same=n_given - n_new, n_waiting=cursor.fetchone()[0])


def _open_names(cursor: Any) -> None:
    """Kinds and products of the rows, by their words."""
    open_table(cursor, "behaviour_kind", {"kind": "text", "type": "smallint", "id": "bigint"})
    # a word that the brand named before there was a kind of that name stays the brand's
    own = dict(BehaviourKind.objects.filter(archived_at=None).values_list("key", "pk"))
    kinds = [{"kind": key, "type": int(EventType.CUSTOM), "id": pk} for key, pk in own.items()]
    kinds += [{"kind": word, "type": int(t), "id": None} for word, t in KINDS.items() if word not in own]
    fill(cursor, "behaviour_kind", ("kind", "type", "id"), kinds)
    open_table(cursor, "behaviour_product", {"sku": "text", "id": "bigint"})
    cursor.execute("SELECT DISTINCT sku FROM behaviour_in WHERE sku <> ''")
    products = hooks.products_by_sku(row[0] for row in cursor.fetchall())
    fill(cursor, "behaviour_product", ("sku", "id"), [{"sku": k, "id": v} for k, v in products.items()])
    analyze(cursor, "behaviour_kind", "behaviour_product")


def attach(brand: Brand, contact_ids: Sequence[int]) -> int:
    """Give contacts whose identities are new what they did before, in the caller's transaction; gives how many."""
    if not contact_ids:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(ANY_WAITS, [brand.pk])
        if not cursor.fetchone()[0]:
            return 0
        cursor.execute(ATTACH, {"brand": brand.pk, "contacts": numbers(contact_ids)})
        return cursor.rowcount


@transaction.atomic
def purge_waiting(brand: Brand) -> int:
    """Forget what nobody has come for in WAIT_DAYS; gives how many."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM contacts_waitingbehaviour WHERE brand_id = %s AND created_at < %s",
            [brand.pk, clock.now() - timedelta(days=WAIT_DAYS)],
        )
        return cursor.rowcount
