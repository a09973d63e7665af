"""敏感词 at WeCom: rules by which WeCom itself stops or warns members who write such words to customers."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from org.models import Corp
from scrm import clock
from tenants.base import TenantModel
from tenants.fields import BrandForeignKey


class InterceptRule(TenantModel):
    """A rule as WeCom has it; made, changed and deleted there first (services/intercepts.py)."""

    class Act(models.IntegerChoices):
        """WeCom's numbers."""

        STOP = 1, _("Not sent, the member is told")
        WARN = 2, _("The member is warned, may send it")

    class Semantic(models.IntegerChoices):
        """What WeCom finds without words; its numbers."""

        PHONE = 1, _("Phone numbers")
        EMAIL = 2, _("E-mail addresses")
        RED_PACKET = 3, _("Red packets")

    corp = BrandForeignKey(Corp, on_delete=models.CASCADE, related_name="+")
    rule_id = models.CharField(max_length=64)
    name = models.CharField(_("Name"), max_length=60)
    words = ArrayField(models.CharField(max_length=64), default=list)
    semantics = ArrayField(models.SmallIntegerField(), default=list)
    act = models.SmallIntegerField(_("What WeCom does"), choices=Act, default=Act.STOP)
    userids = ArrayField(models.CharField(max_length=64), default=list)  # small letters, as Staff has them
    department_ids = ArrayField(models.BigIntegerField(), default=list)  # WeCom's numbers
    made_at = models.DateTimeField(null=True)  # by WeCom's clock
    changed_by = models.CharField(max_length=64, blank=True)  # empty: not from here
    changed_at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["brand", "corp", "rule_id"], name="intercept_rule_once")
        ]

    def __str__(self) -> str:
        return self.name


class InterceptReading(TenantModel):
    """When the rules of a corp were last read from WeCom."""

    corp = BrandForeignKey(Corp, on_delete=models.CASCADE, related_name="+")
    read_at = models.DateTimeField(default=clock.now)
    error = models.CharField(max_length=300, blank=True)  # why they could not be read; empty: they were

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand", "corp"], name="intercept_reading_once")]
