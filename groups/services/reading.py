"""Groups as WeCom shows them, in our words. Calls WeCom, so outside of transactions."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from groups.models import GroupMember
from scrm import clock
from wecom.api import groups as api
from wecom.client import WeComClient
from wecom.errors import WeComRejected

GONE_CODES = frozenset({49008, 40050, 90501})  # dissolved, unknown, not a customer group
HIDDEN_CODES = frozenset({60011})  # the owner is outside of the app's visible range
# answers about one of the owners that were named, not about the app
OWNER_CODES = frozenset({40003, 40031, 46004, 60011, 60021, 60111, 84074})


@dataclass(frozen=True)
class Stay:
    """Somebody who is in a group."""

    kind: int
    userid: str
    name: str
    unionid: str
    scene: int
    invitor: str
    state: str
    joined_at: datetime


@dataclass(frozen=True)
class Reading:
    """What WeCom said about a group at one moment.

    Attributes:
        is_gone: dissolved, or no customer group of this corp; then nothing else is known.
        is_hidden: the app may not see it; nothing is known.
        state: WeCom's number from the list; None where only the details were read.
    """

    chat_id: str
    seen_at: datetime
    is_gone: bool = False
    is_hidden: bool = False
    state: int | None = None
    name: str = ""
    owner: str = ""
    notice: str = ""
    admins: tuple[str, ...] = ()
    version: str = ""
    created_at: datetime | None = None
    stays: tuple[Stay, ...] = ()


def read_group(client: WeComClient, chat_id: str, *, state: int | None = None) -> Reading:
    """Ask WeCom for one group."""
    seen_at = clock.now()  # before the call: what happens meanwhile is newer
    try:
        found = api.group_chat(client, chat_id)
    except WeComRejected as error:
        if error.errcode in GONE_CODES:
            return Reading(chat_id, seen_at, is_gone=True)
        if error.errcode in HIDDEN_CODES:
            return Reading(chat_id, seen_at, is_hidden=True)
        raise
    created_at = _moment(found.get("create_time")) or seen_at
    return Reading(
        chat_id,
        seen_at,
        state=state,
        name=_text(found.get("name"), 200),
        owner=_text(found.get("owner"), 64).lower(),
        notice=_text(found.get("notice"), 10_000),
        admins=tuple(a["userid"].lower() for a in found.get("admin_list") or [] if a.get("userid")),
        version=_text(found.get("member_version"), 64),
        created_at=created_at,
        stays=tuple(_stays(found.get("member_list") or [], created_at)),
    )


def _stays(members: Iterable[Any], created_at: datetime) -> Iterable[Stay]:
    seen = set()
    for member in members:
        kind = GroupMember.Kind.STAFF if member.get("type") == 1 else GroupMember.Kind.CUSTOMER
        userid = _text(member.get("userid"), 64)
        if kind == GroupMember.Kind.STAFF:
            userid = userid.lower()
        if not userid or userid in seen:
            continue
        seen.add(userid)
        scene = member.get("join_scene")
        yield Stay(
            kind=kind.value,
            userid=userid,
            name=_text(member.get("name") or member.get("group_nickname"), 100),
            unionid=_text(member.get("unionid"), 64),
            scene=scene if scene in GroupMember.Scene.values else GroupMember.Scene.UNKNOWN.value,
            invitor=_text((member.get("invitor") or {}).get("userid"), 64).lower(),
            state=_text(member.get("state"), 64),
            joined_at=_moment(member.get("join_time")) or created_at,
        )


def list_groups(client: WeComClient, owners: Sequence[str], cursor: str, limit: int) -> api.GroupPage:
    """A page of the groups of some owners (≤ 100), whether they have left or not."""
    return api.group_chats(client, owner_userids=owners, cursor=cursor, limit=limit)


def _moment(seconds: Any) -> datetime | None:
    try:
        return datetime.fromtimestamp(int(seconds), UTC) if seconds else None
    except (ValueError, TypeError, OverflowError, OSError):
        return None


def _text(value: Any, n: int) -> str:
    return str(value or "").replace("\x00", "")[:n]
