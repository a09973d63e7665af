"""Tags of relations that the sync has just found: they were put on long ago, so the timeline says nothing of
them."""

from collections.abc import Iterable

from django.db import connection

from org.models import Corp
from scrm import clock
from tagging.models import Dim
from tagging.services import bits
from tenants.models import Brand


def put_on(brand: Brand, *, corp: Corp, rows: Iterable[tuple[int, int, Iterable[str]]]) -> int:
    """Put corp tags on contacts in the caller's transaction, in one statement; gives how many were new.

    Args:
        rows: (contact id, staff id, WeCom's tag ids); tags that we do not have are left out.
    """
    flat = [(contact_id, staff_id, tag) for contact_id, staff_id, tags in rows for tag in tags]
    if not flat:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO tagging_contacttag (brand_id, tag_id, contact_id, source, staff_id, at)"
            " SELECT DISTINCT ON (t.id, x.contact_id) %s, t.id, x.contact_id, 'wecom', x.staff_id, %s"
            " FROM unnest(%s::bigint[], %s::bigint[], %s::text[]) AS x(contact_id, staff_id, wecom_id)"
            " JOIN tagging_tag t ON t.brand_id = %s AND t.wecom_id = x.wecom_id AND t.deleted_at IS NULL"
            " JOIN tagging_taggroup g ON g.brand_id = %s AND g.id = t.group_id AND g.corp_id = %s"
            " ORDER BY t.id, x.contact_id, x.staff_id ON CONFLICT DO NOTHING RETURNING tag_id, contact_id",
            [brand.pk, clock.now(), *map(list, zip(*flat, strict=True)), brand.pk, brand.pk, corp.pk],
        )
        new = cursor.fetchall()
    for tag_id, contact_id in new:
        bits.set_bits(brand, Dim.TAG, {tag_id: [contact_id]})
    return len(new)
