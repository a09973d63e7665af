"""Corps, apps, tokens, members."""

from django.db import models

from .fields import userid_field


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
    sidebar_url = models.CharField(max_length=1000, blank=True)  # page of the chat toolbar (聊天工具栏)
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
