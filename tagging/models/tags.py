"""标签: WeCom's corp tags mirrored, the platform's own beside them, and who carries them."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from contacts.models import Contact
from org.models import Corp
from scrm import clock
from tenants.base import KeyedTenantModel, TenantModel
from tenants.fields import BrandForeignKey


class Color(models.TextChoices):
    """Colours of chips, by the names of frontend/static/scrm.css."""

    BLUE = "blue", _("Blue")
    GREEN = "green", _("Green")
    AMBER = "amber", _("Amber")
    RED = "red", _("Red")
    VIOLET = "violet", _("Violet")
    TEAL = "teal", _("Teal")
    PINK = "pink", _("Pink")
    GREY = "grey", _("Grey")


class TagGroup(TenantModel):
    """标签组; with a corp it mirrors WeCom's group of that id, without one it is the platform's own."""

    corp = BrandForeignKey(Corp, on_delete=models.CASCADE, null=True, blank=True)
    wecom_id = models.CharField(max_length=64, blank=True)
    name = models.CharField(_("Name"), max_length=30)
    order = models.BigIntegerField(default=0)
    color = models.CharField(_("Colour"), max_length=8, choices=Color, default=Color.BLUE)
    deleted_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["brand", "corp", "wecom_id"], name="tag_group_wecom", condition=~models.Q(wecom_id="")
            )
        ]

    def __str__(self) -> str:
        return self.name


class Tag(TenantModel):
    """标签."""

    group = BrandForeignKey(TagGroup, on_delete=models.CASCADE, related_name="tags")
    wecom_id = models.CharField(max_length=64, blank=True)
    name = models.CharField(_("Name"), max_length=30)
    order = models.BigIntegerField(default=0)
    color = models.CharField(_("Colour"), max_length=8, choices=Color, blank=True)  # empty: the group's
    archived_at = models.DateTimeField(null=True)  # kept by who carries it, no longer offered
    deleted_at = models.DateTimeField(null=True)
    merged_into_id = models.BigIntegerField(null=True)  # deleted by a merge: the tag that took its place

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["brand", "group", "name"], name="tag_name", condition=models.Q(deleted_at=None)
            ),
            models.UniqueConstraint(
                fields=["brand", "group", "wecom_id"], name="tag_wecom", condition=~models.Q(wecom_id="")
            ),
        ]

    def __str__(self) -> str:
        return self.name


class ContactTag(KeyedTenantModel):
    """Who carries a tag, since when and why. The truth; bitmaps are derived from it.

    Without foreign keys in the database: with them a hundred thousand tags cost twice as much, and every page of the
    contacts is written for the locks. `changes.put_on` sees to it, and the nightly check of the bitmaps.
    """

    pk = models.CompositePrimaryKey("brand", "tag", "contact")
    tag = BrandForeignKey(Tag, on_delete=models.CASCADE, related_name="+", db_constraint=False)
    contact = BrandForeignKey(
        Contact, on_delete=models.CASCADE, related_name="contact_tags", db_constraint=False
    )
    source = models.CharField(max_length=40)  # channel_code:7, rule:3, wecom, page, api …
    staff_id = models.BigIntegerField(null=True)
    at = models.DateTimeField(default=clock.now)
    expires_at = models.DateTimeField(null=True)  # taken off by itself then
    act_id = models.BigIntegerField(null=True)  # TagAct that put it on, for undo

    class Meta:
        indexes = [
            models.Index(fields=["brand", "contact"], name="contact_tag_contact"),
            models.Index(
                fields=["brand", "expires_at"],
                name="contact_tag_due",
                condition=models.Q(expires_at__isnull=False),
            ),
        ]
