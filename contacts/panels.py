"""Sections of the 360° page that apps above this one bring: a table of dotted paths.

Each is `panel(brand, contact, actor) -> dict | None` with `title`, `template`, `context`, `right` (needed
to see it) and perhaps `icon`; None shows nothing. A constant number of queries each.
"""

from typing import Any

from django.utils.module_loading import import_string

from contacts.models import Contact
from org.panels import rendered

PANELS = [
    "contacts.cards.profile_panel",
    "contacts.cards.reminder_panel",
    "tagging.value_panel.contact_panel",
    "commerce.panels.contact_panel",
    "campaigns.panels.contact_panel",
    "campaigns.panels.task_panel",
    "groups.panels.contact_panel",
]


def panels_of(request: Any, contact: Contact) -> list[dict[str, Any]]:
    """The panels that this person may see, rendered: {title, icon, html}."""
    return rendered(request, [import_string(path)(request.brand, contact, request.actor) for path in PANELS])
