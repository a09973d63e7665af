"""Sections of a person's page that apps above this one bring: a table of dotted paths.

Each is `panel(request, staff) -> dict | None` with `title`, `template`, `context`, `right` (needed to see it) and
perhaps `icon`; None shows nothing. A constant number of queries each.
"""

from collections.abc import Iterable
from typing import Any

from django.template.loader import render_to_string
from django.utils.module_loading import import_string

from org.models import Staff

PANELS = [
    "wecom.panels.staff_panel",
    "handover.panels.staff_panel",
]


def panels_of(request: Any, staff: Staff) -> list[dict[str, Any]]:
    """The panels that this person may see, rendered: {title, icon, html}."""
    return rendered(request, [import_string(path)(request, staff) for path in PANELS])


def rendered(request: Any, panels: Iterable[dict[str, Any] | None]) -> list[dict[str, Any]]:
    """Those of some panels that whoever asks may see, as {title, icon, html}."""
    return [
        {
            "title": panel["title"],
            "icon": panel.get("icon"),
            "html": render_to_string(panel["template"], panel["context"], request=request),
        }
        for panel in panels
        if panel and request.actor.can(panel["right"])
    ]
