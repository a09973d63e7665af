"""Tags of the overview (`{% load insights %}`)."""

from typing import Any

from django import template

from insights.services.figures import arrival_key as key_of

register = template.Library()


@register.filter
def arrival_key(follow: Any) -> str:
    return key_of(follow)
