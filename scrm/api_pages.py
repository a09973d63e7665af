"""Lists of the API: `{"results": […], "next": "token or empty"}`, cut by key; all take `after` and `limit`."""

from collections.abc import Sequence
from typing import Any

from django.http import JsonResponse
from drf_spectacular.utils import OpenApiParameter, inline_serializer
from rest_framework import serializers

from scrm.api_query import asked_number
from scrm.keyset import Page, keyset_page

SIZE, MAX_SIZE = 100, 200
AFTER = OpenApiParameter("after", str, description="`next` of the page before")


def paged(size: int = SIZE, most: int = MAX_SIZE) -> list[OpenApiParameter]:
    """The parameters of a page, for `extend_schema`."""
    text = f"rows of a page, at most {most}; {size} if not given"
    return [AFTER, OpenApiParameter("limit", int, description=text)]


def asked_size(request: Any, size: int = SIZE, most: int = MAX_SIZE) -> int:
    """How many rows of a page are asked for. Raises InvalidError."""
    return asked_number(request.query_params, "limit", most) or size


def asked_page(request: Any, rows: Any, order: Sequence[str], size: int = SIZE) -> Page:
    """The page that is asked for; `order` as for `keyset_page`. Raises InvalidError."""
    after = request.query_params.get("after")
    return keyset_page(rows, order=order, after=after, size=asked_size(request, size))


def page_answer(rows: Any, page: Page) -> JsonResponse:
    """The answer: rows as they are shown, and where the next page begins."""
    return JsonResponse({"results": rows, "next": page.next})


def page_out(name: str, shape: Any, *, whole: bool = False) -> Any:
    """The description of a page of a list, or of a list that comes whole."""
    fields: dict[str, Any] = {"results": shape(many=True)}
    if not whole:
        fields["next"] = serializers.CharField()
    return inline_serializer(name, fields)
