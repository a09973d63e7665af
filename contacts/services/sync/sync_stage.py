"""A page of relations inside Postgres: copied into a temporary table and compared with ours, all of them at once.

`sync_page` holds the rows as WeCom tells them, `sync_found` those that are not here as WeCom says. Both live as long
as the transaction. Rows that agree cost two look-ups in indexes and are never seen by Python.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from contacts.models import Follow
from contacts.services.follow import SAME
from contacts.services.identity.owner_sql import whose, whose_phone
from contacts.services.sync.sync_rows import lines
from contacts.services.sync.sync_types import Known, Row
from org.models import Corp
from tenants.db.joins import joined_by_loop
from tenants.models import Brand

_PAGE = """
    CREATE TEMP TABLE sync_page (
        n int, staff_id bigint, external_userid text, name text, avatar text, gender smallint, kind smallint,
        corp_name text, unionid text, phones text, remark text, description text, added_s bigint, add_way smallint,
        state text, tag_ids text, seen_s double precision, words text, remark_words text) ON COMMIT DROP
"""
# whose the ids of a row are: `u` by unionid and, without a relation `f`, `i` by external_userid
_UNION_OWNER = whose("'unionid'", "''", "p.unionid", brand="%(b)s", given="p.unionid <> ''")
_EXTERNAL_OWNER = whose(
    "'external_userid'", "(SELECT %(corpid)s)", "p.external_userid", brand="%(b)s", given="f.id IS NULL"
)
_PHONE_OWNER = whose_phone("x.value", brand="%(b)s")
_OWNERS = f"LEFT JOIN LATERAL {_UNION_OWNER} u ON true LEFT JOIN LATERAL {_EXTERNAL_OWNER} i ON true"
# Of a table that was empty a moment ago (a first import) Postgres has no statistics and takes several indexes for equally
# good; by the wrong one it reads all relations of the guide for each row of the page. "The next one from here on" is found
# by one index only. Brand and corp stand in sub-selects, so that it plans for any of them.
# Who a stranger is: one person for a unionid, else for an external_userid; an external_userid never looks like a unionid.
_FOUND = f"""
    CREATE TEMP TABLE sync_found ON COMMIT DROP AS
    SELECT p.n, f.id AS follow_id, coalesce(f.contact_id, i.contact_id, u.contact_id) AS contact_id,
           u.contact_id AS union_owner, f.id IS NOT NULL OR i.contact_id IS NOT NULL AS has_external,
           CASE WHEN f.id IS NULL AND i.contact_id IS NULL AND u.contact_id IS NULL
                THEN coalesce(nullif(p.unionid, ''), p.external_userid) END AS person
      FROM sync_page p
      LEFT JOIN LATERAL (
          SELECT * FROM contacts_follow
           WHERE brand_id = (SELECT %(b)s) AND staff_id = p.staff_id AND external_userid >= p.external_userid
           ORDER BY external_userid LIMIT 1) f ON f.external_userid = p.external_userid
      LEFT JOIN LATERAL (
          SELECT * FROM contacts_contact WHERE brand_id = (SELECT %(b)s) AND id = f.contact_id OFFSET 0) c ON true
      {_OWNERS}
     WHERE f.id IS NULL
        OR (c.name, c.avatar, c.gender, c.kind, c.corp_name)
           IS DISTINCT FROM (coalesce(nullif(p.name, ''), c.name), p.avatar, p.gender, p.kind, p.corp_name)
        OR c.profile_at IS NULL
        OR p.unionid <> '' AND u.contact_id IS DISTINCT FROM f.contact_id
        OR p.phones <> '' AND EXISTS (
            SELECT FROM unnest(string_to_array(p.phones, ' ')) AS x(value) WHERE NOT EXISTS {_PHONE_OWNER})
        OR f.is_pending
        OR p.add_way NOT IN (0, f.add_way) OR p.state NOT IN ('', f.state)
        OR CASE WHEN f.ended_at IS NULL THEN
               f.remark <> p.remark OR f.description <> p.description
               OR f.wecom_tag_ids <> string_to_array(p.tag_ids, ' ')::varchar[]
               OR p.added_s > extract(epoch FROM f.added_at) + {SAME.total_seconds():.0f}
           ELSE p.added_s > extract(epoch FROM f.ended_at) OR f.end_kind = '{Follow.End.GONE.value}' END
"""  # noqa: S608
_CHANGED = """
    SELECT s.n, f.id, f.contact_id, f.state, f.remark, f.description, f.wecom_tag_ids, f.add_way, f.is_pending,
           f.added_at, f.ended_at, f.end_kind, c.name, c.avatar, c.gender, c.kind, c.corp_name,
           c.profile_at IS NOT NULL, s.union_owner
      FROM sync_found s
      JOIN contacts_follow f ON f.brand_id = (SELECT %(b)s) AND f.id = s.follow_id
      JOIN contacts_contact c ON c.brand_id = (SELECT %(b)s) AND c.id = f.contact_id
"""
# compared again when those whom we know are locked: ids go over to somebody else where a contact is parted
_MOVED = f"""
    SELECT count(*) FROM sync_found s JOIN sync_page p ON p.n = s.n
      LEFT JOIN LATERAL (
          SELECT id, contact_id FROM contacts_follow
           WHERE brand_id = (SELECT %(b)s) AND id = s.follow_id OFFSET 0) f ON true
      {_OWNERS}
     WHERE s.contact_id IS DISTINCT FROM coalesce(f.contact_id, i.contact_id, u.contact_id)
"""  # noqa: S608
_COUNTS = """
    SELECT count(*), count(*) FILTER (WHERE follow_id IS NULL), count(DISTINCT person),
           count(*) FILTER (WHERE union_owner <> contact_id),
           array_agg(DISTINCT contact_id) FILTER (WHERE contact_id IS NOT NULL)
      FROM sync_found
"""
# compiling is for longer statements than these
_BEGIN = f"SET LOCAL jit = off; DROP TABLE IF EXISTS sync_page, sync_found, sync_person; {_PAGE}"


@dataclass(frozen=True)
class Found:
    """What a comparison found: how many relations are new and of how many persons whom we do not know; those that we
    have and that differ."""

    n_new: int
    n_persons: int
    n_other_owners: int  # rows whose unionid belongs to another contact
    contact_ids: list[int]  # whom we know of all these
    changed: list[tuple[Row, Known]]


def compare(brand: Brand, corp: Corp, rows: Sequence[Row], text: bytes = b"") -> Found:
    """Copy rows of one corp into Postgres and compare them with ours, in the caller's transaction."""
    given: dict[str, Any] = {"b": brand.pk, "corpid": corp.corpid}
    with connection.cursor() as cursor:
        # Foreign keys are checked by plans that a connection keeps. One made while the tables were empty may walk the
        # brand's part of any index; in a first import, that is every row for every row, until autovacuum has looked.
        cursor.execute(f"DISCARD PLANS; {_BEGIN}")
        cursor.copy_expert("COPY sync_page FROM STDIN", io.BytesIO(text or lines(rows)))
        with joined_by_loop(cursor, sorting=False):
            cursor.execute(_FOUND, given)
            cursor.execute(_COUNTS)
            n_found, n_new, n_persons, n_other_owners, contact_ids = cursor.fetchone()
            changed = []
            if n_found > n_new:
                cursor.execute(_CHANGED, given)
                changed = [(rows[found[0]], _known(found)) for found in sorted(cursor.fetchall())]
    return Found(n_new, n_persons, n_other_owners, contact_ids or [], changed)


def have_moved(brand: Brand, corp: Corp) -> bool:
    """Whether somebody else than the comparison has found has a relation or an id by now."""
    with connection.cursor() as cursor:
        cursor.execute(_MOVED, {"b": brand.pk, "corpid": corp.corpid})
        return bool(cursor.fetchone()[0])


def _known(found: tuple) -> Known:
    return Known(*found[1:12], found[12:18], found[18])  # type: ignore[call-arg]  # a row of _CHANGED
