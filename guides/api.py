"""REST API of lists of numbers to add: lists with figures, numbers into them, given out, and what became of each."""

from collections.abc import Sequence
from typing import Any

from django.http import HttpResponse, JsonResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, viewsets

from contacts.identities import normal, readable
from contacts.models import Identity
from contacts.services.outcomes import Outcome, Result
from guides.models import Lead, LeadList
from guides.services.leads import giving, lists, numbers
from guides.services.leads.giving import Choice
from guides.services.leads.lists import MAX_DAYS, LeadInput, ListInput
from org.models import Staff, Store
from scrm.api_batch import BatchOut, answer, batch_in, rows_of
from scrm.api_body import Body, Id, id_list, read_body
from scrm.api_pages import asked_page, page_answer, page_out, paged
from scrm.api_query import asked_number, asked_word
from tagging.models import Tag
from tenants.models import Brand


class ListIn(Body):
    name = serializers.CharField(max_length=80)
    words = serializers.CharField(
        max_length=200,
        required=False,
        allow_blank=True,
        default="",
        help_text="of the request; {name} is the customer",
    )
    tag_ids = id_list(required=False, default=list, help_text="for whoever is added from it",
    )  # fmt: skip
    due_days = serializers.IntegerField(min_value=1, max_value=MAX_DAYS, required=False, default=3)
    again_days = serializers.IntegerField(
        min_value=1, max_value=MAX_DAYS, required=False, allow_null=True, default=None,
        help_text="what was not asked by then goes to another guide of the list",
    )  # fmt: skip


class ListOut(serializers.Serializer):
    id = serializers.IntegerField()
    name = serializers.CharField()
    source = serializers.CharField(help_text="file, page, api")  # type: ignore[assignment]
    words = serializers.CharField()
    tag_ids = serializers.ListField(child=serializers.IntegerField())
    due_days = serializers.IntegerField()
    again_days = serializers.IntegerField(allow_null=True)
    created_at = serializers.DateTimeField()
    closed_at = serializers.DateTimeField(allow_null=True)


class LeadListWhole(ListOut):
    numbers = serializers.DictField(child=serializers.IntegerField(), help_text="state → numbers")


class LeadIn(Body):
    phone = serializers.CharField(max_length=40)
    name = serializers.CharField(max_length=100, required=False, allow_blank=True, default="")
    note = serializers.CharField(max_length=300, required=False, allow_blank=True, default="")
    tag_ids = id_list(required=False, default=list)
    guide = serializers.CharField(max_length=64, required=False, help_text="userid: for whom it is meant")
    store_id = Id(required=False)


class LeadOut(serializers.Serializer):
    id = serializers.IntegerField()
    list_id = serializers.IntegerField()
    phone = serializers.CharField(help_text="masked without the right `contacts.phones`")
    name = serializers.CharField()
    note = serializers.CharField()
    state = serializers.ChoiceField(choices=Lead.State.values)
    staff_id = serializers.IntegerField(allow_null=True)
    contact_id = serializers.IntegerField(allow_null=True)
    added_staff_id = serializers.IntegerField(allow_null=True, help_text="whom the customer has added")
    said = serializers.CharField(help_text="by the guide")
    given_at = serializers.DateTimeField(allow_null=True)
    asked_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()


class GiveIn(Body):
    guides = serializers.ListField(
        child=serializers.CharField(max_length=64), min_length=1, max_length=2_000, help_text="userids"
    )
    by_store = serializers.BooleanField(required=False, default=False)
    most = serializers.IntegerField(
        required=False, allow_null=True, default=None, min_value=1, max_value=10_000
    )


class GiveOut(serializers.Serializer):
    given = serializers.IntegerField()
    left = serializers.IntegerField(help_text="keep waiting: nobody has room for them")
    guides = serializers.DictField(child=serializers.IntegerField(), help_text="id of the guide → numbers")


class LeadListViewSet(viewsets.ViewSet):
    capabilities = {
        "list": "leads.view", "retrieve": "leads.view", "create": "leads.edit", "give": "leads.edit", "close": "leads.edit",
    }  # fmt: skip

    @extend_schema(
        operation_id="lead_lists_list", parameters=paged(), responses=page_out("LeadListPage", ListOut)
    )
    def list(self, request: Any) -> HttpResponse:
        """GET /api/v1/lead-lists/: newest first."""
        page = asked_page(request, LeadList.objects.all(), ("-pk",))
        return page_answer(ListOut(list(page), many=True).data, page)

    @extend_schema(operation_id="lead_lists_retrieve", responses=LeadListWhole)
    def retrieve(self, request: Any, pk: int) -> HttpResponse:
        """GET /api/v1/lead-lists/<id>/: with its figures."""
        found = lists.get_list(pk)
        figures = numbers.of_lists([pk], staff=None).get(pk, numbers.Numbers())
        by_state = {state: getattr(figures, f"n_{state}") for state in Lead.State.values}
        return JsonResponse({**ListOut(found).data, "numbers": by_state})

    @extend_schema(operation_id="lead_lists_create", request=ListIn, responses={201: ListOut})
    def create(self, request: Any) -> HttpResponse:
        """POST /api/v1/lead-lists/: an empty list; numbers come by POST /api/v1/lead-lists/<id>/leads/."""
        given = read_body(ListIn, request)
        brand, actor = request._request.brand, request._request.actor
        found = lists.create_list(brand, by=actor, given=ListInput(**given), source="api")
        return JsonResponse(ListOut(found).data, status=201)

    @extend_schema(operation_id="lead_lists_give", request=GiveIn, responses=GiveOut)
    def give(self, request: Any, pk: int) -> HttpResponse:
        """POST /api/v1/lead-lists/<id>/give/: give what waits to these guides, evenly."""
        lists.get_list(pk)
        data = read_body(GiveIn, request)
        userids = {userid.lower() for userid in data["guides"]}
        ids = list(Staff.objects.guides().filter(userid__in=userids).values_list("pk", flat=True))
        shares = giving.give_out(
            request._request.brand, by=request._request.actor, staff=None, list_id=pk,
            choice=Choice(ids, data["by_store"], data["most"]),
        )  # fmt: skip
        counts = {str(guide): len(rows) for guide, rows in shares.of.items()}
        return JsonResponse({"given": shares.n, "left": len(shares.left), "guides": counts})

    @extend_schema(operation_id="lead_lists_close", request=None, responses=ListOut)
    def close(self, request: Any, pk: int) -> HttpResponse:
        """POST /api/v1/lead-lists/<id>/close/: what is open is taken out. Safe to repeat."""
        lists.close_list(request._request.brand, by=request._request.actor, staff=None, list_id=pk)
        return JsonResponse(ListOut(lists.get_list(pk)).data)


class LeadViewSet(viewsets.ViewSet):
    capabilities = {"list": "leads.view", "create": "leads.edit"}

    @extend_schema(
        operation_id="leads_list",
        responses=page_out("LeadPage", LeadOut),
        parameters=[
            OpenApiParameter("state", str, enum=list(Lead.State.values)),
            OpenApiParameter("guide", int, description="id of a staff member"),
            *paged(),
        ],
    )
    def list(self, request: Any, pk: int) -> HttpResponse:
        """GET /api/v1/lead-lists/<id>/leads/: in the list's order. All filters given must hold."""
        rows = Lead.objects.filter(list=lists.get_list(pk))
        if state := asked_word(request.query_params, "state", Lead.State.values):
            rows = rows.filter(state=state)
        if (guide := asked_number(request.query_params, "guide")) is not None:
            rows = rows.filter(staff=guide)
        page = asked_page(request, rows, ("pk",))
        found = LeadOut(list(page), many=True).data
        may_phones = request._request.actor.can("contacts.phones")
        for row in found:
            row["phone"] = readable(Identity.Kind.PHONE, row["phone"], may_phones)
        return page_answer(found, page)

    @extend_schema(
        operation_id="leads_create",
        request=batch_in("LeadBatch", LeadIn, with_source=False),
        responses=BatchOut,
    )
    def create(self, request: Any, pk: int) -> HttpResponse:
        """POST /api/v1/lead-lists/<id>/leads/: up to 1,000 numbers; each row is answered for itself. `repeated`: open
        in this or another list; `reason` of an accepted one `known`: a customer already, not given out."""
        lists.get_list(pk)
        brand, actor = request._request.brand, request._request.actor
        return answer(
            rows_of(request), LeadIn, lambda row: row, lambda rows: enter(brand, pk, rows, by=actor)
        )


def enter(brand: Brand, list_id: int, rows: Sequence[dict[str, Any]], *, by: Any) -> list[Outcome]:
    """Numbers of a batch into a list; an outcome for each row, in order."""
    userids = {row["guide"].lower() for row in rows if row.get("guide")}
    guides = dict(Staff.objects.guides().filter(userid__in=userids).values_list("userid", "pk"))
    wanted_stores = {row["store_id"] for row in rows if row.get("store_id")}
    stores = set(Store.objects.filter(pk__in=wanted_stores).values_list("pk", flat=True))
    wanted_tags = {pk for row in rows for pk in row["tag_ids"]}
    tags = set(Tag.objects.filter(pk__in=wanted_tags, deleted_at=None).values_list("pk", flat=True))
    found: list[Outcome] = []
    inputs: list[LeadInput] = []
    for row in rows:
        phone, reason = normal("phone", row["phone"]), ""
        if not phone:
            reason = "bad_phone"
        elif row.get("guide") and row["guide"].lower() not in guides:
            reason = "unknown_guide"
        elif row.get("store_id") and row["store_id"] not in stores:
            reason = "unknown_store"
        elif set(row["tag_ids"]) - tags:
            reason = "unknown_tag"
        found.append(Outcome(Result.REFUSED if reason else Result.REPEATED, None, reason))
        if not reason:
            guide = guides.get(row["guide"].lower()) if row.get("guide") else None
            inputs.append(
                LeadInput(phone, row["name"], row["note"], row["tag_ids"], guide, row.get("store_id"))
            )
    if not inputs:
        return found
    done = lists.add_leads(brand, by=by, list_id=list_id, rows=inputs)
    phones = iter(inputs)
    for n, outcome in enumerate(found):
        if outcome.result == Result.REFUSED:
            continue
        phone = next(phones).phone
        if lead_id := done.new.pop(phone, None):
            found[n] = Outcome(Result.ACCEPTED, lead_id, "known" if phone in done.known else "")
    return found
