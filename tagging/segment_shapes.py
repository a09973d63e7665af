"""What the REST API of segments takes and gives."""

from typing import Any

from drf_spectacular.utils import inline_serializer
from rest_framework import serializers

from scrm.api_body import Body, id_list
from tagging.models import Segment
from tagging.services.segments import portrait, segments

MAX_IDS = 10_000


class SegmentOut(serializers.Serializer):
    """A segment. `n` is its size when it was last counted."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    note = serializers.CharField()
    kind = serializers.ChoiceField(choices=Segment.Kind.values)
    condition = serializers.JSONField(allow_null=True)
    sentence = serializers.CharField(help_text="the condition in words")
    n = serializers.IntegerField(allow_null=True)
    counted_at = serializers.DateTimeField(allow_null=True)
    error = serializers.CharField(help_text="why it cannot be counted any more; empty when all is well")
    created_at = serializers.DateTimeField()
    changed_at = serializers.DateTimeField()


class SegmentIn(Body):
    """`condition` makes a dynamic segment, `contact_ids` a list, `operation` with `segment_ids` one of others."""

    name = serializers.CharField(max_length=60)
    note = serializers.CharField(max_length=200, required=False, allow_blank=True)
    condition = serializers.JSONField(required=False)
    contact_ids = id_list(max_length=MAX_IDS, required=False)
    operation = serializers.ChoiceField(choices=segments.OPERATIONS, required=False)
    segment_ids = id_list(max_length=50, required=False)


class SegmentChange(Body):
    """People are put on a list and taken off it at `members/`."""

    name = serializers.CharField(max_length=60, required=False)
    note = serializers.CharField(max_length=200, required=False, allow_blank=True)
    condition = serializers.JSONField(required=False)


class ConditionIn(Body):
    condition = serializers.JSONField(required=False)


class FreezeIn(Body):
    name = serializers.CharField(max_length=60, required=False, default="", allow_blank=True)


class MembersIn(Body):
    add = id_list(max_length=MAX_IDS, required=False)
    remove = id_list(max_length=MAX_IDS, required=False)


PAGE_OUT = inline_serializer(
    "SegmentPage", {"results": SegmentOut(many=True), "next": serializers.CharField()}
)
MEMBERS_OUT = inline_serializer(
    "SegmentMembers",
    {"results": serializers.ListField(child=serializers.IntegerField()), "next": serializers.CharField()},
)


class SegmentShare(serializers.Serializer):
    name = serializers.CharField()
    n = serializers.IntegerField()
    n_all = serializers.IntegerField(help_text="of everybody")
    share = serializers.FloatField()
    share_all = serializers.FloatField()


_PROFILE: dict[str, Any] = {
    "n": serializers.IntegerField(allow_null=True),
    "at": serializers.DateTimeField(allow_null=True),
    **{name: SegmentShare(many=True) for name in portrait.PROFILE},
}
PROFILE_OUT = inline_serializer("SegmentProfile", _PROFILE)
OVERLAPS_OUT = inline_serializer(
    "SegmentOverlaps",
    {
        "results": inline_serializer(
            "SegmentOverlap",
            {
                "id": serializers.IntegerField(),
                "name": serializers.CharField(),
                "n": serializers.IntegerField(help_text="people in both"),
                "share": serializers.FloatField(help_text="of this segment"),
            },
            many=True,
        )
    },
)
COUNT_OUT = inline_serializer(
    "ConditionCount",
    {
        "n": serializers.IntegerField(),
        "sample": serializers.ListField(child=serializers.IntegerField()),
        "condition": serializers.JSONField(),
        "sentence": serializers.CharField(),
    },
)
