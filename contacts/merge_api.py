"""REST API of records that were taken for one person, and of taking that back."""

from typing import Any

from django.http import JsonResponse
from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework import serializers, viewsets

from contacts.models import Contact
from contacts.services.identity import joining, parting
from scrm.api_body import Body, Id, read_body
from scrm.errors import NotFoundError

WHY = {
    "unionid": "unionid",
    "phone": "phone",
    "import": "import",
    "by": "hand",
}  # of Merge.why → in the answer


class MergeOut(serializers.Serializer):
    id = serializers.IntegerField()
    ended_id = serializers.IntegerField(help_text="id of the contact that ended, and comes back")
    ended_name = serializers.CharField()
    at = serializers.DateTimeField()
    until = serializers.DateTimeField(help_text="it can be taken back until then")
    by = serializers.ChoiceField(
        choices=["unionid", "phone", "import", "hand", ""], help_text="what said that they are one"
    )


class JoinIn(Body):
    other_id = Id(help_text="id of the other record of the same person")


class MergeViewSet(viewsets.ViewSet):
    capabilities = {"list": "contacts.view", "join": "contacts.edit", "part": "contacts.edit"}

    @extend_schema(
        operation_id="contact_merges",
        responses=inline_serializer("MergeList", {"results": MergeOut(many=True)}),
    )
    def list(self, request: Any, pk: int) -> JsonResponse:
        """GET /api/v1/contacts/<id>/merges/: records that were joined with this one in the last 30 days, newest first."""
        if not Contact.objects.filter(pk=pk).exists():
            raise NotFoundError()
        rows = [
            {
                "id": row.pk,
                "ended_id": row.lost_id,
                "ended_name": row.lost_name,
                "at": row.at,
                "until": row.at + parting.KEPT_FOR,
                "by": next((word for key, word in WHY.items() if row.why.get(key)), ""),
            }
            for row in parting.open_merges(pk)
        ]
        return JsonResponse({"results": MergeOut(rows, many=True).data})

    @extend_schema(
        operation_id="contact_join",
        request=JoinIn,
        responses=inline_serializer("JoinOut", {"contact_id": serializers.IntegerField()}),
    )
    def join(self, request: Any, pk: int) -> JsonResponse:
        """POST /api/v1/contacts/<id>/merges/: this and `other_id` are one person. Gives the older one, which stays; it can be
        taken back within 30 days."""
        if not Contact.objects.filter(pk=pk).exists():
            raise NotFoundError()
        other_id = read_body(JoinIn, request)["other_id"]
        kept = joining.join(
            request._request.brand,
            one_id=pk,
            other_id=other_id,
            by=request._request.actor,
        )
        return JsonResponse({"contact_id": kept.pk})

    @extend_schema(
        operation_id="contact_part",
        request=None,
        responses=inline_serializer("PartOut", {"contact_id": serializers.IntegerField()}),
    )
    def part(self, request: Any, pk: int, merge_id: int) -> JsonResponse:
        """POST /api/v1/contacts/<id>/merges/<merge>/part/: they are not the same person. Gives the contact that is there
        again; nothing joins the two any more. 409 when it was taken back already, or is too long ago."""
        lost = parting.part(
            request._request.brand, contact_id=pk, merge_id=merge_id, by=request._request.actor
        )
        return JsonResponse({"contact_id": lost.pk})
