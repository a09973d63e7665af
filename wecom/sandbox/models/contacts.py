"""Customers, relations, tags, contact ways and links, transfers."""

from django.db import models

from .fields import userid_field


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
        indexes = [
            models.Index(fields=["corpid", "userid", "id"], name="follow_by_member"),
            # a mass send asks for a thousand of one member: they lie side by side in it
            models.Index(fields=["corpid", "userid", "external_userid"], name="follow_of_member"),
            models.Index(fields=["corpid", "source_id", "id"], name="follow_by_source"),
        ]


class FollowTag(models.Model):
    """A corp tag on a relation."""

    follow = models.BigIntegerField()
    tag_id = models.CharField(max_length=64, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["follow", "tag_id"], name="follow_tag_key")]


class Prepared(models.Model):
    """The JSON of a relation in batch/get_by_user, prepared beforehand; triggers drop it when the relation changes."""

    follow = models.BigIntegerField(primary_key=True)
    body = models.TextField()


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
    strategy = models.BigIntegerField(null=True)  # rule group it belongs to; null: a corp tag
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


class Link(models.Model):
    """An acquisition link (获客链接)."""

    link_id = models.CharField(max_length=64, unique=True)
    corpid = models.CharField(max_length=64)
    agentid = models.BigIntegerField()
    name = models.CharField(max_length=100)
    users = models.JSONField(default=list)
    departments = models.JSONField(default=list)
    skip_verify = models.BooleanField(default=True)
    priority_type = models.IntegerField(null=True)
    priority_users = models.JSONField(default=list)
    create_time = models.FloatField()

    class Meta:
        indexes = [models.Index(fields=["corpid", "id"], name="link_by_corp")]


class Transfer(models.Model):
    """A customer on his way to another member; status 1 done, 2 waiting, 3 refused, 4 new member is full."""

    corpid = models.CharField(max_length=64)
    kind = models.CharField(max_length=10)  # onjob, resigned
    handover = userid_field()
    takeover = userid_field()
    external_userid = models.CharField(max_length=64)
    status = models.IntegerField(default=2)
    message = models.CharField(max_length=300, blank=True)
    created_at = models.FloatField()
    takeover_time = models.FloatField()

    class Meta:
        indexes = [
            models.Index(fields=["takeover_time"], condition=models.Q(status=2), name="transfer_due"),
            models.Index(fields=["corpid", "handover", "takeover", "id"], name="transfer_by_pair"),
            models.Index(fields=["corpid", "external_userid"], name="transfer_by_customer"),
        ]


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
