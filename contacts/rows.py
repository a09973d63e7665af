"""What the contact list shows of each contact, looked up for a whole page at once."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _

from contacts import hooks
from contacts.models import Contact, Follow

# key → heading of the columns that a person may choose; the name is always there
COLUMNS: dict[str, Any] = {
    "guides": _("Guides"),
    "channel": _("Channel"),
    "tags": _("Tags"),
    "added": _("Added"),
    "state": _("State"),
    "remark": _("Remark"),
    "lost": _("Lost"),
    "last_order": _("Last purchase"),
    "orders": _("Orders"),
    "spent": _("Spent"),
    "score": _("Value score"),
}
NUMBERS = {"orders", "spent", "score"}
OF_VALUE = NUMBERS | {"last_order"}  # columns that ask what somebody bought and is worth
DEFAULT_COLUMNS = ["guides", "channel", "tags", "added", "state"]

STATE_NAMES: dict[str, Any] = {
    "reachable": _("Reachable"),
    "lost": _("Lost"),
    "pending": _("Waits for the guide"),
    "member": _("Member, not added yet"),
}
STATE_LOOKS = {"reachable": "ok", "lost": "bad", "pending": "info", "member": "off"}


@dataclass(frozen=True)
class Row:
    """One contact of the list; `follows` are the live relations, or else the former ones."""

    contact: Contact
    follows: list[Follow]
    channel: str
    remark: str
    tags: list[dict[str, Any]]
    worth: dict[str, Any]  # as hooks.values_of; empty when no column asks

    @property
    def state_name(self) -> Any:
        return STATE_NAMES[self.contact.state]

    @property
    def state_look(self) -> str:
        return STATE_LOOKS[self.contact.state]


def rows_of(contacts: Sequence[Contact], columns: Collection[str] = ()) -> list[Row]:
    """Rows for the contacts of one page: three queries, whatever their number, and two more for columns of value."""
    ids = [contact.pk for contact in contacts]
    follows: dict[int, list[Follow]] = {}
    for follow in Follow.objects.filter(contact__in=ids).select_related("staff").order_by("-added_at", "-pk"):
        follows.setdefault(follow.contact_id, []).append(follow)
    codes = hooks.code_names(f.channel_code_id for group in follows.values() for f in group)
    tags = hooks.tags_of(ids)
    worth = hooks.values_of(ids) if OF_VALUE & set(columns) else {}
    return [
        _row(contact, follows.get(contact.pk, []), codes, tags.get(contact.pk, []), worth.get(contact.pk, {}))
        for contact in contacts
    ]


def _row(
    contact: Contact,
    follows: list[Follow],
    codes: dict[int, str],
    tags: list[dict[str, Any]],
    worth: dict[str, Any],
) -> Row:
    live = [follow for follow in follows if follow.ended_at is None]
    channel = next((channel_of(f, codes) for f in live + follows if f.channel_code_id or f.state), "")
    remark = next((f.remark for f in live if f.remark), "")
    return Row(contact, live or follows, channel, remark, tags, worth)


# WeCom's add_way → words; source: developer.work.weixin.qq.com/document/path/92114
ADD_WAYS: dict[int, Any] = {
    1: _("Scanned a QR code"),
    2: _("Searched the phone number"),
    3: _("Shared name card"),
    4: _("Group chat"),
    5: _("Phone address book"),
    6: _("WeChat contact"),
    8: _("Installed a third-party app"),
    9: _("Searched the e-mail address"),
    10: _("WeChat Channels"),
    11: _("Calendar"),
    12: _("Meeting"),
    13: _("WeCom account of a WeChat friend"),
    14: _("Service agent of smart hardware"),
    15: _("Door-to-door service"),
    16: _("Acquisition link"),
    17: _("Custom development"),
    18: _("Demand reply"),
    21: _("Third-party pre-sale"),
    22: _("Possible business partner"),
    24: _("Friend request in WeChat"),
    201: _("Shared by a colleague"),
    202: _("Assigned by an administrator"),
}


def channel_of(follow: Follow, codes: dict[int, str]) -> str:
    """Where a relation came from: the code's name, or WeCom's `state` as it is."""
    return codes.get(follow.channel_code_id or 0) or follow.state


def add_way_name(follow: Follow) -> str:
    """How WeCom says the customer was added; empty when unknown."""
    return str(ADD_WAYS.get(follow.add_way, _("Other way") if follow.add_way else ""))
