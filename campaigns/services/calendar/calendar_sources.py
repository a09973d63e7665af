"""Where the calendar's entries come from: one function for each source, each from rows that are few (send tasks, waves,
moments, folds), never from the ledger. What stands above this app adds a line to calendar.SOURCES."""

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from typing import Any

from django.db import connection
from django.db.models import Count, Q
from django.utils.translation import gettext as _

from campaigns.governance import day_of, midnight
from campaigns.graph.shape import before_messages
from campaigns.models import Broadcast, Moment, Sop, SopVersion, Wave
from campaigns.services.broadcasts import rest_waves
from campaigns.services.governance import guide_load
from campaigns.services.sops.schedule import next_in_rhythm
from org.models import Staff
from scrm import clock
from scrm.redis import redis_client
from tagging.models import Dim, Flag, Segment
from tenants.models import Brand

FORECAST_S = 300  # how long a count of people in SOPs by day is believed
MOST_REPEATS = 1_000


@dataclass(frozen=True)
class Span:
    """Some days of the brand's zone, both ends included; `staff_ids` None: of everybody."""

    brand: Brand
    first: date
    last: date
    staff_ids: frozenset[int] | None = None

    @property
    def start(self) -> datetime:
        return midnight(self.first.toordinal(), self.brand.timezone)

    @property
    def end(self) -> datetime:
        return midnight(self.last.toordinal() + 1, self.brand.timezone)

    def day(self, at: datetime) -> date:
        return date.fromordinal(day_of(at, self.brand.timezone))

    def params(self, **more: Any) -> dict[str, Any]:
        return guide_load.params(self.brand, self.start, self.end, self.staff_ids) | more

    @cached_property
    def send_tasks(self) -> list[tuple[Any, ...]]:
        """Rows of SEND_TASKS; broadcasts and SOPs are told apart in them."""
        with connection.cursor() as cursor:
            cursor.execute(SEND_TASKS, self.params())
            return cursor.fetchall()


@dataclass
class Entry:
    """One campaign on one day.

    Attributes:
        n: customers; None: not known before it is planned.
        n_sent: of these, delivered (moments: likes and comments; tasks: done).
        n_tasks: what guides have to do by hand.
        n_open: of these, not done yet.
        is_forecast: nothing is planned yet: the number is an estimate.
    """

    on: date
    source: str
    source_id: int
    name: str
    at: datetime
    url: str = ""
    n: int | None = 0
    n_sent: int = 0
    n_tasks: int = 0
    n_open: int = 0
    n_guides: int = 0
    is_forecast: bool = False
    is_held: bool = False
    time: str = ""  # of the brand's zone, filled in by calendar.read


SEND_TASKS = """
    SELECT (t.at AT TIME ZONE %(zone)s)::date, t.broadcast_id, t.sop_id, min(t.at), sum(t.n), sum(t.n_sent), count(*),
           count(*) FILTER (WHERE t.state IN ('planned', 'calling', 'handed') AND t.confirmed_at IS NULL),
           count(DISTINCT t.staff_id)
      FROM campaigns_sendtask t
     WHERE t.brand_id = %(b)s AND t.at >= %(start)s AND t.at < %(end)s AND t.state <> 'cancelled'
       AND (t.n > 0 OR t.state <> 'failed')  -- failed for nobody: everybody was held back
       AND (%(all)s OR t.staff_id = ANY(%(staff)s::bigint[]))
     GROUP BY 1, 2, 3
"""


def _of_tasks(
    span: Span, source: str, rows: Collection[tuple[Any, ...]], names: dict[int, str]
) -> list[Entry]:
    found = []
    for on, broadcast_id, sop_id, at, n, n_sent, n_tasks, n_open, n_guides in rows:
        pk = broadcast_id if source == "broadcast" else sop_id
        if pk is None or (source == "sop" and broadcast_id is not None):
            continue
        url = f"/{source}s/{pk}/"
        found.append(
            Entry(
                on,
                source,
                pk,
                names.get(pk, "—"),
                at,
                url,
                int(n or 0),
                int(n_sent or 0),
                n_tasks,
                n_open,
                n_guides,
            )
        )
    return found


# ---- broadcasts


def broadcasts(span: Span) -> list[Entry]:
    """Planned waves by their send tasks; waves to come, and repetitions, with the size of their audience."""
    rows = [row for row in span.send_tasks if row[1] is not None]
    waves = list(
        Wave.objects.select_related("broadcast").filter(
            state=Wave.State.WAITING,
            at__lt=span.end,
            broadcast__state__in=[Broadcast.State.ON, Broadcast.State.PAUSED, Broadcast.State.APPROVAL],
        )
    )
    names = dict(Broadcast.objects.filter(pk__in={row[1] for row in rows}).values_list("pk", "name"))
    found = _of_tasks(span, "broadcast", rows, names)
    of_waves = Wave.objects.filter(n=1, broadcast__in={wave.broadcast_id for wave in waves if wave.n > 1})
    firsts = dict(of_waves.values_list("broadcast_id", "at")) if waves else {}
    coming = [
        (wave, at) for wave in waves for at in _moments_of(span, wave, firsts.get(wave.broadcast_id, wave.at))
    ]
    sizes = _sizes(span.brand, {wave.broadcast_id: wave.broadcast.audience for wave, _at in coming})
    for wave, at in coming:
        n = sizes[wave.broadcast_id] if wave.n == 1 else None
        if rest_waves.is_rest(wave):
            n = wave.numbers.get("wanted")
        found.append(
            Entry(
                span.day(at), "broadcast", wave.broadcast_id, wave.broadcast.name, at, f"/broadcasts/{wave.broadcast_id}/",
                n if span.staff_ids is None else None,
                is_forecast=True, is_held=wave.broadcast.state != Broadcast.State.ON,
            )
        )  # fmt: skip
    return found


def _moments_of(span: Span, wave: Wave, first: datetime) -> Iterator[datetime]:
    """The wave's own time, and its repetitions, within the span; `first`: of the broadcast's first wave."""
    rhythm = {} if rest_waves.is_rest(wave) else wave.broadcast.repeat
    every, until = rhythm.get("every"), rhythm.get("until")
    at, now = wave.at, clock.now()
    own = max(at, now) if at < span.start else at
    if span.start <= own < span.end:
        yield own
    for _n in range(MOST_REPEATS if every else 0):
        at = next_in_rhythm(at, str(every), span.brand.timezone, first)
        if at >= span.end or (until and at > datetime.fromisoformat(until)):
            return
        if at >= span.start and at > now:  # days that were missed are not made up for
            yield at


_REACHABLE = "SELECT coalesce(sum(bit_count(bits)), 0)::bigint FROM tagging_dimbits WHERE brand_id = %s AND dim = %s AND val = %s"


def _sizes(brand: Brand, audiences: dict[int, dict[str, Any]]) -> dict[int, int | None]:
    """{broadcast: people}, as far as it is known without counting anew."""
    segment_ids = {a["segment"] for a in audiences.values() if "segment" in a}
    segments = dict(Segment.objects.filter(pk__in=segment_ids).values_list("pk", "n")) if segment_ids else {}
    found: dict[int, int | None] = {}
    reachable: int | None = None
    for broadcast_id, given in audiences.items():
        if "segment" in given:
            found[broadcast_id] = segments.get(given["segment"])
        elif "contacts" in given:
            found[broadcast_id] = len(given["contacts"])
        elif given.get("condition") == {"kind": "follow", "values": ["reachable"]}:
            if reachable is None:
                with connection.cursor() as cursor:
                    cursor.execute(_REACHABLE, [brand.pk, int(Dim.FLAG), int(Flag.REACHABLE)])
                    reachable = cursor.fetchone()[0]
            found[broadcast_id] = reachable
        else:
            found[broadcast_id] = None
    return found


# ---- SOPs

SOP_DUE = """
    SELECT (e.next_run_at AT TIME ZONE %(zone)s)::date, e.sop_id, e.version_id, e.node, min(e.next_run_at), count(*)
      FROM (SELECT DISTINCT p.id FROM campaigns_enrolmentdue d CROSS JOIN LATERAL unnest(d.ids) AS p(id)
             WHERE d.brand_id = %(b)s AND d.is_graph IN (false, true) AND d.next_run_at >= %(start)s
               AND d.next_run_at < %(end)s) l
      JOIN campaigns_enrolment e ON e.brand_id = %(b)s AND e.id = l.id
     WHERE e.next_run_at >= %(start)s AND e.next_run_at < %(end)s AND e.ended_at IS NULL AND NOT e.is_parked
     GROUP BY 1, 2, 3, 4
"""


def sops(span: Span) -> list[Entry]:
    """What went out by its send tasks; by day, everybody who is in and whose next step is, or may be, a message."""
    rows = [row for row in span.send_tasks if row[1] is None and row[2] is not None]
    due = _due(span) if span.staff_ids is None and span.end > clock.now() else []
    live = {row[2] for row in rows} | {row[1] for row in due}
    known = {s.pk: s for s in Sop.objects.filter(pk__in=live).only("name", "state")}
    found = _of_tasks(span, "sop", rows, {pk: sop.name for pk, sop in known.items()})
    for on, sop_id, at, n in due:
        sop = known.get(sop_id)
        if sop is None or sop.state not in (Sop.State.ON, Sop.State.PAUSED):
            continue
        held = sop.state == Sop.State.PAUSED
        found.append(
            Entry(on, "sop", sop_id, sop.name, at, f"/sops/{sop_id}/", n, is_forecast=True, is_held=held)
        )
    return found


def _due(span: Span) -> list[tuple[date, int, datetime, int]]:
    """People by day of their next message; counted once in some minutes, however many look."""
    client, key = redis_client(), f"calendar:due:{span.brand.pk}:{span.first}:{span.last}"
    kept: Any = client.get(key)
    if kept is None:
        with connection.cursor() as cursor:
            cursor.execute(SOP_DUE, span.params(start=max(span.start, clock.now())))
            rows = _to_a_message(cursor.fetchall())
        kept = json.dumps([[on.isoformat(), sop_id, at.isoformat(), n] for on, sop_id, at, n in rows])
        client.set(key, kept, ex=FORECAST_S)
    return [
        (date.fromisoformat(on), sop_id, datetime.fromisoformat(at), n)
        for on, sop_id, at, n in json.loads(kept)
    ]


def _to_a_message(rows: list[Any]) -> list[tuple[date, int, datetime, int]]:
    """(day, SOP, first moment, people): of a drawn SOP only those whom the next move may bring to a message."""
    version_ids = {version_id for _on, _sop, version_id, *_rest in rows if version_id}
    graphs = dict(SopVersion.objects.filter(pk__in=version_ids).values_list("pk", "graph"))
    before = {pk: before_messages(graph) for pk, graph in graphs.items()}
    found: dict[tuple[date, int], tuple[datetime, int]] = {}
    for on, sop_id, version_id, node, at, n in rows:
        if version_id and node not in before.get(version_id, ()):
            continue
        first, people = found.get((on, sop_id), (at, 0))
        found[on, sop_id] = min(first, at), people + n
    return [(on, sop_id, at, n) for (on, sop_id), (at, n) in found.items()]


# ---- moments, tasks


def moments(span: Span) -> list[Entry]:
    """Moments by their time; before WeCom has made them, the guides chosen are counted (with tags alone at most so many)."""
    idle = [Moment.State.DRAFT, Moment.State.FAILED]
    rows = Moment.objects.filter(at__gte=span.start, at__lt=span.end).exclude(state__in=idle)
    rows = rows.exclude(state=Moment.State.CANCELLED, n_guides=0)
    if span.staff_ids is not None:
        mine = sorted(span.staff_ids)
        corps = Staff.objects.filter(pk__in=mine).values("corp")
        # nobody is chosen: it is for all guides of its company, once it may go out
        everybodys = Q(staff_ids=[], out_at=None, corp__in=corps) & ~Q(state=Moment.State.APPROVAL)
        rows = rows.filter(everybodys | Q(staff_ids__overlap=mine) | Q(guides__staff__in=mine)).distinct()
    found = []
    some = list(rows.order_by("at", "pk")[:1000])
    everybody = _guides_by_corp() if any(row.out_at is None and not row.staff_ids for row in some) else {}
    for row in some:
        out = row.out_at is not None
        n_tasks = row.n_guides if out else len(row.staff_ids) or everybody.get(row.corp_id, 0)
        n_open = 0 if row.cancelled_at else n_tasks - row.n_published
        found.append(
            Entry(
                span.day(row.at), "moment", row.pk, row.name, row.at, f"/moments/{row.pk}/",
                row.n_customers if out else None, row.n_likes + row.n_comments, n_tasks, n_open, n_tasks,
                is_forecast=not out,
            )
        )  # fmt: skip
    return found


def _guides_by_corp() -> dict[int | None, int]:
    """{corp: guides who could publish}: where nobody is chosen, all of them."""
    rows = Staff.objects.guides().exclude(userid="").order_by().values_list("corp_id")
    return dict(rows.annotate(n=Count("pk")))


TASKS = """
    SELECT (t.due_at AT TIME ZONE %(zone)s)::date, min(t.due_at), count(*), count(t.contact_id),
           count(*) FILTER (WHERE t.state = 'done'), count(*) FILTER (WHERE t.state = 'open'), count(DISTINCT t.staff_id)
      FROM campaigns_stafftask t
     WHERE t.brand_id = %(b)s AND t.due_at >= %(start)s AND t.due_at < %(end)s AND t.state <> 'cancelled'
       AND (%(all)s OR t.staff_id = ANY(%(staff)s::bigint[]))
     GROUP BY 1
"""


def tasks(span: Span) -> list[Entry]:
    """What guides have to do by the day."""
    with connection.cursor() as cursor:
        cursor.execute(TASKS, span.params())
        return [
            Entry(
                on,
                "task",
                on.toordinal(),
                _("Guides' tasks"),
                at,
                "/tasks/",
                people or None,  # tasks about nobody (numbers to add) are counted as tasks
                n_done,
                n,
                n_open,
                guides,
            )
            for on, at, n, people, n_done, n_open, guides in cursor.fetchall()
        ]
