"""One tag put on one contact: what happens most often, as one statement that Postgres has planned already.

The same as `changes.put_on` does for any number, the truth, its bitmap and the timeline; tests hold the two together.
"""

from datetime import datetime
from functools import cache
from typing import Any

from django.db import connection

from contacts.models import EventType
from scrm import clock
from tagging.models import BITS, Dim
from tagging.services.bits import bits
from tagging.services.tags import changes, marks
from tenants.models import Brand

_KINDS = {
    "brand": "bigint",
    "tag_id": "bigint",
    "contact_id": "bigint",
    "source": "text",
    "staff_id": "bigint",
    "now": "timestamptz",
    "expires_at": "timestamptz",
}
# the contact is locked, so that nobody who ends meanwhile gets a tag
_SQL = f"""
    WITH wanted AS MATERIALIZED (
        SELECT c.position::int AS position, t.name, g.name AS group_name, t.wecom_id <> '' AS is_corp
          FROM tagging_tag t
          JOIN tagging_taggroup g ON g.brand_id = %(brand)s AND g.id = t.group_id
          JOIN contacts_contact c ON c.brand_id = %(brand)s AND c.id = %(contact_id)s
         WHERE t.brand_id = %(brand)s AND t.id = %(tag_id)s AND t.deleted_at IS NULL {{only}}
           FOR KEY SHARE OF c
    ), done AS (
        INSERT INTO tagging_contacttag AS ct (brand_id, tag_id, contact_id, source, staff_id, at, expires_at, act_id)
        SELECT %(brand)s, %(tag_id)s, %(contact_id)s, %(source)s, %(staff_id)s, %(now)s, %(expires_at)s, NULL FROM wanted
        ON CONFLICT (brand_id, tag_id, contact_id) {{kept}} RETURNING {{is_new}} AS is_new
    ), told AS (
        INSERT INTO contacts_event (brand_id, at, contact_id, type, staff_id, object_id, source, data)
        SELECT %(brand)s, %(now)s, %(contact_id)s, {int(EventType.TAGGED)}, %(staff_id)s, %(tag_id)s,
               left(split_part(%(source)s, ':', 1), 20),
               jsonb_build_object('tag', w.name, 'group', w.group_name, 'why', %(source)s)
          FROM done d, wanted w WHERE d.is_new
    ) {{written}}
    SELECT w.position, w.is_corp, (SELECT d.is_new FROM done d) FROM wanted w
"""  # noqa: S608
_KEPT = """DO UPDATE
           SET source = excluded.source, staff_id = excluded.staff_id, expires_at = excluded.expires_at,
               act_id = excluded.act_id
         WHERE ct.expires_at IS NOT NULL AND (excluded.expires_at IS NULL OR excluded.expires_at > ct.expires_at)"""
# in a transaction of one statement nobody can be waited for crosswise: the bitmap is written at once
_WRITTEN = f"""
    , written AS (
        INSERT INTO tagging_dimbits AS b (brand_id, dim, val, chunk, bits)
        SELECT %(brand)s, {int(Dim.TAG)}, %(tag_id)s, w.position / {BITS},
               set_bit(0::bit({BITS}), w.position %% {BITS}, 1)
          FROM done d, wanted w WHERE d.is_new
        ON CONFLICT (brand_id, dim, val, chunk) DO UPDATE SET bits = b.bits | excluded.bits
    )
"""  # noqa: S608


@cache
def _sql(is_alone: bool) -> str:
    if is_alone:
        # what WeCom has to be told is queued in the same transaction, so a corp tag is never put on alone; who carries the
        # tag already is rare, and left to the other statement
        return _SQL.format(only="AND t.wecom_id = ''", kept="DO NOTHING", is_new="true", written=_WRITTEN)
    return _SQL.format(only="", kept=_KEPT, is_new="(xmax = 0)", written="")


def put_on(
    brand: Brand,
    *,
    tag_id: int,
    contact_id: int,
    source: str,
    staff_id: int | None = None,
    expires_at: datetime | None = None,
) -> bool:
    """Put a tag on a contact in the caller's transaction; gives whether it is new. Safe to repeat. Arguments as
    `changes.put_on`."""
    values = _values(brand, tag_id, contact_id, source, staff_id, expires_at)
    with connection.cursor() as cursor:
        cursor.execute(*connection.prepared(_sql(False), _KINDS, values))  # type: ignore[attr-defined]
        row = cursor.fetchone()
    if row is None:
        return False
    position, is_corp, is_new = row
    if is_new:
        bits.note_positions(brand, Dim.TAG, [(tag_id, position)], True)
    if is_corp:
        told = changes.given([(tag_id, contact_id)])
        marks.queue(brand, told.sql, told.params, add=True)
    return bool(is_new)


def put_on_alone(
    brand: Brand,
    *,
    tag_id: int,
    contact_id: int,
    source: str,
    staff_id: int | None = None,
    expires_at: datetime | None = None,
) -> bool | None:
    """The same as a transaction of its own. None: nothing was done, because the tag is WeCom's, somebody is not there, or
    carries it already."""
    values = _values(brand, tag_id, contact_id, source, staff_id, expires_at)
    row = connection.at_once(*connection.prepared(_sql(True), _KINDS, values))  # type: ignore[attr-defined]
    return None if row is None else row[2]


def _values(
    brand: Brand,
    tag_id: int,
    contact_id: int,
    source: str,
    staff_id: int | None,
    expires_at: datetime | None,
) -> dict[str, Any]:
    return {
        "brand": brand.pk, "tag_id": tag_id, "contact_id": contact_id, "source": source[:40], "staff_id": staff_id,
        "now": clock.now(), "expires_at": expires_at,
    }  # fmt: skip
