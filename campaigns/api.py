"""REST API of touches (read)."""

from typing import Any

from django.http import JsonResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, viewsets

from campaigns.models import SendTask, Touch
from campaigns.services.broadcasts import broadcast_touches, broadcasts
from campaigns.services.ledger import waiting
from campaigns.services.sops import sops
from contacts.models import Contact
from scrm.api_pages import asked_page, page_answer, page_out, paged
from scrm.api_query import asked_number, asked_word
from scrm.errors import NotFoundError


class TouchOut(serializers.Serializer):
    """One message to one contact. `state` and `reason` are words that do not change; `reason` is empty when
    all is well."""

    id = serializers.IntegerField()
    at = serializers.DateTimeField(help_text="the moment it was planned for, UTC")
    kind = serializers.CharField(help_text="welcome | sop | broadcast | direct")
    contact_id = serializers.IntegerField()
    staff_id = serializers.IntegerField(allow_null=True)
    sop_id = serializers.IntegerField(allow_null=True)
    step_id = serializers.IntegerField(allow_null=True)
    broadcast_id = serializers.IntegerField(allow_null=True)
    wave_id = serializers.IntegerField(allow_null=True)
    variant_id = serializers.IntegerField(allow_null=True)
    content_id = serializers.IntegerField(allow_null=True, help_text="version of the library")
    send_task_id = serializers.IntegerField(allow_null=True, help_text="see /send-tasks/")
    state = serializers.CharField(help_text="planned | blocked | handed | delivered | failed | cancelled")
    reason = serializers.CharField(help_text="do_not_contact | capped | not_followed | too_late | … or empty")
    error = serializers.CharField(help_text="WeCom's words, or empty")
    confirmed_at = serializers.DateTimeField(
        allow_null=True,
        help_text="its guide pressed send; WeCom's result for this customer may still be to come",
    )
    done_at = serializers.DateTimeField(allow_null=True)
    opened_at = serializers.DateTimeField(allow_null=True, help_text="first opening of a link of it")
    replied_at = serializers.DateTimeField(allow_null=True)
    converted_at = serializers.DateTimeField(allow_null=True, help_text="first order counted for it")


class TouchViewSet(viewsets.ViewSet):
    capabilities = {"list": "sops.view"}

    @extend_schema(
        responses=page_out("TouchPage", TouchOut),
        parameters=[
            OpenApiParameter("contact", int),
            OpenApiParameter("sop", int),
            OpenApiParameter("broadcast", int),
            OpenApiParameter("staff", int),
            OpenApiParameter("state", str),
            OpenApiParameter(
                "mark", str, description="what the customer did after it: opened | replied | converted"
            ),
            *paged(),
        ],
    )
    def list(self, request: Any) -> JsonResponse:
        """GET /api/v1/touches/?contact=: the ledger, newest first."""
        rows = Touch.objects.all()
        if (contact_id := asked_number(request.query_params, "contact")) is not None:
            if not Contact.objects.filter(pk=contact_id).exists():
                raise NotFoundError()
            rows = rows.filter(contact_id=contact_id)
        if (sop_id := asked_number(request.query_params, "sop")) is not None:
            rows = rows.filter(sop_id=sops.get_sop(sop_id).pk)
        if (broadcast_id := asked_number(request.query_params, "broadcast")) is not None:
            broadcast = broadcasts.get_broadcast(broadcast_id)
            rows = broadcast_touches.of_broadcast(rows, broadcast)
        if (staff_id := asked_number(request.query_params, "staff")) is not None:
            rows = rows.filter(staff_id=staff_id)
        if mark := asked_word(request.query_params, "mark", broadcast_touches.MARKS):
            rows = broadcast_touches.marked(rows, mark)
        by_name = {s.name.lower(): s for s in Touch.State}
        if state := asked_word(request.query_params, "state", by_name):
            rows = waiting.in_state(rows, by_name[state])
        page = asked_page(request, rows, ("-at", "-pk"))
        waiting.show(page)
        ids = {t.send_task_id for t in page if t.send_task_id}
        tasks = SendTask.objects.filter(pk__in=ids).order_by()
        confirmed = dict(tasks.values_list("pk", "confirmed_at")) if ids else {}
        found = [{**_touch(t), "confirmed_at": confirmed.get(t.send_task_id)} for t in page]
        return page_answer(TouchOut(found, many=True).data, page)


def _touch(touch: Touch) -> dict[str, Any]:
    names = (
        "id", "at", "contact_id", "staff_id", "sop_id", "step_id", "broadcast_id", "wave_id", "variant_id", "done_at",
        "opened_at", "replied_at", "converted_at", "content_id", "send_task_id", "error",
    )  # fmt: skip
    return {name: getattr(touch, name) for name in names} | {
        "kind": Touch.Kind(touch.kind).name.lower(),
        "state": Touch.State(touch.state).name.lower(),
        "reason": Touch.Reason(touch.reason).name.lower() if touch.reason else "",
    }
