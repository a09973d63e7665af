"""REST API: sensitive words."""

from typing import Any

from django.http import HttpResponse, JsonResponse
from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework import serializers, viewsets

from content.models import SensitiveWord
from content.services import sensitive
from scrm.api_body import Body, read_body
from scrm.api_pages import asked_page, page_answer, paged


class WordsIn(Body):
    words = serializers.ListField(child=serializers.CharField(max_length=200), max_length=5_000)
    level = serializers.ChoiceField(choices=SensitiveWord.Level.values, default="refuse")
    note = serializers.CharField(required=False, allow_blank=True, default="", max_length=100)


class WordCheck(Body):
    text = serializers.CharField(max_length=20_000, allow_blank=True)


class WordViewSet(viewsets.ViewSet):
    capabilities = {"list": "content.view", "create": "content.approve", "check": "content.view"}

    @extend_schema(
        operation_id="sensitive_words_list",
        parameters=paged(),
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
        page = asked_page(request, SensitiveWord.objects.all(), ("-pk",))
        return page_answer([{"word": w.word, "level": w.level, "note": w.note} for w in page.rows], page)

    @extend_schema(operation_id="sensitive_words_add", request=WordsIn, responses={201: None})
    def create(self, request: Any) -> HttpResponse:
        n, bad = sensitive.add_words(request._request.brand, by=request.user, **read_body(WordsIn, request))
        return JsonResponse({"n": n, "bad": bad}, status=201)

    @extend_schema(
        operation_id="sensitive_words_check",
        request=WordCheck,
        responses={200: None},
    )
    def check(self, request: Any) -> HttpResponse:
        """Which words stand in a text."""
        text = read_body(WordCheck, request)["text"]
        found = sensitive.find(request._request.brand, [text])
        return JsonResponse({"found": [{"word": f.word, "level": f.level, "note": f.note} for f in found]})
