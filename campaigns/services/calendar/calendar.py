"""The calendar of all touches of a brand, past and to come: entries by day, load of guides, conflicts.

Cheap at any size: send tasks (a row for up to 1,000 people), waves, moments and tasks of the days shown, each by an index
on its time; people in SOPs are counted once in some minutes. The ledger is not read.
"""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from django.db import connection
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from campaigns.models import Wave, WaveSet
from campaigns.services.calendar.calendar_sources import Entry, Span
from campaigns.services.governance import guide_load
from campaigns.services.governance.rules import policy_of
from campaigns.services.tasks.staff_task_numbers import visible_ids
from org.models import Staff
from scrm import clock
from scrm.errors import InvalidError
from tenants.models import Brand

# source → (words, colour of frame.css, dotted path of `entries(span) -> [Entry]`)
SOURCES: dict[str, tuple[Any, str, str]] = {
    "broadcast": (
        gettext_lazy("Broadcasts"),
        "blue",
        "campaigns.services.calendar.calendar_sources.broadcasts",
    ),
    "sop": (gettext_lazy("SOPs"), "green", "campaigns.services.calendar.calendar_sources.sops"),
    "moment": (gettext_lazy("Moments"), "amber", "campaigns.services.calendar.calendar_sources.moments"),
    "task": (gettext_lazy("Guides' tasks"), "grey", "campaigns.services.calendar.calendar_sources.tasks"),
}
MOST_DAYS = 92
A_DAY = 20  # of one guide by hand, where the brand has set no limit of its own
SHOWN = 8  # guides with most to do on a day
NAMED = 50  # guides above the limit on a day
LOADED = 50  # guides of the table of a week


@dataclass
class Conflict:
    """Something that cannot come out well. kind: load, compete."""

    kind: str
    text: str


class Over(NamedTuple):
    """A guide with more on a day than the brand wants: n things to do by hand, customers in the send tasks among them."""

    staff_id: int
    n: int
    n_people: int
    is_busy: bool  # by things to do
    is_crowded: bool  # by customers


@dataclass
class Day:
    """One day.

    Attributes:
        n: customers of everything with a number, n_tasks: what guides do by hand.
    """

    on: date
    entries: list[Entry] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    over: list[Over] = field(default_factory=list)  # the most first

    @property
    def n(self) -> int:
        return sum(entry.n or 0 for entry in self.entries if entry.source != "task")

    @property
    def n_sent(self) -> int:
        return sum(entry.n_sent for entry in self.entries if entry.source in ("broadcast", "sop"))

    @property
    def n_tasks(self) -> int:
        return sum(entry.n_tasks for entry in self.entries)

    @property
    def n_open(self) -> int:
        return sum(entry.n_open for entry in self.entries)


@dataclass
class Calendar:
    days: list[Day]
    a_day: int  # what one guide is reckoned to do
    people_a_day: int | None
    most: int  # customers of the fullest day


def read(
    brand: Brand,
    first: date,
    last: date,
    *,
    viewer: Staff | None = None,
    guide_id: int | None = None,
    sources: Collection[str] = (),
) -> Calendar:
    """Everything between two days, both included.

    Args:
        viewer: only guides whom this person may see by the role's scope; None: everything (API).
        sources: of SOURCES; empty: all.

    Raises:
        InvalidError: an unknown source, the wrong way round, or more than `MOST_DAYS` days.
    """
    if unknown := set(sources) - set(SOURCES):
        raise InvalidError(
            _("Unknown source: %(name)s") % {"name": ", ".join(sorted(unknown))}, fields={"source": "?"}
        )
    if not first <= last or (last - first).days >= MOST_DAYS:
        text = _("Between one day and %(n)s days") % {"n": MOST_DAYS}
        raise InvalidError(text, fields={"until": text})
    span = Span(brand, first, last, _staff_ids(viewer, guide_id))
    days = {on: Day(on) for on in (first + timedelta(days=n) for n in range((last - first).days + 1))}
    for name, (_words, _colour, path) in SOURCES.items():
        if not sources or name in sources:
            for entry in import_string(path)(span):
                if entry.on in days:
                    days[entry.on].entries.append(entry)
    policy = policy_of(brand)
    a_day, people_a_day = policy.guide_tasks_a_day or A_DAY, policy.guide_people_a_day
    for on, one in _over(span, a_day, people_a_day):
        days[on].over.append(one)
    today = clock.today(brand.timezone)
    zone = ZoneInfo(brand.timezone)
    for day in days.values():
        for entry in day.entries:
            entry.time = entry.at.astimezone(zone).strftime("%H:%M")
        day.entries.sort(key=lambda e: (e.at, e.source, e.source_id, e.is_forecast))
        if day.on >= today:
            _conflicts(day, a_day, people_a_day)
    found = list(days.values())
    return Calendar(found, a_day, people_a_day, max((day.n for day in found), default=0))


def _staff_ids(viewer: Staff | None, guide_id: int | None) -> frozenset[int] | None:
    seen = None if viewer is None else visible_ids(viewer)
    if guide_id is None:
        return None if seen is None else frozenset(seen)
    rows = Staff.objects.filter(pk=guide_id)
    if seen is not None:
        rows = rows.filter(pk__in=seen)
    return frozenset(rows.values_list("pk", flat=True))


# ---- load of guides


_OVER = f"""
    SELECT x.on_day, x.staff_id, sum(x.n)::bigint, sum(x.people)::bigint, sum(x.n) > %(a_day)s,
           coalesce(sum(x.people) > %(people)s::bigint, false)
      FROM ({guide_load.BY_DAY}) x GROUP BY 1, 2 HAVING sum(x.n) > %(a_day)s OR sum(x.people) > %(people)s::bigint
     ORDER BY 3 DESC, 4 DESC, 2 LIMIT 5000
"""  # noqa: S608


def _over(span: Span, a_day: int, people_a_day: int | None) -> list[tuple[date, Over]]:
    """Who has more than is wanted of one guide, and when; the most first."""
    with connection.cursor() as cursor:
        cursor.execute(_OVER, span.params(a_day=a_day, people=people_a_day))
        return [(on, Over(*row)) for on, *row in cursor.fetchall()]


def load(
    brand: Brand, first: date, last: date, *, viewer: Staff | None = None, guide_id: int | None = None
) -> list[tuple[int, str, dict[date, int], int]]:
    """(guide, name, {day: tasks}, sum) of the `LOADED` guides with the most to do by hand."""
    span = Span(brand, first, last, _staff_ids(viewer, guide_id))
    sql = f"""WITH x AS MATERIALIZED ({guide_load.BY_DAY}),
                   top AS (SELECT staff_id, sum(n) AS n FROM x GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {LOADED})
              SELECT x.staff_id, x.on_day, sum(x.n)::bigint FROM x JOIN top USING (staff_id) GROUP BY 1, 2"""  # noqa: S608
    by_guide: dict[int, dict[date, int]] = defaultdict(dict)
    with connection.cursor() as cursor:
        cursor.execute(sql, span.params())
        for staff_id, on, n in cursor.fetchall():
            by_guide[staff_id][on] = n
    names = dict(Staff.objects.filter(pk__in=list(by_guide)).values_list("pk", "name"))
    rows = [(pk, names.get(pk, "—"), days, sum(days.values())) for pk, days in by_guide.items()]
    return sorted(rows, key=lambda row: (-row[3], row[1]))


# ---- conflicts


def _conflicts(day: Day, a_day: int, people_a_day: int | None) -> None:
    if n_busy := sum(one.is_busy for one in day.over):
        text = _("%(n)s guides have more than %(most)s things to do by hand")
        day.conflicts.append(Conflict("load", text % {"n": n_busy, "most": a_day}))
    if n_crowded := sum(one.is_crowded for one in day.over):
        text = _("%(n)s guides have more than %(most)s customers in their send tasks")
        day.conflicts.append(Conflict("load", text % {"n": n_crowded, "most": people_a_day}))
    names = sorted({entry.name for entry in day.entries if entry.source == "broadcast" and not entry.is_held})
    if len(names) > 1:
        text = _("Broadcasts compete for the same day: %(names)s") % {"names": ", ".join(names[:5])}
        day.conflicts.append(Conflict("compete", text))


_BOTH = """
    SELECT a.wave_id, b.wave_id, sum(bit_count(a.bits & b.bits))::bigint
      FROM campaigns_waveset a JOIN campaigns_waveset b
        ON b.brand_id = %(b)s AND b.what = 0 AND b.chunk = a.chunk AND b.wave_id = ANY(%(waves)s) AND b.wave_id > a.wave_id
     WHERE a.brand_id = %(b)s AND a.what = 0 AND a.wave_id = ANY(%(waves)s)
     GROUP BY 1, 2 ORDER BY 3 DESC
"""


def overlaps(brand: Brand, on: date) -> list[tuple[str, str, int]]:
    """(campaign, campaign, people in both audiences) of the waves of a day that are planned."""
    span = Span(brand, on, on)
    rows = Wave.objects.filter(
        at__gte=span.start, at__lt=span.end, state__in=[Wave.State.PLANNED, Wave.State.DONE]
    )
    waves = {wave.pk: wave for wave in rows.select_related("broadcast").order_by("pk")[:20]}
    if len(waves) < 2 or not WaveSet.objects.filter(wave__in=list(waves), what=0).exists():
        return []
    with connection.cursor() as cursor:
        cursor.execute(_BOTH, {"b": brand.pk, "waves": list(waves)})
        pairs = cursor.fetchall()
    return [
        (waves[a].broadcast.name, waves[b].broadcast.name, n)
        for a, b, n in pairs
        if n and waves[a].broadcast_id != waves[b].broadcast_id
    ]


def names_of(staff_ids: Collection[int]) -> dict[int, str]:
    """Names of guides."""
    return dict(Staff.objects.filter(pk__in=list(staff_ids)).values_list("pk", "name"))
