"""Addresses of the WeCom edge: the callback, set-up, inbox, outbox, media."""

from django.urls import path

from wecom.views import callback

urlpatterns = [
    path("wecom/callback/<str:path>/", callback.callback, name="wecom_callback"),
]
