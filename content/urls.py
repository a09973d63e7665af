"""Addresses of this app."""

from django.urls import path

from content.views import picker

urlpatterns = [
    path("content/picker/", picker.picker, name="content_picker"),
]
