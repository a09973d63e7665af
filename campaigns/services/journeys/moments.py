"""The moments of a graph: one for the guides of the people who come to the node, once for each guide and day."""

import logging
from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from campaigns.graph.shape import Node
from campaigns.graph.words import name_of
from campaigns.models import Moment, Sop
from campaigns.services.journeys.slots import Rows
from campaigns.services.moments import moments
from content.services import library
from org.models import Staff
from scrm import clock
from scrm.errors import SCRMError
from tenants.models import Brand

log = logging.getLogger(__name__)
SHOWN, MOST = timedelta(days=30), 200


def order(brand: Brand, *, sop: Sop, node: Node, people: Rows, at: datetime) -> None:
    """Order a moment of those guides who have none of this node today, in the caller's transaction, which holds the gate.

    What WeCom or the library would refuse is kept as a failed moment with the reason, and stops nobody's way.
    """
    on = at.astimezone(ZoneInfo(brand.timezone)).date().isoformat()
    key = f"{sop.pk}:{node['id']}:{on}:"
    today = list(Moment.objects.filter(source="sop", source_id=sop.pk, key__startswith=f"sop:{key}"))
    had = {staff_id for moment in today for staff_id in moment.staff_ids}
    wanted = {staff_id for _enrolment, _contact, staff_id, _key in people if staff_id} - had
    by_corp: dict[int, list[int]] = defaultdict(list)
    for pk, corp_id in Staff.objects.guides().filter(pk__in=wanted).values_list("pk", "corp_id"):
        by_corp[corp_id or 0].append(pk)
    first = 1 + max((int(moment.key.rpartition(":")[2]) for moment in today), default=-1)
    for n, (corp_id, staff_ids) in enumerate(sorted(by_corp.items()), first):
        wanted_moment = moments.MomentInput(
            name=f"{sop.name}: {name_of(node)}"[:60], corp_id=corp_id, staff_ids=staff_ids
        )
        try:
            given = replace(wanted_moment, **_content(brand, node, at))
            moments.create_for(brand, given, key=f"{key}{n}", source="sop", source_id=sop.pk)
        except SCRMError as error:
            log.warning("moment of SOP %s, node %s: %s", sop.pk, node["id"], error)
            _note(brand, sop, today, wanted_moment, str(error), f"{key}{n}")


def _note(
    brand: Brand, sop: Sop, today: list[Moment], given: moments.MomentInput, error: str, key: str
) -> None:
    """Keep what was refused before WeCom was asked: one row for all guides of a day with the same reason."""
    for moment in today:
        if moment.state == Moment.State.FAILED and (moment.corp_id, moment.error) == (given.corp_id, error):
            staff_ids = sorted({*moment.staff_ids, *given.staff_ids})
            Moment.objects.filter(pk=moment.pk).update(staff_ids=staff_ids)
            return
    if given.corp_id:
        moments.note_refused(brand, given, error, key=key, source="sop", source_id=sop.pk)


def _content(brand: Brand, node: Node, at: datetime) -> dict[str, Any]:
    if node.get("content_id"):
        found = library.usable(brand, node["content_id"], at)
        return {"text": found.text, "attachments": found.attachments, "content_id": found.version_id}
    return {"text": node.get("text") or "", "attachments": node.get("attachments") or []}


@dataclass(frozen=True)
class Refused:
    """A moment of a node that is not out, and why; `is_over`: it will not be tried again."""

    moment: Moment
    error: str
    is_over: bool


def refused_of(sop: Sop) -> dict[str, list[Refused]]:
    """{node: its moments of the last thirty days that WeCom, or our own checks, refused}, newest first; one query."""
    S = Moment.State
    rows = Moment.objects.filter(source="sop", source_id=sop.pk, at__gt=clock.now() - SHOWN)
    rows = rows.filter(state__in=[S.FAILED, S.PLANNED, S.RUNNING]).exclude(error="").order_by("-at", "-pk")
    found: dict[str, list[Refused]] = defaultdict(list)
    for moment in rows.only("pk", "key", "name", "at", "state", "error", "staff_ids")[:MOST]:
        found[moment.key.split(":")[2]].append(Refused(moment, moment.error, moment.state == S.FAILED))
    return dict(found)
