"""What the 360° page (contacts/panels.py), the API and exports (contacts/hooks.py) tell of a contact's value."""

from collections.abc import Iterable
from typing import Any

from django.utils.translation import gettext as _

from contacts.models import Contact, ContactStat
from org.access import Actor
from tagging.models import LifecycleStage, ValueGroup
from tagging.services.value import value
from tenants.models import Brand


def contact_panel(brand: Brand, contact: Contact, actor: Actor) -> dict[str, Any] | None:
    """Score with its parts, group, stage, next order, lifetime value; None for somebody who never bought."""
    stat = ContactStat.objects.filter(contact=contact).first()
    if stat is None or not stat.n_orders:
        return None
    setting = value.setting_of(brand)
    whole = (setting.r_weight + setting.f_weight + setting.m_weight) * 4
    parts = [
        (_("Recency"), stat.recency, setting.r_weight),
        (_("Frequency"), stat.frequency, setting.f_weight),
        (_("Money"), stat.monetary, setting.m_weight),
    ]
    stage = LifecycleStage.objects.filter(number=stat.lifecycle).first() if stat.lifecycle else None
    return {
        "title": _("Value"),
        "icon": "gem",
        "template": "tagging/value/panel.html",
        "context": {
            "stat": stat,
            "group": ValueGroup(stat.value_group).label if stat.value_group else "",
            "stage": stage,
            "parts": [
                (name, step, round(100 * (step - 1) * weight / whole), round(100 * weight * 4 / whole))
                for name, step, weight in parts
                if step
            ],
        },
        "right": "contacts.view",
    }


# columns of ContactStat that are told as they are
PLAIN = (
    "n_orders", "spent_fen", "first_order_at", "last_order_at", "recency", "frequency", "monetary", "next_order_on",
    "alive_ratio", "ltv_fen",
)  # fmt: skip


def values_of(contact_ids: Iterable[int]) -> dict[int, dict[str, Any]]:
    """Contact id → orders and value, as the API and exports tell them: `score`, `group` (loyal, good …) with
    `group_name`, `lifecycle` {number, name}, and PLAIN; two queries."""
    stages = dict(LifecycleStage.objects.values_list("number", "name"))
    groups = {int(group): group for group in ValueGroup}
    found = {}
    for stat in ContactStat.objects.filter(contact__in=list(contact_ids)):
        group = groups.get(stat.value_group or 0)
        number = stat.lifecycle
        found[stat.contact_id] = {name: getattr(stat, name) for name in PLAIN} | {
            "score": stat.value_score,
            "group": group.name.lower() if group else None,
            "group_name": str(group.label) if group else "",
            "lifecycle": {"number": number, "name": stages.get(number, "")} if number else None,
        }
    return found
