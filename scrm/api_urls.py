"""The REST API, version 1: authenticated by a brand's API key."""

from typing import Any

from django.urls import path

from campaigns.api import SopViewSet, TouchViewSet
from contacts.api import ContactViewSet
from groups.api import GroupViewSet
from scrm import api_docs

urlpatterns: list[Any] = [
    path("schema/", api_docs.schema, name="api_schema"),
    path("docs/", api_docs.page, name="api_docs"),
    path("contacts/", ContactViewSet.as_view({"get": "list"}), name="api_contacts"),
    path("contacts/<int:pk>/", ContactViewSet.as_view({"get": "retrieve"}), name="api_contact"),
    path("groups/", GroupViewSet.as_view({"get": "list"}), name="api_groups"),
    path("groups/<int:pk>/", GroupViewSet.as_view({"get": "retrieve"}), name="api_group"),
    path("groups/<int:pk>/members/", GroupViewSet.as_view({"get": "members"}), name="api_group_members"),
    path("touches/", TouchViewSet.as_view({"get": "list"}), name="api_touches"),
    path("sops/", SopViewSet.as_view({"get": "list"}), name="api_sops"),
    path("sops/<str:pk>/", SopViewSet.as_view({"get": "retrieve"}), name="api_sop"),
]
