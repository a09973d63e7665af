"""Customer groups (客户群): lists and details. Pages 92120, 92122, 94822.

WeCom has no call that makes a group, invites or removes somebody or writes into it. After an event a group
may still be shown in its old state for a moment: compare `member_version`, and look again later.
"""

from collections.abc import Sequence
from typing import Any, Literal, TypedDict, cast

from django.utils.translation import gettext as _

from wecom.api.checks import answered, at_most
from wecom.client import WeComClient

GroupState = Literal[0, 1, 2, 3]  # 0 all, 1 the owner has left, 2 being handed over, 3 handed over


class GroupRow(TypedDict, total=False):
    chat_id: str
    status: int  # 0 normal, 1 the owner has left, 2 being handed over, 3 handed over


class GroupPage(TypedDict):
    group_chat_list: list[GroupRow]
    next_cursor: str  # "" at the end


class GroupMember(TypedDict, total=False):
    userid: str  # or external_userid
    type: int  # 1 member of the company, 2 anybody else
    unionid: str  # of anybody in WeChat, customer or not, if a developer account is bound
    join_time: int
    join_scene: int  # 1 invited, 2 by link, 3 by the group's QR code (events count otherwise: 0, 3)
    invitor: dict[str, str]  # {"userid": …}, only a member of the company
    group_nickname: str
    name: str  # only when asked for
    state: str  # of the join way, when join_scene is 3


class GroupAdmin(TypedDict):
    userid: str


class Group(TypedDict, total=False):
    chat_id: str
    name: str  # may be empty: nobody has named the group
    owner: str
    create_time: int
    notice: str
    member_list: list[GroupMember]
    admin_list: list[GroupAdmin]
    member_version: str


def group_chats(
    client: WeComClient,
    *,
    owner_userids: Sequence[str] = (),
    state: GroupState = 0,
    cursor: str = "",
    limit: int = 1000,
) -> GroupPage:
    """One page of groups; keep `next_cursor` to go on from here.

    Args:
        owner_userids: ≤ 100. Without owners WeCom refuses (81017) when the app sees more than 1000 members;
            groups of somebody who has left are found only by their owner.
    """
    at_most(_("Owners"), owner_userids, 100)
    body: dict[str, Any] = {"status_filter": state, "limit": limit}
    if owner_userids:
        body["owner_filter"] = {"userid_list": list(owner_userids)}
    if cursor:
        body["cursor"] = cursor
    answer = client.call("POST", "externalcontact/groupchat/list", body=body, repeatable=True)
    return {
        "group_chat_list": cast(list[GroupRow], answer.get("group_chat_list") or []),
        "next_cursor": answer.get("next_cursor") or "",
    }


def group_chat(client: WeComClient, chat_id: str, *, names: bool = True) -> Group:
    """A group with everybody in it.

    Raises:
        WeComRejected: 49008 dissolved, 40050 unknown, 90501 not a customer group; 60011 (WeComForbidden) the
            owner is outside the visible range.
    """
    body = {"chat_id": chat_id, "need_name": int(names)}
    answer = client.call("POST", "externalcontact/groupchat/get", body=body, repeatable=True)
    return cast(Group, answer.get("group_chat") or {})


def chat_id_of(client: WeComClient, opengid: str) -> str:
    """The group in which a mini-program was opened (`wx.getGroupEnterInfo`)."""
    api = "externalcontact/opengid_to_chatid"
    return answered(client.call("POST", api, body={"opengid": opengid}, repeatable=True), api, "chat_id")
