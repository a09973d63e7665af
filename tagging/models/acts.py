"""Acts on many tags at once and how to take them back; tags that wait for their person."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from contacts.models import Contact
from scrm import clock
from tagging.models.bits import BitsField
from tagging.models.tags import Tag
from tenants.base import KeyedTenantModel, TenantModel
from tenants.fields import BrandForeignKey


class TagAct(TenantModel):
    """标签操作: one act on the tags of many people (a selection, a segment, a file, a rule's run, a merge), which
    can be taken back exactly: what it put on carries its id, what it took off or changed lies in TagBefore."""

    class Kind(models.TextChoices):
        SELECTION = "selection", _("Selected people")
        FILTER = "filter", _("Everybody of a filter")
        SEGMENT = "segment", _("Everybody of a segment")
        FILE = "file", _("People of a file")
        API = "api", _("API")
        RULE = "rule", _("Automatic rule")
        COMPUTED = "computed", _("Computed tag")
        MERGE = "merge", _("Merge of two tags")

    kind = models.CharField(max_length=10, choices=Kind)
    title = models.CharField(max_length=120)
    by = models.CharField(max_length=64)
    staff_id = models.BigIntegerField(null=True)
    owner_id = models.BigIntegerField(null=True)  # TagRule or ComputedTag, by kind
    day = models.DateField(null=True)  # acts of rules on events and of computed tags: one for each day
    job_id = models.BigIntegerField(null=True)
    add_tag_ids = ArrayField(models.BigIntegerField(), default=list)
    remove_tag_ids = ArrayField(models.BigIntegerField(), default=list)
    expires_at = models.DateTimeField(null=True)
    at = models.DateTimeField(default=clock.now)
    n_people = models.BigIntegerField(default=0)  # whom it looked at
    n_added = models.BigIntegerField(default=0)
    n_removed = models.BigIntegerField(default=0)
    n_waiting = models.BigIntegerField(default=0)  # identities without a contact yet
    undone_at = models.DateTimeField(null=True)
    undone_by = models.CharField(max_length=64, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["brand", "kind", "owner_id", "day"],
                name="tag_act_day",
                condition=models.Q(day__isnull=False, undone_at=None),
                nulls_distinct=False,
            )
        ]
        indexes = [
            models.Index(fields=["brand", "-at", "-id"], name="tag_act_newest"),
            models.Index(
                fields=["brand", "kind", "owner_id", "-id"],
                name="tag_act_owner",
                condition=models.Q(owner_id__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return self.title


class TagBefore(KeyedTenantModel):
    """How a row of ContactTag was before an act took it off or changed it."""

    pk = models.CompositePrimaryKey("brand", "act_id", "tag_id", "contact")
    act_id = models.BigIntegerField()
    tag_id = models.BigIntegerField()
    contact = BrandForeignKey(Contact, on_delete=models.CASCADE, related_name="+")
    source = models.CharField(max_length=40)
    staff_id = models.BigIntegerField(null=True)
    at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True)
    before_act_id = models.BigIntegerField(null=True)

    class Meta:
        indexes = [models.Index(fields=["brand", "contact"], name="tag_before_contact")]


class TagTarget(KeyedTenantModel):
    """The people of a long act, fixed when it began: one bit for each position, as in bitmaps."""

    class Side(models.IntegerChoices):
        IN = 0  # they get what the act adds, and lose what it removes
        OUT = 1  # a rule's condition is true of them no more: they lose what the rule had added

    pk = models.CompositePrimaryKey("brand", "act_id", "side", "chunk")
    act_id = models.BigIntegerField()
    side = models.SmallIntegerField(choices=Side, default=Side.IN)
    chunk = models.IntegerField()
    n = models.IntegerField()
    bits = BitsField()


class WaitingTag(TenantModel):
    """待生效标签: a tag for somebody who is known by a phone, member number or unionid only; it is put on when the
    identity gets a contact."""

    kind = models.CharField(max_length=16)  # contacts.Identity.Kind
    scope = models.CharField(max_length=64, blank=True)
    value = models.CharField(max_length=64)
    tag = BrandForeignKey(Tag, on_delete=models.CASCADE, related_name="+")
    source = models.CharField(max_length=40)
    staff_id = models.BigIntegerField(null=True)
    act_id = models.BigIntegerField(null=True)
    at = models.DateTimeField(default=clock.now)
    expires_at = models.DateTimeField(null=True)  # not worth putting on any more after this

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["brand", "kind", "scope", "value", "tag"], name="waiting_tag_once"
            )
        ]
        indexes = [
            models.Index(fields=["brand", "tag"], name="waiting_tag_tag"),
            models.Index(fields=["brand", "-id"], name="waiting_tag_newest"),
        ]
