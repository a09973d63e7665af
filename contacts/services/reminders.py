"""提醒: something to be done about a customer at a moment; the colleague is told in WeCom when it has come."""

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import override

from contacts.models import Contact, EventType, Reminder
from contacts.services.timeline import record_event
from org.access import Actor
from org.models import Staff
from scrm import clock
from scrm.errors import InvalidError, NotFoundError
from tenants.models import Brand
from wecom.services.notices import notify_staff

MAX_TEXT = 200
A_DAY = timedelta(days=1)
AHEAD = timedelta(days=2 * 366)
BATCH = 500


@transaction.atomic
def add_reminder(
    brand: Brand, *, contact: Contact, staff: Staff, text: str, due_at: datetime, by: Actor
) -> Reminder:
    """Remind `staff` of something at a moment.

    Raises:
        InvalidError: no text, or a moment that is over or more than two years away.
    """
    text = " ".join(text.replace("\x00", "").split())
    if not text or len(text) > MAX_TEXT:
        words = _("At most %(n)s characters") % {"n": MAX_TEXT} if text else _("Say what is to be done")
        raise InvalidError(words, fields={"text": words})
    _check(due_at)
    return Reminder.objects.create(contact=contact, staff=staff, text=text, due_at=due_at, created_by=by.name)


@transaction.atomic
def move_reminder(brand: Brand, reminder_id: int, *, due_at: datetime) -> Reminder:
    """Put off to another moment; it is told again then."""
    _check(due_at)
    row = get_reminder(reminder_id)
    row.due_at, row.noticed_at = due_at, None
    row.save(update_fields=["due_at", "noticed_at"])
    return row


@transaction.atomic
def finish(brand: Brand, reminder_id: int, *, by: Actor, done: bool = True, source: str = "page") -> Reminder:
    """It is done (on the timeline), or not after all. Safe to repeat."""
    row = get_reminder(reminder_id)
    if (row.done_at is not None) == done:
        return row
    row.done_at, row.done_by = (clock.now(), by.name) if done else (None, "")
    row.save(update_fields=["done_at", "done_by"])
    if done:
        record_event(
            brand,
            contact_id=row.contact_id,
            type=EventType.REMINDER_DONE,
            at=clock.now(),
            staff_id=by.staff.pk if by.staff else None,
            object_id=row.pk,
            source=source,
            data={"by": by.name, "text": row.text},
        )
    return row


@transaction.atomic
def delete_reminder(brand: Brand, reminder_id: int) -> None:
    get_reminder(reminder_id).delete()


def get_reminder(reminder_id: int) -> Reminder:
    found = Reminder.objects.select_for_update().filter(pk=reminder_id).first()
    if found is None:
        raise NotFoundError()
    return found


@transaction.atomic
def tell_due(brand: Brand) -> int:
    """Notices of what has come due, each once; gives how many. Nothing due costs one index probe."""
    now = clock.now()
    rows: Any = Reminder.objects.select_for_update(skip_locked=True, of=("self",)).filter(
        due_at__lte=now, done_at=None, noticed_at=None
    )
    due = list(rows.select_related("contact", "staff__corp").order_by("due_at", "pk")[:BATCH])
    if not due:
        return 0
    Reminder.objects.filter(pk__in=[row.pk for row in due]).update(noticed_at=now)
    with override(settings.LANGUAGE_CODE):
        for row in due:
            title = _("Reminder: %(name)s") % {"name": row.contact.name or _("(no name yet)")}
            key = f"reminder:{row.pk}:{int(row.due_at.timestamp())}"
            notify_staff(
                brand,
                staff=row.staff,
                key=key,
                text=f"{title}\n{row.text}",
                url=f"/g/customers/{row.contact_id}/",
            )
    return len(due)


def _check(due_at: datetime) -> None:
    now = clock.now()
    if not now - timedelta(minutes=1) <= due_at <= now + AHEAD:
        words = _("Choose a moment within the next two years")
        raise InvalidError(words, fields={"due_at": words})
