"""REST API of send tasks: what was handed to which guide, who has confirmed, what became of it. Read only."""

from datetime import datetime
from typing import Any

from django.http import JsonResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers, viewsets

from campaigns.models import SendTask
from campaigns.services.broadcasts import broadcasts
from campaigns.services.sops import sops
from org.models import Staff
from scrm.api_pages import asked_page, page_answer, page_out, paged
from scrm.api_query import asked_number, asked_word
from scrm.errors import NotFoundError

COLUMNS = ("text", "attachments", "contact_ids")  # of up to a thousand people: the touches tell who


class SendTaskOut(serializers.Serializer):
    """One content for up to 1,000 customers of one guide: one call of WeCom, one confirmation by the guide."""

    id = serializers.IntegerField()
    state = serializers.CharField(help_text="planned | calling | handed | final | failed | cancelled")
    staff_id = serializers.IntegerField()
    sop_id = serializers.IntegerField(allow_null=True)
    step_id = serializers.IntegerField(allow_null=True)
    broadcast_id = serializers.IntegerField(allow_null=True)
    wave_id = serializers.IntegerField(allow_null=True)
    variant_id = serializers.IntegerField(allow_null=True)
    content_id = serializers.IntegerField(allow_null=True, help_text="version of the library")
    at = serializers.DateTimeField(help_text="the moment it was planned for, UTC")
    msgid = serializers.CharField(help_text="WeCom's; empty until it is handed over")
    handed_at = serializers.SerializerMethodField()
    confirmed_at = serializers.DateTimeField(allow_null=True, help_text="the guide pressed send")
    cancelled_at = serializers.DateTimeField(
        allow_null=True, help_text="it was stopped; results may still come"
    )
    n = serializers.IntegerField(help_text="customers")
    n_sent = serializers.IntegerField()
    n_failed = serializers.IntegerField()
    error = serializers.CharField(help_text="WeCom's words, or empty")

    @extend_schema_field(serializers.DateTimeField(allow_null=True))
    def get_handed_at(self, task: SendTask) -> datetime | None:
        """WeCom's moment; empty while nobody knows whether it has the task."""
        return task.called_at if task.msgid else None


class SendTaskViewSet(viewsets.ViewSet):
    capabilities = {"list": "sops.view"}

    @extend_schema(
        operation_id="send_tasks_list",
        responses=page_out("SendTaskPage", SendTaskOut),
        parameters=[
            OpenApiParameter("sop", int),
            OpenApiParameter("broadcast", int),
            OpenApiParameter("guide", int),
            OpenApiParameter("state", str, enum=list(SendTask.State.values)),
            *paged(),
        ],
    )
    def list(self, request: Any) -> JsonResponse:
        """GET /api/v1/send-tasks/: newest first."""
        given = request.query_params
        rows = SendTask.objects.defer(*COLUMNS)
        if (sop_id := asked_number(given, "sop")) is not None:
            rows = rows.filter(sop=sops.get_sop(sop_id))
        if (broadcast_id := asked_number(given, "broadcast")) is not None:
            rows = rows.filter(broadcast=broadcasts.get_broadcast(broadcast_id))
        if (staff_id := asked_number(given, "guide")) is not None:
            if not Staff.objects.filter(pk=staff_id).exists():
                raise NotFoundError()
            rows = rows.filter(staff=staff_id)
        if state := asked_word(request.query_params, "state", SendTask.State.values):
            rows = rows.filter(state=state)
        page = asked_page(request, rows, ("-pk",))
        return page_answer(SendTaskOut(list(page), many=True).data, page)
