"""人群: groups of customers found by a condition or named one by one, and what they were at a moment."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from scrm import clock
from tenants.base import TenantModel
from tenants.fields import BrandForeignKey


class Segment(TenantModel):
    """人群包. A dynamic one is its condition; a list is the members of its version, put together or frozen."""

    class Kind(models.TextChoices):
        DYNAMIC = "dynamic", _("By conditions")
        LIST = "list", _("List")
        FROZEN = "frozen", _("Frozen")

    name = models.CharField(_("Name"), max_length=60)
    note = models.CharField(_("Note"), max_length=200, blank=True)
    kind = models.CharField(max_length=8, choices=Kind, default=Kind.DYNAMIC)
    condition = models.JSONField(null=True)  # of a dynamic one; of a frozen one what it was made from
    version_id = models.BigIntegerField(
        null=True
    )  # SegmentVersion: the members of a list, the newest picture of others
    n = models.BigIntegerField(null=True)  # members when they were last counted
    counted_at = models.DateTimeField(null=True)
    count_ms = models.IntegerField(null=True)  # how long that took
    error = models.CharField(max_length=200, blank=True)  # why it cannot be counted any more
    created_by = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(default=clock.now)
    changed_at = models.DateTimeField(default=clock.now)
    deleted_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["brand", "name"], name="segment_name", condition=models.Q(deleted_at=None)
            )
        ]
        indexes = [models.Index(fields=["brand", "-changed_at", "-id"], name="segment_newest")]

    def __str__(self) -> str:
        return self.name


class SegmentVersion(TenantModel):
    """Who was in a segment at a moment: a bitmap (Dim.SEGMENT, val = this id) beside the numbers.

    Bits are kept for a while (services/segments/snapshots.py), numbers for good.
    """

    segment = BrandForeignKey(Segment, on_delete=models.CASCADE, related_name="versions")
    at = models.DateTimeField(default=clock.now)
    n = models.BigIntegerField()
    n_entered = models.BigIntegerField(null=True)  # since the version before; empty of a first one
    n_left = models.BigIntegerField(null=True)
    has_bits = models.BooleanField(default=True)

    class Meta:
        indexes = [models.Index(fields=["brand", "segment", "-at"], name="segment_version_newest")]
