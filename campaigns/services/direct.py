"""A guide has written to one customer in the chat, with words or content of ours: a touch of kind DIRECT.

It is the guide's own message, not a mass message: no cap counts it and no gate is asked, but the ledger has it, so that
everybody sees that the customer has just heard from the brand.
"""

from django.db import transaction

from campaigns.models import Touch
from campaigns.services import touches
from contacts.models import EventType
from contacts.services.timeline import record_event
from scrm import clock
from scrm.errors import InvalidError
from tenants.models import Brand

MAX_KEY = 40


@transaction.atomic
def record_direct(
    brand: Brand, *, contact_id: int, staff_id: int, key: str, text: str, version_id: int | None = None
) -> bool:
    """Write the touch and its timeline entry; False for a repeat of `key`.

    Args:
        key: what makes the message one, of the page that has sent it.
        text: as it was sent; its beginning shows on the timeline.
        version_id: the library's version that was sent.

    Raises:
        InvalidError: no key, or one that is too long.
    """
    if not 8 <= len(key) <= MAX_KEY:
        raise InvalidError("key: 8 … 40")
    now = clock.now()
    taken = touches.take_keys(brand, [f"d:{staff_id}:{key}"[:60]], now)
    if not taken:
        return False
    [touch_id] = taken.values()
    Touch.objects.create(
        pk=touch_id,
        at=now,
        kind=Touch.Kind.DIRECT,
        contact_id=contact_id,
        staff_id=staff_id,
        content_id=version_id,
        state=Touch.State.DELIVERED,
        done_at=now,
    )
    record_event(
        brand,
        contact_id=contact_id,
        type=EventType.TOUCH_SENT,
        at=now,
        staff_id=staff_id,
        object_id=touch_id,
        source="direct",
        source_key=str(touch_id),
        data={"direct": 1, "text": text[: touches.EXCERPT]},
    )
    return True
