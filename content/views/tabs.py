"""The tabs above the pages of this app."""

from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _

from content.services import approval


def tabs(request: Any, active: str) -> list[dict[str, Any]]:
    """Library, approvals, sensitive words …; the figure at the approvals is what waits."""
    n = approval.waiting().count()
    rows = [
        ("content", _("Library"), None),
        ("links_tracked", _("Tracked links"), None),
        ("posters", _("Posters"), None),
        ("content_approvals", _("Approvals"), n or None),
        ("content_words", _("Sensitive words"), None),
        ("intercepts", _("Words WeCom stops"), None),
    ]
    return [
        {"url": reverse(name), "label": label, "active": name == active, "n": count}
        for name, label, count in rows
    ]
