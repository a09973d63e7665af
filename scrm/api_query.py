"""A misspelled filter must not mean everybody: parameters that an address does not know are refused."""

from collections.abc import Callable
from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter
from rest_framework.permissions import BasePermission

from scrm.errors import InvalidError

_known: dict[Callable[..., Any], frozenset[str]] = {}


class KnownParameters(BasePermission):
    """Of a GET only those query parameters are taken that `extend_schema(parameters=…)` of its method declares."""

    def has_permission(self, request: Any, view: Any) -> bool:
        """Always true. Raises InvalidError: unknown parameters; its `fields` name them."""
        if request.method == "GET" and (unknown := request.query_params.keys() - _known_of(request, view)):
            text = _("Unknown parameter: %(names)s") % {"names": ", ".join(sorted(unknown))}
            raise InvalidError(text, code="unknown_parameter", fields=dict.fromkeys(sorted(unknown), text))
        return True


def _known_of(request: Any, view: Any) -> frozenset[str]:
    handler = getattr(view, getattr(view, "action", None) or "get")
    function = getattr(handler, "__func__", handler)
    if function not in _known:
        declared: list[Any] = []
        if shape := getattr(function, "kwargs", {}).get("schema"):
            schema = shape()
            schema.view, schema.method = view, request.method
            declared = schema.get_override_parameters()
        _known[function] = frozenset(
            p.name
            for p in declared
            if isinstance(p, OpenApiParameter) and p.location == OpenApiParameter.QUERY
        )
    return _known[function]
