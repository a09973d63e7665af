"""REST API of what waits for a second person in SOPs: read, approve, send back, withdraw."""

from typing import Any

from django.http import JsonResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, viewsets

from campaigns.models import SopRequest
from campaigns.services.sops import sop_approval, sop_request_words, sop_requests
from org.access import Actor
from scrm.api_body import Body, read_body
from scrm.api_pages import asked_page, page_answer, page_out, paged
from scrm.api_query import asked_number, asked_word
from scrm.errors import ForbiddenError


class SopRequestOut(serializers.Serializer):
    """What somebody has handed in. Nothing of it is in force before `state` is approved."""

    id = serializers.IntegerField()
    sop_id = serializers.IntegerField()
    name = serializers.CharField(source="sop.name", help_text="of the SOP")
    kind = serializers.CharField(help_text="on | change | version | priority | people")
    state = serializers.CharField(help_text="waiting | approved | refused | withdrawn | overtaken")
    note = serializers.CharField()
    asked_by = serializers.CharField()
    asked_at = serializers.DateTimeField()
    decided_by = serializers.CharField(help_text="or whoever withdrew or overtook it")
    decided_at = serializers.DateTimeField(allow_null=True)
    reason = serializers.CharField(help_text="why it was sent back")


class SopRequestWhole(SopRequestOut):
    """With what is in it."""

    is_own = serializers.BooleanField(help_text="this key has made or handed it in and cannot approve it")
    changes = serializers.ListField(
        child=serializers.CharField(), help_text="what differs from what was in force; all of what is new"
    )
    entries = serializers.ListField(child=serializers.CharField(), help_text="who comes in")
    problem = serializers.CharField(help_text="why a yes would be refused now; empty: it would not")
    warnings = serializers.ListField(
        child=serializers.CharField(), help_text="what would come into force and not do what is meant"
    )
    rehearsal_ids = serializers.ListField(
        child=serializers.IntegerField(), help_text="of exactly this graph, at /sops/<id>/rehearsals/<id>/"
    )
    proposal = serializers.JSONField(
        help_text="as it was handed in: steps, or graph, people and mapping, or priority, or contact_ids"
    )


class RejectIn(Body):
    reason = serializers.CharField(max_length=sop_approval.MAX_REASON)


class SopRequestViewSet(viewsets.ViewSet):
    capabilities = {
        "list": "sops.view",
        "retrieve": "sops.view",
        "approve": "broadcasts.approve",
        "reject": "broadcasts.approve",
        "withdraw": "sops.edit",
    }

    @extend_schema(
        operation_id="sop_requests_list",
        responses=page_out("SopRequests", SopRequestOut),
        parameters=[
            OpenApiParameter("state", str, enum=SopRequest.State.values),
            OpenApiParameter("sop", int),
            *paged(),
        ],
    )
    def list(self, request: Any) -> JsonResponse:
        """GET /api/v1/sops/requests/: newest first."""
        rows = SopRequest.objects.select_related("sop").defer("proposal")
        if state := asked_word(request.query_params, "state", SopRequest.State.values):
            rows = rows.filter(state=state)
        if sop_id := asked_number(request.query_params, "sop"):
            rows = rows.filter(sop=sop_id)
        page = asked_page(request, rows, ("-pk",))
        return page_answer(SopRequestOut(page.rows, many=True).data, page)

    @extend_schema(operation_id="sop_requests_retrieve", responses=SopRequestWhole)
    def retrieve(self, request: Any, pk: int) -> JsonResponse:
        """GET /api/v1/sops/requests/<id>/: with what is in it."""
        return JsonResponse(_whole(request, sop_requests.get_request(pk)))

    @extend_schema(operation_id="sop_requests_approve", request=None, responses=SopRequestWhole)
    def approve(self, request: Any, pk: int) -> JsonResponse:
        """POST /api/v1/sops/requests/<id>/approve/: it comes into force. 403 for whoever has made or handed it in, 409 when
        it does not wait any more, 422 when what it names is gone."""
        check_may_decide(request.user)
        sop_approval.approve(request.brand, request_id=pk, by=request.user)
        return JsonResponse(_whole(request, sop_requests.get_request(pk)))

    @extend_schema(operation_id="sop_requests_reject", request=RejectIn, responses=SopRequestWhole)
    def reject(self, request: Any, pk: int) -> JsonResponse:
        """POST /api/v1/sops/requests/<id>/reject/: sent back with a reason."""
        check_may_decide(request.user)
        sop_requests.get_request(pk)
        reason = read_body(RejectIn, request)["reason"]
        found = sop_approval.reject(request.brand, request_id=pk, reason=reason, by=request.user)
        return JsonResponse(_whole(request, found))

    @extend_schema(operation_id="sop_requests_withdraw", request=None, responses=SopRequestWhole)
    def withdraw(self, request: Any, pk: int) -> JsonResponse:
        """POST /api/v1/sops/requests/<id>/withdraw/: it can be changed and handed in again."""
        return JsonResponse(
            _whole(request, sop_approval.withdraw(request.brand, request_id=pk, by=request.user))
        )


def check_may_decide(actor: Actor) -> None:
    """Whoever decides on SOPs may see them. Raises ForbiddenError."""
    if not (actor.can("broadcasts.approve") and actor.can("sops.view")):
        raise ForbiddenError()


def _whole(request: Any, found: SopRequest) -> dict[str, Any]:
    brand = request.brand
    waits = found.state == SopRequest.State.WAITING
    more = {
        "is_own": sop_requests.is_own(found, request.user),
        "changes": sop_request_words.changes(brand, found),
        "entries": sop_request_words.entries(brand, found),
        "problem": sop_request_words.problem(brand, found) if waits else "",
        "warnings": sop_request_words.warnings(brand, found) if waits else [],
        "rehearsal_ids": [job.pk for job in sop_request_words.rehearsals(found)],
    }
    for name, value in more.items():
        setattr(found, name, value)
    return dict(SopRequestWhole(found).data)
