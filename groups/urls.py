"""Addresses of this app."""

from django.urls import path

from groups.views import chats, codes

urlpatterns = [
    path("groups/", chats.group_list, name="groups"),
    path("groups/<int:chat_id>/", chats.group_detail, name="group"),
    path("groups/codes/", codes.code_list, name="group_codes"),
    path("groups/codes/new/", codes.code_edit, name="group_code_new"),
    path("groups/codes/<int:code_id>/", codes.code_edit, name="group_code"),
    path("groups/codes/<int:code_id>/retry/", codes.code_retry, name="group_code_retry"),
    path("groups/codes/<int:code_id>/delete/", codes.code_delete, name="group_code_delete"),
    path("groups/codes/<int:code_id>/picture/", codes.code_picture, name="group_code_picture"),
]
