"""Addresses of this app."""

from django.urls import path

from groups.views import chats

urlpatterns = [
    path("groups/", chats.group_list, name="groups"),
    path("groups/<int:chat_id>/", chats.group_detail, name="group"),
]
