"""How many touches each contact has on each day, as bitmaps: plane `level` of a day holds who has at least so many.

The ledger is the truth. Planes are written under the brand's gate together with the touches. A touch that ends without
having been sent (held back, failed, cancelled) is not taken out of its planes; its contact is marked in the day's plane
`DIRTY`, and whoever finds a contact in the way who is marked asks the ledger. The nightly rebuild clears the marks.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

import numpy as np
from django.db import connection, transaction

from campaigns.governance import day_of, midnight
from campaigns.models import Touch
from scrm import clock
from tagging.models import BITS, Dim
from tagging.services.bits import bits as stored
from tagging.services.bits.frames import Bits, Frame, frame_of
from tenants.models import Brand

LEVELS = 14  # touches of one kind on one day that are told apart
DIRTY = 15
ALL = 0  # slot of all counted kinds together; the others are kinds
KINDS = (Touch.Kind.SOP, Touch.Kind.BROADCAST)  # mass messages: what caps count
COUNTED = (Touch.State.PLANNED, Touch.State.HANDED, Touch.State.DELIVERED)

Counts = np.ndarray[Any, np.dtype[np.uint8]]


def val_of(day: int, slot: int, level: int) -> int:
    """The value under which a plane is stored."""
    return day * 256 + slot * 16 + level


def add(frame: Frame, day: int, kind: int, who: Bits) -> None:
    """One touch more on `day` for everybody in `who`; under the gate, in the transaction of the touches."""
    for slot in (ALL, kind):
        planes = dict(frame.load(Dim.TOUCH, val_of(day, slot, 1), val_of(day, slot, LEVELS)))
        carry, changed = who, []
        for level in range(1, LEVELS + 1):
            if not carry.any():
                break
            val = val_of(day, slot, level)
            plane = planes.get(val, frame.empty())
            changed.append((val, plane | carry, carry & ~plane))
            carry = carry & plane
        _write(frame, changed)


def count(
    brand: Brand,
    at: datetime,
    kind: int,
    contact_ids: Collection[int],
    places: Mapping[int, int] | None = None,
) -> None:
    """One touch more at `at` for some contacts; kinds that do not count are passed over.

    Args:
        places: {position: contact} of these contacts and maybe of others, from a caller who knows it.
    """
    if contact_ids and kind in KINDS:
        if places is None:
            frame, places = frame_of(brand, contact_ids)
            positions = list(places)
        else:
            wanted = set(contact_ids)
            positions = [position for position, contact_id in places.items() if contact_id in wanted]
            frame = Frame(brand, {position // BITS for position in positions})
        add(frame, day_of(at, brand.timezone), int(kind), frame.of_positions(positions))


def _write(frame: Frame, planes: Iterable[tuple[int, Bits, Bits]]) -> None:
    rows = [(val, chunk, text) for val, plane, new in planes for chunk, text in _changed(frame, plane, new)]
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO tagging_dimbits (brand_id, dim, val, chunk, bits)"
            " SELECT %s, %s, r.val, r.chunk, r.bits::bit(8192)"
            " FROM unnest(%s::bigint[], %s::int[], %s::text[]) AS r(val, chunk, bits) ORDER BY 3, 4"
            " ON CONFLICT (brand_id, dim, val, chunk) DO UPDATE SET bits = excluded.bits",
            [frame.brand.pk, int(Dim.TOUCH), *([row[n] for row in rows] for n in range(3))],
        )


def _changed(frame: Frame, plane: Bits, new: Bits) -> Iterable[tuple[int, str]]:
    is_new = np.asarray(new.any(axis=1), dtype=np.uint8)
    return frame.rows(plane * is_new[:, None])


def mark_dirty(brand: Brand, at: datetime, contact_ids: Collection[int]) -> None:
    """Touches of these contacts on the day of `at` do not count any more; written just before the commit."""
    if not contact_ids:
        return
    day = day_of(at, brand.timezone)
    stored.set_bits(brand, Dim.TOUCH, {val_of(day, ALL, DIRTY): contact_ids})


def mark_vals(brand: Brand, vals: Iterable[int], contact_ids: Collection[int]) -> None:
    """The same for the days of some planes."""
    days = {val // 256 for val in vals}
    stored.set_bits(brand, Dim.TOUCH, {val_of(day, ALL, DIRTY): contact_ids for day in days})


def counts_by_day(frame: Frame, first: int, last: int, slot: int) -> tuple[dict[int, Counts], Bits]:
    """{day: touches of each position, (chunks × 8192)} of days that have any, and who is marked on one of them."""
    found: dict[int, Counts] = {}
    dirty = frame.empty()
    for val, plane in frame.load(Dim.TOUCH, val_of(first, 0, 0), val_of(last, 15, 15)):
        day, kind, level = val // 256, val // 16 % 16, val % 16
        if level == DIRTY:
            dirty |= plane
        elif kind == slot:
            ones = np.unpackbits(plane, axis=1)
            found[day] = found[day] + ones if day in found else ones
    return found, dirty


def unpack(bits: Bits) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """One yes or no for each position."""
    return np.unpackbits(bits, axis=1).astype(bool)


def most_in_window(counts: Mapping[int, Counts], day: int, days: int, shape: tuple[int, int]) -> Counts:
    """For each position the most touches in any `days` days in a row that hold `day` (governance.most_in_window)."""
    ahead = [d for d in counts if day < d < day + days]
    most = np.zeros(shape, dtype=np.uint8)
    for start in {day - days + 1, *(d - days + 1 for d in ahead)}:
        total = np.zeros(shape, dtype=np.uint8)
        for d in range(start, start + days):
            if d in counts:
                total = total + counts[d]
        most = np.maximum(most, total)
    return most


def total(counts: Mapping[int, Counts], first: int, last: int, shape: tuple[int, int]) -> Counts:
    """For each position the touches of some days."""
    found = np.zeros(shape, dtype=np.uint8)
    for day, of_day in counts.items():
        if first <= day <= last:
            found = found + of_day
    return found


_REBUILD = """
    WITH n AS (
        SELECT t.contact_id, (t.at AT TIME ZONE %(zone)s)::date AS on_day, k.slot, count(*) AS n
          FROM campaigns_touch t CROSS JOIN LATERAL (VALUES (0), (t.kind::int)) AS k(slot)
         WHERE t.brand_id = %(b)s AND t.at >= %(first)s AND t.at < %(until)s
           AND t.kind = ANY(%(kinds)s) AND t.state = ANY(%(counted)s)
         GROUP BY 1, 2, 3)
    INSERT INTO tagging_dimbits (brand_id, dim, val, chunk, bits)
    SELECT %(b)s, %(dim)s, (n.on_day - DATE '0001-01-01' + 1)::bigint * 256 + n.slot * 16 + l.level, s.position / 8192,
           bit_or(set_bit(0::bit(8192), s.position %% 8192, 1))
      FROM n CROSS JOIN LATERAL (SELECT position FROM contacts_contactstat
                                  WHERE brand_id = (SELECT %(b)s) AND contact_id = n.contact_id OFFSET 0) s,
           LATERAL generate_series(1, least(n.n, %(levels)s)) AS l(level)
     GROUP BY 3, 4
"""


def rebuild(brand: Brand, first: datetime, until: datetime) -> None:
    """Planes of whole days from the ledger, marks cleared; under the gate, in the caller's transaction.

    Args:
        first, until: midnights of the brand's zone.
    """
    stored.flush()
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM tagging_dimbits WHERE brand_id = %s AND dim = %s AND val >= %s AND val < %s",
            [
                brand.pk,
                int(Dim.TOUCH),
                val_of(day_of(first, brand.timezone), 0, 0),
                val_of(day_of(until, brand.timezone), 0, 0),
            ],
        )
        cursor.execute(
            _REBUILD,
            {
                "b": brand.pk,
                "zone": brand.timezone,
                "first": first,
                "until": until,
                "kinds": [int(kind) for kind in KINDS],
                "counted": [int(state) for state in COUNTED],
                "dim": int(Dim.TOUCH),
                "levels": LEVELS,
            },
        )


BACK, AHEAD, KEPT = 95, 95, 200  # days


def rebuild_recent(brand: Brand) -> None:
    """All days that caps can ask about, each in a transaction of its own; what is older than `KEPT` days is dropped."""
    from campaigns.services.governance.gate import enter_gate

    today = day_of(clock.now(), brand.timezone)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT val / 256 FROM tagging_dimbits WHERE brand_id = %s AND dim = %s",
            [brand.pk, int(Dim.TOUCH)],
        )
        days = {row[0] for row in cursor.fetchall()}
    for day in sorted(days):
        with transaction.atomic(), connection.cursor() as cursor:
            enter_gate(brand)
            if today - BACK <= day <= today + AHEAD:
                rebuild(brand, midnight(day, brand.timezone), midnight(day + 1, brand.timezone))
            elif day < today - KEPT:
                cursor.execute(
                    "DELETE FROM tagging_dimbits WHERE brand_id = %s AND dim = %s AND val >= %s AND val < %s",
                    [brand.pk, int(Dim.TOUCH), val_of(day, 0, 0), val_of(day + 1, 0, 0)],
                )
