"""What happens to people wakes those who wait for it, takes out who has reached a goal, and lets people in.

New events are read in batches of the outbox; a batch, its effects and the reader's position are one transaction that
holds the gate, so an event has its effect once and nobody is between two nodes while it is looked for.
"""

import logging
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import QuerySet

from campaigns.graph.shape import Node
from campaigns.models import Sop, SopVersion
from campaigns.services.governance import gate
from campaigns.services.journeys import entering, flows, goals, leaving, plans, trouble
from campaigns.services.journeys.conditions import holds_for
from campaigns.services.journeys.happened import matching
from campaigns.services.sops import dues
from contacts.models import EventType
from contacts.services import outbox
from scrm import clock
from scrm.errors import SCRMError
from tenants.models import Brand

log = logging.getLogger(__name__)

READER = "sop_graphs"
BATCH = 5_000
TABLE = "sop_graph_batch"
ADDED = f"e.type IN ({EventType.ADDED:d}, {EventType.ADDED_AGAIN:d})"


def _are_on() -> QuerySet[Sop]:
    return Sop.objects.filter(form=Sop.Form.GRAPH, state__in=entering.OPEN, version_id__isnull=False)


def listening(brand: Brand) -> list[plans.Plan]:
    """Versions that people can come into or stand in; one query when no graph is on."""
    sops = {pk: version_id or 0 for pk, version_id in _are_on().values_list("pk", "version_id")}
    if not sops:
        return []
    wanted = set(sops.values()) | (
        flows.peopled_versions(brand, sops)
        if SopVersion.objects.filter(sop__in=sops).count() > len(sops)
        else set()
    )
    return sorted(plans.load(wanted).values(), key=lambda plan: plan.version_id)


def begin(brand: Brand) -> None:
    """The first graph of a brand is switched on: what happened before is none of its business."""
    outbox.begin_here(brand, READER)


def react(brand: Brand, *, batches: int = 200) -> int:
    """React to what is new; gives how many events were looked at."""
    n_all = 0
    for _round in range(batches):
        with transaction.atomic():
            if not _are_on().exists() or not gate.try_gate(brand):
                return n_all
            n, xid, event_id = outbox.take(brand, READER, TABLE, BATCH)
            if not n:
                return n_all
            # which versions people stand in is a fold over all of them: only when something has happened
            work(brand, listening(brand), clock.now())
            outbox.move_to(brand, READER, xid, event_id)
            n_all += n
        if n < BATCH:
            return n_all
    return n_all


def work(brand: Brand, found: Iterable[plans.Plan], now: datetime) -> None:
    """The effects of a batch that lies in TABLE, in the caller's transaction."""
    sops = Sop.objects.in_bulk({plan.sop_id for plan in found})
    since = _first_published(sops)
    for plan in found:
        take_out(brand, plan, now)
        for node in plan.waits_for_events():
            wake(brand, plan, node, now)
        if sops[plan.sop_id].version_id == plan.version_id:
            for node in plan.entries():
                if node["by"] in ("event", "code"):
                    let_in(brand, plan, node, since[plan.sop_id])


def _first_published(sops: Iterable[int]) -> dict[int, datetime]:
    rows = SopVersion.objects.filter(sop__in=list(sops), n=1)
    return dict(rows.values_list("sop_id", "published_at"))


def by_code(node: Node) -> tuple[str, dict[str, Any]]:
    """The same of an entry by channel code: somebody has added a guide by one of its codes."""
    return f"{ADDED} AND e.object_id = ANY(%(codes)s)", {"codes": node["code_ids"]}


def wake(brand: Brand, plan: plans.Plan, node: Node, now: datetime) -> int:
    """Who stands at a wait for what has happened since, before its end, is due now."""
    where, params = matching(node, "w")
    with connection.cursor() as cursor:
        cursor.execute(
            dues.listing(
                f"UPDATE campaigns_enrolment e SET woken_at = m.at, next_run_at = %(now)s"  # noqa: S608
                f" FROM (SELECT s.id, min(e.at) AS at FROM pg_temp.{TABLE} e JOIN campaigns_enrolment s"
                "          ON s.brand_id = %(brand)s AND s.contact_id = e.contact_id AND s.sop_id = %(sop)s"
                "         AND s.version_id = %(version)s AND s.node = %(node)s AND s.ended_at IS NULL AND s.woken_at IS NULL"
                "        AND e.at > s.node_at AND e.at <= coalesce(s.held_from, s.next_run_at)"
                f" WHERE {where} GROUP BY s.id) m"
                " WHERE e.brand_id = %(brand)s AND e.id = m.id"
            ),
            {
                **params,
                "now": now,
                "brand": brand.pk,
                "sop": plan.sop_id,
                "version": plan.version_id,
                "node": node["id"],
            },
        )
        return int(cursor.fetchone()[0])


def take_out(brand: Brand, plan: plans.Plan, now: datetime) -> int:
    """Who has reached a goal or exit leaves."""
    n = 0
    for kind, row in goals.rows_of(plan, "event"):
        where, params = matching(row, "g")
        n += leaving.leave(brand, _standing(brand, plan, where, params), kind, now)
    conditions = list(goals.rows_of(plan, "condition"))
    if conditions:
        by_contact = _contacts(brand, plan)
        try:
            for kind, row in conditions:
                there = holds_for(brand, row["condition"], list(by_contact), now=now)
                n += leaving.leave(brand, [by_contact[c] for c in there], kind, now)
        except SCRMError as error:  # whoever is due is held there (walking.py)
            trouble.note(plan.version_id, trouble.WHOLE, error)
    return n


def _standing(brand: Brand, plan: plans.Plan, where: str, params: dict[str, Any]) -> list[int]:
    """Enrolments of a version whose people the matching events of the batch concern, since they came in."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT DISTINCT r.id FROM pg_temp.{TABLE} e JOIN campaigns_enrolment r ON r.brand_id = %(brand)s"  # noqa: S608
            " AND r.contact_id = e.contact_id AND r.sop_id = %(sop)s AND r.version_id = %(version)s"
            f" AND r.ended_at IS NULL AND e.at > r.joined_at WHERE {where}",
            {**params, "brand": brand.pk, "sop": plan.sop_id, "version": plan.version_id},
        )
        return [row[0] for row in cursor.fetchall()]


def _contacts(brand: Brand, plan: plans.Plan) -> dict[int, int]:
    """{contact: enrolment} of the people of a batch who are in a version."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT DISTINCT r.contact_id, r.id FROM pg_temp.{TABLE} e JOIN campaigns_enrolment r"  # noqa: S608
            " ON r.brand_id = %s AND r.contact_id = e.contact_id AND r.sop_id = %s AND r.version_id = %s"
            " AND r.ended_at IS NULL",
            [brand.pk, plan.sop_id, plan.version_id],
        )
        return dict(cursor.fetchall())


def let_in(brand: Brand, plan: plans.Plan, node: Node, since: datetime) -> int:
    """Whom an event of the batch brings to an entry; of one person the last one counts."""
    if node["by"] == "code":
        where, params = by_code(node)
    else:
        where, params = matching(node, "i")
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT e.contact_id, max(e.at) FROM pg_temp.{TABLE} e WHERE e.at >= %(since)s AND {where}"  # noqa: S608
            " GROUP BY e.contact_id ORDER BY e.contact_id",
            {**params, "brand": brand.pk, "since": since},
        )
        people = cursor.fetchall()
    source = f"event:{node['event']}" if node["by"] == "event" else "channel_code"
    try:
        new = entering.enter(brand, sop_id=plan.sop_id, people=people, source=source, node_id=node["id"])
    except (
        entering.EntryUnreadable
    ) as error:  # it lets nobody in, and says so; others have nothing to do with it
        trouble.note(plan.version_id, node["id"], error)
        return 0
    return len(new)
