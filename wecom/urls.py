"""Addresses of the WeCom edge: the callback, set-up, inbox, outbox, media."""

from django.urls import path

from wecom.views import callback, calls, login

urlpatterns = [
    path("setup/calls/", calls.call_list, name="calls"),
    path("wecom/callback/<str:path>/", callback.callback, name="wecom_callback"),
    path("login/wecom/<str:corpid>/", login.start, name="wecom_login"),
    path("login/wecom/<str:corpid>/done/", login.done, name="wecom_login_done"),
]
