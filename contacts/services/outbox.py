"""The outbox: reactions read new events in commit-safe order, each with its own saved position."""

import json
from collections.abc import Sequence

from django.db import connection

from contacts.models import Event, OutboxPosition
from tenants.models import Brand

_FIELDS = ["id", "at", "contact_id", "type", "staff_id", "object_id", "source", "data", "xid"]
# Ids are given at INSERT but seen at COMMIT, so 'the last id' would skip a slow transaction. All
# transactions below the snapshot's xmin have ended: their events are complete, and none will come before
# them any more.
_SQL = f"""
    SELECT {", ".join(_FIELDS)} FROM contacts_event
     WHERE brand_id = %s AND (xid, id) > (%s, %s) AND xid < txid_snapshot_xmin(txid_current_snapshot())
     ORDER BY xid, id LIMIT %s
"""  # noqa: S608


def read(brand: Brand, reader: str, limit: int = 1_000) -> list[Event]:
    """The next events for `reader` in (xid, id) order, in the caller's transaction, which holds the
    reader's row.

    Empty when there is nothing new or when another process reads as the same reader at this moment. Save
    the position with `save_position` in the same transaction as the effects: then each event has its effect
    once. An event shows once no older transaction of the server is still open.
    """
    OutboxPosition.objects.bulk_create([OutboxPosition(reader=reader)], ignore_conflicts=True)
    position = OutboxPosition.objects.select_for_update(skip_locked=True).filter(reader=reader).first()
    if position is None:
        return []
    return read_after(brand, position.xid, position.event_id, limit)


def read_after(brand: Brand, xid: int, event_id: int, limit: int = 1_000) -> list[Event]:
    """Events beyond a position that the caller keeps itself (a rebuild, an export)."""
    with connection.cursor() as cursor:
        cursor.execute(_SQL, [brand.pk, xid, event_id, limit])
        rows = cursor.fetchall()
    events = []
    for row in rows:
        values = dict(zip(_FIELDS, row, strict=True))
        # Django asks psycopg2 for JSON as text
        event = Event(**(values | {"brand_id": brand.pk, "data": json.loads(values["data"])}))
        event._state.adding, event._state.db = False, "default"
        events.append(event)
    return events


def save_position(brand: Brand, reader: str, events: Sequence[Event]) -> None:
    """Remember that `reader` has dealt with `events` (as `read` gave them)."""
    if events:
        last = events[-1]
        OutboxPosition.objects.filter(reader=reader).update(xid=last.xid, event_id=last.pk)


def begin_here(brand: Brand, reader: str) -> None:
    """A reader that begins (again) now: what happened before is none of its business."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT txid_snapshot_xmin(txid_current_snapshot())")
        (xid,) = cursor.fetchone()
    OutboxPosition.objects.update_or_create(reader=reader, defaults={"xid": xid - 1, "event_id": 2**62})


def take(brand: Brand, reader: str, table: str, limit: int = 5_000) -> tuple[int, int, int]:
    """`read` for reactions that work in sets: the next events as a temporary table of the caller's transaction, with
    the columns of contacts_event. Gives (how many, xid, id of the last one); save these by `move_to`.

    0 when there is nothing new, or another process reads as the same reader.
    """
    OutboxPosition.objects.bulk_create([OutboxPosition(reader=reader)], ignore_conflicts=True)
    position = OutboxPosition.objects.select_for_update(skip_locked=True).filter(reader=reader).first()
    if position is None:
        return 0, 0, 0
    name = connection.ops.quote_name(table)
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS pg_temp.{name}")
        cursor.execute(
            f"CREATE TEMP TABLE {name} ON COMMIT DROP AS {_SQL}",
            [brand.pk, position.xid, position.event_id, limit],
        )
        n = cursor.rowcount
        if n:
            cursor.execute(f"SELECT xid, id FROM pg_temp.{name} ORDER BY xid DESC, id DESC LIMIT 1")  # noqa: S608
            xid, event_id = cursor.fetchone()
            return n, xid, event_id
    return 0, 0, 0


def move_to(brand: Brand, reader: str, xid: int, event_id: int) -> None:
    """Remember that a reader has dealt with everything up to an event."""
    OutboxPosition.objects.filter(reader=reader).update(xid=xid, event_id=event_id)
