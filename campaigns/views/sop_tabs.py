"""Tabs of one SOP's pages."""

from typing import Any

from django.utils.translation import gettext as _

from campaigns.models import Sop


def tabs_of(sop: Sop, active: str, n_in: int | None = None) -> list[dict[str, Any]]:
    address = f"/sops/{sop.pk}/"
    rows: list[tuple[str, str, Any]] = [("detail", address, _("Steps and figures"))]
    if sop.is_graph:
        rows = [("detail", address, _("Figures"))]
        if sop.state != Sop.State.ENDED:
            rows.append(("canvas", f"{address}canvas/", _("Canvas")))
        rows += [
            ("versions", f"{address}versions/", _("Versions")),
            ("rehearsals", f"{address}rehearsals/", _("Rehearsals")),
        ]
        if sop.hook_secret or any(node.get("kind") == "hook" for node in (sop.draft or {}).get("nodes", ())):
            rows.append(("calls", f"{address}calls/", _("Web hooks")))
    rows += [
        ("people", f"{address}people/", _("People")),
        ("guides", f"{address}guides/", _("By guide")),
        ("touches", f"/touches/?sop={sop.pk}", _("Touches")),
        ("tasks", f"/touches/tasks/?sop={sop.pk}", _("Send tasks")),
    ]
    return [
        {"url": url, "label": label, "active": key == active, "n": n_in if key == "people" else None}
        for key, url, label in rows
    ]
