"""REST API of guides' cards (名片): what each says and how often it was opened; what all have in common."""

from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.http import HttpResponse, JsonResponse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, viewsets

from content.services import links
from guides.models import Card
from guides.services import cards
from org.models import Staff
from scrm.api_body import Body, Id, read_body
from scrm.api_pages import asked_page, page_answer, page_out, paged
from scrm.errors import NotFoundError


class CardOut(serializers.Serializer):
    """`title` and `words` are the guide's own; where they are empty the page says WeCom's position and the brand's words."""

    staff_id = serializers.IntegerField()
    name = serializers.CharField()
    title = serializers.CharField()
    words = serializers.CharField()
    code_id = serializers.IntegerField(allow_null=True, help_text="channel code on it; null: the guide's own")
    address = serializers.CharField(help_text="of its public page; empty while the guide has no card")
    n_opened = serializers.IntegerField()
    n_customers = serializers.IntegerField(help_text="customers known by name who opened it")
    changed_at = serializers.DateTimeField(allow_null=True)


class CardIn(Body):
    title = serializers.CharField(max_length=40, allow_blank=True, required=False)
    words = serializers.CharField(max_length=300, allow_blank=True, required=False)
    code_id = Id(allow_null=True, required=False)


class CardStyleShape(Body):
    words = serializers.CharField(max_length=300, allow_blank=True, help_text="where a guide has none")
    invitation = serializers.CharField(max_length=60, allow_blank=True, help_text="above the code")
    color = serializers.CharField(max_length=7, help_text="#2f57d9")


class CardViewSet(viewsets.ViewSet):
    capabilities = {
        "list": "content.view", "retrieve": "content.view", "create": "content.edit", "partial_update": "content.edit",
    }  # fmt: skip

    @extend_schema(
        operation_id="cards_list",
        responses=page_out("CardPage", CardOut),
        parameters=paged(),
    )
    def list(self, request: Any) -> HttpResponse:
        """GET /api/v1/cards/: of all guides, in the order of their ids, those without a card too."""
        rows = Staff.objects.guides()
        page = asked_page(request, rows, ("pk",))
        return page_answer(_rows(page.rows), page)

    @extend_schema(operation_id="cards_read", responses=CardOut)
    def retrieve(self, request: Any, pk: int) -> HttpResponse:
        """GET /api/v1/cards/<staff id>/."""
        return JsonResponse(_rows([_guide(pk)])[0])

    @extend_schema(operation_id="cards_create", request=None, responses=CardOut)
    def create(self, request: Any, pk: int) -> HttpResponse:
        """POST /api/v1/cards/<staff id>/: make it. Safe to repeat."""
        guide = _guide(pk)
        cards.make_card(request._request.brand, staff=guide, by=request.user)
        return JsonResponse(_rows([guide])[0])

    @extend_schema(operation_id="cards_change", request=CardIn, responses=CardOut)
    def partial_update(self, request: Any, pk: int) -> HttpResponse:
        """PATCH /api/v1/cards/<staff id>/: what is left out stays; made where there is none."""
        guide = _guide(pk)
        given = read_body(CardIn, request)
        with transaction.atomic():
            card = cards.make_card(request._request.brand, staff=guide, by=request.user)
            old = {name: getattr(card, name) for name in cards.FIELDS}
            cards.edit_card(request._request.brand, staff=guide, by=request.user, **{**old, **given})
        return JsonResponse(_rows([guide])[0])


class CardStyleViewSet(viewsets.ViewSet):
    capabilities = {"retrieve": "content.view", "partial_update": "content.edit"}

    @extend_schema(operation_id="card_style_read", responses=CardStyleShape)
    def retrieve(self, request: Any) -> HttpResponse:
        """GET /api/v1/cards/style/."""
        return JsonResponse(CardStyleShape(cards.style_of()).data)

    @extend_schema(
        operation_id="card_style_change", request=CardStyleShape(partial=True), responses=CardStyleShape
    )
    def partial_update(self, request: Any) -> HttpResponse:
        """PATCH /api/v1/cards/style/: what is left out stays."""
        given = read_body(CardStyleShape, request, partial=True)
        old = {name: getattr(cards.style_of(), name) for name in cards.STYLE}
        style = cards.save_style(request._request.brand, by=request.user, **{**old, **given})
        return JsonResponse(CardStyleShape(style).data)


def _guide(pk: int) -> Staff:
    guide = Staff.objects.guides().filter(pk=pk).first()
    if guide is None:
        raise NotFoundError()
    return guide


def _rows(guides: Sequence[Staff]) -> list[dict[str, Any]]:
    mine = {card.staff_id: card for card in Card.objects.select_related("link").filter(staff__in=guides)}
    found = []
    for guide in guides:
        card = mine.get(guide.pk)
        found.append(
            {
                "staff_id": guide.pk,
                "name": guide.name,
                "title": card.title if card else "",
                "words": card.words if card else "",
                "code_id": card.code_id if card else None,
                "address": links.address_of(card.link) if card else "",
                "n_opened": card.link.n_opens if card else 0,
                "n_customers": card.link.n_known if card else 0,
                "changed_at": card.changed_at if card else None,
            }
        )
    return list(CardOut(found, many=True).data)
