"""REST API of moments: list, read, order one, stop it. Keyset pages `{"results": […], "next": "token or empty"}`."""

from typing import Any

from django.http import JsonResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers, viewsets

from campaigns.models import Moment, MomentGuide
from campaigns.services.moments import moments
from campaigns.services.moments.moments import MomentInput
from scrm.api_body import Body, Id, id_list, read_body
from scrm.api_pages import asked_page, page_answer, paged
from scrm.api_query import asked_word

MAX_KEY = 70


class MomentOut(serializers.Serializer):
    """A moment with its figures. `n_customers` counts a customer once for each guide who published it."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    text = serializers.CharField()
    attachments = serializers.JSONField()
    corp_id = serializers.IntegerField()
    staff_ids = serializers.ListField(
        child=serializers.IntegerField(), help_text="who publishes; empty: everybody in range"
    )
    tag_ids = serializers.ListField(
        child=serializers.IntegerField(), help_text="who sees it; empty: all customers"
    )
    at = serializers.DateTimeField(help_text="when it goes to the guides, UTC")
    late_hours = serializers.IntegerField(help_text="hours after `at` in which it may still be handed over")
    state = serializers.ChoiceField(choices=Moment.State.values)
    error = serializers.CharField(help_text="why it failed or waits; empty when all is well")
    moment_id = serializers.CharField(help_text="WeCom's id, empty before")
    n_guides = serializers.IntegerField()
    n_published = serializers.IntegerField()
    n_customers = serializers.IntegerField()
    n_likes = serializers.IntegerField()
    n_comments = serializers.IntegerField()
    cancelled_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)


class MomentIn(Body):
    """`key` makes the order one: the same key gives the moment that is there, unchanged."""

    key = serializers.CharField(max_length=MAX_KEY)
    name = serializers.CharField(max_length=60)
    text = serializers.CharField(required=False, allow_blank=True, max_length=4000)
    attachments = serializers.JSONField(required=False)
    corp_id = Id(required=False)
    staff_ids = id_list(required=False, max_length=moments.MAX_GUIDES)
    tag_ids = id_list(required=False, max_length=moments.MAX_TAGS)
    at = serializers.DateTimeField(required=False, help_text="with its zone; left out: now")
    late_hours = serializers.IntegerField(
        required=False, default=24, help_text="hours after `at` in which it may still be handed over"
    )


class MomentGuideOut(serializers.Serializer):
    staff_id = serializers.IntegerField(allow_null=True)
    userid = serializers.CharField()
    state = serializers.ChoiceField(choices=MomentGuide.State.values)
    published_at = serializers.DateTimeField(allow_null=True, help_text="when we saw it")
    n_customers = serializers.IntegerField()
    n_likes = serializers.IntegerField()
    n_comments = serializers.IntegerField()


PAGE_OUT = inline_serializer("MomentPage", {"results": MomentOut(many=True), "next": serializers.CharField()})
GUIDES_OUT = inline_serializer(
    "MomentGuidePage", {"results": MomentGuideOut(many=True), "next": serializers.CharField()}
)


class MomentViewSet(viewsets.ViewSet):
    capabilities = {
        "list": "broadcasts.view",
        "retrieve": "broadcasts.view",
        "guides": "broadcasts.view",
        "create": "broadcasts.edit",
        "cancel": "broadcasts.edit",
        "remind": "broadcasts.edit",
        "reject": "broadcasts.edit",
        "approve": "broadcasts.approve",
    }

    @extend_schema(
        operation_id="moments_list",
        responses=PAGE_OUT,
        parameters=[OpenApiParameter("state", str, enum=Moment.State.values), *paged()],
    )
    def list(self, request: Any) -> JsonResponse:
        """GET /api/v1/moments/: newest first."""
        rows = Moment.objects.all()
        if state := asked_word(request.query_params, "state", Moment.State.values):
            rows = rows.filter(state=state)
        page = asked_page(request, rows, ("-pk",))
        return page_answer(MomentOut(page.rows, many=True).data, page)

    @extend_schema(operation_id="moments_create", request=MomentIn, responses={201: MomentOut})
    def create(self, request: Any) -> JsonResponse:
        """POST /api/v1/moments/: planned at once, guides get it at `at`; its state is `approval` where the brand wants a
        second person to approve it first."""
        values = read_body(MomentIn, request)
        key = values.pop("key")
        moment = moments.create_for(
            request.brand, MomentInput(**values), key=key, source="api", by=request.actor
        )
        return JsonResponse(MomentOut(moment).data, status=201)

    @extend_schema(operation_id="moments_retrieve", responses=MomentOut)
    def retrieve(self, request: Any, pk: int) -> JsonResponse:
        """GET /api/v1/moments/<id>/."""
        return JsonResponse(MomentOut(moments.get_moment(pk)).data)

    @extend_schema(operation_id="moments_guides", responses=GUIDES_OUT, parameters=paged())
    def guides(self, request: Any, pk: int) -> JsonResponse:
        """GET /api/v1/moments/<id>/guides/: each guide's part."""
        rows = MomentGuide.objects.filter(moment=moments.get_moment(pk))
        page = asked_page(request, rows, ("userid",))
        return page_answer(MomentGuideOut(page.rows, many=True).data, page)

    @extend_schema(operation_id="moments_approve", request=None, responses=MomentOut)
    def approve(self, request: Any, pk: int) -> JsonResponse:
        """POST /api/v1/moments/<id>/approve/: 403 for whoever wrote or submitted it, 409 when it does not wait for it."""
        moment = moments.approve(request.brand, moment_id=pk, by=request.actor)
        return JsonResponse(MomentOut(moment).data)

    @extend_schema(operation_id="moments_reject", request=None, responses=MomentOut)
    def reject(self, request: Any, pk: int) -> JsonResponse:
        """POST /api/v1/moments/<id>/reject/: what waits for approval is a draft again."""
        moment = moments.reject(request.brand, moment_id=pk, by=request.actor)
        return JsonResponse(MomentOut(moment).data)

    @extend_schema(
        operation_id="moments_remind",
        request=None,
        responses=inline_serializer("MomentReminded", {"n": serializers.IntegerField()}),
    )
    def remind(self, request: Any, pk: int) -> JsonResponse:
        """POST /api/v1/moments/<id>/remind/: a message to everybody who has not published it yet; how many were told.
        409 when nobody has to, 429 when everybody was reminded within the last hours."""
        return JsonResponse({"n": moments.remind(request.brand, moment_id=pk, by=request.actor)})

    @extend_schema(operation_id="moments_cancel", request=None, responses=MomentOut)
    def cancel(self, request: Any, pk: int) -> JsonResponse:
        """POST /api/v1/moments/<id>/cancel/: who has not published it yet does not any more; within a minute."""
        moment = moments.cancel(request.brand, moment_id=pk, by=request.actor, at_once=False)
        return JsonResponse(MomentOut(moment).data)
