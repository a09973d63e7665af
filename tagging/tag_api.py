"""REST API of tags: the library, tags of contacts in batches, acts and how they are taken back.

Corp tags are read here and put on contacts like any other; they are made, renamed and deleted in the dashboard or in
WeCom, because WeCom has to be asked first.
"""

from typing import Any

from django.http import HttpResponse, JsonResponse
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers, viewsets

from contacts.identities import normal
from contacts.models import Contact, Identity
from org.models import Corp, Job
from scrm.api_body import Body, id_list, read_body
from scrm.errors import ConflictError, InvalidError, NotFoundError
from scrm.ids import read_id
from tagging.models import Color, Tag, TagAct, TagGroup
from tagging.services.tags import acts, deleting, library, mass, waiting
from tagging.services.tags.tags import tags_of
from tagging.views.library import carriers
from tenants.models import Brand

MAX_CONTACTS = 1_000


class ApiTagOut(serializers.Serializer):
    id = serializers.IntegerField()
    name = serializers.CharField()
    group_id = serializers.IntegerField()
    group = serializers.CharField()
    color = serializers.CharField()
    is_corp = serializers.BooleanField(help_text="WeCom's; the others are the platform's own")
    is_archived = serializers.BooleanField()
    order = serializers.IntegerField(help_text="larger comes first within the group")
    n_contacts = serializers.IntegerField()


class TagIn(Body):
    """`group` is the name of an own group; it is made when there is none."""

    group = serializers.CharField(max_length=60)
    names = serializers.ListField(child=serializers.CharField(max_length=60), max_length=200)
    color = serializers.ChoiceField(choices=Color.values, required=False)


class TagChange(Body):
    name = serializers.CharField(max_length=60, required=False)
    color = serializers.CharField(max_length=8, required=False, allow_blank=True)
    is_archived = serializers.BooleanField(required=False)


class IdentityIn(Body):
    kind = serializers.ChoiceField(choices=Identity.Kind.values)
    scope = serializers.CharField(
        required=False, allow_blank=True, help_text="corp id or app id where one is needed"
    )
    value = serializers.CharField(max_length=64)


class ContactTagsIn(Body):
    """Contacts by id or by identity, at most 1,000 together."""

    contacts = id_list(required=False)
    identities = serializers.ListField(child=IdentityIn(), required=False)
    add = id_list(required=False)
    remove = id_list(required=False)
    days = serializers.IntegerField(min_value=1, max_value=mass.MAX_DAYS, required=False)
    wait = serializers.BooleanField(
        required=False, help_text="unknown phones, member numbers, unionids wait for the tags"
    )


class ActOut(serializers.Serializer):
    id = serializers.IntegerField(allow_null=True, help_text="for undo; null when nothing was done")
    n_people = serializers.IntegerField()
    n_added = serializers.IntegerField()
    n_removed = serializers.IntegerField()
    n_waiting = serializers.IntegerField()
    unknown = serializers.ListField(child=serializers.CharField(), help_text="ids and identities of nobody")


TAGS_OUT = inline_serializer("Tags", {"results": ApiTagOut(many=True), "next": serializers.CharField()})
TAGS_OF = inline_serializer(
    "TagsOfContact",
    {
        "results": serializers.ListField(
            child=inline_serializer(
                "TagOfContact",
                {
                    "id": serializers.IntegerField(),
                    "name": serializers.CharField(),
                    "group": serializers.CharField(),
                    "source": serializers.CharField(),
                    "staff_id": serializers.IntegerField(allow_null=True),
                    "at": serializers.DateTimeField(),
                    "expires_at": serializers.DateTimeField(allow_null=True),
                },
            )
        )
    },
)


class TagViewSet(viewsets.ViewSet):
    capabilities = {
        "list": "contacts.view", "create": "tags.edit", "partial_update": "tags.edit", "destroy": "tags.edit",
        "restore": "tags.edit",
    }  # fmt: skip

    @extend_schema(
        operation_id="tags_list",
        responses=TAGS_OUT,
        parameters=[
            OpenApiParameter("q", str, description="a part of the name"),
            OpenApiParameter("group", int),
        ],
    )
    def list(self, request: Any) -> JsonResponse:
        """GET /api/v1/tags/: the library in its order; `next` is always empty."""
        rows = Tag.objects.filter(deleted_at=None).select_related("group")
        query = request.query_params
        if q := query.get("q", "").replace("\x00", "").strip()[:60]:
            rows = rows.filter(name__icontains=q)
        if group := query.get("group", ""):
            rows = rows.filter(group=read_id(group) or 0)
        found = list(rows.order_by("group__corp", "-group__order", "group_id", "-order", "pk"))
        return JsonResponse({"results": _out(request.brand, found), "next": ""})

    @extend_schema(operation_id="tags_create", request=TagIn, responses={201: TAGS_OUT})
    def create(self, request: Any) -> JsonResponse:
        """POST /api/v1/tags/: own tags; those that are there already stay."""
        given = read_body(TagIn, request)
        names = library.clean_names(given["names"])
        group = TagGroup.objects.filter(
            corp=None, name=library.clean_name(given["group"]), deleted_at=None
        ).first()
        if group is None:
            color = given.get("color", Color.BLUE)
            group = library.create_group(
                request.brand, by=request.user, name=given["group"], names=names, color=color
            )
        else:
            there = set(Tag.objects.filter(group=group, deleted_at=None).values_list("name", flat=True))
            if new := [name for name in names if name not in there]:
                library.create_tags(request.brand, by=request.user, group=group, names=new)
        made = Tag.objects.filter(group=group, name__in=names, deleted_at=None).select_related("group")
        return JsonResponse(
            {"results": _out(request.brand, list(made.order_by("-order"))), "next": ""}, status=201
        )

    @extend_schema(operation_id="tags_update", request=TagChange, responses=ApiTagOut)
    def partial_update(self, request: Any, pk: int) -> JsonResponse:
        """PATCH /api/v1/tags/<id>/: name (own tags), colour, archived."""
        tag, given = _get(pk), read_body(TagChange, request, partial=True)
        if "name" in given:
            library.rename(request.brand, by=request.user, item=_own(tag), name=given["name"])
        if "color" in given:
            library.recolor(request.brand, by=request.user, item=tag, color=given["color"])
        if "is_archived" in given:
            library.archive(request.brand, by=request.user, tag=tag, value=given["is_archived"])
        return JsonResponse(_out(request.brand, [tag])[0])

    @extend_schema(operation_id="tags_delete", responses={204: None})
    def destroy(self, request: Any, pk: int) -> HttpResponse:
        """DELETE /api/v1/tags/<id>/: an own tag; 409 `in_use` while a rule, segment or computed tag needs it."""
        deleting.delete_tag(request.brand, by=request.user, tag=_own(_get(pk)))
        return HttpResponse(status=204)

    @extend_schema(operation_id="tags_restore", request=None, responses=ApiTagOut)
    def restore(self, request: Any, pk: int) -> JsonResponse:
        """POST /api/v1/tags/<id>/restore/: a deleted own tag within 30 days, with everybody who carried it."""
        tag = Tag.objects.select_related("group").filter(pk=pk, deleted_at__isnull=False).first()
        if tag is None:
            raise NotFoundError()
        deleting.restore_tag(request.brand, by=request.user, tag=_own(tag))
        return JsonResponse(_out(request.brand, [_get(pk)])[0])


class ContactTagViewSet(viewsets.ViewSet):
    capabilities = {"retrieve": "contacts.view", "create": "contacts.edit", "undo": "tags.edit"}

    @extend_schema(operation_id="contact_tags_list", responses=TAGS_OF)
    def retrieve(self, request: Any, pk: int) -> JsonResponse:
        """GET /api/v1/contacts/<id>/tags/: the tags of one contact, with since when, why and until when."""
        if not Contact.objects.filter(pk=pk).exists():
            raise NotFoundError()
        names = ("id", "name", "group", "source", "staff_id", "at", "expires_at")
        return JsonResponse({"results": [{n: row[n] for n in names} for row in tags_of([pk]).get(pk, [])]})

    @extend_schema(operation_id="contact_tags_change", request=ContactTagsIn, responses=ActOut)
    def create(self, request: Any) -> JsonResponse:
        """POST /api/v1/contact-tags/: put tags on up to 1,000 contacts and take others off. Safe to repeat."""
        given = read_body(ContactTagsIn, request)
        ids, unknown, waiters = _people(request.brand, given)
        add, remove = given.get("add", []), given.get("remove", [])
        if not add and not remove:
            raise InvalidError(_("Choose at least one tag"), fields={"add": _("Choose at least one tag")})
        mass.alive(add)
        mass.alive(remove)
        act: TagAct | None = None
        if ids:
            act = mass.at_once(
                request.brand,
                kind=TagAct.Kind.API,
                title=request.user.name,
                by=request.user,
                contact_ids=ids,
                add=add,
                remove=remove,
                days=given.get("days"),
            )
        if waiters and add and given.get("wait"):
            act = act or acts.begin(
                request.brand, kind=TagAct.Kind.API, title=request.user.name, by=request.user, add=add
            )
            n = waiting.add(
                request.brand,
                keys=waiters,
                tag_ids=add,
                source=f"api:{act.pk}",
                expires_at=mass.until(given.get("days")),
                act_id=act.pk,
            )
            acts.count(act, waiting=n)
            act.refresh_from_db()
        return JsonResponse(_act_out(act) | {"unknown": unknown})

    @extend_schema(operation_id="tag_acts_undo", request=None, responses=ActOut)
    def undo(self, request: Any, pk: int) -> JsonResponse:
        """POST /api/v1/tag-acts/<id>/undo/: exactly what the act changed is taken back; a large one in the background."""
        done = acts.undo(request.brand, act_id=pk, by=request.user)
        act = TagAct.objects.get(pk=pk)
        return JsonResponse(_act_out(act) | {"unknown": []}, status=202 if isinstance(done, Job) else 200)


def _act_out(act: TagAct | None) -> dict[str, Any]:
    names = ("n_people", "n_added", "n_removed", "n_waiting")
    return {"id": act.pk if act else None, **{name: getattr(act, name) if act else 0 for name in names}}


def _people(brand: Brand, given: dict[str, Any]) -> tuple[list[int], list[str], list[waiting.Key]]:
    """Ids of who is here, what nobody has, and which of these may wait."""
    ids, identities = set(given.get("contacts", [])), given.get("identities", [])
    if not 0 < len(ids) + len(identities) <= MAX_CONTACTS:
        raise InvalidError(
            _("1 to %(most)s contacts at once") % {"most": MAX_CONTACTS}, fields={"contacts": ""}
        )
    known = set(Contact.objects.filter(pk__in=ids).values_list("pk", flat=True))
    unknown = [str(n) for n in sorted(ids - known)]
    keys = [(i["kind"], i.get("scope", ""), normal(i["kind"], i["value"])) for i in identities]
    corps = list(Corp.objects.values_list("corpid", flat=True))
    if len(corps) == 1:  # which corp is meant needs no words then
        keys = [(k, s or (corps[0] if k == Identity.Kind.EXTERNAL_USERID else ""), v) for k, s, v in keys]
    rows = Identity.objects.filter(
        kind__in={k for k, _s, _v in keys},
        scope__in={s for _k, s, _v in keys},
        value__in={v for _k, _s, v in keys},
    )
    owners = {(k, s, v): pk for k, s, v, pk in rows.values_list("kind", "scope", "value", "contact_id")}
    missing = [key for key in dict.fromkeys(keys) if key not in owners]
    known |= {owners[key] for key in keys if key in owners}
    waiters = [key for key in missing if key[0] in waiting.KINDS and key[2]]
    return sorted(known), unknown + [value for _k, _s, value in missing], waiters


def _out(brand: Brand, tags: list[Tag]) -> list[dict[str, Any]]:
    counts = carriers(brand.pk, [tag.pk for tag in tags])
    return [
        {
            "id": tag.pk,
            "name": tag.name,
            "group_id": tag.group_id,
            "group": tag.group.name,
            "color": tag.color or tag.group.color,
            "is_corp": bool(tag.group.corp_id),
            "is_archived": tag.archived_at is not None,
            "order": tag.order,
            "n_contacts": counts.get(tag.pk, 0),
        }
        for tag in tags
    ]


def _get(pk: int) -> Tag:
    tag = Tag.objects.select_related("group").filter(pk=pk, deleted_at=None).first()
    if tag is None:
        raise NotFoundError()
    return tag


def _own(tag: Tag) -> Tag:
    if tag.group.corp_id:
        raise ConflictError(_("Corp tags are changed in the dashboard or in WeCom"), code="corp_tag")
    return tag
