"""The gate: every touch but the welcome passes here before it is planned.

One question for a set of people, one answer with a reason for each refusal. Whoever asks holds the brand's gate until
the end of the transaction, in which the touches are written: two planners at once would both find room under the cap.
A handful of people is looked up in the ledger, a large set in bitmaps; both give the same answers.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from datetime import date, datetime
from typing import NamedTuple

import numpy as np
from django.db import OperationalError, connection, transaction

from campaigns import governance
from campaigns.governance import Rules
from campaigns.models import NoContactRule, Refusal, Touch
from campaigns.services.governance import hold_out
from campaigns.services.governance.rules import rules_of
from campaigns.services.ledger import planes
from campaigns.services.ledger.touches import array
from tagging.models import Dim, Flag
from tagging.services.bits import bits as stored
from tagging.services.bits import frames
from tagging.services.bits.frames import Bits, Frame
from tenants.models import Brand

_GATE = 0x70_0C  # first key of the advisory lock; the second is the brand
_NOT_AVAILABLE = "55P03"  # Postgres' word for a lock that was not given in time
MOMENT_MS = 500
FEW = 2_000  # people who are looked up one by one
Reason = Touch.Reason
# in the order in which a reason wins
BY_WISH = (
    Reason.NOT_FOLLOWED,
    Reason.DO_NOT_CONTACT,
    Reason.REFUSED_KIND,
    Reason.BRAND_HOLD_OUT,
    Reason.NO_CONTACT_RULE,
)
BY_NUMBER = (Reason.CAPPED, Reason.TOO_SOON, Reason.ALLOWANCE)


class Verdict(NamedTuple):
    """Who may get a touch and who not; the sets do not overlap and make up the audience."""

    allowed: Bits
    refused: dict[Touch.Reason, Bits]


def enter_gate(brand: Brand) -> None:
    """Wait for the brand's gate and hold it until the transaction ends; entering twice is harmless."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_GATE, brand.pk])


def keep_out_planners(brand: Brand) -> None:
    """Nobody enters the gate until the transaction ends; others may keep planners out at the same time."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock_shared(%s, %s)", [_GATE, brand.pk])


def try_gate(brand: Brand) -> bool:
    """Take the gate unless a planner holds it. Whoever keeps planners out does so for a moment and is waited for: a
    hand-over of many minutes, one claim after the other, must not keep SOPs from their steps."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [_GATE, brand.pk])
        if cursor.fetchone()[0]:
            return True
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = %s", [f"{MOMENT_MS}ms"])
            enter_gate(brand)
            cursor.execute("SET LOCAL lock_timeout TO DEFAULT")
    except OperationalError as error:
        if getattr(error.__cause__, "pgcode", None) != _NOT_AVAILABLE:
            raise
        return False
    return True


def ask(
    brand: Brand,
    contact_ids: Collection[int],
    at: datetime,
    *,
    kind: Touch.Kind = Touch.Kind.SOP,
    found: tuple[Frame, dict[int, int]] | None = None,
) -> dict[int, Touch.Reason]:
    """Who of these people may not get a touch at `at`, and why; whoever is not in the answer may get one.

    Takes the brand's gate: write the touches in the same transaction, at most one for each person and question.

    Args:
        found: `frames.frame_of` these people, from a caller who needs it too.
    """
    enter_gate(brand)
    ids = sorted(set(contact_ids))
    if not ids:
        return {}
    stored.flush()
    frame, places = found or frames.frame_of(brand, ids)
    everybody = frame.of_positions(places)
    rules = rules_of(brand)
    held = hold_out.of_places(frame, places, rules)
    if len(ids) > FEW:
        verdict = judge(frame, everybody, at=at, kind=kind, rules=rules, held=held)
    else:
        left, refused = _by_wish(frame, everybody, at, kind, held, places)
        asked = {places[position] for position in frame.positions(left)}
        verdict = Verdict(left, refused | _by_ledger(frame, places, asked, at, kind, rules))
    answer = {
        places[position]: reason
        for reason, bits in verdict.refused.items()
        for position in frame.positions(bits)
    }
    # somebody without a row beside the contact is nobody's customer
    return dict.fromkeys(set(ids) - set(places.values()), Reason.NOT_FOLLOWED) | answer


def judge(
    frame: Frame, audience: Bits, *, at: datetime, kind: Touch.Kind, rules: Rules, held: Bits | None = None
) -> Verdict:
    """The same for a set of any size, from bitmaps; the caller holds the gate where it is going to write.

    Args:
        held: the brand's hold-out group, where the caller has it; otherwise everybody is read.
    """
    held = hold_out.of_all(frame, rules) if held is None else held
    left, refused = _by_wish(frame, audience, at, kind, held)
    in_the_way = _by_planes(frame, left, at, kind, rules)
    for reason in BY_NUMBER:
        found = in_the_way[reason] & left
        if found.any():
            refused[reason] = found
            left = left & ~found
    return Verdict(left, refused)


# ---- what people and the brand wish


def has_wishes() -> bool:
    """Whether there is anything that `wishes` would have to look at."""
    return Refusal.objects.exists() or NoContactRule.objects.exists()


def wishes(brand: Brand, contact_ids: Collection[int], at: datetime, kind: int) -> dict[int, Touch.Reason]:
    """Who of these people is to be left alone by now, and why; caps and other numbers are not asked again."""
    stored.flush()
    frame, places = frames.frame_of(brand, sorted(set(contact_ids)))
    _left, refused = _by_wish(frame, frame.of_positions(places), at, kind, frame.empty(), places)
    return {
        places[position]: reason
        for reason, bits in refused.items()
        if reason != Reason.NOT_FOLLOWED
        for position in frame.positions(bits)
    }


def _by_wish(
    frame: Frame, audience: Bits, at: datetime, kind: int, held: Bits, few: Mapping[int, int] | None = None
) -> tuple[Bits, dict[Touch.Reason, Bits]]:
    """Who of the audience is left, and whom which wish keeps out.

    Args:
        few: {position: contact} of the audience, where they are few; otherwise all refusals are read.
    """
    left, refused = audience, {}
    sets = (
        ~frame.one(Dim.FLAG, Flag.REACHABLE),
        frame.one(Dim.FLAG, Flag.DO_NOT_CONTACT),
        _refusing(frame, kind, few),
        held,
        under_rules(frame, at, kind),
    )
    for reason, found in zip(BY_WISH, sets, strict=True):
        found = found & left
        if found.any():
            refused[reason] = found
            left = left & ~found
    return left, refused


def _refusing(frame: Frame, kind: int, few: Mapping[int, int] | None) -> Bits:
    if few is None:
        sql = "SELECT contact_id FROM campaigns_refusal WHERE brand_id = %s AND kind = %s"
        return frame.select_people(sql, [frame.brand.pk, int(kind)])
    return frame.select(
        "SELECT i.position FROM unnest(%s::bigint[], %s::bigint[]) AS i(position, id) CROSS JOIN LATERAL (SELECT"
        " FROM campaigns_refusal WHERE brand_id = (SELECT %s) AND contact_id = i.id AND kind = %s OFFSET 0) r",
        [array(few), array(few.values()), frame.brand.pk, int(kind)],
    )


def under_rules(frame: Frame, at: datetime, kind: int) -> Bits:
    """Everybody for whom a do-not-contact rule of the brand holds on the day of `at`."""
    found, on = frame.empty(), date.fromordinal(governance.day_of(at, frame.brand.timezone))
    for rule in NoContactRule.objects.order_by("pk"):
        if (rule.kinds and kind not in rule.kinds) or (rule.starts_on and on < rule.starts_on):
            continue
        if rule.ends_on and on > rule.ends_on:
            continue
        if rule.tag_id:
            found = found | frame.one(Dim.TAG, rule.tag_id)
        elif rule.channel_code_id:
            found = found | frame.one(Dim.CODE, rule.channel_code_id)
        else:
            found = ~frame.empty()
    return found


# ---- numbers


def _by_planes(frame: Frame, left: Bits, at: datetime, kind: int, rules: Rules) -> dict[Touch.Reason, Bits]:
    day = governance.day_of(at, rules.zone)
    # planes know the brand's days: where WeCom's begin at another hour they say who might have used it up
    first, last, allowed, is_exact = governance.allowance_days(at, rules.allowance, rules.zone)
    reach = rules.reach_days
    span = min(day - reach, first), max(day + reach, last)
    shape = (len(frame.chunks), frames.BITS)
    counts, dirty = planes.counts_by_day(frame, *span, planes.ALL)
    own = planes.counts_by_day(frame, *span, kind)[0] if any(cap.kind == kind for cap in rules.caps) else {}
    capped = frame.empty()
    for cap in rules.caps:
        if cap.kind in (0, kind):
            most = planes.most_in_window(own if cap.kind else counts, day, cap.days, shape)
            capped = capped | np.packbits(most >= cap.n, axis=1)
    used_up = np.packbits(planes.total(counts, first, last, shape) >= allowed, axis=1)
    found = {
        Reason.CAPPED: capped,
        Reason.TOO_SOON: _too_soon(frame, at, rules) if counts else frame.empty(),
        Reason.ALLOWANCE: used_up,
    }
    doubtful = left & dirty & (capped | used_up)
    if not is_exact:
        doubtful = doubtful | (left & used_up)
    if doubtful.any():
        asked = frames.contacts_at(frame.brand, frame, doubtful)
        exact = {reason: frame.empty() for reason in BY_NUMBER}
        for start in range(0, len(asked), FEW):
            few, places = frames.frame_of(frame.brand, asked[start : start + FEW])
            for reason, bits in _by_ledger(few, places, set(places.values()), at, kind, rules).items():
                exact[reason] |= frame.of_positions(few.positions(bits))
        found = {reason: (bits & ~doubtful) | exact[reason] for reason, bits in found.items()}
    return found


def _too_soon(frame: Frame, at: datetime, rules: Rules) -> Bits:
    if not rules.gap:
        return frame.empty()
    return frame.select_people(
        "SELECT contact_id FROM campaigns_touch"
        " WHERE brand_id = %s AND at > %s AND at < %s AND kind = ANY(%s) AND state = ANY(%s)",
        [frame.brand.pk, at - rules.gap, at + rules.gap, *_counted()],
    )


def _counted() -> tuple[list[int], list[int]]:
    return [int(kind) for kind in planes.KINDS], [int(state) for state in planes.COUNTED]


def _by_ledger(
    frame: Frame, places: dict[int, int], asked: set[int], at: datetime, kind: int, rules: Rules
) -> dict[Touch.Reason, Bits]:
    """Refusals by number of some people, from the rows of the ledger."""
    reasons = reasons_by_number(frame.brand, asked, at, kind, rules)
    position_of = {contact_id: position for position, contact_id in places.items()}
    sets: dict[Touch.Reason, list[int]] = defaultdict(list)
    for contact_id, reason in reasons.items():
        sets[reason].append(position_of[contact_id])
    return {reason: frame.of_positions(positions) for reason, positions in sets.items()}


_COUNTS = """
    SELECT i.id, t.kind, t.at FROM unnest(%s::bigint[]) AS i(id) CROSS JOIN LATERAL (
        SELECT kind, at FROM campaigns_touch
         WHERE brand_id = (SELECT %s) AND contact_id = i.id AND at >= %s AND at < %s
           AND kind = ANY(%s::smallint[]) AND state = ANY(%s::smallint[]) OFFSET 0) t
"""


def span_of(at: datetime, rules: Rules) -> tuple[datetime, datetime]:
    """(beginning, end) of the time whose touches matter for one at `at`."""
    day, reach = governance.day_of(at, rules.zone), rules.reach_days
    start, end, _n = governance.allowance_span(at, rules.allowance)
    return (
        min(governance.midnight(day - reach, rules.zone), start),
        max(governance.midnight(day + reach + 1, rules.zone), end),
    )


def counted_touches(
    brand: Brand, contact_ids: Collection[int], at: datetime, rules: Rules
) -> Iterator[tuple[int, int, datetime]]:
    """(contact, kind, at) of touches that matter for one at `at`."""
    since, until = span_of(at, rules)
    with connection.cursor() as cursor:
        cursor.execute(_COUNTS, [array(set(contact_ids)), brand.pk, since, until, *_counted()])
        yield from cursor.fetchall()


def reasons_by_number(
    brand: Brand, contact_ids: Collection[int], at: datetime, kind: int, rules: Rules
) -> dict[int, Touch.Reason]:
    """{contact: reason} of those for whom a cap, the gap or the allowance is in the way."""
    if not contact_ids:
        return {}
    touches: dict[int, list[tuple[int, datetime]]] = defaultdict(list)
    for contact_id, of_kind, moment in counted_touches(brand, contact_ids, at, rules):
        touches[contact_id].append((of_kind, moment))
    found: dict[int, Touch.Reason] = {}
    days: dict[datetime, int] = {}
    for contact_id, rows in touches.items():
        if reason := reason_of(rules, rows, at, kind, days):
            found[contact_id] = reason
    return found


def reason_of(
    rules: Rules,
    rows: Collection[tuple[int, datetime]],
    at: datetime,
    kind: int,
    days: dict[datetime, int] | None = None,
) -> Touch.Reason | None:
    """Why somebody with these touches (kind, moment) may not get one more; None: they may.

    Args:
        days: of moments that were asked about before, by the same rules: many people have the same ones.
    """
    day = governance.day_of(at, rules.zone)
    start, end, allowed = governance.allowance_span(at, rules.allowance)
    counts: dict[int, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    days = {} if days is None else days
    for of_kind, moment in rows:
        if moment not in days:
            days[moment] = governance.day_of(moment, rules.zone)
        counts[of_kind][days[moment]] += 1
    if governance.is_capped(rules, counts, day, kind):
        return Reason.CAPPED
    if rules.gap and any(abs(moment - at) < rules.gap for _kind, moment in rows):
        return Reason.TOO_SOON
    if sum(start <= moment < end for _kind, moment in rows) >= allowed:
        return Reason.ALLOWANCE
    return None
