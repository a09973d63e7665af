"""客户动态: the one way events are written. A fact that comes twice is written once; the future is not
believed."""

import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, NotRequired, TypedDict

from django.db import connection

from contacts.models import EventType
from contacts.services.staging import numbers
from scrm import clock
from tenants.models import Brand

FUTURE = timedelta(minutes=5)  # clocks of other machines may differ by so much; what is later is a mistake
SLICE = 5_000


class EventRow(TypedDict):
    """One event to be written; see `record_event` for the fields."""

    contact_id: int
    type: EventType
    at: datetime
    staff_id: NotRequired[int | None]
    object_id: NotRequired[int | None]
    source: NotRequired[str]
    source_key: NotRequired[str | None]
    key_source: NotRequired[str]
    data: NotRequired[dict[str, Any] | None]


def record_event(
    brand: Brand,
    *,
    contact_id: int,
    type: EventType,
    at: datetime,
    staff_id: int | None = None,
    object_id: int | None = None,
    source: str = "",
    source_key: str | None = None,
    key_source: str = "",
    data: dict[str, Any] | None = None,
) -> bool:
    """Write one event in the caller's transaction; False when `(key_source or source, source_key)` was seen
    already.

    Args:
        at: aware; later than five minutes from now becomes now.
        object_id: channel code, SOP, touch … by type.
        source: callback, sync, page, api, sop, import (≤ 20 characters).
        source_key: what makes the fact one (≤ 120 characters); None writes without asking.
        key_source: namespace of the key where several sources tell the same fact (default: `source`).
    """
    row: EventRow = {
        "contact_id": contact_id, "type": type, "at": at, "staff_id": staff_id, "object_id": object_id,
        "source": source, "source_key": source_key, "key_source": key_source, "data": data,
    }  # fmt: skip
    return record_events(brand, [row]) == 1


def record_events(brand: Brand, rows: Iterable[EventRow]) -> int:
    """Write many events in the caller's transaction; gives how many were new. Same rules as
    `record_event`."""
    rows, n = list(rows), 0
    for start in range(0, len(rows), SLICE):
        n += _record_slice(brand, rows[start : start + SLICE])
    return n


_SELECTED = """
    WITH told AS MATERIALIZED ({select}), fresh AS (
        INSERT INTO contacts_eventkey (brand_id, source, source_key)
        SELECT DISTINCT %(brand)s, key_source, source_key FROM told WHERE source_key IS NOT NULL ORDER BY 2, 3
        ON CONFLICT DO NOTHING RETURNING source, source_key
    )
    INSERT INTO contacts_event (brand_id, at, contact_id, type, staff_id, object_id, source, data)
    SELECT %(brand)s, CASE WHEN t.at <= %(latest)s THEN t.at ELSE %(now)s END, t.contact_id, t.type, t.staff_id,
           t.object_id, t.source, t.data
      FROM told t LEFT JOIN fresh f ON f.source = t.key_source AND f.source_key = t.source_key
     WHERE t.source_key IS NULL OR f.source_key IS NOT NULL
"""


def record_selected(brand: Brand, select: str, params: dict[str, Any]) -> int:
    """Write the events that a SELECT gives, in the caller's transaction; gives how many were new. For sets of
    thousands that are in Postgres already; same rules as `record_event`.

    Args:
        select: columns contact_id, type, at, staff_id, object_id, source, data (jsonb), key_source, source_key; each
            key once.
    """
    now = clock.now()
    with connection.cursor() as cursor:
        cursor.execute(
            _SELECTED.format(select=select), {**params, "brand": brand.pk, "now": now, "latest": now + FUTURE}
        )
        return cursor.rowcount


def claim_key(brand: Brand, source: str, source_key: str) -> bool:
    """Note a key without an event; False when it is known. For 'the first one to tell this does …'."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO contacts_eventkey (brand_id, source, source_key) VALUES (%s, %s, %s)"
            " ON CONFLICT DO NOTHING",
            [brand.pk, source, source_key],
        )
        return cursor.rowcount == 1


def believable(at: datetime, now: datetime | None = None) -> datetime:
    """`at`, or now when it lies further in the future than clocks differ."""
    now = now or clock.now()
    return at if at <= now + FUTURE else now


def _record_slice(brand: Brand, rows: list[EventRow]) -> int:
    # sorted: two transactions with the same facts wait for each other instead of deadlocking
    keys = sorted({key for row in rows if (key := _key(row))})
    with connection.cursor() as cursor:
        fresh: set[tuple[str, str]] = set()
        if keys:
            cursor.execute(
                "INSERT INTO contacts_eventkey (brand_id, source, source_key)"
                " SELECT %s, k.source, k.source_key FROM unnest(%s::text[], %s::text[]) WITH ORDINALITY"
                " AS k(source, source_key, n) ORDER BY k.n"
                " ON CONFLICT DO NOTHING RETURNING source, source_key",
                [brand.pk, [k[0] for k in keys], [k[1] for k in keys]],
            )
            fresh = set(cursor.fetchall())
        new: list[EventRow] = []
        for row in rows:
            key = _key(row)
            if key is None:
                new.append(row)
            elif key in fresh:
                new.append(row)
                fresh.discard(key)  # twice in one call is once as well
        if new:
            _insert(cursor, brand, new)
    return len(new)


def _key(row: EventRow) -> tuple[str, str] | None:
    source_key = row.get("source_key")
    return None if source_key is None else (row.get("key_source") or row.get("source", ""), source_key)


def _insert(cursor: Any, brand: Brand, rows: list[EventRow]) -> None:
    now, data = clock.now(), dict[int, str]()
    for row in rows:  # thousands often share one
        if (key := id(row.get("data"))) not in data:
            data[key] = json.dumps(row.get("data") or {}, ensure_ascii=False)
    cursor.execute(
        "INSERT INTO contacts_event (brand_id, at, contact_id, type, staff_id, object_id, source, data)"
        " SELECT %s, e.at, e.contact_id, e.type, e.staff_id, e.object_id, e.source, e.data::jsonb"
        " FROM unnest("
        "%s::timestamptz[], %s::bigint[], %s::smallint[], %s::bigint[], %s::bigint[], %s::text[], %s::text[])"
        " AS e(at, contact_id, type, staff_id, object_id, source, data)",
        [
            brand.pk,
            [believable(row["at"], now) for row in rows],
            numbers(row["contact_id"] for row in rows),
            numbers(int(row["type"]) for row in rows),
            numbers(row.get("staff_id") for row in rows),
            numbers(row.get("object_id") for row in rows),
            [row.get("source", "") for row in rows],
            [data[id(row.get("data"))] for row in rows],
        ],
    )
