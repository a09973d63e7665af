"""「联系我」 contact ways: the QR codes behind channel codes. Page 92228.

The image of a code stays the same when its members change, so printed codes live on. A lost `config_id` can
never be
edited or deleted again: keep it as soon as it is known, and look for it with `contact_ways` after a
LostAnswer.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypedDict, cast

from django.utils.translation import gettext as _

from wecom.api.checks import answered, at_most, at_most_bytes, at_most_chars, needed
from wecom.api.messages import check_attachment
from wecom.api.paging import rows
from wecom.client import WeComClient
from wecom.errors import InvalidMessage, WeComRejected

MAX_TEMPORARY_S = 14 * 86_400


class ContactWay(TypedDict, total=False):
    config_id: str
    type: int  # 1 one member, 2 several
    scene: int  # 1 mini-program, 2 QR code
    remark: str
    skip_verify: bool
    state: str
    qr_code: str  # address of the picture
    user: list[str]
    party: list[int]
    style: int  # of the button in a mini-program
    is_temp: bool
    is_exclusive: bool
    expires_in: int
    chat_expires_in: int
    unionid: str
    conclusions: dict[str, Any]


class NewContactWay(TypedDict):
    config_id: str
    qr_code: str


def _check(
    userids: Sequence[str] | None,
    remark: str | None,
    state: str | None,
    department_ids: Sequence[int] | None = None,
) -> None:
    if userids is not None:
        needed(_("Members"), userids or department_ids)
        at_most(_("Members"), userids, 100)
    at_most_chars(_("Remark"), remark or "", 30)
    at_most_chars("state", state or "", 30)


def add_contact_way(
    client: WeComClient,
    *,
    userids: Sequence[str],
    state: str,
    remark: str = "",
    skip_verify: bool = True,
    several: bool = True,
    department_ids: Sequence[int] = (),
    exclusive: bool = False,
    button_style: int | None = None,
) -> NewContactWay:
    """Make a QR code.

    Args:
        userids: active members with the customer-contact right, 1 to 100, those of departments included.
        state: ≤ 30 characters; comes back in the events of those who scan it.
        remark: ≤ 30 characters; seen by nobody but the API.
        several: a code whose members can be more than one later; this cannot be changed afterwards.
        department_ids: whole departments; only with `several`.
        exclusive: customers of one other company are given to the same member.
        button_style: a button in a mini-program instead of a QR code; then `qr_code` is "".

    Raises:
        LostAnswer: perhaps made; see `contact_ways`.
    """
    _check(userids, remark, state, department_ids)
    if not several:
        at_most(_("Members"), [*userids, *department_ids], 1)
    more: dict[str, Any] = {"party": list(department_ids)} if department_ids else {}
    if exclusive:
        more["is_exclusive"] = True
    if button_style is not None:
        more["style"] = button_style
    api = "externalcontact/add_contact_way"
    answer = client.call(
        "POST",
        api,
        body={
            "type": 2 if several else 1,
            "scene": 2 if button_style is None else 1,
            "remark": remark,
            "skip_verify": skip_verify,
            "state": state,
            "user": list(userids),
            **more,
        },
    )
    return {"config_id": answered(answer, api, "config_id"), "qr_code": str(answer.get("qr_code") or "")}


def contact_way(client: WeComClient, config_id: str) -> ContactWay:
    answer = client.call(
        "POST", "externalcontact/get_contact_way", body={"config_id": config_id}, repeatable=True
    )
    return cast(ContactWay, answer.get("contact_way") or {})


def contact_ways(client: WeComClient, *, start_at: datetime, end_at: datetime) -> list[str]:
    """config_ids of the ways that this app made in a span (WeCom itself would look back 90 days only)."""
    body = {"start_time": int(start_at.timestamp()), "end_time": int(end_at.timestamp()), "limit": 1000}
    return [row["config_id"] for row in rows(client, "externalcontact/list_contact_way", body, "contact_way")]


def update_contact_way(
    client: WeComClient,
    config_id: str,
    *,
    userids: Sequence[str] | None = None,
    department_ids: Sequence[int] | None = None,
    remark: str | None = None,
    state: str | None = None,
    skip_verify: bool | None = None,
) -> None:
    """Change what is given; None leaves a field as it is. A list of members replaces the old one."""
    _check(userids, remark, state, department_ids)
    body: dict[str, Any] = {"config_id": config_id}
    if userids is not None:
        body["user"] = list(userids)
    if department_ids is not None:
        body["party"] = list(department_ids)
    for name, value in (("remark", remark), ("state", state), ("skip_verify", skip_verify)):
        if value is not None:
            body[name] = value
    client.call("POST", "externalcontact/update_contact_way", body=body, repeatable=True)


def delete_contact_way(client: WeComClient, config_id: str) -> bool:
    """Delete a code; False if WeCom does not know it (any more)."""
    try:
        client.call("POST", "externalcontact/del_contact_way", body={"config_id": config_id}, repeatable=True)
    except WeComRejected as error:
        if error.errcode in (41043, 41044):
            return False
        raise
    return True


# ---- chats that end by themselves (medical companies only)


def add_temporary_way(
    client: WeComClient,
    *,
    userid: str,
    state: str,
    remark: str = "",
    expires_in_s: int = 7 * 86_400,
    chat_expires_in_s: int = 86_400,
    unionid: str = "",
    conclusions: Mapping[str, Any] | None = None,
) -> NewContactWay:
    """A QR code for one conversation, used once.

    Args:
        expires_in_s: life of the code, ≤ 14 days.
        chat_expires_in_s: life of the conversation after adding, ≤ 14 days.
        unionid: only this person.
        conclusions: what is sent at the end; see `check_conclusions`.

    Raises:
        LostAnswer: perhaps made; these are in no list, the code just runs out.
    """
    _check([userid], remark, state)
    for name, seconds in ((_("Life of the code"), expires_in_s), (_("Life of the chat"), chat_expires_in_s)):
        if not 0 < seconds <= MAX_TEMPORARY_S:
            raise InvalidMessage(_("%(name)s: at most 14 days") % {"name": name})
    if conclusions is not None:
        check_conclusions(conclusions)
    body = {
        "type": 1,
        "scene": 2,
        "remark": remark,
        "state": state,
        "user": [userid],
        "is_temp": True,
        "expires_in": expires_in_s,
        "chat_expires_in": chat_expires_in_s,
        **({"unionid": unionid} if unionid else {}),
        **({"conclusions": dict(conclusions)} if conclusions else {}),
    }
    api = "externalcontact/add_contact_way"
    answer = client.call("POST", api, body=body)
    return {"config_id": answered(answer, api, "config_id"), "qr_code": str(answer.get("qr_code") or "")}


def check_conclusions(conclusions: Mapping[str, Any]) -> None:
    """What is sent when a temporary chat ends: text.content (≤ 4000 bytes), and one of image (media_id), link (title ≤ 128
    bytes, url, picurl, desc ≤ 512), miniprogram (title ≤ 64, pic_media_id, appid, page); not nothing.

    Raises:
        InvalidMessage: says which limit.
    """
    text = str((conclusions.get("text") or {}).get("content") or "")
    others = [kind for kind in ("image", "link", "miniprogram") if conclusions.get(kind)]
    needed(_("Text or attachment"), text.strip() or others)
    at_most_bytes(_("Text"), text, 4000)
    at_most(_("Attachments"), others, 1)
    for kind in others:
        check_attachment({"msgtype": kind, kind: conclusions[kind]})


def close_temporary_chat(client: WeComClient, userid: str, external_userid: str) -> None:
    """Send the conclusions and end the conversation."""
    body = {"userid": userid, "external_userid": external_userid}
    client.call("POST", "externalcontact/close_temp_chat", body=body, repeatable=True)
