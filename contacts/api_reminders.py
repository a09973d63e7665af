"""REST API of reminders: what a colleague wants to be reminded of about a customer."""

from typing import Any

from django.db import transaction
from django.http import HttpResponse, JsonResponse
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, viewsets

from contacts.models import Contact, Reminder
from contacts.services import reminders
from org.models import Staff
from scrm.api_body import Body, Id, read_body
from scrm.api_pages import asked_page, page_answer, page_out, paged
from scrm.api_query import asked_number, asked_word
from scrm.errors import InvalidError, NotFoundError


class ReminderOut(serializers.Serializer):
    id = serializers.IntegerField()
    contact_id = serializers.IntegerField()
    staff_id = serializers.IntegerField(help_text="who is reminded, in WeCom")
    text = serializers.CharField()
    due_at = serializers.DateTimeField()
    noticed_at = serializers.DateTimeField(allow_null=True, help_text="when the notice went out")
    done_at = serializers.DateTimeField(allow_null=True)
    done_by = serializers.CharField()
    created_by = serializers.CharField()
    created_at = serializers.DateTimeField()


class ReminderIn(Body):
    contact_id = Id()
    staff_id = Id()
    text = serializers.CharField(max_length=reminders.MAX_TEXT)
    due_at = serializers.DateTimeField(help_text="within the next two years")


class ReminderMove(Body):
    due_at = serializers.DateTimeField(help_text="within the next two years; it is told again then")


class ReminderViewSet(viewsets.ViewSet):
    capabilities = {
        "list": "contacts.view", "retrieve": "contacts.view", "create": "contacts.edit", "partial_update": "contacts.edit",
        "destroy": "contacts.edit", "done": "contacts.edit", "reopen": "contacts.edit",
    }  # fmt: skip

    @extend_schema(
        operation_id="reminders_list",
        responses=page_out("ReminderPage", ReminderOut),
        parameters=[
            OpenApiParameter("contact", int),
            OpenApiParameter("staff", int, description="who is reminded"),
            OpenApiParameter("state", str, enum=["open", "done"], description="open if not given"),
            *paged(),
        ],
    )
    def list(self, request: Any) -> HttpResponse:
        """GET /api/v1/reminders/: open ones by their moment, done ones the latest first."""
        given = request.query_params
        state = asked_word(given, "state", ("open", "done")) or "open"
        rows = Reminder.objects.filter(done_at__isnull=state == "open")
        for name in ("contact", "staff"):
            if (pk := asked_number(given, name)) is not None:
                rows = rows.filter(**{f"{name}_id": pk})
        order = ("due_at", "pk") if state == "open" else ("-due_at", "-pk")
        page = asked_page(request, rows, order)
        return page_answer(ReminderOut(page.rows, many=True).data, page)

    @extend_schema(operation_id="reminders_read", responses=ReminderOut)
    def retrieve(self, request: Any, pk: int) -> HttpResponse:
        """GET /api/v1/reminders/<id>/."""
        row = Reminder.objects.filter(pk=pk).first()
        if row is None:
            raise NotFoundError()
        return _one(row)

    @extend_schema(operation_id="reminders_create", request=ReminderIn, responses={201: ReminderOut})
    def create(self, request: Any) -> HttpResponse:
        """POST /api/v1/reminders/: WeCom tells the colleague at that moment."""
        data = read_body(ReminderIn, request)
        contact = Contact.objects.filter(pk=data["contact_id"]).first()
        staff = Staff.objects.filter(pk=data["staff_id"], state=Staff.State.ACTIVE).first()
        problems = {
            name: _("Unknown: %(ids)s") % {"ids": data[name]}
            for name, found in (("contact_id", contact), ("staff_id", staff))
            if found is None
        }
        if contact is None or staff is None:
            raise InvalidError(next(iter(problems.values())), fields=problems)
        row = reminders.add_reminder(
            request._request.brand, contact=contact, staff=staff, text=data["text"], due_at=data["due_at"],
            by=request.user,
        )  # fmt: skip
        return _one(row, 201)

    @extend_schema(operation_id="reminders_move", request=ReminderMove, responses=ReminderOut)
    def partial_update(self, request: Any, pk: int) -> HttpResponse:
        """PATCH /api/v1/reminders/<id>/: to another moment."""
        given = read_body(ReminderMove, request)
        with transaction.atomic():
            reminders.get_reminder(pk)
            row = reminders.move_reminder(request._request.brand, pk, due_at=given["due_at"])
        return _one(row)

    @extend_schema(operation_id="reminders_delete", request=None, responses={204: None})
    def destroy(self, request: Any, pk: int) -> HttpResponse:
        """DELETE /api/v1/reminders/<id>/."""
        reminders.delete_reminder(request._request.brand, pk)
        return HttpResponse(status=204)

    @extend_schema(operation_id="reminders_done", request=None, responses=ReminderOut)
    def done(self, request: Any, pk: int) -> HttpResponse:
        """POST /api/v1/reminders/<id>/done/: it goes on the customer's timeline. Safe to repeat."""
        return _one(reminders.finish(request._request.brand, pk, by=request.user, source="api"))

    @extend_schema(operation_id="reminders_reopen", request=None, responses=ReminderOut)
    def reopen(self, request: Any, pk: int) -> HttpResponse:
        """POST /api/v1/reminders/<id>/reopen/: not done after all. Safe to repeat."""
        return _one(reminders.finish(request._request.brand, pk, by=request.user, done=False))


def _one(row: Reminder, status: int = 200) -> JsonResponse:
    return JsonResponse(ReminderOut(row).data, status=status)
