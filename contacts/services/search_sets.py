# ruff: noqa: S608  parts of one statement, put together here
"""Grams of a hundred thousand contacts at once: what `search.refresh_grams` does, without them going through Python."""

from collections.abc import Sequence
from typing import Any

from django.db import connection

from tenants.db.joins import joined_by_hash
from tenants.models import Brand

# Grams of a query `x(id, text)`. Each part reads what the one before gives (LATERAL … OFFSET 0): with statistics of
# yesterday Postgres takes a hundred thousand new contacts for one and would compare everything with everything.
_GRAMS = """
    SELECT DISTINCT x.id, g.gram FROM ({texts}) AS x
      CROSS JOIN LATERAL (SELECT btrim(regexp_replace(lower(x.text), '\\s+', ' ', 'g')) AS plain OFFSET 0) p
      CROSS JOIN LATERAL generate_series(1, length(p.plain)) AS k
      CROSS JOIN LATERAL (VALUES (substr(p.plain, k, 1)), (substr(p.plain, k, 2))) AS g(gram)
     WHERE p.plain <> '' AND g.gram <> ' '
"""
_TEXTS = """
    SELECT i.id, t.text FROM unnest(%(ids)s::bigint[]) AS i(id) CROSS JOIN LATERAL (
        SELECT c.name AS text FROM contacts_contact c WHERE c.brand_id = %(brand)s AND c.id = i.id
        UNION ALL
        SELECT f.remark FROM contacts_follow f WHERE f.brand_id = %(brand)s AND f.contact_id = i.id AND f.remark <> ''
        OFFSET 0) t
"""
_INSERT = "INSERT INTO contacts_contactgram (brand_id, contact_id, gram)"
_ADD_GRAMS = f"{_INSERT} SELECT %(brand)s, id, gram FROM ({_GRAMS.format(texts=_TEXTS)}) w ORDER BY gram, id"
# names repeat: each is taken apart once
_ADD_NAMES = f"""
    {_INSERT}
    WITH given AS MATERIALIZED ({{texts}}), names AS MATERIALIZED (SELECT DISTINCT text FROM given),
         grams AS MATERIALIZED ({_GRAMS.format(texts="SELECT text AS id, text FROM names")})
    SELECT %(brand)s, g.id, w.gram FROM given g JOIN grams w ON w.id = g.text ORDER BY w.gram, g.id
"""
_PRESENT = """
    SELECT i.id, g.gram FROM unnest(%(ids)s::bigint[]) AS i(id) CROSS JOIN LATERAL (
        SELECT gram FROM contacts_contactgram g WHERE g.brand_id = %(brand)s AND g.contact_id = i.id OFFSET 0) g
"""
_GONE = f"SELECT array_agg(id), array_agg(gram) FROM ({_PRESENT} EXCEPT {_GRAMS.format(texts=_TEXTS)}) x"


_DELETE = """
    DELETE FROM contacts_contactgram g USING unnest(%s::bigint[], %s::text[]) AS x(contact_id, gram)
     WHERE g.brand_id = %s AND g.contact_id = x.contact_id AND g.gram = x.gram
"""


def add_grams(brand: Brand, texts: str) -> None:
    """Grams of contacts that this transaction has made, set-based.

    Args:
        texts: a query of `id`, `text`, one for each contact.
    """
    with connection.cursor() as cursor, joined_by_hash(cursor):
        cursor.execute(_ADD_NAMES.format(texts=texts), {"brand": brand.pk})


def refill_grams(brand: Brand, contact_ids: Sequence[int]) -> None:
    """Make the grams of many contacts agree with their names and remarks; only what has to go passes through Python."""
    params: dict[str, Any] = {"brand": brand.pk, "ids": list(contact_ids)}
    with connection.cursor() as cursor:
        cursor.execute(_GONE, params)
        ids, grams = cursor.fetchone()
        if ids:
            cursor.execute(_DELETE, [ids, grams, brand.pk])
        cursor.execute(f"{_ADD_GRAMS} ON CONFLICT DO NOTHING", params)
