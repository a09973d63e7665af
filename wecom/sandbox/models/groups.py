"""Customer groups."""

from django.db import models

from .fields import userid_field


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
    template_id = models.CharField(max_length=64, blank=True)  # welcome of the group, chosen by the owner
    stale = models.JSONField(null=True)  # what groupchat/get still shows …
    stale_until = models.FloatField(default=0)  # … until then

    class Meta:
        indexes = [models.Index(fields=["corpid", "owner", "id"], name="group_chat_by_owner")]


class GroupMember(models.Model):
    """Somebody in a group; type 1 member, 2 external. join_scene 1 invited, 2 by link, 3 scanned a code."""

    corpid = models.CharField(max_length=64)
    chat_id = models.CharField(max_length=64)
    userid = userid_field()  # or external_userid
    type = models.IntegerField()
    join_time = models.FloatField()
    join_scene = models.IntegerField(default=1)
    invitor = models.CharField(max_length=64, blank=True)
    state = models.CharField(max_length=100, blank=True)
    source_id = models.CharField(max_length=64, blank=True)  # join way

    class Meta:
        constraints = [models.UniqueConstraint(fields=["chat_id", "userid"], name="group_member_key")]
        indexes = [models.Index(fields=["corpid", "userid"], name="group_member_by_person")]


class JoinWay(models.Model):
    """「加入群聊」 made by app `agentid`."""

    config_id = models.CharField(max_length=64, unique=True)
    corpid = models.CharField(max_length=64)
    agentid = models.BigIntegerField()
    scene = models.IntegerField()
    remark = models.CharField(max_length=100, blank=True)
    auto_create_room = models.IntegerField(default=1)
    room_base_name = models.CharField(max_length=100, blank=True)
    room_base_id = models.BigIntegerField(default=1)
    chat_ids = models.JSONField(default=list)
    first_rooms = models.IntegerField(default=0)  # how many of them were given, not made automatically
    state = models.CharField(max_length=100, blank=True)
    mark_source = models.BooleanField(default=True)
    create_time = models.FloatField()

    class Meta:
        indexes = [models.Index(fields=["corpid", "id"], name="join_way_by_corp")]


class GroupTemplate(models.Model):
    """A group welcome template (入群欢迎语素材)."""

    template_id = models.CharField(max_length=64, primary_key=True)
    corpid = models.CharField(max_length=64, db_index=True)
    agentid = models.BigIntegerField()
    content = models.JSONField()
    create_time = models.FloatField()
