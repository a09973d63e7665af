"""Messages of SOPs written in one go: keys, send tasks, touches of the ledger, figures and the timeline."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from campaigns.models import Sop, SopStep, Touch
from campaigns.services.ledger import planning, touches
from campaigns.services.sending.senders import Sender
from contacts.models import EventType
from contacts.services.timeline import EventRow, record_events
from tenants.models import Brand


@dataclass(slots=True)
class StepTouches:
    """Messages of one step about to be written, to people of one sender (planned) or for one reason not (held back); each
    has a key, which makes it one."""

    step: SopStep
    sender: Sender | None
    reason: Touch.Reason
    keys: list[str] = field(default_factory=list)
    contact_ids: list[int] = field(default_factory=list)


class Pile:
    """Messages about to be written, put together by step and by sender or reason."""

    def __init__(self) -> None:
        self.sets: dict[tuple[int, Sender | Touch.Reason], StepTouches] = {}

    def __bool__(self) -> bool:
        return bool(self.sets)

    def planned(self, step: SopStep, sender: Sender) -> StepTouches:
        key = (step.id, sender)  # `pk` looks the field up, for each of thousands
        if (found := self.sets.get(key)) is None:
            found = self.sets[key] = StepTouches(step, sender, Touch.Reason.NONE)
        return found

    def held(self, step: SopStep, reason: Touch.Reason) -> StepTouches:
        key = (step.id, reason)
        if (found := self.sets.get(key)) is None:
            found = self.sets[key] = StepTouches(step, None, reason)
        return found


class Piles:
    """Those of one moment, and of later ones for whose guides that day is full.

    Attributes:
        now: of the moment itself; everybody who is held back stands here.
        later: {moment: pile}.
    """

    def __init__(self, later_of: Mapping[int, datetime]) -> None:
        self.now = Pile()
        self.later: dict[datetime, Pile] = {}
        self._later_of = later_of

    def of(self, contact_id: int) -> Pile:
        """Where a message for this person belongs."""
        if (moment := self._later_of.get(contact_id)) is None:
            return self.now
        return self.later.setdefault(moment, Pile())


def write_all(
    brand: Brand,
    piles: Piles,
    *,
    at: datetime,
    send_at: datetime,
    sops: Mapping[int, Sop],
    places: Mapping[int, int] | None = None,
) -> tuple[int, int]:
    """As `write`, of all moments."""
    planned, held = write(brand, piles.now, at=at, send_at=send_at, sops=sops, places=places)
    for moment, pile in sorted(piles.later.items()):
        n, m = write(brand, pile, at=at, send_at=moment, sops=sops, places=places)
        planned, held = planned + n, held + m
    return planned, held


def write(
    brand: Brand,
    pile: Pile,
    *,
    at: datetime,
    send_at: datetime,
    sops: Mapping[int, Sop],
    places: Mapping[int, int] | None = None,
) -> tuple[int, int]:
    """(planned, held back), in the caller's transaction, which holds the gate. What is written already is left out.

    Args:
        sops: {id: SOP} of the steps.
        places: {position: contact} of those who have a sender, where the caller knows it.
    """
    if not pile:
        return 0, 0
    keys = [key for one in pile.sets.values() for key in one.keys]
    ids = touches.new_ids(len(keys))
    taken = touches.claim_keys(brand, at, keys, ids)
    wanted: list[planning.Wanted] = []
    held: list[touches.TouchSet] = []
    events: list[EventRow] = []
    first = 0
    for one in pile.sets.values():
        contact_ids, touch_ids = one.contact_ids, ids[first : first + len(one.keys)]
        first += len(one.keys)
        if taken:
            left = [pair for pair in zip(touch_ids, contact_ids, strict=True) if pair[0] not in taken]
            touch_ids, contact_ids = [pair[0] for pair in left], [pair[1] for pair in left]
        if not touch_ids:
            continue
        if one.sender:
            wanted.append(planning.Wanted(one.step, one.sender, contact_ids, touch_ids))
            continue
        held.append(
            touches.TouchSet(
                touch_ids, contact_ids, sop_id=one.step.sop_id, step_id=one.step.id, reason=int(one.reason)
            )
        )
        data = {"sop": sops[one.step.sop_id].name, "reason": one.reason.name.lower()}
        events += [
            {
                "contact_id": contact_id,
                "type": EventType.TOUCH_BLOCKED,
                "at": at,
                "object_id": touch_id,
                "source": "sop",
                "data": data,
            }
            for touch_id, contact_id in zip(touch_ids, contact_ids, strict=True)
        ]
    planned = planning.write_tasks(brand, send_at, wanted, {pk: sop.priority for pk, sop in sops.items()})
    counts: Counter[tuple[int, int, int]] = Counter()
    for row in held:
        counts[row.sop_id or 0, row.step_id or 0, row.reason] += len(row.ids)
    planning.count_blocked(brand, at, counts)
    record_events(brand, events)
    touches.write(brand, at, Touch.Kind.SOP, held)
    # last: Postgres has the most to do with them while the caller goes on
    touches.write(brand, send_at, Touch.Kind.SOP, planned, places)
    return sum(len(one.touch_ids) for one in wanted), len(events)
