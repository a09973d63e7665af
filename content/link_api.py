"""REST API: tracked links."""

from collections.abc import Sequence
from typing import Any

from django.http import HttpResponse, JsonResponse
from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework import serializers, viewsets

from content.models import TrackedLink
from content.services import cards, link_numbers, links
from scrm.api_body import Body, read_body
from scrm.api_pages import asked_page, page_answer, paged


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


class SumsOut(serializers.Serializer):
    opens = serializers.IntegerField()
    new = serializers.IntegerField(help_text="people who opened it for the first time")
    reads = serializers.IntegerField(help_text="of a page, whose time was told")
    seconds = serializers.IntegerField()


class TotalsOut(SumsOut):
    shared = serializers.IntegerField(help_text="openings of what was passed on")
    known = serializers.IntegerField(help_text="customers known by name")
    mean_s = serializers.IntegerField(allow_null=True, help_text="seconds of a reading; null without any")


class LinkGuideOut(SumsOut):
    staff_id = serializers.IntegerField(help_text="0: nobody's")
    name = serializers.CharField()
    known = serializers.IntegerField(help_text="customers who came by the guide first")


class LinkWayOut(SumsOut):
    via = serializers.IntegerField(help_text="as of `people/`")
    name = serializers.CharField()


class LinkWhole(LinkOut):
    """With its figures."""

    totals = TotalsOut()
    guides = LinkGuideOut(many=True, help_text="by what was opened of theirs, at most 50")
    ways = LinkWayOut(many=True, help_text="by which people came to it")


class LinkChange(Body):
    """What is not given stays; whether it is an address or a page stays as well."""

    name = serializers.CharField(max_length=60, required=False)
    url = serializers.CharField(required=False, allow_blank=True, max_length=1_000)
    asks_who = serializers.BooleanField(required=False)


class LinkIn(Body):
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


class LinkViewSet(viewsets.ViewSet):
    capabilities = {
        "list": "content.view", "retrieve": "content.view", "create": "content.edit", "partial_update": "content.edit",
        "people": "content.view",
    }  # fmt: skip

    @extend_schema(
        operation_id="links_list",
        parameters=paged(),
        responses=inline_serializer(
            "LinkPage", {"results": LinkOut(many=True), "next": serializers.CharField()}
        ),
    )
    def list(self, request: Any) -> HttpResponse:
        page = asked_page(request, TrackedLink.objects.all(), ("-pk",))
        return page_answer(link_rows(page.rows), page)

    @extend_schema(operation_id="links_read", responses=LinkWhole)
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
        link = links.create_link(request._request.brand, by=request.user, **read_body(LinkIn, request))
        return JsonResponse(link_row(link), status=201)

    @extend_schema(operation_id="links_change", request=LinkChange, responses=LinkOut)
    def partial_update(self, request: Any, pk: int) -> HttpResponse:
        link = links.get_link(pk)
        given = read_body(LinkChange, request)
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
        parameters=paged(),
        responses=inline_serializer(
            "LinkPeople", {"results": PersonOut(many=True), "next": serializers.CharField()}
        ),
    )
    def people(self, request: Any, pk: int) -> HttpResponse:
        """Customers who opened it, the latest first."""
        found = link_numbers.people(links.get_link(pk), None)
        page = asked_page(request, found, ("-last_at", "-pk"))
        return page_answer(list(PersonOut(page.rows, many=True).data), page)
