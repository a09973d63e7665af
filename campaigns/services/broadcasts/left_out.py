"""Whom the condition of a wave leaves out.

A few stand in the ledger like everybody who does not get a message. Many do not: a condition that holds for a thousand of a
million would write 999,000 rows beside the thousand that are sent, with every planner waiting for them. Their bitmap, which
the wave keeps anyway, says who and why. Whoever lists what somebody got, or what became of a broadcast, asks here as well.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from django.db import connection

from campaigns.models import Broadcast, Touch, Wave
from campaigns.services.broadcasts.wave_sets import set_of
from contacts.models import ContactStat
from tagging.services.bits import frames
from tagging.services.bits.frames import Bits, Frame
from tagging.services.segments.compile import is_one_of
from tenants.models import Brand
from tenants.scoping import current_brand_id

REASON = Touch.Reason.WAVE_CONDITION
LISTED = 2_000  # people of a wave who have a row each
_OF_CONTACT = f"""
    SELECT v.id, v.broadcast_id, v.planned_at FROM contacts_contactstat s
      JOIN campaigns_waveset w ON w.brand_id = %(b)s AND w.what = {REASON.value} AND w.chunk = s.position / 8192
      JOIN campaigns_wave v ON v.brand_id = %(b)s AND v.id = w.wave_id
     WHERE s.brand_id = %(b)s AND s.contact_id = %(contact)s AND {{many}}
       AND get_bit(w.bits, mod(s.position, 8192)::int) = 1
     ORDER BY v.planned_at DESC LIMIT %(limit)s
"""  # noqa: S608
MOST = 1_000  # of one person


def _many() -> str:
    """Whether the people left out by a wave `v` have no rows."""
    return f"(v.numbers ->> '{REASON.name.lower()}')::bigint > {LISTED}"


def unlisted(refused: dict[Touch.Reason, Bits]) -> list[int]:
    """The reasons of a plan for which no rows are written."""
    return [int(REASON)] if REASON in refused and frames.count(refused[REASON]) > LISTED else []


def of_contact(contact_id: int, limit: int = MOST) -> list[Touch]:
    """Touches that have no row: this person was left out with many others. Latest first, not saved, without an id."""
    given = {"b": current_brand_id(), "contact": contact_id, "limit": limit}
    with connection.cursor() as cursor:
        cursor.execute(_OF_CONTACT.format(many=_many()), given)
        return [touch_of(contact_id, *row) for row in cursor.fetchall()]


def touch_of(contact_id: int, wave_id: int, broadcast_id: int, at: Any) -> Touch:
    return Touch(
        at=at, kind=Touch.Kind.BROADCAST, contact_id=contact_id, broadcast_id=broadcast_id, wave_id=wave_id,
        state=Touch.State.BLOCKED, reason=REASON, done_at=at,
    )  # fmt: skip


def beside(rows: Iterable[Touch], contact_id: int, limit: int) -> list[Touch]:
    """The latest touches of a person, those without a row among them."""
    both = [*rows, *of_contact(contact_id, limit)]
    return sorted(both, key=lambda touch: touch.at, reverse=True)[:limit]


def of_broadcast(
    brand: Brand, broadcast: Broadcast, after: tuple[int, int], size: int
) -> list[tuple[int, Touch]]:
    """[(position, touch)] of people left out without a row, in the order of wave and position, beyond a place."""
    found: list[tuple[int, Touch]] = []
    planned = Wave.objects.filter(broadcast=broadcast, pk__gte=after[0], planned_at__isnull=False)
    for wave in planned.order_by("pk"):
        if int(wave.numbers.get(REASON.name.lower(), 0)) <= LISTED:
            continue
        frame = Frame.whole(brand)
        positions = frame.positions(set_of(frame, wave.pk, int(REASON)))
        if wave.pk == after[0]:
            positions = positions[positions > after[1]]
        while len(positions) and len(found) < size:
            some, positions = positions[: size - len(found)].tolist(), positions[size - len(found) :]
            ids = dict(ContactStat.objects.filter(position__in=some).values_list("position", "contact_id"))
            found += [
                (place, touch_of(ids[place], wave.pk, broadcast.pk, wave.planned_at))
                for place in some
                if place in ids  # or else they have become one with somebody
            ]
        if len(found) >= size:
            break
    return found


def held_sql(brand_id: int, broadcasts: Sequence[int], among: Sequence[str], once: str = "") -> str:
    """The same as a query of (contact_id, at), for conditions (audience.py).

    Args:
        among: tests of the people `s`.
        once: of everybody, where it only matters whether somebody was left out at all: what `v.planned_at` has to fulfil. The
            bitmaps of all waves become one, which each person is asked for once; `at` is the last moment of any of them.
    """
    waves = [f"v.brand_id = {brand_id}", _many()]
    if broadcasts:
        waves.append(is_one_of("v.broadcast_id", broadcasts))
    sets = (
        "campaigns_wave v"
        f" JOIN campaigns_waveset w ON w.brand_id = {brand_id} AND w.wave_id = v.id AND w.what = {REASON.value}"
    )
    people = f"JOIN contacts_contactstat s ON s.brand_id = {brand_id} AND s.position / 8192 = w.chunk"
    is_in = "get_bit(w.bits, mod(s.position, 8192)::int) = 1"
    if once:
        folded = (
            f"SELECT w.chunk, bit_or(w.bits) AS bits, max(v.planned_at) AS at FROM {sets}"  # noqa: S608
            f" WHERE {' AND '.join([*waves, once])} GROUP BY w.chunk"
        )
        return f"SELECT s.contact_id, w.at FROM ({folded}) w {people} WHERE {' AND '.join([is_in, *among])}"  # noqa: S608
    return (
        f"SELECT s.contact_id, v.planned_at AS at FROM {sets} {people}"  # noqa: S608
        f" WHERE {' AND '.join([*waves, is_in, *among])}"
    )
