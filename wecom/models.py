"""The durable edges to WeCom: what came in (inbox), what has to go out (outbound calls), uploaded media."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from org.models import Corp, Staff
from scrm import clock
from tenants.base import KeyedTenantModel, TenantModel
from tenants.fields import BrandForeignKey, PartitionKey
from wecom.event_words import label_of


class CallbackEvent(TenantModel):
    """The inbox: every decrypted callback once, by the digest of its body; stored before WeCom gets its answer."""

    class State(models.TextChoices):
        NEW = "new", _("Waiting")
        DONE = "done", _("Done")
        NOTED = "noted", _("Noted")  # an event that we knowingly do nothing about
        RETRY = "retry", _("Will be retried")
        DEAD = "dead", _("Needs a person")

    corp = BrandForeignKey(Corp, on_delete=models.CASCADE)
    digest = models.CharField(max_length=40)  # sha1 hex of the decrypted body
    event = models.CharField(max_length=40)
    change_type = models.CharField(max_length=40, blank=True)
    happened_at = models.DateTimeField()  # CreateTime
    received_at = models.DateTimeField(default=clock.now)
    body = models.TextField()  # decrypted XML
    n_repeats = models.IntegerField(default=0)
    state = models.CharField(max_length=6, choices=State, default=State.NEW)
    n_tries = models.IntegerField(default=0)
    next_try_at = models.DateTimeField(null=True)
    done_at = models.DateTimeField(null=True)
    error = models.CharField(max_length=500, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand", "digest"], name="callback_once")]
        indexes = [
            models.Index(
                fields=["brand", "next_try_at"],
                name="callback_due",
                condition=models.Q(state__in=["new", "retry"]),
            ),
            models.Index(fields=["brand", "-received_at"], name="callback_newest"),
            models.Index(fields=["brand", "state", "-received_at"], name="callback_state"),
        ]

    @property
    def label(self) -> str:
        """What happened, in words."""
        return label_of(self.event, self.change_type)


class RefusedCallback(TenantModel):
    """A callback that was turned away (bad signature, wrong receive id, rubbish): counted per reason and day, so that a
    wrong console setting shows on the doctor page."""

    corp = BrandForeignKey(Corp, on_delete=models.CASCADE)
    on = models.DateField()
    reason = models.CharField(max_length=40)
    n = models.IntegerField(default=1)
    last_at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand", "corp", "on", "reason"], name="refused_once")]


class OutboundCall(TenantModel):
    """The outbox: a write to WeCom that must happen (tags, remark, notice to staff, stop of a mass message), claimed
    first, made second, recorded third; retried with growing pauses. Only calls that may be repeated are allowed here."""

    class Kind(models.TextChoices):
        MARK_TAG = "mark_tag", _("Tags of a customer")
        REMARK = "remark", _("Remark of a customer")
        NOTICE = "notice", _("Notice to staff")
        STOP_SEND = "stop_send", _("Stop of a mass message")

    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        CALLING = "calling", _("In progress")
        DONE = "done", _("Done")
        FAILED = "failed", _("Failed")

    corp = BrandForeignKey(Corp, on_delete=models.CASCADE)
    kind = models.CharField(max_length=12, choices=Kind)
    key = models.CharField(max_length=120)  # what makes it one: a repeat of the act finds it here
    subject = models.CharField(
        max_length=64, blank=True
    )  # external_userid: calls for one are made one at a time
    payload = models.JSONField()
    state = models.CharField(max_length=8, choices=State, default=State.WAITING)
    n_tries = models.IntegerField(default=0)
    next_try_at = models.DateTimeField(default=clock.now)
    created_at = models.DateTimeField(default=clock.now)
    done_at = models.DateTimeField(null=True)
    error = models.CharField(max_length=500, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand", "kind", "key"], name="outbound_once")]
        indexes = [
            models.Index(
                fields=["brand", "next_try_at"],
                name="outbound_due",
                condition=models.Q(state__in=["waiting", "calling"]),
            ),
            models.Index(
                fields=["brand", "subject"], name="outbound_subject", condition=~models.Q(subject="")
            ),
            models.Index(fields=["brand", "-id"], name="outbound_failed", condition=models.Q(state="failed")),
        ]


class MediaFile(TenantModel):
    """A file of the brand for messages; its WeCom media_id is renewed before the three days end."""

    name = models.CharField(max_length=120)
    kind = models.CharField(max_length=8)  # image | video | file
    path = models.CharField(max_length=200)  # under MEDIA_ROOT/<brand id>/
    size = models.BigIntegerField()
    digest = models.CharField(max_length=64)
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand", "digest", "kind"], name="media_file_once")]


class MediaUpload(TenantModel):
    """media_id of a file in one corp, for messages or for moments: WeCom does not take one for the other."""

    class Use(models.TextChoices):
        MESSAGE = "message", _("Messages")
        MOMENT = "moment", _("Moments")

    file = BrandForeignKey(MediaFile, on_delete=models.CASCADE)
    corp = BrandForeignKey(Corp, on_delete=models.CASCADE)
    use = models.CharField(max_length=8, choices=Use, default=Use.MESSAGE)
    media_id = models.CharField(max_length=128)
    uploaded_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["brand", "file", "corp", "use"], name="media_upload_once")
        ]


class ApiCall(TenantModel):
    """One try of a call to WeCom, for 14 days: no secrets, nothing about customers. Written in sets by
    wecom/services/call_log.py."""

    at = PartitionKey()
    corp_id = models.BigIntegerField()  # no foreign key: a corp that is taken away leaves its log
    api = models.CharField(max_length=64)
    errcode = models.IntegerField(null=True)  # None: no answer that could be read, see `note`
    is_failed = models.BooleanField()
    note = models.CharField(max_length=40, blank=True)
    hint = models.CharField(max_length=40, blank=True)  # WeCom's number of the call, for the corp's admin
    ms = models.IntegerField()
    waited_ms = models.IntegerField()  # for a place under the limits
    attempt = models.SmallIntegerField()

    class Meta:
        indexes = [
            models.Index(fields=["brand", "api", "-at", "-id"], name="apicall_api"),
            models.Index(
                fields=["brand", "-at", "-id"], name="apicall_failed", condition=models.Q(is_failed=True)
            ),
        ]


class ApiCallHour(KeyedTenantModel):
    """Calls of one hour, for figures over weeks. `buckets[i]` counts those that took less than
    `call_log.BOUNDS_MS[i]` and no less than the bound before; the last one all that took longer."""

    pk = models.CompositePrimaryKey("brand", "corp_id", "api", "at")
    corp_id = models.BigIntegerField()
    api = models.CharField(max_length=64)
    at = models.DateTimeField()  # begin of the hour
    n = models.IntegerField()
    n_failed = models.IntegerField()
    waited_ms = models.BigIntegerField()  # sum
    buckets = ArrayField(models.IntegerField())

    class Meta:
        indexes = [models.Index(fields=["brand", "at"], name="apicallhour_at")]


class StaffDay(TenantModel):
    """WeCom's own figures of a member on a day (Asia/Shanghai): contact with customers (联系客户统计), and the groups
    that the member owns (群聊数据统计). A half that WeCom has not told is empty."""

    staff = BrandForeignKey(Staff, on_delete=models.CASCADE, related_name="+")
    on = models.DateField()
    n_chats = models.IntegerField(null=True)  # conversations in which the member wrote
    n_messages = models.IntegerField(null=True)
    reply_ratio = models.FloatField(null=True)  # 0 to 1; empty without conversations
    reply_minutes = models.IntegerField(null=True)  # on the average, until the first answer
    n_negative = models.IntegerField(null=True)  # customers who deleted or blocked the member
    n_applied = models.IntegerField(null=True)
    n_added = models.IntegerField(null=True)
    n_groups = models.IntegerField(null=True)
    n_groups_new = models.IntegerField(null=True)
    n_groups_active = models.IntegerField(null=True)  # in which somebody wrote
    n_members = models.IntegerField(null=True)
    n_members_new = models.IntegerField(null=True)
    n_members_active = models.IntegerField(null=True)
    n_group_messages = models.IntegerField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand", "staff", "on"], name="staff_day_once")]
        indexes = [models.Index(fields=["brand", "on"], name="staff_day_on")]
