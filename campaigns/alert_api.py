"""REST API of alerts: what guides were told and what not and why, and the rules. Keyset pages."""

from typing import Any

from django.http import JsonResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers, viewsets

from campaigns.models import Alert, AlertRule
from campaigns.services.alerts import alert_preview, alert_rules
from contacts.models import EventType
from scrm.api_body import Body, read_body
from scrm.api_pages import asked_page, page_answer, page_out, paged
from scrm.api_query import asked_number, asked_word


class AlertOut(serializers.Serializer):
    """One event that a rule wants told. `event` is a word that does not change; `reason` is empty unless suppressed."""

    id = serializers.IntegerField()
    at = serializers.DateTimeField(help_text="of the event, UTC")
    event = serializers.SerializerMethodField()
    rule_id = serializers.IntegerField()
    contact_id = serializers.IntegerField()
    staff_id = serializers.IntegerField(allow_null=True)
    state = serializers.ChoiceField(choices=Alert.State.values)
    reason = serializers.ChoiceField(
        choices=[value for value in Alert.Reason.values if value], allow_blank=True
    )
    done_at = serializers.DateTimeField(allow_null=True)
    message_id = serializers.IntegerField(
        allow_null=True, help_text="alerts with the same one were told together"
    )

    def get_event(self, row: Alert) -> str:
        return EventType(row.type).name.lower()


class AlertRuleOut(serializers.Serializer):
    id = serializers.IntegerField()
    name = serializers.CharField()
    event = serializers.CharField()
    filters = serializers.JSONField()
    condition = serializers.JSONField()
    is_on = serializers.BooleanField()
    problem = serializers.CharField()


class AlertRuleIn(Body):
    """`event` is one of `GET /api/v1/tag-rules/events/` that guides can be told of."""

    name = serializers.CharField(max_length=60)
    event = serializers.CharField(max_length=30)
    filters = serializers.JSONField(required=False)
    condition = serializers.JSONField(required=False)
    is_on = serializers.BooleanField(required=False)


PAGE_OUT = inline_serializer("AlertPage", {"results": AlertOut(many=True), "next": serializers.CharField()})
PREVIEW_OUT = inline_serializer(
    "AlertPreview",
    {
        "n_events": serializers.IntegerField(),
        "n_messages": serializers.IntegerField(),
        "n_guides": serializers.IntegerField(),
    },
)


class AlertViewSet(viewsets.ViewSet):
    capabilities = {"list": "sops.view"}

    @extend_schema(
        operation_id="alerts_list",
        responses=PAGE_OUT,
        parameters=[
            OpenApiParameter("contact", int),
            OpenApiParameter("staff", int),
            OpenApiParameter("state", str, enum=Alert.State.values),
            *paged(),
        ],
    )
    def list(self, request: Any) -> JsonResponse:
        """GET /api/v1/alerts/: newest first."""
        rows = Alert.objects.all()
        for name, column in (("contact", "contact"), ("staff", "staff")):
            if (value := asked_number(request.query_params, name)) is not None:
                rows = rows.filter(**{column: value})
        if state := asked_word(request.query_params, "state", Alert.State.values):
            rows = rows.filter(state=state)
        page = asked_page(request, rows, ("-pk",))
        return page_answer(AlertOut(page.rows, many=True).data, page)


class AlertRuleViewSet(viewsets.ViewSet):
    capabilities = {
        "list": "sops.view",
        "create": "sops.edit",
        "partial_update": "sops.edit",
        "destroy": "sops.edit",
        "preview": "sops.view",
    }

    @extend_schema(
        operation_id="alert_rules_list", responses=page_out("AlertRules", AlertRuleOut, whole=True)
    )
    def list(self, request: Any) -> JsonResponse:
        """GET /api/v1/alert-rules/: all rules."""
        rows = AlertRule.objects.filter(deleted_at=None).order_by("pk")
        return JsonResponse({"results": AlertRuleOut(rows, many=True).data})

    @extend_schema(operation_id="alert_rules_create", request=AlertRuleIn, responses={201: AlertRuleOut})
    def create(self, request: Any) -> JsonResponse:
        """POST /api/v1/alert-rules/: off, unless `is_on` is true."""
        return JsonResponse(self._save(request, None), status=201)

    @extend_schema(operation_id="alert_rules_update", request=AlertRuleIn, responses=AlertRuleOut)
    def partial_update(self, request: Any, pk: int) -> JsonResponse:
        """PATCH /api/v1/alert-rules/<id>/."""
        return JsonResponse(self._save(request, pk))

    def _save(self, request: Any, pk: int | None) -> dict[str, Any]:
        if pk is not None:
            alert_rules.get_rule(pk)
        values = read_body(AlertRuleIn, request, partial=pk is not None)
        on = values.pop("is_on", None)
        if pk is None:
            values = {"filters": {}, "condition": {}, **values}
        rule = alert_rules.save(request.brand, values, by=request.actor, rule_id=pk)
        if on is not None:
            rule = alert_rules.switch(request.brand, rule_id=rule.pk, on=on, by=request.actor)
        return dict(AlertRuleOut(rule).data)

    @extend_schema(operation_id="alert_rules_delete", responses={204: None})
    def destroy(self, request: Any, pk: int) -> JsonResponse:
        """DELETE /api/v1/alert-rules/<id>/."""
        alert_rules.delete(request.brand, rule_id=pk, by=request.actor)
        return JsonResponse({}, status=204)

    @extend_schema(operation_id="alert_rules_preview", responses=PREVIEW_OUT)
    def preview(self, request: Any, pk: int) -> JsonResponse:
        """GET /api/v1/alert-rules/<id>/preview/: what it would have told yesterday."""
        found = alert_preview.yesterday(request.brand, alert_rules.get_rule(pk))
        return JsonResponse(
            {"n_events": found.n_events, "n_messages": found.n_messages, "n_guides": found.n_guides}
        )
