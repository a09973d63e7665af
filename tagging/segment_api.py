"""REST API of segments: conditions as JSON (docs/segments.md), lists, members by keyset, why."""

import json
from typing import Any

from django.http import HttpResponse, JsonResponse
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers, viewsets

from scrm.errors import InvalidError
from scrm.keyset import keyset_page
from tagging.conditions import references
from tagging.conditions.leaves import LEAVES
from tagging.conditions.summary import sentence
from tagging.models import Segment
from tagging.services import audience, naming, segments, snapshots, why

SIZE, MAX_SIZE = 100, 1_000
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


class SegmentIn(serializers.Serializer):
    """`condition` makes a dynamic segment, `contact_ids` a list, `combine` one of others."""

    name = serializers.CharField(max_length=60)
    note = serializers.CharField(max_length=200, required=False, allow_blank=True)
    condition = serializers.JSONField(required=False)
    contact_ids = serializers.ListField(
        child=serializers.IntegerField(min_value=1), max_length=MAX_IDS, required=False
    )
    operation = serializers.ChoiceField(choices=segments.OPERATIONS, required=False)
    segment_ids = serializers.ListField(
        child=serializers.IntegerField(min_value=1), max_length=50, required=False
    )


class MembersIn(serializers.Serializer):
    add = serializers.ListField(
        child=serializers.IntegerField(min_value=1), max_length=MAX_IDS, required=False
    )
    remove = serializers.ListField(
        child=serializers.IntegerField(min_value=1), max_length=MAX_IDS, required=False
    )


PAGE_OUT = inline_serializer(
    "SegmentPage", {"results": SegmentOut(many=True), "next": serializers.CharField()}
)
MEMBERS_OUT = inline_serializer(
    "SegmentMembers",
    {"results": serializers.ListField(child=serializers.IntegerField()), "next": serializers.CharField()},
)
COUNT_IN = inline_serializer("ConditionIn", {"condition": serializers.JSONField()})
COUNT_OUT = inline_serializer(
    "ConditionCount",
    {
        "n": serializers.IntegerField(),
        "sample": serializers.ListField(child=serializers.IntegerField()),
        "condition": serializers.JSONField(),
        "sentence": serializers.CharField(),
    },
)
AFTER = OpenApiParameter("after", str, description="`next` of the page before")


class SegmentViewSet(viewsets.ViewSet):
    capabilities = {
        "list": "segments.view",
        "retrieve": "segments.view",
        "count": "segments.view",
        "members": "segments.view",
        "why": "segments.view",
        "sizes": "segments.view",
        "kinds": "segments.view",
        "create": "segments.edit",
        "partial_update": "segments.edit",
        "destroy": "segments.edit",
        "change_members": "segments.edit",
        "freeze": "segments.edit",
    }

    @extend_schema(operation_id="segments_list", responses=PAGE_OUT, parameters=[AFTER])
    def list(self, request: Any) -> JsonResponse:
        """GET /api/v1/segments/: segments, last changed first."""
        rows = Segment.objects.filter(deleted_at=None)
        page = keyset_page(
            rows, order=("-changed_at", "-pk"), after=request.query_params.get("after"), size=SIZE
        )
        return JsonResponse({"results": _out(page.rows), "next": page.next})

    @extend_schema(operation_id="segments_retrieve", responses=SegmentOut)
    def retrieve(self, request: Any, pk: int) -> JsonResponse:
        """GET /api/v1/segments/<id>/."""
        return JsonResponse(_out([segments.get_segment(pk)])[0])

    @extend_schema(operation_id="segments_create", request=SegmentIn, responses={201: SegmentOut})
    def create(self, request: Any) -> JsonResponse:
        """POST /api/v1/segments/: by conditions, by ids, or of other segments."""
        given = _valid(SegmentIn, request)
        brand, by, name, note = request.brand, request.user, given["name"], given.get("note", "")
        ways = [key for key in ("condition", "contact_ids", "operation") if key in given]
        if len(ways) != 1:
            raise InvalidError(_("Give a condition, contact ids or an operation: one of them"))
        if ways[0] == "contact_ids":
            made = segments.create_list(
                brand, by=by, name=name, note=note, contact_ids=given["contact_ids"], why="api"
            )
        else:
            condition = (
                given["condition"]
                if ways[0] == "condition"
                else segments.combination(given["operation"], given.get("segment_ids", []))
            )
            made = segments.create_segment(brand, by=by, name=name, note=note, condition=condition)
        return JsonResponse(_out([made])[0], status=201)

    @extend_schema(operation_id="segments_update", request=SegmentIn, responses=SegmentOut)
    def partial_update(self, request: Any, pk: int) -> JsonResponse:
        """PATCH /api/v1/segments/<id>/: name, note, condition."""
        segment = segments.get_segment(pk)
        given = _valid(SegmentIn, request, partial=True)
        changed = segments.update_segment(
            request.brand,
            by=request.user,
            segment=segment,
            name=given.get("name"),
            note=given.get("note"),
            condition=given.get("condition"),
        )
        return JsonResponse(_out([changed])[0])

    @extend_schema(operation_id="segments_delete", responses={204: None})
    def destroy(self, request: Any, pk: int) -> HttpResponse:
        """DELETE /api/v1/segments/<id>/: 409 `in_use` while something names it."""
        segments.delete_segment(request.brand, by=request.user, segment=segments.get_segment(pk))
        return HttpResponse(status=204)

    @extend_schema(operation_id="segments_count", request=COUNT_IN, responses=COUNT_OUT)
    def count(self, request: Any) -> JsonResponse:
        """POST /api/v1/segments/count/: how many match a condition now, some of them, and the condition in words. 422
        `condition` with `problems: [{path, param, text}]` where it cannot be read."""
        body = request.data if isinstance(request.data, dict) else {}
        condition = audience.read(request.brand, body.get("condition"))
        n, sample = audience.Audience(request.brand, condition).count_and_sample(10)
        words = sentence(condition, naming.known(condition))
        return JsonResponse({"n": n, "sample": sample, "condition": condition, "sentence": words})

    @extend_schema(
        operation_id="segments_members",
        responses=MEMBERS_OUT,
        parameters=[
            AFTER,
            OpenApiParameter("limit", int, description=f"at most {MAX_SIZE}; {SIZE} if not given"),
        ],
    )
    def members(self, request: Any, pk: int) -> JsonResponse:
        """GET /api/v1/segments/<id>/members/: ids of the members now, newest first."""
        segment = segments.get_segment(pk)
        size = _whole(request.query_params.get("limit", str(SIZE)), MAX_SIZE)
        after = request.query_params.get("after")
        people = audience.Audience(request.brand, snapshots.condition_of(segment))
        page = people.page(after=_whole(after) if after else None, size=size)
        following = str(page[-1][1]) if len(page) == size else ""
        return JsonResponse({"results": [contact_id for contact_id, _position in page], "next": following})

    @extend_schema(
        operation_id="segments_change_members",
        request=MembersIn,
        responses=inline_serializer("SegmentSize", {"n": serializers.IntegerField()}),
    )
    def change_members(self, request: Any, pk: int) -> JsonResponse:
        """POST /api/v1/segments/<id>/members/: put people on a list or take them off."""
        segment = segments.get_segment(pk)
        given = _valid(MembersIn, request)
        n = segments.change_list(
            request.brand,
            by=request.user,
            segment=segment,
            add=given.get("add", []),
            remove=given.get("remove", []),
        )
        return JsonResponse({"n": n})

    @extend_schema(operation_id="segments_why", responses=OpenApiTypes.OBJECT)
    def why(self, request: Any, pk: int, contact_id: int) -> JsonResponse:
        """GET /api/v1/segments/<id>/why/<contact id>/: the condition as a tree, with what is true of this contact."""
        return JsonResponse(why.explain_segment(request.brand, segments.get_segment(pk), contact_id))

    @extend_schema(operation_id="segments_sizes", responses=OpenApiTypes.OBJECT)
    def sizes(self, request: Any, pk: int) -> JsonResponse:
        """GET /api/v1/segments/<id>/sizes/: size, entered and left by day, the last 400 days."""
        rows = snapshots.curve(segments.get_segment(pk), days=400)
        return JsonResponse({"results": [{**row, "on": row["on"].isoformat()} for row in rows]})

    @extend_schema(
        operation_id="segments_freeze",
        request=inline_serializer("FreezeIn", {"name": serializers.CharField(max_length=60)}),
        responses={201: SegmentOut},
    )
    def freeze(self, request: Any, pk: int) -> JsonResponse:
        """POST /api/v1/segments/<id>/freeze/: a new segment of who is in it now, for good."""
        segment = segments.get_segment(pk)
        body = request.data if isinstance(request.data, dict) else {}
        made = segments.freeze(request.brand, by=request.user, name=body.get("name", ""), segment=segment)
        return JsonResponse(_out([made])[0], status=201)

    @extend_schema(operation_id="segments_kinds", responses=OpenApiTypes.OBJECT)
    def kinds(self, request: Any) -> JsonResponse:
        """GET /api/v1/segments/kinds/: the kinds of conditions and their parameters."""
        found = {
            kind: {
                "label": str(leaf.label),
                "params": [
                    {
                        "name": p.name,
                        "type": p.type,
                        "options": list(p.options),
                        "source": p.source,
                        "default": p.default,
                        "needed": p.needed if isinstance(p.needed, bool) else False,
                    }
                    for p in leaf.params
                ],
            }
            for kind, leaf in LEAVES.items()
        }
        return JsonResponse({"kinds": found})


def _out(rows: Any) -> list[dict[str, Any]]:
    """Segments as the API shows them: a constant number of queries."""
    wanted: dict[str, set[int]] = {}
    for segment in rows:
        for source, ids in references(segment.condition or {}).items():
            wanted.setdefault(source, set()).update(ids)
    known = naming.Known(naming.names(wanted), naming.fields())
    return [
        json.loads(
            json.dumps(
                SegmentOut(
                    {
                        "id": s.pk,
                        "name": s.name,
                        "note": s.note,
                        "kind": s.kind,
                        "condition": s.condition,
                        "sentence": sentence(s.condition, known) if s.condition else "",
                        "n": s.n,
                        "counted_at": s.counted_at,
                        "error": s.error,
                        "created_at": s.created_at,
                        "changed_at": s.changed_at,
                    }
                ).data,
                default=str,
            )
        )
        for s in rows
    ]


def _valid(kind: type[serializers.Serializer], request: Any, *, partial: bool = False) -> dict[str, Any]:
    given = kind(data=request.data, partial=partial)
    given.is_valid(raise_exception=True)
    return given.validated_data


def _whole(value: str, most: int = 2**31) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 11 and int(value) <= most):
        raise InvalidError(_("This must be a number"), fields={"limit": f"1 … {most}"})
    return int(value)
