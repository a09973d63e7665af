"""The REST API, version 1: authenticated by a brand's API key."""

from typing import Any

from django.urls import path

from campaigns.api import SopViewSet, TouchViewSet

urlpatterns: list[Any] = [
    path("touches/", TouchViewSet.as_view({"get": "list"}), name="api_touches"),
    path("sops/", SopViewSet.as_view({"get": "list"}), name="api_sops"),
    path("sops/<str:pk>/", SopViewSet.as_view({"get": "retrieve"}), name="api_sop"),
]
