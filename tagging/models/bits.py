"""Bitmaps: for each tag, guide, code or flag of a brand the set of contacts who have it."""

from typing import Any

from django.db import models

from tenants.base import KeyedTenantModel

BITS = 8192  # contacts per row; a kilobyte, so that the row is never moved out of line


class BitsField(models.Field):
    """bit(8192), read and written by SQL only (tagging/services/bits/bits.py)."""

    def db_type(self, connection: Any) -> str:
        return f"bit({BITS})"


class Dim(models.IntegerChoices):
    """What a bitmap is about. Numbers are stored: never renumber."""

    TAG = 1  # val: Tag
    STAFF = 2  # val: Staff who has the contact now
    FLAG = 3  # val: Flag
    CODE = 4  # val: ChannelCode of a relation
    TOUCH = 5  # val: day and plane, kept by campaigns
    SEGMENT = 6  # val: SegmentVersion
    GROUP = 7  # val: GroupChat, kept by groups


class Flag(models.IntegerChoices):
    """Yes or no of the contact itself. Numbers are stored: never renumber."""

    EVERYBODY = 0
    DO_NOT_CONTACT = 1
    REACHABLE = 2
    LOST = 3
    MALE = 4
    FEMALE = 5
    WECOM = 6  # of another company's WeCom, not WeChat
    NAMED = 7
    MEMBER = 8  # of the brand's own list of members


class DimBits(KeyedTenantModel):
    """One row per 8,192 positions: bit `position % 8192` of chunk `position / 8192` is set for who has `val` of `dim`.

    Derived, never the truth; written in the transaction of the truth, compared with it every night.
    """

    pk = models.CompositePrimaryKey("brand", "dim", "val", "chunk")
    val = models.BigIntegerField()
    chunk = models.IntegerField()
    dim = models.SmallIntegerField(choices=Dim)
    bits = BitsField()
