"""Daily figures: added up from the events as they come, rebuilt from them when the time zone changes.

A batch of events and the position behind it are committed together, so each event counts once. What counts:

- added: ADDED and ADDED_AGAIN;
- lost: by the customer, by the guide, or gone (the sync did not find the relation any more);
- the day is the event's own time in the brand's zone; code and guide are the event's.
"""

import time
from collections.abc import Callable
from typing import Any

from django.db import connection, transaction

from contacts.models import EventType, OutboxPosition
from insights.models import DailyFigure
from insights.services.figures import figures
from tenants.models import Brand

__all__ = ["figures", "rebuild", "run", "turn"]
BATCH = 20_000
_END = 2**63 - 1

# column of DailyFigure → types of events that it counts
COUNTED: dict[str, list[EventType]] = {
    "n_added": [EventType.ADDED, EventType.ADDED_AGAIN],
    "n_lost_by_customer": [EventType.LOST_BY_CUSTOMER],
    "n_lost_by_staff": [EventType.LOST_BY_STAFF],
    "n_gone": [EventType.GONE],
}
_TYPES = [int(t) for types in COUNTED.values() for t in types]
_FILTERS = ", ".join(
    f"count(*) FILTER (WHERE type IN ({', '.join(str(int(t)) for t in types)})) AS {column}"
    for column, types in COUNTED.items()
)
_COLUMNS = ", ".join(COUNTED)

# from a set of events named `e` to rows of the table
_COUNT = f"""
    SELECT %(brand)s::bigint, (at AT TIME ZONE %(zone)s)::date, coalesce(object_id, 0), coalesce(staff_id, 0),
           {_FILTERS}
      FROM e WHERE type = ANY(%(types)s) GROUP BY 2, 3, 4
"""  # noqa: S608
_INSERT = f'INSERT INTO insights_dailyfigure (brand_id, "on", code_id, staff_id, {_COLUMNS})'

# ids commit out of order: only what lies below the snapshot's xmin is complete (contacts/services/outbox.py)
_ADD = f"""
    WITH e AS (
        SELECT xid, id, at, type, staff_id, object_id FROM contacts_event
         WHERE brand_id = %(brand)s AND (xid, id) > (%(xid)s, %(id)s)
           AND xid < txid_snapshot_xmin(txid_current_snapshot())
         ORDER BY xid, id LIMIT %(limit)s
    ), counted AS (
        {_INSERT} {_COUNT}
        ON CONFLICT (brand_id, "on", code_id, staff_id) DO UPDATE SET
        {", ".join(f"{c} = insights_dailyfigure.{c} + excluded.{c}" for c in COUNTED)}
    )
    SELECT (SELECT count(*) FROM e), last.xid, last.id
      FROM (SELECT xid, id FROM e ORDER BY xid DESC, id DESC LIMIT 1) last
"""  # noqa: S608
_REBUILD = f"""
    WITH e AS (
        SELECT at, type, staff_id, object_id FROM contacts_event
         WHERE brand_id = %(brand)s AND type = ANY(%(types)s) AND xid < %(xmin)s
    )
    {_INSERT} {_COUNT}
"""  # noqa: S608


def run(brand: Brand, *, until: Callable[[], bool] = lambda: False) -> int:
    """Count all new events in batches; gives how many were read. Another process at the same work makes it 0.

    Args:
        until: asked between batches; True ends the turn.
    """
    n_all = 0
    while True:
        n = _step(brand)
        n_all += n
        if n < BATCH or until():
            return n_all


def turn(seconds: float) -> Callable[[], bool]:
    """An `until` for so many seconds from now."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end


@transaction.atomic
def _step(brand: Brand) -> int:
    position = _lock(brand, wait=False)
    if position is None:
        return 0
    if not position.xid:  # the first time, or the first time in this zone
        _rebuild(brand, position)
    params = _params(brand) | {"xid": position.xid, "id": position.event_id, "limit": BATCH}
    with connection.cursor() as cursor:
        cursor.execute(_ADD, params)
        row = cursor.fetchone()
    if row is None:
        return 0
    n, xid, event_id = row
    OutboxPosition.objects.filter(pk=position.pk).update(xid=xid, event_id=event_id)
    return n


@transaction.atomic
def rebuild(brand: Brand) -> None:
    """Throw all figures away and count every event anew; one transaction, readers see old or new."""
    position = _lock(brand, wait=True)
    assert position is not None
    _rebuild(brand, position)


def reader(brand: Brand) -> str:
    """Name of the saved position: a brand that changes its zone begins a new one, and so a rebuild."""
    return f"daily:{brand.timezone}"


def _lock(brand: Brand, *, wait: bool) -> OutboxPosition | None:
    name = reader(brand)
    OutboxPosition.objects.bulk_create([OutboxPosition(reader=name)], ignore_conflicts=True)
    rows = OutboxPosition.objects.select_for_update(skip_locked=not wait)
    return rows.filter(reader=name).first()


def _rebuild(brand: Brand, position: OutboxPosition) -> None:
    OutboxPosition.objects.filter(reader__startswith="daily:").exclude(pk=position.pk).delete()
    DailyFigure.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute("SELECT txid_snapshot_xmin(txid_current_snapshot())")
        xmin = cursor.fetchone()[0]
        cursor.execute(_REBUILD, _params(brand) | {"xmin": xmin})
    position.xid, position.event_id = xmin - 1, _END
    position.save(update_fields=["xid", "event_id"])


def _params(brand: Brand) -> dict[str, Any]:
    return {"brand": brand.pk, "zone": brand.timezone, "types": _TYPES}
