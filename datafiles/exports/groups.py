"""客户群: groups, and who is or was in them."""

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from datafiles.exports.base import Export, ExportKind, Rows, last_id, next_by_id, read_one
from groups.models import GroupChat, GroupMember
from groups.services import listing
from scrm.errors import FilterError
from scrm.ids import read_id
from tenants.models import Brand


def _chats(export: Export) -> Any:
    return GroupChat.objects.all() if export.staff is None else GroupChat.objects.visible_to(export.staff)


def _text(query: Any, name: str) -> str:
    return str(query.get(name) or "").replace("\x00", "").strip()[:64]


def _read_groups(brand: Brand, query: Any) -> dict[str, Any]:
    """The page's `q`, `owner`, `state`, `size`: with none of them in the address all groups, dissolved ones too."""
    if not any(name in query for name in ("q", "owner", "state", "size")):
        return {}
    found = {name: _text(query, name) for name in ("q", "state", "size")}
    listing.Filters(state=found["state"], size=found["size"]).apply(GroupChat.objects.none())
    if (text := _text(query, "owner")) and (owner := read_id(text)) is None:
        raise FilterError()
    return {**found, "owner": owner if text else None}


def _groups(export: Export) -> Any:
    return listing.Filters(**export.params).apply(_chats(export)) if export.params else _chats(export)


def _columns(export: Export) -> list[str]:
    return [
        _("Name"), "chat_id", _("Group owner"), _("State"), _("Members"), _("Customers"), _("Created on"), _("Dissolved on"),
        _("Read from WeCom"),
    ]  # fmt: skip


def _page(export: Export, after: Any, size: int) -> Rows:
    page = next_by_id(_groups(export).select_related("owner"), after, size)
    found = [
        [
            chat.name, chat.chat_id, chat.owner.name if chat.owner else chat.owner_userid, chat.get_state_display(),
            chat.n_members, chat.n_customers, export.when(chat.created_at), export.when(chat.dismissed_at),
            export.when(chat.fetched_at),
        ]
        for chat in page
    ]  # fmt: skip
    return found, last_id(page, after)


def _read_members(brand: Brand, query: Any) -> dict[str, Any]:
    """`chat`: of one group only; `show`: who is `here` or has `left`; `q` and `kind` as on the group's page."""
    found = {name: text for name in ("show", "q", "kind") if (text := _text(query, name))}
    if found.get("show", "here") not in ("here", "left") or found.get("kind", "staff") not in listing.MEMBERS:
        raise FilterError()
    return found | read_one(query, "chat", GroupChat.objects.all())


def _member_columns(export: Export) -> list[str]:
    return [
        _("Group"), "chat_id", _("Kind"), _("Name"), "userid", _("Contact number"), _("Joined"), _("How"), _("Invited by"),
        _("Left"), _("How left"),
    ]  # fmt: skip


def _members(export: Export) -> Any:
    rows = GroupMember.objects.all()
    if export.staff is not None:
        rows = rows.filter(chat__in=_chats(export).values("pk"))
    given = export.params
    if "show" in given:
        rows = rows.filter(left_at__isnull=given["show"] == "here")
    rows = listing.members(rows, q=given.get("q", ""), kind=given.get("kind", ""))
    return rows.filter(chat=given["chat"]) if "chat" in given else rows


def _member_page(export: Export, after: Any, size: int) -> Rows:
    """Every stay, those who have left too unless the filter says otherwise."""
    page = next_by_id(_members(export).select_related("chat"), after, size)
    found = [
        [
            member.chat.name, member.chat.chat_id, member.get_kind_display(), member.name, member.userid,
            member.contact_id or "", export.when(member.joined_at), member.get_join_scene_display(), member.invitor_userid,
            export.when(member.left_at), member.get_quit_scene_display() if member.quit_scene is not None else "",
        ]
        for member in page
    ]  # fmt: skip
    return found, last_id(page, after)


def _member_title(export: Export) -> str:
    """The group, if whoever asks may see it."""
    chat = _chats(export).filter(pk=export.params["chat"]).first() if "chat" in export.params else None
    return str(chat) if chat else ""


GROUPS = ExportKind(
    key="groups", label=gettext_lazy("Customer groups"), icon="messages-square", right="groups.view",
    read=_read_groups,
    columns=_columns, page=_page, count=lambda export: _groups(export).count(),
)  # fmt: skip
MEMBERS = ExportKind(
    key="group_members", label=gettext_lazy("Members of groups"), icon="users-round", right="groups.view",
    read=_read_members, columns=_member_columns, page=_member_page, title=_member_title,
)  # fmt: skip
