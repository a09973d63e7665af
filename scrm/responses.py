"""One place that turns an SCRMError into a page, an htmx notice or JSON."""

import json
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from rest_framework.views import exception_handler

from scrm.errors import SCRMError


def error_response(request: HttpRequest, error: SCRMError) -> HttpResponse:
    """JSON under /api/, a toast for htmx, a page for everybody else; the status is the error's."""
    if request.path_info.startswith("/api/"):
        return JsonResponse(error_body(error), status=error.http_status)
    if request.headers.get("HX-Request"):
        response = HttpResponse(status=error.http_status)
        response["HX-Reswap"] = "none"
        response["HX-Trigger"] = json.dumps({"toast": {"text": str(error.message), "kind": "danger"}})
        return response
    context = {"error": error, "came_from": _came_from(request)}
    return render(request, "errors/error.html", context, status=error.http_status)


def _came_from(request: HttpRequest) -> str:
    """The page of ours whose button or link led here; empty: none, or this very page."""
    page = request.headers.get("Referer", "")
    ours = url_has_allowed_host_and_scheme(page, {request.get_host()}, require_https=request.is_secure())
    return page if ours and page != request.build_absolute_uri() else ""


def error_body(error: SCRMError) -> dict[str, Any]:
    return {"error": {"code": error.code, "message": str(error.message), **error.details}}


def api_error(exception: Exception, context: dict) -> Any:
    """DRF's exception handler: one shape `{"error": {code, message, …}}` for ours and for DRF's own."""
    if isinstance(exception, SCRMError):
        return JsonResponse(error_body(exception), status=exception.http_status)
    response = exception_handler(exception, context)
    if response is not None:
        code = getattr(exception, "default_code", "error")
        body: dict[str, Any] = {"code": code, "message": str(getattr(exception, "detail", exception))}
        if code == "invalid":
            body = {"code": code, "message": _("Some values cannot be taken"), "fields": response.data}
        response.data = {"error": body}
    return response


def toast(
    response: HttpResponse, text: Any, kind: str = "success", *, undo: str = "", **events: Any
) -> HttpResponse:
    """Adds a notice that the page shows for some seconds (frontend/static/scrm.js).

    Args:
        undo: an address; the notice gets a button that posts to it, and stays a little longer.
        events: further events for the page, e.g. `closeModal=True`.
    """
    # closeModal comes last: it removes the form from the page, and what is told to it afterwards reaches nobody
    ordered = dict(sorted(events.items(), key=lambda event: event[0] == "closeModal"))
    notice = {"text": str(text), "kind": kind, **({"undo": undo} if undo else {})}
    response["HX-Trigger"] = json.dumps({"toast": notice, **ordered})
    return response


def flash(request: Any, text: Any, kind: str = "success", *, undo: str = "") -> None:
    """Keeps a notice for the next full page, e.g. before a redirect; kind and undo as for `toast`."""
    notice = {"text": str(text), "kind": kind, **({"undo": undo} if undo else {})}
    request.session["flashes"] = [*request.session.get("flashes", []), notice][-5:]


def go(request: Any, to: str, text: Any = "", kind: str = "success", *, undo: str = "") -> HttpResponse:
    """Go to another page, with a notice there; htmx loads the whole page.

    Args:
        to: an address, or the name of one.
        undo: as for `toast`.
    """
    if text:
        flash(request, text, kind, undo=undo)
    response: HttpResponse = redirect(to)
    if request.headers.get("HX-Request"):
        target, response = response["Location"], HttpResponse(status=204)
        response["HX-Redirect"] = target
    return response
