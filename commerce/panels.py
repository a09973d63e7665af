"""What the 360° page of a contact shows of its orders (contacts/panels.py names this function)."""

from typing import Any

from django.utils.translation import gettext as _

from commerce.models import Order
from commerce.services.orders import words_of
from commerce.views.orders import looked
from contacts.models import Contact, ContactStat
from org.access import Actor
from tenants.models import Brand

N_ORDERS = 5


def contact_panel(brand: Brand, contact: Contact, actor: Actor) -> dict[str, Any] | None:
    """Sums and the newest orders; None for somebody who has none. Three queries."""
    rows = looked(Order.objects.filter(contact=contact).order_by("-placed_at", "-pk")[: N_ORDERS + 1])
    if not rows:
        return None
    stat = ContactStat.objects.filter(contact=contact).first()
    words = words_of([order.pk for order in rows[:N_ORDERS]])
    return {
        "title": _("Orders"),
        "icon": "shopping-bag",
        "template": "commerce/contact_panel.html",
        "context": {
            "contact": contact,
            "orders": [(order, words.get(order.pk, "")) for order in rows[:N_ORDERS]],
            "more": len(rows) > N_ORDERS,
            "stat": stat,
            "average_fen": stat.spent_fen // stat.n_orders if stat and stat.n_orders else None,
        },
        "right": "orders.view",
    }
