"""「加入群聊」 join ways: the QR codes behind group codes. Page 92229.

They share the company's 500,000 with contact ways and do not show in the console: keep the `config_id`.
"""

from collections.abc import Sequence
from typing import Any, TypedDict, cast

from django.utils.translation import gettext as _

from wecom.api.checks import answered, at_most, at_most_chars, needed
from wecom.client import WeComClient
from wecom.errors import WeComRejected

_API = "externalcontact/groupchat"


class JoinWay(TypedDict, total=False):
    config_id: str
    scene: int  # 1 mini-program, 2 QR code
    remark: str
    auto_create_room: int  # 1: WeCom makes a new group when all are full, and adds it to chat_id_list
    room_base_name: str
    room_base_id: int
    chat_id_list: list[str]
    qr_code: str
    state: str


def add_join_way(
    client: WeComClient,
    *,
    chat_ids: Sequence[str],
    state: str = "",
    remark: str = "",
    auto_create: bool = True,
    base_name: str = "",
    base_number: int = 1,
    scene: int = 2,
) -> str:
    """Make a code that leads into groups; gives its config_id (the picture: `join_way`).

    Args:
        chat_ids: 1 to 5 groups, filled in this order.
        state: ≤ 30 characters; comes back for each member who joined by it.
        remark: ≤ 30 characters; WeCom would cut it off.
        auto_create: a new group when all are full, called base_name + base_number, base_number + 1 …
            (base_name ≤ 40 characters).
        scene: 2 a QR code, 1 the plug-in of a mini-program.

    Raises:
        LostAnswer: perhaps made. No call lists join ways: an unknown one stays until somebody joins by it.
    """
    body = _body(chat_ids, state, remark, auto_create, base_name, base_number, scene)
    return answered(
        client.call("POST", f"{_API}/add_join_way", body=body), f"{_API}/add_join_way", "config_id"
    )


def join_way(client: WeComClient, config_id: str) -> JoinWay:
    """The code as it is now; `chat_id_list` grows by groups that WeCom made."""
    answer = client.call("POST", f"{_API}/get_join_way", body={"config_id": config_id}, repeatable=True)
    return cast(JoinWay, answer.get("join_way") or {})


def update_join_way(
    client: WeComClient,
    config_id: str,
    *,
    chat_ids: Sequence[str],
    state: str = "",
    remark: str = "",
    auto_create: bool = True,
    base_name: str = "",
    base_number: int = 1,
    scene: int = 2,
) -> None:
    """Replace everything: WeCom keeps nothing of what is left out. The picture stays the same."""
    body = _body(chat_ids, state, remark, auto_create, base_name, base_number, scene)
    client.call("POST", f"{_API}/update_join_way", body={"config_id": config_id, **body}, repeatable=True)


def delete_join_way(client: WeComClient, config_id: str) -> bool:
    """Delete a code; False if WeCom does not know it (any more)."""
    try:
        client.call("POST", f"{_API}/del_join_way", body={"config_id": config_id}, repeatable=True)
    except WeComRejected as error:
        if error.errcode in (41043, 41044):
            return False
        raise
    return True


def _body(
    chat_ids: Sequence[str],
    state: str,
    remark: str,
    auto_create: bool,
    base_name: str,
    base_number: int,
    scene: int,
) -> dict[str, Any]:
    needed(_("Groups"), chat_ids)
    at_most(_("Groups"), chat_ids, 5)
    at_most_chars("state", state, 30)
    at_most_chars(_("Remark"), remark, 30)
    at_most_chars(_("Name of new groups"), base_name, 40)
    body: dict[str, Any] = {
        "scene": scene,
        "remark": remark,
        "auto_create_room": int(auto_create),
        "chat_id_list": list(chat_ids),
        "state": state,
    }
    if auto_create and base_name:
        body |= {"room_base_name": base_name, "room_base_id": base_number}
    return body
