"""REST API of SOPs (read, pause, go on, end) and touches (read): keyset pages `{"results": […], "next": "token or empty"}`."""

from typing import Any

from django.http import JsonResponse
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, viewsets

from campaigns.models import SendTask, Sop, Touch
from campaigns.services import broadcasts, numbers, sops, waiting
from contacts.models import Contact
from scrm.errors import InvalidError, NotFoundError
from scrm.ids import asked_id, read_id
from scrm.keyset import keyset_page

SIZE = 100


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


class SopStepOut(serializers.Serializer):
    id = serializers.IntegerField()
    day = serializers.IntegerField()
    time = serializers.CharField(help_text="HH:MM in the brand's zone")
    text = serializers.CharField()


class SopOut(serializers.Serializer):
    """An SOP with its figures."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    state = serializers.CharField(help_text="draft | on | paused | ended")
    form = serializers.CharField(help_text="steps | graph; a graph is read at /sops/<id>/graph/")
    late_days = serializers.IntegerField()
    steps = SopStepOut(many=True)
    n_in = serializers.IntegerField(help_text="people with a step still to come")
    n_done = serializers.IntegerField()
    n_left = serializers.IntegerField()
    n_waiting = serializers.IntegerField()
    n_sent = serializers.IntegerField()
    n_failed = serializers.IntegerField()
    n_blocked = serializers.IntegerField()


AFTER = OpenApiParameter("after", str, description="`next` of the page before")


class TouchViewSet(viewsets.ViewSet):
    capabilities = {"list": "sops.view"}

    @extend_schema(
        responses=TouchOut(many=True),
        parameters=[
            OpenApiParameter("contact", int),
            OpenApiParameter("sop", int),
            OpenApiParameter("broadcast", int),
            OpenApiParameter("state", str),
            AFTER,
        ],
    )
    def list(self, request: Any) -> JsonResponse:
        """GET /api/v1/touches/?contact=: the ledger, newest first."""
        rows = Touch.objects.all()
        if (contact_id := asked_id(request.query_params, "contact")) is not None:
            if not Contact.objects.filter(pk=contact_id).exists():
                raise NotFoundError()
            rows = rows.filter(contact_id=contact_id)
        if (sop_id := asked_id(request.query_params, "sop")) is not None:
            rows = rows.filter(sop_id=sops.get_sop(sop_id).pk)
        if (broadcast_id := asked_id(request.query_params, "broadcast")) is not None:
            broadcast = broadcasts.get_broadcast(broadcast_id)
            rows = rows.filter(broadcast_id=broadcast.pk, at__gte=broadcast.created_at)
        if state := request.query_params.get("state"):
            by_name = {s.name.lower(): s for s in Touch.State}
            if state not in by_name:
                raise InvalidError(_("Unknown state"), fields={"state": ", ".join(by_name)})
            rows = waiting.in_state(rows, by_name[state])
        page = keyset_page(rows, order=("-at", "-pk"), after=request.query_params.get("after"), size=SIZE)
        waiting.show(page)
        ids = {t.send_task_id for t in page if t.send_task_id}
        tasks = SendTask.objects.filter(pk__in=ids).order_by()
        confirmed = dict(tasks.values_list("pk", "confirmed_at")) if ids else {}
        found = [{**_touch(t), "confirmed_at": confirmed.get(t.send_task_id)} for t in page]
        return JsonResponse({"results": TouchOut(found, many=True).data, "next": page.next})


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


class SopViewSet(viewsets.ViewSet):
    capabilities = {
        "list": "sops.view",
        "retrieve": "sops.view",
        "pause": "sops.edit",
        "resume": "sops.edit",
        "end": "sops.edit",
    }

    @extend_schema(responses=SopOut(many=True), parameters=[AFTER])
    def list(self, request: Any) -> JsonResponse:
        """GET /api/v1/sops/: SOPs with their figures, newest first."""
        page = keyset_page(
            Sop.objects.all(), order=("-pk",), after=request.query_params.get("after"), size=SIZE
        )
        return JsonResponse({"results": _sops(list(page)), "next": page.next})

    @extend_schema(responses=SopOut)
    def retrieve(self, request: Any, pk: str) -> JsonResponse:
        """GET /api/v1/sops/<id>/."""
        return JsonResponse(_sops([sops.get_sop(read_id(pk) or 0)])[0])

    @extend_schema(operation_id="sops_pause", request=None, responses=SopOut)
    def pause(self, request: Any, pk: int) -> JsonResponse:
        """POST /api/v1/sops/<id>/pause/: nothing more is planned or handed to WeCom; guides may send what they have."""
        return JsonResponse(_sops([sops.pause(request.brand, sop_id=pk, by=request.actor)])[0])

    @extend_schema(operation_id="sops_resume", request=None, responses=SopOut)
    def resume(self, request: Any, pk: int) -> JsonResponse:
        """POST /api/v1/sops/<id>/resume/: go on after a pause."""
        return JsonResponse(_sops([sops.resume(request.brand, sop_id=pk, by=request.actor)])[0])

    @extend_schema(operation_id="sops_end", request=None, responses=SopOut)
    def end(self, request: Any, pk: int) -> JsonResponse:
        """POST /api/v1/sops/<id>/end/: for good; everybody leaves, and what guides have not confirmed is stopped."""
        return JsonResponse(_sops([sops.end(request.brand, sop_id=pk, by=request.actor)])[0])


def _sops(rows: list[Sop]) -> list[dict[str, Any]]:
    figures = numbers.of_sops([sop.pk for sop in rows])
    steps = numbers.steps_of([sop.pk for sop in rows])
    found = []
    for sop in rows:
        mine = [
            {"id": s.pk, "day": s.day, "time": f"{s.hour:02}:{s.minute:02}", "text": s.text}
            for s in steps.get(sop.pk, [])
        ]
        n = figures[sop.pk]
        found.append(
            {
                "id": sop.pk,
                "name": sop.name,
                "state": sop.state,
                "form": sop.form,
                "late_days": sop.late_days,
                "steps": mine,
            }
            | {
                name: getattr(n, name)
                for name in ("n_in", "n_done", "n_left", "n_waiting", "n_sent", "n_failed", "n_blocked")
            }
        )
    return list(SopOut(found, many=True).data)
