"""The control API: what a tester may do. JSON in and out; errors are {"error": …} with 4xx.

The calls are the rows of control_table.py; docs/sandbox-control.md and /control/openapi.json are made from it.
"""

import json
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse

from . import control_files
from .control_docs import openapi
from .control_table import ACTS, READS
from .errors import Refused


def view(request: HttpRequest, act: str) -> HttpResponse:
    """Serve /control/<act>."""
    name = act.rstrip("/")
    if name in control_files.FILES:
        return _answered(lambda: control_files.FILES[name](request))
    if request.method == "GET" and name == "openapi.json":
        return _answered(lambda: _json(openapi()))
    row = (READS if request.method == "GET" else ACTS).get(name)
    if row is None:
        return JsonResponse({"error": f"no control call {request.method} {act!r}"}, status=404)
    if request.method == "GET":
        return _answered(lambda: _json(done(name, dict(request.GET.items()), reads=True)))
    return _answered(lambda: _json(done(name, _body(request))))


def done(name: str, given: Any, *, reads: bool = False) -> Any:
    """Make a call of the table, checked.

    Raises:
        Refused: no such call, or it cannot be done.
    """
    row = (READS if reads else ACTS).get(name)
    if row is None:
        raise Refused(f"no control call {name!r}", status=404)
    if not isinstance(given, dict):
        raise Refused("the body is one JSON object")
    if row.takes != "*":
        row.check(given)
    return row.handler(given)


def _body(request: HttpRequest) -> Any:
    return json.loads(request.body or b"{}")


def _json(answer: Any) -> HttpResponse:
    return JsonResponse(answer, safe=False, json_dumps_params={"ensure_ascii": False})


def _answered(call: Any) -> HttpResponse:
    try:
        return call()
    except Refused as reason:
        return JsonResponse({"error": str(reason)}, status=reason.status)
    except json.JSONDecodeError as reason:
        return JsonResponse({"error": f"no JSON: {reason}"}, status=400)
    except (KeyError, TypeError, ValueError, OverflowError) as reason:
        return JsonResponse({"error": f"{type(reason).__name__}: {reason}"}, status=400)
