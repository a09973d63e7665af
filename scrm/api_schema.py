"""How an address of the API is described (OpenAPI)."""

from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import force_instance, is_list_serializer


class Described(AutoSchema):
    """A list answers with what its description says: an object with `results`, an array only where it says `many`.
    A body takes the keys that are described and no other."""

    def _is_list_view(self, serializer: Any = None) -> bool:
        if serializer is None:  # asked for the name of the operation
            return bool(super()._is_list_view())
        return bool(is_list_serializer(serializer))

    def _map_basic_serializer(self, serializer: Any, direction: str) -> dict[str, Any]:
        from scrm.api_body import Body

        found: dict[str, Any] = super()._map_basic_serializer(serializer, direction)
        if isinstance(force_instance(serializer), Body):
            found["additionalProperties"] = False
        return found
