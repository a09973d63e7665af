"""Customers of orders, held while their orders are written.

Postgres has no foreign key from an order to its customer: it would look each of them up by itself, in the order of the
file, which takes as long as writing the orders. Whoever gives an order a customer holds the customer's row first,
all of a batch in one statement and in the order of their ids. It is the lock that the key would take (FOR KEY SHARE):
joining two customers and taking back an import hold the row FOR UPDATE, so one waits for the other, and afterwards sees
what the other has done.
"""

import logging
from collections.abc import Iterable, Sequence
from typing import Any

from django.db import connection, transaction

from contacts.services.identity.owner_sql import whose
from contacts.services.staging import numbers
from tenants.db.joins import joined_by_hash
from tenants.models import Brand

log = logging.getLogger(__name__)

TRIES = 3

HOLD = """
    SELECT c.id FROM contacts_contact c WHERE c.brand_id = (SELECT %(brand)s) AND c.id = ANY({ids})
     ORDER BY c.id FOR KEY SHARE
"""
# gives how many of those that are named are not there
HOLD_NAMED = f"""
    WITH named AS MATERIALIZED (SELECT DISTINCT contact_id AS id FROM {{table}} WHERE contact_id IS NOT NULL),
         held AS MATERIALIZED ({HOLD.format(ids="ARRAY(SELECT id FROM named)")})
    SELECT (SELECT count(*) FROM named) - (SELECT count(*) FROM held)
"""  # noqa: S608


def owner_of(row: str, given: str = "") -> str:
    """A sub-select: the customer whom a row of orders names by an identity."""
    named = f"{row}.buyer_value <> ''" + (f" AND {given}" if given else "")
    return whose(f"{row}.buyer_kind", f"{row}.buyer_scope", f"{row}.buyer_value", given=named)


_IS_GONE = """
    contact_id IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM contacts_contact c WHERE c.brand_id = (SELECT %(brand)s) AND c.id = g.contact_id)
"""
FIND_AGAIN = f"UPDATE order_now g SET contact_id = {owner_of('g')} WHERE {_IS_GONE}"  # noqa: S608
GIVE_UP = f"UPDATE order_now g SET contact_id = NULL WHERE {_IS_GONE}"  # noqa: S608


def hold_given(cursor: Any, brand: Brand) -> None:
    """Hold the customers whom rows of `order_in` name by id; whoever is looked for afterwards and is not there never
    will be."""
    cursor.execute(HOLD_NAMED.format(table="order_in"), {"brand": brand.pk})


def hold_found(cursor: Any, values: dict[str, Any]) -> None:
    """Hold the customers of `order_now`. Who has just become one with somebody else is looked for once more; orders of
    whom nobody is found wait."""
    for _try in range(TRIES):
        cursor.execute(HOLD_NAMED.format(table="order_now"), values)
        if not cursor.fetchone()[0]:
            return
        cursor.execute(FIND_AGAIN, values)
    cursor.execute(GIVE_UP, values)


def hold(cursor: Any, brand: Brand, contact_ids: Iterable[int]) -> set[int]:
    """Hold some customers; gives those who are there."""
    ids = numbers(sorted(set(contact_ids)))
    cursor.execute(HOLD.format(ids="%(ids)s::bigint[]"), {"brand": brand.pk, "ids": ids})
    return {row[0] for row in cursor.fetchall()}


def release_gone(cursor: Any, brand: Brand, order_ids: Sequence[int]) -> None:
    """Hold the customers of orders that have got earlier ones back, after that was written: whoever joins two customers
    waits for it, and who has become one with somebody else is not there. Orders of those wait for their buyer."""
    values = {"brand": brand.pk, "ids": numbers(order_ids)}
    cursor.execute(
        "SELECT DISTINCT contact_id FROM commerce_order WHERE brand_id = (SELECT %(brand)s) AND id = ANY(%(ids)s::bigint[])"
        " AND contact_id IS NOT NULL",
        values,
    )
    named = {row[0] for row in cursor.fetchall()}
    if gone := named - hold(cursor, brand, named):
        cursor.execute(
            "UPDATE commerce_order SET contact_id = NULL WHERE brand_id = (SELECT %(brand)s) AND id = ANY(%(ids)s::bigint[])"
            " AND contact_id = ANY(%(gone)s::bigint[])",
            values | {"gone": numbers(sorted(gone))},
        )


def release(brand: Brand) -> int:
    """Orders of customers who do not exist wait for their buyer again, each night. What is found is a mistake of code, so it
    is logged as an error."""
    with transaction.atomic(), connection.cursor() as cursor, joined_by_hash(cursor):
        cursor.execute(
            "UPDATE commerce_order o SET contact_id = NULL WHERE o.brand_id = %(brand)s AND o.contact_id IS NOT NULL"
            " AND NOT EXISTS (SELECT 1 FROM contacts_contact c WHERE c.brand_id = %(brand)s AND c.id = o.contact_id)",
            {"brand": brand.pk},
        )
        n: int = cursor.rowcount
    if n:
        log.error("brand %s had %s orders of customers who do not exist; they wait again", brand.pk, n)
    return n
