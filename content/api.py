"""REST API of the content library: items with their versions, approval, figures.

Lists are keyset pages `{"results": […], "next": "token or empty"}`.
"""

from typing import Any

from django.http import HttpResponse, JsonResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers, viewsets

from content import hooks
from content.models import Content, ContentVersion, Folder
from content.services import approval, editing, library, links
from content.services.editing import ContentInput
from scrm.api_body import Body, read_body
from scrm.api_pages import asked_page, page_answer, page_out, paged
from scrm.api_query import asked_number, asked_word


class LibraryItemOut(serializers.Serializer):
    """An item with its newest version. `current_version` is in force (null: none is approved yet)."""

    id = serializers.IntegerField()
    kind = serializers.CharField(help_text="message | script | page")
    form = serializers.CharField(
        help_text="text | image | link | miniprogram | video | file | combined | page"
    )
    name = serializers.CharField()
    folder_id = serializers.IntegerField(allow_null=True)
    version = serializers.IntegerField(help_text="number of the newest version")
    state = serializers.CharField(help_text="of the newest version: waiting | approved | refused | replaced")
    current_version = serializers.IntegerField(allow_null=True)
    text = serializers.CharField()
    attachments = serializers.ListField(child=serializers.DictField())
    page = serializers.DictField()
    is_personal = serializers.BooleanField(help_text="speaks of the customer: not for messages to many")
    expires_at = serializers.DateTimeField(allow_null=True)
    archived_at = serializers.DateTimeField(allow_null=True)
    changed_at = serializers.DateTimeField()
    occasion = serializers.CharField(
        help_text="of a script: when the sidebar suggests it: hello | cart | repurchase | again; empty: never"
    )


class LibraryItemIn(Body):
    kind = serializers.ChoiceField(choices=Content.Kind.values, required=False, default="message")
    name = serializers.CharField(max_length=60)
    text = serializers.CharField(required=False, allow_blank=True, default="", max_length=20_000)
    attachments = serializers.ListField(child=serializers.DictField(), required=False, default=list)
    page = serializers.DictField(required=False, default=dict)
    folder_id = serializers.IntegerField(required=False, allow_null=True, default=None)
    expires_at = serializers.DateTimeField(required=False, allow_null=True, default=None)
    note = serializers.CharField(required=False, allow_blank=True, default="", max_length=200)
    occasion = serializers.ChoiceField(
        choices=Content.Occasion.values, required=False, allow_blank=True, default=""
    )


class DecisionIn(Body):
    version = serializers.IntegerField(min_value=1)
    approve = serializers.BooleanField()
    note = serializers.CharField(required=False, allow_blank=True, default="", max_length=200)


def content_rows(items: Any) -> list[dict[str, Any]]:
    """Items with their newest versions; two queries."""
    versions = library.newest_of(item.pk for item in items)
    in_force = ContentVersion.objects.filter(pk__in=[item.current_id for item in items if item.current_id])
    current = dict(in_force.values_list("pk", "no"))
    rows = []
    for item in items:
        newest = versions.get(item.pk)
        rows.append(
            {
                "id": item.pk,
                "kind": item.kind,
                "form": item.form,
                "name": item.name,
                "folder_id": item.folder_id,
                "version": newest.no if newest else 0,
                "state": newest.state if newest else "",
                "current_version": current.get(item.current_id or 0),
                "text": newest.text if newest else "",
                "attachments": newest.attachments if newest else [],
                "page": newest.page if newest else {},
                "is_personal": bool(newest and newest.is_personal),
                "expires_at": item.expires_at,
                "archived_at": item.archived_at,
                "changed_at": item.changed_at,
                "occasion": item.occasion,
            }
        )
    return rows


class FolderOut(serializers.Serializer):
    id = serializers.IntegerField()
    parent_id = serializers.IntegerField(allow_null=True)
    name = serializers.CharField()


class ResultsOut(serializers.Serializer):
    """People whom one version reached, and what they did."""

    version = serializers.IntegerField()
    sent = serializers.IntegerField()
    opened = serializers.IntegerField()
    replied = serializers.IntegerField()
    converted = serializers.IntegerField()


class ContentViewSet(viewsets.ViewSet):
    capabilities = {
        "list": "content.view", "retrieve": "content.view", "create": "content.edit", "partial_update": "content.edit",
        "archive": "content.edit", "restore": "content.edit", "decide": "content.approve", "results": "content.view",
        "folders": "content.view",
    }  # fmt: skip

    @extend_schema(
        operation_id="content_list",
        parameters=[
            *paged(),
            OpenApiParameter("q", str, description="words in name and text"),
            OpenApiParameter("folder", int, description="with everything below it"),
            OpenApiParameter("kind", str, enum=Content.Kind.values),
            OpenApiParameter("archived", bool, description="the archive instead"),
        ],
        responses=inline_serializer(
            "ContentPage", {"results": LibraryItemOut(many=True), "next": serializers.CharField()}
        ),
    )
    def list(self, request: Any) -> HttpResponse:
        given = request.query_params
        folder_id = asked_number(given, "folder")
        found = library.matching(Content.objects.all(), q=given.get("q", "")[:60], folder_id=folder_id)
        archived = asked_word(given, "archived", ["true", "false"]) == "true"
        found = found.filter(archived_at__isnull=not archived)
        if kind := asked_word(given, "kind", Content.Kind.values):
            found = found.filter(kind=kind)
        page = asked_page(request, found, ("-changed_at", "-pk"))
        return page_answer(content_rows(page.rows), page)

    @extend_schema(operation_id="content_read", responses=LibraryItemOut)
    def retrieve(self, request: Any, pk: int) -> HttpResponse:
        return JsonResponse(content_rows([editing.get_content(pk)])[0])

    @extend_schema(operation_id="content_create", request=LibraryItemIn, responses={201: LibraryItemOut})
    def create(self, request: Any) -> HttpResponse:
        """A new item. `warnings` names words that are only warned of."""
        given = ContentInput(**read_body(LibraryItemIn, request))
        saved = editing.create_content(request._request.brand, given=given, by=request.user)
        if saved.content.kind == Content.Kind.PAGE:
            links.link_of_page(request._request.brand, saved.content, by=request.user)
        return JsonResponse({**content_rows([saved.content])[0], "warnings": saved.warnings}, status=201)

    @extend_schema(
        operation_id="content_change", request=LibraryItemIn(partial=True), responses=LibraryItemOut
    )
    def partial_update(self, request: Any, pk: int) -> HttpResponse:
        """Other words make a new version."""
        old = editing.as_input(editing.get_content(pk))
        changed = read_body(LibraryItemIn, request, partial=True)
        given = ContentInput(**{**old.__dict__, **changed, "kind": old.kind})
        saved = editing.edit_content(request._request.brand, content_id=pk, given=given, by=request.user)
        return JsonResponse({**content_rows([saved.content])[0], "warnings": saved.warnings})

    @extend_schema(operation_id="content_archive", request=None, responses={204: None})
    def archive(self, request: Any, pk: int) -> HttpResponse:
        editing.archive(request._request.brand, content_id=pk, by=request.user)
        return HttpResponse(status=204)

    @extend_schema(operation_id="content_restore", request=None, responses={204: None})
    def restore(self, request: Any, pk: int) -> HttpResponse:
        editing.restore(request._request.brand, content_id=pk, by=request.user)
        return HttpResponse(status=204)

    @extend_schema(operation_id="content_decide", request=DecisionIn, responses=LibraryItemOut)
    def decide(self, request: Any, pk: int) -> HttpResponse:
        """Approve or send back the waiting version; a key that wrote it cannot."""
        editing.get_content(pk)
        given = read_body(DecisionIn, request)
        version = approval.decide(
            request._request.brand,
            content_id=pk,
            no=given["version"],
            approve=given["approve"],
            note=given["note"],
            by=request.user,
        )
        return JsonResponse(content_rows([editing.get_content(version.content_id)])[0])

    @extend_schema(
        operation_id="content_results",
        responses=page_out("ContentResults", ResultsOut, whole=True),
    )
    def results(self, request: Any, pk: int) -> HttpResponse:
        """Figures of each version that was sent."""
        editing.get_content(pk)
        numbers = dict(ContentVersion.objects.filter(content=pk).order_by("no").values_list("pk", "no"))
        found = hooks.results(request._request.brand, list(numbers))
        rows = [{"version": no, **found[version]} for version, no in numbers.items() if version in found]
        return JsonResponse({"results": rows})

    @extend_schema(
        operation_id="content_folders",
        responses=page_out("ContentFolders", FolderOut, whole=True),
    )
    def folders(self, request: Any) -> HttpResponse:
        """All folders, by name."""
        return JsonResponse(
            {"results": list(Folder.objects.order_by("name").values("id", "parent_id", "name"))}
        )
