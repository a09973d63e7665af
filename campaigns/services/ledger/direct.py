"""A guide has written to one customer in the chat, with words or content of ours: a touch of kind DIRECT.

It is the guide's own message, not a mass message: no cap counts it and no gate is asked, but the ledger has it, so that
everybody sees that the customer has just heard from the brand.
"""

from django.core import signing
from django.db import connection, transaction
from django.utils.translation import gettext as _

from campaigns.models import Touch
from campaigns.services.ledger import touches
from contacts.models import EventType
from contacts.services.timeline import record_event
from scrm import clock
from scrm.errors import InvalidError
from tenants.models import Brand

SALT = "guides.direct"
LIFE_S = 24 * 3600  # a message that was made ready may be sent so long


def make_ready(*, contact_id: int, staff_id: int, version_id: int | None = None) -> tuple[int, str]:
    """(id of the touch to be, signed ticket for `record_direct`). The id goes into the tracked links of the message;
    nothing is written before it was sent."""
    [touch_id] = touches.new_ids(1)
    return touch_id, signing.dumps([touch_id, contact_id, staff_id, version_id or 0], salt=SALT)


_USED = """
    INSERT INTO campaigns_directuse AS u (brand_id, version_id, staff_id, n_sent, n_opened, n_replied, n_converted, last_at)
    VALUES (%s, %s, %s, 1, 0, 0, 0, %s)
    ON CONFLICT (brand_id, version_id, staff_id) DO UPDATE SET n_sent = u.n_sent + 1, last_at = excluded.last_at
"""


@transaction.atomic
def record_direct(brand: Brand, *, contact_id: int, staff_id: int, ticket: str, text: str) -> bool:
    """The message was sent: its touch and its timeline entry; False for a repeat.

    Args:
        ticket: of `make_ready`.
        text: as it was sent; its beginning shows on the timeline.

    Raises:
        InvalidError: a ticket that was not made for this guide and customer, or is older than a day.
    """
    try:
        touch_id, *pair, version_id = signing.loads(ticket, salt=SALT, max_age=LIFE_S)
    except (signing.BadSignature, ValueError) as error:
        raise InvalidError(
            _("This message was not made ready here, or too long ago"), code="bad_ticket"
        ) from error
    if pair != [contact_id, staff_id]:
        raise InvalidError(_("This message was not made ready here, or too long ago"), code="bad_ticket")
    now = clock.now()
    if not touches.put_key(brand, f"d:{touch_id}", now, touch_id):
        return False
    Touch.objects.create(
        pk=touch_id,
        at=now,
        kind=Touch.Kind.DIRECT,
        contact_id=contact_id,
        staff_id=staff_id,
        content_id=version_id or None,
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
    if version_id:  # last: its row is held as shortly as may be
        with connection.cursor() as cursor:
            cursor.execute(_USED, [brand.pk, version_id, staff_id, now])
    return True
