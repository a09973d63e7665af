"""The moments of a graph: one for the guides of the people who come to the node, once for each guide and day."""

import logging
from collections import defaultdict
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from campaigns.graph.shape import Node
from campaigns.graph.words import name_of
from campaigns.models import Moment, Sop
from campaigns.services import moments
from campaigns.services.journeys.slots import Rows
from content.services import library
from org.models import Staff
from scrm.errors import SCRMError
from tenants.models import Brand

log = logging.getLogger(__name__)


def order(brand: Brand, *, sop: Sop, node: Node, people: Rows, at: datetime) -> None:
    """Order a moment of those guides who have none of this node today, in the caller's transaction, which holds the gate.

    What WeCom or the library would refuse is logged and stops nobody's way.
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
        try:
            given = _content(brand, node, at)
            moments.create_for(
                brand,
                moments.MomentInput(
                    name=f"{sop.name}: {name_of(node)}"[:60], corp_id=corp_id, staff_ids=staff_ids, **given
                ),
                key=f"{key}{n}",
                source="sop",
                source_id=sop.pk,
            )
        except SCRMError as error:
            log.warning("moment of SOP %s, node %s: %s", sop.pk, node["id"], error)


def _content(brand: Brand, node: Node, at: datetime) -> dict[str, Any]:
    if node.get("content_id"):
        found = library.usable(brand, node["content_id"], at)
        return {"text": found.text, "attachments": found.attachments, "content_id": found.version_id}
    return {"text": node.get("text") or "", "attachments": node.get("attachments") or []}
