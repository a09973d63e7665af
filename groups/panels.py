"""What the 360° page of a contact shows of groups (contacts/panels.py names this function)."""

from typing import Any

from django.utils.translation import gettext as _

from contacts.models import Contact
from groups.models import GroupChat, GroupMember
from groups.services.listing import staff_names
from org.access import Actor
from tenants.models import Brand

N_STAYS = 20


def contact_panel(brand: Brand, contact: Contact, actor: Actor) -> dict[str, Any] | None:
    """The groups that a contact is in, then those they have left. None for a contact of no group."""
    rows = GroupMember.objects.filter(contact=contact).select_related("chat__owner")
    stays = sorted(rows.order_by("-joined_at")[: N_STAYS + 1], key=lambda s: s.left_at is not None)
    if not stays:
        return None
    names: dict[int, str] = {}
    for corp_id in sorted({s.chat.corp_id for s in stays}):  # a userid means somebody else in another corp
        mine = [s for s in stays if s.chat.corp_id == corp_id and s.invitor_userid]
        known = staff_names(corp_id, [s.invitor_userid for s in mine])
        names |= {s.pk: known.get(s.invitor_userid, s.invitor_userid) for s in mine}
    staff = actor.staff
    seen = GroupChat.objects.filter(pk__in={s.chat_id for s in stays})
    if staff is not None:
        seen = seen.visible_to(staff)
    return {
        "title": _("Customer groups"),
        "icon": "messages-square",
        "template": "groups/contact_panel.html",
        "context": {
            "stays": stays[:N_STAYS],
            "more": len(stays) > N_STAYS,
            "names": names,
            "may_see": set(seen.values_list("pk", flat=True)),
        },
        "right": "groups.view",
    }
