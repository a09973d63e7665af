"""The tabs above the pages of this app."""

from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _


def tabs(request: Any, active: str) -> list[dict[str, Any]]:
    pages = [("groups", _("Groups")), ("group_codes", _("Group codes"))]
    return [{"url": reverse(name), "label": label, "active": name == active} for name, label in pages]
