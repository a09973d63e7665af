"""标签, rules, 人群, bitmaps: one module for each topic; import the models from here."""

from tagging.models.acts import TagAct, TagBefore, TagTarget, WaitingTag
from tagging.models.bits import BITS, Dim, DimBits, Flag
from tagging.models.rules import ComputedTag, TagRule, TagRuleBits
from tagging.models.segments import Segment, SegmentVersion
from tagging.models.tags import Color, ContactTag, Tag, TagGroup
from tagging.models.value import LifecycleFlow, LifecycleStage, ValueGroup, ValueSetting

__all__ = [
    "BITS",
    "Color",
    "ComputedTag",
    "ContactTag",
    "Dim",
    "DimBits",
    "Flag",
    "LifecycleFlow",
    "LifecycleStage",
    "Segment",
    "SegmentVersion",
    "Tag",
    "TagAct",
    "TagBefore",
    "TagGroup",
    "TagRule",
    "TagRuleBits",
    "TagTarget",
    "ValueGroup",
    "ValueSetting",
    "WaitingTag",
]
