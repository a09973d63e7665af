"""Differences in words for people: field by field, before and after."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from contacts.models import Follow
from contacts.rows import ADD_WAYS
from drift.kinds import KINDS
from drift.models import Difference
from groups.models import GroupChat
from org.models import Staff

FIELDS: dict[str, Any] = {
    "name": gettext_lazy("Name"),
    "parent": gettext_lazy("Department above"),
    "order": gettext_lazy("Order"),
    "departments": gettext_lazy("Departments"),
    "position": gettext_lazy("Position"),
    "leader": gettext_lazy("Leader"),
    "is_guide": gettext_lazy("Serves customers"),
    "state": gettext_lazy("State"),
    "group": gettext_lazy("Group"),
    "owner": gettext_lazy("Group owner"),
    "admins": gettext_lazy("Admins"),
    "notice": gettext_lazy("Notice"),
    "group_state": gettext_lazy("State"),
    "n_members": gettext_lazy("How many"),
    "users": gettext_lazy("Members"),
    "skip_verify": gettext_lazy("Added without the guide's confirmation"),
    "remark": gettext_lazy("Remark"),
    "description": gettext_lazy("Description"),
    "added_at": gettext_lazy("Added"),
    "ended_at": gettext_lazy("Ended"),
    "end_kind": gettext_lazy("Ended how"),
    "pending": gettext_lazy("Waits for the guide's confirmation"),
    "add_way": gettext_lazy("Way of adding"),
    "tags": gettext_lazy("Tags"),
    "staff_id": gettext_lazy("Guide"),
    "base_name": gettext_lazy("Name of new groups"),
    "is_growing": gettext_lazy("WeCom makes a new group when all are full"),
    "chats": gettext_lazy("Groups"),
    "config_id": "config_id",
}


@dataclass(frozen=True)
class Field:
    """One field of a difference: how it is (was) here and in WeCom; empty where there is nothing."""

    label: str
    ours: str
    theirs: str


@dataclass(frozen=True)
class Line:
    """A difference as the list shows it."""

    row: Difference
    label: str
    guide: str
    fields: list[Field]

    @property
    def group_id(self) -> int | None:
        """The group chat that the difference is about."""
        is_group = KINDS[self.row.kind].area == "groups" and not self.row.kind.startswith("group_code")
        return self.row.object_id if is_group else None


def lines(rows: Iterable[Difference], zone: str) -> list[Line]:
    """Differences with their names looked up: one query for all.

    Args:
        zone: the brand's, for moments.
    """
    rows = list(rows)
    ids = {row.staff_id for row in rows} | {
        side.get("staff_id") for row in rows for side in (row.ours, row.theirs)
    }
    names = dict(Staff.objects.filter(pk__in=[pk for pk in ids if pk]).values_list("pk", "name"))
    return [
        Line(row, str(KINDS[row.kind].label), names.get(row.staff_id or 0, ""), fields_of(row, names, zone))
        for row in rows
    ]


def fields_of(row: Difference, staff: Mapping[int, str], zone: str) -> list[Field]:
    """What differs, in the order of FIELDS."""
    return [
        Field(
            str(label),
            _shown(name, row.ours.get(name), staff, zone),
            _shown(name, row.theirs.get(name), staff, zone),
        )
        for name, label in FIELDS.items()
        if name in row.ours or name in row.theirs
    ]


def _shown(name: str, value: Any, staff: Mapping[int, str], zone: str) -> str:
    if value in (None, "", []):
        return ""
    if name == "staff_id":
        return staff.get(value, str(value))
    if name == "add_way":
        return "" if not value else str(ADD_WAYS.get(value, value))
    if name == "group_state":
        return str(dict(GroupChat.State.choices).get(value, value))
    if name == "end_kind":
        return str(dict(Follow.End.choices).get(value, value))
    if isinstance(value, bool):
        return _("Yes") if value else _("No")
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if name == "config_id":
        return f"{str(value)[:8]}…"
    if name.endswith("_at"):
        return f"{datetime.fromisoformat(str(value)).astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M}"
    return str(value)
