"""海报: a background with places for a code, names and words."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from content.models.links import TrackedLink
from scrm import clock
from tenants.base import TenantModel
from tenants.fields import BrandForeignKey
from wecom.models import MediaFile


class Poster(TenantModel):
    """A template. `layout`: {"parts": [{"kind", "x", "y", "w", …}]}, in pixels of the background (services/posters.py)."""

    name = models.CharField(_("Name"), max_length=60)
    background = BrandForeignKey(
        MediaFile, on_delete=models.PROTECT, related_name="+", verbose_name=_("Background")
    )
    link = BrandForeignKey(
        TrackedLink,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("The code leads to"),
    )  # none: it shows no code of a link, but a channel code
    width = models.IntegerField(editable=False)
    height = models.IntegerField(editable=False)
    layout = models.JSONField(default=dict)
    created_by = models.CharField(max_length=64, blank=True, editable=False)
    created_at = models.DateTimeField(default=clock.now, editable=False)
    changed_at = models.DateTimeField(default=clock.now, editable=False)
    archived_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        indexes = [models.Index(fields=["brand", "-id"], name="poster_newest")]

    def __str__(self) -> str:
        return self.name
