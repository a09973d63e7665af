"""员工任务: something that a guide has to do by a deadline."""

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from contacts.models import Contact
from org.models import Staff
from scrm import clock
from tenants.base import KeyedTenantModel, TenantModel
from tenants.fields import BrandForeignKey


class TaskPolicy(TenantModel):
    """When guides are reminded and managers are told; one row per brand, in hours."""

    remind_hours = models.SmallIntegerField(_("Remind the guide, hours before the deadline"), default=2)
    escalate_hours = models.SmallIntegerField(_("Tell the manager, hours after the deadline"), default=1)
    send_hours = models.SmallIntegerField(
        _("Tell the manager of a send that is not confirmed, after hours"), default=24
    )
    later_hours = models.SmallIntegerField(
        _("A guide may put a task off beyond its deadline by hours"), default=24, db_default=24
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand"], name="task_policy_once")]


class StaffTask(TenantModel):
    """员工任务. `key` makes it one: whoever orders the same thing twice orders it once."""

    class Kind(models.TextChoices):
        CONFIRM = "confirm", _("Confirm a send")
        CALL = "call", pgettext_lazy("task of a guide", "Call")
        THANK = "thank", _("Thank")
        VISIT = "visit", pgettext_lazy("task of a guide", "Visit")
        MESSAGE = "message", _("Write a message")
        ADD = "add", _("Add by phone number")
        OTHER = "other", _("Something else")

    class State(models.TextChoices):
        OPEN = "open", _("Open")
        DONE = "done", _("Done")
        EXPIRED = "expired", _("Not done in time")
        CANCELLED = "cancelled", _("Cancelled")

    class Outcome(models.TextChoices):
        REACHED = "reached", pgettext_lazy("how a task ended", "Reached")
        AGREED = "agreed", pgettext_lazy("how a task ended", "Agreed")
        DECLINED = "declined", pgettext_lazy("how a task ended", "Not interested")
        UNREACHED = "unreached", _("Not reached")

    BY_ITSELF = (Kind.CONFIRM, Kind.ADD)  # nobody gives these by hand

    staff = BrandForeignKey(Staff, on_delete=models.PROTECT, related_name="+")
    contact = BrandForeignKey(Contact, on_delete=models.CASCADE, null=True, related_name="+")
    kind = models.CharField(_("Kind"), max_length=8, choices=Kind)
    title = models.CharField(_("Title"), max_length=80)
    note = models.TextField(_("What to do"), blank=True)
    due_at = models.DateTimeField(_("Deadline"))
    expires_at = models.DateTimeField(null=True)  # not worth doing any more after this
    source = models.CharField(max_length=10, blank=True)  # sop, broadcast, page, rule, api
    source_id = models.BigIntegerField(null=True)
    key = models.CharField(max_length=80)
    state = models.CharField(max_length=9, choices=State, default=State.OPEN)
    result = models.CharField(_("Result"), max_length=300, blank=True)
    outcome = models.CharField(
        _("How it ended"), max_length=9, choices=Outcome, blank=True, default="", db_default=""
    )
    done_at = models.DateTimeField(null=True)
    done_by = models.CharField(max_length=64, blank=True)
    told_at = models.DateTimeField(null=True)  # the guide has been told that it is there
    reminded_at = models.DateTimeField(null=True)  # … that its deadline comes
    escalated_at = models.DateTimeField(null=True)
    # put off (task_later.py): not in the guide's list before `later_at`, which is never after the deadline
    later_at = models.DateTimeField(null=True)
    later_told_at = models.DateTimeField(null=True)  # the guide has been told that it is back
    n_later = models.SmallIntegerField(default=0, db_default=0)
    first_due_at = models.DateTimeField(null=True)  # the deadline as it was given, of those that have moved
    created_by = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand", "key"], name="staff_task_key")]
        indexes = [
            models.Index(
                fields=["brand", "staff", "due_at", "id"],
                name="staff_task_open",
                condition=models.Q(state="open"),
            ),
            models.Index(fields=["brand", "due_at"], name="staff_task_due", condition=models.Q(state="open")),
            models.Index(fields=["brand", "contact", "-id"], name="staff_task_contact"),
            models.Index(fields=["brand", "source", "source_id"], name="staff_task_source"),
            models.Index(fields=["brand", "-id"], name="staff_task_newest"),
            models.Index(fields=["brand", "due_at", "staff"], name="staff_task_calendar"),
            models.Index(
                fields=["brand", "done_at"],
                name="staff_task_over",
                condition=models.Q(state__in=["done", "expired"]),
            ),
            # what the tick looks for: each holds only what is still to be done
            models.Index(
                fields=["brand", "created_at"],
                name="staff_task_untold",
                condition=models.Q(state="open", told_at__isnull=True),
            ),
            models.Index(
                fields=["brand", "due_at", "staff"],
                name="staff_task_unreminded",
                condition=models.Q(state="open", reminded_at__isnull=True),
            ),
            models.Index(
                fields=["brand", "due_at"],
                name="staff_task_unescalated",
                condition=models.Q(state="open", escalated_at__isnull=True),
            ),
            models.Index(
                fields=["brand", "expires_at"],
                name="staff_task_expires",
                condition=models.Q(state="open", expires_at__isnull=False),
            ),
            models.Index(
                fields=["brand", "later_at", "staff"],
                name="staff_task_later",
                condition=models.Q(state="open", later_at__isnull=False, later_told_at__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def is_off(self) -> bool:
        """Put off, and its moment has not come."""
        return self.state == self.State.OPEN and self.later_at is not None and self.later_at > clock.now()

    @property
    def is_about_customer(self) -> bool:
        """Something that one can try, put off and tell the outcome of."""
        return self.contact_id is not None and self.kind not in self.BY_ITSELF


class TaskDelay(TenantModel):
    """推迟: a task was put off once, and why."""

    class Why(models.TextChoices):
        UNREACHED = "unreached", _("Not reached")
        BUSY = "busy", _("Had no time")
        ASKED = "asked", _("Asked to be called again")
        OTHER = "other", pgettext_lazy("why a task is put off", "Something else")

    task = BrandForeignKey(StaffTask, on_delete=models.CASCADE, db_index=False, related_name="delays")
    staff = BrandForeignKey(Staff, on_delete=models.PROTECT, related_name="+")  # whose task it was
    by = models.CharField(max_length=64)
    at = models.DateTimeField(default=clock.now)
    until = models.DateTimeField()
    why = models.CharField(max_length=9, choices=Why)
    words = models.CharField(max_length=300, blank=True)
    due_before = models.DateTimeField()
    later_before = models.DateTimeField(null=True)
    taken_back_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["brand", "task", "-id"], name="task_delay_newest")]

    def __str__(self) -> str:
        return self.get_why_display()


class GuideNotice(KeyedTenantModel):
    """What a guide was told last about tasks and sends that wait: notices are bundled, one for a guide."""

    pk = models.CompositePrimaryKey("brand", "staff")
    staff = BrandForeignKey(Staff, on_delete=models.CASCADE, related_name="+")
    at = models.DateTimeField()
    sends_told_until = models.DateTimeField(null=True)  # sends handed over until then were told as waiting
    sends_escalated_until = models.DateTimeField(null=True)  # … and to the manager
