"""One place that turns an SCRMError into a page, an htmx notice or JSON."""

import json
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from rest_framework.views import exception_handler

from scrm.errors import SCRMError


def error_response(request: HttpRequest, error: SCRMError) -> HttpResponse:
    """JSON under /api/, a toast for htmx, a page for everybody else; the status is the error's."""
    if request.path_info.startswith("/api/"):
        return _in_api(error)
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


# ---- the API


class TooLargeError(SCRMError):
    """A body beyond the limit; `details['max_bytes']`."""

    code, http_status = "too_large", 413


def _in_api(error: SCRMError) -> HttpResponse:
    response = JsonResponse(error_body(error), status=error.http_status)
    if retry_after_s := error.details.get("retry_after_s"):
        response["Retry-After"] = str(retry_after_s)
    if error.http_status == 401:
        response["WWW-Authenticate"] = "Bearer"
    return response


def error_body(error: SCRMError) -> dict[str, Any]:
    """`{"error": {code, message, …}}` of the API."""
    details = dict(error.details)
    if "fields" in details:
        details["fields"] = plain_fields(details["fields"], str(error.message))
    return {"error": {"code": error.code, "message": str(error.message), **details}}


def plain_fields(found: Any, otherwise: str = "") -> dict[str, list[str]]:
    """What is wrong with which field, always in one shape: {"contents.1.weight": ["…"]}, the place of an item counted from 0.

    Args:
        found: a dict of texts, of lists of them, or of further ones, as DRF and our own errors have them.
        otherwise: said of a field of which nothing is said.
    """
    plain: dict[str, list[str]] = {}

    def walk(one: Any, at: tuple[str, ...]) -> None:
        if isinstance(one, Mapping):
            for key, value in one.items():
                walk(value, (*at, str(key)))
        elif isinstance(one, (list, tuple)) and any(isinstance(item, (Mapping, list)) for item in one):
            for n, item in enumerate(one):
                walk(item, (*at, str(n)))
        else:
            texts = list(one) if isinstance(one, (list, tuple)) else [one]
            plain.setdefault(".".join(at), []).extend(str(text) or otherwise for text in texts)

    walk(found, ())
    return plain


def api_error(exception: Exception, context: dict) -> Any:
    """DRF's exception handler: one shape `{"error": {code, message, …}}` for ours and for DRF's own."""
    if isinstance(exception, SCRMError):
        return _in_api(exception)
    if isinstance(exception, RequestDataTooBig):
        most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        words = _("The body is too large: at most %(n)s MB") % {"n": most // 1024**2}
        return _in_api(TooLargeError(words, max_bytes=most))
    if isinstance(exception, SuspiciousOperation):  # too many parts, broken names of files
        return _in_api(SCRMError(_("This cannot be read"), code="parse_error"))
    response = exception_handler(exception, context)
    if response is not None:
        code = getattr(exception, "default_code", "error")
        body: dict[str, Any] = {"code": code, "message": str(getattr(exception, "detail", exception))}
        if code == "invalid":
            fields = plain_fields(response.data)
            body = {"code": code, "message": _("Some values cannot be taken"), "fields": fields}
        response.data = {"error": body}
    return response


# ---- pages


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
