"""Addresses of this app."""

from django.urls import path

from handover.views import new, runs

urlpatterns = [
    path("handover/", runs.handover_list, name="handovers"),
    path("handover/read/", runs.handover_read, name="handover_read"),
    path("handover/new/", new.handover_new, name="handover_new"),
    path("handover/new/preview/", new.handover_preview, name="handover_preview"),
    path("handover/new/guides/", new.handover_guides, name="handover_guides"),
    path("handover/<int:run_id>/", runs.handover_detail, name="handover"),
    path("handover/<int:run_id>/cancel/", runs.handover_cancel, name="handover_cancel"),
]
