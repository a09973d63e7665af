"""REST API of outside ids that another system knows of a contact: a mini-program has somebody's openid and phone number."""

from typing import Any

from django.http import JsonResponse
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, viewsets

from contacts.api import ContactOut, contacts_out
from contacts.identities import normal
from contacts.models import Contact, Identity
from contacts.services.identity import identity
from scrm.api_body import Body, read_body
from scrm.errors import InvalidError, NotFoundError

MOST = 20
# unionid and external_userid are WeCom's to say
KINDS = (Identity.Kind.OPENID, Identity.Kind.PHONE, Identity.Kind.MEMBER_NO)


class FurtherIdentityIn(Body):
    kind = serializers.ChoiceField(choices=[kind.value for kind in KINDS])
    scope = serializers.CharField(
        max_length=64, required=False, allow_blank=True, default="", help_text="app id of an openid"
    )
    value = serializers.CharField(max_length=64)


class FurtherIdentitiesIn(Body):
    identities = serializers.ListField(child=FurtherIdentityIn(), min_length=1, max_length=MOST)


class IdentityViewSet(viewsets.ViewSet):
    capabilities = {"create": "contacts.edit"}

    @extend_schema(operation_id="contact_identities_add", request=FurtherIdentitiesIn, responses=ContactOut)
    def create(self, request: Any, pk: int) -> JsonResponse:
        """POST /api/v1/contacts/<id>/identities/: further ids of this person, all or none; safe to repeat. Orders, behaviour
        and tags that waited for one of them become theirs. Who waits as a member with the phone number becomes one with the
        contact: `id` of the answer is the older one. 409 `taken` with the `contact_id` of whom one of them is."""
        if not Contact.objects.filter(pk=pk).exists():
            raise NotFoundError()
        rows = read_body(FurtherIdentitiesIn, request)["identities"]
        given = [_kept(n, row) for n, row in enumerate(rows)]
        actor = request._request.actor
        contact = identity.add_identities(request.brand, contact_id=pk, given=given, by=actor, source="api")
        contact.refresh_from_db()
        return JsonResponse(contacts_out([contact], actor.can("contacts.phones"))[0])


def _kept(n: int, row: dict[str, Any]) -> tuple[str, str, str]:
    value = normal(row["kind"], row["value"])
    if not value:
        text = _("This is no phone number")
        raise InvalidError(text, fields={f"identities.{n}.value": text})
    is_openid = row["kind"] == Identity.Kind.OPENID
    if row["scope"] and not is_openid:
        text = _("scope is the app of an openid: give both")
        raise InvalidError(text, fields={f"identities.{n}.scope": text})
    return row["kind"], row["scope"], value
