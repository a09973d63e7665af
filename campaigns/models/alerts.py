"""行为提醒: a customer did something, and the guide knows it at once."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from contacts.models import Contact
from org.models import Staff
from scrm import clock
from tenants.base import TenantModel
from tenants.fields import BrandForeignKey


class AlertPolicy(TenantModel):
    """How often guides are told; one row per brand."""

    quiet_start = models.TimeField(_("Quiet from"), null=True, blank=True)
    quiet_end = models.TimeField(_("until"), null=True, blank=True)
    window_minutes = models.IntegerField(_("Minutes between two messages about one customer"), default=30)
    per_hour = models.IntegerField(_("Messages to one guide an hour at most"), default=6)
    keep_hours = models.IntegerField(_("Hours after which an alert is not worth telling"), default=12)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand"], name="alert_policy_once")]


class AlertRule(TenantModel):
    """Which events of which customers are told to their guide. `event` and `filters` as in tagging/rule_events.py."""

    name = models.CharField(_("Name"), max_length=60)
    event = models.CharField(_("What happens"), max_length=30)
    filters = models.JSONField(default=dict, blank=True)
    condition = models.JSONField(default=dict, blank=True)  # of tagging/conditions; {}: everybody
    is_on = models.BooleanField(default=False)
    on_since = models.DateTimeField(null=True)  # events before it do not count
    problem = models.CharField(max_length=200, blank=True)  # why it cannot be read now
    created_by = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(default=clock.now)
    deleted_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["brand", "-id"], name="alert_rule_newest")]

    def __str__(self) -> str:
        return self.name


class AlertMessage(TenantModel):
    """One message of the app to one guide; the call itself stands in wecom's outbox (alerts.notice_key)."""

    staff = BrandForeignKey(Staff, on_delete=models.CASCADE, related_name="+")
    at = models.DateTimeField(default=clock.now)
    n_alerts = models.IntegerField()
    n_contacts = models.IntegerField()
    text = models.TextField()

    class Meta:
        indexes = [models.Index(fields=["brand", "staff", "-at"], name="alert_message_staff")]


class Alert(TenantModel):
    """One event that a rule wants told, and what became of it."""

    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        SENT = "sent", _("Told")
        SUPPRESSED = "suppressed", _("Not told")

    class Reason(models.TextChoices):
        NONE = "", ""
        SAME = "same", _("The same was told a moment ago")
        NO_GUIDE = "no_guide", _("No active guide has this customer")
        TOLD_ALREADY = "told", _("The guide was told on the customer's arrival")
        HOURLY = "hourly", _("As many messages in the hour as the settings allow")
        TOO_LATE = "late", _("Too long ago by the time it could be told")
        UNREACHABLE = "unreachable", _("The guide has no WeCom account, or has left")

    at = models.DateTimeField()  # of the event
    rule = BrandForeignKey(AlertRule, on_delete=models.CASCADE, related_name="+")
    staff = BrandForeignKey(Staff, on_delete=models.CASCADE, null=True, related_name="+")
    contact = BrandForeignKey(Contact, on_delete=models.CASCADE, related_name="+")
    type = models.SmallIntegerField()  # EventType
    object_id = models.BigIntegerField(null=True)
    event_id = models.BigIntegerField()
    data = models.JSONField(default=dict)  # of the event
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    reason = models.CharField(max_length=12, choices=Reason, blank=True)
    due_at = models.DateTimeField()  # told not before
    done_at = models.DateTimeField(null=True)
    message = BrandForeignKey(AlertMessage, on_delete=models.CASCADE, null=True, related_name="alerts")

    class Meta:
        constraints = [
            # an event is told to a guide once, whatever the rules that want it
            models.UniqueConstraint(fields=["brand", "event_id", "staff"], name="alert_once")
        ]
        indexes = [
            models.Index(fields=["brand", "due_at"], name="alert_due", condition=models.Q(state="waiting")),
            models.Index(fields=["brand", "-id"], name="alert_newest"),
            models.Index(fields=["brand", "staff", "contact", "-id"], name="alert_pair"),
            models.Index(
                fields=["brand", "message"],
                name="alert_of_message",
                condition=models.Q(message__isnull=False),
            ),
        ]
