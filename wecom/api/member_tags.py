"""Tags of members (成员标签), for grouping staff: not the tags of customers. Pages 90210 to 90216.

Only the app that made a tag may change it.
"""

from collections.abc import Sequence
from typing import Any, TypedDict, cast

from django.utils.translation import gettext as _

from wecom.api.checks import at_most, at_most_chars, needed
from wecom.client import WeComClient
from wecom.errors import LostAnswer


class MemberTag(TypedDict):
    tagid: int
    tagname: str


class Tagged(TypedDict):
    tagname: str
    userlist: list[dict[str, str]]  # {"userid": …, "name": …}
    partylist: list[int]


class NotTagged(TypedDict):
    """Those that could not be given or relieved of the tag; all others were."""

    userids: list[str]
    department_ids: list[int]


def member_tags(client: WeComClient) -> list[MemberTag]:
    return cast(list[MemberTag], client.call("GET", "tag/list", repeatable=True).get("taglist") or [])


def tagged(client: WeComClient, tag_id: int) -> Tagged:
    """Members and departments with a tag."""
    answer = client.call("GET", "tag/get", params={"tagid": tag_id}, repeatable=True)
    return {
        "tagname": str(answer.get("tagname") or ""),
        "userlist": list(answer.get("userlist") or []),
        "partylist": list(answer.get("partylist") or []),
    }


def create_member_tag(client: WeComClient, name: str, *, tag_id: int | None = None) -> int:
    """Make a tag; gives its id.

    Args:
        name: ≤ 32 characters, different from all others (40071).

    Raises:
        LostAnswer: perhaps made; look with `member_tags`.
    """
    _check(name)
    body: dict[str, Any] = {"tagname": name, **({"tagid": tag_id} if tag_id is not None else {})}
    made = client.call("POST", "tag/create", body=body).get("tagid")
    if not isinstance(made, int):
        raise LostAnswer(api="tag/create", errmsg="no tagid in the answer")
    return made


def rename_member_tag(client: WeComClient, tag_id: int, name: str) -> None:
    _check(name)
    client.call("POST", "tag/update", body={"tagid": tag_id, "tagname": name}, repeatable=True)


def delete_member_tag(client: WeComClient, tag_id: int) -> None:
    """Delete a tag. A repeat after a lost answer would say that there is none."""
    client.call("GET", "tag/delete", params={"tagid": tag_id})


def tag_members(
    client: WeComClient, tag_id: int, *, userids: Sequence[str] = (), department_ids: Sequence[int] = ()
) -> NotTagged:
    """Give a tag to ≤ 1000 members and ≤ 100 departments (WeComRejected 40070: to none of them)."""
    return _change(client, "tag/addtagusers", tag_id, userids, department_ids)


def untag_members(
    client: WeComClient, tag_id: int, *, userids: Sequence[str] = (), department_ids: Sequence[int] = ()
) -> NotTagged:
    """Take a tag from ≤ 1000 members and ≤ 100 departments."""
    return _change(client, "tag/deltagusers", tag_id, userids, department_ids)


def _change(
    client: WeComClient, api: str, tag_id: int, userids: Sequence[str], department_ids: Sequence[int]
) -> NotTagged:
    needed(_("Members"), userids or department_ids)
    at_most(_("Members"), userids, 1000)
    at_most(_("Departments"), department_ids, 100)
    body = {"tagid": tag_id, "userlist": list(userids), "partylist": list(department_ids)}
    answer = client.call("POST", api, body=body, repeatable=True)
    return {
        "userids": [userid for userid in str(answer.get("invalidlist") or "").split("|") if userid],
        "department_ids": list(answer.get("invalidparty") or []),
    }


def _check(name: str) -> None:
    needed(_("Tag name"), name)
    at_most_chars(_("Tag name"), name, 32)
