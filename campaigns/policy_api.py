"""REST API of what the brand allows and customers wish: caps, quiet hours, hold-out and its effect, do-not-contact rules,
the wishes of one customer."""

from typing import Any

from django.http import JsonResponse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, viewsets

from campaigns.governance import CapRule
from campaigns.models import NoContactRule, Refusal, Touch, TouchPolicy
from campaigns.services.governance import hold_out, policy, rules
from contacts.models import Contact
from contacts.services.contacts import set_do_not_contact
from scrm.api_body import Body, Id, read_body
from scrm.api_pages import page_out
from scrm.errors import NotFoundError

WORDS = {0: "all", int(Touch.Kind.SOP): "sop", int(Touch.Kind.BROADCAST): "broadcast"}
KINDS = {word: kind for kind, word in WORDS.items()}
REFUSABLE = [WORDS[kind] for kind in policy.REFUSABLE]


class CapSerializer(Body):
    """At most `n` touches in any `days` days in a row."""

    days = serializers.IntegerField(min_value=1, max_value=32_000)
    n = serializers.IntegerField(min_value=1, max_value=32_000)
    kind = serializers.ChoiceField(choices=list(KINDS), default="all")


class PolicySerializer(Body):
    """What is left out stays as it is; `caps`, if given, are all of them."""

    caps = CapSerializer(many=True)
    min_gap_hours = serializers.IntegerField()
    quiet_start = serializers.TimeField(allow_null=True, help_text="of the brand's zone")
    quiet_end = serializers.TimeField(allow_null=True)
    allowance = serializers.ChoiceField(choices=TouchPolicy.Allowance.values)
    sender = serializers.ChoiceField(choices=TouchPolicy.Sender.values)
    guide_tasks_a_day = serializers.IntegerField(
        allow_null=True, help_text="send tasks, moments and tasks of one guide; see guide_busy"
    )
    guide_people_a_day = serializers.IntegerField(allow_null=True, help_text="customers in send tasks")
    guide_busy = serializers.ChoiceField(
        choices=TouchPolicy.Busy.values,
        help_text="what is beyond: warn (nothing is held back), leave_out, next_day (it waits for the guide's next free day)",
    )
    attribution_days = serializers.IntegerField()
    needs_approval = serializers.BooleanField(help_text="broadcasts and moments")
    sops_need_approval = serializers.BooleanField(
        help_text="switching on, other steps and new versions wait for a second person"
    )
    hold_out_percent = serializers.IntegerField()
    redraw = serializers.BooleanField(
        required=False, write_only=True, help_text="draw the hold-out group anew; its watching begins again"
    )


class EffectGroupOut(serializers.Serializer):
    n = serializers.IntegerField(help_text="customers when it began")
    n_bought = serializers.IntegerField()
    n_lost = serializers.IntegerField()
    spent_fen = serializers.IntegerField(help_text="less refunds")


class EffectDifferenceOut(serializers.Serializer):
    """Others less hold-out, with its 95 % interval."""

    value = serializers.FloatField()
    low = serializers.FloatField()
    high = serializers.FloatField()
    is_certain = serializers.BooleanField()


class EffectOut(serializers.Serializer):
    """Shares are 0 to 1, `spent` is fen a person; differences are null while a group has fewer than 30 people."""

    since = serializers.DateTimeField()
    percent = serializers.IntegerField()
    held = EffectGroupOut()
    others = EffectGroupOut()
    bought = EffectDifferenceOut(allow_null=True)
    spent = EffectDifferenceOut(allow_null=True)
    lost = EffectDifferenceOut(allow_null=True)


class KindsField(serializers.ListField):
    """Kinds of messages by their words; numbers inside."""

    child = serializers.ChoiceField(choices=REFUSABLE)

    def to_internal_value(self, data: Any) -> list[int]:
        return [KINDS[word] for word in super().to_internal_value(data)]

    def to_representation(self, data: Any) -> list[str]:
        return [WORDS[kind] for kind in data]


class NoContactRuleSerializer(Body):
    """Of a tag, of a channel code, or, with both days, of everybody."""

    id = serializers.IntegerField(read_only=True)
    name = serializers.CharField(max_length=40)
    tag_id = Id(required=False, allow_null=True)
    channel_code_id = Id(required=False, allow_null=True)
    starts_on = serializers.DateField(required=False, allow_null=True)
    ends_on = serializers.DateField(required=False, allow_null=True, help_text="that day included")
    kinds = KindsField(required=False, help_text="messages that are held back; empty: all kinds")


class WishesSerializer(Body):
    """What a customer wants to be left alone with; what is left out stays as it is."""

    do_not_contact = serializers.BooleanField(required=False, help_text="nothing at all")
    refused = serializers.ListField(
        child=serializers.ChoiceField(choices=REFUSABLE),
        required=False,
        help_text="all kinds of messages that are not wanted",
    )


def _policy(request: Any) -> dict[str, Any]:
    present = rules.policy_of(request.brand)
    caps = [{"days": cap.days, "n": cap.n, "kind": WORDS[cap.kind]} for cap in rules.caps_of(request.brand)]
    fields = PolicySerializer().fields
    names = [str(name) for name, field in fields.items() if name != "caps" and not field.write_only]
    values = {name: getattr(present, name) for name in names}
    return dict(PolicySerializer({**values, "caps": caps}).data)


class PolicyViewSet(viewsets.ViewSet):
    capabilities = {"retrieve": "sops.view", "partial_update": "brand.edit", "effect": "sops.view"}

    @extend_schema(operation_id="touch_policy", responses=PolicySerializer)
    def retrieve(self, request: Any) -> JsonResponse:
        """GET /api/v1/touch-policy/: how often and when customers may hear from the brand."""
        return JsonResponse(_policy(request))

    @extend_schema(operation_id="touch_policy_change", request=PolicySerializer, responses=PolicySerializer)
    def partial_update(self, request: Any) -> JsonResponse:
        """PATCH /api/v1/touch-policy/: holds from the next question on."""
        values = read_body(PolicySerializer, request, partial=True)
        caps = values.pop("caps", None)
        if caps is not None:
            whole = CapSerializer(data=request.data["caps"], many=True)  # a cap is given whole
            whole.is_valid(raise_exception=True)
            caps = [CapRule(cap["days"], cap["n"], KINDS[cap["kind"]]) for cap in whole.validated_data]
        policy.change_policy(request.brand, by=request.actor, caps=caps, **values)
        return JsonResponse(_policy(request))

    @extend_schema(operation_id="touch_policy_effect", responses=EffectOut)
    def effect(self, request: Any) -> JsonResponse:
        """GET /api/v1/touch-policy/effect/: the brand's hold-out group beside everybody else; 404 where there is none."""
        found = hold_out.effect_of(request.brand)
        if found is None:
            raise NotFoundError()
        return JsonResponse(EffectOut(found).data)


class NoContactRuleViewSet(viewsets.ViewSet):
    capabilities = {
        "list": "sops.view",
        "create": "brand.edit",
        "partial_update": "brand.edit",
        "destroy": "brand.edit",
    }

    @extend_schema(
        operation_id="no_contact_rules_list",
        responses=page_out("NoContactRules", NoContactRuleSerializer, whole=True),
    )
    def list(self, request: Any) -> JsonResponse:
        """GET /api/v1/no-contact-rules/: all of them."""
        rows = NoContactRule.objects.order_by("pk")
        return JsonResponse({"results": NoContactRuleSerializer(rows, many=True).data})

    @extend_schema(
        operation_id="no_contact_rules_create",
        request=NoContactRuleSerializer,
        responses={201: NoContactRuleSerializer},
    )
    def create(self, request: Any) -> JsonResponse:
        """POST /api/v1/no-contact-rules/: holds at once."""
        given = read_body(NoContactRuleSerializer, request)
        rule = policy.add_no_contact_rule(request.brand, by=request.actor, **given)
        return JsonResponse(NoContactRuleSerializer(rule).data, status=201)

    @extend_schema(
        operation_id="no_contact_rules_change",
        request=NoContactRuleSerializer,
        responses=NoContactRuleSerializer,
    )
    def partial_update(self, request: Any, pk: int) -> JsonResponse:
        """PATCH /api/v1/no-contact-rules/<id>/: what is left out stays."""
        given = read_body(NoContactRuleSerializer, request, partial=True)
        rule = policy.change_no_contact_rule(request.brand, rule_id=pk, by=request.actor, **given)
        return JsonResponse(NoContactRuleSerializer(rule).data)

    @extend_schema(operation_id="no_contact_rules_delete", responses={204: None})
    def destroy(self, request: Any, pk: int) -> JsonResponse:
        """DELETE /api/v1/no-contact-rules/<id>/."""
        policy.delete_no_contact_rule(request.brand, rule_id=pk, by=request.actor)
        return JsonResponse({}, status=204)


class WishesViewSet(viewsets.ViewSet):
    capabilities = {"retrieve": "contacts.view", "partial_update": "contacts.edit"}

    @extend_schema(operation_id="wishes", responses=WishesSerializer)
    def retrieve(self, request: Any, pk: int) -> JsonResponse:
        """GET /api/v1/contacts/<id>/wishes/."""
        return JsonResponse(self._wishes(pk))

    @extend_schema(operation_id="wishes_change", request=WishesSerializer, responses=WishesSerializer)
    def partial_update(self, request: Any, pk: int) -> JsonResponse:
        """PATCH /api/v1/contacts/<id>/wishes/: what is planned for them already is left out when it is handed over."""
        now = self._wishes(pk)
        wanted = read_body(WishesSerializer, request)
        if "do_not_contact" in wanted:
            set_do_not_contact(request.brand, contacts=[pk], value=wanted["do_not_contact"], by=request.actor)
        for word in set(wanted.get("refused", now["refused"])) ^ set(now["refused"]):
            policy.set_refusal(
                request.brand,
                contact_id=pk,
                kind=KINDS[word],
                refused=word in wanted["refused"],
                by=request.actor,
                source="api",
            )
        return JsonResponse(self._wishes(pk))

    @staticmethod
    def _wishes(pk: int) -> dict[str, Any]:
        contact = Contact.objects.filter(pk=pk).first()
        if contact is None:
            raise NotFoundError()
        kinds = Refusal.objects.filter(contact=contact).order_by("kind").values_list("kind", flat=True)
        return {"do_not_contact": contact.do_not_contact, "refused": [WORDS[kind] for kind in kinds]}
