"""REST API of the content library: items with their versions, approval, folders, sensitive words; tracked links with
their figures and people. Lists are keyset pages `{"results": […], "next": "token or empty"}`."""

from collections.abc import Sequence
from typing import Any

from django.http import HttpResponse, JsonResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers, viewsets

from content import hooks
from content.models import Content, ContentVersion, Folder, SensitiveWord, TrackedLink
from content.services import approval, cards, editing, library, link_numbers, links, sensitive
from content.services.editing import ContentInput
from scrm.ids import need_id
from scrm.keyset import keyset_page

SIZE = 100
AFTER = OpenApiParameter("after", str, description="`next` of the page before")


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


class LibraryItemIn(serializers.Serializer):
    kind = serializers.ChoiceField(choices=Content.Kind.values, required=False, default="message")
    name = serializers.CharField(max_length=60)
    text = serializers.CharField(required=False, allow_blank=True, default="", max_length=20_000)
    attachments = serializers.ListField(child=serializers.DictField(), required=False, default=list)
    page = serializers.DictField(required=False, default=dict)
    folder_id = serializers.IntegerField(required=False, allow_null=True, default=None)
    expires_at = serializers.DateTimeField(required=False, allow_null=True, default=None)
    note = serializers.CharField(required=False, allow_blank=True, default="", max_length=200)


class DecisionIn(serializers.Serializer):
    version = serializers.IntegerField(min_value=1)
    approve = serializers.BooleanField()
    note = serializers.CharField(required=False, allow_blank=True, default="", max_length=200)


class LinkOut(serializers.Serializer):
    id = serializers.IntegerField()
    name = serializers.CharField()
    address = serializers.CharField(help_text="what customers open; put it into texts as it is")
    url = serializers.CharField(help_text="the outside address; empty for a page")
    content_id = serializers.IntegerField(allow_null=True)
    asks_who = serializers.BooleanField()
    n_opens = serializers.IntegerField()
    n_known = serializers.IntegerField(help_text="customers known by name who opened it")
    opened_at = serializers.DateTimeField(allow_null=True)
    card = serializers.DictField(help_text="as a link card: one of the `attachments` of any message")
    archived_at = serializers.DateTimeField(allow_null=True)


class LinkIn(serializers.Serializer):
    """`url` or `content_id` (a page)."""

    name = serializers.CharField(max_length=60)
    url = serializers.CharField(required=False, allow_blank=True, default="", max_length=1_000)
    content_id = serializers.IntegerField(required=False, allow_null=True, default=None)
    asks_who = serializers.BooleanField(required=False, default=True)


class PersonOut(serializers.Serializer):
    contact_id = serializers.IntegerField()
    staff_id = serializers.IntegerField(allow_null=True, help_text="whose link it was the first time")
    via = serializers.IntegerField(
        help_text="0 link itself, 1 welcome, 2 SOP, 3 broadcast, 4 chat, 7 poster, 9 passed on"
    )
    first_at = serializers.DateTimeField()
    last_at = serializers.DateTimeField()
    n_opens = serializers.IntegerField()
    n_shared = serializers.IntegerField()
    seconds = serializers.IntegerField()
    depth = serializers.IntegerField(help_text="per cent of the page")


class WordsIn(serializers.Serializer):
    words = serializers.ListField(child=serializers.CharField(max_length=200), max_length=5_000)
    level = serializers.ChoiceField(choices=SensitiveWord.Level.values, default="refuse")
    note = serializers.CharField(required=False, allow_blank=True, default="", max_length=100)


def valid(shape: type[serializers.Serializer], request: Any, **kwargs: Any) -> dict[str, Any]:
    given = shape(data=request.data, **kwargs)
    given.is_valid(raise_exception=True)
    return dict(given.validated_data)


def _page(rows: list[Any], page: Any) -> JsonResponse:
    return JsonResponse({"results": rows, "next": page.next})


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
            }
        )
    return rows


def link_rows(found: Sequence[TrackedLink]) -> list[dict[str, Any]]:
    names = ("name", "url", "content_id", "asks_who", "n_opens", "n_known", "opened_at", "archived_at")
    ready = cards.cards_of(found)
    return [
        {
            "id": link.pk,
            "address": links.address_of(link),
            **{name: getattr(link, name) for name in names},
            "card": ready[link.pk],
        }
        for link in found
    ]


def link_row(link: TrackedLink) -> dict[str, Any]:
    return link_rows([link])[0]


class ContentViewSet(viewsets.ViewSet):
    capabilities = {
        "list": "content.view", "retrieve": "content.view", "create": "content.edit", "partial_update": "content.edit",
        "archive": "content.edit", "restore": "content.edit", "decide": "content.approve", "results": "content.view",
        "folders": "content.view",
    }  # fmt: skip

    @extend_schema(
        operation_id="content_list",
        parameters=[
            AFTER,
            OpenApiParameter("q", str, description="words in name and text"),
            OpenApiParameter("folder", int, description="with everything below it"),
            OpenApiParameter("kind", str),
            OpenApiParameter("archived", bool, description="the archive instead"),
        ],
        responses=inline_serializer(
            "ContentPage", {"results": LibraryItemOut(many=True), "next": serializers.CharField()}
        ),
    )
    def list(self, request: Any) -> HttpResponse:
        given = request.query_params
        folder_id = need_id(given["folder"]) if given.get("folder") else None
        found = library.matching(Content.objects.all(), q=given.get("q", "")[:60], folder_id=folder_id)
        archived = given.get("archived") == "true"
        found = found.filter(archived_at__isnull=not archived)
        if given.get("kind"):
            found = found.filter(kind=given["kind"])
        page = keyset_page(found, order=("-changed_at", "-pk"), after=given.get("after"), size=SIZE)
        return _page(content_rows(page.rows), page)

    @extend_schema(operation_id="content_read", responses=LibraryItemOut)
    def retrieve(self, request: Any, pk: int) -> HttpResponse:
        return JsonResponse(content_rows([editing.get_content(pk)])[0])

    @extend_schema(operation_id="content_create", request=LibraryItemIn, responses={201: LibraryItemOut})
    def create(self, request: Any) -> HttpResponse:
        """A new item. `warnings` names words that are only warned of."""
        given = ContentInput(**valid(LibraryItemIn, request))
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
        changed = valid(LibraryItemIn, request, partial=True)
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
        given = valid(DecisionIn, request)
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
        responses=inline_serializer(
            "ContentResults",
            {
                name: serializers.IntegerField()
                for name in ("version", "sent", "opened", "replied", "converted")
            },
            many=True,
        ),
    )
    def results(self, request: Any, pk: int) -> HttpResponse:
        """Figures of each version that was sent."""
        editing.get_content(pk)
        numbers = dict(ContentVersion.objects.filter(content=pk).order_by("no").values_list("pk", "no"))
        found = hooks.results(request._request.brand, list(numbers))
        rows = [{"version": no, **found[version]} for version, no in numbers.items() if version in found]
        return JsonResponse(rows, safe=False)

    @extend_schema(
        operation_id="content_folders",
        responses=inline_serializer(
            "ContentFolder",
            {
                "id": serializers.IntegerField(),
                "parent_id": serializers.IntegerField(allow_null=True),
                "name": serializers.CharField(),
            },
            many=True,
        ),
    )
    def folders(self, request: Any) -> HttpResponse:
        return JsonResponse(
            list(Folder.objects.order_by("name").values("id", "parent_id", "name")), safe=False
        )


class LinkViewSet(viewsets.ViewSet):
    capabilities = {
        "list": "content.view", "retrieve": "content.view", "create": "content.edit", "partial_update": "content.edit",
        "people": "content.view",
    }  # fmt: skip

    @extend_schema(
        operation_id="links_list",
        parameters=[AFTER],
        responses=inline_serializer(
            "LinkPage", {"results": LinkOut(many=True), "next": serializers.CharField()}
        ),
    )
    def list(self, request: Any) -> HttpResponse:
        page = keyset_page(
            TrackedLink.objects.all(), order=("-pk",), after=request.query_params.get("after"), size=SIZE
        )
        return _page(link_rows(page.rows), page)

    @extend_schema(operation_id="links_read", responses=LinkOut)
    def retrieve(self, request: Any, pk: int) -> HttpResponse:
        """With `totals`, `guides` and `ways`."""
        link = links.get_link(pk)
        figures = {
            "totals": link_numbers.totals(link),
            "guides": link_numbers.by_guide(link),
            "ways": link_numbers.by_way(link),
        }
        return JsonResponse({**link_row(link), **figures})

    @extend_schema(operation_id="links_create", request=LinkIn, responses={201: LinkOut})
    def create(self, request: Any) -> HttpResponse:
        link = links.create_link(request._request.brand, by=request.user, **valid(LinkIn, request))
        return JsonResponse(link_row(link), status=201)

    @extend_schema(operation_id="links_change", request=LinkIn(partial=True), responses=LinkOut)
    def partial_update(self, request: Any, pk: int) -> HttpResponse:
        link = links.get_link(pk)
        given = valid(LinkIn, request, partial=True)
        saved = links.edit_link(
            request._request.brand,
            link_id=pk,
            name=given.get("name", link.name),
            url=given.get("url", link.url),
            asks_who=given.get("asks_who", link.asks_who),
            by=request.user,
        )
        return JsonResponse(link_row(saved))

    @extend_schema(
        operation_id="links_people",
        parameters=[AFTER],
        responses=inline_serializer(
            "LinkPeople", {"results": PersonOut(many=True), "next": serializers.CharField()}
        ),
    )
    def people(self, request: Any, pk: int) -> HttpResponse:
        """Customers who opened it, the latest first."""
        found = link_numbers.people(links.get_link(pk), None)
        page = keyset_page(
            found, order=("-last_at", "-pk"), after=request.query_params.get("after"), size=SIZE
        )
        return _page(list(PersonOut(page.rows, many=True).data), page)


class WordViewSet(viewsets.ViewSet):
    capabilities = {"list": "content.view", "create": "content.approve", "check": "content.view"}

    @extend_schema(
        operation_id="sensitive_words_list",
        parameters=[AFTER],
        responses=inline_serializer(
            "WordPage",
            {
                "results": inline_serializer(
                    "Word", {name: serializers.CharField() for name in ("word", "level", "note")}, many=True
                ),
                "next": serializers.CharField(),
            },
        ),
    )
    def list(self, request: Any) -> HttpResponse:
        page = keyset_page(
            SensitiveWord.objects.all(), order=("-pk",), after=request.query_params.get("after"), size=SIZE
        )
        return _page([{"word": w.word, "level": w.level, "note": w.note} for w in page.rows], page)

    @extend_schema(operation_id="sensitive_words_add", request=WordsIn, responses={201: None})
    def create(self, request: Any) -> HttpResponse:
        n, bad = sensitive.add_words(request._request.brand, by=request.user, **valid(WordsIn, request))
        return JsonResponse({"n": n, "bad": bad}, status=201)

    @extend_schema(
        operation_id="sensitive_words_check",
        request=inline_serializer("WordCheck", {"text": serializers.CharField()}),
        responses={200: None},
    )
    def check(self, request: Any) -> HttpResponse:
        """Which words stand in a text."""
        text = str(request.data.get("text", "") if isinstance(request.data, dict) else "")[:20_000]
        found = sensitive.find(request._request.brand, [text])
        return JsonResponse({"found": [{"word": f.word, "level": f.level, "note": f.note} for f in found]})
