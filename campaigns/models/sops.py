"""SOP: steps, and who is in them."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from contacts.models import Contact
from scrm import clock
from tenants.base import TenantModel
from tenants.fields import BrandForeignKey


class Sop(TenantModel):
    """SOP: steps on days after joining, at an hour of the brand's zone."""

    class State(models.TextChoices):
        DRAFT = "draft", _("Draft")
        ON = "on", _("On")
        PAUSED = "paused", _("Paused")
        ENDED = "ended", _("Ended")

    name = models.CharField(_("Name"), max_length=60)
    state = models.CharField(_("State"), max_length=6, choices=State, default=State.DRAFT)
    late_days = models.IntegerField(_("A late step is still sent within days"), default=3)
    created_by = models.CharField(max_length=64, blank=True, editable=False)
    created_at = models.DateTimeField(default=clock.now, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand", "name"], name="sop_name")]

    def __str__(self) -> str:
        return self.name


class SopStep(TenantModel):
    """One message of an SOP: day N after joining (day 0 is the day of joining itself), at hour:minute of the
    brand's zone.

    A step that was taken out keeps its row (`removed_at`): touches and send tasks name it.
    """

    sop = BrandForeignKey(Sop, on_delete=models.CASCADE, related_name="steps")
    position = models.IntegerField()  # 0, 1, 2 … in order of (day, hour, minute)
    day = models.IntegerField(_("Day after joining"))
    hour = models.SmallIntegerField(_("Hour"), default=10)
    minute = models.SmallIntegerField(_("Minute"), default=0)
    text = models.TextField(_("Text"), blank=True)
    attachments = models.JSONField(
        _("Attachments"), default=list, blank=True
    )  # see wecom/services/attachments.py
    removed_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["brand", "sop", "position"],
                name="sop_step_position",
                condition=models.Q(removed_at=None),
            )
        ]


class Enrolment(TenantModel):
    """入组: one contact in one SOP.

    `next_run_at` is the moment of the next step: what lies before it is settled, whatever the steps are
    edited to. `position` (of that step) is for people to read.
    """

    class End(models.TextChoices):
        DONE = "done", _("All steps done")
        LOST = "lost", _("Customer lost")
        REMOVED = "removed", _("Taken out by hand")
        SOP_ENDED = "sop", _("SOP ended")

    sop = BrandForeignKey(Sop, on_delete=models.CASCADE, related_name="+")
    contact = BrandForeignKey(Contact, on_delete=models.CASCADE, related_name="+")
    source = models.CharField(max_length=40)  # channel_code:7, page
    joined_at = models.DateTimeField()  # day 0
    position = models.IntegerField(default=0)
    next_run_at = models.DateTimeField(null=True)  # empty when ended
    is_parked = models.BooleanField(default=False)  # came due while the SOP was paused: off the due index
    entered_at = models.DateTimeField(default=clock.now)
    ended_at = models.DateTimeField(null=True)
    end_kind = models.CharField(max_length=8, choices=End, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["brand", "sop", "contact"], name="enrolment_once", condition=models.Q(ended_at=None)
            )
        ]
        indexes = [
            models.Index(
                fields=["brand", "next_run_at"],
                name="enrolment_due",
                condition=models.Q(ended_at=None, is_parked=False),
            ),
            models.Index(fields=["brand", "contact"], name="enrolment_contact"),
            # those in it now are listed by enrolment_once; each index less makes a step cheaper
            models.Index(
                fields=["brand", "sop", "-id"],
                include=["end_kind"],
                name="enrolment_ended",
                condition=models.Q(ended_at__isnull=False),
            ),
        ]
