"""Tabs of one SOP's pages."""

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from campaigns.models import Sop
from campaigns.services.sops import sop_requests
from tenants.models import Brand

WAITS = gettext_lazy("Handed in: a second person has to approve it now")


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
        {"url": url, "label": label, "active": key == active}
        | ({"n": n_in, "n_id": "sop-n-people"} if key == "people" else {})
        for key, url, label in rows
    ]


def list_tabs(brand: Brand, active: str) -> list[dict[str, Any]]:
    """Tabs of the list of SOPs; what waits for a second person where the brand wants one, or something still waits."""
    n = sop_requests.waiting().count()
    rows: list[tuple[str, str, Any, int | None]] = [("", "/sops/", _("In use"), None)]
    if n or active == "requests" or sop_requests.are_needed(brand):
        rows.append(("requests", "/sops/requests/", _("Waits for approval"), n))
    rows.append(("ended", "/sops/?show=ended", _("Ended"), None))
    return [{"url": url, "label": label, "active": key == active, "n": n} for key, url, label, n in rows]
