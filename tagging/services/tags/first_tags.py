"""Tags of relations that the sync has just found: they were put on long ago, so the timeline says nothing of
them."""

from collections.abc import Iterable

from org.models import Corp
from tagging.services.tags import changes
from tenants.models import Brand


def put_on(brand: Brand, *, corp: Corp, rows: Iterable[tuple[int, int, Iterable[str]]]) -> int:
    """Put corp tags on contacts in the caller's transaction, in one statement; gives how many were new.

    Args:
        rows: (contact id, staff id, WeCom's tag ids); tags that we do not have are left out.
    """
    flat = [(contact_id, staff_id, tag) for contact_id, staff_id, tags in rows for tag in tags]
    if not flat:
        return 0
    pairs = changes.Pairs(
        "SELECT DISTINCT ON (t.id, x.contact_id) t.id AS tag_id, x.contact_id, x.staff_id"
        " FROM unnest(%(contact_ids)s::bigint[], %(staff_ids)s::bigint[], %(wecom_ids)s::text[])"
        " AS x(contact_id, staff_id, wecom_id)"
        " JOIN tagging_tag t ON t.brand_id = %(brand)s AND t.wecom_id = x.wecom_id AND t.deleted_at IS NULL"
        " JOIN tagging_taggroup g ON g.brand_id = %(brand)s AND g.id = t.group_id AND g.corp_id = %(corp)s"
        " ORDER BY t.id, x.contact_id, x.staff_id",
        {
            "corp": corp.pk,
            "contact_ids": [contact_id for contact_id, _s, _t in flat],
            "staff_ids": [staff_id for _c, staff_id, _t in flat],
            "wecom_ids": [tag for _c, _s, tag in flat],
        },
    )
    done = changes.put_on(brand, pairs, source="wecom", own=("staff_id",), timeline=False, tell_wecom=False)
    return done.n
