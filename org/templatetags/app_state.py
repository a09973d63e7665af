"""What every page tells of the brand's apps at WeCom (`{% load app_state %}`): an app that sleeps cannot tell it itself."""

from contextlib import nullcontext
from datetime import timedelta
from typing import Any

from django import template
from django.db.models import Q

from org.access import brand_transaction
from org.models import Corp
from scrm import clock
from tenants.scoping import NoBrandError, current_brand_id

register = template.Library()
WARNED_FOR = timedelta(days=7)  # WeCom does not tell that a warning is over


@register.inclusion_tag("org/_app_state.html", takes_context=True)
def app_states(context: dict[str, Any]) -> dict[str, Any]:
    """Corps whose app sleeps or is about to, for who looks after the connection; one statement."""
    request: Any = context.get("request")
    actor = getattr(request, "actor", None)
    if actor is None or not actor.can("corps.edit"):
        return {"corps": []}
    troubled = Q(app_state=Corp.AppState.ASLEEP) | Q(
        app_state=Corp.AppState.WARNED, app_state_at__gt=clock.now() - WARNED_FOR
    )
    with _brand_of(request):
        corps = Corp.objects.filter(troubled).only("name", "app_state", "app_state_at").order_by("pk")
        return {"corps": list(corps), "request": request}


def _brand_of(request: Any) -> Any:
    """The brand's scope, where the view works outside of it."""
    try:
        current_brand_id()
    except NoBrandError:
        return brand_transaction(request)
    return nullcontext()
