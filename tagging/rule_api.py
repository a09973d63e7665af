"""REST API of automatic tag rules: the same values as the page, preview, switches, history."""

from typing import Any

from django.http import HttpResponse, JsonResponse
from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework import serializers, viewsets

from scrm.api_body import Body, read_body
from scrm.errors import NotFoundError
from tagging.models import TagAct, TagRule
from tagging.rule_events import EVENTS, FILTERS
from tagging.services.rules import rule_preview, rules


class RuleIn(Body):
    """Kind `event` needs `event` (GET tag-rules/events/); kind `condition` needs `condition`, as segments have it."""

    name = serializers.CharField(max_length=60)
    kind = serializers.ChoiceField(choices=TagRule.Kind.values)
    event = serializers.CharField(required=False, allow_blank=True)
    filters = serializers.JSONField(required=False)
    window_days = serializers.IntegerField(required=False, allow_null=True)
    n_at_least = serializers.IntegerField(required=False)
    amount_at_least_fen = serializers.IntegerField(required=False, allow_null=True)
    condition = serializers.JSONField(required=False, allow_null=True)
    keeps_in_step = serializers.BooleanField(required=False)
    add_tag_ids = serializers.ListField(child=serializers.IntegerField(), required=False)
    remove_tag_ids = serializers.ListField(child=serializers.IntegerField(), required=False)
    expires_days = serializers.IntegerField(required=False, allow_null=True)


class RuleOut(RuleIn):
    id = serializers.IntegerField()
    is_on = serializers.BooleanField()
    on_since = serializers.DateTimeField(allow_null=True)
    run_at = serializers.DateTimeField(allow_null=True)
    problem = serializers.CharField(help_text="why it cannot run; empty when all is well")


class OnIn(Body):
    confirm = serializers.BooleanField(
        required=False, help_text="needed when it would hit more than 30 % of everybody"
    )
    past_days = serializers.IntegerField(required=False, min_value=0, max_value=365)


RULES_OUT = inline_serializer("TagRules", {"results": RuleOut(many=True), "next": serializers.CharField()})
PREVIEW_OUT = inline_serializer(
    "TagRulePreview",
    {
        "n_match": serializers.IntegerField(),
        "n_people": serializers.IntegerField(help_text="of these, who would be changed"),
        "n_everybody": serializers.IntegerField(),
        "share": serializers.FloatField(),
        "needs_confirm": serializers.BooleanField(),
        "added": serializers.DictField(child=serializers.IntegerField()),
        "removed": serializers.DictField(child=serializers.IntegerField()),
        "n_later": serializers.IntegerField(
            help_text="carry a tag for a time already, and would keep it for longer"
        ),
        "sample": serializers.ListField(child=serializers.IntegerField()),
    },
)
RUNS_OUT = inline_serializer(
    "TagRuleRuns",
    {
        "results": serializers.ListField(
            child=inline_serializer(
                "TagRuleRun",
                {
                    "id": serializers.IntegerField(help_text="POST tag-acts/<id>/undo/ takes it back"),
                    "at": serializers.DateTimeField(),
                    "n_people": serializers.IntegerField(),
                    "n_added": serializers.IntegerField(),
                    "n_removed": serializers.IntegerField(),
                    "undone_at": serializers.DateTimeField(allow_null=True),
                },
            )
        )
    },
)
EVENTS_OUT = inline_serializer(
    "TagRuleEvents", {"results": serializers.ListField(child=serializers.JSONField())}
)


class RuleViewSet(viewsets.ViewSet):
    capabilities = dict.fromkeys(
        ("list", "retrieve", "create", "partial_update", "destroy", "preview", "on", "off", "runs", "events"),
        "tags.edit",
    )

    @extend_schema(operation_id="tag_rules_list", responses=RULES_OUT)
    def list(self, request: Any) -> JsonResponse:
        """GET /api/v1/tag-rules/: rules in the order in which they run; `next` is always empty."""
        rows = TagRule.objects.filter(deleted_at=None).order_by("position", "pk")
        return JsonResponse({"results": [_out(rule) for rule in rows], "next": ""})

    @extend_schema(operation_id="tag_rules_retrieve", responses=RuleOut)
    def retrieve(self, request: Any, pk: int) -> JsonResponse:
        """GET /api/v1/tag-rules/<id>/."""
        return JsonResponse(_out(_get(pk)))

    @extend_schema(operation_id="tag_rules_create", request=RuleIn, responses={201: RuleOut})
    def create(self, request: Any) -> JsonResponse:
        """POST /api/v1/tag-rules/: a rule, switched off. 409 `circle` names the circle of rules that it would close."""
        rule = rules.create(request.brand, by=request.user, values=read_body(RuleIn, request))
        return JsonResponse(_out(rule), status=201)

    @extend_schema(operation_id="tag_rules_update", request=RuleIn, responses=RuleOut)
    def partial_update(self, request: Any, pk: int) -> JsonResponse:
        """PATCH /api/v1/tag-rules/<id>/: 409 `confirm` when it is on and would hit very many; `?confirm=1` says yes."""
        rule, values = _get(pk), read_body(RuleIn, request, partial=True)
        yes = request.query_params.get("confirm") == "1"
        rule = rules.edit(request.brand, by=request.user, rule=rule, values=values, confirmed=yes)
        return JsonResponse(_out(rule))

    @extend_schema(operation_id="tag_rules_delete", responses={204: None})
    def destroy(self, request: Any, pk: int) -> HttpResponse:
        """DELETE /api/v1/tag-rules/<id>/: what it did stays."""
        rules.delete(request.brand, by=request.user, rule=_get(pk))
        return HttpResponse(status=204)

    @extend_schema(operation_id="tag_rules_preview", request=RuleIn, responses=PREVIEW_OUT)
    def preview(self, request: Any) -> JsonResponse:
        """POST /api/v1/tag-rules/preview/: what a rule would do now; events of the last 30 days. Nothing is changed."""
        rule = rules.build(request.brand, read_body(RuleIn, request))
        found = rule_preview.preview(request.brand, rule)
        return JsonResponse(
            {
                "n_match": found.n_match,
                "n_people": found.n_people,
                "n_everybody": found.n_everybody,
                "share": round(found.share, 4),
                "needs_confirm": found.is_large,
                "added": found.added,
                "removed": found.removed,
                "n_later": found.n_later,
                "sample": found.sample,
            }
        )

    @extend_schema(operation_id="tag_rules_on", request=OnIn, responses=RuleOut)
    def on(self, request: Any, pk: int) -> JsonResponse:
        """POST /api/v1/tag-rules/<id>/on/: 409 `confirm` with n_match, n_people, n_everybody and share when it would hit
        very many and `confirm` is not set."""
        rule, given = _get(pk), read_body(OnIn, request)
        rules.switch_on(
            request.brand,
            by=request.user,
            rule=rule,
            confirmed=given.get("confirm", False),
            past_days=given.get("past_days", 0),
        )
        return JsonResponse(_out(_get(pk)))

    @extend_schema(operation_id="tag_rules_off", request=None, responses=RuleOut)
    def off(self, request: Any, pk: int) -> JsonResponse:
        """POST /api/v1/tag-rules/<id>/off/."""
        rules.switch_off(request.brand, by=request.user, rule=_get(pk))
        return JsonResponse(_out(_get(pk)))

    @extend_schema(operation_id="tag_rules_runs", responses=RUNS_OUT)
    def runs(self, request: Any, pk: int) -> JsonResponse:
        """GET /api/v1/tag-rules/<id>/runs/: the last 100 runs and days, newest first."""
        rows = TagAct.objects.filter(kind=TagAct.Kind.RULE, owner_id=_get(pk).pk).order_by("-pk")[:100]
        names = ("at", "n_people", "n_added", "n_removed", "undone_at")
        return JsonResponse(
            {"results": [{"id": row.pk, **{n: getattr(row, n) for n in names}} for row in rows]}
        )

    @extend_schema(operation_id="tag_rules_events", responses=EVENTS_OUT)
    def events(self, request: Any) -> JsonResponse:
        """GET /api/v1/tag-rules/events/: the events that rules know, with their filters."""
        rows = [
            {
                "event": event.key,
                "label": str(event.label),
                "has_amount": event.has_amount,
                "filters": {name: FILTERS[name].kind for name in event.filters},
            }
            for event in EVENTS.values()
        ]
        return JsonResponse({"results": rows})


def _get(pk: int) -> TagRule:
    rule = TagRule.objects.filter(pk=pk, deleted_at=None).first()
    if rule is None:
        raise NotFoundError()
    return rule


def _out(rule: TagRule) -> dict[str, Any]:
    names = (*rules.FIELDS, "is_on", "on_since", "run_at", "problem")
    return {"id": rule.pk, **{name: getattr(rule, name) for name in names}}
