"""People of older versions go over into the newest one, or stay: previewed first, then moved in slices by a job."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from campaigns.graph import times
from campaigns.graph.raw_values import storable
from campaigns.graph.shape import Graph, Node
from campaigns.graph.words import place_of
from campaigns.models import Enrolment, Sop, SopVersion
from campaigns.services.governance import gate
from campaigns.services.graphs import graph_checks
from campaigns.services.journeys import flows, leaving, plans
from campaigns.services.ledger.touches import array
from campaigns.services.sops import dues
from org.access import Actor
from org.models import Job
from org.services import jobs
from scrm import clock
from scrm.errors import ConflictError
from tenants.models import Brand

KIND = "sop_move"
SLICE = 5_000
OUT = ""  # in a mapping: whoever stands there leaves


@dataclass
class MoveEffect:
    """What a move would do: rows {from, from_title, to, to_title, n}, `to` empty for those who fall out."""

    rows: list[dict[str, Any]] = field(default_factory=list)

    @property
    def n_moved(self) -> int:
        return sum(row["n"] for row in self.rows if row["to"])

    @property
    def n_out(self) -> int:
        return sum(row["n"] for row in self.rows if not row["to"])


def target(old: Node | None, new_nodes: Mapping[str, Node], mapping: Mapping[str, str], node_id: str) -> str:
    """Where somebody goes who stands at a node: as the mapping says, else to the node of the same id and kind."""
    if node_id in mapping:
        return mapping[node_id] if mapping[node_id] in new_nodes else OUT
    new = new_nodes.get(node_id)
    return node_id if new is not None and (old is None or old["kind"] == new["kind"]) else OUT


def preview(brand: Brand, sop: Sop, graph: Graph, mapping: Mapping[str, str] | None = None) -> MoveEffect:
    """How many go from where to where; changes nothing. People who have just come in and wait for their first minute are
    counted at their entry."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT version_id, node, count(*) FROM campaigns_enrolment WHERE brand_id = %s AND sop_id = %s"
            " AND ended_at IS NULL GROUP BY 1, 2 ORDER BY 1, 2",
            [brand.pk, sop.pk],
        )
        standing = cursor.fetchall()
    found, new_nodes = plans.load({row[0] for row in standing}), {n["id"]: n for n in graph["nodes"]}
    counts: Counter[tuple[str, str, str]] = Counter()
    say = graph_checks.say_for(brand)
    for version_id, node_id, n in standing:
        old = found[version_id].nodes.get(node_id)
        title = place_of(old, say) if old else node_id
        counts[node_id, title, target(old, new_nodes, mapping or {}, node_id)] += n
    return MoveEffect(
        [
            {
                "from": node_id,
                "from_title": title,
                "to": to,
                "to_title": place_of(new_nodes[to], say) if to else "",
                "n": n,
            }
            for (node_id, title, to), n in sorted(counts.items())
        ]
    )


def start(brand: Brand, sop: Sop, mapping: Mapping[str, str], by: Actor) -> Job:
    """Move everybody of older versions into the present one, as a job. Jobs that still move people into an older one are
    ended: this one takes theirs over as well."""
    version = SopVersion.objects.get(pk=sop.version_id or 0)
    _supersede(sop, version)
    return jobs.start_job(
        brand,
        kind=KIND,
        title=_("Move the people of “%(sop)s” to version %(n)s") % {"sop": sop.name, "n": version.n},
        params={"sop_id": sop.pk, "version_id": version.pk, "mapping": storable(dict(mapping))},
        by=by,
        n_total=_in_older(version).count(),
    )


def _supersede(sop: Sop, version: SopVersion) -> None:
    live = Job.objects.filter(
        kind=KIND, params__sop_id=sop.pk, state__in=[Job.State.WAITING, Job.State.RUNNING, Job.State.PAUSED]
    )
    for job_id in live.exclude(params__version_id=version.pk).order_by("pk").values_list("pk", flat=True):
        with suppress(ConflictError):  # it has just ended
            jobs.cancel(job_id)
            error = _("Version %(n)s takes everybody over instead") % {"n": version.n}
            Job.objects.filter(pk=job_id).update(error=error)


def _in_older(version: SopVersion) -> QuerySet[Enrolment]:
    """Who is in an older version than this one."""
    older = SopVersion.objects.filter(sop=version.sop_id, n__lt=version.n)
    return Enrolment.objects.filter(
        sop=version.sop_id, ended_at=None, version_id__in=list(older.values_list("pk", flat=True))
    )


def step(brand: Brand, job: Job) -> bool:
    """One step of the job: a slice of people. A newer version that was published meanwhile, and left people where they are,
    does not stop it: what was promised is done, into the version for which it was promised."""
    with suppress(jobs.Stopped), transaction.atomic():
        gate.enter_gate(brand)
        jobs.hold(job)
        sop = Sop.objects.get(pk=job.params["sop_id"])
        version = SopVersion.objects.get(pk=job.params["version_id"])
        rows = list(
            _in_older(version)
            .select_for_update()
            .filter(pk__gt=job.position.get("after", 0))
            .order_by("pk")[:SLICE]
        )
        n_out = move(brand, sop, version.pk, rows, job.params["mapping"], clock.now())
        if rows:
            jobs.save_step(
                job,
                position={"after": rows[-1].pk},
                n_done=job.n_done + len(rows),
                result={
                    "moved": job.result.get("moved", 0) + len(rows) - n_out,
                    "out": job.result.get("out", 0) + n_out,
                },
            )
        return len(rows) == SLICE
    return False


_MOVE = dues.listing(
    """
    UPDATE campaigns_enrolment e
       SET version_id = %s, node = v.node, next_run_at = v.next_at, node_at = v.node_at, woken_at = v.woken_at,
           held_from = CASE WHEN v.next_at = e.next_run_at THEN e.held_from END, position = greatest(e.position, v.counted)
      FROM unnest(%s::bigint[], %s::text[], %s::timestamptz[], %s::timestamptz[], %s::timestamptz[], %s::int[])
           AS v(id, node, next_at, node_at, woken_at, counted)
     WHERE e.brand_id = %s AND e.id = v.id
"""
)


def move(
    brand: Brand,
    sop: Sop,
    version_id: int,
    rows: Sequence[Enrolment],
    mapping: Mapping[str, str],
    now: datetime,
) -> int:
    """Move some enrolments into a version, in the caller's transaction, which holds the gate; gives how many
    fell out.

    Who stands at a wait that has not changed waits as long as was promised; at a changed one the time is counted anew
    from when they came; at another node they begin now.
    """
    if not rows:
        return 0
    found = plans.load({row.version_id or 0 for row in rows} | {version_id})
    plan, counts = found[version_id], Counter[flows.Flow]()
    kept: list[tuple[Enrolment, str]] = []
    out: list[int] = []
    for row in rows:
        old = found[row.version_id or 0].nodes.get(row.node)
        to = target(old, plan.nodes, mapping, row.node)
        if not to:
            out.append(row.pk)
            continue
        kept.append((row, to))
        if row.position > 0:
            counts[sop.pk, row.version_id or 0, row.node, "moved"] += 1
        if row.position > 0 or plan.nodes[to]["kind"] != "entry":
            counts[sop.pk, version_id, to, flows.IN] += 1
    if kept:
        values = [_place(brand, row, to, found[row.version_id or 0], plan, now) for row, to in kept]
        with connection.cursor() as cursor:
            cursor.execute(
                _MOVE,
                [
                    version_id,
                    array(row.pk for row, _to in kept),
                    [to for _row, to in kept],
                    *([value[i] for value in values] for i in range(3)),
                    [0 if plan.nodes[to]["kind"] == "entry" else 1 for _row, to in kept],
                    brand.pk,
                ],
            )
    flows.add(brand, now, counts)
    leaving.leave(brand, out, Enrolment.End.VERSION, now)
    return len(out)


def _place(
    brand: Brand, row: Enrolment, to: str, was: plans.Plan, plan: plans.Plan, now: datetime
) -> tuple[datetime | None, datetime | None, datetime | None]:
    """(next_run_at, node_at, woken_at) at the new node."""
    old, new = was.nodes.get(row.node), plan.nodes[to]
    if to == row.node and old is not None and _same(old, new):
        return row.next_run_at, row.node_at, row.woken_at
    if new["kind"] != "wait":
        return now, now, None
    begun = row.node_at if to == row.node and row.node_at else now
    ends = times.wait_end(new, times.seconds([begun]), times.seconds([row.joined_at]), brand.timezone)
    return max(times.moment(ends[0]), now), begun, None


def _same(old: Node, new: Node) -> bool:
    plain = ("x", "y", "title")
    return {k: v for k, v in old.items() if k not in plain} == {
        k: v for k, v in new.items() if k not in plain
    }
