"""Messages of SOPs written in one go: keys, send tasks, touches of the ledger, figures and the timeline."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from campaigns.models import SopStep, Touch
from campaigns.services import planning, touches
from campaigns.services.senders import Sender
from contacts.models import EventType
from contacts.services.timeline import EventRow, record_events
from tenants.models import Brand


class StepTouch(NamedTuple):
    """A message about to be written; no reason means planned, and then it has a sender. `key` makes it one."""

    key: str
    contact_id: int
    step: SopStep
    reason: Touch.Reason
    sender: Sender | None = None


def write(
    brand: Brand, rows: Sequence[StepTouch], *, at: datetime, send_at: datetime, names: Mapping[int, str]
) -> tuple[int, int]:
    """(planned, held back), in the caller's transaction, which holds the gate. What is written already is left out.

    Args:
        names: {SOP: name}, for the timeline.
    """
    ids = touches.take_keys(brand, [row.key for row in rows], at)
    wanted: list[planning.Wanted] = []
    held: list[tuple] = []
    for row in rows:
        touch_id = ids.get(row.key)
        if touch_id is None:
            continue
        if row.sender and not row.reason:
            wanted.append(planning.Wanted(row.contact_id, row.step, row.sender, touch_id))
        else:
            held.append((touch_id, row.contact_id, None, row.step.sop_id, row.step.pk, None, int(row.reason)))
    planning.write_plan(brand, send_at, wanted)
    touches.write(brand, at, Touch.Kind.SOP, held)
    planning.count_blocked(brand, at, Counter((row[3], row[4], row[6]) for row in held))
    events: list[EventRow] = [
        {
            "contact_id": contact_id,
            "type": EventType.TOUCH_BLOCKED,
            "at": at,
            "object_id": touch_id,
            "source": "sop",
            "data": {"sop": names[sop_id], "reason": Touch.Reason(reason).name.lower()},
        }
        for touch_id, contact_id, _, sop_id, _, _, reason in held
    ]
    record_events(brand, events)
    return len(wanted), len(held)
