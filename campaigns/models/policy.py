"""频控: what the brand allows, and what customers wish."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from contacts.models import Contact
from scrm import clock
from tagging.models import Tag
from tenants.base import KeyedTenantModel, TenantModel
from tenants.fields import BrandForeignKey


class TouchPolicy(TenantModel):
    """频控: one row per brand; its caps are rows of Cap. The welcome is asked nothing of all this."""

    class Allowance(models.TextChoices):
        """WeCom's own limit per customer, as chosen in its console (群发助手)."""

        MONTH = "month", _("As many a month as it has days")
        WEEK = "week", _("Seven a week")
        DAY = "day", _("One a day")

    class Sender(models.TextChoices):
        LATEST = "latest", _("The guide added last")
        FIRST = "first", _("The guide added first")

    class Busy(models.TextChoices):
        """What becomes of what is too much for a guide on a day."""

        WARN = "warn", _("Nothing: the dry run and the calendar warn")
        LEAVE_OUT = "leave_out", _("It is left out")
        NEXT_DAY = "next_day", _("It waits for the guide's next free day")

    min_gap_hours = models.IntegerField(_("Hours between two touches at least"), default=0)
    quiet_start = models.TimeField(_("Quiet from"), null=True, blank=True)
    quiet_end = models.TimeField(_("until"), null=True, blank=True)
    allowance = models.CharField(
        _("WeCom's allowance"), max_length=5, choices=Allowance, default=Allowance.MONTH
    )
    sender = models.CharField(
        _("Who writes to a customer with several guides"),
        max_length=6,
        choices=Sender,
        default=Sender.LATEST,
    )
    # of everything together (services/governance/workload.py); with WARN thresholds of warnings, no limits
    guide_tasks_a_day = models.IntegerField(_("Things to do of a guide a day at most"), null=True, blank=True)
    guide_people_a_day = models.IntegerField(_("Customers of a guide a day at most"), null=True, blank=True)
    guide_busy = models.CharField(
        _("What is too much for a guide"), max_length=9, choices=Busy, default=Busy.WARN
    )
    needs_approval = models.BooleanField(
        _("Broadcasts and moments need a second person's approval"), default=False
    )
    sops_need_approval = models.BooleanField(
        _("SOPs need a second person's approval: switching on, other steps, new versions"), default=False
    )
    # people who get no campaign at all; drawn anew with each round, watched from the day of the last change on
    hold_out_percent = models.SmallIntegerField(_("Brand's hold-out group, per cent"), default=0)
    hold_out_round = models.SmallIntegerField(default=1)
    hold_out_since = models.DateTimeField(null=True, blank=True)
    # an order, or an answer, within so many days after a message was delivered is counted for the latest such message
    attribution_days = models.SmallIntegerField(_("Days in which an order counts for a message"), default=7)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand"], name="touch_policy_once")]


class Cap(TenantModel):
    """At most `n` touches of a contact in any `days` days of the brand's zone that follow each other; `kind` 0 counts
    every kind of touch, otherwise it is one of Touch.Kind."""

    days = models.SmallIntegerField(_("Days"))
    n = models.SmallIntegerField(_("Touches at most"))
    kind = models.SmallIntegerField(_("Kind"), default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand", "days", "kind"], name="cap_once")]


class NoContactRule(TenantModel):
    """免打扰规则: people with a tag or of a channel code, or everybody, are left alone, always or for some days."""

    name = models.CharField(_("Name"), max_length=40)
    tag = BrandForeignKey(Tag, on_delete=models.CASCADE, null=True, blank=True, related_name="+")
    channel_code_id = models.BigIntegerField(null=True, blank=True)  # livecodes.ChannelCode
    starts_on = models.DateField(_("From"), null=True, blank=True)
    ends_on = models.DateField(_("Until"), null=True, blank=True)  # that day included
    kinds = ArrayField(models.SmallIntegerField(), default=list)  # of Touch.Kind; empty: all
    created_by = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand", "name"], name="no_contact_name")]

    def __str__(self) -> str:
        return self.name


class Refusal(KeyedTenantModel):
    """A customer's wish to get no touches of a kind (Touch.Kind). All kinds at once is Contact.do_not_contact."""

    pk = models.CompositePrimaryKey("brand", "kind", "contact")
    kind = models.SmallIntegerField()
    contact = BrandForeignKey(Contact, on_delete=models.CASCADE, related_name="+")
    source = models.CharField(max_length=20)  # page, api, customer
    by = models.CharField(max_length=64, blank=True)
    at = models.DateTimeField(default=clock.now)

    class Meta:
        indexes = [models.Index(fields=["brand", "contact"], name="refusal_contact")]
