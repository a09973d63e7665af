"""People come into a graph: those who may, by its rules of coming in again, stand at an entry and are due at once."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import connection

from campaigns.models import Sop
from campaigns.services.journeys import plans, trouble
from campaigns.services.journeys.conditions import holds_for
from campaigns.services.ledger.touches import array
from campaigns.services.sops import dues
from contacts.models import EventType
from contacts.services.timeline import EventRow, record_events
from scrm import clock
from scrm.errors import SCRMError
from tenants.models import Brand

SLICE = 5_000
OPEN = (Sop.State.ON, Sop.State.PAUSED)

_INSERT = """
    INSERT INTO campaigns_enrolment AS e (brand_id, sop_id, contact_id, source, joined_at, position, next_run_at, entered_at,
                                     is_parked, end_kind, version_id, node, node_at)
    SELECT c.brand_id, %(sop)s, c.id, %(source)s, w.at, 0, w.at, %(now)s, false, '', %(version)s, %(node)s, w.at
      FROM unnest(%(ids)s::bigint[], %(ats)s::timestamptz[]) AS w(id, at)
      JOIN contacts_contact c ON c.brand_id = %(brand)s AND c.id = w.id
     WHERE c.lost_at IS NULL AND {again}
     ORDER BY c.id
    ON CONFLICT (brand_id, sop_id, contact_id) WHERE ended_at IS NULL DO NOTHING
"""
_BEFORE = (
    "NOT EXISTS (SELECT 1 FROM campaigns_enrolment b WHERE b.brand_id = %(brand)s AND b.contact_id = c.id"
    " AND b.sop_id = %(sop)s{ago})"
)
AGAIN = {
    "never": _BEFORE.format(ago=""),
    "after": _BEFORE.format(ago=" AND (b.ended_at IS NULL OR b.ended_at > w.at - %(gap)s::interval)"),
    "always": "true",
}


class EntryUnreadable(SCRMError):
    """What an entry asks cannot be read any more (a segment was deleted): it lets nobody in. `node_id` is the entry of
    the version `version_id`."""

    code, http_status = "entry_unreadable", 409
    version_id, node_id = 0, ""


def enter(
    brand: Brand,
    *,
    sop_id: int,
    people: Sequence[tuple[int, datetime]],
    source: str,
    node_id: str | None = None,
) -> list[tuple[int, int]]:
    """Let people in, in the caller's transaction; gives (enrolment, contact) of those who are new. Safe to repeat.

    Args:
        people: (contact, since when), each contact once.
        node_id: the entry; None: the one for people put in by hand.

    Raises:
        EntryUnreadable
    """
    new: list[tuple[int, int]] = []
    with connection.cursor() as cursor:
        # publishing locks the row against this: who comes in is in the version from before it or from after it
        cursor.execute(
            "SELECT state, version_id, name FROM campaigns_sop WHERE brand_id = %s AND id = %s FOR KEY SHARE",
            [brand.pk, sop_id],
        )
        row = cursor.fetchone()
    if row is None or row[0] not in OPEN or row[1] is None:
        return []
    plan = plans.load([row[1]])[row[1]]
    node = plan.nodes.get(node_id) if node_id else plan.entry_for_hand()
    if node is None or node["kind"] != "entry":
        return []
    for start in range(0, len(people), SLICE):
        new += _slice(brand, plan, node, people[start : start + SLICE], source[:40], row[2])
    if people and node.get("condition"):
        trouble.over(plan.version_id, node["id"])  # once: each slice has asked the same
    return new


def _slice(
    brand: Brand,
    plan: plans.Plan,
    node: dict[str, Any],
    people: Sequence[tuple[int, datetime]],
    source: str,
    name: str,
) -> list[tuple[int, int]]:
    if node.get("condition"):
        asked = [contact_id for contact_id, _at in people]
        try:
            allowed = holds_for(brand, node["condition"], asked, now=clock.now())
        except SCRMError as error:
            unreadable = EntryUnreadable(error.message, code=error.code)
            unreadable.version_id, unreadable.node_id = plan.version_id, node["id"]
            raise unreadable from error
        people = [row for row in people if row[0] in allowed]
    if not people:
        return []
    settings = plan.settings
    with connection.cursor() as cursor:
        cursor.execute(
            dues.listing(
                _INSERT.format(again=AGAIN[settings["reentry"]]),
                "SELECT id, contact_id, joined_at FROM moved",
            ),
            {
                "brand": brand.pk,
                "sop": plan.sop_id,
                "source": source,
                "version": plan.version_id,
                "node": node["id"],
                "now": clock.now(),
                "gap": f"{settings.get('reentry_days') or 0} days",
                "ids": array(contact_id for contact_id, _at in people),
                "ats": [at for _contact_id, at in people],
            },
        )
        made = cursor.fetchall()
    events: list[EventRow] = [
        {
            "contact_id": contact_id,
            "type": EventType.SOP_ENTERED,
            "at": at,
            "object_id": plan.sop_id,
            "source": "sop",
            "source_key": f"in:{enrolment_id}",
            "data": {"sop": name, "from": source},
        }
        for enrolment_id, contact_id, at in made
    ]
    record_events(brand, events)
    return [(enrolment_id, contact_id) for enrolment_id, contact_id, _at in made]
