"""行为: what happened to contacts, and how far its readers have come."""

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from tenants.base import KeyedTenantModel, TenantModel
from tenants.fields import PartitionKey


class EventType(models.IntegerChoices):
    """行为类型: what can happen to a contact. Numbers are stored: never renumber."""

    ADDED = 1, _("Added a guide")
    ADDED_AGAIN = 2, _("Added a guide again")
    HALF_ADDED = 3, _("Asked to be added")
    LOST_BY_CUSTOMER = 4, _("Deleted the guide")
    LOST_BY_STAFF = 5, _("Was deleted by the guide")
    TRANSFERRED = 6, _("Handed over to another guide")
    GONE = 7, _("Was not found in WeCom any more")
    HANDOVER_ASKED = 8, _("Is being handed over to another guide")
    HANDOVER_FAILED = 9, _("Was not handed over")
    TAGGED = 10, _("Tags added")
    UNTAGGED = 11, _("Tags removed")
    REMARKED = 12, _("Remark changed")
    MERGED = 13, _("Joined with another record")
    DO_NOT_CONTACT = 14, _("Do-not-contact changed")
    PARTED = 16, _("Found not to be the same person")
    LIFECYCLE_CHANGED = 17, _("Lifecycle stage changed")
    WELCOMED = 20, _("Welcome sent")
    WELCOME_FAILED = 21, _("Welcome not sent")
    TOUCH_SENT = 22, _("Message delivered")
    TOUCH_FAILED = 23, _("Message not delivered")
    TOUCH_BLOCKED = 24, _("Message held back")
    TOUCH_HANDED = 25, _("Message waits for the guide")
    SOP_ENTERED = 30, _("Entered an SOP")
    SOP_ENDED = 31, _("Left an SOP")
    NOTE = 40, _("Note")
    REMINDER_DONE = 41, _("Reminder done")
    STAGE_CHANGED = 42, _("Stage changed")
    FIELD_CHANGED = 43, _("Field changed")
    ORDER_PAID = 50, _("Paid an order")
    ORDER_REFUNDED = 51, _("Got money back")
    GROUP_JOINED = 60, _("Joined a group")
    GROUP_LEFT = 61, _("Left a group")
    WORD_SAID = 62, _("Said a word in a chat")
    OPENED = 70, _("Opened a link")
    READ = 71, _("Read a page")
    SHARED = 72, _("Shared a link")
    FORM_ANSWERED = 73, _("Answered a form")
    COUPON_USED = 74, _("Used a coupon")
    MOMENT_LIKED = 78, _("Liked a moment")
    MOMENT_COMMENTED = 79, _("Commented on a moment")
    TASK_GIVEN = 80, _("A guide got a task")
    TASK_DONE = 81, _("A guide has done a task")
    TASK_MISSED = 82, _("A task was not done in time")
    ALERTED = 83, _("A guide was alerted")
    LEAD_ADDED = 84, _("Added from a list of numbers")
    TASK_LATER = 85, _("A task was put off")
    VIEWED = 90, _("Viewed a product")
    FAVOURITED = 91, _("Kept a product as a favourite")
    CARTED = 92, _("Put a product into the cart")
    CHECKED_OUT = 93, _("Began to check out")
    SEARCHED = 94, _("Searched")
    CUSTOM = 99, _("Behaviour of the brand's own kind")


def event_types() -> list[tuple[int, Any]]:
    """Choices of `Event.type`; a function, so that a new kind of event needs no migration."""
    return EventType.choices


class Event(TenantModel):
    """行为: one thing that happened to a contact. The timeline, and the outbox of all reactions.

    Ids commit out of order, so a reader goes by `(xid, id)` and takes only transactions below
    `pg_snapshot_xmin(pg_current_snapshot())` (contacts/services/outbox.py).
    """

    at = PartitionKey()
    contact_id = models.BigIntegerField()
    type = models.SmallIntegerField(choices=event_types)
    staff_id = models.BigIntegerField(null=True)
    object_id = models.BigIntegerField(null=True)  # code, SOP, touch …, by type
    source = models.CharField(max_length=20, blank=True)  # callback, sync, page, api, sop, import
    data = models.JSONField(default=dict)
    xid = models.BigIntegerField(
        db_default=models.Func(function="txid_current", output_field=models.BigIntegerField())
    )

    class Meta:
        indexes = [
            models.Index(
                fields=["brand", "type", "at"], include=["contact_id", "object_id"], name="event_type"
            ),
            models.Index(fields=["brand", "contact_id", "-at"], name="event_timeline"),
            models.Index(fields=["brand", "xid", "id"], name="event_outbox"),
        ]


class EventKey(KeyedTenantModel):
    """Deduplication of events: a fact that comes twice is written once. Unpartitioned, unlike Event."""

    pk = models.CompositePrimaryKey("brand", "source", "source_key")
    source = models.CharField(max_length=20)
    source_key = models.CharField(max_length=120)


class OutboxPosition(TenantModel):
    """How far a reader of events has come."""

    reader = models.CharField(max_length=40)
    xid = models.BigIntegerField(default=0)
    event_id = models.BigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand", "reader"], name="outbox_reader")]
