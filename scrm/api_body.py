"""Bodies of the API: a key that nobody knows is refused with its name, wherever it stands; ids; one way to read them."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.core.exceptions import TooManyFieldsSent
from django.http.multipartparser import MultiPartParserError
from django.utils.translation import gettext as _
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ParseError
from rest_framework.permissions import BasePermission
from rest_framework.request import is_form_media_type

from scrm.api_query import schema_of
from scrm.ids import MAX_ID


class Id(serializers.IntegerField):
    """An id that a caller names."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"min_value": 1, "max_value": MAX_ID, **options})


def id_list(**options: Any) -> serializers.ListField:
    """A list of them."""
    return serializers.ListField(child=Id(), **options)


class Body(serializers.Serializer):
    """What comes in: base of all of them, also of those inside others."""

    def to_internal_value(self, data: Any) -> Any:
        unknown = unknown_keys(self, data) if isinstance(data, Mapping) else {}
        try:
            with _whole(self):
                found = super().to_internal_value(data)
        except serializers.ValidationError as error:
            if unknown and isinstance(error.detail, dict):
                raise serializers.ValidationError({**error.detail, **unknown}) from None
            raise
        if unknown:
            raise serializers.ValidationError(unknown)
        return found


@contextmanager
def _whole(part: serializers.Serializer) -> Iterator[None]:
    """A change (PATCH) leaves out keys of its own, not of what lies inside: that is taken as a whole, needs what it needs and
    has its defaults."""
    root = part.root
    if part is root or not root.partial:
        yield
        return
    root.partial = False
    try:
        yield
    finally:
        root.partial = True


def body(name: str, fields: dict[str, Any]) -> type[Body]:
    """A small one, written where it is used."""
    return type(name, (Body,), fields)


def read_body(shape: type[Body], request: Any, **options: Any) -> dict[str, Any]:
    """The checked values of a request. Raises ValidationError: 400, with the fields that cannot be taken."""
    given = shape(data=request.data, **options)
    given.is_valid(raise_exception=True)
    return dict(given.validated_data)


def unknown_keys(shape: serializers.Serializer | None, given: Iterable[Any]) -> dict[str, list[ErrorDetail]]:
    """Keys that the shape does not take, with what to say of each; without a shape all of them."""
    known = {name for name, field in shape.fields.items() if not field.read_only} if shape else set()
    unknown = [str(name) for name in given if name not in known]
    text = _("This key is not known here")
    if known:
        text = _("This key is not known here; there are: %(names)s") % {"names": ", ".join(sorted(known))}
    return {name: [ErrorDetail(text, code="unknown")] for name in unknown}


class KnownKeys(BasePermission):
    """Of a body only those keys are taken that `extend_schema(request=…)` of its method declares; where it declares
    none, no key at all. What lies inside is seen to by `Body`, rows of a batch each for itself."""

    def has_permission(self, request: Any, view: Any) -> bool:
        """Always true. Raises ValidationError: 400; its fields name the keys."""
        if request.method in ("POST", "PUT", "PATCH"):
            schema = schema_of(request, view)
            shape = schema.get_request_serializer() if schema else None
            if is_form_media_type(request.content_type):
                # an act that takes nothing may be asked by an empty form; where JSON is wanted the view says so, after it
                # has looked for what the address names
                try:
                    given = request._request.POST
                except (MultiPartParserError, TooManyFieldsSent) as error:
                    raise ParseError(str(error)) from error
            else:
                given = request.data
            if unknown := unknown_keys(shape() if isinstance(shape, type) else shape, given):
                raise serializers.ValidationError(unknown)
        return True
