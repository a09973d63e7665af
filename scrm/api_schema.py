"""How an address of the API is described (OpenAPI)."""

from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import force_instance, is_list_serializer
from rest_framework import serializers


class ErrorOut(serializers.Serializer):
    """What went wrong. Some errors tell more, such as `retry_after_s`, `problems`, `right`."""

    code = serializers.CharField(help_text="a word that does not change")
    message = serializers.CharField(help_text="for people, in the language of `Accept-Language`")
    fields = serializers.DictField(  # type: ignore[assignment]
        child=serializers.ListField(child=serializers.CharField()),
        required=False,
        help_text="field or parameter → what is wrong with it; `contents.1.weight` of what lies inside",
    )


class ErrorAnswer(serializers.Serializer):
    error = ErrorOut()


class Described(AutoSchema):
    """A list answers with what its description says: an object with `results`, an array only where it says `many`.
    A body takes the keys that are described and no other."""

    def _is_list_view(self, serializer: Any = None) -> bool:
        if serializer is None:  # asked for the name of the operation
            return bool(super()._is_list_view())
        return bool(is_list_serializer(serializer))

    def get_operation(self, *args: Any, **options: Any) -> Any:
        """With the one shape of all errors beside the answers."""
        operation = super().get_operation(*args, **options)
        if operation and self.path.startswith("/api/v1/") and "default" not in operation["responses"]:
            shape = self.resolve_serializer(ErrorAnswer, "response").ref
            operation["responses"]["default"] = {
                "description": "an error", "content": {"application/json": {"schema": shape}},
            }  # fmt: skip
        return operation

    def _map_basic_serializer(self, serializer: Any, direction: str) -> dict[str, Any]:
        from scrm.api_body import Body

        found: dict[str, Any] = super()._map_basic_serializer(serializer, direction)
        if isinstance(force_instance(serializer), Body):
            found["additionalProperties"] = False
        return found
