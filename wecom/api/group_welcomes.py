"""Welcomes of groups (入群欢迎语素材): at most 100, from which owners choose in the client. Page 92366."""

from collections.abc import Mapping
from typing import Any, TypedDict, cast

from django.utils.translation import gettext as _

from wecom.api.checks import answered, at_most_bytes, needed
from wecom.api.messages import check_attachment
from wecom.client import WeComClient

_API = "externalcontact/group_welcome_template"
ADD_TEXT_BYTES, EDIT_TEXT_BYTES = 3000, 4000


class GroupWelcome(TypedDict, total=False):
    """At most one of the objects counts: image before link, miniprogram, file, video."""

    text: dict[str, str]  # {"content": …}; %NICKNAME% becomes the customer's name
    image: dict[str, str]
    link: dict[str, str]
    miniprogram: dict[str, str]
    file: dict[str, str]
    video: dict[str, str]


def add_group_welcome(
    client: WeComClient,
    *,
    text: str = "",
    attachment: Mapping[str, Any] | None = None,
    notify: bool = True,
) -> str:
    """Put one into the library; gives its template_id.

    Args:
        text: ≤ 3000 bytes; %NICKNAME% is replaced.
        attachment: one, as in `wecom.api.messages.check_content`.
        notify: tell the owners of groups.

    Raises:
        LostAnswer: perhaps made; there is no list to look it up in.
        WeComForbidden: 41055 there are 100 already.
    """
    body = {**_content(text, attachment, ADD_TEXT_BYTES), "notify": int(notify)}
    return answered(client.call("POST", f"{_API}/add", body=body), f"{_API}/add", "template_id")


def group_welcome(client: WeComClient, template_id: str) -> GroupWelcome:
    answer = client.call("POST", f"{_API}/get", body={"template_id": template_id}, repeatable=True)
    kinds = ("text", "image", "link", "miniprogram", "file", "video")
    return cast(GroupWelcome, {kind: answer[kind] for kind in kinds if answer.get(kind)})


def edit_group_welcome(
    client: WeComClient, template_id: str, *, text: str = "", attachment: Mapping[str, Any] | None = None
) -> None:
    """Replace the content (text ≤ 4000 bytes); only the app that made it may."""
    body = {"template_id": template_id, **_content(text, attachment, EDIT_TEXT_BYTES)}
    client.call("POST", f"{_API}/edit", body=body, repeatable=True)


def delete_group_welcome(client: WeComClient, template_id: str) -> None:
    """Take one out of the library; only the app that made it may."""
    client.call("POST", f"{_API}/del", body={"template_id": template_id}, repeatable=True)


def _content(text: str, attachment: Mapping[str, Any] | None, limit: int) -> dict[str, Any]:
    needed(_("Text or attachment"), text.strip() or attachment)
    at_most_bytes(_("Text"), text, limit)
    body: dict[str, Any] = {"text": {"content": text}} if text else {}
    if attachment is not None:
        check_attachment(attachment)
        kind = str(attachment["msgtype"])
        body[kind] = dict(attachment[kind])  # flat here, no list
    return body
