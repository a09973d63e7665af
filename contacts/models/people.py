"""客户: one person as one brand knows them, their identities, their guides, and everything that happened to
them."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext_lazy as _

from org.models import Corp, Scope, Staff
from scrm import clock
from tenants.base import KeyedTenantModel, TenantModel
from tenants.fields import BrandForeignKey


class BrandCounter(TenantModel):
    """Hands out numbers within a brand in blocks, in a short transaction of its own; gaps are allowed."""

    name = models.CharField(max_length=30)
    next_value = models.BigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand", "name"], name="counter_once")]


class ContactQuerySet(models.QuerySet["Contact"]):
    def reachable(self) -> "ContactQuerySet":
        """Contacts whom at least one staff member may message (未流失); a half add is not yet one.

        EXISTS, not a join: rows never multiply, so count() and slices stay right.
        """
        return self.filter(
            Exists(Follow.objects.filter(contact=OuterRef("pk"), ended_at=None, is_pending=False))
        )

    def visible_to(self, staff: Staff) -> "ContactQuerySet":
        """What the data scope of a person's role shows: the brand, or the customers of own region, store,
        self.

        Former customers of a guide stay visible to that guide: the loss is part of the story.
        """
        follows = visible_follows(staff)
        return self if follows is None else self.filter(Exists(follows.filter(contact=OuterRef("pk"))))


def visible_follows(staff: Staff) -> "models.QuerySet[Follow] | None":
    """The relations by which a person may see contacts; None: all of the brand."""
    if staff.sees_brand:
        return None
    follows = Follow.objects.all()
    if staff.scope == Scope.REGION and staff.region_id:
        own = Q(region=staff.region_id) | Q(store__region=staff.region_id)
    elif staff.scope == Scope.STORE and staff.store_id:
        own = Q(store=staff.store_id)
    else:
        return follows.filter(staff=staff.pk)
    return follows.filter(staff__in=Staff.objects.filter(own).values("pk"))


class Stage(TenantModel):
    """跟进阶段: how far the brand has come with a customer, by its own list of stages."""

    name = models.CharField(_("Name"), max_length=20)
    position = models.SmallIntegerField(default=0)
    archived_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand", "name"], name="stage_name")]

    def __str__(self) -> str:
        return self.name


class Contact(TenantModel):
    """客户: one person in one brand, whatever the number of channels; outside ids are rows of Identity."""

    class Kind(models.IntegerChoices):
        WECHAT = 1, _("WeChat")
        WECOM = 2, _("WeCom")

    position = models.BigIntegerField(
        editable=False
    )  # dense within the brand: the bit of this contact in every bitmap
    name = models.CharField(_("Name"), max_length=100, blank=True)
    avatar = models.CharField(max_length=500, blank=True)
    gender = models.SmallIntegerField(default=0)  # 0 unknown, 1 male, 2 female: WeCom's numbers
    kind = models.SmallIntegerField(choices=Kind, default=Kind.WECHAT)
    corp_name = models.CharField(max_length=100, blank=True)
    do_not_contact = models.BooleanField(_("Do not contact"), default=False)  # 不主动触达
    n_follows = models.IntegerField(
        default=0
    )  # guides who have this contact now, half adds not; services/follow.py
    added_at = models.DateTimeField(default=clock.now)  # first added
    lost_at = models.DateTimeField(null=True)  # when the last guide was lost; empty while n_follows > 0
    profile_at = models.DateTimeField(null=True)  # when name and unionid were last read from WeCom
    stage = BrandForeignKey(Stage, on_delete=models.PROTECT, null=True, related_name="+")
    stage_at = models.DateTimeField(null=True)
    # 会员: since when the person is one of the brand's own list of members; who is in no guide's list yet
    # waits, with phone and member number as identities
    member_at = models.DateTimeField(null=True)

    objects = ContactQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand", "position"], name="contact_position")]
        indexes = [
            models.Index(fields=["brand", "-added_at", "-id"], name="contact_newest"),
            models.Index(
                fields=["brand", "-lost_at", "-id"], name="contact_lost", condition=Q(lost_at__isnull=False)
            ),
            # the rare ones, which a walk through the newest would not find soon
            models.Index(
                fields=["brand", "-added_at", "-id"], name="contact_dnc", condition=Q(do_not_contact=True)
            ),
            models.Index(
                fields=["brand", "-added_at", "-id"],
                name="contact_asked",
                condition=Q(n_follows=0, lost_at__isnull=True, member_at__isnull=True),
            ),
            models.Index(
                fields=["brand", "-added_at", "-id"],
                name="contact_waiting",
                condition=Q(n_follows=0, lost_at__isnull=True, member_at__isnull=False),
            ),
            models.Index(
                fields=["brand", "stage", "-added_at", "-id"],
                name="contact_stage",
                condition=Q(stage__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def state(self) -> str:
        """reachable, lost, member (known from a list of members, no guide has them yet) or pending (asked to
        be added, no guide has confirmed yet)."""
        if self.n_follows or self.lost_at:
            return "reachable" if self.n_follows else "lost"
        return "member" if self.member_at else "pending"


class Identity(TenantModel):
    """身份: a (kind, scope, value) that belongs to one contact of the brand; scope is the corp or app it is
    valid in."""

    class Kind(models.TextChoices):
        UNIONID = "unionid", "unionid"
        EXTERNAL_USERID = "external_userid", "external_userid"
        OPENID = "openid", "openid"
        PHONE = "phone", _("Phone")
        MEMBER_NO = "member_no", _("Member number")

    # without a key in Postgres, as Follow: whoever writes an identity has made its contact or holds its row
    contact = BrandForeignKey(
        Contact, on_delete=models.CASCADE, related_name="identities", db_constraint=False
    )
    kind = models.CharField(max_length=16, choices=Kind)
    scope = models.CharField(
        max_length=64, blank=True
    )  # corpid or appid; empty where the value is unique by itself
    value = models.CharField(max_length=64)
    added_at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["brand", "kind", "scope", "value"], name="identity_once")
        ]
        indexes = [models.Index(fields=["brand", "contact"], name="identity_contact")]


class ContactGram(KeyedTenantModel):
    """Bigrams of names for the search: an index that row-level security lets Postgres use, unlike LIKE."""

    pk = models.CompositePrimaryKey("brand", "gram", "contact")
    gram = models.CharField(max_length=2)
    # derived, and five of a name: whoever ends a contact deletes them; a check of each by the database costs as much
    contact = BrandForeignKey(Contact, on_delete=models.CASCADE, related_name="+", db_constraint=False)

    class Meta:
        indexes = [models.Index(fields=["brand", "contact"], name="gram_contact")]


class Follow(TenantModel):
    """好友关系: contact × staff. One row for the pair; a customer who comes back opens the same row again."""

    class End(models.TextChoices):
        BY_CUSTOMER = "customer", _("Deleted by the customer")
        BY_STAFF = "staff", _("Deleted by the guide")
        TRANSFERRED = "transfer", _("Handed over")
        GONE = "gone", _("Not found in WeCom any more")

    # Without keys in Postgres, which would look at each row of a million: whoever writes a relation holds the row of its
    # contact (services/follow.py), staff is never deleted, and the guide's own key keeps the corp.
    contact = BrandForeignKey(Contact, on_delete=models.CASCADE, related_name="follows", db_constraint=False)
    staff = BrandForeignKey(Staff, on_delete=models.PROTECT, related_name="+", db_constraint=False)
    corp = BrandForeignKey(Corp, on_delete=models.PROTECT, related_name="+", db_constraint=False)
    external_userid = models.CharField(max_length=64)
    state = models.CharField(max_length=64, blank=True)  # WeCom's word for our channel string
    channel_code_id = models.BigIntegerField(null=True)  # livecodes.ChannelCode, an app below this one
    add_way = models.SmallIntegerField(default=0)
    remark = models.CharField(max_length=100, blank=True)
    description = models.CharField(max_length=200, blank=True)
    wecom_tag_ids = ArrayField(models.CharField(max_length=64), default=list)  # as WeCom last told us
    is_pending = models.BooleanField(default=False)  # half add: the guide has not confirmed yet
    added_at = models.DateTimeField()  # start of the present relation
    ended_at = models.DateTimeField(null=True)
    end_kind = models.CharField(max_length=10, choices=End, blank=True)
    changed_at = models.DateTimeField(
        default=clock.now
    )  # time of the newest fact applied: older events are ignored
    missing_in = models.BigIntegerField(null=True)  # the sync (org.Job) whose lists have not shown it

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["brand", "contact", "staff"], name="follow_once"),
            models.UniqueConstraint(fields=["brand", "staff", "external_userid"], name="follow_external"),
        ]
        indexes = [
            # what the contact list asks of a relation is in the index itself
            models.Index(
                fields=["brand", "staff", "-added_at"],
                include=["contact", "ended_at", "is_pending"],
                name="follow_staff",
            ),
            models.Index(
                fields=["brand", "channel_code_id", "-added_at"],
                include=["contact", "ended_at", "is_pending"],
                name="follow_code",
                condition=Q(channel_code_id__isnull=False),
            ),
            models.Index(fields=["brand", "-added_at"], name="follow_newest"),
            models.Index(
                fields=["brand", "-ended_at"], name="follow_ended", condition=Q(ended_at__isnull=False)
            ),
            models.Index(
                fields=["brand", "missing_in"], name="follow_missing", condition=Q(missing_in__isnull=False)
            ),
        ]


class SavedView(TenantModel):
    """A saved filter of the contact list, of one person or shared."""

    name = models.CharField(_("Name"), max_length=40)
    staff_id = models.BigIntegerField()
    is_shared = models.BooleanField(_("For everybody"), default=False)
    query = models.JSONField(default=dict)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand", "staff_id", "name"], name="saved_view_name")]
