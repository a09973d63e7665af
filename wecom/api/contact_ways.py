"""「联系我」 contact ways: the QR codes behind channel codes. Page 92228.

The image of a code stays the same when its members change, so printed codes live on. A lost `config_id` can
never be
edited or deleted again: keep it as soon as it is known, and look for it with `contact_ways` after a
LostAnswer.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypedDict, cast

from django.utils.translation import gettext as _

from wecom.api.checks import answered, at_most, at_most_chars, needed
from wecom.api.paging import rows
from wecom.client import WeComClient
from wecom.errors import WeComRejected


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


class NewContactWay(TypedDict):
    config_id: str
    qr_code: str


def _check(userids: Sequence[str] | None, remark: str | None, state: str | None) -> None:
    if userids is not None:
        needed(_("Members"), userids)
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
) -> NewContactWay:
    """Make a QR code.

    Args:
        userids: 1 to 100 members, active and with the customer-contact right.
        state: ≤ 30 characters; comes back in the events of those who scan it.
        remark: ≤ 30 characters; seen by nobody but the API.
        several: a code whose members can be more than one later; this cannot be changed afterwards.

    Raises:
        LostAnswer: perhaps made; see `contact_ways`.
    """
    _check(userids, remark, state)
    if not several:
        at_most(_("Members"), userids, 1)
    api = "externalcontact/add_contact_way"
    answer = client.call(
        "POST",
        api,
        body={
            "type": 2 if several else 1,
            "scene": 2,
            "remark": remark,
            "skip_verify": skip_verify,
            "state": state,
            "user": list(userids),
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
    remark: str | None = None,
    state: str | None = None,
    skip_verify: bool | None = None,
) -> None:
    """Change what is given; None leaves a field as it is. A list of members replaces the old one."""
    _check(userids, remark, state)
    body: dict[str, Any] = {"config_id": config_id}
    if userids is not None:
        body["user"] = list(userids)
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
