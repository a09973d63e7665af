"""Tags that come and go by themselves: automatic rules, computed tags."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from contacts.models import CustomField
from scrm import clock
from tagging.models.bits import BitsField
from tagging.models.tags import TagGroup
from tenants.base import KeyedTenantModel, TenantModel
from tenants.fields import BrandForeignKey


class TagRule(TenantModel):
    """自动标签规则: when something happens to people, or becomes true of them, they get tags or lose them."""

    class Kind(models.TextChoices):
        EVENT = "event", _("When something happens")
        CONDITION = "condition", _("When something becomes true")

    name = models.CharField(_("Name"), max_length=60)
    kind = models.CharField(max_length=10, choices=Kind)
    position = models.IntegerField(default=0)  # order of running; the later rule has the last word
    is_on = models.BooleanField(default=False)
    on_since = models.DateTimeField(null=True)  # what happened before does not count
    # kind event: tagging/rule_events.py
    event = models.CharField(max_length=30, blank=True)
    filters = models.JSONField(default=dict)
    window_days = models.SmallIntegerField(null=True)  # thresholds count within so many days up to the event
    n_at_least = models.IntegerField(default=1)
    amount_at_least_fen = models.BigIntegerField(null=True)
    # kind condition: tagging/conditions.py; of kind event: who besides
    condition = models.JSONField(null=True)
    keeps_in_step = models.BooleanField(default=False)  # kind condition: taken off when it is true no more
    add_tag_ids = ArrayField(models.BigIntegerField(), default=list)
    remove_tag_ids = ArrayField(models.BigIntegerField(), default=list)
    expires_days = models.SmallIntegerField(null=True)
    confirmed_by = models.CharField(
        max_length=64, blank=True
    )  # who said yes to a rule for (nearly) everybody
    run_at = models.DateTimeField(null=True)  # kind condition: last run over everybody
    problem = models.CharField(max_length=200, blank=True)  # why it cannot run
    deleted_at = models.DateTimeField(null=True)
    created_by = models.CharField(max_length=64)
    created_at = models.DateTimeField(default=clock.now)
    updated_at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["brand", "name"], name="tag_rule_name", condition=models.Q(deleted_at=None)
            )
        ]

    def __str__(self) -> str:
        return self.name


class TagRuleBits(KeyedTenantModel):
    """For whom a rule's condition was true when it was last asked: who comes new is tagged, who was tagged before and
    lost the tag by hand is left alone."""

    pk = models.CompositePrimaryKey("brand", "rule_id", "chunk")
    rule_id = models.BigIntegerField()
    chunk = models.IntegerField()
    bits = BitsField()


class ComputedTag(TenantModel):
    """动态标签: a set of tags of which everybody has the one whose bracket holds a number of theirs (months since joining,
    the age of a baby); it moves by itself."""

    class Measure(models.TextChoices):
        MONTHS_JOINED = "months_joined", _("Months since joining")
        DAYS_JOINED = "days_joined", _("Days since joining")
        DAYS_SINCE_ORDER = "days_since_order", _("Days since the last order")
        N_ORDERS = "n_orders", _("Number of orders")
        SPENT_FEN = "spent_fen", _("Money spent")
        AGE_MONTHS = "age_months", _("Age in months (from a date field)")
        AGE_YEARS = "age_years", _("Age in years (from a date field)")
        DAYS_UNTIL = "days_until", _("Days until the next anniversary (of a date field)")
        NUMBER = "number", _("A number field")

    name = models.CharField(_("Name"), max_length=30)
    measure = models.CharField(max_length=20, choices=Measure)
    field = BrandForeignKey(CustomField, on_delete=models.PROTECT, null=True, related_name="+")
    group = BrandForeignKey(TagGroup, on_delete=models.PROTECT, related_name="+")
    # [{"from": 0, "to": 6, "tag_id": 1}, …]: from ≤ value < to, either may be null; {"none": true, "tag_id"} for
    # those without a value
    brackets = models.JSONField(default=list)
    is_on = models.BooleanField(default=False)
    run_at = models.DateTimeField(null=True)
    run_on = models.DateField(null=True)  # the brand's date of the last complete run
    deleted_at = models.DateTimeField(null=True)
    created_by = models.CharField(max_length=64)
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["brand", "name"], name="computed_tag_name", condition=models.Q(deleted_at=None)
            )
        ]

    def __str__(self) -> str:
        return self.name
