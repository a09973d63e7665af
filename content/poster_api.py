"""REST API of posters: the list, and the picture for one guide or customer."""

from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, viewsets

from contacts.models import Contact
from content.models import Poster
from content.services import poster_pictures, posters
from org.access import brand_transaction
from org.models import Staff
from scrm.api_pages import asked_page, page_answer, page_out, paged
from scrm.errors import NotFoundError
from scrm.ids import read_id
from tenants.scoping import tenant_scope


class PosterOut(serializers.Serializer):
    id = serializers.IntegerField()
    name = serializers.CharField()


class PosterViewSet(viewsets.ViewSet):
    capabilities = {"list": "content.view"}

    @extend_schema(
        operation_id="posters_list",
        parameters=paged(),
        responses=page_out("PosterPage", PosterOut),
    )
    def list(self, request: Any) -> HttpResponse:
        """GET /api/v1/posters/: newest first."""
        page = asked_page(request, Poster.objects.filter(archived_at=None), ("-pk",))
        return page_answer(PosterOut(page.rows, many=True).data, page)


class PosterPictureViewSet(viewsets.ViewSet):
    capabilities = {"retrieve": "content.view"}
    calls_out = True  # pictures of codes and guides may have to be fetched

    @extend_schema(
        operation_id="posters_picture",
        parameters=[
            OpenApiParameter(
                "contact",
                int,
                description="this customer's own: with their name, their guide, and a code that tells who passes it on",
            ),
            OpenApiParameter("staff", int, description="with the code of this guide"),
        ],
        responses={(200, "image/jpeg"): bytes},
    )
    def retrieve(self, request: Any, pk: int) -> HttpResponse:
        """The picture (JPEG)."""
        brand = request._request.brand
        found: dict[str, Any] = {}
        with brand_transaction(request._request):
            poster = posters.get_poster(pk)
            for name, rows in (
                ("contact", Contact.objects.all()),
                ("staff", Staff.objects.select_related("store")),
            ):
                text = request.query_params.get(name, "")
                if text:
                    found[name] = rows.filter(pk=read_id(text) or 0).first()
                    if found[name] is None:
                        raise NotFoundError()
            drawing = poster_pictures.plan(brand, poster, **found)
        with tenant_scope(brand):
            data = poster_pictures.draw(brand, drawing)
        return HttpResponse(data, content_type="image/jpeg")
