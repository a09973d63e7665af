"""群发: one audience, one or several contents, one moment or waves."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from scrm import clock
from tagging.models.bits import BitsField
from tenants.base import KeyedTenantModel, TenantModel
from tenants.fields import BrandForeignKey


class Broadcast(TenantModel):
    """群发. What it says stands in its variants, when in its waves."""

    class State(models.TextChoices):
        DRAFT = "draft", _("Draft")
        APPROVAL = "approval", _("Waits for approval")
        ON = "on", _("Running")
        PAUSED = "paused", _("Paused")
        DONE = "done", _("Finished")
        CANCELLED = "cancelled", _("Cancelled")

    name = models.CharField(_("Name"), max_length=60)
    state = models.CharField(_("State"), max_length=9, choices=State, default=State.DRAFT)
    audience = models.JSONField(default=dict)  # {"condition": …}, {"segment": id}, {"contacts": [...]}
    priority = models.SmallIntegerField(_("Priority"), default=5)  # 1 … 9, 9 goes first
    hold_out_percent = models.SmallIntegerField(_("Hold-out"), default=0)
    late_hours = models.IntegerField(_("Still sent within hours"), default=48)
    repeat = models.JSONField(default=dict, blank=True)  # {}: once
    test = models.JSONField(
        default=dict, blank=True
    )  # services/broadcasts/winners.py: Rule; {}: contents are not compared
    winner_id = models.BigIntegerField(null=True, editable=False)  # campaigns.Variant
    winner_at = models.DateTimeField(null=True, editable=False)
    winner_by = models.CharField(max_length=64, blank=True, editable=False)  # "rule", "time", or who chose it
    created_by = models.CharField(max_length=64, blank=True, editable=False)
    created_by_user_id = models.BigIntegerField(null=True, editable=False)  # tenants.User; None: an API key
    created_at = models.DateTimeField(default=clock.now, editable=False)
    launched_by = models.CharField(max_length=64, blank=True, editable=False)
    launched_by_user_id = models.BigIntegerField(null=True, editable=False)
    launched_at = models.DateTimeField(null=True, editable=False)
    ended_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        indexes = [models.Index(fields=["brand", "-id"], name="broadcast_newest")]

    def __str__(self) -> str:
        return self.name


class Variant(TenantModel):
    """One content of a broadcast: A, B, C …; people are spread by a hash of contact and broadcast, so who is in which
    never changes."""

    broadcast = BrandForeignKey(Broadcast, on_delete=models.CASCADE, related_name="variants")
    letter = models.CharField(max_length=1)
    weight = models.IntegerField(_("Weight"), default=1)
    text = models.TextField(_("Text"), blank=True)
    attachments = models.JSONField(default=list, blank=True)  # see wecom/services/attachments.py
    content_id = models.BigIntegerField(null=True, blank=True)  # version of the library

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["brand", "broadcast", "letter"], name="variant_letter")
        ]


class Wave(TenantModel):
    """A moment at which a broadcast goes out to those of its audience for whom `condition` holds."""

    class State(models.TextChoices):
        WAITING = "waiting", _("Waits for its time")
        HELD = "held", _("Waits for the winner")
        PLANNED = "planned", _("Planned")
        DONE = "done", _("Finished")
        SKIPPED = "skipped", _("Left out")

    broadcast = BrandForeignKey(Broadcast, on_delete=models.CASCADE, related_name="waves")
    n = models.SmallIntegerField()  # 1, 2, …
    at = models.DateTimeField()
    condition = models.JSONField(default=dict, blank=True)  # {}: everybody
    state = models.CharField(max_length=8, choices=State, default=State.WAITING)
    planned_at = models.DateTimeField(null=True)
    numbers = models.JSONField(default=dict)  # of the plan: wanted, planned, by reason

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand", "broadcast", "n"], name="wave_n")]
        indexes = [models.Index(fields=["brand", "at"], name="wave_due", condition=models.Q(state="waiting"))]


class WaveSet(KeyedTenantModel):
    """Bitmaps of a planned wave, 8,192 positions a row: `what` 0 is who was wanted, otherwise a Touch.Reason."""

    pk = models.CompositePrimaryKey("brand", "wave", "what", "chunk")
    wave = BrandForeignKey(Wave, on_delete=models.CASCADE, related_name="+")
    what = models.SmallIntegerField()
    chunk = models.IntegerField()
    bits = BitsField()
