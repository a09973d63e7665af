"""Whom a channel code should lead to now: pure, without database and WeCom.

WeCom's contact way holds only a list of members among whom it chooses by itself; turn, weights, limits,
hours and standby are ours, kept by rewriting that list after arrivals and at the edges of working hours. The
list is as long as there are arrivals to be expected until the next rewrite (`ahead`): one guide on a quiet
day, so that the turn is exact; several in a rush, so that nobody gets all of it. What comes between two
rewrites may still go over a limit; pages show that.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from enum import StrEnum
from functools import reduce
from math import gcd
from zoneinfo import ZoneInfo

MAX_USERS = 100  # members of one contact way (WeCom 41041)
LOOK_BACK = 300  # so many of the latest arrivals are enough to keep turn and weights
REWRITE_S = 3.0  # from an arrival to the rewritten list, ordinarily


class Duty(StrEnum):
    """Why the list is what it is."""

    ON = "on"
    STANDBY = "standby"  # nobody else is on duty or below their limit
    FULL = "full"  # everybody on duty has reached their limit and there is no standby
    CLOSED = "closed"  # outside working hours, no standby: the code goes on leading to its guides
    NOBODY = "nobody"  # all guides have left, are disabled or refused by WeCom


@dataclass(frozen=True)
class Hours:
    """Weekly hours: 1 Monday … 7 Sunday; `start > end` goes over midnight, `start == end` is the whole
    day."""

    weekdays: frozenset[int]
    start: time
    end: time

    def hold(self, local: datetime) -> bool:
        """Whether `local` (in the brand's zone) lies within; the start belongs to it, the end does not."""
        today, clock = local.isoweekday(), local.time()
        if self.start < self.end:
            return today in self.weekdays and self.start <= clock < self.end
        if self.start == self.end:
            return today in self.weekdays
        yesterday = today - 1 or 7
        return (today in self.weekdays and clock >= self.start) or (
            yesterday in self.weekdays and clock < self.end
        )


@dataclass(frozen=True)
class Guide:
    """One guide behind a code.

    Attributes:
        hours: empty for always; the code's hours where the guide has none of their own.
        is_able: active, serves customers, and WeCom has not refused them lately.
        n_today: customers who came to them through this code since the brand's midnight.
    """

    staff_id: int
    userid: str
    weight: int = 1
    daily_limit: int | None = None
    is_standby: bool = False
    hours: tuple[Hours, ...] = ()
    is_able: bool = True
    n_today: int = 0

    def is_on(self, local: datetime) -> bool:
        return not self.hours or any(h.hold(local) for h in self.hours)

    def has_room(self, n_today: int) -> bool:
        return self.daily_limit is None or n_today < self.daily_limit

    @property
    def n_over(self) -> int:
        """Customers beyond the limit today."""
        return max(0, self.n_today - self.daily_limit) if self.daily_limit is not None else 0


@dataclass(frozen=True)
class Plan:
    """`userids`: what the contact way should hold, in the order in which their turn comes; empty only for
    NOBODY."""

    userids: tuple[str, ...]
    duty: Duty
    staff_ids: tuple[int, ...] = field(default=())


def plan(
    guides: Sequence[Guide], *, strategy: str, local: datetime, recent: Sequence[int] = (), ahead: int = 1
) -> Plan:
    """Whom the code should lead to now.

    Args:
        guides: in the order of the code's form; ties go to the first.
        strategy: ChannelCode.Strategy; `quality` is `weighted` by weights that the caller has computed.
        local: now, in the brand's zone.
        recent: staff ids of the latest arrivals through this code, newest first (LOOK_BACK are enough).
        ahead: arrivals to expect until the list can be rewritten.

    Raises:
        ValueError: unknown strategy.
    """
    able = [g for g in guides if g.is_able]
    counts = {g.staff_id: g.n_today for g in able}
    regular = [g for g in able if not g.is_standby]
    standby = [g for g in able if g.is_standby]
    on_duty = [g for g in regular if g.is_on(local)]
    chosen: list[Guide] = []
    turn = list(recent[:LOOK_BACK])
    for _ in range(max(1, min(ahead, MAX_USERS))):
        free = [g for g in on_duty if g.has_room(counts[g.staff_id])]
        if not free:
            break
        best = _next(free, strategy, counts, turn)
        if best not in chosen:
            chosen.append(best)
        counts[best.staff_id] += 1
        turn.insert(0, best.staff_id)
    if chosen:
        return _plan(chosen, Duty.ON)
    if standby:
        # a standby is there for when nobody else is: limit and hours only order them
        there = [g for g in standby if g.is_on(local)] or standby
        there = [g for g in there if g.has_room(g.n_today)] or there
        return _plan(_first(there, strategy, counts, turn, ahead), Duty.STANDBY)
    if on_duty:
        least = min(g.n_over for g in on_duty)
        return _plan([g for g in on_duty if g.n_over == least][:MAX_USERS], Duty.FULL)
    if regular:
        return _plan(_first(regular, strategy, counts, turn, ahead), Duty.CLOSED)
    return Plan((), Duty.NOBODY)


def _plan(chosen: Sequence[Guide], duty: Duty) -> Plan:
    return Plan(tuple(g.userid for g in chosen), duty, tuple(g.staff_id for g in chosen))


def _first(
    guides: Sequence[Guide], strategy: str, counts: dict[int, int], recent: Sequence[int], n: int
) -> list[Guide]:
    """The next `n` of these by turn, limits left aside."""
    left, turn, chosen = list(guides), list(recent), []
    for _ in range(max(1, min(n, MAX_USERS, len(guides)))):
        best = _next(left, strategy, counts, turn)
        chosen.append(best)
        left.remove(best)
        turn.insert(0, best.staff_id)
    return chosen


def _next(free: Sequence[Guide], strategy: str, counts: dict[int, int], recent: Sequence[int]) -> Guide:
    if strategy == "in_turn":
        return _longest_ago(free, recent)
    if strategy == "least_loaded":
        fewest = min(counts[g.staff_id] for g in free)
        return _longest_ago([g for g in free if counts[g.staff_id] == fewest], recent)
    if strategy in ("weighted", "quality"):
        return _most_due(free, recent)
    raise ValueError(f"unknown strategy {strategy}")


def _longest_ago(guides: Sequence[Guide], recent: Sequence[int]) -> Guide:
    """Who had the last customer longest ago; who never had one comes first."""
    last: dict[int, int] = {}
    for age, staff_id in enumerate(recent):
        last.setdefault(staff_id, age)
    return max(guides, key=lambda g: last.get(g.staff_id, len(recent)))


def _most_due(guides: Sequence[Guide], recent: Sequence[int]) -> Guide:
    """By deficit: who is furthest below their share of the latest arrivals to these guides.

    One round has as many arrivals as the weights sum to (5:3:2 → 10), and only the round before this arrival
    is looked at. So somebody who comes back from a day off, or is new, is not flooded to make up for it.
    """
    weights = _reduced({g.staff_id: max(1, g.weight) for g in guides})
    total = sum(weights.values())
    window = [s for s in recent if s in weights][: min(total - 1, LOOK_BACK)]
    had = Counter(window)

    def deficit(g: Guide) -> float:
        return weights[g.staff_id] * (len(window) + 1) / total - had[g.staff_id]

    most = max(deficit(g) for g in guides)
    return _longest_ago([g for g in guides if deficit(g) > most - 1e-9], recent)


def _reduced(weights: dict[int, int]) -> dict[int, int]:
    divisor = reduce(gcd, weights.values())
    return {staff_id: weight // divisor for staff_id, weight in weights.items()}


def expected_arrivals(arrived_at: Iterable[datetime], now: datetime) -> int:
    """`ahead` for `plan`: how many arrivals to expect until the next rewrite, from those of the last
    minute."""
    minute = timedelta(seconds=60)
    n = sum(1 for at in arrived_at if now - minute < at <= now)
    return max(1, min(MAX_USERS, round(n * REWRITE_S / 60)))


def next_change(hours: Iterable[Hours], *, local: datetime, has_limits: bool) -> datetime | None:
    """When the plan changes although nobody arrives: the next edge of hours, or midnight where limits begin
    anew.

    Returns:
        aware datetime in the brand's zone, after `local`; None when only arrivals change the plan.
    """
    zone = local.tzinfo
    edges: set[time] = {time(0)} if has_limits else set()
    for h in hours:
        # a whole day, and days without hours, begin and end at midnight
        edges |= {h.start, h.end} if h.start != h.end else {time(0)}
    after = []
    for edge in edges:
        for days in (0, 1, 2):
            at = datetime.combine(local.date() + timedelta(days=days), edge, tzinfo=zone)
            if at > local:
                after.append(at)
                break
    return min(after, default=None)


def day_start(zone: str, now: datetime) -> datetime:
    """The brand's last midnight."""
    local = now.astimezone(ZoneInfo(zone))
    return datetime.combine(local.date(), time(0), tzinfo=ZoneInfo(zone))
