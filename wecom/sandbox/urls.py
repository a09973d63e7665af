"""Addresses of the sandbox. Anything else is 404 with an empty body, as WeCom answers."""

from django.http import HttpRequest, HttpResponse
from django.urls import path

from . import control, dispatch, login, pages, pictures


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
    path("login/pick", login.pick),
    path("wwpic/<str:config_id>/<str:size>", pictures.contact_way_qr),
    path("wwimg/<str:media_id>", pictures.uploaded),
    path("qr/member/<str:corpid>/<str:userid>", pictures.member_qr),
    path("avatar/<str:key>.svg", pictures.avatar),
    path("", pages.home),
]
