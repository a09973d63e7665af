"""REST API of tags that move by themselves (computed) and of those that wait for their person; read only."""

from collections.abc import Sequence
from typing import Any

from django.http import JsonResponse
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers, viewsets

from contacts.identities import listed
from scrm.api_pages import asked_page, page_answer, paged
from scrm.api_query import asked_number, asked_word
from scrm.errors import InvalidError, NotFoundError
from tagging.models import ComputedTag, Tag, WaitingTag
from tagging.services.tags import waiting
from tagging.views.library import carriers

SIZE = 50


class BracketOut(serializers.Serializer):
    """`from` ≤ number < `to`, either may be null; `none`: those without a number. Money in fen."""

    none = serializers.BooleanField(default=False)
    tag_id = serializers.IntegerField()
    name = serializers.CharField()
    n_contacts = serializers.IntegerField()

    def get_fields(self) -> dict[str, Any]:
        bounds = {name: serializers.FloatField(allow_null=True, default=None) for name in ("from", "to")}
        return bounds | super().get_fields()


class ComputedTagOut(serializers.Serializer):
    id = serializers.IntegerField()
    name = serializers.CharField()
    measure = serializers.ChoiceField(choices=ComputedTag.Measure.values)
    field = serializers.CharField(help_text="key of the own field that is measured; may be empty")
    group_id = serializers.IntegerField(help_text="group of its tags")
    is_on = serializers.BooleanField()
    run_at = serializers.DateTimeField(allow_null=True, help_text="when people were last sorted")
    brackets = BracketOut(many=True)


class WaitingTagOut(serializers.Serializer):
    id = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=[kind.value for kind in waiting.KINDS])
    scope = serializers.CharField()
    value = serializers.CharField(
        help_text="without its middle: a phone number where the key has not `contacts.phones`, a unionid or openid where it "
        "has not `contacts.edit`"
    )
    tag_id = serializers.IntegerField()
    tag = serializers.CharField()
    group = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]
    at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(allow_null=True)


class ComputedTagViewSet(viewsets.ViewSet):
    capabilities = {"list": "contacts.view", "retrieve": "contacts.view"}

    @extend_schema(
        operation_id="computed_tags_list",
        responses=inline_serializer("ComputedTagList", {"results": ComputedTagOut(many=True)}),
    )
    def list(self, request: Any) -> JsonResponse:
        """GET /api/v1/computed-tags/: sets of tags of which everybody has the one that their number falls into."""
        rows = list(ComputedTag.objects.filter(deleted_at=None).select_related("field").order_by("name"))
        return JsonResponse({"results": _computed(request.brand.pk, rows)})

    @extend_schema(operation_id="computed_tags_retrieve", responses=ComputedTagOut)
    def retrieve(self, request: Any, pk: int) -> JsonResponse:
        """GET /api/v1/computed-tags/<id>/: one."""
        rows = list(ComputedTag.objects.filter(deleted_at=None, pk=pk).select_related("field"))
        if not rows:
            raise NotFoundError()
        return JsonResponse(_computed(request.brand.pk, rows)[0])


def _computed(brand_id: int, rows: Sequence[ComputedTag]) -> list[dict[str, Any]]:
    """Two queries, whatever their number."""
    ids = [bracket["tag_id"] for row in rows for bracket in row.brackets]
    names, counts = dict(Tag.objects.filter(pk__in=ids).values_list("pk", "name")), carriers(brand_id, ids)
    found = [
        {name: getattr(row, name) for name in ("id", "name", "measure", "group_id", "is_on", "run_at")}
        | {
            "field": row.field.key if row.field else "",
            "brackets": [
                {
                    "from": b.get("from"), "to": b.get("to"), "none": bool(b.get("none")), "tag_id": b["tag_id"],
                    "name": names.get(b["tag_id"], ""), "n_contacts": counts.get(b["tag_id"], 0),
                }
                for b in row.brackets
            ],
        }
        for row in rows
    ]  # fmt: skip
    return [dict(row) for row in ComputedTagOut(found, many=True).data]


class WaitingTagViewSet(viewsets.ViewSet):
    capabilities = {"list": "tags.edit"}

    @extend_schema(
        operation_id="waiting_tags_list",
        responses=inline_serializer(
            "WaitingTagPage", {"results": WaitingTagOut(many=True), "next": serializers.CharField()}
        ),
        parameters=[
            OpenApiParameter("kind", str, enum=[kind.value for kind in waiting.KINDS]),
            OpenApiParameter("value", str, description="exactly this identity; with `kind`"),
            OpenApiParameter("tag", int, description="id of a tag"),
            *paged(SIZE),
        ],
    )
    def list(self, request: Any) -> JsonResponse:
        """GET /api/v1/waiting-tags/: tags of people who are known by an identity only, newest first."""
        query, rows = request.query_params, WaitingTag.objects.select_related("tag__group")
        if kind := asked_word(query, "kind", waiting.KINDS):
            rows = rows.filter(kind=kind)
        if value := query.get("value", "").replace("\x00", ""):
            if not kind:
                raise InvalidError(_("Say of which kind"), fields={"kind": ", ".join(waiting.KINDS)})
            rows = rows.filter(value=value)
        if (tag_id := asked_number(request.query_params, "tag")) is not None:
            rows = rows.filter(tag=tag_id)
        page = asked_page(request, rows, ("-pk",), SIZE)
        found = [
            {
                name: getattr(row, name)
                for name in ("id", "kind", "scope", "tag_id", "source", "at", "expires_at")
            }
            | {
                "value": listed(row.kind, row.value, request.user.can),
                "tag": row.tag.name,
                "group": row.tag.group.name,
            }
            for row in page
        ]
        return page_answer(WaitingTagOut(found, many=True).data, page)
