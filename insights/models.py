"""Numbers: roll-ups that can be rebuilt from facts. Reads every app; no app reads it."""

from django.db import models

from tenants.base import TenantModel


class DailyFigure(TenantModel):
    """Adds and losses of one day (the brand's date), by channel code and guide; 0 stands for 'none'.

    Counts relations, not people: somebody who adds two guides is added twice. A hand-over to another guide is
    neither.
    """

    on = models.DateField()
    code_id = models.BigIntegerField(default=0)
    staff_id = models.BigIntegerField(default=0)
    n_added = models.IntegerField(default=0)  # new relations: ADDED and ADDED_AGAIN
    n_lost_by_customer = models.IntegerField(default=0)
    n_lost_by_staff = models.IntegerField(default=0)
    n_gone = models.IntegerField(default=0)  # lost, and WeCom never told us how: found by the sync

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["brand", "on", "code_id", "staff_id"], name="daily_figure_once")
        ]
