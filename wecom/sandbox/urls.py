"""Addresses of the sandbox. Anything else is 404 with an empty body, as WeCom answers."""

from django.http import HttpRequest, HttpResponse
from django.urls import path

from . import (
    control,
    dispatch,
    jssdk,
    login,
    page_acts,
    page_frame,
    pages,
    pages_codes,
    pages_groups,
    pages_stage,
    pages_trouble,
    pictures,
)


def healthz(request: HttpRequest) -> HttpResponse:
    """For the launcher."""
    return HttpResponse("ok", content_type="text/plain")


def nothing(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Unknown path."""
    return HttpResponse(status=404)


handler404 = nothing

urlpatterns = [
    path("cgi-bin/<path:api>", dispatch.cgi_bin),
    path("control/<path:act>", control.view),
    path("healthz", healthz),
    path("connect/oauth2/authorize", login.oauth),
    path("wwlogin/sso/login", login.sso),
    path("wwopen/sso/qrConnect", login.sso),
    path("login/pick", login.pick, name="login_pick"),
    path("wwpic/<str:config_id>/<str:size>", pictures.contact_way_qr),
    path("wwimg/<str:media_id>", pictures.uploaded),
    path("qr/member/<str:corpid>/<str:userid>", pictures.member_qr),
    path("avatar/<str:key>.svg", pictures.avatar),
    path("media/<str:media_id>", pictures.medium),
    path("assets/<str:name>", pictures.asset),
    path("jssdk/<path:name>", jssdk.script),
    path("open/js/<str:name>", jssdk.script),  # the paths on Tencent's hosts
    path("wwopen/js/<str:name>", jssdk.script),
    path("node/open/js/<str:name>", jssdk.script),
    path("jssdk-check.js", jssdk.check),
    path("jssdk-send.js", jssdk.send),
    path("lang", page_frame.set_language, name="lang"),
    path("q/<str:config_id>", pages_codes.scanned, name="scanned"),
    path("q/<str:corpid>/<str:userid>", pages_codes.scanned_member, name="scanned_member"),
    path("c/<str:corpid>/", pages_codes.codes, name="codes"),
    path("c/<str:corpid>/customers", pages.customers, name="customers"),
    path("c/<str:corpid>/customer/<str:external_userid>", pages.customer, name="customer"),
    path("ca/<str:link_id>", pages_codes.opened_link, name="link"),
    path("c/<str:corpid>/groups", pages_groups.groups, name="groups"),
    path("c/<str:corpid>/group/<str:chat_id>", pages_groups.group, name="group"),
    path("c/<str:corpid>/members", pages.members, name="members"),
    path("c/<str:corpid>/member/<str:userid>", pages.member, name="member"),
    path("c/<str:corpid>/trouble", pages_trouble.trouble, name="trouble"),
    path("c/<str:corpid>/stage", pages_stage.stage, name="stage"),
    path("c/<str:corpid>/traffic", pages.traffic, name="traffic"),
    path("c/<str:corpid>/do/<path:name>", page_acts.act, name="act"),
    path("begin", page_acts.begin, name="begin"),
    path("", pages_codes.home, name="home"),
]
