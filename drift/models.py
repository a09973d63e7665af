"""对账: what differs between our mirror and WeCom, run by run, and what was done about it."""

from datetime import time

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from org.models import Corp
from scrm import clock
from tenants.base import TenantModel
from tenants.fields import BrandForeignKey


class DriftRun(TenantModel):
    """One comparison of a corp with WeCom; its progress is a job (org.Job)."""

    corp = BrandForeignKey(Corp, on_delete=models.CASCADE, related_name="+")
    job_id = models.BigIntegerField(null=True)
    by = models.CharField(max_length=64, blank=True)  # "system" at night
    started_at = models.DateTimeField(default=clock.now)
    ended_at = models.DateTimeField(null=True)
    n_compared = models.BigIntegerField(default=0)  # things of WeCom that were looked at
    n_found = models.IntegerField(default=0)
    n_repaired = models.IntegerField(default=0)  # by itself, in this run
    n_settled = models.IntegerField(default=0)  # open before, and not there any more
    counts = models.JSONField(default=dict)  # kind → {"found": n, "repaired": n}
    n_suspicious = models.IntegerField(default=0)  # so many missing at once that nothing was ended
    n_skipped = models.IntegerField(default=0)  # guides whom WeCom would not show
    note = models.CharField(max_length=300, blank=True)  # why groups were left out: WeCom's words

    class Meta:
        indexes = [models.Index(fields=["brand", "-id"], name="drift_run_newest")]


class Difference(TenantModel):
    """差异: one thing that was not here as it is in WeCom. One open row for a thing and kind, however often it is seen."""

    class State(models.TextChoices):
        OPEN = "open", _("Open")
        QUEUED = "queued", _("Being repaired")
        IGNORED = "ignored", _("Left as it is")
        REPAIRED = "repaired", _("Repaired")
        SETTLED = "settled", _("Gone by itself")

    run = BrandForeignKey(DriftRun, on_delete=models.CASCADE, null=True, related_name="differences")
    last_run_id = models.BigIntegerField(null=True)  # the newest run that saw it
    corp = BrandForeignKey(Corp, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=24)  # drift/kinds.py
    key = models.CharField(max_length=140)  # what the thing is called, within its kind: userid, tag id …
    title = models.CharField(max_length=120, blank=True)  # its name, for people
    contact_id = models.BigIntegerField(null=True)
    staff_id = models.BigIntegerField(null=True)
    object_id = models.BigIntegerField(null=True)  # channel code, tag, department …, by kind
    ours = models.JSONField(default=dict)  # as it was here when it was found
    theirs = models.JSONField(default=dict)  # as WeCom said
    state = models.CharField(max_length=10, choices=State, default=State.OPEN)
    note = models.CharField(max_length=300, blank=True)  # why a repair failed
    found_at = models.DateTimeField(default=clock.now)
    closed_at = models.DateTimeField(null=True)
    closed_by = models.CharField(max_length=64, blank=True)  # who repaired or ignored it

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["brand", "corp", "kind", "key"],
                name="difference_once",
                condition=Q(state__in=["open", "queued", "ignored"]),
            )
        ]
        indexes = [
            models.Index(fields=["brand", "state", "kind", "-id"], name="difference_state"),
            models.Index(fields=["brand", "run", "-id"], name="difference_run"),
            models.Index(fields=["brand", "contact_id"], name="difference_contact"),
        ]


class DriftSettings(TenantModel):
    """What a brand wants of its reconciliation; one row."""

    is_nightly = models.BooleanField(_("Every night"), default=True)
    at = models.TimeField(_("At"), default=time(3, 30))  # in the brand's zone
    auto = ArrayField(
        models.CharField(max_length=24), null=True
    )  # kinds repaired by themselves; null: as shipped

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand"], name="drift_settings_once")]
