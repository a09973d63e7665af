"""REST API of contacts: read only, keyset pages `{"results": […], "next": "token or empty"}`, newest first or as asked."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.http import JsonResponse
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers, viewsets

from contacts import hooks
from contacts.api_profile import ProfileIn, change_profile
from contacts.filters import Filters
from contacts.identities import normal, readable
from contacts.models import Contact, ContactQuerySet, Follow, Identity, Stage
from contacts.services import listing
from contacts.services.fields import live_fields
from contacts.services.values import values_of
from contacts.sorting import SORTS, parse_sort
from org.models import Corp
from scrm.api_pages import asked_size, page_answer, paged
from scrm.api_query import asked_moment, asked_number, need_number
from scrm.errors import ForbiddenError, InvalidError, NotFoundError

SIZE = 50


class IdentityOut(serializers.Serializer):
    kind = serializers.ChoiceField(choices=Identity.Kind.values)
    scope = serializers.CharField(help_text="corp id or app id in which the value is valid; may be empty")
    value = serializers.CharField(help_text="of a phone number masked without the right `contacts.phones`")


class FollowOut(serializers.Serializer):
    """A relation to a guide; it has ended when `ended_at` is set."""

    staff_id = serializers.IntegerField()
    userid = serializers.CharField(help_text="the guide's userid in WeCom")
    staff_name = serializers.CharField()
    corpid = serializers.CharField()
    external_userid = serializers.CharField()
    channel_code_id = serializers.IntegerField(allow_null=True)
    state = serializers.CharField(help_text="WeCom's state string of the adding")
    add_way = serializers.IntegerField(help_text="WeCom's number of how the customer was added")
    remark = serializers.CharField()
    is_pending = serializers.BooleanField(help_text="asked to be added, the guide has not confirmed yet")
    added_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)
    end_kind = serializers.ChoiceField(choices=["", *Follow.End.values])


class TagOut(serializers.Serializer):
    id = serializers.IntegerField()
    name = serializers.CharField()
    group = serializers.CharField()
    source = serializers.CharField(help_text="why: channel_code:7, wecom, page, api …")  # type: ignore[assignment]
    at = serializers.DateTimeField()


class LifecycleOut(serializers.Serializer):
    number = serializers.IntegerField()
    name = serializers.CharField()


class ValueOut(serializers.Serializer):
    """What somebody bought and is worth; scores are worked out each night and after orders, null for who never bought."""

    n_orders = serializers.IntegerField()
    spent_fen = serializers.IntegerField(help_text="net of refunds")
    first_order_at = serializers.DateTimeField(allow_null=True)
    last_order_at = serializers.DateTimeField(allow_null=True)
    score = serializers.IntegerField(allow_null=True, help_text="0 to 100")
    recency = serializers.IntegerField(allow_null=True, help_text="R, 1 to 5")
    frequency = serializers.IntegerField(allow_null=True, help_text="F, 1 to 5")
    monetary = serializers.IntegerField(allow_null=True, help_text="M, 1 to 5")
    group = serializers.ChoiceField(choices=["loyal", "good", "ordinary", "lost"], allow_null=True)
    lifecycle = LifecycleOut(allow_null=True)
    next_order_on = serializers.DateField(allow_null=True, help_text="when the next order is expected")
    alive_ratio = serializers.FloatField(
        allow_null=True, help_text="probability of still buying, 0 to 1; null before a second order"
    )
    ltv_fen = serializers.IntegerField(allow_null=True, help_text="expected spending of the next year")


class ContactOut(serializers.Serializer):
    """One person in this brand. Moments are UTC."""

    id = serializers.IntegerField()
    name = serializers.CharField(help_text="may be empty until WeCom has been asked")
    avatar = serializers.CharField()
    gender = serializers.IntegerField(help_text="0 unknown, 1 male, 2 female")
    kind = serializers.ChoiceField(choices=["wechat", "wecom"])
    corp_name = serializers.CharField()
    state = serializers.ChoiceField(choices=["reachable", "lost", "pending", "member"])
    do_not_contact = serializers.BooleanField()
    added_at = serializers.DateTimeField()
    lost_at = serializers.DateTimeField(allow_null=True)
    identities = IdentityOut(many=True)
    follows = FollowOut(many=True)
    tags = TagOut(many=True)
    stage = serializers.CharField(allow_null=True, help_text="of following up")
    value = ValueOut(allow_null=True)
    fields = serializers.DictField(help_text="the brand's own fields: key → value, those that have one")  # type: ignore[assignment]


PAGE_OUT = inline_serializer(
    "ContactPage", {"results": ContactOut(many=True), "next": serializers.CharField()}
)
PARAMETERS = [
    *paged(SIZE),
    OpenApiParameter("tag", int, description="id of a tag; several: carriers of every one", many=True),
    OpenApiParameter("channel_code", int, description="id of a channel code"),
    OpenApiParameter("guide", int, description="id of a staff member who has, or had, the contact"),
    OpenApiParameter(
        "segment", int, description="id of a segment: who is in it now; needs the right `segments.view`"
    ),
    OpenApiParameter(
        "sort",
        str,
        enum=[sign + name for name in SORTS for sign in ("-", "")],
        description="another order, with a minus the largest or latest first; who has no value comes last both ways",
    ),
    OpenApiParameter("added_after", datetime, description="first added later than this moment (ISO 8601)"),
    OpenApiParameter("external_userid", str, description="exactly this external_userid, in any corp"),
    OpenApiParameter("unionid", str, description="exactly this unionid"),
    OpenApiParameter(
        "phone", str, description="exactly this phone number, with or without +86, blanks, dashes"
    ),
    OpenApiParameter("member_no", str, description="exactly this member number"),
    OpenApiParameter("openid", str, description="exactly this openid"),
    OpenApiParameter("scope", str, description="app id of the openid, where it was noted with one"),
]


class ContactViewSet(viewsets.ViewSet):
    capabilities = {"list": "contacts.view", "retrieve": "contacts.view", "partial_update": "contacts.edit"}

    @extend_schema(operation_id="contacts_list", responses=PAGE_OUT, parameters=PARAMETERS)
    def list(self, request: Any) -> JsonResponse:
        """GET /api/v1/contacts/: contacts, newest first or as `sort` says. All filters given must hold."""
        query = request.query_params
        if "scope" in query and "openid" not in query:
            text = _("scope is the app of an openid: give both")
            raise InvalidError(text, fields={"scope": text})
        base: ContactQuerySet | None = None
        for kind in Identity.Kind:
            if kind.value in query:
                ids = _by_identity(kind, query[kind.value], query.get("scope", ""))
                found = Contact.objects.filter(pk__in=ids)
                base = found if base is None else base & found
        if (added_after := asked_moment(query, "added_after")) is not None:
            newer = Contact.objects.filter(added_at__gt=added_after)
            base = newer if base is None else base & newer
        tags = tuple(need_number(value, "tag") for value in query.getlist("tag"))
        segment = asked_number(query, "segment")
        if segment and not request.actor.can("segments.view"):
            raise ForbiddenError()
        filters = Filters(
            guide=asked_number(query, "guide"),
            segment=segment,
            code=asked_number(query, "channel_code"),
            tags=tags,
            all_tags=bool(tags),
        )
        after, size = query.get("after"), asked_size(request, SIZE)
        page = listing.page(
            request.brand,
            staff=None,
            filters=filters,
            after=after,
            size=size,
            base=base,
            sort=parse_sort(query.get("sort")),
        )
        return page_answer(contacts_out(page.rows, _may_phones(request)), page)

    @extend_schema(operation_id="contacts_retrieve", responses=ContactOut)
    def retrieve(self, request: Any, pk: int) -> JsonResponse:
        """GET /api/v1/contacts/<id>/: one contact."""
        contact = Contact.objects.filter(pk=pk).first()
        if contact is None:
            raise NotFoundError()
        return JsonResponse(contacts_out([contact], _may_phones(request))[0])

    @extend_schema(operation_id="contacts_change", request=ProfileIn, responses=ContactOut)
    def partial_update(self, request: Any, pk: int) -> JsonResponse:
        """PATCH /api/v1/contacts/<id>/: values of custom fields and the stage."""
        contact = Contact.objects.filter(pk=pk).first()
        if contact is None:
            raise NotFoundError()
        change_profile(request, contact)
        contact.refresh_from_db()
        return JsonResponse(contacts_out([contact], _may_phones(request))[0])


def _may_phones(request: Any) -> bool:
    return request._request.actor.can("contacts.phones")


def contacts_out(contacts: Sequence[Contact], may_phones: bool) -> Sequence[dict[str, Any]]:
    """Contacts as the API shows them: a constant number of queries.

    Args:
        may_phones: without it phone numbers are masked.
    """
    ids = [contact.pk for contact in contacts]
    follows: dict[int, list[dict[str, Any]]] = {}
    for follow in (
        Follow.objects.filter(contact__in=ids).select_related("staff", "corp").order_by("added_at", "pk")
    ):
        follows.setdefault(follow.contact_id, []).append(_follow(follow))
    identities: dict[int, list[Identity]] = {}
    for identity in Identity.objects.filter(contact__in=ids).order_by("kind", "pk"):
        identity.value = readable(identity.kind, identity.value, may_phones)
        identities.setdefault(identity.contact_id, []).append(identity)
    tags = hooks.tags_of(ids)
    worth = hooks.values_of(ids)
    own = live_fields()
    keys = {field.pk: field.key for field in own}
    values = values_of(ids, own)
    stages = dict(Stage.objects.values_list("pk", "name"))
    rows = [
        {
            "id": contact.pk,
            "name": contact.name,
            "avatar": contact.avatar,
            "gender": contact.gender,
            "kind": Contact.Kind(contact.kind).name.lower(),
            "corp_name": contact.corp_name,
            "state": contact.state,
            "do_not_contact": contact.do_not_contact,
            "added_at": contact.added_at,
            "lost_at": contact.lost_at,
            "identities": identities.get(contact.pk, []),
            "follows": follows.get(contact.pk, []),
            "tags": tags.get(contact.pk, []),
            "stage": stages.get(contact.stage_id or 0),
            "value": worth.get(contact.pk),
            "fields": {keys[pk]: value for pk, value in values.get(contact.pk, {}).items()},
        }
        for contact in contacts
    ]
    return list(ContactOut(rows, many=True).data)


def _follow(follow: Follow) -> dict[str, Any]:
    names = (
        "staff_id", "external_userid", "channel_code_id", "state", "add_way", "remark", "is_pending", "added_at",
        "ended_at", "end_kind",
    )  # fmt: skip
    staff = {"userid": follow.staff.userid, "staff_name": follow.staff.name, "corpid": follow.corp.corpid}
    return {name: getattr(follow, name) for name in names} | staff


def _by_identity(kind: Identity.Kind, given: str, app: str) -> list[int]:
    """Ids of the contacts with this identity. Raises InvalidError: no phone number."""
    value = normal(kind, given)
    if kind == Identity.Kind.PHONE and not value:
        text = _("This is no phone number")
        raise InvalidError(text, fields={"phone": text})
    # the scope is spelt out, because the index begins with kind and scope
    scopes = [app.replace("\x00", "")] if kind == Identity.Kind.OPENID else [""]
    if kind == Identity.Kind.EXTERNAL_USERID:
        scopes += Corp.objects.values_list("corpid", flat=True)
    found = Identity.objects.filter(kind=kind, scope__in=scopes, value=value)
    return list(found.values_list("contact_id", flat=True)[:50])
