"""Welcome codes, messages, mass sends, moments, files."""

from django.db import models

from .fields import userid_field


class WelcomeCode(models.Model):
    """One app's right to greet once; the codes of one arrival share `arrival`."""

    code = models.CharField(max_length=128, primary_key=True)
    corpid = models.CharField(max_length=64)
    agentid = models.BigIntegerField()
    userid = userid_field()
    external_userid = models.CharField(max_length=64)
    arrival = models.CharField(max_length=64, db_index=True)
    expires_at = models.FloatField()
    used_at = models.FloatField(null=True)

    class Meta:
        indexes = [models.Index(fields=["corpid", "external_userid"], name="welcome_by_customer")]


class Message(models.Model):
    """What was really received. kind: welcome, mass, app (to a member), say (by the customer), system."""

    corpid = models.CharField(max_length=64)
    kind = models.CharField(max_length=10)
    userid = userid_field()
    external_userid = models.CharField(max_length=64, blank=True)  # or chat_id of a group
    text = models.TextField(blank=True)
    attachments = models.JSONField(default=list)
    at = models.FloatField()
    msgid = models.CharField(max_length=64, blank=True)
    welcome_code = models.CharField(max_length=128, blank=True)
    read_at = models.FloatField(null=True)  # by the customer; WeCom tells nobody

    class Meta:
        indexes = [
            models.Index(fields=["corpid", "kind", "id"], name="message_by_kind"),
            models.Index(fields=["corpid", "external_userid", "userid", "id"], name="message_by_chat"),
            models.Index(fields=["corpid", "userid", "kind", "at"], name="message_by_member"),
        ]


class Mass(models.Model):
    """A mass send (企业群发): a task for members, not yet a message."""

    msgid = models.CharField(max_length=64, unique=True)
    corpid = models.CharField(max_length=64)
    agentid = models.BigIntegerField(null=True)
    chat_type = models.CharField(max_length=10)
    creator = models.CharField(max_length=64, blank=True)
    create_type = models.IntegerField(default=0)  # 0 corp, 1 personal
    text = models.TextField(blank=True)
    attachments = models.JSONField(default=list)
    created_at = models.FloatField()
    dispatched_at = models.FloatField()  # before: 41063
    cancelled_at = models.FloatField(null=True)
    reminders = models.JSONField(default=list)

    class Meta:
        indexes = [models.Index(fields=["corpid", "chat_type", "id"], name="mass_by_corp")]


class MassTask(models.Model):
    """One member's part of a mass send; status 0 not sent, 2 sent, -1 cancelled before he sent."""

    corpid = models.CharField(max_length=64)
    msgid = models.CharField(max_length=64)
    userid = userid_field()
    status = models.IntegerField(default=0)
    send_time = models.FloatField(null=True)
    confirm_at = models.FloatField(null=True)  # when the virtual member will confirm; null: never by himself

    class Meta:
        constraints = [models.UniqueConstraint(fields=["msgid", "userid"], name="mass_task_key")]
        indexes = [
            models.Index(
                fields=["confirm_at"],
                condition=models.Q(status=0, confirm_at__isnull=False),
                name="mass_task_due",
            ),
            models.Index(fields=["corpid", "userid", "status"], name="mass_task_by_member"),
        ]


class MassReceiver(models.Model):
    """One customer or group of a member's part; 0 not sent, 1 sent, 2 no friend any more, 3 over the cap."""

    task = models.BigIntegerField()
    target = models.CharField(max_length=64)
    status = models.IntegerField(default=0)
    send_time = models.FloatField(null=True)

    class Meta:
        indexes = [models.Index(fields=["task", "id"], name="mass_receiver_by_task")]


class MonthCount(models.Model):
    """Mass messages that a customer or group received in a natural month (YYYY-MM, Asia/Shanghai)."""

    corpid = models.CharField(max_length=64)
    target = models.CharField(max_length=64)
    month = models.CharField(max_length=7)
    n = models.IntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["corpid", "target", "month"], name="month_count_key")]


class Moment(models.Model):
    """A moment (客户朋友圈) that members publish; its job runs until ready_at."""

    moment_id = models.CharField(max_length=64, unique=True)
    jobid = models.CharField(max_length=64, unique=True)
    corpid = models.CharField(max_length=64)
    creator = models.CharField(max_length=64, blank=True)
    create_type = models.IntegerField(default=0)
    text = models.TextField(blank=True)
    attachments = models.JSONField(default=list)
    tags = models.JSONField(default=list)  # customers who may see it; []: all
    invalid = models.JSONField(default=dict)  # senders and tags that do not exist
    created_at = models.FloatField()
    ready_at = models.FloatField()
    cancelled_at = models.FloatField(null=True)

    class Meta:
        indexes = [models.Index(fields=["corpid", "id"], name="moment_by_corp")]


class MomentTask(models.Model):
    """One member's part of a moment; status 0 not published, 1 published, -1 cancelled."""

    corpid = models.CharField(max_length=64)
    moment_id = models.CharField(max_length=64)
    userid = userid_field()
    status = models.IntegerField(default=0)
    published_at = models.FloatField(null=True)
    publish_at = models.FloatField(null=True)  # when the virtual member will; null: never by himself

    class Meta:
        constraints = [models.UniqueConstraint(fields=["moment_id", "userid"], name="moment_task_key")]
        indexes = [
            models.Index(
                fields=["publish_at"],
                condition=models.Q(status=0, publish_at__isnull=False),
                name="moment_task_due",
            ),
            models.Index(fields=["corpid", "userid", "status"], name="moment_task_by_member"),
        ]


class Reaction(models.Model):
    """A like or a comment under a member's moment."""

    corpid = models.CharField(max_length=64)
    moment_id = models.CharField(max_length=64, db_index=True)
    userid = userid_field()  # whose moment
    by = models.CharField(max_length=64)  # external_userid, or a member's id
    kind = models.CharField(max_length=10)
    text = models.CharField(max_length=500, blank=True)
    at = models.FloatField()


class Media(models.Model):
    """An uploaded file; origin upload, attachment:1, attachment:2 (three days) or img (permanent)."""

    media_id = models.CharField(max_length=128, primary_key=True)
    corpid = models.CharField(max_length=64)
    origin = models.CharField(max_length=20)
    type = models.CharField(max_length=10)
    filename = models.CharField(max_length=300)
    content_type = models.CharField(max_length=100)
    size = models.BigIntegerField()
    created_at = models.FloatField()


class Purchase(models.Model):
    """Something a customer bought in the corp's shop. WeCom knows nothing of it: a web hook tells (people.buy)."""

    corpid = models.CharField(max_length=64)
    order_no = models.CharField(max_length=64, unique=True)
    external_userid = models.CharField(max_length=64)
    unionid = models.CharField(max_length=64, blank=True)
    userid = userid_field(blank=True)  # the guide whose message he had read
    amount_fen = models.BigIntegerField()
    items = models.JSONField(default=list)
    paid_at = models.FloatField()

    class Meta:
        indexes = [models.Index(fields=["corpid", "id"], name="purchase_by_corp")]


class Robot(models.Model):
    """A robot in an internal group; whoever has its key may post."""

    key = models.CharField(max_length=64, primary_key=True)
    corpid = models.CharField(max_length=64)
    name = models.CharField(max_length=100)
    created_at = models.FloatField()


class AppChat(models.Model):
    """A group of members that an app made."""

    corpid = models.CharField(max_length=64)
    chatid = models.CharField(max_length=64)
    agentid = models.BigIntegerField()
    name = models.CharField(max_length=100, blank=True)
    owner = userid_field()
    users = models.JSONField(default=list)
    create_time = models.FloatField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["corpid", "chatid"], name="app_chat_key")]


class ResponseCode(models.Model):
    """Lets an app change an interactive card it sent: once, within 72 hours."""

    code = models.CharField(max_length=128, primary_key=True)
    corpid = models.CharField(max_length=64)
    agentid = models.BigIntegerField()
    msgid = models.CharField(max_length=64)
    expires_at = models.FloatField()
    used = models.BooleanField(default=False)


class UrlJob(models.Model):
    """A file that is fetched from an address; status 1 running, 2 done, 3 failed."""

    jobid = models.CharField(max_length=64, primary_key=True)
    corpid = models.CharField(max_length=64)
    agentid = models.BigIntegerField()
    kind = models.CharField(max_length=10)
    url = models.CharField(max_length=1024)
    filename = models.CharField(max_length=300)
    md5 = models.CharField(max_length=32)
    status = models.IntegerField(default=1)
    errcode = models.IntegerField(default=0)
    media_id = models.CharField(max_length=128, blank=True)
    created_at = models.FloatField()
