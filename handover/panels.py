"""What a person's page shows of hand-overs (org/panels.py names this function)."""

from typing import Any

from django.utils.translation import gettext as _

from contacts.models import Follow
from groups.models import GroupChat
from handover.models import HandoverRun, Unassigned
from org.models import Staff


def staff_panel(request: Any, staff: Staff) -> dict[str, Any] | None:
    """What could be handed over, and what was; None for somebody without a WeCom account."""
    if not staff.userid or staff.corp_id is None:
        return None
    has_left = staff.state == Staff.State.LEFT
    people = Unassigned.objects if has_left else Follow.objects.filter(ended_at=None, is_pending=False)
    return {
        "title": _("Customers and groups"),
        "icon": "arrow-right-left",
        "template": "handover/staff_panel.html",
        "context": {
            "shown": staff,
            "has_left": has_left,
            "n_customers": people.filter(staff=staff).count(),
            "n_groups": GroupChat.objects.live().filter(owner=staff).count(),
            "n_runs": HandoverRun.objects.filter(giver=staff).count(),
            "may_run": request.actor.can("handover.run"),
        },
        "right": "handover.view",
    }
