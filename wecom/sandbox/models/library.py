"""What a corp keeps beside its customers: member tags, rule groups, products, intercept rules."""

from django.db import models


class MemberTag(models.Model):
    """A tag of members (internal)."""

    corpid = models.CharField(max_length=64)
    tagid = models.BigIntegerField()
    agentid = models.BigIntegerField()
    name = models.CharField(max_length=32)
    users = models.JSONField(default=list)
    parties = models.JSONField(default=list)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["corpid", "tagid"], name="member_tag_key")]


class Strategy(models.Model):
    """A rule group; kind customer or moment."""

    corpid = models.CharField(max_length=64)
    kind = models.CharField(max_length=10)
    strategy_id = models.BigIntegerField()
    agentid = models.BigIntegerField()
    parent_id = models.BigIntegerField(default=0)
    name = models.CharField(max_length=100)
    admins = models.JSONField(default=list)
    privilege = models.JSONField(default=dict)
    range = models.JSONField(default=list)
    create_time = models.FloatField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["corpid", "kind", "strategy_id"], name="strategy_key")]


class Product(models.Model):
    """A product of the album."""

    product_id = models.CharField(max_length=64, unique=True)
    corpid = models.CharField(max_length=64, db_index=True)
    agentid = models.BigIntegerField()
    description = models.CharField(max_length=300)
    price_fen = models.BigIntegerField()
    number = models.CharField(max_length=128, blank=True)
    attachments = models.JSONField(default=list)
    create_time = models.FloatField()


class InterceptRule(models.Model):
    """Words that members may not send; act 1 blocks, 2 warns."""

    rule_id = models.CharField(max_length=64, unique=True)
    corpid = models.CharField(max_length=64, db_index=True)
    agentid = models.BigIntegerField()
    name = models.CharField(max_length=20)
    words = models.JSONField(default=list)
    semantics = models.JSONField(default=list)
    act = models.IntegerField()
    users = models.JSONField(default=list)
    departments = models.JSONField(default=list)
    create_time = models.FloatField()
