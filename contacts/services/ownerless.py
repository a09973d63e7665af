"""Rows of contacts that do not exist. Postgres has no foreign key for these tables (see the models): their checks would
cost as much as writing the rows, so the night looks instead.

An outside id of nobody would stop whoever has it from becoming a customer again; released, the next event or sync makes
them one.
"""

import logging
from collections.abc import Sequence

from django.db import connection, models, transaction

from contacts.models import Contact, ContactGram, ContactStat, Follow, Identity
from tenants.db.joins import joined_by_hash
from tenants.models import Brand

log = logging.getLogger(__name__)

TABLES: tuple[type[models.Model], ...] = (Identity, Follow, ContactStat, ContactGram)


def drop(brand: Brand, tables: Sequence[type[models.Model]] = TABLES) -> dict[str, int]:
    """Delete such rows, a transaction for each table; gives {table: how many}, empty when all is well."""
    found: dict[str, int] = {}
    contacts = Contact._meta.db_table
    for model in tables:
        table = model._meta.db_table
        with transaction.atomic(), connection.cursor() as cursor, joined_by_hash(cursor):
            cursor.execute(
                f"DELETE FROM {table} t WHERE t.brand_id = %s AND NOT EXISTS"  # noqa: S608
                f" (SELECT 1 FROM {contacts} c WHERE c.brand_id = %s AND c.id = t.contact_id)",
                [brand.pk, brand.pk],
            )
            if cursor.rowcount:
                found[table] = cursor.rowcount
    return found


def check(brand: Brand) -> dict[str, int]:
    """The same each night. What is found is a mistake of code, so it is logged as an error."""
    found = drop(brand)
    if found:
        log.error("brand %s had rows of contacts that do not exist; they were deleted: %s", brand.pk, found)
    return found
