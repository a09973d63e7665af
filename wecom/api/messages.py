"""Welcome messages, mass sends (企业群发), app messages to members.

Pages 92137, 92135, 93338, 97610, 97611, 90236.

A mass send is only a task: each member confirms it in the client, and nothing reaches a customer before that.
Limits are in bytes of UTF-8 unless 'characters' is said.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, TypedDict, cast

from django.utils.translation import gettext as _

from wecom.api.checks import answered, at_most, at_most_bytes, at_most_chars, link, needed, span
from wecom.api.paging import rows
from wecom.client import WeComClient
from wecom.errors import InvalidMessage, LostAnswer, WeComRejected, WeComUnavailable

Attachment = Mapping[str, Any]  # {"msgtype": "image", "image": {"media_id": …}}; see `check_content`
ChatType = Literal["single", "group"]

MAX_ATTACHMENTS = 9
MAX_RECEIVERS = 10_000  # customers in one mass send
MAX_GROUPS = 2_000
TEXT_BYTES = 4000
APP_TEXT_BYTES = 2048
SAME_S = 1800  # WeCom drops the same app message to the same people within so many seconds


class MassTask(TypedDict):
    msgid: str
    fail_list: list[str]  # external_userids that cannot receive it


class MassRecord(TypedDict, total=False):
    msgid: str
    creator: str  # absent when made through the API
    create_time: int | str  # a string on the page, a number in practice
    create_type: int
    text: dict[str, str]
    attachments: list[dict[str, Any]]


class MemberTask(TypedDict, total=False):
    userid: str
    status: int  # 0 not sent; anything else: sent (the page shows both 1 and 2)
    send_time: int


class SendResult(TypedDict, total=False):
    external_userid: str
    chat_id: str
    userid: str
    status: int  # 0 not sent, 1 sent, 2 not a friend any more, 3 over WeCom's own cap for this customer
    send_time: int


# ---- content


def check_content(text: str, attachments: Sequence[Attachment] = ()) -> None:
    """Whether WeCom would take this as a welcome message or mass send.

    Args:
        text: ≤ 4000 bytes; may be empty if there is an attachment.
        attachments: ≤ 9, each {"msgtype": t, t: {…}} with t one of
            image (media_id or pic_url), link (title ≤ 128, url, picurl, desc ≤ 512),
            miniprogram (title ≤ 64, pic_media_id, appid, page), video (media_id), file (media_id).

    Raises:
        InvalidMessage: says which limit, in words for people.
    """
    needed(_("Text or attachment"), text.strip() or attachments)
    at_most_bytes(_("Text"), text, TEXT_BYTES)
    at_most(_("Attachments"), attachments, MAX_ATTACHMENTS)
    for attachment in attachments:
        check_attachment(attachment)


def check_attachment(attachment: Attachment) -> None:
    """One attachment of `check_content`."""
    kind = attachment.get("msgtype")
    content = attachment.get(str(kind))
    if kind not in _ATTACHMENTS or not isinstance(content, Mapping):
        raise InvalidMessage(_("An attachment is an image, link, mini-program, video or file"))
    _ATTACHMENTS[kind](content)


def _check_image(image: Mapping[str, Any]) -> None:
    needed(_("Image"), image.get("media_id") or image.get("pic_url"))


def _check_link(page: Mapping[str, Any]) -> None:
    needed(_("Link title"), page.get("title"))
    at_most_bytes(_("Link title"), page["title"], 128)
    at_most_bytes(_("Link description"), page.get("desc") or "", 512)
    at_most_bytes(_("Link picture"), page.get("picurl") or "", 2048)
    link(_("Link"), page.get("url") or "")


def _check_miniprogram(program: Mapping[str, Any]) -> None:
    for field in ("title", "pic_media_id", "appid", "page"):
        needed(_("Mini-program: %(field)s") % {"field": field}, program.get(field))
    at_most_bytes(_("Mini-program title"), program["title"], 64)


def _check_media(media: Mapping[str, Any]) -> None:
    needed(_("File"), media.get("media_id"))


_ATTACHMENTS = {
    "image": _check_image,
    "link": _check_link,
    "miniprogram": _check_miniprogram,
    "video": _check_media,
    "file": _check_media,
}


def _content(text: str, attachments: Sequence[Attachment]) -> dict[str, Any]:
    check_content(text, attachments)
    body: dict[str, Any] = {"text": {"content": text}} if text else {}
    if attachments:
        body["attachments"] = [dict(attachment) for attachment in attachments]
    return body


# ---- welcome


def send_welcome(
    client: WeComClient, welcome_code: str, *, text: str = "", attachments: Sequence[Attachment] = ()
) -> None:
    """Greet a new customer; the code lives 20 seconds and works once.

    Because it works once, a lost answer is asked again: 41051 then says that the first one arrived.

    Raises:
        LostAnswer: nor has the second call got an answer that tells what became of the first.
        WeComRejected: 41050 too late or not a code, 41051 somebody else's welcome was first or the chat has
        begun.
    """
    api, body = (
        "externalcontact/send_welcome_msg",
        {"welcome_code": welcome_code, **_content(text, attachments)},
    )
    try:
        client.call("POST", api, body=body)
    except LostAnswer as lost:
        try:
            client.call("POST", api, body=body)
        except WeComRejected as error:
            if error.errcode != 41051:
                raise
        except WeComUnavailable as error:  # also one that was refused as busy: of the first nobody knows yet
            raise lost from error


# ---- mass send


def add_msg_template(
    client: WeComClient,
    *,
    sender: str,
    external_userids: Sequence[str] = (),
    tag_groups: Sequence[Sequence[str]] = (),
    text: str = "",
    attachments: Sequence[Attachment] = (),
) -> MassTask:
    """Make a mass-send task for one member; never repeated by the client.

    Args:
        sender: userid. Without one WeCom would spread the customers over whoever chatted last.
        external_userids: customers of the sender, 1 to 10,000.
        tag_groups: instead of customers: those with, for each list, one of its tags (≤ 100 each).

    Raises:
        LostAnswer: the task may exist: look with `groupmsg_list` and `groupmsg_send_result` before another.
        WeComRejected: 41048 none of them can receive it.
    """
    needed(_("Sender"), sender)
    # with a sender alone WeCom would take all their customers, and with customers it ignores the tags
    needed(_("Customers"), external_userids or tag_groups)
    at_most(_("Customers"), external_userids, MAX_RECEIVERS)
    to: dict[str, Any] = {"external_userid": list(external_userids)}
    if not external_userids:
        for tag_ids in tag_groups:
            needed(_("Tags"), tag_ids)
            at_most(_("Tags"), tag_ids, 100)
        to = {"tag_filter": {"group_list": [{"tag_list": list(tag_ids)} for tag_ids in tag_groups]}}
    return _make_task(client, {"chat_type": "single", **to, "sender": sender, **_content(text, attachments)})


def add_group_msg_template(
    client: WeComClient,
    *,
    sender: str,
    chat_ids: Sequence[str] = (),
    text: str = "",
    attachments: Sequence[Attachment] = (),
    allow_select: bool = False,
) -> MassTask:
    """Make a task for the owner of groups; `fail_list` then names groups. Raises as `add_msg_template`.

    Args:
        chat_ids: groups of the sender, ≤ 2000; without any the owner chooses in the client.
        allow_select: the owner may choose again.
    """
    needed(_("Sender"), sender)
    at_most(_("Groups"), chat_ids, MAX_GROUPS)
    body: dict[str, Any] = {"chat_type": "group", "sender": sender, **_content(text, attachments)}
    if chat_ids:
        body["chat_id_list"] = list(chat_ids)
    if allow_select:
        body["allow_select"] = True
    return _make_task(client, body)


def _make_task(client: WeComClient, body: dict[str, Any]) -> MassTask:
    api = "externalcontact/add_msg_template"
    answer = client.call("POST", api, body=body)
    return {"msgid": answered(answer, api, "msgid"), "fail_list": list(answer.get("fail_list") or [])}


def groupmsg_list(
    client: WeComClient, *, start_at: datetime, end_at: datetime, chat_type: ChatType = "single"
) -> list[MassRecord]:
    """Mass sends made in a span of at most a month, by the corp or by members."""
    body = {"chat_type": chat_type, **span(start_at, end_at, 31), "limit": 100}
    return cast(
        list[MassRecord], list(rows(client, "externalcontact/get_groupmsg_list_v2", body, "group_msg_list"))
    )


def groupmsg_task(client: WeComClient, msgid: str) -> list[MemberTask]:
    """Which members have confirmed. WeComUnavailable 41063 in the first seconds after it was made."""
    body = {"msgid": msgid, "limit": 1000}
    return cast(list[MemberTask], list(rows(client, "externalcontact/get_groupmsg_task", body, "task_list")))


def groupmsg_send_result(client: WeComClient, msgid: str, userid: str) -> list[SendResult]:
    """What became of the message, customer by customer, for one member."""
    body = {"msgid": msgid, "userid": userid, "limit": 1000}
    return cast(
        list[SendResult], list(rows(client, "externalcontact/get_groupmsg_send_result", body, "send_list"))
    )


def remind(client: WeComClient, msgid: str) -> None:
    """Remind the members of a task that waits for them; WeCom allows 3 times in 24 hours."""
    client.call("POST", "externalcontact/remind_groupmsg_send", body={"msgid": msgid})


def cancel(client: WeComClient, msgid: str) -> None:
    """Stop what was not confirmed yet; what was sent stays."""
    client.call("POST", "externalcontact/cancel_groupmsg_send", body={"msgid": msgid}, repeatable=True)


# ---- to members


def send_text(client: WeComClient, userids: Sequence[str], text: str, *, same_s: int = SAME_S) -> list[str]:
    """A text to members (≤ 1000), ≤ 2048 bytes; gives the userids that could not receive it (lower case).

    WeCom drops the same text to the same people within 30 minutes, so a repeat does no harm. It also drops,
    and does not say so, what goes beyond 30 a minute to one member.

    Args:
        same_s: seconds within which the same text is dropped; longer than a call with its repeats.
    """
    needed(_("Text"), text.strip())
    at_most_bytes(_("Text"), text, APP_TEXT_BYTES)
    return _send(client, userids, "text", {"content": text}, same_s=same_s)


def send_text_card(
    client: WeComClient, userids: Sequence[str], *, title: str, description: str, url: str, button: str = ""
) -> list[str]:
    """A card with a link (title ≤ 128 characters, description ≤ 512, button ≤ 4), else as `send_text`."""
    needed(_("Title"), title)
    needed(_("Description"), description)
    at_most_chars(_("Title"), title, 128)
    at_most_chars(_("Description"), description, 512)
    at_most_chars(_("Button"), button, 4)
    link(_("Link"), url)
    card = {"title": title, "description": description, "url": url, **({"btntxt": button} if button else {})}
    return _send(client, userids, "textcard", card)


def _send(
    client: WeComClient, userids: Sequence[str], kind: str, content: dict[str, str], *, same_s: int = SAME_S
) -> list[str]:
    needed(_("Members"), userids)
    at_most(_("Members"), userids, 1000)
    answer = client.call(
        "POST",
        "message/send",
        body={
            "touser": "|".join(userids),
            "msgtype": kind,
            "agentid": client.agent_id,
            kind: content,
            "enable_duplicate_check": 1,
            "duplicate_check_interval": same_s,
        },
        repeatable=True,
    )
    invalid = f"{answer.get('invaliduser') or ''}|{answer.get('unlicenseduser') or ''}"
    return [userid for userid in invalid.split("|") if userid]
