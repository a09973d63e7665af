"""渠道活码: a QR code that spreads customers over guides and knows where they came from."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from campaigns.models import Sop
from org.models import Corp, Staff, Store
from scrm import clock
from tagging.models import Tag
from tenants.base import TenantModel
from tenants.fields import BrandForeignKey


class ChannelCodeQuerySet(models.QuerySet["ChannelCode"]):
    def live(self) -> "ChannelCodeQuerySet":
        return self.filter(deleted_at=None)


class ChannelCode(TenantModel):
    """渠道活码, or a link of 获客助手 that does the same without a picture. What WeCom has behind it (a contact
    way, an acquisition link: services/doors.py) holds only a list of users; weights, limits and hours are kept by
    rewriting that list (services/rotation.py)."""

    class Kind(models.TextChoices):
        CODE = "code", _("QR code")
        LINK = "link", _("Acquisition link")

    class Strategy(models.TextChoices):
        IN_TURN = "in_turn", _("In turn")
        WEIGHTED = "weighted", _("By weight")
        LEAST_LOADED = "least_loaded", _("Fewest customers today first")
        QUALITY = "quality", _("More to guides who keep their customers")

    class Sync(models.TextChoices):
        WAITING = "waiting", _("Being made in WeCom")
        OK = "ok", _("Live")
        FAILED = "failed", _("WeCom refused it")

    corp = BrandForeignKey(Corp, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=4, choices=Kind, default=Kind.CODE, editable=False)
    name = models.CharField(_("Name"), max_length=60)
    place = models.CharField(_("Where it hangs"), max_length=60, blank=True)
    state = models.CharField(max_length=30, editable=False)  # WeCom's `state`: comes back in the add event
    config_id = models.CharField(max_length=64, blank=True, editable=False)  # of a link its link_id
    qr_url = models.CharField(
        max_length=500, blank=True, editable=False
    )  # picture, or the link's own address
    strategy = models.CharField(
        _("How guides are chosen"), max_length=12, choices=Strategy, default=Strategy.IN_TURN
    )
    skip_verify = models.BooleanField(_("Added without the guide's confirmation"), default=True)
    remark = models.CharField(
        _("Remark put on the customer"), max_length=20, blank=True
    )  # {客户昵称} allowed
    cost_fen = models.BigIntegerField(_("Cost"), default=0)
    store = BrandForeignKey(
        Store, on_delete=models.PROTECT, null=True, blank=True, verbose_name=_("Store"), related_name="+"
    )
    owner = BrandForeignKey(
        Staff, on_delete=models.PROTECT, null=True, blank=True, verbose_name=_("Owner"), related_name="+"
    )
    sop = BrandForeignKey(
        Sop, on_delete=models.PROTECT, null=True, blank=True, verbose_name="SOP", related_name="+"
    )
    current_userids = ArrayField(
        models.CharField(max_length=64), default=list, editable=False
    )  # list WeCom has now
    sync_state = models.CharField(max_length=8, choices=Sync, default=Sync.WAITING, editable=False)
    sync_error = models.CharField(max_length=300, blank=True, editable=False)
    asked_at = models.DateTimeField(
        null=True, editable=False
    )  # WeCom was asked to make it and the answer is not known
    claimed_at = models.DateTimeField(
        null=True, editable=False
    )  # a process is talking to WeCom about this code
    due_at = models.DateTimeField(
        null=True, editable=False
    )  # when the tick looks next: retry, lost process, change of duty
    n_tries = models.IntegerField(default=0, editable=False)
    created_by = models.CharField(max_length=64, blank=True, editable=False)
    created_at = models.DateTimeField(default=clock.now, editable=False)
    deleted_at = models.DateTimeField(null=True, editable=False)

    objects = ChannelCodeQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand", "state"], name="channel_code_state")]
        indexes = [
            models.Index(
                fields=["brand", "-id"], name="channel_code_newest", condition=models.Q(deleted_at=None)
            ),
            models.Index(
                fields=["brand", "due_at"], name="channel_code_due", condition=models.Q(due_at__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return self.name


class LinkDay(TenantModel):
    """WeCom's own figures of a link on a day (Asia/Shanghai): who opened it, who of them is a new customer."""

    code = BrandForeignKey(ChannelCode, on_delete=models.CASCADE, related_name="+")
    on = models.DateField()
    n_clicks = models.IntegerField()
    n_new = models.IntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand", "code", "on"], name="link_day_once")]


class LinkCustomer(TenantModel):
    """A customer whom WeCom lists for a link; `state` is empty for who opened it without our channel."""

    class Chat(models.IntegerChoices):
        """WeCom's numbers."""

        SILENT = 0, _("Has not written")
        WROTE = 1, _("Has written")
        UNKNOWN = 2, _("Unknown")

    code = BrandForeignKey(ChannelCode, on_delete=models.CASCADE, related_name="+")
    staff = BrandForeignKey(Staff, on_delete=models.PROTECT, related_name="+")
    external_userid = models.CharField(max_length=64)
    state = models.CharField(max_length=64, blank=True)
    chat = models.SmallIntegerField(choices=Chat, default=Chat.UNKNOWN)
    seen_at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["brand", "code", "external_userid", "staff"], name="link_customer_once"
            )
        ]
        indexes = [models.Index(fields=["brand", "staff", "external_userid"], name="link_customer_who")]


class AcquisitionQuota(TenantModel):
    """获客助手: what a corp has left for new customers through its links, as WeCom last said."""

    corp = BrandForeignKey(Corp, on_delete=models.CASCADE, related_name="+")
    total = models.BigIntegerField(default=0)  # used since the beginning
    balance = models.BigIntegerField(default=0)
    expiring = models.JSONField(default=list)  # [{"on": ISO date, "n": …}], soonest first
    alarm_below = models.IntegerField(default=100)
    told_at = models.DateTimeField(null=True)  # the alarm of the present shortage was given
    read_at = models.DateTimeField(null=True)
    error = models.CharField(max_length=300, blank=True)  # why it could not be read; empty: it was

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand", "corp"], name="acquisition_quota_once")]


class CodeGuide(TenantModel):
    """A guide behind a code. A standby takes over when nobody else is on duty or below their limit."""

    code = BrandForeignKey(ChannelCode, on_delete=models.CASCADE, related_name="guides")
    staff = BrandForeignKey(Staff, on_delete=models.PROTECT, related_name="+")
    weight = models.IntegerField(_("Weight"), default=1)
    daily_limit = models.IntegerField(_("Daily limit"), null=True, blank=True)
    is_standby = models.BooleanField(_("Standby"), default=False)
    refused_at = models.DateTimeField(
        null=True, editable=False
    )  # WeCom would not take this member; tried again a day later
    refusal = models.CharField(max_length=200, blank=True, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand", "code", "staff"], name="code_guide_once")]
        indexes = [models.Index(fields=["brand", "staff"], name="code_guide_staff")]


class CodeHours(TenantModel):
    """Working hours of a code, in the brand's zone; none at all means always. `start > end` goes over
    midnight. Without `staff` they are for all guides of the code."""

    code = BrandForeignKey(ChannelCode, on_delete=models.CASCADE, related_name="hours")
    staff = BrandForeignKey(Staff, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    weekdays = ArrayField(models.SmallIntegerField())  # 1 Monday … 7 Sunday
    start = models.TimeField()
    end = models.TimeField()


class CodeTag(TenantModel):
    """A tag that everybody gets who comes through the code."""

    code = BrandForeignKey(ChannelCode, on_delete=models.CASCADE, related_name="code_tags")
    tag = BrandForeignKey(Tag, on_delete=models.CASCADE, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand", "code", "tag"], name="code_tag_once")]


class Welcome(TenantModel):
    """欢迎语. For a code, a guide, or neither (the brand's default); by weekday and hour; the most specific
    one wins (services/welcome.py: choose)."""

    class Audience(models.TextChoices):
        ALL = "all", _("Everybody")
        NEW = "new", _("New customers")
        RETURNING = "returning", _("Returning customers")

    code = BrandForeignKey(
        ChannelCode, on_delete=models.CASCADE, null=True, blank=True, related_name="welcomes"
    )
    staff = BrandForeignKey(Staff, on_delete=models.CASCADE, null=True, blank=True, related_name="+")
    department_wecom_id = models.BigIntegerField(null=True, blank=True)
    audience = models.CharField(_("For whom"), max_length=10, choices=Audience, default=Audience.ALL)
    gender = models.SmallIntegerField(null=True, blank=True)  # WeCom's numbers; empty = any
    weekdays = ArrayField(models.SmallIntegerField(), default=list, blank=True)  # empty = every day
    start = models.TimeField(null=True, blank=True)
    end = models.TimeField(null=True, blank=True)
    text = models.TextField(_("Text"), blank=True)  # variables {客户昵称}, {员工姓名} …
    attachments = models.JSONField(default=list, blank=True)  # see wecom/services/attachments.py
    content_id = models.BigIntegerField(
        null=True, blank=True
    )  # version of the library, while text and files are its own

    class Meta:
        indexes = [
            models.Index(fields=["brand", "code"], name="welcome_code"),
            models.Index(fields=["brand", "staff"], name="welcome_staff"),
        ]
