"""Health and error pages."""

from typing import Any

from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from org.access import public
from scrm.errors import NotFoundError
from scrm.redis import redis_client
from scrm.responses import error_response


@public
def healthz(request: HttpRequest) -> HttpResponse:
    """200 'ok' when Postgres and Redis answer; the exception's page otherwise."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    redis_client().ping()
    return HttpResponse("ok", content_type="text/plain")


def error_404(request: HttpRequest, exception: Any = None) -> HttpResponse:
    path = request.path_info
    if path.startswith("/api/") and not path.endswith("/"):
        words = _("There is no such address. Addresses of the API end with a slash: %(path)s/") % {
            "path": path
        }
        return error_response(request, NotFoundError(words))
    return error_response(request, NotFoundError())


def error_500(request: HttpRequest) -> HttpResponse:
    if request.path_info.startswith("/api/"):
        body = {"code": "error", "message": _("Something went wrong on our side. Nothing was saved.")}
        return JsonResponse({"error": body}, status=500)
    return render(request, "errors/500.html", status=500)
