"""预演: a graph over the real people and events of a past time, with a clock of its own; nothing is written but the result.

What is real: who came in and when, what happened since, touches of other campaigns (lower ones give way as long as WeCom
did not have them), caps, gaps, quiet hours. What is
today's: conditions, tags, wishes, and which guide has whom. As a job it goes through people in chunks and can be left.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
from django.db import connection, transaction
from django.utils.translation import gettext as _

from campaigns import governance
from campaigns.graph.shape import Graph, Node
from campaigns.graph.times import to_local
from campaigns.graph.words import describe, name_of
from campaigns.models import NoContactRule, Sop, Touch
from campaigns.services.governance import gate, hold_out, rules
from campaigns.services.graphs import graph_checks
from campaigns.services.journeys import dates, happened, reacting, rehearsal_room
from campaigns.services.journeys.conditions import holds_for
from campaigns.services.journeys.nodes import share_of
from campaigns.services.journeys.rehearsal import EPOCH, NEVER, Cast, Happenings, Rows, Totals, Walk
from campaigns.services.journeys.rehearsal_report import report
from campaigns.services.journeys.rehearsal_room import Room
from campaigns.services.ledger import planes
from campaigns.services.ledger.planning import USUAL
from campaigns.services.ledger.touches import array
from campaigns.services.sending import senders
from org.access import Actor
from org.models import Job
from org.services import jobs
from scrm import clock
from tagging.models import BITS, Segment, SegmentVersion
from tagging.services.bits import frames
from tagging.services.segments import snapshots
from tagging.services.segments.audience import Audience
from tenants.models import Brand

DAYS = 91  # a quarter
CHUNK = 50_000  # people in one step of the job
MAX_ROUNDS = 50  # runs of one person
NO_LONGER = 0  # the guide of somebody who has none any more
AHEAD = 92  # days after the end that caps and allowances may look at
Comings = list[tuple[int, int, str]]  # contact, seconds, entry


def start(brand: Brand, *, sop_id: int, name: str, graph: Graph, by: Actor, days: int = DAYS) -> Job:
    """Rehearse a clean graph over the last days, as a job; its result is that of `report`."""
    until = clock.now()
    stamp = until.strftime("%Y%m%d%H%M%S")
    return jobs.start_job(
        brand,
        kind="sop_rehearse",
        title=_("Rehearsal of “%(sop)s” %(stamp)s") % {"sop": name, "stamp": stamp},
        params={
            "sop_id": sop_id,
            "graph": graph,
            "since": (until - timedelta(days=days)).isoformat(),
            "until": until.isoformat(),
        },
        by=by,
    )


def step(brand: Brand, job: Job) -> bool:
    """One step of the job: a chunk of people. Nothing is left behind but the job's own row."""
    since, until = (datetime.fromisoformat(job.params[name]) for name in ("since", "until"))
    graph, done = job.params["graph"], int(job.position.get("done", 0))
    with transaction.atomic():
        found, notes = comings(brand, graph, since, until)
        ids = sorted({row[0] for row in found})
        chunk = ids[done : done + CHUNK]
        totals = from_json(job.position["totals"]) if done else Totals()
        if chunk:
            totals.add(walk(brand, graph, _of(found, set(chunk)), job.params["sop_id"], since, until))
        is_last = done + CHUNK >= len(ids)
        jobs.save_step(
            job,
            n_total=len(ids),
            n_done=done + len(chunk),
            position={"done": done + len(chunk), "totals": {} if is_last else to_json(totals)},
            result=report(brand, graph, totals, since, until, len(ids), notes, job.params["sop_id"])
            if is_last
            else {},
        )
    return not is_last


def _of(found: Comings, ids: set[int]) -> Comings:
    return [row for row in found if row[0] in ids]


def run(brand: Brand, graph: Graph, *, sop_id: int = 0, since: datetime, until: datetime) -> dict[str, Any]:
    """The whole rehearsal at once, in the caller's transaction."""
    found, notes = comings(brand, graph, since, until)
    ids = sorted({row[0] for row in found})
    totals = Totals()
    for first in range(0, len(ids), CHUNK):
        totals.add(walk(brand, graph, _of(found, set(ids[first : first + CHUNK])), sop_id, since, until))
    return report(brand, graph, totals, since, until, len(ids), notes, sop_id)


# ---- who comes in, and when


def comings(brand: Brand, graph: Graph, since: datetime, until: datetime) -> tuple[Comings, list[str]]:
    """Everybody whom the entries would have let in, and what has to be said about it."""
    found: Comings = []
    notes: list[str] = []
    for node in graph["nodes"]:
        if node["kind"] != "entry":
            continue
        rows = _COMINGS[node["by"]](brand, node, since, until)
        if node["by"] == "hand":
            notes.append(_("By hand: as if everybody who added a guide in this time had been put in then."))
        if node["by"] == "segment" and (text := _guessed(node, since, until)):
            notes.append(text)
        if node.get("condition"):
            allowed = holds_for(brand, node["condition"], {row[0] for row in rows}, now=until)
            rows = [row for row in rows if row[0] in allowed]
        found += [(contact_id, at, node["id"]) for contact_id, at in rows]
    found.sort(key=lambda row: (row[0], row[1]))
    return found, notes


def _events(
    brand: Brand, where: str, params: dict[str, Any], since: datetime, until: datetime
) -> list[tuple[int, int]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT e.contact_id, floor(extract(epoch FROM e.at))::bigint FROM contacts_event e"  # noqa: S608
            f" WHERE e.brand_id = %(brand)s AND e.at >= %(since)s AND e.at < %(until)s AND {where}",
            {**params, "brand": brand.pk, "since": since, "until": until},
        )
        return cursor.fetchall()


def _by_event(brand: Brand, node: Node, since: datetime, until: datetime) -> list[tuple[int, int]]:
    return _events(brand, *happened.matching(node, "m"), since, until)


def _by_code(brand: Brand, node: Node, since: datetime, until: datetime) -> list[tuple[int, int]]:
    return _events(brand, *reacting.by_code(node), since, until)


def _by_hand(brand: Brand, node: Node, since: datetime, until: datetime) -> list[tuple[int, int]]:
    return _events(brand, reacting.ADDED, {}, since, until)


def _by_segment(brand: Brand, node: Node, since: datetime, until: datetime) -> list[tuple[int, int]]:
    """Who entered between the versions that are kept; where the entry takes them, also who was in it at the beginning."""
    chain = _pictures(node, since, until)
    found: list[tuple[int, int]] = []
    if node.get("present"):
        found = [(contact_id, int(since.timestamp())) for contact_id in _at_first(brand, node, chain)]
    for old, new in pairwise(chain):
        at = int(new.at.timestamp())
        found += [(contact_id, at) for contact_id in snapshots.changes(brand, old.pk, new.pk)[0]]
    return found


def _pictures(node: Node, since: datetime, until: datetime) -> list[SegmentVersion]:
    """The versions of an entry's segment whose members are known: the last one before the beginning, and those since."""
    segment = Segment.objects.get(pk=node["segment_id"])
    rows = SegmentVersion.objects.filter(segment=segment, has_bits=True, at__lt=until).order_by("at", "pk")
    if segment.kind != Segment.Kind.DYNAMIC:
        rows = rows.exclude(pk=segment.version_id or 0)
    before = [version for version in rows if version.at < since][-1:]
    return [*before, *(version for version in rows if version.at >= since)]


def _at_first(brand: Brand, node: Node, chain: Sequence[SegmentVersion]) -> list[int]:
    """Who was in the segment at the beginning: of the first version that is known, else of now."""
    if chain:
        return snapshots.changes(brand, 0, chain[0].pk)[0]
    segment = Segment.objects.get(pk=node["segment_id"])
    return Audience(brand, snapshots.condition_of(segment)).ids()


def _guessed(node: Node, since: datetime, until: datetime) -> str:
    """What has to be said where nobody knows who was in the segment at the beginning; mostly nothing."""
    chain = _pictures(node, since, until)
    if not node.get("present") or (chain and chain[0].at < since):
        return ""
    return _("Who was in the segment at the beginning is not known: whoever is known first stands for them.")


def _by_date(brand: Brand, node: Node, since: datetime, until: datetime) -> list[tuple[int, int]]:
    from campaigns.services.journeys.arrivals import moment_of

    found: list[tuple[int, int]] = []
    first, last = (
        int(to_local(np.array([int(t.timestamp())]), brand.timezone)[0]) // 86_400 for t in (since, until)
    )
    for day in range(first, last + 1):
        on = date.fromordinal(day + EPOCH)
        at = moment_of(brand, node, on)
        if since <= at < until:
            asked = on - timedelta(days=node["offset_days"])
            ids = dates.contacts_on(brand, node["date_field"], asked, yearly=bool(node.get("yearly")))
            found += [(contact_id, int(at.timestamp())) for contact_id in ids]
    return found


_COMINGS = {
    "event": _by_event,
    "code": _by_code,
    "hand": _by_hand,
    "segment": _by_segment,
    "date": _by_date,
}


# ---- one chunk of people


def walk(brand: Brand, graph: Graph, found: Comings, sop_id: int, since: datetime, until: datetime) -> Totals:
    """Everything that becomes of some comings, each person's own in order of time."""
    ids = np.array(sorted({row[0] for row in found}), dtype=np.int64)
    person = {contact_id: n for n, contact_id in enumerate(ids.tolist())}
    one = _walk_of(brand, graph, ids, sop_id, since, until)
    left = [(person[contact_id], at, entry) for contact_id, at, entry in found]
    reentry = graph["settings"]["reentry"]
    gap = int(graph["settings"].get("reentry_days") or 0) * 86_400 if reentry == "after" else 0
    free_from = np.full(len(ids), -NEVER, dtype=np.int64)
    for _round in range(1 if reentry == "never" else MAX_ROUNDS):
        this: dict[int, tuple[int, str]] = {}
        later: list[tuple[int, int, str]] = []
        for who, at, entry in left:
            if at < free_from[who]:
                continue
            if who in this:
                later.append((who, at, entry))
            else:
                this[who] = (at, entry)
        if not this:
            break
        people = np.array(sorted(this), dtype=np.int64)
        joined = np.array([this[who][0] for who in people.tolist()], dtype=np.int64)
        ends = one.run(people, [this[who][1] for who in people.tolist()], joined)
        free_from[people] = np.where(ends < NEVER, ends + gap + 1, NEVER)
        left = later
    return one.totals


def _walk_of(brand: Brand, graph: Graph, ids: Rows, sop_id: int, since: datetime, until: datetime) -> Walk:
    people = ids.tolist()
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS pg_temp.sop_rehearsal")
        cursor.execute(
            "CREATE TEMP TABLE sop_rehearsal ON COMMIT DROP AS SELECT id, n FROM unnest(%s::bigint[]) WITH ORDINALITY"
            " AS x(id, n)",
            [array(people)],
        )
        cursor.execute("ANALYZE pg_temp.sop_rehearsal")

    @cache
    def happenings(key: str) -> Happenings:
        where, params = happened.matching(json.loads(key), "m")
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT r.n - 1, floor(extract(epoch FROM e.at))::bigint FROM contacts_event e"  # noqa: S608
                " JOIN pg_temp.sop_rehearsal r ON r.id = e.contact_id"
                f" WHERE e.brand_id = %(brand)s AND e.at >= %(since)s AND e.at < %(until)s AND {where}",
                {**params, "brand": brand.pk, "since": since, "until": until},
            )
            return _happenings(cursor.fetchall())

    @cache
    def holds(key: str) -> np.ndarray[Any, np.dtype[np.bool_]]:
        there = holds_for(brand, json.loads(key), people, now=until)
        return np.isin(ids, np.fromiter(there, dtype=np.int64, count=len(there)))

    def key_of(row: dict[str, Any]) -> str:
        return json.dumps({"event": row["event"], "filters": row.get("filters") or {}}, sort_keys=True)

    return Walk(
        graph=graph,
        cast=_cast(brand, ids, sop_id, since, until),
        rules=rules.rules_of(brand),
        until=int(until.timestamp()),
        happenings=lambda row: happenings(key_of(row)),
        holds=lambda condition: holds(json.dumps(condition, sort_keys=True)),
        share=lambda node, rows: share_of(node, sop_id, ids[rows].tolist()),
    )


def _happenings(rows: Sequence[tuple[int, int]]) -> Happenings:
    table = np.array(rows, dtype=np.int64).reshape(-1, 2)
    return Happenings(table[:, 0], table[:, 1])


def _cast(brand: Brand, ids: Rows, sop_id: int, since: datetime, until: datetime) -> Cast:
    people = ids.tolist()
    chosen = senders.choose(brand, people)
    lost_at = np.full(len(ids), NEVER, dtype=np.int64)
    first_day = int(to_local(np.array([int(since.timestamp())]), brand.timezone)[0]) // 86_400 + EPOCH - AHEAD
    n_days = (until - since).days + 2 * AHEAD + 2
    touched, own = (np.zeros((len(ids), n_days), dtype=np.uint8) for _ in range(2))
    moments: list[tuple[int, int, int]] = []
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT r.n - 1, floor(extract(epoch FROM s.lost_at))::bigint FROM pg_temp.sop_rehearsal r"
            " JOIN contacts_contactstat s ON s.brand_id = %s AND s.contact_id = r.id WHERE s.lost_at IS NOT NULL",
            [brand.pk],
        )
        for who, at in cursor.fetchall():
            lost_at[who] = at
        cursor.execute(
            "SELECT r.n - 1, floor(extract(epoch FROM t.at))::bigint, (t.at AT TIME ZONE %s)::date - %s, t.kind"
            " FROM campaigns_touch t JOIN pg_temp.sop_rehearsal r ON r.id = t.contact_id"
            " WHERE t.brand_id = %s AND t.at >= %s AND t.at < %s AND t.kind = ANY(%s) AND t.state = ANY(%s)"
            " AND t.sop_id IS DISTINCT FROM %s",
            [
                brand.timezone, date.fromordinal(first_day), brand.pk, since - timedelta(days=AHEAD - 1),
                until + timedelta(days=AHEAD), [int(k) for k in planes.KINDS], [int(s) for s in planes.COUNTED], sop_id,
            ],
        )  # fmt: skip
        for who, at, day, kind in cursor.fetchall():
            touched[who, day] += 1
            own[who, day] += kind == Touch.Kind.SOP
            moments.append((who, at, kind))
    return Cast(
        ids=ids,
        senders=np.array(
            [
                chosen[i].staff_id if i in chosen else NO_LONGER if lost_at[n] < NEVER else -1
                for n, i in enumerate(people)
            ],
            dtype=np.int64,
        ),
        left_alone=_left_alone(brand, ids),
        lost_at=lost_at,
        first_day=first_day,
        touched=touched,
        own_kind=own,
        touch_times=_happenings([row[:2] for row in moments]),
        by_rule=_by_rule(brand, ids) if NoContactRule.objects.exists() else None,
        room=_room(brand, moments, sop_id, since, until),
    )


def _room(
    brand: Brand, moments: Sequence[tuple[int, int, int]], sop_id: int, since: datetime, until: datetime
) -> Room | None:
    """What of other campaigns could give way; the touches that count are given as (person, seconds, kind)."""
    priority = Sop.objects.filter(pk=sop_id).values_list("priority", flat=True).first() or USUAL
    allowed = rules.rules_of(brand)
    first, last = since - timedelta(days=AHEAD - 1), until + timedelta(days=AHEAD)
    giving = rehearsal_room.load(brand, sop_id=sop_id, priority=priority, since=first, until=last)
    if not giving:
        return None
    return Room(allowed, giving, rehearsal_room.moments_of(moments, set(giving)))


def _left_alone(brand: Brand, ids: Rows) -> Rows:
    """The wish of each person, as the reason of a refusal; 0: none."""
    reasons = np.zeros(len(ids), dtype=np.int64)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT r.n - 1, %s FROM pg_temp.sop_rehearsal r JOIN campaigns_refusal f ON f.brand_id = %s"
            " AND f.contact_id = r.id AND f.kind = %s UNION ALL SELECT r.n - 1, %s FROM pg_temp.sop_rehearsal r"
            " JOIN contacts_contact c ON c.brand_id = %s AND c.id = r.id WHERE c.do_not_contact",
            [
                int(Touch.Reason.REFUSED_KIND), brand.pk, int(Touch.Kind.SOP),
                int(Touch.Reason.DO_NOT_CONTACT), brand.pk,
            ],
        )  # fmt: skip
        for who, reason in cursor.fetchall():
            reasons[who] = reason
    held = hold_out.is_held(ids, rules.rules_of(brand))
    return np.where((reasons == 0) & held, int(Touch.Reason.BRAND_HOLD_OUT), reasons)


def _by_rule(brand: Brand, ids: Rows) -> Any:
    """(day) → who is under a do-not-contact rule on it."""
    frame, places = frames.frame_of(brand, ids.tolist())
    at_place = {contact_id: position for position, contact_id in places.items()}
    positions = np.array([at_place.get(i, -1) for i in ids.tolist()], dtype=np.int64)
    rows = np.searchsorted(frame.chunks, positions // BITS)

    @cache
    def of_day(day: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
        noon = governance.midnight(day, brand.timezone) + timedelta(hours=12)
        bits = np.unpackbits(gate.under_rules(frame, noon, int(Touch.Kind.SOP)), axis=1).astype(bool)
        return (positions >= 0) & bits[np.minimum(rows, max(len(frame.chunks) - 1, 0)), positions % BITS]

    return of_day


# ---- totals between two steps


def to_json(totals: Totals) -> dict[str, Any]:
    found: dict[str, Any] = {"is_cut": totals.is_cut, "ends": dict(totals.ends)}
    found["taken"] = dict(totals.taken)
    for name in ("flows", "sent", "held", "tasks", "guides"):
        found[name] = [[list(key), n] for key, n in getattr(totals, name).items()]
    return found


def from_json(stored: dict[str, Any]) -> Totals:
    totals = Totals(is_cut=stored["is_cut"])
    totals.ends.update(stored["ends"])
    totals.taken.update(stored.get("taken", {}))
    for name in ("flows", "sent", "held", "tasks", "guides"):
        getattr(totals, name).update({tuple(key): n for key, n in stored[name]})
    return totals


# ---- one person


def simulate(
    brand: Brand, graph: Graph, *, contact_id: int, sop_id: int = 0, days: int = 400
) -> list[dict[str, Any]]:
    """What would happen to a person who came in now: rows {at, node, title, text, way, reason}. What is waited for does
    not happen; conditions are answered as of today."""
    now = clock.now()
    until = now + timedelta(days=days)
    one = _walk_of(brand, graph, np.array([contact_id], dtype=np.int64), sop_id, now, until)
    one.trace = []
    entries = [node["id"] for node in graph["nodes"] if node["kind"] == "entry"]
    by_hand = [n["id"] for n in graph["nodes"] if n["kind"] == "entry" and n["by"] == "hand"]
    one.run(np.array([0]), (by_hand or entries)[:1], np.array([int(now.timestamp())], dtype=np.int64))
    say = graph_checks.say_for(brand)
    nodes = {node["id"]: node for node in graph["nodes"]}
    steps: dict[tuple[int, str], dict[str, Any]] = defaultdict(dict)
    for at, node_id, way, reason in one.trace:
        row = steps[at, node_id]
        row |= {
            "at": datetime.fromtimestamp(at, UTC),
            "node": node_id,
            "title": name_of(nodes[node_id]),
            "text": describe(nodes[node_id], say),
            "way": way or row.get("way", ""),
            "reason": str(Touch.Reason(reason).label) if reason else row.get("reason", ""),
        }
    return list(steps.values())
