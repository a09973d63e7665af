"""REST API of group codes: list, make, change, delete; WeCom is told after the answer, `sync_state` says how far it is."""

from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.http import HttpResponse, JsonResponse
from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework import serializers, viewsets

from groups.models import GroupCode
from groups.services import codes
from groups.services.code_push import problem_of
from groups.services.codes import GroupCodeInput
from scrm.api_body import Body, id_list, read_body
from scrm.api_pages import asked_page, page_answer, paged

SIZE = 50


class GroupCodeOut(serializers.Serializer):
    id = serializers.IntegerField()
    name = serializers.CharField()
    group_ids = serializers.ListField(
        child=serializers.IntegerField(), help_text="in the order in which they fill"
    )
    is_growing = serializers.BooleanField(help_text="WeCom makes a new group when all are full")
    base_name = serializers.CharField()
    state = serializers.CharField(help_text="each stay of who came by it carries it")
    sync_state = serializers.ChoiceField(choices=GroupCode.Sync.values)
    sync_error = serializers.CharField()
    has_picture = serializers.BooleanField()
    n_joined = serializers.IntegerField()
    created_at = serializers.DateTimeField()


class GroupCodeIn(Body):
    name = serializers.CharField(max_length=60)
    group_ids = id_list(min_length=1, max_length=5)
    is_growing = serializers.BooleanField(required=False, default=True)
    base_name = serializers.CharField(required=False, allow_blank=True, default="", max_length=40)


class GroupCodeViewSet(viewsets.ViewSet):
    capabilities = {
        "list": "groups.view", "retrieve": "groups.view", "create": "codes.edit", "partial_update": "codes.edit",
        "destroy": "codes.edit",
    }  # fmt: skip

    @extend_schema(
        operation_id="group_codes_list",
        parameters=paged(SIZE),
        responses=inline_serializer(
            "GroupCodePage", {"results": GroupCodeOut(many=True), "next": serializers.CharField()}
        ),
    )
    def list(self, request: Any) -> HttpResponse:
        """GET /api/v1/group-codes/: newest first."""
        rows = GroupCode.objects.live()
        page = asked_page(request, rows, ("-pk",), SIZE)
        return page_answer(_rows(page.rows), page)

    @extend_schema(operation_id="group_codes_read", responses=GroupCodeOut)
    def retrieve(self, request: Any, pk: int) -> HttpResponse:
        return JsonResponse(_rows([codes.get_code(pk)])[0])

    @extend_schema(operation_id="group_codes_create", request=GroupCodeIn, responses={201: GroupCodeOut})
    def create(self, request: Any) -> HttpResponse:
        made = codes.create_code(request._request.brand, given=_given(request), by=request.user)
        return JsonResponse(_rows([made])[0], status=201)

    @extend_schema(
        operation_id="group_codes_change", request=GroupCodeIn(partial=True), responses=GroupCodeOut
    )
    def partial_update(self, request: Any, pk: int) -> HttpResponse:
        with transaction.atomic():  # held: what is left out is as another change at this moment has left it
            given = _given(request, codes.get_code(pk, lock=True))
            changed = codes.edit_code(request._request.brand, code_id=pk, given=given, by=request.user)
        return JsonResponse(_rows([changed])[0])

    @extend_schema(operation_id="group_codes_delete", request=None, responses={204: None})
    def destroy(self, request: Any, pk: int) -> HttpResponse:
        codes.delete_code(request._request.brand, code_id=pk, by=request.user)
        return HttpResponse(status=204)


def _given(request: Any, code: GroupCode | None = None) -> GroupCodeInput:
    """What was sent; of a change, what was left out is as it was."""
    given = read_body(GroupCodeIn, request, partial=code is not None)
    names = ("name", "group_ids", "is_growing", "base_name")
    old = {name: getattr(code, name) for name in names} if code else {}
    return GroupCodeInput(**{**old, **given})


def _rows(found: Sequence[GroupCode]) -> list[dict[str, Any]]:
    joined = codes.joined_by(found)
    names = (
        "name",
        "group_ids",
        "is_growing",
        "base_name",
        "state",
        "sync_state",
        "created_at",
    )
    return [
        {
            "id": code.pk,
            **{name: getattr(code, name) for name in names},
            "sync_error": problem_of(code.sync_error),
            "has_picture": code.file_id is not None,
            "n_joined": joined.get(code.pk, 0),
        }
        for code in found
    ]
