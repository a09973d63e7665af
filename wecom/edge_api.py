"""REST API of the edge: the inbox of WeCom's events with replay, writes to WeCom with 'try again', long jobs."""

from typing import Any

from django.http import JsonResponse
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers, viewsets

from org.models import Job
from scrm.api_body import Body, id_list, read_body
from scrm.api_pages import asked_page, page_answer, page_out, paged
from scrm.api_query import asked_moment, asked_word
from wecom.event_words import label_of
from wecom.models import CallbackEvent, OutboundCall
from wecom.services import inbox, outbound

MAX_IDS = 500
_STATES = [state.value for state in CallbackEvent.State]


class InboxOut(serializers.Serializer):
    """How the inbox is doing."""

    waiting = serializers.IntegerField(help_text="not tried yet")
    retrying = serializers.IntegerField(help_text="tried, and waiting for the next try")
    dead = serializers.IntegerField(help_text="need a person")
    lag_s = serializers.FloatField(help_text="age of the oldest event that was not tried yet; 0: none waits")
    last_hour = serializers.IntegerField()
    last_at = serializers.DateTimeField(allow_null=True)


class InboxEventOut(serializers.Serializer):
    """An event of WeCom, without its body."""

    id = serializers.IntegerField()
    corpid = serializers.CharField(source="corp.corpid")
    event = serializers.CharField()
    change_type = serializers.CharField()
    title = serializers.SerializerMethodField(help_text="what happened, in words")
    happened_at = serializers.DateTimeField()
    received_at = serializers.DateTimeField()
    state = serializers.ChoiceField(choices=_STATES)
    n_tries = serializers.IntegerField()
    n_repeats = serializers.IntegerField(help_text="how often WeCom delivered it again")
    next_try_at = serializers.DateTimeField(allow_null=True)
    done_at = serializers.DateTimeField(allow_null=True)
    error = serializers.CharField()

    def get_title(self, row: CallbackEvent) -> str:
        return label_of(row.event, row.change_type)


class ReplayIn(Body):
    """One of the three; what was done already is not done twice."""

    ids = id_list(max_length=MAX_IDS, required=False)
    dead = serializers.BooleanField(default=False, help_text="all that need a person")
    since = serializers.DateTimeField(required=False, help_text="all received since, up to `until`")
    until = serializers.DateTimeField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("ids" in attrs) + attrs["dead"] + ("since" in attrs) != 1:
            raise serializers.ValidationError(_("Give ids, dead or since"))
        return attrs


class OutboundOut(serializers.Serializer):
    """A write to WeCom, without its content."""

    id = serializers.IntegerField()
    corpid = serializers.CharField(source="corp.corpid")
    kind = serializers.ChoiceField(choices=OutboundCall.Kind.values)
    state = serializers.ChoiceField(choices=OutboundCall.State.values)
    n_tries = serializers.IntegerField()
    next_try_at = serializers.DateTimeField()
    created_at = serializers.DateTimeField()
    done_at = serializers.DateTimeField(allow_null=True)
    error = serializers.CharField(help_text="WeCom's refusal in words; empty when all is well")


class AgainIn(Body):
    """Failed writes to make again: `ids`, or all."""

    ids = id_list(max_length=MAX_IDS, required=False)
    all = serializers.BooleanField(default=False, help_text="all that have failed, the oldest first")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["all"] == ("ids" in attrs):
            raise serializers.ValidationError(_("Give ids, or all"))
        return attrs


class JobOut(serializers.Serializer):
    """A long job."""

    id = serializers.IntegerField()
    kind = serializers.CharField()
    title = serializers.CharField()
    state = serializers.ChoiceField(choices=Job.State.values)
    stage = serializers.CharField(help_text="what it is at, in words")
    n_total = serializers.IntegerField(allow_null=True)
    n_done = serializers.IntegerField()
    n_bad = serializers.IntegerField()
    created_by = serializers.CharField()
    created_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)
    error = serializers.CharField()


class InboxViewSet(viewsets.ViewSet):
    capabilities = {"figures": "sync.view", "list": "sync.view", "replay": "sync.run"}

    @extend_schema(operation_id="inbox_figures", responses=InboxOut)
    def figures(self, request: Any) -> JsonResponse:
        """GET /api/v1/inbox/: how it is doing, for whoever watches."""
        return JsonResponse(InboxOut(inbox.figures(request._request.brand)).data)

    @extend_schema(
        operation_id="inbox_events_list",
        responses=page_out("InboxEventPage", InboxEventOut),
        parameters=[
            OpenApiParameter("state", str, enum=_STATES),
            OpenApiParameter("event", str, description="WeCom's name, such as change_external_contact"),
            OpenApiParameter("change_type", str),
            OpenApiParameter("since", str, description="received since this moment"),
            *paged(),
        ],
    )
    def list(self, request: Any) -> JsonResponse:
        """GET /api/v1/inbox/events/: newest first."""
        query = request.query_params
        rows = CallbackEvent.objects.select_related("corp").defer("body")
        if state := asked_word(query, "state", _STATES):
            rows = rows.filter(state=state)
        for name in ("event", "change_type"):
            if name in query:
                rows = rows.filter(**{name: query[name].replace("\x00", "")})
        if since := asked_moment(query, "since"):
            rows = rows.filter(received_at__gte=since)
        page = asked_page(request, rows, ("-received_at", "-pk"))
        return page_answer(InboxEventOut(page.rows, many=True).data, page)

    @extend_schema(
        operation_id="inbox_replay",
        request=ReplayIn,
        responses=inline_serializer("Replayed", {"n": serializers.IntegerField()}),
    )
    def replay(self, request: Any) -> JsonResponse:
        """POST /api/v1/inbox/replay/: handle events again; gives how many."""
        what = read_body(ReplayIn, request)
        n = inbox.replay(
            request._request.brand,
            by=request.user,
            event_ids=what.get("ids", ()),
            dead=what["dead"],
            since=what.get("since"),
            until=what.get("until"),
        )
        return JsonResponse({"n": n})


class OutboundViewSet(viewsets.ViewSet):
    capabilities = {"list": "sync.view", "again": "sync.run"}

    @extend_schema(
        operation_id="outbound_list",
        responses=page_out("OutboundPage", OutboundOut),
        parameters=[
            OpenApiParameter("state", str, enum=OutboundCall.State.values),
            OpenApiParameter("kind", str, enum=OutboundCall.Kind.values),
            *paged(),
        ],
    )
    def list(self, request: Any) -> JsonResponse:
        """GET /api/v1/outbound/: newest first."""
        rows = OutboundCall.objects.select_related("corp").defer("payload")
        for name, values in (("state", OutboundCall.State.values), ("kind", OutboundCall.Kind.values)):
            if word := asked_word(request.query_params, name, values):
                rows = rows.filter(**{name: word})
        page = asked_page(request, rows, ("-pk",))
        return page_answer(OutboundOut(page.rows, many=True).data, page)

    @extend_schema(
        operation_id="outbound_again",
        request=AgainIn,
        responses=inline_serializer("MadeAgain", {"n": serializers.IntegerField()}),
    )
    def again(self, request: Any) -> JsonResponse:
        """POST /api/v1/outbound/again/: make failed ones again; gives how many."""
        ids = read_body(AgainIn, request).get("ids")  # none: all
        return JsonResponse({"n": outbound.try_again(request._request.brand, by=request.user, call_ids=ids)})


class JobViewSet(viewsets.ViewSet):
    capabilities = {"list": "sync.view"}

    @extend_schema(
        operation_id="jobs_list",
        responses=page_out("JobPage", JobOut),
        parameters=[
            OpenApiParameter("state", str, enum=Job.State.values),
            OpenApiParameter("kind", str, description="such as wecom_sync, group_sync, reconcile, handover"),
            *paged(),
        ],
    )
    def list(self, request: Any) -> JsonResponse:
        """GET /api/v1/jobs/: syncs and other long jobs with their progress, newest first."""
        query = request.query_params
        rows = Job.objects.all()
        if state := asked_word(query, "state", Job.State.values):
            rows = rows.filter(state=state)
        if "kind" in query:
            rows = rows.filter(kind=query["kind"].replace("\x00", ""))
        page = asked_page(request, rows, ("-pk",))
        return page_answer(JobOut(page.rows, many=True).data, page)
