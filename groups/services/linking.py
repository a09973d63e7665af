"""Somebody who is in groups becomes a customer: a reaction to the event, so that the arrival does not wait."""

from django.db import connection, transaction

from contacts.models import EventType, Identity, OutboxPosition
from contacts.services import outbox
from contacts.services.timeline import record_events
from groups.services import bits
from groups.services.mirror import join_events, leave_events
from org.models import Corp
from tenants.models import Brand

READER = "groups"
BATCH = 1_000
_ARRIVALS = {EventType.ADDED, EventType.ADDED_AGAIN, EventType.HALF_ADDED}

_LINK = """
    UPDATE groups_groupmember m SET contact_id = i.contact_id
      FROM contacts_identity i, groups_groupchat g, org_corp c
     WHERE i.brand_id = %(brand)s AND i.kind = %(external)s
       AND (%(contacts)s::bigint[] IS NULL OR i.contact_id = ANY(%(contacts)s))
       AND c.brand_id = %(brand)s AND c.corpid = i.scope
       AND m.brand_id = %(brand)s AND m.userid = i.value AND m.contact_id IS NULL
       AND g.brand_id = %(brand)s AND g.id = m.chat_id AND g.corp_id = c.id
    RETURNING m.id, m.chat_id, m.userid, m.contact_id, m.joined_at, m.join_scene, m.invitor_userid, m.left_at,
              m.quit_scene, g.corp_id, g.name
"""
_END = 2**63 - 1


def run(brand: Brand) -> int:
    """Link the stays of those who have become customers since the last time, the first time of everybody;
    gives how many."""
    n = 0
    while True:
        with transaction.atomic():
            if _begin(brand):
                n += link(brand, None)
            events = outbox.read(brand, READER, BATCH)
            n += link(brand, sorted({e.contact_id for e in events if e.type in _ARRIVALS}))
            outbox.save_position(brand, READER, events)
        if len(events) < BATCH:
            return n


def _begin(brand: Brand) -> bool:
    """The first time: the reader starts at the present, history is not read."""
    if OutboxPosition.objects.filter(reader=READER).exists():
        return False
    with connection.cursor() as cursor:
        cursor.execute("SELECT txid_snapshot_xmin(txid_current_snapshot())")
        xmin = cursor.fetchone()[0]
    row = OutboxPosition(reader=READER, xid=xmin - 1, event_id=_END)
    OutboxPosition.objects.bulk_create([row], ignore_conflicts=True)
    return True


def link(brand: Brand, contact_ids: list[int] | None) -> int:
    """Stays of these contacts (None: of all) become theirs, with joins and leaves on their timeline; in the
    caller's transaction."""
    if contact_ids is not None and not contact_ids:
        return 0
    given = {"brand": brand.pk, "contacts": contact_ids, "external": Identity.Kind.EXTERNAL_USERID.value}
    with connection.cursor() as cursor:
        cursor.execute(_LINK, given)
        rows = cursor.fetchall()
    bits.came_in(brand, [(row[1], row[3]) for row in rows if row[7] is None])
    names = {row[1]: row[10] for row in rows}
    for corp in Corp.objects.filter(pk__in={row[9] for row in rows}):
        mine = [row for row in rows if row[9] == corp.pk]
        joined = join_events(corp, [row[1:7] for row in mine], names, "sync")
        left = leave_events([(*row[:4], row[7], row[8]) for row in mine if row[7]], names, "sync")
        record_events(brand, [*joined, *left])
    return len(rows)
