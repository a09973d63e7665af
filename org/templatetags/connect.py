"""Whether a brand has a WeCom corp (`{% load connect %}`): asked only where a page has nothing to show."""

from django import template

from org.models import Corp

register = template.Library()


@register.simple_tag
def is_connected() -> bool:
    """`{% is_connected as connected %}`: one statement in the brand's scope."""
    return Corp.objects.exists()
