"""REST API of test messages: a content of the library to one member."""

from collections.abc import Callable
from typing import Any

from django.http import JsonResponse
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, viewsets

from contacts.models import Contact
from content.services import editing, trial, trial_send
from content.services.trial import Source
from org.access import brand_transaction
from org.models import Staff
from scrm.api_body import Body, Id, read_body
from scrm.errors import InvalidError, NotFoundError
from tenants.scoping import tenant_scope


class TrialIn(Body):
    staff_id = Id(help_text="who gets it: an active member of WeCom whose role may edit the same")
    contact_id = Id(
        required=False,
        help_text="for whom variables are filled in; left out: a customer of the member, or any",
    )


class TrialPartOut(serializers.Serializer):
    kind = serializers.CharField(help_text="text | image | video | file | link | miniprogram")
    words = serializers.CharField(help_text="the text; of anything else its name")
    state = serializers.CharField(
        help_text="sent | refused | left_out (not tried, the one before was refused)"
    )
    reason = serializers.CharField(help_text="why it was refused")


class TrialOut(serializers.Serializer):
    """What became of a test. `doubts`: why the message could not be saved or sent to customers as it is."""

    is_sent = serializers.BooleanField(help_text="all of it")
    contact_id = serializers.IntegerField(allow_null=True)
    guide_id = serializers.IntegerField(allow_null=True, help_text="from whom the customer would hear")
    parts = TrialPartOut(many=True)
    doubts = serializers.ListField(child=serializers.CharField())


def answer(request: Any, right: str, given: dict[str, Any], read: Callable[[Staff], Source]) -> JsonResponse:
    """Send what `read` gives; outside of scope and transaction.

    Raises:
        InvalidError: nobody of this id who may edit it and has a member.
        NotFoundError: no such customer, or one whom the member may not see.
    """
    brand = request._request.brand
    with brand_transaction(request._request):
        to = (
            Staff.objects.with_right(right)
            .select_related("role", "store")
            .filter(pk=given["staff_id"])
            .first()
        )
        if to is None:
            text = _("An active member of WeCom whose role may edit this")
            raise InvalidError(text, fields={"staff_id": text})
        source = read(to)
        draft = trial.check_draft(source.draft)
        contact = _contact(brand, to, given.get("contact_id"), source)
        example = trial.example_of(brand, source, contact, to)
        parts = trial.parts_of(brand, draft, example)
        doubts = trial.doubts(brand, draft)
    with tenant_scope(brand):
        trial_send.send_test(brand, to=to, parts=parts, contact=contact, source=source, by=request.user)
    found = {
        "is_sent": all(part.state == "sent" for part in parts),
        "contact_id": contact.pk if contact else None,
        "guide_id": example.guide.pk if example.guide else None,
        "parts": parts,
        "doubts": doubts,
    }
    return JsonResponse(TrialOut(found).data)


def _contact(brand: Any, to: Staff, contact_id: int | None, source: Source) -> Contact | None:
    if contact_id is None:
        return next(iter(trial.people(brand, to, suggested=source.suggested)), None)
    found = Contact.objects.visible_to(to).filter(pk=contact_id).first()
    if found is None:
        raise NotFoundError()
    return found


class ContentTrialViewSet(viewsets.ViewSet):
    calls_out = True  # WeCom answers first
    capabilities = {"create": "content.edit"}

    @extend_schema(operation_id="content_test", request=TrialIn, responses=TrialOut)
    def create(self, request: Any, pk: int) -> JsonResponse:
        """POST /api/v1/content/<id>/test/: the newest version, marked as a test, to one member; nothing counts it. 429 above
        10 a minute for one member."""
        with brand_transaction(request._request):  # what is not there is not there, whatever the body says
            editing.get_content(pk)
        given = read_body(TrialIn, request)

        def read(to: Staff) -> Source:
            content = editing.get_content(pk)
            return Source(trial.of_content(request._request.brand, content), "content.test", content)

        return answer(request, "content.edit", given, read)
