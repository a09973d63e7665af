"""REST API of the reconciliation: runs and differences, read only, keyset pages `{"results": […], "next": "token or empty"}`."""

from typing import Any

from django.http import JsonResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, viewsets

from drift.kinds import KINDS
from drift.models import Difference, DriftRun
from scrm.api_pages import asked_page, page_answer, page_out, paged
from scrm.api_query import asked_number, asked_word


class DriftRunOut(serializers.Serializer):
    """One comparison of a corp with WeCom. `ended_at` is empty while it runs, and when it failed."""

    id = serializers.IntegerField()
    corpid = serializers.CharField(source="corp.corpid")
    by = serializers.CharField()
    started_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)
    n_compared = serializers.IntegerField()
    n_found = serializers.IntegerField()
    n_repaired = serializers.IntegerField(help_text="by itself, in this run")
    n_settled = serializers.IntegerField(help_text="open before, and not there any more")
    n_suspicious = serializers.IntegerField(help_text="missing in WeCom, so many at once that none was ended")
    n_skipped = serializers.IntegerField(help_text="guides whom WeCom would not show")
    note = serializers.CharField(help_text="why groups were left out, in WeCom's words; else empty")
    counts = serializers.JSONField(help_text="kind → {found, repaired}")


class DifferenceOut(serializers.Serializer):
    """One thing that is or was not here as it is in WeCom."""

    id = serializers.IntegerField()
    corpid = serializers.CharField(source="corp.corpid")
    kind = serializers.CharField(help_text=" | ".join(KINDS))
    key = serializers.CharField()
    title = serializers.CharField()
    contact_id = serializers.IntegerField(allow_null=True)
    staff_id = serializers.IntegerField(allow_null=True)
    ours = serializers.JSONField(help_text="as it was here")
    theirs = serializers.JSONField(help_text="as WeCom said")
    state = serializers.CharField(help_text="open | queued | ignored | repaired | settled")
    note = serializers.CharField()
    found_at = serializers.DateTimeField()
    closed_at = serializers.DateTimeField(allow_null=True)
    closed_by = serializers.CharField()
    run_id = serializers.IntegerField(allow_null=True)


class DriftRunViewSet(viewsets.ViewSet):
    capabilities = {"list": "sync.view"}

    @extend_schema(
        responses=page_out("DriftRunPage", DriftRunOut), parameters=paged(), operation_id="drift_runs_list"
    )
    def list(self, request: Any) -> JsonResponse:
        """GET /api/v1/drift/runs/: newest first."""
        rows = DriftRun.objects.select_related("corp")
        page = asked_page(request, rows, ("-pk",))
        return page_answer(DriftRunOut(list(page), many=True).data, page)


class DifferenceViewSet(viewsets.ViewSet):
    capabilities = {"list": "sync.view"}

    @extend_schema(
        responses=page_out("DifferencePage", DifferenceOut),
        operation_id="drift_differences_list",
        parameters=[
            OpenApiParameter("state", str),
            OpenApiParameter("kind", str),
            OpenApiParameter("contact", int),
            OpenApiParameter("run", int),
            *paged(),
        ],
    )
    def list(self, request: Any) -> JsonResponse:
        """GET /api/v1/drift/differences/?state=&kind=&contact=&run=: newest first."""
        rows = Difference.objects.select_related("corp")
        for name, values in (("state", Difference.State.values), ("kind", list(KINDS))):
            if word := asked_word(request.query_params, name, values):
                rows = rows.filter(**{name: word})
        for name, field in (("contact", "contact_id"), ("run", "run")):
            if (value := asked_number(request.query_params, name)) is not None:
                rows = rows.filter(**{field: value})
        page = asked_page(request, rows, ("-pk",))
        return page_answer(DifferenceOut(list(page), many=True).data, page)
