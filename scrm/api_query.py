"""Parameters of the API's addresses: unknown ones are refused (a misspelled filter must not mean everybody), those that
many addresses know are read alike."""

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter
from rest_framework.permissions import BasePermission

from scrm.errors import InvalidError
from scrm.ids import MAX_ID

_known: dict[Callable[..., Any], frozenset[str]] = {}


class KnownParameters(BasePermission):
    """Of a GET only those query parameters are taken that `extend_schema(parameters=…)` of its method declares."""

    def has_permission(self, request: Any, view: Any) -> bool:
        """Always true. Raises InvalidError: unknown parameters; its `fields` name them."""
        if request.method == "GET" and (unknown := request.query_params.keys() - _known_of(request, view)):
            text = _("Unknown parameter: %(names)s") % {"names": ", ".join(sorted(unknown))}
            raise InvalidError(text, code="unknown_parameter", fields=dict.fromkeys(sorted(unknown), text))
        return True


def schema_of(request: Any, view: Any) -> Any:
    """What `extend_schema` says of the method that answers this request; None where it says nothing."""
    handler = getattr(view, getattr(view, "action", None) or request.method.lower())
    shape = getattr(getattr(handler, "__func__", handler), "kwargs", {}).get("schema")
    if shape is None:
        return None
    schema = shape()
    schema.view, schema.method = view, request.method
    return schema


def _known_of(request: Any, view: Any) -> frozenset[str]:
    handler = getattr(view, getattr(view, "action", None) or "get")
    function = getattr(handler, "__func__", handler)
    if function not in _known:
        schema = schema_of(request, view)
        declared: list[Any] = schema.get_override_parameters() if schema else []
        _known[function] = frozenset(
            p.name
            for p in declared
            if isinstance(p, OpenApiParameter) and p.location == OpenApiParameter.QUERY
        )
    return _known[function]


# ---- reading them


def asked_number(given: Mapping[str, str], name: str, most: int = MAX_ID) -> int | None:
    """An id or another positive number that a caller of the API may name in the address; None where they do not.

    Raises:
        InvalidError: not a number from 1 to `most`.
    """
    return None if (text := given.get(name)) is None else need_number(text, name, most)


def need_number(text: str, name: str, most: int = MAX_ID) -> int:
    """As `asked_number`, of one that was given."""
    if not (text.isascii() and text.isdigit() and len(text) < 20 and 0 < int(text) <= most):
        raise InvalidError(_("%(name)s must be a number") % {"name": name}, fields={name: f"1 … {most}"})
    return int(text)


def asked_moment(given: Mapping[str, str], name: str) -> datetime | None:
    """A parameter that is a moment (ISO 8601; UTC without a zone), or None. Raises InvalidError."""
    value = given.get(name)
    if value is None:
        return None
    try:
        found = datetime.fromisoformat(value.replace(" ", "+"))  # a plus sign that was not quoted
    except ValueError as error:
        text = _("%(name)s must be a moment such as 2026-03-01T10:00:00+08:00") % {"name": name}
        raise InvalidError(text, fields={name: "ISO 8601"}) from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def asked_word(given: Mapping[str, str], name: str, words: Collection[str]) -> str:
    """A parameter that is one of some words, or empty. Raises InvalidError."""
    value = given.get(name, "")
    if value and value not in words:
        known = ", ".join(words)
        text = _("%(name)s must be one of: %(words)s") % {"name": name, "words": known}
        raise InvalidError(text, fields={name: known})
    return value
