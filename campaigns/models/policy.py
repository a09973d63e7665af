"""频控: what the brand allows."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from tenants.base import TenantModel


class TouchPolicy(TenantModel):
    """频控: one row per brand; at most `cap_n` touches per contact in `cap_days` days, the welcome not
    counted."""

    cap_n = models.IntegerField(_("Touches at most"), default=4)
    cap_days = models.IntegerField(_("in days"), default=7)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand"], name="touch_policy_once")]
