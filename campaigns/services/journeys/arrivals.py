"""Entries that nothing announces: who has entered a segment since its last version, whose date it is today."""

import logging
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from django.db import transaction

from campaigns.graph import times
from campaigns.graph.shape import Node
from campaigns.models import EntryMark
from campaigns.services.journeys import dates, entering, plans, trouble
from campaigns.services.sops.schedule import run_at
from scrm import clock
from scrm.errors import SCRMError
from tagging.models import Segment
from tagging.services.segments import snapshots
from tagging.services.segments.audience import Audience
from tenants.models import Brand

log = logging.getLogger(__name__)

MAX_DAYS = 7  # so many missed days of a date are caught up


def begin(brand: Brand, plan: plans.Plan, at: datetime) -> None:
    """Marks of a version's entries as it is published, in the caller's transaction; those that are there stay."""
    today = at.astimezone(ZoneInfo(brand.timezone)).date()
    for node in plan.entries():
        if node["by"] == "date":
            EntryMark.objects.get_or_create(
                sop_id=plan.sop_id, node=node["id"], defaults={"last_on": today - timedelta(days=1)}
            )
        elif node["by"] == "segment":
            _mark, is_new = EntryMark.objects.get_or_create(sop_id=plan.sop_id, node=node["id"])
            if is_new and not node.get("present"):
                _segment(brand, plan, node)


def run(brand: Brand) -> int:
    """Let in whom dates and segments bring; gives how many. One query when there is no such entry.

    Each entry has a transaction of its own; what cannot be read is noted and does not stop the others.
    """
    with transaction.atomic():
        rows = EntryMark.objects.filter(sop__state__in=entering.OPEN, sop__version_id__isnull=False)
        marks = list(rows.order_by("sop", "node").values_list("sop_id", "node", "sop__version_id"))
        noted = trouble.known({version_id for *_rest, version_id in marks if version_id}) if marks else set()
    n = 0
    for sop_id, node_id, version_id in marks:
        try:
            with transaction.atomic():
                plan = plans.load([version_id or 0])[version_id or 0]
                node = plan.nodes.get(node_id)
                if node is not None and node["kind"] == "entry":
                    n += _let_in(brand, plan, node)
                    if (version_id, node_id) in noted:
                        trouble.over(plan.version_id, node_id)
        except SCRMError as error:
            log.warning("entry %s of SOP %s: %s", node_id, sop_id, error)
            with transaction.atomic():
                trouble.note(version_id or 0, node_id, error)
    return n


def _let_in(brand: Brand, plan: plans.Plan, node: Node) -> int:
    if node["by"] == "date":
        return _dates(brand, plan, node)
    return _segment(brand, plan, node) if node["by"] == "segment" else 0


def _mark(plan: plans.Plan, node: Node) -> EntryMark | None:
    rows = EntryMark.objects.select_for_update(skip_locked=True).filter(sop=plan.sop_id, node=node["id"])
    return rows.first()


def _segment(brand: Brand, plan: plans.Plan, node: Node) -> int:
    mark = _mark(plan, node)
    if mark is None:
        return 0
    version_id, ids = snapshots.entered_since(brand, node["segment_id"], mark.segment_version_id)
    is_first = mark.last_on is None and bool(node.get("present"))
    if is_first:
        segment = Segment.objects.get(pk=node["segment_id"])
        ids = Audience(brand, snapshots.condition_of(segment)).ids()
    if version_id == mark.segment_version_id and not ids and not is_first:
        return 0
    now = clock.now()
    n = len(
        entering.enter(
            brand,
            sop_id=plan.sop_id,
            people=[(contact_id, now) for contact_id in ids],
            source=f"segment:{node['segment_id']}",
            node_id=node["id"],
        )
    )
    EntryMark.objects.filter(sop=plan.sop_id, node=node["id"]).update(
        segment_version_id=version_id,
        last_on=now.astimezone(ZoneInfo(brand.timezone)).date(),  # those who were there before have come in
    )
    return n


def _dates(brand: Brand, plan: plans.Plan, node: Node) -> int:
    now = clock.now()
    today = now.astimezone(ZoneInfo(brand.timezone)).date()
    first = (
        EntryMark.objects.filter(sop=plan.sop_id, node=node["id"]).values_list("last_on", flat=True).first()
    )
    if first is not None and first >= today:  # done for today: no lock
        return 0
    mark = _mark(plan, node)
    if mark is None:
        return 0
    on = max(
        (mark.last_on or today - timedelta(days=1)) + timedelta(days=1), today - timedelta(days=MAX_DAYS)
    )
    n = 0
    while on <= today and (at := moment_of(brand, node, on)) <= now:
        ids = dates.contacts_on(
            brand,
            node["date_field"],
            on - timedelta(days=node["offset_days"]),
            yearly=bool(node.get("yearly")),
        )
        n += len(
            entering.enter(
                brand,
                sop_id=plan.sop_id,
                people=[(contact_id, at) for contact_id in ids],
                source=f"date:{node['date_field']}",
                node_id=node["id"],
            )
        )
        EntryMark.objects.filter(sop=plan.sop_id, node=node["id"]).update(last_on=on)
        on += timedelta(days=1)
    return n


def moment_of(brand: Brand, node: Node, on: date) -> datetime:
    at = times.of_day(node["time"])
    return run_at(on, 0, at // times.HOUR, at % times.HOUR // times.MINUTE, brand.timezone)
