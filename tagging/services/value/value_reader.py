"""Customers to whom something has happened are scored again at once: a reader of the outbox."""

from django.db import transaction

from contacts.models import EventType
from contacts.services import outbox
from tagging.services.value import lifecycle, value, value_model
from tenants.models import Brand

READER = "value"
BATCH = 1_000
TYPES = (
    EventType.ORDER_PAID,
    EventType.ORDER_REFUNDED,
    EventType.MERGED,
    EventType.PARTED,
    EventType.ADDED,
    EventType.LOST_BY_CUSTOMER,
)


def run(brand: Brand, *, max_batches: int = 20) -> int:
    """Score whom new events are about; gives how many events were read."""
    total = 0
    for _batch in range(max_batches):
        with transaction.atomic():
            events = outbox.read(brand, READER, BATCH)
            ids = sorted({event.contact_id for event in events if event.type in TYPES})
            if ids:
                value.refresh(brand, ids)
                value_model.apply(brand, ids)
                lifecycle.place_few(brand, ids)
            outbox.save_position(brand, READER, events)
        total += len(events)
        if len(events) < BATCH:
            break
    return total
