"""A brand's own people and places, its WeCom corps, its keys, its audit log and its long jobs."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from scrm import clock
from scrm.secrets import SecretField
from tenants.base import TenantModel
from tenants.fields import BrandForeignKey


class Region(TenantModel):
    """区域: a group of stores."""

    name = models.CharField(_("Name"), max_length=60)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand", "name"], name="region_name")]

    def __str__(self) -> str:
        return self.name


class Store(TenantModel):
    """门店."""

    name = models.CharField(_("Name"), max_length=60)
    region = BrandForeignKey(
        Region, on_delete=models.PROTECT, null=True, blank=True, verbose_name=_("Region")
    )
    code = models.CharField(_("Store number"), max_length=30, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand", "name"], name="store_name")]

    def __str__(self) -> str:
        return self.name


class Scope(models.TextChoices):
    """数据范围: whose customers a role sees."""

    BRAND = "brand", _("Whole brand")
    REGION = "region", _("Own region")
    STORE = "store", _("Own store")
    OWN = "own", _("Own customers")


class Role(TenantModel):
    """角色: a set of rights (`contacts.view` …, see org/access.py) and a data scope."""

    name = models.CharField(_("Name"), max_length=40)
    rights = ArrayField(models.CharField(max_length=40), default=list, verbose_name=_("Rights"))
    scope = models.CharField(_("Data scope"), max_length=10, choices=Scope, default=Scope.OWN)
    is_preset = models.BooleanField(default=False, editable=False)
    preset_key = models.CharField(max_length=10, blank=True, editable=False)  # of org/access.py: PRESETS
    # rights that the product had when a person or a new version last went over this role
    rights_known = ArrayField(models.CharField(max_length=40), default=list, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand", "name"], name="role_name")]

    def __str__(self) -> str:
        return self.name


class Corp(TenantModel):
    """企业: a WeCom corp with the self-built app through which this brand talks to it. Corp ids are unique
    over all brands through `BrandLookup`; secrets are encrypted and never shown again."""

    class AppState(models.TextChoices):
        WARNED = "warned", _("WeCom warns: hardly used")
        ASLEEP = "asleep", _("Put to sleep by WeCom")

    name = models.CharField(_("Name"), max_length=60)
    corpid = models.CharField(_("Corp ID"), max_length=64)
    agent_id = models.IntegerField(_("App AgentId"))
    secret = SecretField(_("App secret"))
    callback_token = SecretField(_("Callback token"))
    callback_aes_key = SecretField(_("Callback EncodingAESKey"))
    callback_path = models.CharField(
        max_length=40, editable=False
    )  # random; finds brand and corp of a callback
    checks = models.JSONField(default=list, editable=False)  # last answers of the set-up doctor
    checked_at = models.DateTimeField(null=True, editable=False)
    synced_at = models.DateTimeField(null=True, editable=False)
    # what WeCom has told of the app, and when; pages say it, since a sleeping app cannot (wecom/services/dormancy.py)
    app_state = models.CharField(max_length=8, choices=AppState, default="", blank=True, editable=False)
    app_state_at = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(default=clock.now, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand", "corpid"], name="corp_once")]

    def __str__(self) -> str:
        return self.name

    def as_audit(self) -> dict:
        """The fields that an audit entry may hold: no secrets."""
        return {"name": self.name, "corpid": self.corpid, "agent_id": self.agent_id}


class Department(TenantModel):
    """部门, mirrored from WeCom."""

    corp = BrandForeignKey(Corp, on_delete=models.CASCADE)
    wecom_id = models.BigIntegerField()
    name = models.CharField(max_length=64)
    parent_wecom_id = models.BigIntegerField(default=0)
    order = models.BigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand", "corp", "wecom_id"], name="department_once")]


class StaffQuerySet(models.QuerySet["Staff"]):
    def guides(self) -> "StaffQuerySet":
        """Staff who serve customers and are not gone."""
        return self.filter(is_guide=True, state=Staff.State.ACTIVE)

    def with_right(self, right: str) -> "StaffQuerySet":
        """Members of WeCom whose role has a right, for whatever part of the brand; with their corp."""
        people = self.filter(state=Staff.State.ACTIVE, role__rights__contains=[right]).exclude(userid="")
        return people.select_related("corp").order_by("pk")

    def visible_to(self, staff: "Staff") -> "StaffQuerySet":
        """Colleagues whom the data scope of a person's role shows: all, own region, own store, oneself."""
        if staff.sees_brand:
            return self
        if staff.scope == Scope.REGION and staff.region_id:
            return self.filter(
                models.Q(region=staff.region_id)
                | models.Q(store__region=staff.region_id)
                | models.Q(pk=staff.pk)
            )
        if staff.scope == Scope.STORE and staff.store_id:
            return self.filter(models.Q(store=staff.store_id) | models.Q(pk=staff.pk))
        return self.filter(pk=staff.pk)


class Staff(TenantModel):
    """员工: a WeCom member of the brand, or a person who only uses the dashboard; may be both.

    `role` and `user_id` are empty for a member who has never signed in.
    """

    class State(models.TextChoices):
        ACTIVE = "active", _("Active")
        DISABLED = "disabled", _("Disabled")
        LEFT = "left", _("Left")

    name = models.CharField(_("Name"), max_length=64)
    corp = BrandForeignKey(Corp, on_delete=models.PROTECT, null=True, blank=True)
    userid = models.CharField(max_length=64, blank=True)  # WeCom's, lower case: unique without regard to case
    department_ids = ArrayField(models.BigIntegerField(), default=list)  # WeCom's ids
    position = models.CharField(_("Position"), max_length=64, blank=True)
    avatar = models.URLField(max_length=500, blank=True)
    leader_userid = models.CharField(max_length=64, blank=True)  # the guide's manager, for alerts
    is_guide = models.BooleanField(_("Serves customers"), default=False)  # has WeCom's customer-contact right
    store = BrandForeignKey(Store, on_delete=models.PROTECT, null=True, blank=True, verbose_name=_("Store"))
    region = BrandForeignKey(
        Region, on_delete=models.PROTECT, null=True, blank=True, verbose_name=_("Region")
    )
    role = BrandForeignKey(Role, on_delete=models.PROTECT, null=True, blank=True, verbose_name=_("Role"))
    user_id = models.BigIntegerField(null=True, editable=False)  # tenants.User
    state = models.CharField(_("State"), max_length=10, choices=State, default=State.ACTIVE)
    created_at = models.DateTimeField(default=clock.now, editable=False)

    objects = StaffQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["brand", "corp", "userid"], name="staff_userid", condition=~models.Q(userid="")
            ),
            models.UniqueConstraint(fields=["brand", "user_id"], name="staff_user"),
        ]
        indexes = [
            models.Index(fields=["brand", "store"], name="staff_store"),
            models.Index(fields=["brand", "region"], name="staff_region"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def scope(self) -> str:
        """The data scope of the role; without a role the own customers."""
        return self.role.scope if self.role else Scope.OWN

    @property
    def sees_brand(self) -> bool:
        return self.scope == Scope.BRAND

    def can(self, right: str) -> bool:
        """Whether the role of this person holds a right such as `contacts.view`."""
        return self.role is not None and self.state == self.State.ACTIVE and right in self.role.rights


class AuditEntry(TenantModel):
    """Who changed what, with the values before and after; append only, written by services."""

    at = models.DateTimeField(default=clock.now)
    user_id = models.BigIntegerField(null=True)
    actor = models.CharField(max_length=64)  # the name at that time; "system", "api: <key>"
    action = models.CharField(max_length=40)  # e.g. code.edit
    object_type = models.CharField(max_length=40)
    object_id = models.BigIntegerField(null=True)
    object_name = models.CharField(max_length=100, blank=True)
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)

    class Meta:
        indexes = [
            models.Index(fields=["brand", "-at", "-id"], name="audit_newest"),
            models.Index(fields=["brand", "object_type", "object_id"], name="audit_object"),
        ]


class ApiKey(TenantModel):
    """A brand's key for the REST API: only a hash is kept; `rights` are its scopes."""

    name = models.CharField(_("Name"), max_length=60)
    prefix = models.CharField(max_length=16, editable=False)
    digest = models.CharField(max_length=64, editable=False)  # sha256 of the whole key
    rights = ArrayField(models.CharField(max_length=40), default=list, verbose_name=_("Rights"))
    created_by = models.CharField(max_length=64, editable=False)
    created_at = models.DateTimeField(default=clock.now, editable=False)
    used_on = models.DateField(null=True, editable=False)
    revoked_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand", "prefix"], name="api_key_prefix")]


class Job(TenantModel):
    """A long piece of work: a row with a position that each step commits together with its effect.

    It can be watched, paused, cancelled and resumed; a step reads `state` first. `kind` finds its function in
    `org/services/jobs.py: KINDS`.
    """

    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        RUNNING = "running", _("Running")
        PAUSED = "paused", _("Paused")
        DONE = "done", _("Done")
        FAILED = "failed", _("Failed")
        CANCELLED = "cancelled", _("Cancelled")

    kind = models.CharField(max_length=40)
    title = models.CharField(max_length=120)
    params = models.JSONField(default=dict)
    position = models.JSONField(default=dict)
    result = models.JSONField(default=dict)
    stage = models.CharField(max_length=60, blank=True)
    n_done = models.BigIntegerField(default=0)
    n_total = models.BigIntegerField(null=True)
    n_bad = models.BigIntegerField(default=0)
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    error = models.CharField(max_length=500, blank=True)
    created_by = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(default=clock.now)
    started_at = models.DateTimeField(null=True)
    beat_at = models.DateTimeField(null=True)  # lease: a running job whose beat is old is taken up again
    ended_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["brand", "kind", "-created_at"], name="job_kind")]
        constraints = [
            # one live job of a kind for one subject (params.key): a double click starts nothing twice
            models.UniqueConstraint(
                models.F("brand"),
                models.F("kind"),
                models.F("title"),
                name="job_live",
                condition=models.Q(state__in=["waiting", "running", "paused"]),
            )
        ]

    @property
    def is_live(self) -> bool:
        return self.state in (self.State.WAITING, self.State.RUNNING, self.State.PAUSED)
