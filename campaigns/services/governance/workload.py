"""How much one guide has to do on a day: send tasks of all campaigns together, moments and tasks by hand; and customers in the
send tasks.

Where the brand wants more than a warning, what goes beyond is left out with the reason *the guide has enough for that day*, or
moved to the guide's next free day (a later wave of a broadcast: rest_waves.py; a later moment of an SOP's message). Counted by
guide and day (guide_load.py), never by person. Whoever asks holds the brand's gate until the tasks are written.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from django.db import connection

from campaigns import governance
from campaigns.models import TouchPolicy
from campaigns.services.governance import guide_load, rules
from campaigns.services.ledger import planning
from campaigns.services.sops.schedule import run_at
from tagging.services.bits.frames import Bits, Frame
from tenants.models import Brand

DAYS = 7  # so many days later at most; who does not fit by then is left out
Key = tuple[int, int]  # guide, content (or step)
NO_ROOM: Mapping[Key, int] = {}


class Limits(NamedTuple):
    """What one guide may get on a day; None: no limit."""

    tasks: int | None
    people: int | None
    is_moved: bool  # to the next free day, instead of being left out


class Lower(NamedTuple):
    """A planned send task that gives way to a campaign of higher priority."""

    task_id: int
    n: int


@dataclass
class Day:
    """A guide's day as far as it is planned.

    Attributes:
        tasks, people: of what stays in any case; moments and tasks by hand are tasks without people.
        lower: what would give way, in the order in which it does.
    """

    tasks: int = 0
    people: int = 0
    lower: list[Lower] = field(default_factory=list)


def limits_of(brand: Brand) -> Limits | None:
    """None: nothing is held back for the sake of guides."""
    policy = rules.policy_of(brand)
    if policy.guide_busy == TouchPolicy.Busy.WARN:
        return None
    is_moved = policy.guide_busy == TouchPolicy.Busy.NEXT_DAY
    return Limits(policy.guide_tasks_a_day, policy.guide_people_a_day, is_moved)


_OF_THE_DAY = f"""
    SELECT staff_id, count(*) FILTER (WHERE NOT k.gives_way), coalesce(sum(n) FILTER (WHERE NOT k.gives_way), 0)::bigint,
           array_agg(id ORDER BY priority, id DESC) FILTER (WHERE k.gives_way),
           array_agg(n ORDER BY priority, id DESC) FILTER (WHERE k.gives_way)
      FROM (SELECT staff_id, id, n, priority, state = 'planned' AND priority < %(priority)s AS gives_way
              FROM campaigns_sendtask
             WHERE brand_id = %(b)s AND staff_id = ANY(%(staff)s::bigint[]) AND at >= %(start)s AND at < %(end)s AND n > 0
               AND state NOT IN ('cancelled', 'failed')
             UNION ALL
            SELECT o.staff_id, 0, 0, 0, false FROM ({guide_load.OTHERS}) o) k
     GROUP BY 1
"""  # noqa: S608


def days_of(brand: Brand, staff_ids: Collection[int], at: datetime, priority: int = 0) -> dict[int, Day]:
    """What some guides have on the day of `at`, and what of it would give way to a campaign of `priority` (0: nothing); moments
    and tasks by hand never do."""
    on = governance.day_of(at, brand.timezone)
    span = governance.midnight(on, brand.timezone), governance.midnight(on + 1, brand.timezone)
    found: dict[int, Day] = {staff_id: Day() for staff_id in staff_ids}
    with connection.cursor() as cursor:
        cursor.execute(_OF_THE_DAY, {**guide_load.params(brand, *span, staff_ids), "priority": priority})
        for staff_id, n_tasks, n_people, ids, sizes in cursor.fetchall():
            found[staff_id] = Day(
                n_tasks, n_people, [Lower(*one) for one in zip(ids or (), sizes or (), strict=True)]
            )
    return found


def fit(
    shares: Mapping[Key, int], days: Mapping[int, Day], limits: Limits, room: Mapping[Key, int] = NO_ROOM
) -> dict[Key, int]:
    """Of {(guide, content): people} as many as the guides' days have room for; without those for whom there is none.

    A guide with several contents has all of them or none: a comparison would be crooked if the first of them filled the day.

    Args:
        room: people whom a task that is planned already takes as well.
    """
    by_guide: dict[int, list[tuple[Key, int]]] = defaultdict(list)
    for key, n in sorted(shares.items()):  # the same whoever asks
        if n:
            by_guide[key[0]].append((key, n))
    kept: dict[Key, int] = {}
    for staff_id, rows in by_guide.items():
        day, each = days[staff_id], None
        if limits.tasks is not None:  # each content is a task of its own, and a task holds a thousand
            each = max(limits.tasks - day.tasks, 0) // len(rows) * planning.CHUNK
        fitting = [(key, n if each is None else min(n, each + room.get(key, 0))) for key, n in rows]
        if limits.people is not None:
            fitting = _shared(fitting, max(limits.people - day.people, 0))
        kept |= {key: n for key, n in fitting if n}
    return kept


def _shared(rows: Sequence[tuple[Key, int]], most: int) -> list[tuple[Key, int]]:
    """At most so many people in all, each content in its proportion."""
    total = sum(n for _key, n in rows)
    if total <= most:
        return list(rows)
    found = {key: n * most // total for key, n in rows}
    rest = most - sum(found.values())
    for key, n in rows:  # what rounding has left over
        if rest and found[key] < n:
            found[key], rest = found[key] + 1, rest - 1
    return list(found.items())


def n_tasks(n: int) -> int:
    """Send tasks of so many people."""
    return -(-max(n, 0) // planning.CHUNK)


def gives_way(
    kept: Mapping[Key, int], days: Mapping[int, Day], limits: Limits, room: Mapping[Key, int] = NO_ROOM
) -> list[Lower]:
    """The planned tasks of lower campaigns for which there is no room any more beside what was kept; the lowest first and no
    more than needed."""
    tasks: dict[int, int] = defaultdict(int)
    people: dict[int, int] = defaultdict(int)
    for key, n in kept.items():
        tasks[key[0]] += n_tasks(n - room.get(key, 0))
        people[key[0]] += n
    gone: list[Lower] = []
    for staff_id, used in tasks.items():
        day = days[staff_id]
        n, m = (
            used + day.tasks + len(day.lower),
            people[staff_id] + day.people + sum(row.n for row in day.lower),
        )
        for row in day.lower:
            # people who fill up a task that is there need none, however much by hand has come to the day since
            if not (used and _is_over(n, limits.tasks)) and not _is_over(m, limits.people):
                break
            gone.append(row)
            n, m = n - 1, m - row.n
    return gone


def _is_over(n: int, limit: int | None) -> bool:
    return limit is not None and n > limit


def with_room(brand: Brand, chosen: Mapping[int, int], *, at: datetime, priority: int) -> list[int]:
    """Of {contact: guide} as many as their guides' day has room for at all: nobody's planned message is taken back for
    somebody who would get nothing."""
    limits = limits_of(brand)
    if limits is None:
        return list(chosen)
    days, found = days_of(brand, set(chosen.values()), at, priority), list[int]()
    room = {
        staff_id: 0
        if limits.tasks is not None and day.tasks >= limits.tasks
        else len(chosen)
        if limits.people is None
        else limits.people - day.people
        for staff_id, day in days.items()
    }
    for contact_id, staff_id in chosen.items():
        if room[staff_id] > 0:
            room[staff_id] -= 1
            found.append(contact_id)
    return found


# ---- a wave's plan


def trim(
    brand: Brand, frame: Frame, at: datetime, priority: int, limits: Limits
) -> tuple[Bits, dict[Key, int]]:
    """Take out of the temporary table `plan_task` what is too much for its guides; gives whose messages these are, and
    {(guide, content): people} of what stays. Writes nothing else: lower campaigns give way afterwards (workload_room.py)."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, staff_id, variant, cardinality(contact_ids) FROM plan_task ORDER BY id")
        rows = cursor.fetchall()
        shares: dict[Key, int] = defaultdict(int)
        for _id, staff_id, variant, n in rows:
            shares[staff_id, variant] += n
        days = days_of(brand, {staff_id for staff_id, _variant in shares}, at, priority)
        kept = fit(shares, days, limits)
        left, short = dict(kept), []
        for task_id, staff_id, variant, n in rows:
            stay = min(left.get((staff_id, variant), 0), n)
            left[staff_id, variant] = left.get((staff_id, variant), 0) - stay
            if stay < n:
                short.append((task_id, stay))
        busy = frame.empty()
        if short:
            given = [[row[0] for row in short], [row[1] for row in short]]
            busy = frame.select_people(
                "SELECT unnest(t.contact_ids[v.n + 1 :]) AS contact_id"
                " FROM plan_task t JOIN unnest(%s::bigint[], %s::int[]) AS v(id, n) ON v.id = t.id",
                given,
            )
            cursor.execute(
                "UPDATE plan_task t SET contact_ids = t.contact_ids[: v.n]"
                " FROM unnest(%s::bigint[], %s::int[]) AS v(id, n) WHERE v.id = t.id",
                given,
            )
            cursor.execute("DELETE FROM plan_task WHERE cardinality(contact_ids) = 0")
    return busy, kept


# ---- the next day


def days_later(brand: Brand, at: datetime, days: int, *, on_the_hour: bool = False) -> datetime:
    """The same time of the day so many days later, behind quiet hours.

    Args:
        on_the_hour: what is moved in the course of an hour meets, and makes one send task.
    """
    zone = brand.timezone
    local = at.astimezone(ZoneInfo(zone))
    on = date.fromordinal(local.toordinal() + days)
    moment = run_at(on, 0, local.hour, 0 if on_the_hour else local.minute, zone)
    return governance.release_at(moment, rules.rules_of(brand).quiet, zone)
