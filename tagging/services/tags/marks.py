"""Corp tags on their way to WeCom: one queued call for each relation, and what is still on its way."""

import secrets
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Q

from org.models import Corp
from scrm import clock
from tenants.db.joins import joined_by_hash
from tenants.models import Brand
from wecom.models import OutboundCall
from wecom.services import outbound

FEW = 64  # pairs

# Relations that show something else than they should; the calls that wait and say the contrary lose it (they
# might be made after the new one, or fail for hours first); the new calls; what each relation will show. Of the tables only
# rows of these people are read, and the brand is a sub-select: see changes_sql.
_QUEUE = """
    WITH wanted AS MATERIALIZED (
        SELECT p.contact_id, g.corp_id, array_agg(DISTINCT t.wecom_id::text) AS ids
          FROM ({pairs}) p
          JOIN tagging_tag t ON t.brand_id = (SELECT %(brand)s) AND t.id = p.tag_id AND t.wecom_id <> '' AND t.deleted_at IS NULL
          JOIN tagging_taggroup g ON g.brand_id = (SELECT %(brand)s) AND g.id = t.group_id AND g.corp_id IS NOT NULL
         GROUP BY 1, 2
    ),
    rel AS MATERIALIZED (
        SELECT f.id, f.corp_id, f.external_userid, s.userid,
               ARRAY(SELECT i FROM unnest(w.ids) i WHERE (i = ANY (f.wecom_tag_ids)) = {shown} ORDER BY i) AS change
          FROM wanted w
          JOIN contacts_follow f ON f.brand_id = (SELECT %(brand)s) AND f.contact_id = w.contact_id AND f.corp_id = w.corp_id
           AND f.contact_id = ANY (ARRAY(SELECT contact_id FROM wanted))
          JOIN org_staff s ON s.brand_id = (SELECT %(brand)s) AND s.id = f.staff_id
         WHERE f.ended_at IS NULL AND NOT f.is_pending AND {differs}
         ORDER BY f.id FOR UPDATE OF f
    ),
    contrary AS MATERIALIZED (
        SELECT o.id, (o.payload -> '{other}') - r.change AS rest
          FROM rel r JOIN wecom_outboundcall o
            ON o.brand_id = (SELECT %(brand)s) AND o.subject = r.external_userid AND o.corp_id = r.corp_id
           AND o.subject = ANY (ARRAY(SELECT external_userid FROM rel))
         WHERE o.subject <> '' AND o.kind = %(kind)s AND o.state = %(waiting)s AND o.payload ->> 'userid' = r.userid
           AND o.payload -> '{other}' ?| r.change
           FOR UPDATE OF o SKIP LOCKED
    ),
    taken_back AS (
        UPDATE wecom_outboundcall o
           SET payload = jsonb_set(o.payload, '{{{other}}}', c.rest),
               state = CASE WHEN {empty} THEN %(done)s ELSE o.state END,
               done_at = CASE WHEN {empty} THEN %(now)s::timestamptz END
          FROM contrary c WHERE o.brand_id = (SELECT %(brand)s) AND o.id = c.id AND o.id = ANY (ARRAY(SELECT id FROM contrary))
    ),
    shows AS (
        UPDATE contacts_follow f SET wecom_tag_ids = {becomes}
          FROM rel r WHERE f.brand_id = (SELECT %(brand)s) AND f.id = r.id AND f.id = ANY (ARRAY(SELECT id FROM rel))
    )
    INSERT INTO wecom_outboundcall (brand_id, corp_id, kind, state, next_try_at, created_at, n_tries, error,
                                    key, subject, payload)
    SELECT %(brand)s, corp_id, %(kind)s, %(waiting)s, %(now)s, %(now)s, 0, '', %(act)s || ':' || id, external_userid,
           jsonb_build_object('userid', userid, 'external_userid', external_userid, '{this}', to_jsonb(change),
                              '{other}', '[]'::jsonb)
      FROM rel ORDER BY id
    RETURNING id
"""
_ADD = {
    "this": "add",
    "other": "remove",
    "shown": "false",
    "differs": "NOT f.wecom_tag_ids::text[] @> w.ids",
    "becomes": "ARRAY(SELECT DISTINCT i FROM unnest(f.wecom_tag_ids || r.change::varchar[]) i ORDER BY i)",
    "empty": "o.payload -> 'add' = '[]' AND c.rest = '[]'",
}
_REMOVE = {
    "this": "remove",
    "other": "add",
    "shown": "true",
    "differs": "f.wecom_tag_ids::text[] && w.ids",
    "becomes": "ARRAY(SELECT i FROM unnest(f.wecom_tag_ids) i WHERE i <> ALL (r.change) ORDER BY i)",
    "empty": "o.payload -> 'remove' = '[]' AND c.rest = '[]'",
}


def queue(brand: Brand, pairs: str, params: dict[str, Any], *, add: bool, n_pairs: int = 0) -> int:
    """Queue in the caller's transaction what WeCom has to be told: one call for each live relation that shows
    something else. Gives how many.

    API calls make no callback, so nobody tells us later; the relation notes what WeCom will show, and
    `on_the_way` says what is not there yet.

    Args:
        pairs: query of tag_id and contact_id with its named parameters.
        n_pairs: about how many.
    """
    call = {
        **params,
        "brand": brand.pk,
        "now": clock.now(),
        "act": secrets.token_hex(6),  # the same tags may be put on, taken off and put on again: three acts
        "kind": OutboundCall.Kind.MARK_TAG,
        "waiting": OutboundCall.State.WAITING,
        "done": OutboundCall.State.DONE,
    }
    with connection.cursor() as cursor, joined_by_hash(cursor, n_pairs, above=FEW):
        cursor.execute(_QUEUE.format(pairs=pairs, **(_ADD if add else _REMOVE)), call)
        ids = [row[0] for row in cursor.fetchall()]
    outbound.start(brand, ids)
    return len(ids)


def on_the_way(
    corp: Corp, external_userids: Iterable[str], *, since: datetime | None = None
) -> dict[tuple[str, str], tuple[set[str], set[str]]]:
    """(userid, external_userid) → tags that we have put on, and taken off, and WeCom may not show yet.

    Args:
        since: when WeCom was asked what it shows; calls that were made after it count, too.
    """
    open_ = Q(state__in=[OutboundCall.State.WAITING, OutboundCall.State.CALLING])
    if since is not None:
        open_ |= Q(state=OutboundCall.State.DONE, done_at__gte=since)
    waiting = OutboundCall.objects.filter(
        open_, corp=corp, kind=OutboundCall.Kind.MARK_TAG, subject__in=list(external_userids)
    )
    found: dict[tuple[str, str], tuple[set[str], set[str]]] = {}
    for payload in waiting.order_by("pk").values_list("payload", flat=True):
        key = (payload["userid"], payload["external_userid"])
        added, removed = found.get(key, (set(), set()))
        add, remove = set(payload["add"]), set(payload["remove"])
        found[key] = ((added | add) - remove, (removed | remove) - add)
    return found
