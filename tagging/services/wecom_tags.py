"""Tags that WeCom shows for a relation, taken over into ours."""

from collections.abc import Iterable

from django.db import connection, transaction

from contacts.models import Follow
from org.models import Corp
from tagging.services.marks import on_the_way
from tagging.services.tags import mirror
from tenants.models import Brand


@transaction.atomic
def take_over(
    brand: Brand, *, corp: Corp, relations: Iterable[tuple[Follow, Iterable[str]]], source: str = "wecom"
) -> int:
    """Compare what WeCom shows with what it showed before; put on and take off the difference. Gives the
    changes.

    What we have queued for WeCom and it may not show yet counts as shown. Safe to repeat.

    Args:
        relations: live follows of this corp with their `staff`, and all of WeCom's tag ids of each.
    """
    pairs = [(follow, set(shown)) for follow, shown in relations]
    waiting = on_the_way(corp, [follow.external_userid for follow, _ in pairs])
    changes, rows = [], []
    for follow, shown in pairs:
        added, removed = waiting.get((follow.staff.userid, follow.external_userid), (set(), set()))
        now, before = (shown | added) - removed, set(follow.wecom_tag_ids)
        if now != before:
            follow.wecom_tag_ids = sorted(now)
            rows.append((follow.pk, " ".join(sorted(now))))
            changes.append((follow.contact_id, follow.staff_id, now - before, before - now))
    if rows:
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE contacts_follow f SET wecom_tag_ids = string_to_array(x.ids, ' ')::varchar[]"
                " FROM unnest(%s::bigint[], %s::text[]) AS x(id, ids) WHERE f.brand_id = %s AND f.id = x.id",
                [[pk for pk, _ in rows], [ids for _, ids in rows], brand.pk],
            )
    return mirror(brand, corp_id=corp.pk, changes=changes, source=source)
