"""Addresses of this app."""

from django.urls import path

from datafiles.views import exports, imports

urlpatterns = [
    path("imports/", imports.import_list, name="imports"),
    path("imports/new/", imports.import_new, name="import_new"),
    path("imports/<int:file_id>/", imports.import_detail, name="import"),
    path("imports/<int:file_id>/columns/", imports.import_columns, name="import_columns"),
    path("imports/<int:file_id>/layout/", imports.import_layout, name="import_layout"),
    path("imports/<int:file_id>/start/", imports.import_start, name="import_start"),
    path("imports/<int:file_id>/undo/", imports.import_undo, name="import_undo"),
    path("imports/<int:file_id>/discard/", imports.import_discard, name="import_discard"),
    path("imports/<int:file_id>/refused.csv", imports.import_refused, name="import_refused"),
    path("exports/", exports.export_list, name="exports"),
    path("exports/new/", exports.export_new, name="export_new"),
    path("exports/<int:export_id>/file/", exports.export_file, name="export_file"),
]
