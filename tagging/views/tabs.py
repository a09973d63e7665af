"""The tabs of the pages of tags."""

from typing import Any

from django.utils.translation import gettext as _


def tabs(active: str) -> list[dict[str, Any]]:
    """The tabs under the heading."""
    rows = [
        ("library", "/tags/", _("Tag library")),
        ("rules", "/tags/rules/", _("Automatic rules")),
        ("computed", "/tags/computed/", _("Computed tags")),
        ("acts", "/tags/history/", _("What was done")),
        ("waiting", "/tags/waiting/", _("Waiting tags")),
    ]
    return [{"url": url, "label": label, "active": key == active} for key, url, label in rows]
