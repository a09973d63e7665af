"""REST API of staff and stores (read): the ids that other addresses take and give."""

from typing import Any

from django.db.models import Q
from django.http import JsonResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, viewsets

from org.models import Staff, Store
from scrm.api_pages import asked_page, page_answer, page_out, paged
from scrm.api_query import asked_number, asked_word
from scrm.errors import NotFoundError


class StaffOut(serializers.Serializer):
    """A member of WeCom, or somebody who uses the dashboard only (`corpid` and `userid` are empty then)."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    corpid = serializers.CharField()
    userid = serializers.CharField(help_text="WeCom's")
    position = serializers.CharField()
    is_guide = serializers.BooleanField(help_text="has WeCom's right to serve customers")
    store_id = serializers.IntegerField(allow_null=True)
    region_id = serializers.IntegerField(allow_null=True)
    state = serializers.ChoiceField(choices=Staff.State.values)


class StoreOut(serializers.Serializer):
    id = serializers.IntegerField()
    name = serializers.CharField()
    code = serializers.CharField(help_text="the brand's own number of it; may be empty")
    region_id = serializers.IntegerField(allow_null=True)


class StaffViewSet(viewsets.ViewSet):
    capabilities = {"list": "staff.view", "retrieve": "staff.view"}

    @extend_schema(
        operation_id="staff_list",
        responses=page_out("StaffPage", StaffOut),
        parameters=[
            OpenApiParameter("userid", str, description="exactly this userid of WeCom, whatever its case"),
            OpenApiParameter("store", int, description="id of a store"),
            OpenApiParameter("guides", str, enum=["1"], description="only those who serve customers now"),
            OpenApiParameter("state", str, enum=Staff.State.values),
            *paged(),
        ],
    )
    def list(self, request: Any) -> JsonResponse:
        """GET /api/v1/staff/: everybody, in the order of their ids, those who have left too. All filters given must hold."""
        query, rows = request.query_params, Staff.objects.select_related("corp")
        if asked_word(query, "guides", ["1"]):
            rows = rows.guides()
        if state := asked_word(query, "state", Staff.State.values):
            rows = rows.filter(state=state)
        if (store := asked_number(query, "store")) is not None:
            rows = rows.filter(store=store)
        if "userid" in query:
            rows = rows.filter(~Q(userid=""), userid=query["userid"].replace("\x00", "").lower())
        page = asked_page(request, rows, ("pk",))
        return page_answer([_staff(one) for one in page], page)

    @extend_schema(operation_id="staff_retrieve", responses=StaffOut)
    def retrieve(self, request: Any, pk: int) -> JsonResponse:
        """GET /api/v1/staff/<id>/."""
        found = Staff.objects.select_related("corp").filter(pk=pk).first()
        if found is None:
            raise NotFoundError()
        return JsonResponse(_staff(found))


class StoreViewSet(viewsets.ViewSet):
    capabilities = {"list": "staff.view"}

    @extend_schema(
        operation_id="stores_list",
        responses=page_out("StorePage", StoreOut),
        parameters=[OpenApiParameter("code", str, description="exactly this number"), *paged()],
    )
    def list(self, request: Any) -> JsonResponse:
        """GET /api/v1/stores/: in the order of their ids."""
        rows = Store.objects.all()
        if "code" in request.query_params:
            rows = rows.filter(~Q(code=""), code=request.query_params["code"].replace("\x00", ""))
        page = asked_page(request, rows, ("pk",))
        return page_answer(StoreOut(page.rows, many=True).data, page)


def _staff(one: Staff) -> dict[str, Any]:
    names = ("id", "name", "userid", "position", "is_guide", "store_id", "region_id", "state")
    row = {name: getattr(one, name) for name in names} | {"corpid": one.corp.corpid if one.corp else ""}
    return dict(StaffOut(row).data)
