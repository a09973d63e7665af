"""What a person's page shows of WeCom's own figures (org/panels.py names this function)."""

from typing import Any

from django.utils.translation import gettext as _

from org.models import Staff
from wecom.services import staff_stats


def staff_panel(request: Any, staff: Staff) -> dict[str, Any] | None:
    """The last thirty days as WeCom counts them; None for somebody without a WeCom account or figures."""
    if not staff.userid:
        return None
    figures = staff_stats.figures(staff)
    if figures.until is None:
        return None
    return {
        "title": _("WeCom's figures, 30 days"),
        "icon": "chart-line",
        "template": "wecom/staff_panel.html",
        "context": {
            "figures": figures,
            "percent": None if figures.reply_ratio is None else round(100 * figures.reply_ratio, 1),
            "minutes": None if figures.reply_minutes is None else round(figures.reply_minutes),
        },
        "right": "staff.view",
    }
