"""Who is on a list has appeared: the number is noted as added, its tags are put on.

Called where a number of a contact is noted one by one (contacts/hooks.py: PHONES_NOTED), and each hour for those whose number
came with a sync or a file, or was known before somebody added them.
"""

from collections.abc import Iterable
from typing import Any

from django.db import connection, transaction

from contacts.models import EventType
from contacts.services.timeline import EventRow, record_events
from guides.models import LeadList
from guides.services.leads import duties
from guides.services.leads.who import IS_KNOWN, who
from scrm import clock
from tagging.services.tags.changes import given, put_on
from tenants.models import Brand

# the relation of the guide who was to ask, else the newest one
_FOUND = """
    SELECT DISTINCT ON (l.id) l.id, l.list_id, l.staff_id, i.contact_id, f.staff_id, l.tag_ids
      FROM contacts_identity i
      JOIN guides_lead l ON l.brand_id = %(brand)s AND l.phone = i.value
       AND l.state IN ('waiting', 'given', 'asked', 'not_found', 'refused')
      JOIN contacts_follow f ON f.brand_id = %(brand)s AND f.contact_id = i.contact_id
       AND f.ended_at IS NULL AND NOT f.is_pending
     WHERE i.brand_id = %(brand)s AND i.kind = 'phone' AND i.scope = '' {which}
     ORDER BY l.id, (f.staff_id = l.staff_id) IS TRUE DESC, f.added_at DESC
"""
_KNOWN = f"""
    WITH found AS MATERIALIZED (
        SELECT l.id, c.id AS contact_id FROM guides_lead l {who("l.phone")}
         WHERE l.brand_id = %(brand)s AND l.list_id = %(list)s AND l.state = 'waiting' AND {IS_KNOWN}
    )
    UPDATE guides_lead l SET state = 'known', contact_id = f.contact_id, ended_at = %(now)s, staff_id = NULL
      FROM found f
     WHERE l.brand_id = %(brand)s AND l.list_id = %(list)s AND l.id = f.id AND l.state = 'waiting'
"""  # noqa: S608


def attach(brand: Brand, contact_ids: Iterable[int]) -> int:
    """Numbers of these contacts count as added, in the caller's transaction; gives how many. Nobody on a list costs one
    statement. Safe to repeat."""
    ids = sorted(set(contact_ids))
    return _attach(brand, "AND i.contact_id = ANY(%(ids)s::bigint[])", {"ids": ids}) if ids else 0


@transaction.atomic
def sweep(brand: Brand) -> int:
    """The same for all numbers of the brand."""
    return _attach(brand, "", {})


def _attach(brand: Brand, which: str, params: dict[str, Any]) -> int:
    now = clock.now()
    with connection.cursor() as cursor:
        cursor.execute(_FOUND.format(which=which), {**params, "brand": brand.pk})
        rows = cursor.fetchall()
        if not rows:
            return 0
        cursor.execute(
            "UPDATE guides_lead l SET state = 'added', contact_id = x.contact_id, added_staff_id = x.staff_id,"
            " ended_at = %(now)s FROM unnest(%(ids)s::bigint[], %(people)s::bigint[], %(guides)s::bigint[])"
            "   AS x(id, contact_id, staff_id)"
            " WHERE l.brand_id = %(brand)s AND l.id = x.id AND l.state <> 'added' RETURNING l.id",
            {
                "brand": brand.pk,
                "now": now,
                "ids": [row[0] for row in rows],
                "people": [row[3] for row in rows],
                "guides": [row[4] for row in rows],
            },
        )
        fresh = {row[0] for row in cursor}
    rows = [row for row in rows if row[0] in fresh]
    lists = LeadList.objects.in_bulk({row[1] for row in rows})
    events: list[EventRow] = []
    for list_id, found in sorted(lists.items()):
        mine = [row for row in rows if row[1] == list_id]
        pairs = sorted({(tag, row[3]) for row in mine for tag in (*found.tag_ids, *row[5])})
        if pairs:
            put_on(brand, given(pairs), source=f"lead:{list_id}")
        events += [
            {
                "contact_id": row[3], "type": EventType.LEAD_ADDED, "at": now, "staff_id": row[4], "object_id": list_id,
                "source": "lead", "source_key": str(row[0]), "data": {"title": found.name},
            }
            for row in mine
        ]  # fmt: skip
    record_events(brand, events)
    duties.settle(brand, {(row[1], row[2]) for row in rows if row[2]})
    return len(rows)


def refresh(brand: Brand, list_id: int) -> int:
    """Numbers of a list that wait, and whose person has become a customer or does not want to be contacted; gives how
    many. In the caller's transaction."""
    with connection.cursor() as cursor:
        cursor.execute(_KNOWN, {"brand": brand.pk, "list": list_id, "now": clock.now()})
        return cursor.rowcount
