"""The sandbox's tables.

Rows point to each other by WeCom's own ids (corpid, userid, external_userid …), without foreign keys: a wipe
is then one statement per table. Member ids compare without regard to case, as WeCom's do. Every *_at and
*time is sandbox seconds.
"""

from django.db import models


def userid_field(**kwargs: object) -> "models.CharField[str, str]":
    """A member's id: unique without regard to case."""
    return models.CharField(max_length=64, db_collation="NOCASE", **kwargs)  # type: ignore[arg-type]


class Corp(models.Model):
    """An enterprise."""

    corpid = models.CharField(max_length=64, primary_key=True)
    name = models.CharField(max_length=100)
    open_platform = models.BooleanField(
        default=True
    )  # WeChat developer id bound: customers show their unionid


class App(models.Model):
    """A self-built app, or (kind "contacts") the contact-sync secret."""

    corpid = models.CharField(max_length=64)
    agentid = models.BigIntegerField()
    name = models.CharField(max_length=100)
    kind = models.CharField(max_length=10, default="app")
    secret = models.CharField(max_length=128)
    callback_url = models.CharField(max_length=1000, blank=True)
    token = models.CharField(max_length=64, blank=True)
    aes_key = models.CharField(max_length=64, blank=True)
    callable = models.BooleanField(default=True)  # listed under 客户联系 → 可调用接口的应用
    trusted_ips = models.JSONField(null=True)  # null: any
    trusted_domains = models.JSONField(null=True)  # null: any; hosts with port for OAuth and log-in
    visible = models.JSONField(null=True)  # null: everybody; {"users": […], "departments": […]}

    class Meta:
        constraints = [models.UniqueConstraint(fields=["corpid", "agentid"], name="app_key")]


class Token(models.Model):
    """An access token of one app."""

    token = models.CharField(max_length=512, primary_key=True)
    app = models.BigIntegerField(db_index=True)
    expires_at = models.FloatField()
    revoked = models.BooleanField(default=False)


class Ticket(models.Model):
    """A JS ticket: kind "corp" or "agent_config"."""

    app = models.BigIntegerField()
    kind = models.CharField(max_length=20)
    ticket = models.CharField(max_length=512)
    expires_at = models.FloatField()


class LoginCode(models.Model):
    """A code of OAuth or QR log-in; `scope` as it was asked."""

    code = models.CharField(max_length=512, primary_key=True)
    corpid = models.CharField(max_length=64)
    agentid = models.BigIntegerField(null=True)
    userid = models.CharField(max_length=64, blank=True)
    external_userid = models.CharField(max_length=64, blank=True)
    scope = models.CharField(max_length=40)
    expires_at = models.FloatField()
    used = models.BooleanField(default=False)


class UserTicket(models.Model):
    """Ticket for the details a member agreed to show (snsapi_privateinfo)."""

    ticket = models.CharField(max_length=512, primary_key=True)
    corpid = models.CharField(max_length=64)
    userid = models.CharField(max_length=64)
    expires_at = models.FloatField()


class Department(models.Model):
    """A department; the root has id 1."""

    corpid = models.CharField(max_length=64)
    dept_id = models.BigIntegerField()
    name = models.CharField(max_length=200)
    parentid = models.BigIntegerField(default=1)
    order = models.BigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["corpid", "dept_id"], name="department_key")]


class Member(models.Model):
    """A member; status 1 active, 2 disabled, 4 not activated, 5 left."""

    corpid = models.CharField(max_length=64)
    userid = userid_field()
    name = models.CharField(max_length=100)
    departments = models.JSONField(default=list)
    leader_in = models.JSONField(default=list)
    position = models.CharField(max_length=100, blank=True)
    mobile = models.CharField(max_length=30, blank=True)
    email = models.CharField(max_length=100, blank=True)
    gender = models.IntegerField(default=0)
    alias = models.CharField(max_length=100, blank=True)
    status = models.IntegerField(default=1)
    has_contact_right = models.BooleanField(default=True)
    console_welcome = models.BooleanField(default=False)  # the console greets for him: no welcome codes
    left_at = models.FloatField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["corpid", "userid"], name="member_key")]


class Seat(models.Model):
    """Member × department."""

    corpid = models.CharField(max_length=64)
    dept_id = models.BigIntegerField()
    userid = userid_field()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["corpid", "dept_id", "userid"], name="seat_key")]


class Customer(models.Model):
    """An external contact; type 1 WeChat user, 2 WeCom user of another corp."""

    corpid = models.CharField(max_length=64)
    external_userid = models.CharField(max_length=64)
    name = models.CharField(max_length=100)
    type = models.IntegerField(default=1)
    gender = models.IntegerField(default=0)
    unionid = models.CharField(max_length=64, blank=True)
    avatar = models.CharField(max_length=300, blank=True)
    corp_name = models.CharField(max_length=100, blank=True)
    position = models.CharField(max_length=100, blank=True)
    created_at = models.FloatField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["corpid", "external_userid"], name="customer_key")]


class Follow(models.Model):
    """Member × customer. A member's delete removes the row; a customer's delete sets `lost`."""

    corpid = models.CharField(max_length=64)
    userid = userid_field()
    external_userid = models.CharField(max_length=64)
    remark = models.CharField(max_length=100, blank=True)
    description = models.CharField(max_length=600, blank=True)
    remark_corp_name = models.CharField(max_length=100, blank=True)
    remark_mobiles = models.JSONField(default=list)
    personal_tags = models.JSONField(default=list)
    createtime = models.FloatField()
    add_way = models.IntegerField(default=1)
    oper_userid = models.CharField(max_length=64, blank=True)
    state = models.CharField(max_length=100, blank=True)
    source_id = models.CharField(max_length=64, blank=True)  # config_id or link_id he came by
    half = models.BooleanField(default=False)  # added by the customer, not yet confirmed by the member
    lost = models.BooleanField(default=False)
    last_chat_at = models.FloatField(null=True)
    has_spoken = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["corpid", "external_userid", "userid"], name="follow_key"),
        ]
        indexes = [models.Index(fields=["corpid", "userid", "id"], name="follow_by_member")]


class FollowTag(models.Model):
    """A corp tag on a relation."""

    follow = models.BigIntegerField()
    tag_id = models.CharField(max_length=64, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["follow", "tag_id"], name="follow_tag_key")]


class FriendRequest(models.Model):
    """A customer asked a member who verifies; nothing is told until the member accepts."""

    corpid = models.CharField(max_length=64)
    userid = userid_field()
    external_userid = models.CharField(max_length=64)
    state = models.CharField(max_length=100, blank=True)
    source_id = models.CharField(max_length=64, blank=True)
    add_way = models.IntegerField(default=1)
    at = models.FloatField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["corpid", "userid", "external_userid"], name="friend_request_key")
        ]


class TagGroup(models.Model):
    """Group of corp tags; `agentid` is the app that made it."""

    group_id = models.CharField(max_length=64, primary_key=True)
    corpid = models.CharField(max_length=64, db_index=True)
    name = models.CharField(max_length=100)
    order = models.BigIntegerField(default=0)
    create_time = models.FloatField()
    agentid = models.BigIntegerField(null=True)
    deleted = models.BooleanField(default=False)


class Tag(models.Model):
    """A corp tag."""

    tag_id = models.CharField(max_length=64, primary_key=True)
    corpid = models.CharField(max_length=64, db_index=True)
    group_id = models.CharField(max_length=64, db_index=True)
    name = models.CharField(max_length=100)
    order = models.BigIntegerField(default=0)
    create_time = models.FloatField()
    deleted = models.BooleanField(default=False)


class ContactWay(models.Model):
    """「联系我」 made through the API by app `agentid`."""

    config_id = models.CharField(max_length=64, unique=True)
    corpid = models.CharField(max_length=64)
    agentid = models.BigIntegerField()
    type = models.IntegerField()
    scene = models.IntegerField()
    style = models.IntegerField(default=1)
    remark = models.CharField(max_length=100, blank=True)
    skip_verify = models.BooleanField(default=True)
    state = models.CharField(max_length=100, blank=True)
    users = models.JSONField(default=list)
    parties = models.JSONField(default=list)
    is_temp = models.BooleanField(default=False)
    expires_in = models.BigIntegerField(default=7 * 86400)
    chat_expires_in = models.BigIntegerField(default=86400)
    unionid = models.CharField(max_length=64, blank=True)
    is_exclusive = models.BooleanField(default=False)
    mark_source = models.BooleanField(default=True)
    conclusions = models.JSONField(default=dict)
    create_time = models.FloatField()

    class Meta:
        indexes = [
            models.Index(fields=["corpid", "id"], name="contact_way_by_corp"),
            models.Index(fields=["corpid", "state"], name="contact_way_by_state"),
        ]


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


class GroupChat(models.Model):
    """A customer group."""

    chat_id = models.CharField(max_length=64, unique=True)
    corpid = models.CharField(max_length=64)
    name = models.CharField(max_length=100, blank=True)
    owner = userid_field()
    notice = models.CharField(max_length=2000, blank=True)
    admins = models.JSONField(default=list)
    create_time = models.FloatField()
    dismissed_at = models.FloatField(null=True)
    version = models.CharField(max_length=40)
    status = models.IntegerField(default=0)  # 0 normal, 1 owner left, 2 inheriting, 3 inherited

    class Meta:
        indexes = [models.Index(fields=["corpid", "owner", "id"], name="group_chat_by_owner")]


class MonthCount(models.Model):
    """Mass messages that a customer or group received in a natural month (YYYY-MM, Asia/Shanghai)."""

    corpid = models.CharField(max_length=64)
    target = models.CharField(max_length=64)
    month = models.CharField(max_length=7)
    n = models.IntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["corpid", "target", "month"], name="month_count_key")]


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


class Happening(models.Model):
    """What happened to relations and chats, for WeCom's statistics. kind: add, apply, lost, say, sent …"""

    corpid = models.CharField(max_length=64)
    kind = models.CharField(max_length=12)
    userid = userid_field()
    external_userid = models.CharField(max_length=64, blank=True)
    source_id = models.CharField(max_length=64, blank=True)
    at = models.FloatField()

    class Meta:
        indexes = [models.Index(fields=["corpid", "userid", "at"], name="happening_by_member")]


class Delivery(models.Model):
    """A callback: its exact body and query, and each attempt. state: waiting, done, failed, lost."""

    corpid = models.CharField(max_length=64)
    agentid = models.BigIntegerField()
    url = models.CharField(max_length=2000)
    event = models.CharField(max_length=60)
    change_type = models.CharField(max_length=60, blank=True)
    xml = models.TextField()
    body = models.TextField()
    state = models.CharField(max_length=10, default="waiting")
    due_at = models.FloatField()  # real seconds: waiting for the network is not sandbox time
    created_at = models.FloatField()
    attempts = models.JSONField(default=list)

    class Meta:
        indexes = [
            models.Index(fields=["corpid", "id"], name="delivery_by_corp"),
            models.Index(fields=["id"], condition=models.Q(state="waiting"), name="delivery_waiting"),
        ]


class Fault(models.Model):
    """A disturbance that was ordered; corpid "" and api "*" mean all."""

    corpid = models.CharField(max_length=64, blank=True)
    api = models.CharField(max_length=100, default="*")
    kind = models.CharField(max_length=20)
    errcode = models.IntegerField(default=-1)
    seconds = models.FloatField(default=0)
    rate = models.FloatField(default=1)
    left = models.IntegerField(null=True)  # how often it still strikes; null: until cleared


class Setting(models.Model):
    """Settings, clock, stream: small documents that survive a restart."""

    key = models.CharField(max_length=50, primary_key=True)
    value = models.JSONField()
