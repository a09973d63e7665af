"""Addresses of the reconciliation."""

from django.urls import path

from drift.views import compare, lists, settings

urlpatterns = [
    path("sync/drift/", lists.drift_list, name="drift"),
    path("sync/drift/start/", lists.drift_start, name="drift_start"),
    path("sync/drift/act/", lists.drift_act, name="drift_act"),
    path("sync/drift/runs/", lists.run_list, name="drift_runs"),
    path("sync/drift/settings/", settings.drift_settings, name="drift_settings"),
    path("contacts/<int:contact_id>/compare/", compare.contact_compare, name="contact_compare"),
]
