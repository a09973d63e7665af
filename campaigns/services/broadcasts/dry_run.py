"""What a launch at this moment would do: who gets it, with which content, from which guide, and who does not and why.
Nothing is written but temporary tables; everything runs in the caller's transaction."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import inf
from typing import NamedTuple

from django.db import connection

from campaigns import governance
from campaigns.models import Broadcast, Touch, TouchPolicy, Variant, Wave
from campaigns.services.broadcasts import fanout, launch_checks, rest_waves, waves
from campaigns.services.governance import outranking, rules, workload
from campaigns.services.governance.gate import Verdict
from campaigns.services.ledger import planes
from campaigns.services.ledger.touches import array
from campaigns.services.sending.senders import ORDERS
from org.models import Staff
from scrm import clock
from tagging.services.bits import frames
from tagging.services.bits.frames import Bits, Frame
from tenants.db.joins import joined_by_hash
from tenants.models import Brand

CONFIRM_S = 30  # what one send task costs a guide: look at it, press send
CONFIRMED_WITHIN = timedelta(days=30)  # past tasks from which confirmations are foretold
USUAL_CONFIRMED = 0.8  # of guides without a past
SHOWN_GUIDES = 50
GETS_IT = 0  # of `people`: not a reason


class Load(NamedTuple):
    """What a guide would have to do.

    Attributes:
        n_tasks, n: send tasks and people of this broadcast.
        confirmed_ratio: of such tasks this guide confirmed lately.
        n_already, n_people: what the guide has to do on that day without it, and the people of its send tasks.
    """

    staff_id: int
    name: str
    n_tasks: int
    n: int
    confirmed_ratio: float
    n_already: int
    n_people: int


@dataclass
class DryRun:
    """What a launch at this moment would do; nothing is written.

    Attributes:
        at: when it would go out: quiet hours hold it.
        refused: [(reason, words, people)], most first.
        contents: [(letter, people)].
        guides: those with most people.
        n_guides, n_tasks: of all.
        work_s: seconds of guides' work to confirm everything.
        expected: people who will get it if guides confirm as they did.
        left_per_person: touches of WeCom's allowance left per person after it, on average, as far as we know: mass
            messages that a guide makes in WeCom count there as well.
        over_limit: guides who would have more tasks or people on that day, of all campaigns, than the brand wants.
        waits_until: when those for whom a guide has no room on that day are tried again; None: they are left out.
        n_taken: planned touches of lower campaigns that give way.
        is_held: quiet hours put it off to `at`.
        problem: why a launch would be refused now; "" where it would not.
        warnings: what would not do what is meant.
    """

    at: datetime
    wanted: int = 0
    planned: int = 0
    refused: list[tuple[int, str, int]] = field(default_factory=list)
    contents: list[tuple[str, int]] = field(default_factory=list)
    guides: list[Load] = field(default_factory=list)
    n_guides: int = 0
    n_tasks: int = 0
    work_s: int = 0
    expected: int = 0
    left_per_person: float = 0.0
    over_limit: int = 0
    n_taken: int = 0
    waits_until: datetime | None = None
    is_held: bool = False
    problem: str = ""
    warnings: list[str] = field(default_factory=list)

    @property
    def n_held(self) -> int:
        return sum(n for _reason, _words, n in self.refused)

    @property
    def n_busy(self) -> int:
        """Those of them for whom a guide has no room on that day."""
        return sum(n for reason, _words, n in self.refused if reason == Touch.Reason.GUIDE_BUSY)

    @property
    def work_minutes(self) -> int:
        return -(-self.work_s // 60)


class _Outcome(NamedTuple):
    """Who would get it and who would not; the table `dry_allowed` holds those whom the gate lets through."""

    at: datetime
    frame: Frame
    wanted: Bits
    verdict: Verdict
    taken: list[outranking.Planned]
    asked_for: datetime


_GUIDES = f"SELECT c.staff_id, {{variant}} AS variant, count(*) FROM ({fanout.CHOSEN}) c GROUP BY 1, 2"  # noqa: S608
_WITH_GUIDE = """
    SELECT s.position FROM contacts_contactstat s JOIN dry_allowed q ON q.chunk = s.position / 8192
     WHERE s.brand_id = %s AND get_bit(q.bits, s.position %% 8192) = 1
       AND EXISTS (SELECT FROM contacts_follow f
                    WHERE f.brand_id = %s AND f.contact_id = s.contact_id AND f.ended_at IS NULL AND NOT f.is_pending
                      AND f.staff_id = ANY(%s::bigint[]))
"""
_CONFIRMED = """
    SELECT staff_id, count(*), count(confirmed_at) FROM campaigns_sendtask
     WHERE brand_id = %s AND staff_id = ANY(%s::bigint[]) AND at > %s AND at < %s AND state IN ('handed', 'final')
     GROUP BY 1
"""


def dry_run(brand: Brand, broadcast: Broadcast) -> DryRun:
    """Of the first wave: who would get it and who would not and why, how much work, what is left.

    Raises:
        ConditionError: the segment or what a condition names does not exist any more.
    """
    allowed, wave = rules.rules_of(brand), _first(broadcast)
    seen = _outcome(brand, broadcast, wave, allowed)
    verdict = seen.verdict
    found = DryRun(
        at=seen.at,
        wanted=frames.count(seen.wanted),
        n_taken=len(seen.taken),
        is_held=seen.at > seen.asked_for,
        problem=launch_checks.problem_of(brand, broadcast),
        warnings=launch_checks.warnings_of(brand, broadcast),
    )
    contents = fanout.contents_of(wave)
    shares = _shares(brand, wave, contents)
    refused = {reason: frames.count(bits) for reason, bits in verdict.refused.items()}
    if alone := frames.count(verdict.allowed) - sum(shares.values()):  # only guides who have left have them
        refused[Touch.Reason.NOT_FOLLOWED] = refused.get(Touch.Reason.NOT_FOLLOWED, 0) + alone
    if limits := workload.limits_of(brand):
        days = workload.days_of(brand, {staff_id for staff_id, _ in shares}, seen.at, broadcast.priority)
        kept = workload.fit(shares, days, limits)
        refused[Touch.Reason.GUIDE_BUSY] = sum(shares.values()) - sum(kept.values())
        found.n_taken += sum(row.n for row in workload.gives_way(kept, days, limits))
        found.waits_until = rest_waves.next_day(brand, wave, seen.asked_for)
        shares = kept
    found.planned = sum(shares.values())
    rows = sorted(refused.items(), key=lambda row: -row[1])
    found.refused = [(int(reason), str(reason.label), n) for reason, n in rows if n]
    found.contents = [
        (v.letter, sum(n for (_staff, variant_id), n in shares.items() if variant_id == v.pk))
        for v in contents
    ]
    _add_guides(brand, found, shares)
    found.left_per_person = _left(seen.frame, verdict.allowed, seen.at, allowed)
    return found


def set_of(brand: Brand, broadcast: Broadcast, what: int) -> tuple[Frame, Bits]:
    """Contacts who would get it (GETS_IT), or whom a reason (Touch.Reason) would hold back; people_pages.py shows them.

    Raises:
        ConditionError: as `dry_run`.
    """
    wave = _first(broadcast)
    seen = _outcome(brand, broadcast, wave, rules.rules_of(brand))
    chosen = seen.verdict.refused.get(Touch.Reason(what), seen.frame.empty())
    if what in (GETS_IT, Touch.Reason.NOT_FOLLOWED):
        reached = with_guide(brand, seen.frame, fanout.guides())
        chosen = reached if what == GETS_IT else chosen | (seen.verdict.allowed & ~reached)
    limits = workload.limits_of(brand)
    if limits and what in (GETS_IT, Touch.Reason.GUIDE_BUSY):
        fanout.cut_tasks(brand, wave, seen.frame, seen.verdict.allowed)
        busy, _kept = workload.trim(brand, seen.frame, seen.at, broadcast.priority, limits)
        chosen = chosen & ~busy if what == GETS_IT else busy
    return seen.frame, chosen


def with_guide(brand: Brand, frame: Frame, guide_ids: Sequence[int]) -> Bits:
    """Those of the table `dry_allowed` whom one of some guides has."""
    return frame.select(_WITH_GUIDE, [brand.pk, brand.pk, array(guide_ids)], joins_all=True)


def _first(broadcast: Broadcast) -> Wave:
    return Wave.objects.select_related("broadcast").filter(broadcast=broadcast).order_by("n")[:1].get()


def _outcome(brand: Brand, broadcast: Broadcast, wave: Wave, allowed: governance.Rules) -> _Outcome:
    asked_for = max(clock.now(), wave.at)
    at = governance.release_at(asked_for, allowed.quiet, allowed.zone)
    frame = Frame.whole(brand)
    wanted = waves.wanted_of(brand, wave, frame)
    fails = waves.fails_of(brand, wave, frame, wanted)
    verdict, taken = fanout.decide(frame, wanted, broadcast, at, allowed, fails)
    rows = list(frame.rows(verdict.allowed))
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS dry_allowed")
        cursor.execute(fanout.BITS_TABLE.format(name="dry_allowed"))
        fill = fanout.FILL.format(name="dry_allowed")
        cursor.execute(fill, [[row[0] for row in rows], [row[1] for row in rows]])
        cursor.execute("ANALYZE dry_allowed")
    return _Outcome(at, frame, wanted, verdict, taken, asked_for)


def _shares(brand: Brand, wave: Wave, contents: list[Variant]) -> dict[tuple[int, int], int]:
    """{(guide, content): people}."""
    order = ORDERS[TouchPolicy.Sender(rules.policy_of(brand).sender)]
    sql = _GUIDES.format(
        bits="dry_allowed", order=order, variant=fanout.variant_sql(wave.broadcast_id, contents)
    )
    with connection.cursor() as cursor, joined_by_hash(cursor, work_mem="192MB", sorting=False):
        cursor.execute(sql, {"b": brand.pk, "guides": array(fanout.guides())})
        return {(staff_id, variant_id): n for staff_id, variant_id, n in cursor.fetchall()}


def _add_guides(brand: Brand, found: DryRun, shares: dict[tuple[int, int], int]) -> None:
    n_tasks: dict[int, int] = {}
    n_people: dict[int, int] = {}
    for (
        staff_id,
        _variant,
    ), n in shares.items():  # each content is a task of its own, and a task holds a thousand
        n_tasks[staff_id] = n_tasks.get(staff_id, 0) - (-n // fanout.CHUNK)
        n_people[staff_id] = n_people.get(staff_id, 0) + n
    names = dict(Staff.objects.filter(pk__in=n_people).values_list("pk", "name"))
    past = _past(brand, list(n_people), found.at)
    days = workload.days_of(brand, n_people, found.at)
    policy = rules.policy_of(brand)
    rows = [
        Load(
            pk,
            names.get(pk, "—"),
            n_tasks[pk],
            n,
            past.get(pk, USUAL_CONFIRMED),
            days[pk].tasks,
            days[pk].people,
        )
        for pk, n in n_people.items()
    ]
    found.n_guides, found.n_tasks = len(rows), sum(n_tasks.values())
    found.work_s = found.n_tasks * CONFIRM_S
    found.expected = sum(round(row.n * row.confirmed_ratio) for row in rows)
    if policy.guide_busy == TouchPolicy.Busy.WARN:  # otherwise nobody gets more
        most_tasks, most_people = policy.guide_tasks_a_day or inf, policy.guide_people_a_day or inf
        found.over_limit = sum(
            row.n_tasks + row.n_already > most_tasks or row.n + row.n_people > most_people for row in rows
        )
    found.guides = sorted(rows, key=lambda row: -row.n)[:SHOWN_GUIDES]


def _past(brand: Brand, staff_ids: list[int], at: datetime) -> dict[int, float]:
    """{guide: share of the tasks of the last weeks that the guide has confirmed}."""
    with connection.cursor() as cursor:
        cursor.execute(_CONFIRMED, [brand.pk, staff_ids, at - CONFIRMED_WITHIN, at - timedelta(hours=1)])
        return {staff_id: confirmed / n for staff_id, n, confirmed in cursor.fetchall()}


def _left(frame: Frame, planned: Bits, at: datetime, allowed: governance.Rules) -> float:
    n = frames.count(planned)
    if not n:
        return 0.0
    first, last, most, _is_exact = governance.allowance_days(at, allowed.allowance, allowed.zone)
    used, touched = 0, planes.counts_by_day(frame, first, last, planes.ALL)[0]
    mask = planes.unpack(planned)
    for counts in touched.values():
        used += int(counts[mask].sum())
    return most - used / n - 1
