"""REST API of segments: conditions as JSON (docs/segments.md), lists, members by keyset, why."""

import json
from typing import Any

from django.http import HttpResponse, JsonResponse
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework import serializers, viewsets

from contacts.models import Contact
from scrm.api_body import read_body
from scrm.api_pages import asked_page, asked_size, page_answer, paged
from scrm.errors import InvalidError
from scrm.ids import read_id
from tagging.conditions import references
from tagging.conditions.leaves import LEAVES
from tagging.conditions.summary import sentence
from tagging.models import Segment
from tagging.segment_shapes import (
    COUNT_OUT,
    MEMBERS_OUT,
    OVERLAPS_OUT,
    PAGE_OUT,
    PROFILE_OUT,
    ConditionIn,
    FreezeIn,
    MembersIn,
    SegmentChange,
    SegmentIn,
    SegmentOut,
)
from tagging.services.segments import audience, naming, portrait, segments, snapshots, why

SIZE, MOST = 100, 1_000


SIZE_OUT = inline_serializer(
    "SegmentSize",
    {
        "n": serializers.IntegerField(help_text="people of the list now"),
        "unknown": serializers.ListField(
            child=serializers.IntegerField(), help_text="who are nobody of this brand, or not any more"
        ),
    },
)


class SegmentViewSet(viewsets.ViewSet):
    capabilities = {
        "list": "segments.view",
        "retrieve": "segments.view",
        "count": "segments.view",
        "members": "segments.view",
        "why": "segments.view",
        "sizes": "segments.view",
        "profile": "segments.view",
        "overlaps": "segments.view",
        "kinds": "segments.view",
        "create": "segments.edit",
        "partial_update": "segments.edit",
        "destroy": "segments.edit",
        "change_members": "segments.edit",
        "freeze": "segments.edit",
    }

    @extend_schema(operation_id="segments_list", responses=PAGE_OUT, parameters=paged())
    def list(self, request: Any) -> JsonResponse:
        """GET /api/v1/segments/: segments, last changed first."""
        rows = Segment.objects.filter(deleted_at=None)
        page = asked_page(request, rows, ("-changed_at", "-pk"))
        return page_answer(_out(page.rows), page)

    @extend_schema(operation_id="segments_retrieve", responses=SegmentOut)
    def retrieve(self, request: Any, pk: int) -> JsonResponse:
        """GET /api/v1/segments/<id>/."""
        return JsonResponse(_out([segments.get_segment(pk)])[0])

    @extend_schema(operation_id="segments_create", request=SegmentIn, responses={201: SegmentOut})
    def create(self, request: Any) -> JsonResponse:
        """POST /api/v1/segments/: by conditions, by ids, or of other segments."""
        given = read_body(SegmentIn, request)
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

    @extend_schema(operation_id="segments_update", request=SegmentChange, responses=SegmentOut)
    def partial_update(self, request: Any, pk: int) -> JsonResponse:
        """PATCH /api/v1/segments/<id>/: name, note, condition."""
        segment = segments.get_segment(pk)
        given = read_body(SegmentChange, request)
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

    @extend_schema(operation_id="segments_count", request=ConditionIn, responses=COUNT_OUT)
    def count(self, request: Any) -> JsonResponse:
        """POST /api/v1/segments/count/: how many match a condition now, some of them, and the condition in words. 422
        `condition` with `problems: [{path, param, text}]` where it cannot be read."""
        condition = audience.read(request.brand, read_body(ConditionIn, request).get("condition"))
        n, sample = audience.Audience(request.brand, condition).count_and_sample(10)
        words = sentence(condition, naming.known(condition))
        return JsonResponse({"n": n, "sample": sample, "condition": condition, "sentence": words})

    @extend_schema(
        operation_id="segments_members",
        responses=MEMBERS_OUT,
        parameters=[
            *paged(SIZE, MOST),
        ],
    )
    def members(self, request: Any, pk: int) -> JsonResponse:
        """GET /api/v1/segments/<id>/members/: ids of the members now, newest first."""
        segment = segments.get_segment(pk)
        after, size = request.query_params.get("after"), asked_size(request, SIZE, MOST)
        position = read_id(after)
        if after and (position is None or position >= 2**31):
            raise InvalidError(_("This page link is not valid any more"), code="bad_page")
        people = audience.Audience(request.brand, snapshots.condition_of(segment))
        page = people.page(after=position, size=size)
        following = str(page[-1][1]) if len(page) == size else ""
        return JsonResponse({"results": [contact_id for contact_id, _position in page], "next": following})

    @extend_schema(
        operation_id="segments_change_members",
        request=MembersIn,
        responses=SIZE_OUT,
    )
    def change_members(self, request: Any, pk: int) -> JsonResponse:
        """POST /api/v1/segments/<id>/members/: put people on a list or take them off."""
        segment = segments.get_segment(pk)
        given = read_body(MembersIn, request)
        n = segments.change_list(
            request.brand,
            by=request.user,
            segment=segment,
            add=given.get("add", []),
            remove=given.get("remove", []),
        )
        asked = {*given.get("add", []), *given.get("remove", [])}
        known = set(Contact.objects.filter(pk__in=asked).values_list("pk", flat=True))
        return JsonResponse({"n": n, "unknown": sorted(asked - known)})

    @extend_schema(operation_id="segments_why", responses=OpenApiTypes.OBJECT)
    def why(self, request: Any, pk: int, contact_id: int) -> JsonResponse:
        """GET /api/v1/segments/<id>/why/<contact id>/: the condition as a tree, with what is true of this contact."""
        return JsonResponse(why.explain_segment(request.brand, segments.get_segment(pk), contact_id))

    @extend_schema(operation_id="segments_sizes", responses=OpenApiTypes.OBJECT)
    def sizes(self, request: Any, pk: int) -> JsonResponse:
        """GET /api/v1/segments/<id>/sizes/: size, entered and left by day, the last 400 days."""
        rows = snapshots.curve(segments.get_segment(pk), days=400)
        return JsonResponse({"results": [{**row, "on": row["on"].isoformat()} for row in rows]})

    @extend_schema(operation_id="segments_profile", responses=PROFILE_OUT)
    def profile(self, request: Any, pk: int) -> JsonResponse:
        """GET /api/v1/segments/<id>/profile/: its people beside everybody, as of its newest version: tags and channels that
        tell, gender and reach, money, value groups, stages."""
        version = portrait.version_of(segments.get_segment(pk))
        found = portrait.profile(request.brand, version) if version else {}
        rows = {key: [_share(row) for row in found.get(key, ())] for key in portrait.PROFILE}
        return JsonResponse(
            {"n": version.n if version else None, "at": version.at if version else None, **rows}
        )

    @extend_schema(operation_id="segments_overlaps", responses=OVERLAPS_OUT)
    def overlaps(self, request: Any, pk: int) -> JsonResponse:
        """GET /api/v1/segments/<id>/overlaps/: the segments that share most people with it, by their newest versions."""
        rows = portrait.overlaps(request.brand, segments.get_segment(pk))
        found = [
            {"id": o.segment.pk, "name": o.segment.name, "n": o.n, "share": round(o.share, 4)} for o in rows
        ]
        return JsonResponse({"results": found})

    @extend_schema(
        operation_id="segments_freeze",
        request=FreezeIn,
        responses={201: SegmentOut},
    )
    def freeze(self, request: Any, pk: int) -> JsonResponse:
        """POST /api/v1/segments/<id>/freeze/: a new segment of who is in it now, for good."""
        segment = segments.get_segment(pk)
        given = read_body(FreezeIn, request)
        made = segments.freeze(request.brand, by=request.user, name=given["name"], segment=segment)
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


def _share(row: portrait.Share) -> dict[str, Any]:
    shares = {"share": round(row.share, 4), "share_all": round(row.share_all, 4)}
    return {"name": row.name, "n": row.n, "n_all": row.n_all, **shares}


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
