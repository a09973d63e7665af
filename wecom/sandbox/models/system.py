"""The sandbox's own: callbacks under way, faults, settings."""

import threading

from django.db import models


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
    until = models.FloatField(null=True)  # sandbox moment at which it ends; null: never

    cleared: threading.Event  # in memory: wakes whoever it holds


class Due(models.Model):
    """Something that will happen by itself (life.py): kind and what is given to it."""

    at = models.FloatField()
    corpid = models.CharField(max_length=64, blank=True)
    kind = models.CharField(max_length=20)
    given = models.JSONField(default=dict)

    class Meta:
        indexes = [models.Index(fields=["at", "id"], name="due_in_order")]


class Setting(models.Model):
    """Settings, clock, stream: small documents that survive a restart."""

    key = models.CharField(max_length=50, primary_key=True)
    value = models.JSONField()
