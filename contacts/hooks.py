"""What apps above this one do with customers: dotted paths, because contacts imports none of them."""

from typing import Any

from django.utils.module_loading import import_string

# take_over(brand, *, corp, relations): tags that WeCom shows for relations; see the function itself
TAKE_OVER_TAGS = "tagging.services.wecom_tags.take_over"


def take_over_tags(brand: Any, **kwargs: Any) -> Any:
    return import_string(TAKE_OVER_TAGS)(brand, **kwargs)
