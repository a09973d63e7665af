"""Addresses of the WeCom edge: callback, log-in, set-up, inbox, outbox, media."""

from django.urls import path

from wecom.views import callback, calls, inbox, login, media, outbound, setup, support

urlpatterns = [
    path("wecom/callback/<str:path>/", callback.callback, name="wecom_callback"),
    path("wecom/media/", media.media_upload, name="media_upload"),
    path("wecom/media/<int:file_id>/", media.media_file, name="media_file"),
    path("login/wecom/<str:corpid>/", login.start, name="wecom_login"),
    path("login/wecom/<str:corpid>/done/", login.done, name="wecom_login_done"),
    path("setup/", setup.setup_list, name="setup"),
    path("setup/calls/", calls.call_list, name="calls"),
    path("platform/<int:brand_id>/calls/", support.brand_calls, name="platform_calls"),
    path("setup/new/", setup.setup_new, name="setup_new"),
    path("setup/<int:corp_id>/", setup.setup_corp, name="setup_corp"),
    path("setup/<int:corp_id>/edit/", setup.setup_edit, name="setup_edit"),
    path("setup/<int:corp_id>/keys/", setup.setup_keys, name="setup_keys"),
    path("setup/<int:corp_id>/check/", setup.setup_check, name="setup_check"),
    path("setup/<int:corp_id>/message/", setup.setup_message, name="setup_message"),
    path("sync/inbox/", inbox.inbox_list, name="inbox"),
    path("sync/inbox/replay/", inbox.inbox_replay, name="inbox_replay"),
    path("sync/inbox/<int:event_id>/", inbox.inbox_event, name="inbox_event"),
    path("sync/outbound/", outbound.outbound_list, name="outbound"),
    path("sync/outbound/again/", outbound.outbound_again, name="outbound_again"),
    path("sync/jobs/", outbound.job_list, name="jobs"),
]
