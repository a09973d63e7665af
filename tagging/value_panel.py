"""What the 360° page of a contact shows of its value (contacts/panels.py names this function)."""

from typing import Any

from django.utils.translation import gettext as _

from contacts.models import Contact, ContactStat
from org.access import Actor
from tagging.models import LifecycleStage, ValueGroup
from tagging.services import value
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
