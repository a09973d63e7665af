"""REST API of groups (read only) and group codes, keyset pages `{"results": […], "next": "token or empty"}`."""

from collections.abc import Sequence
from typing import Any

from django.http import JsonResponse
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers, viewsets

from groups.models import GroupChat, GroupMember
from groups.services import listing
from scrm.api_pages import asked_page, page_answer, paged
from scrm.api_query import asked_number
from scrm.errors import InvalidError, NotFoundError

SIZE = 50


class GroupOut(serializers.Serializer):
    """A customer group. Moments are UTC."""

    id = serializers.IntegerField()
    chat_id = serializers.CharField()
    corpid = serializers.CharField()
    name = serializers.CharField(help_text="empty when nobody has named it")
    owner_id = serializers.IntegerField(allow_null=True)
    owner_userid = serializers.CharField()
    state = serializers.CharField(help_text="normal | owner_left | inheriting | inherited")
    n_members = serializers.IntegerField()
    n_customers = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    dismissed_at = serializers.DateTimeField(allow_null=True)


class GroupMemberOut(serializers.Serializer):
    """A stay in a group; who came back has two."""

    id = serializers.IntegerField()
    kind = serializers.CharField(help_text="staff | customer")
    userid = serializers.CharField(help_text="a member's userid, or an external_userid")
    contact_id = serializers.IntegerField(allow_null=True)
    staff_id = serializers.IntegerField(allow_null=True)
    name = serializers.CharField()
    join_scene = serializers.ChoiceField(choices=[s.name.lower() for s in GroupMember.Scene])
    invitor_userid = serializers.CharField()
    state = serializers.CharField(help_text="of the join way that was scanned")
    joined_at = serializers.DateTimeField()
    left_at = serializers.DateTimeField(allow_null=True)
    quit_scene = serializers.ChoiceField(choices=["", *(s.name.lower() for s in GroupMember.Quit)])


def _page(name: str, row: Any) -> Any:
    return inline_serializer(name, {"results": row, "next": serializers.CharField()})


class GroupViewSet(viewsets.ViewSet):
    capabilities = {"list": "groups.view", "retrieve": "groups.view", "members": "groups.view"}

    @extend_schema(
        operation_id="groups_list",
        responses=_page("GroupPage", GroupOut(many=True)),
        parameters=[
            OpenApiParameter("owner", int, description="id of a staff member"),
            OpenApiParameter("state", str, enum=[key for key, _words in listing.STATES]),
            OpenApiParameter("size", str, enum=list(listing.SIZES)),
            OpenApiParameter("q", str, description="part of the name, or a whole chat_id"),
            *paged(SIZE),
        ],
    )
    def list(self, request: Any) -> JsonResponse:
        """GET /api/v1/groups/: groups, newest first; dissolved ones only with state=dismissed."""
        query = request.query_params
        filters = listing.Filters(
            q=query.get("q", ""),
            owner=asked_number(query, "owner"),
            state=query.get("state", ""),
            size=query.get("size", ""),
        )
        rows = filters.apply(GroupChat.objects.select_related("corp"))
        page = asked_page(request, rows, ("-created_at", "-pk"), SIZE)
        return page_answer(groups_out(page.rows), page)

    @extend_schema(operation_id="groups_retrieve", responses=GroupOut)
    def retrieve(self, request: Any, pk: int) -> JsonResponse:
        """GET /api/v1/groups/<id>/: one group."""
        return JsonResponse(groups_out([_chat(pk)])[0])

    @extend_schema(
        operation_id="groups_members",
        responses=_page("GroupMemberPage", GroupMemberOut(many=True)),
        parameters=[
            OpenApiParameter("present", bool, description="only who is in it now, or who has left"),
            *paged(SIZE),
        ],
    )
    def members(self, request: Any, pk: int) -> JsonResponse:
        """GET /api/v1/groups/<id>/members/: all stays, newest first."""
        query = request.query_params
        rows = GroupMember.objects.filter(chat=_chat(pk))
        if "present" in query:
            if query["present"] not in ("true", "false"):
                raise InvalidError(_("present must be true or false"), fields={"present": "true | false"})
            rows = rows.filter(left_at__isnull=query["present"] == "true")
        page = asked_page(request, rows, ("-joined_at", "-pk"), SIZE)
        return page_answer([_member(stay) for stay in page], page)


def _chat(pk: int) -> GroupChat:
    chat = GroupChat.objects.select_related("corp").filter(pk=pk).first()
    if chat is None:
        raise NotFoundError()
    return chat


def groups_out(chats: Sequence[GroupChat]) -> list[dict[str, Any]]:
    names = ("id", "chat_id", "name", "owner_id", "owner_userid", "n_members", "n_customers", "created_at")
    rows = [
        {name: getattr(chat, name) for name in (*names, "dismissed_at")}
        | {"corpid": chat.corp.corpid, "state": GroupChat.State(chat.state).name.lower()}
        for chat in chats
    ]
    return list(GroupOut(rows, many=True).data)


def _member(stay: GroupMember) -> dict[str, Any]:
    names = (
        "id",
        "userid",
        "contact_id",
        "staff_id",
        "name",
        "invitor_userid",
        "state",
        "joined_at",
        "left_at",
    )
    quit_scene = "" if stay.quit_scene is None else GroupMember.Quit(stay.quit_scene).name.lower()
    row = {name: getattr(stay, name) for name in names} | {
        "kind": GroupMember.Kind(stay.kind).name.lower(),
        "join_scene": GroupMember.Scene(stay.join_scene).name.lower(),
        "quit_scene": quit_scene,
    }
    return GroupMemberOut(row).data
