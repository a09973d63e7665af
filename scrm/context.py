"""What every page's frame needs: navigation by rights, brands to switch to, theme."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest

from scrm.navigation import NAVIGATION
from tenants.models import UserBrand


def frame(request: HttpRequest) -> dict[str, Any]:
    """What templates/base.html needs.

    `nav` (entries that the person may open), `brands` (lazy), `theme` (light, dark or empty = the system's),
    `flashes` (lazy: notices of scrm.responses.flash, taken when a full page shows them).
    """
    actor: Any = getattr(request, "actor", None)
    user: Any = getattr(request, "user", None)
    path = request.path_info

    def brands() -> list:
        if user is None:
            return []
        return [
            e.brand
            for e in UserBrand.objects.filter(user=user).select_related("brand").order_by("brand__name")
        ]

    def flashes() -> list:
        return request.session.pop("flashes", []) if "flashes" in request.session else []

    theme = request.COOKIES.get("scrm_theme", "")
    return {
        "nav": [
            {
                **entry,
                "active": path == entry["url"] or (entry["url"] != "/" and path.startswith(entry["url"])),
            }
            for entry in NAVIGATION
            if actor and actor.can(entry["right"])
        ],
        "brands": brands,
        "flashes": flashes,
        "theme": theme if theme in ("light", "dark") else "",
        "debug_mode": settings.DEBUG,
    }
