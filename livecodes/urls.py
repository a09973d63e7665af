"""Addresses of this app."""

from django.urls import path

from livecodes.views import detail, edit, imports, links, lists, pictures, welcomes

urlpatterns = [
    path("codes/", lists.code_list, name="codes"),
    path("codes/new/", edit.code_new, name="code_new"),
    path("codes/zip/", lists.zip_start, name="code_zip"),
    path("codes/export.csv", lists.code_export, name="code_export"),
    path("codes/links/", links.link_list, name="links"),
    path("codes/links/read/", links.links_read, name="links_read"),
    path("codes/links/alarm/<int:corp_id>/", links.quota_alarm, name="quota_alarm"),
    path("codes/move/", lists.guide_move, name="code_move"),
    path("codes/zips/<int:job_id>/", pictures.zip_page, name="code_zip_page"),
    path("codes/zips/<int:job_id>/file/", pictures.zip_file, name="code_zip_file"),
    path("codes/import/", imports.import_new, name="code_import"),
    path("codes/import/template.xlsx", imports.import_template, name="code_import_template"),
    path("codes/import/start/", imports.import_start, name="code_import_start"),
    path("codes/import/<int:job_id>/", imports.import_job, name="code_import_job"),
    path("codes/welcomes/", welcomes.welcome_list, name="welcomes"),
    path("codes/welcomes/new/", welcomes.welcome_edit, name="welcome_new"),
    path("codes/welcomes/<int:welcome_id>/", welcomes.welcome_edit, name="welcome_edit"),
    path("codes/welcomes/<int:welcome_id>/delete/", welcomes.welcome_delete, name="welcome_delete"),
    path("codes/<int:code_id>/", detail.code_detail, name="code"),
    path("codes/<int:code_id>/edit/", edit.code_edit, name="code_edit"),
    path("codes/<int:code_id>/state/", detail.code_state, name="code_state"),
    path("codes/<int:code_id>/arrivals/", detail.code_arrivals, name="code_arrivals"),
    path("codes/<int:code_id>/qr.png", pictures.qr_picture, name="code_qr"),
    path("codes/<int:code_id>/retry/", detail.code_retry, name="code_retry"),
    path("codes/<int:code_id>/remake/", detail.code_remake, name="code_remake"),
    path("codes/<int:code_id>/delete/", detail.code_delete, name="code_delete"),
    path("codes/<int:code_id>/duplicate/", detail.code_duplicate, name="code_duplicate"),
]
