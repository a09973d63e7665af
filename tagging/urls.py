"""Addresses of this app."""

from django.urls import path, re_path

from tagging import views

urlpatterns = [
    path("tags/", views.tag_list, name="tags"),
    path("tags/sync/", views.sync, name="tags_sync"),
    path("tags/groups/new/", views.group_new, name="tag_group_new"),
    path("tags/groups/<int:group_id>/", views.group_body, name="tag_group"),
    path("tags/groups/<int:group_id>/new/", views.tags_new, name="tags_new"),
    re_path(r"^tags/(?P<kind>tag|group)/(?P<item_id>\d{1,18})/rename/$", views.rename, name="tag_rename"),
    re_path(r"^tags/(?P<kind>tag|group)/(?P<item_id>\d{1,18})/delete/$", views.delete, name="tag_delete"),
    re_path(
        r"^tags/(?P<kind>tag|group)/(?P<item_id>\d{1,18})/(?P<way>up|down)/$", views.move, name="tag_move"
    ),
]
