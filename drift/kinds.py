"""What can differ between our mirror and WeCom: one table. A kind is stored by its key."""

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True)
class Kind:
    """One kind of difference.

    Attributes:
        repair: what a repair does, in words.
        is_auto: repaired by itself unless the brand says otherwise.
    """

    label: Any
    area: str
    repair: Any
    is_auto: bool = True


AREAS = {
    "members": _("Members and departments"),
    "tags": _("Tags"),
    "codes": _("Channel codes"),
    "relations": _("Customers"),
    "groups": _("Group chats"),
}
_OURS = _("Our mirror takes over what WeCom says.")
_REWRITE = _("The contact way in WeCom is rewritten as the code says.")
_REWRITE_GROUPS = _("The join way in WeCom is rewritten as the code says.")
_REMAKE = _("A new QR code is made. Printed ones are dead already.")

KINDS: dict[str, Kind] = {
    "department_missing": Kind(_("Department is missing here"), "members", _OURS),
    "department_ghost": Kind(_("Department is gone in WeCom"), "members", _OURS),
    "department_differs": Kind(_("Department differs"), "members", _OURS),
    "member_missing": Kind(_("Member is missing here"), "members", _OURS),
    "member_ghost": Kind(_("Member is gone in WeCom"), "members", _OURS),
    "member_differs": Kind(_("Member differs"), "members", _OURS),
    "tag_group_missing": Kind(_("Tag group is missing here"), "tags", _OURS),
    "tag_group_ghost": Kind(_("Tag group is gone in WeCom"), "tags", _OURS),
    "tag_group_differs": Kind(_("Tag group differs"), "tags", _OURS),
    "tag_missing": Kind(_("Tag is missing here"), "tags", _OURS),
    "tag_ghost": Kind(_("Tag is gone in WeCom"), "tags", _OURS),
    "tag_differs": Kind(_("Tag differs"), "tags", _OURS),
    "code_missing": Kind(_("Channel code was deleted in WeCom"), "codes", _REMAKE, is_auto=False),
    "code_differs": Kind(_("Channel code was changed in WeCom"), "codes", _REWRITE),
    "relation_missing": Kind(_("Customer of a guide is missing here"), "relations", _OURS),
    "relation_ghost": Kind(_("Customer is not with the guide any more"), "relations", _OURS),
    "owner_differs": Kind(_("Customer is with another guide"), "relations", _OURS),
    "remark_differs": Kind(_("Remark or description differs"), "relations", _OURS),
    "tags_differ": Kind(_("Tags of a customer differ"), "relations", _OURS),
    "source_differs": Kind(_("Source of a customer differs"), "relations", _OURS),
    "group_missing": Kind(_("Group chat is missing here"), "groups", _OURS),
    "group_ghost": Kind(_("Group chat was dissolved in WeCom"), "groups", _OURS),
    "group_differs": Kind(_("Group chat differs"), "groups", _OURS),
    "group_code_missing": Kind(_("Group code was deleted in WeCom"), "groups", _REMAKE, is_auto=False),
    "group_code_differs": Kind(_("Group code was changed in WeCom"), "groups", _REWRITE_GROUPS),
    "group_members_differ": Kind(_("People of a group chat differ"), "groups", _OURS),
}
# what is always somebody's decision
DECISIONS = tuple(key for key, kind in KINDS.items() if not kind.is_auto)
AUTO = tuple(key for key, kind in KINDS.items() if kind.is_auto)


def label_of(kind: str) -> Any:
    """Words for a kind; raises KeyError for one that does not exist."""
    return KINDS[kind].label
