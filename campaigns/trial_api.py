"""REST API of test messages: a content of a broadcast, a message of an SOP's canvas, to one member."""

from typing import Any

from django.http import JsonResponse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, viewsets

from campaigns.services.broadcasts import broadcasts
from campaigns.services.graphs import graphs
from campaigns.services.sending import trial
from content.services.trial import Source
from content.trial_api import TrialIn, TrialOut, answer
from org.access import brand_transaction
from org.models import Staff
from scrm.api_body import read_body


class BroadcastTrialIn(TrialIn):
    letter = serializers.ChoiceField(
        choices=list(broadcasts.LETTERS), required=False, default="A", help_text="which of its contents"
    )


class SopTrialIn(TrialIn):
    node = serializers.CharField(
        max_length=40, help_text="a message, or an invitation into a group, of the draft"
    )


class BroadcastTrialViewSet(viewsets.ViewSet):
    calls_out = True  # WeCom answers first
    capabilities = {"create": "broadcasts.edit"}

    @extend_schema(operation_id="broadcasts_test", request=BroadcastTrialIn, responses=TrialOut)
    def create(self, request: Any, pk: int) -> JsonResponse:
        """POST /api/v1/broadcasts/<id>/test/: one of its contents, marked as a test, to one member; nothing counts it. Left
        out, `contact_id` is a customer of the audience. 429 above 10 a minute for one member."""
        brand = request._request.brand
        with brand_transaction(request._request):  # what is not there is not there, whatever the body says
            broadcasts.get_broadcast(pk)
        given = read_body(BroadcastTrialIn, request)

        def read(to: Staff) -> Source:
            broadcast = broadcasts.get_broadcast(pk)
            draft = trial.content_of(brand, broadcast, given["letter"])
            return Source(
                draft,
                "broadcast.test",
                broadcast,
                broadcast.name,
                lambda: trial.of_audience(brand, broadcast.audience, to),
                trial.guide_of,
            )

        return answer(request, "broadcasts.edit", given, read)


class SopTrialViewSet(viewsets.ViewSet):
    calls_out = True
    capabilities = {"create": "sops.edit"}

    @extend_schema(operation_id="sops_test", request=SopTrialIn, responses=TrialOut)
    def create(self, request: Any, pk: int) -> JsonResponse:
        """POST /api/v1/sops/<id>/test/: what a node of the draft would say now, marked as a test, to one member; nothing
        counts it. 429 above 10 a minute for one member."""
        brand = request._request.brand
        with brand_transaction(request._request):
            graphs.get_graph_sop(pk)
        given = read_body(SopTrialIn, request)

        def read(to: Staff) -> Source:
            sop = graphs.get_graph_sop(pk)
            draft = trial.message_of(brand, trial.node_of(sop, given["node"]))
            return Source(draft, "sop.test", sop, sop.name, sender=trial.guide_of)

        return answer(request, "sops.edit", given, read)
