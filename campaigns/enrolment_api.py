"""REST API of who is in an SOP: its people, taking them out, the SOPs of one person."""

from typing import Any

from django.http import JsonResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers, viewsets

from campaigns.models import Enrolment
from campaigns.services.sops import enrolments, sops
from contacts.models import Contact
from scrm.api_body import Body, id_list, read_body
from scrm.api_pages import asked_page, page_answer, page_out, paged
from scrm.api_query import asked_number, asked_word
from scrm.errors import NotFoundError

MAX_IDS = 1_000
SHOWN = ("in", "left")


class EnrolmentOut(serializers.Serializer):
    """One contact in one SOP; who comes in again has a further one."""

    id = serializers.IntegerField()
    sop_id = serializers.IntegerField()
    contact_id = serializers.IntegerField()
    source = serializers.CharField(help_text="why: channel_code:7, job:12 (a list), entry …")  # type: ignore[assignment]
    entered_at = serializers.DateTimeField()
    next_run_at = serializers.DateTimeField(
        allow_null=True, help_text="of the next step; null when it has ended"
    )
    node = serializers.CharField(help_text="on the canvas: where the person stands; empty in steps by day")
    ended_at = serializers.DateTimeField(allow_null=True)
    end_kind = serializers.ChoiceField(
        choices=["", *Enrolment.End.values], help_text="empty while the person is in it"
    )


class TakeOutIn(Body):
    contact_ids = id_list(min_length=1, max_length=MAX_IDS)


TAKEN_OUT = inline_serializer(
    "SopTakenOut",
    {
        "n": serializers.IntegerField(help_text="who were in it"),
        "not_in": serializers.ListField(
            child=serializers.IntegerField(), help_text="who were not, or are nobody of this brand"
        ),
    },
)


class EnrolmentViewSet(viewsets.ViewSet):
    capabilities = {"list": "sops.view", "take_out": "sops.edit"}

    @extend_schema(
        operation_id="sop_people",
        responses=page_out("SopPeople", EnrolmentOut),
        parameters=[
            OpenApiParameter("show", str, enum=SHOWN, description="`in` if not given: who is in it now"),
            OpenApiParameter("contact", int, description="of this contact only"),
            *paged(),
        ],
    )
    def list(self, request: Any, pk: int) -> JsonResponse:
        """GET /api/v1/sops/<id>/people/: who is in it, the newest customers first, or who has left, last entered first; of
        either form."""
        show = asked_word(request.query_params, "show", SHOWN) or "in"
        rows = Enrolment.objects.filter(sop=sops.get_sop(pk), ended_at__isnull=show == "in")
        if (contact_id := asked_number(request.query_params, "contact")) is not None:
            rows = rows.filter(contact=contact_id)
        page = asked_page(request, rows, ("-contact_id",) if show == "in" else ("-pk",))
        return page_answer(EnrolmentOut(page.rows, many=True).data, page)

    @extend_schema(operation_id="sop_take_out", request=TakeOutIn, responses=TAKEN_OUT)
    def take_out(self, request: Any, pk: int) -> JsonResponse:
        """POST /api/v1/sops/<id>/take-out/: take people out, of either form; what was planned for them is held back. Safe to
        repeat."""
        sops.get_sop(pk)
        given = read_body(TakeOutIn, request)["contact_ids"]
        out = enrolments.take_out(request.brand, sop_id=pk, contact_ids=given, by=request.actor)
        return JsonResponse({"n": len(out), "not_in": sorted(set(given) - out)})


class SopsOfContactViewSet(viewsets.ViewSet):
    capabilities = {"list": "sops.view"}

    @extend_schema(
        operation_id="contact_sops",
        responses=page_out("SopsOfContact", EnrolmentOut),
        parameters=[
            OpenApiParameter(
                "show", str, enum=[*SHOWN, "all"], description="`in` if not given: those it is in now"
            ),
            *paged(),
        ],
    )
    def list(self, request: Any, pk: int) -> JsonResponse:
        """GET /api/v1/contacts/<id>/sops/: the SOPs of one contact, last entered first."""
        if not Contact.objects.filter(pk=pk).exists():
            raise NotFoundError()
        rows = Enrolment.objects.filter(contact=pk)
        show = asked_word(request.query_params, "show", [*SHOWN, "all"]) or "in"
        if show != "all":
            rows = rows.filter(ended_at__isnull=show == "in")
        page = asked_page(request, rows, ("-pk",))
        return page_answer(EnrolmentOut(page.rows, many=True).data, page)
