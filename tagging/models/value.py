"""客户价值: how a brand scores its customers, its lifecycle stages, and the picture of each day."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from scrm import clock
from tenants.base import KeyedTenantModel, TenantModel


class ValueGroup(models.IntegerChoices):
    """The four groups operators speak of; ContactStat.value_group. Numbers are stored: never renumber."""

    LOYAL = 1, _("Loyal")
    GOOD = 2, _("Good")
    ORDINARY = 3, _("Ordinary")
    LOST = 4, _("Lost")


class ValueSetting(TenantModel):
    """One row per brand: how R, F and M are cut and weighed, what makes a group, and the fitted model.

    `r_cuts` are days since the last order (rising), `f_cuts` orders, `m_cuts` fen: four each. With quintiles they are
    what the last recompute found.
    """

    class Method(models.TextChoices):
        QUINTILES = "quintiles", _("Fifths of the brand's own buyers")
        CUTS = "cuts", _("Cuts of our own")

    method = models.CharField(_("How it is cut"), max_length=9, choices=Method, default=Method.QUINTILES)
    r_cuts = ArrayField(models.IntegerField(), default=list)
    f_cuts = ArrayField(models.IntegerField(), default=list)
    m_cuts = ArrayField(models.BigIntegerField(), default=list)
    r_weight = models.SmallIntegerField(_("Weight of recency"), default=40)
    f_weight = models.SmallIntegerField(_("Weight of frequency"), default=30)
    m_weight = models.SmallIntegerField(_("Weight of money"), default=30)
    loyal_score = models.SmallIntegerField(_("Loyal from a score of"), default=75)
    good_score = models.SmallIntegerField(_("Good from a score of"), default=50)
    lost_days = models.IntegerField(_("Lost after days without an order"), default=180)
    # purchasing and spending of tagging/lifetime.py; empty: too little history
    model = models.JSONField(default=dict)
    fitted_at = models.DateTimeField(null=True)
    fit_error = models.CharField(max_length=200, blank=True)
    computed_at = models.DateTimeField(null=True)
    compute_ms = models.IntegerField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand"], name="value_setting_once")]


class LifecycleStage(TenantModel):
    """生命周期阶段. Who is in it: the first stage by `position` whose condition holds; the last one takes everybody."""

    number = models.SmallIntegerField()  # ContactStat.lifecycle; never given twice within a brand
    name = models.CharField(_("Name"), max_length=30)
    position = models.SmallIntegerField()
    condition = models.JSONField()  # of tagging/conditions
    color = models.CharField(max_length=10, default="blue")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["brand", "name"], name="lifecycle_name"),
            models.UniqueConstraint(fields=["brand", "number"], name="lifecycle_number"),
        ]

    def __str__(self) -> str:
        return self.name


class LifecycleFlow(KeyedTenantModel):
    """How many went from one stage to another on a day of the brand's zone; `from_stage` = `to_stage`: how many were
    there at its end. 0 is no stage yet."""

    pk = models.CompositePrimaryKey("brand", "on", "from_stage", "to_stage")
    on = models.DateField()
    from_stage = models.SmallIntegerField()  # LifecycleStage.number
    to_stage = models.SmallIntegerField()
    n = models.BigIntegerField()
    at = models.DateTimeField(default=clock.now)
