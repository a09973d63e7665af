"""People leave a graph before its end: by hand, by a goal or exit, with a version that has no place for them."""

from collections import Counter
from collections.abc import Collection
from datetime import datetime

from django.db import connection

from campaigns.models import Enrolment
from campaigns.services.journeys import flows
from campaigns.services.ledger import leftovers
from campaigns.services.sops import dues
from contacts.models import EventType
from contacts.services.timeline import EventRow, record_events
from tenants.models import Brand

_LEAVE = f"""
    UPDATE campaigns_enrolment e SET ended_at = %s, end_kind = %s, next_run_at = NULL, woken_at = NULL
      FROM campaigns_sop s
     WHERE e.brand_id = %s AND e.id = ANY(%s) AND {dues.STILL_IN} AND s.brand_id = e.brand_id AND s.id = e.sop_id
    RETURNING e.id, e.contact_id, e.sop_id, e.version_id, e.node, e.position, s.name
"""  # noqa: S608


def leave(brand: Brand, enrolment_ids: Collection[int], kind: Enrolment.End | str, at: datetime) -> int:
    """Out of their SOPs, in the caller's transaction, which holds the gate; gives how many. What was planned for them goes
    with them (leftovers.py). Safe to repeat."""
    if not enrolment_ids:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(_LEAVE, [at, str(kind), brand.pk, sorted(enrolment_ids)])
        rows = cursor.fetchall()
    counts: Counter[flows.Flow] = Counter()
    for _id, _contact, sop_id, version_id, node, position, _name in rows:
        if version_id is None:
            continue
        if position == 0:  # nobody has counted the coming in yet
            counts[sop_id, version_id, node, flows.IN] += 1
        counts[sop_id, version_id, node, str(kind)] += 1
    flows.add(brand, at, counts)
    record_events(
        brand,
        [
            ended_event(pk, contact, sop_id, str(kind), at, name)
            for pk, contact, sop_id, _version, _node, _position, name in rows
        ],
    )
    if kind in leftovers.GOES_WITH:
        leftovers.take_back(brand, [leftovers.Gone(row[1], row[2]) for row in rows], at)
    return len(rows)


def ended_event(
    enrolment_id: int, contact_id: int, sop_id: int, kind: str, at: datetime, name: str
) -> EventRow:
    """The timeline entry of somebody who leaves; `kind` of Enrolment.End."""
    return {
        "contact_id": contact_id,
        "type": EventType.SOP_ENDED,
        "at": at,
        "object_id": sop_id,
        "source": "sop",
        "source_key": f"end:{enrolment_id}",
        "data": {"sop": name, "end": str(kind)},
    }
