"""The REST API, version 1: authenticated by a brand's API key."""

from typing import Any

from django.urls import path

from campaigns.api import SopViewSet, TouchViewSet
from contacts.api import ContactViewSet
from scrm import api_docs

urlpatterns: list[Any] = [
    path("schema/", api_docs.schema, name="api_schema"),
    path("docs/", api_docs.page, name="api_docs"),
    path("contacts/", ContactViewSet.as_view({"get": "list"}), name="api_contacts"),
    path("contacts/<int:pk>/", ContactViewSet.as_view({"get": "retrieve"}), name="api_contact"),
    path("touches/", TouchViewSet.as_view({"get": "list"}), name="api_touches"),
    path("sops/", SopViewSet.as_view({"get": "list"}), name="api_sops"),
    path("sops/<str:pk>/", SopViewSet.as_view({"get": "retrieve"}), name="api_sop"),
]
