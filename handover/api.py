"""REST API of hand-overs: read only, keyset pages `{"results": […], "next": "token or empty"}`."""

from collections.abc import Sequence
from typing import Any

from django.http import JsonResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers, viewsets

from handover.models import HandoverItem, HandoverRun, HandoverShare
from handover.services import listing, reasons
from scrm.api_pages import asked_page, page_answer, paged
from scrm.api_query import asked_word
from scrm.errors import NotFoundError

SIZE = 50
STATES = {state.name.lower(): state for state in HandoverItem.State}


class ReceiverOut(serializers.Serializer):
    staff_id = serializers.IntegerField()
    weight = serializers.IntegerField()


class HandoverOut(serializers.Serializer):
    """One hand-over with its figures. Moments are UTC."""

    id = serializers.IntegerField()
    giver_id = serializers.IntegerField()
    is_resigned = serializers.BooleanField(help_text="the giver had left the company")
    state = serializers.CharField(help_text="running | done | cancelled")
    message = serializers.CharField()
    created_by = serializers.CharField()
    created_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)
    receivers = ReceiverOut(many=True)
    n_customers = serializers.IntegerField()
    n_groups = serializers.IntegerField()
    n_open = serializers.IntegerField(help_text="not given to WeCom yet")
    n_waiting = serializers.IntegerField(
        help_text="WeCom hands over after 24 hours unless the customer refuses"
    )
    n_done = serializers.IntegerField()
    n_bad = serializers.IntegerField(help_text="refused, not possible, or left out")
    n_cancelled = serializers.IntegerField()


class HandoverItemOut(serializers.Serializer):
    """A customer or a group of a hand-over."""

    id = serializers.IntegerField()
    kind = serializers.CharField(help_text="customer | group")
    receiver_id = serializers.IntegerField()
    contact_id = serializers.IntegerField(allow_null=True)
    external_userid = serializers.CharField()
    group_id = serializers.IntegerField(allow_null=True)
    state = serializers.CharField(help_text=" | ".join(STATES))
    errcode = serializers.IntegerField(help_text="WeCom's number of why not; 0 when there is none")
    reason = serializers.CharField(help_text="why not, in words")
    asked_at = serializers.DateTimeField(allow_null=True)
    takeover_at = serializers.DateTimeField(allow_null=True)
    done_at = serializers.DateTimeField(allow_null=True)


def _page(name: str, row: Any) -> Any:
    return inline_serializer(name, {"results": row, "next": serializers.CharField()})


class HandoverViewSet(viewsets.ViewSet):
    capabilities = {"list": "handover.view", "retrieve": "handover.view", "items": "handover.view"}

    @extend_schema(
        operation_id="handovers_list",
        responses=_page("HandoverPage", HandoverOut(many=True)),
        parameters=paged(SIZE),
    )
    def list(self, request: Any) -> JsonResponse:
        """GET /api/v1/handovers/: newest first."""
        page = asked_page(request, HandoverRun.objects.all(), ("-pk",), SIZE)
        return page_answer(runs_out(page.rows), page)

    @extend_schema(operation_id="handovers_retrieve", responses=HandoverOut)
    def retrieve(self, request: Any, pk: int) -> JsonResponse:
        """GET /api/v1/handovers/<id>/: one with its figures."""
        return JsonResponse(runs_out([_run(pk)])[0])

    @extend_schema(
        operation_id="handovers_items",
        responses=_page("HandoverItemPage", HandoverItemOut(many=True)),
        parameters=[OpenApiParameter("state", str, enum=sorted(STATES)), *paged(SIZE)],
    )
    def items(self, request: Any, pk: int) -> JsonResponse:
        """GET /api/v1/handovers/<id>/items/: its customers and groups with what became of them."""
        query = request.query_params
        rows = HandoverItem.objects.filter(run=_run(pk))
        if state := asked_word(query, "state", STATES):
            rows = rows.filter(state=STATES[state])
        page = asked_page(request, rows, ("pk",), SIZE)
        return page_answer([_item(item) for item in page], page)


def _run(pk: int) -> HandoverRun:
    run = HandoverRun.objects.filter(pk=pk).first()
    if run is None:
        raise NotFoundError()
    return run


def runs_out(runs: Sequence[HandoverRun]) -> list[dict[str, Any]]:
    ids = [run.pk for run in runs]
    figures = listing.figures(ids)
    shares: dict[int, list[dict[str, int]]] = {}
    for run_id, staff_id, weight in (
        HandoverShare.objects.filter(run__in=ids).order_by("pk").values_list("run", "receiver", "weight")
    ):
        shares.setdefault(run_id, []).append({"staff_id": staff_id, "weight": weight})
    names = ("id", "giver_id", "is_resigned", "state", "message", "created_by", "created_at", "ended_at")
    counts = ("n_customers", "n_groups", "n_open", "n_waiting", "n_done", "n_bad", "n_cancelled")
    rows = [
        {name: getattr(run, name) for name in names}
        | {name: getattr(figures[run.pk], name) for name in counts}
        | {"receivers": shares.get(run.pk, [])}
        for run in runs
    ]
    return list(HandoverOut(rows, many=True).data)


def _item(item: HandoverItem) -> dict[str, Any]:
    names = (
        "id",
        "receiver_id",
        "contact_id",
        "external_userid",
        "errcode",
        "asked_at",
        "takeover_at",
        "done_at",
    )
    row = {name: getattr(item, name) for name in names} | {
        "kind": HandoverItem.Kind(item.kind).name.lower(),
        "group_id": item.chat_id,
        "state": HandoverItem.State(item.state).name.lower(),
        "reason": str(reasons.words_of(item)[0]),
    }
    return HandoverItemOut(row).data
