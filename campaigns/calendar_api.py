"""REST API of the calendar: days with their entries, load and conflicts."""

from datetime import date
from typing import Any

from django.http import JsonResponse
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers, viewsets

from campaigns.services.calendar import calendar
from campaigns.services.calendar.calendar import SOURCES
from org.models import Staff
from scrm.api_query import asked_number
from scrm.errors import InvalidError, NotFoundError


class EntryOut(serializers.Serializer):
    """One campaign on one day. `n` is null where it is not known before it is planned."""

    source = serializers.ChoiceField(choices=list(SOURCES))  # type: ignore[assignment]
    source_id = serializers.IntegerField()
    name = serializers.CharField()
    at = serializers.DateTimeField(help_text="the first of the day, UTC")
    n = serializers.IntegerField(allow_null=True, help_text="customers")
    n_sent = serializers.IntegerField()
    n_tasks = serializers.IntegerField(help_text="what guides do by hand")
    n_open = serializers.IntegerField(help_text="of these, not done yet")
    n_guides = serializers.IntegerField()
    is_forecast = serializers.BooleanField(help_text="nothing is planned yet, the number is an estimate")
    is_held = serializers.BooleanField(help_text="paused, or waits for approval")


class ConflictOut(serializers.Serializer):
    kind = serializers.CharField(help_text="load | compete")
    text = serializers.CharField()


class OverOut(serializers.Serializer):
    staff_id = serializers.IntegerField()
    n = serializers.IntegerField(help_text="things to do by hand")
    n_people = serializers.IntegerField(help_text="customers in the send tasks among them")


class DayOut(serializers.Serializer):
    on = serializers.DateField(help_text="of the brand's zone")
    n = serializers.IntegerField()
    n_sent = serializers.IntegerField()
    n_tasks = serializers.IntegerField()
    n_open = serializers.IntegerField()
    entries = EntryOut(many=True)
    conflicts = ConflictOut(many=True)
    overloaded = OverOut(
        many=True, source="over", help_text="guides above a limit of the day, the most first"
    )


CALENDAR_OUT = inline_serializer(
    "Calendar",
    {
        "days": DayOut(many=True),
        "tasks_a_day": serializers.IntegerField(
            help_text="things to do of one guide a day; 20 where none is set"
        ),
        "people_a_day": serializers.IntegerField(allow_null=True, help_text="customers of one guide a day"),
    },
)


class CalendarViewSet(viewsets.ViewSet):
    capabilities = {"list": "sops.view"}

    @extend_schema(
        operation_id="calendar",
        responses=CALENDAR_OUT,
        parameters=[
            OpenApiParameter("from", date, required=True),
            OpenApiParameter("until", date, required=True, description="at most 92 days, both included"),
            OpenApiParameter("source", str, many=True, enum=list(SOURCES)),
            OpenApiParameter("staff", int),
        ],
    )
    def list(self, request: Any) -> JsonResponse:
        """GET /api/v1/calendar/?from=&until=: what went out and what is to come, by day."""
        first, last = (self._date(request, name) for name in ("from", "until"))
        guide_id = asked_number(request.query_params, "staff")
        if guide_id is not None and not Staff.objects.filter(pk=guide_id).exists():
            raise NotFoundError()
        found = calendar.read(
            request.brand,
            first,
            last,
            guide_id=guide_id,
            sources=request.query_params.getlist("source"),
        )
        return JsonResponse(
            {
                "days": DayOut(found.days, many=True).data,
                "tasks_a_day": found.a_day,
                "people_a_day": found.people_a_day,
            }
        )

    @staticmethod
    def _date(request: Any, name: str) -> date:
        try:
            return date.fromisoformat(request.query_params.get(name, ""))
        except ValueError:
            raise InvalidError(
                _("A date such as 2026-03-31 is needed"), fields={name: "YYYY-MM-DD"}
            ) from None
