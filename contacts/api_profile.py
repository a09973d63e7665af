"""REST API of what a brand itself notes of customers: its own fields, stages, values; and behaviour."""

from typing import Any

from django.http import JsonResponse
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers, viewsets

from contacts.models import BehaviourKind, Contact, Event, EventType
from contacts.services import behaviour, fields, stages, values
from scrm.api_batch import BatchOut, BuyerIn, answer, batch_in, rows_of, source_of, with_buyer
from scrm.api_body import Body, Id, read_body
from scrm.api_pages import asked_page, page_answer, page_out, paged
from scrm.api_query import asked_number
from scrm.errors import InvalidError, NotFoundError

SIZE = 50


class FieldOut(serializers.Serializer):
    key = serializers.CharField(help_text="its name in `fields` of a contact; never changes")
    label = serializers.CharField()  # type: ignore[assignment]
    type = serializers.ChoiceField(choices=["text", "number", "date", "choice", "bool"])
    options = serializers.ListField(child=serializers.CharField(), help_text="of a choice")


class StageOut(serializers.Serializer):
    id = serializers.IntegerField()
    name = serializers.CharField()


class FieldViewSet(viewsets.ViewSet):
    capabilities = {"list": "contacts.view"}

    @extend_schema(
        operation_id="fields_list",
        responses=inline_serializer("FieldList", {"results": FieldOut(many=True)}),
    )
    def list(self, request: Any) -> JsonResponse:
        """GET /api/v1/fields/: the brand's own fields, in their order."""
        return JsonResponse({"results": FieldOut(fields.live_fields(), many=True).data})


class StageViewSet(viewsets.ViewSet):
    capabilities = {"list": "contacts.view"}

    @extend_schema(
        operation_id="stages_list",
        responses=inline_serializer("StageList", {"results": StageOut(many=True)}),
    )
    def list(self, request: Any) -> JsonResponse:
        """GET /api/v1/stages/: stages of following up, in their order."""
        return JsonResponse({"results": StageOut(stages.live_stages(), many=True).data})


class ValuesIn(Body):
    """`fields`: key → value; null takes a value away. What is not named stays."""

    buyer = BuyerIn(required=False, help_text="or contact_id")
    contact_id = Id(required=False)
    fields = serializers.DictField()  # type: ignore[assignment]


class ValueViewSet(viewsets.ViewSet):
    capabilities = {"create": "contacts.edit"}

    @extend_schema(
        operation_id="contact_values_record",
        request=batch_in("ValueBatch", ValuesIn, with_source=False),
        responses=BatchOut,
    )
    def create(self, request: Any) -> JsonResponse:
        """POST /api/v1/contact-values/: values of custom fields of many contacts. A row of somebody unknown is refused."""
        return answer(
            rows_of(request),
            ValuesIn,
            with_buyer,
            lambda rows: values.record_values(request.brand, rows, by=request.actor),
        )


class ProfileIn(Body):
    """What is not given stays as it is."""

    fields = serializers.DictField(required=False, help_text="key → value; null takes a value away")  # type: ignore[assignment]
    stage_id = serializers.IntegerField(required=False, allow_null=True, help_text="null: at no stage")


def change_profile(request: Any, contact: Contact) -> None:
    """PATCH of a contact: values of custom fields and the stage, all or nothing."""
    given = read_body(ProfileIn, request)
    if wanted := given.get("fields"):
        by_key = {field.key: field for field in fields.live_fields()}
        if unknown := set(wanted) - set(by_key):
            raise InvalidError(_("Unknown field"), fields=dict.fromkeys(sorted(unknown), _("Unknown field")))
        new = {by_key[key]: value for key, value in wanted.items()}
        values.set_values(request.brand, contact=contact, values=new, by=request.actor, source="api")
    if "stage_id" in given:
        stage_id = given["stage_id"]
        try:
            stage = stages.get_stage(stage_id) if stage_id is not None else None
        except NotFoundError as error:
            raise InvalidError(
                _("Choose one of the list"), fields={"stage_id": _("Choose one of the list")}
            ) from error
        stages.set_stage(request.brand, contacts=[contact], stage=stage, by=request.actor, source="api")


# ---- behaviour


class BehaviourIn(Body):
    """One thing that somebody did."""

    kind = serializers.CharField(
        max_length=40,
        help_text="view, favourite, cart, checkout, search, coupon_used, word_said, or a kind of the brand's own",
    )
    at = serializers.DateTimeField()
    buyer = BuyerIn(required=False, help_text="or contact_id")
    contact_id = Id(required=False)
    source_key = serializers.CharField(
        max_length=120,
        required=False,
        help_text="what makes it one; else person, kind, moment and product do",
    )
    sku = serializers.CharField(max_length=64, required=False, allow_blank=True)
    product = serializers.CharField(max_length=200, required=False, help_text="name, where there is no sku")
    query = serializers.CharField(max_length=200, required=False, help_text="what was searched for")
    page = serializers.CharField(max_length=200, required=False)
    title = serializers.CharField(max_length=100, required=False, help_text="name of the coupon used")
    code = serializers.CharField(max_length=64, required=False, help_text="number of the coupon used")
    word = serializers.CharField(
        max_length=500, required=False, help_text="what was said in a chat, told by your chat archive"
    )
    quantity = serializers.IntegerField(required=False, min_value=0, max_value=1_000_000)
    amount_fen = serializers.IntegerField(required=False, min_value=0, max_value=10**11)


class BehaviourOut(serializers.Serializer):
    id = serializers.IntegerField()
    at = serializers.DateTimeField()
    kind = serializers.CharField()
    product_id = serializers.IntegerField(allow_null=True)
    data = serializers.DictField()  # type: ignore[assignment]


_DATA = ("product", "query", "page", "title", "code", "word", "quantity", "amount_fen")
_WORDS = {kind: word for word, kind in behaviour.KINDS.items()}


def _given(row: dict[str, Any]) -> dict[str, Any]:
    row = with_buyer(row)
    row["data"] = {name: row.pop(name) for name in _DATA if name in row} or None
    return row


class BehaviourViewSet(viewsets.ViewSet):
    capabilities = {"list": "contacts.view", "create": "behaviour.edit"}

    @extend_schema(
        operation_id="behaviour_list",
        responses=page_out("BehaviourPage", BehaviourOut),
        parameters=[
            OpenApiParameter("contact", int, required=True),
            *paged(SIZE),
        ],
    )
    def list(self, request: Any) -> JsonResponse:
        """GET /api/v1/behaviour/?contact=: what one contact did, newest first."""
        contact_id = asked_number(request.query_params, "contact")
        if contact_id is None:
            raise InvalidError(_("Say which contact"), fields={"contact": "number"})
        if not Contact.objects.filter(pk=contact_id).exists():
            raise NotFoundError()
        types = [*_WORDS, EventType.CUSTOM]
        rows = Event.objects.filter(contact_id=contact_id, type__in=types)
        page = asked_page(request, rows, ("-at", "-pk"), SIZE)
        own = dict(BehaviourKind.objects.values_list("pk", "key"))
        found = [
            {
                "id": event.pk,
                "at": event.at,
                "kind": _WORDS.get(EventType(event.type)) or own.get(event.object_id or 0, ""),
                "product_id": event.object_id if event.type != EventType.CUSTOM else None,
                "data": event.data,
            }
            for event in page
        ]
        return page_answer(BehaviourOut(found, many=True).data, page)

    @extend_schema(
        operation_id="behaviour_record", request=batch_in("BehaviourBatch", BehaviourIn), responses=BatchOut
    )
    def create(self, request: Any) -> JsonResponse:
        """POST /api/v1/behaviour/: what people did, in any order, however late; safe to repeat. What an unknown person
        did is accepted (`unknown_person`) and waits half a year for the identity."""
        source = source_of(request)
        return answer(
            rows_of(request),
            BehaviourIn,
            _given,
            lambda rows: behaviour.record_behaviour(request.brand, rows, source=source, told_by="api"),
        )
