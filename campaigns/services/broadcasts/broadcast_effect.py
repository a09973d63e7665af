"""What one broadcast does: its hold-out group beside those who were meant to get it, since the wave and within the days in
which an order counts for a message.

Both are drawn by chance from the same audience before the gate is asked, so neither caps nor wishes nor guides who do not
confirm make them differ. Waves that go to who got (or opened …) the one before are left out: nobody held out is in them.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from django.core.cache import cache
from django.db import connection

from campaigns.models import Broadcast, Touch, Wave
from campaigns.services.broadcasts import fanout, rest_waves
from campaigns.services.governance.hold_out import LIFE_S, Effect, Group, compare
from campaigns.services.governance.rules import policy_of
from campaigns.services.ledger import planes
from tagging.models import BITS
from tagging.services.bits import frames
from tagging.services.bits.frames import Bits, Frame
from tenants.models import Brand

HELD, FAILS = int(Touch.Reason.HOLD_OUT), int(Touch.Reason.WAVE_CONDITION)

_SETS = """
    SELECT wave_id, what, chunk, bit_send(bits) FROM campaigns_waveset
     WHERE brand_id = %s AND wave_id = ANY(%s::bigint[]) AND what = ANY(%s::smallint[])
"""
_ORDERS = """
    SELECT s.position, extract(epoch FROM o.paid_at)::float8, (o.amount_fen - o.refunded_fen)::float8
      FROM commerce_order o JOIN contacts_contactstat s ON s.brand_id = %s AND s.contact_id = o.contact_id
     WHERE o.brand_id = %s AND o.paid_at >= %s AND o.paid_at < %s AND o.is_sale AND o.contact_id IS NOT NULL
"""
_LOST = """
    SELECT position, extract(epoch FROM lost_at)::float8, 0::float8 FROM contacts_contactstat
     WHERE brand_id = %s AND lost_at >= %s AND lost_at < %s
"""


def effect_of_broadcast(brand: Brand, broadcast: Broadcast) -> Effect | None:
    """The broadcast's hold-out group beside the rest of its audience; None where nobody is held out, or no wave is
    planned yet. Kept for ten minutes."""
    if not broadcast.hold_out_percent:
        return None
    rows = Wave.objects.filter(broadcast=broadcast, planned_at__isnull=False).order_by("planned_at", "pk")
    # a wave for what is left of another is for people who count from that one on
    waves = [wave for wave in rows if not wave.condition.get("after") and not rest_waves.is_rest(wave)]
    if not waves:
        return None
    days = policy_of(brand).attribution_days
    key = f"hold-out-of:{brand.pk}:{broadcast.pk}:{len(waves)}:{waves[-1].pk}:{days}"
    groups = cache.get(key)
    if groups is None:
        groups = [list(group) for group in _groups(brand, waves, timedelta(days=days))]
        cache.set(key, groups, LIFE_S)
    held, others = (Group(*group) for group in groups)
    since = waves[0].planned_at
    assert since is not None
    return Effect(since, broadcast.hold_out_percent, held, others, *compare(held, others))


def _groups(brand: Brand, waves: Sequence[Wave], window: timedelta) -> tuple[Group, Group]:
    """Held out, and the others. A person counts from the first wave that was for them until `window` after the last."""
    frame = Frame.whole(brand)
    held, others = frame.empty(), frame.empty()
    begins = np.full(len(frame.chunks) * BITS, np.inf)
    ends = np.zeros(len(frame.chunks) * BITS)
    sets, moments = _sets(frame, waves), [wave.planned_at for wave in waves if wave.planned_at]
    for wave, at in zip(waves, moments, strict=True):
        wanted, kept = sets[wave.pk, fanout.WANTED], sets[wave.pk, HELD]
        wanted = wanted & ~sets[wave.pk, FAILS]
        held, others = held | kept, others | (wanted & ~kept)
        mask = planes.unpack(wanted).ravel()
        begins[mask] = np.minimum(begins[mask], at.timestamp())
        ends[mask] = (at + window).timestamp()
    first, last = moments[0], moments[-1] + window
    bought = _rows(frame, _ORDERS, [brand.pk, brand.pk, first, last], begins, ends)
    lost = _rows(frame, _LOST, [brand.pk, first, last], begins, ends)
    return _group(held, bought, lost), _group(others & ~held, bought, lost)


def _sets(frame: Frame, waves: Sequence[Wave]) -> dict[tuple[int, int], Bits]:
    chunks: dict[tuple[int, int], dict[int, bytes]] = defaultdict(dict)
    with connection.cursor() as cursor:
        ids = [wave.pk for wave in waves]
        cursor.execute(_SETS, [frame.brand.pk, ids, [fanout.WANTED, HELD, FAILS]])
        for wave_id, what, chunk, sent in cursor:
            chunks[wave_id, what][chunk] = bytes(sent)[4:]
    found: dict[tuple[int, int], Bits] = defaultdict(frame.empty)
    for key, rows in chunks.items():
        found[key] = frame.of_chunks(rows)
    return found


def _rows(
    frame: Frame, sql: str, params: Sequence[int | datetime], begins: Any, ends: Any
) -> tuple[Any, Any]:
    """(place in the frame, number) of rows within their person's time."""
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        given = np.array(cursor.fetchall(), dtype=np.float64).reshape(-1, 3)
    positions, at, number = given[:, 0].astype(np.int64), given[:, 1], given[:, 2]
    rows = np.minimum(np.searchsorted(frame.chunks, positions // BITS), max(len(frame.chunks) - 1, 0))
    inside = frame.chunks[rows] == positions // BITS if len(frame.chunks) else np.zeros(len(positions), bool)
    places = rows * BITS + positions % BITS
    inside &= (at >= begins[np.where(inside, places, 0)]) & (at < ends[np.where(inside, places, 0)])
    return places[inside], number[inside]


def _group(bits: Bits, bought: tuple[Any, Any], lost: tuple[Any, Any]) -> Group:
    mask = planes.unpack(bits).ravel()
    places, fen = (part[mask[bought[0]]] for part in bought)
    people, which = np.unique(places, return_inverse=True)
    sums = np.bincount(which, weights=fen, minlength=len(people)) if len(people) else np.zeros(0)
    n_lost = int(mask[lost[0]].sum())
    return Group(frames.count(bits), len(people), n_lost, round(float(sums.sum())), float((sums**2).sum()))
