"""What came of items: written with the timeline of their contacts, in the caller's transaction. Every outcome
is written once: an item that somebody else has moved on meanwhile is left alone."""

from collections.abc import Sequence

from contacts.models import EventType
from contacts.services.timeline import EventRow, record_events
from handover.models import HandoverItem, HandoverRun
from handover.services import reasons
from scrm import clock
from tenants.models import Brand

State = HandoverItem.State


def begin(brand: Brand, run: HandoverRun, items: Sequence[HandoverItem]) -> None:
    """WeCom has begun to hand these customers over."""
    ids = _locked(items, (State.CALLING,))
    HandoverItem.objects.filter(pk__in=ids).update(state=State.WAITING)
    _record(brand, run, [item for item in items if item.pk in ids], EventType.HANDOVER_ASKED)


def fail(brand: Brand, run: HandoverRun, items: Sequence[HandoverItem], errcode: int) -> None:
    """These cannot be handed over, customers or groups."""
    ids = _locked(items, HandoverItem.LIVE)
    HandoverItem.objects.filter(pk__in=ids).update(state=State.FAILED, errcode=errcode, done_at=clock.now())
    reason = reasons.TIMELINE.get(errcode)
    more = {"reason": reason} if reason else {"error": str(reasons.of_code(errcode)[0])}
    _record(brand, run, [item for item in items if item.pk in ids], EventType.HANDOVER_FAILED, **more)


def refuse(brand: Brand, run: HandoverRun, items: Sequence[HandoverItem]) -> None:
    """The customers want to stay where they are."""
    ids = _locked(items, HandoverItem.LIVE)
    HandoverItem.objects.filter(pk__in=ids).update(state=State.REFUSED, done_at=clock.now())
    mine = [item for item in items if item.pk in ids]
    _record(brand, run, mine, EventType.HANDOVER_FAILED, reason="refused_by_customer")


def groups_done(brand: Brand, run: HandoverRun, items: Sequence[HandoverItem]) -> None:
    """These groups have their new owner."""
    ids, now = _locked(items, HandoverItem.LIVE), clock.now()
    HandoverItem.objects.filter(pk__in=ids).update(state=State.DONE, done_at=now, takeover_at=now)


def _locked(items: Sequence[HandoverItem], states: Sequence[int]) -> set[int]:
    """Those that are still in one of the states, locked in order."""
    rows = HandoverItem.objects.filter(pk__in=[item.pk for item in items], state__in=list(states))
    return set(rows.order_by("pk").select_for_update().values_list("pk", flat=True))


def _record(
    brand: Brand, run: HandoverRun, items: Sequence[HandoverItem], kind: EventType, **data: str
) -> None:
    events: list[EventRow] = [
        {
            "contact_id": item.contact_id,
            "type": kind,
            "at": clock.now(),
            "staff_id": item.giver_id,
            "object_id": run.pk,
            "source": "handover",
            "source_key": f"{kind.name.lower()}:{item.pk}",
            "data": {"to": item.receiver.name, "to_id": item.receiver_id, **data},
        }
        for item in items
        if item.contact_id
    ]
    record_events(brand, events)
