"""Members and departments as the contact-sync secret (通讯录同步) sees and changes them.

Pages 96067, 95350, 90205, 90206, 90207, 90195, 90197, 90198, 90199, 95402, 95895.

`client` here is one made with that secret: an app's own is refused (48002). It reads ids, no details.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, cast

from django.utils.translation import gettext as _

from wecom.api.checks import answered, at_most, at_most_chars, in_order, needed
from wecom.api.paging import rows
from wecom.client import WeComClient
from wecom.errors import InvalidMessage, LostAnswer

USERID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_\-@.]{0,63}")
_FORBIDDEN_IN_NAMES = set('\\:*?"<>｜')


class Seat(TypedDict):
    """One row for each department that a member is in."""

    userid: str
    department: int


class DepartmentId(TypedDict, total=False):
    id: int
    parentid: int
    order: int


def seats(client: WeComClient) -> list[Seat]:
    """All members of the company with their departments."""
    return cast(list[Seat], list(rows(client, "user/list_id", {"limit": 10_000}, "dept_user")))


def userid_of_mobile(client: WeComClient, mobile: str) -> str:
    """The member with a phone number.

    Raises:
        WeComRejected: 46004 there is none. Many misses (a fifth of the headcount) shut the call for a day.
    """
    api = "user/getuserid"
    return answered(client.call("POST", api, body={"mobile": mobile}, repeatable=True), api, "userid")


def userid_of_email(client: WeComClient, email: str, *, personal: bool = False) -> str:
    """The member with an e-mail address: of the company, or a personal one."""
    api, body = "user/get_userid_by_email", {"email": email, "email_type": 2 if personal else 1}
    return answered(client.call("POST", api, body=body, repeatable=True), api, "userid")


# ---- departments


def department_ids(client: WeComClient, below: int | None = None) -> list[DepartmentId]:
    """All departments, or those of a subtree, without names."""
    params = {"id": below} if below is not None else {}
    answer = client.call("GET", "department/simplelist", params=params, repeatable=True)
    return cast(list[DepartmentId], answer.get("department_id") or [])


def create_department(
    client: WeComClient,
    name: str,
    *,
    parent_id: int = 1,
    id: int | None = None,
    name_en: str = "",
    order: int | None = None,
) -> int:
    """Make a department; gives its id.

    Args:
        name: 1 to 64 characters, none of \\ : * ? " < > ｜.
        order: larger comes first.

    Raises:
        LostAnswer: perhaps made; look with `department_ids`, or give the id.
    """
    _check_department(name)
    in_order(order)
    body: dict[str, Any] = {"name": name, "parentid": parent_id}
    body |= {key: value for key, value in (("id", id), ("order", order)) if value is not None}
    if name_en:
        body["name_en"] = name_en
    made = client.call("POST", "department/create", body=body).get("id")
    if not isinstance(made, int):
        raise LostAnswer(api="department/create", errmsg="no id in the answer")
    return made


def update_department(
    client: WeComClient,
    id: int,
    *,
    name: str | None = None,
    parent_id: int | None = None,
    order: int | None = None,
) -> None:
    """Rename or move; None leaves a field as it is."""
    if name is not None:
        _check_department(name)
    in_order(order)
    given = {"name": name, "parentid": parent_id, "order": order}
    body = {"id": id, **{key: value for key, value in given.items() if value is not None}}
    client.call("POST", "department/update", body=body, repeatable=True)


def delete_department(client: WeComClient, id: int) -> None:
    """Delete an empty one (60005 has departments below, 60006 has members, 60007 the root)."""
    client.call("GET", "department/delete", params={"id": id})


# ---- members


def create_member(
    client: WeComClient,
    userid: str,
    name: str,
    *,
    department_ids: Sequence[int],
    mobile: str = "",
    email: str = "",
    position: str = "",
    invite: bool = True,
    more: Mapping[str, Any] | None = None,
) -> None:
    """Make a member.

    Args:
        userid: 1 to 64 letters, digits and _-@. ; the same in other cases is the same.
        mobile, email: at least one of them.
        more: further fields with WeCom's names (alias, gender, direct_leader, extattr …).

    Raises:
        LostAnswer: perhaps made; a second call then says 60102, which means that it was.
    """
    if not USERID.fullmatch(userid):
        raise InvalidMessage(_("A member's ID has 1 to 64 letters, digits and _-@."))
    needed(_("Name"), name)
    at_most_chars(_("Name"), name, 64)
    needed(_("Phone or e-mail"), mobile or email)
    needed(_("Departments"), department_ids)
    at_most(_("Departments"), department_ids, 100)
    fields = {"mobile": mobile, "email": email, "position": position}
    body = {
        "userid": userid,
        "name": name,
        "department": list(department_ids),
        "to_invite": invite,
        **{key: value for key, value in fields.items() if value},
        **(more or {}),
    }
    client.call("POST", "user/create", body=body)


def update_member(client: WeComClient, userid: str, fields: Mapping[str, Any]) -> None:
    """Change fields with WeCom's names; others stay, and so does the phone number of an active member."""
    needed(_("Fields"), fields)
    client.call("POST", "user/update", body={"userid": userid, **fields}, repeatable=True)


def set_enabled(client: WeComClient, userid: str, enabled: bool) -> None:
    """Let a member in or shut them out."""
    update_member(client, userid, {"enable": int(enabled)})


def delete_members(client: WeComClient, userids: Sequence[str]) -> None:
    """Delete up to 200 members; their customers wait in `transfers.unassigned`."""
    needed(_("Members"), userids)
    at_most(_("Members"), userids, 200)
    if len(userids) == 1:
        client.call("GET", "user/delete", params={"userid": userids[0]})
    else:
        client.call("POST", "user/batchdelete", body={"useridlist": list(userids)})


def _check_department(name: str) -> None:
    needed(_("Name"), name)
    at_most_chars(_("Name"), name, 64)
    if _FORBIDDEN_IN_NAMES & set(name):
        raise InvalidMessage(_('A name has none of \\ : * ? " < > ｜'))
