"""REST API of value: scores, groups and the RFM grid; lifecycle stages and who moved; people like those of a segment."""

from datetime import timedelta
from typing import Any

from django.http import HttpResponse, JsonResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers, viewsets

from org.models import Job
from scrm import clock
from scrm.api_body import Body, Id, read_body
from scrm.api_pages import asked_page, page_answer, paged
from scrm.api_query import asked_number
from scrm.errors import NotFoundError
from tagging.models import ValueGroup, ValueSetting
from tagging.services.segments import segments
from tagging.services.value import lifecycle, lookalike, value

SIZE, MAX_DAYS = 50, 400


class ValueGroupOut(serializers.Serializer):
    group = serializers.ChoiceField(choices=[group.name.lower() for group in ValueGroup])
    name = serializers.CharField()
    n = serializers.IntegerField()
    spent_fen = serializers.IntegerField()
    expected_fen = serializers.IntegerField(
        allow_null=True,
        help_text="what they are expected to spend in the next year; null before the model is fitted",
    )


class RfmCellOut(serializers.Serializer):
    recency = serializers.IntegerField()
    frequency = serializers.IntegerField()
    n = serializers.IntegerField()
    average_spent_fen = serializers.IntegerField()


class ValueStandOut(serializers.Serializer):
    """All who ever bought, by score."""

    n = serializers.IntegerField()
    scores = serializers.ListField(
        child=serializers.IntegerField(), help_text="people with 0–9, 10–19 … 90–100"
    )
    groups = ValueGroupOut(many=True)
    grid = RfmCellOut(many=True)
    method = serializers.ChoiceField(choices=ValueSetting.Method.values)
    computed_at = serializers.DateTimeField(allow_null=True)


class LifecycleStageOut(serializers.Serializer):
    number = serializers.IntegerField(help_text="as in `lifecycle` of a contact and in conditions")
    name = serializers.CharField()
    n = serializers.IntegerField()
    problem = serializers.CharField(help_text="why nobody comes into it at present; empty when all is well")


class LifecycleMoveOut(serializers.Serializer):
    from_stage = serializers.CharField(help_text="name; — for one that is no more")
    to_stage = serializers.CharField()
    n = serializers.IntegerField()


class LifecycleFlowOut(serializers.Serializer):
    days = serializers.IntegerField()
    stages = LifecycleStageOut(many=True)
    moves = LifecycleMoveOut(many=True)


class LookalikeIn(Body):
    segment_id = Id()
    size = serializers.IntegerField(min_value=1, max_value=lookalike.MAX_SIZE)
    name = serializers.CharField(max_length=60, help_text="of the list that is made")


class LookalikeReasonOut(serializers.Serializer):
    name = serializers.CharField()
    of_seed = serializers.FloatField(help_text="share of the segment's people who have it")
    of_others = serializers.FloatField()


class LookalikeOut(serializers.Serializer):
    """A search. When it is done, `made_segment_id` is the list that holds who was found."""

    id = serializers.IntegerField()
    state = serializers.ChoiceField(choices=Job.State.values)
    segment_id = serializers.IntegerField()
    size = serializers.IntegerField()
    name = serializers.CharField()
    n = serializers.IntegerField(help_text="people found")
    made_segment_id = serializers.IntegerField(allow_null=True)
    reasons = LookalikeReasonOut(many=True)
    error = serializers.CharField()
    created_at = serializers.DateTimeField()


class ValueStandViewSet(viewsets.ViewSet):
    capabilities = {"list": "segments.view", "stages": "segments.view", "recompute": "segments.edit"}

    @extend_schema(operation_id="value_retrieve", responses=ValueStandOut)
    def list(self, request: Any) -> JsonResponse:
        """GET /api/v1/value/: people by score and group, and the grid of recency and frequency."""
        setting = value.setting_of(request.brand)
        tens, groups = value.distribution(request.brand)
        rows = zip(range(5, 0, -1), value.grid(request.brand), strict=True)
        found = {
            "n": sum(tens),
            "scores": tens,
            "groups": [
                {"group": g.name.lower(), "name": str(g.label)}
                | dict(zip(("n", "spent_fen", "expected_fen"), groups[g], strict=True))
                for g in ValueGroup
            ],
            "grid": [
                {"recency": r, "frequency": f, "n": n, "average_spent_fen": spent}
                for r, row in rows
                for f, (n, spent) in enumerate(row, 1)
            ],
            "method": setting.method,
            "computed_at": setting.computed_at,
        }
        return JsonResponse(dict(ValueStandOut(found).data))

    @extend_schema(operation_id="value_recompute", request=None, responses={202: None})
    def recompute(self, request: Any) -> HttpResponse:
        """POST /api/v1/value/recompute/: score everybody now, as each night; `computed_at` tells when it is done. 409
        `too_soon` within a minute after the last time."""
        value.ask_recompute(request.brand, by=request.user)
        return HttpResponse(status=202)

    @extend_schema(
        operation_id="value_lifecycle",
        responses=LifecycleFlowOut,
        parameters=[
            OpenApiParameter("days", int, description=f"moves of so many days, at most {MAX_DAYS}; 30")
        ],
    )
    def stages(self, request: Any) -> JsonResponse:
        """GET /api/v1/value/lifecycle/: who is at which stage, and who moved in the last days."""
        days = asked_number(request.query_params, "days", MAX_DAYS) or 30
        found = lifecycle.flow(request.brand, clock.today(request.brand.timezone) - timedelta(days=days - 1))
        problems = lifecycle.problems_of(request.brand, [stage for stage, _n in found.stages])
        body = {
            "days": days,
            "stages": [
                {"number": s.number, "name": s.name, "n": n, "problem": problems.get(s.pk, "")}
                for s, n in found.stages
            ],
            "moves": [{"from_stage": a, "to_stage": b, "n": n} for a, b, n in found.moves],
        }
        return JsonResponse(dict(LifecycleFlowOut(body).data))


class LookalikeViewSet(viewsets.ViewSet):
    capabilities = {"list": "segments.view", "retrieve": "segments.view", "create": "segments.edit"}

    @extend_schema(
        operation_id="lookalikes_list",
        responses=inline_serializer(
            "LookalikePage", {"results": LookalikeOut(many=True), "next": serializers.CharField()}
        ),
        parameters=[
            *paged(SIZE),
        ],
    )
    def list(self, request: Any) -> JsonResponse:
        """GET /api/v1/lookalikes/: searches for people like others, newest first."""
        rows = Job.objects.filter(kind="lookalike")
        page = asked_page(request, rows, ("-pk",), SIZE)
        return page_answer([_search(job) for job in page], page)

    @extend_schema(operation_id="lookalikes_retrieve", responses=LookalikeOut)
    def retrieve(self, request: Any, pk: int) -> JsonResponse:
        """GET /api/v1/lookalikes/<id>/: one search, why these people."""
        job = Job.objects.filter(kind="lookalike", pk=pk).first()
        if job is None:
            raise NotFoundError()
        return JsonResponse(_search(job))

    @extend_schema(operation_id="lookalikes_create", request=LookalikeIn, responses={202: LookalikeOut})
    def create(self, request: Any) -> JsonResponse:
        """POST /api/v1/lookalikes/: begin to look for people like those of a segment."""
        wanted = read_body(LookalikeIn, request)
        segment = segments.get_segment(wanted["segment_id"])
        job = lookalike.start(
            request.brand, segment=segment, size=wanted["size"], name=wanted["name"], by=request.user
        )
        return JsonResponse(_search(job), status=202)


def _search(job: Job) -> dict[str, Any]:
    params = job.params
    return dict(
        LookalikeOut(
            {
                "id": job.pk,
                "state": job.state,
                "segment_id": params["segment"],
                "size": params["size"],
                "name": params["name"],
                "n": job.n_done,
                "made_segment_id": params.get("made"),
                "reasons": params.get("reasons", []),
                "error": job.error,
                "created_at": job.created_at,
            }
        ).data
    )
