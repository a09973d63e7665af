"""客户群: groups, and who is or was in them."""

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from datafiles.exports.base import Export, ExportKind, Rows, nothing
from groups.models import GroupChat, GroupMember
from scrm.errors import InvalidError, NotFoundError
from scrm.ids import read_id
from tenants.models import Brand


def _chats(export: Export) -> Any:
    return GroupChat.objects.all() if export.staff is None else GroupChat.objects.visible_to(export.staff)


def _columns(export: Export) -> list[str]:
    return [
        _("Name"), "chat_id", _("Group owner"), _("State"), _("Members"), _("Customers"), _("Created on"), _("Dissolved on"),
        _("Read from WeCom"),
    ]  # fmt: skip


def _page(export: Export, after: Any, size: int) -> Rows:
    page = list(_chats(export).filter(pk__gt=after or 0).select_related("owner").order_by("pk")[:size])
    found = [
        [
            chat.name, chat.chat_id, chat.owner.name if chat.owner else chat.owner_userid, chat.get_state_display(),
            chat.n_members, chat.n_customers, export.when(chat.created_at), export.when(chat.dismissed_at),
            export.when(chat.fetched_at),
        ]
        for chat in page
    ]  # fmt: skip
    return found, page[-1].pk if page else after


def _read_members(brand: Brand, query: Any) -> dict[str, Any]:
    """`chat`: of one group only."""
    if not (text := query.get("chat")):
        return {}
    given = read_id(text)
    if given is None:
        raise InvalidError(_("This filter cannot be read"), code="bad_filter")
    if not GroupChat.objects.filter(pk=given).exists():
        raise NotFoundError()
    return {"chat": given}


def _member_columns(export: Export) -> list[str]:
    return [
        _("Group"), "chat_id", _("Kind"), _("Name"), "userid", _("Contact number"), _("Joined"), _("How"), _("Invited by"),
        _("Left"), _("How left"),
    ]  # fmt: skip


def _members(export: Export) -> Any:
    rows = GroupMember.objects.all()
    if export.staff is not None:
        rows = rows.filter(chat__in=_chats(export).values("pk"))
    return rows.filter(chat=export.params["chat"]) if "chat" in export.params else rows


def _member_page(export: Export, after: Any, size: int) -> Rows:
    """Every stay, those who have left too."""
    page = list(_members(export).filter(pk__gt=after or 0).select_related("chat").order_by("pk")[:size])
    found = [
        [
            member.chat.name, member.chat.chat_id, member.get_kind_display(), member.name, member.userid,
            member.contact_id or "", export.when(member.joined_at), member.get_join_scene_display(), member.invitor_userid,
            export.when(member.left_at), member.get_quit_scene_display() if member.quit_scene is not None else "",
        ]
        for member in page
    ]  # fmt: skip
    return found, page[-1].pk if page else after


def _member_title(export: Export) -> str:
    """The group, if whoever asks may see it."""
    chat = _chats(export).filter(pk=export.params["chat"]).first() if "chat" in export.params else None
    return str(chat) if chat else ""


GROUPS = ExportKind(
    key="groups", label=gettext_lazy("Customer groups"), icon="messages-square", right="groups.view", read=nothing,
    columns=_columns, page=_page, count=lambda export: _chats(export).count(),
)  # fmt: skip
MEMBERS = ExportKind(
    key="group_members", label=gettext_lazy("Members of groups"), icon="users-round", right="groups.view",
    read=_read_members, columns=_member_columns, page=_member_page, title=_member_title,
)  # fmt: skip
