"""What an app can send to members beside `messages.send_text` and `send_text_card`, and what can be done about
it afterwards. Pages 90236, 94867, 94888.

WeCom drops the same content to the same people within the half hour (`same_s`: within so many seconds), so a repeat
does no harm. It also drops, and does not say so, what goes beyond 30 messages a minute or 1000 an hour to one member.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

from django.utils.translation import gettext as _

from wecom.api.checks import at_most, at_most_bytes, at_most_chars, link, needed
from wecom.api.messages import SAME_S
from wecom.client import WeComClient
from wecom.errors import InvalidMessage

MediaKind = Literal["image", "voice", "file"]
CARD_TYPES = (
    "text_notice",
    "news_notice",
    "button_interaction",
    "vote_interaction",
    "multiple_interaction",
)
_NOTICES = CARD_TYPES[:2]
_TASK_ID = re.compile(r"[A-Za-z0-9_\-@]{1,128}")
# the longest that each list of a card may be
_CARD_LISTS = {
    "horizontal_content_list": 6,
    "jump_list": 3,
    "vertical_content_list": 4,
    "button_list": 6,
    "select_list": 3,
}


@dataclass(frozen=True)
class To:
    """Receivers: members, departments and member tags together, or everybody in the visible range."""

    userids: Sequence[str] = ()
    department_ids: Sequence[int] = ()
    tag_ids: Sequence[int] = ()
    everybody: bool = False


class Article(TypedDict, total=False):
    """`url`, or `appid` and `pagepath` of a mini-program."""

    title: str  # ≤ 128 bytes
    description: str  # ≤ 512 bytes
    url: str
    picurl: str
    appid: str
    pagepath: str


class Sent(TypedDict):
    msgid: str
    invalid_userids: list[str]  # lower case; without a licence, out of range or unknown
    invalid_department_ids: list[str]
    invalid_tag_ids: list[str]
    response_code: str  # of an interactive card: 72 hours, once


def send_media(
    client: WeComClient,
    to: To,
    kind: MediaKind,
    media_id: str,
    *,
    safe: bool = False,
    same_s: int = SAME_S,
) -> Sent:
    """A picture, recording or file from `media.upload`."""
    needed(_("File"), media_id)
    return _send(client, to, kind, {"media_id": media_id}, safe=safe, same_s=same_s)


def send_video(
    client: WeComClient,
    to: To,
    media_id: str,
    *,
    title: str = "",
    description: str = "",
    safe: bool = False,
    same_s: int = SAME_S,
) -> Sent:
    """A video; title ≤ 128 bytes, description ≤ 512."""
    needed(_("File"), media_id)
    at_most_bytes(_("Title"), title, 128)
    at_most_bytes(_("Description"), description, 512)
    content = {"media_id": media_id, "title": title, "description": description}
    return _send(client, to, "video", content, safe=safe, same_s=same_s)


def send_news(client: WeComClient, to: To, articles: Sequence[Article], *, same_s: int = SAME_S) -> Sent:
    """1 to 8 links with pictures."""
    needed(_("Articles"), articles)
    at_most(_("Articles"), articles, 8)
    for article in articles:
        needed(_("Title"), article.get("title"))
        at_most_bytes(_("Title"), article["title"], 128)
        at_most_bytes(_("Description"), article.get("description") or "", 512)
        if article.get("url"):
            link(_("Link"), article["url"])
        else:
            needed(_("Link"), article.get("appid") and article.get("pagepath"))
    return _send(client, to, "news", {"articles": [dict(article) for article in articles]}, same_s=same_s)


def send_markdown(client: WeComClient, to: To, text: str) -> Sent:
    """Markdown, ≤ 2048 bytes; a part of its marks, and only in WeCom itself, not in WeChat."""
    needed(_("Text"), text.strip())
    at_most_bytes(_("Text"), text, 2048)
    return _send(client, to, "markdown", {"content": text})


def send_miniprogram_notice(
    client: WeComClient,
    to: To,
    *,
    appid: str,
    title: str,
    page: str = "",
    description: str = "",
    items: Sequence[tuple[str, str]] = (),
    emphasis_first: bool = False,
) -> Sent:
    """A notice of the linked mini-program.

    Args:
        title: 4 to 12 characters; so is `description`, if there is one.
        items: ≤ 10 pairs; names ≤ 10 characters, values ≤ 30.
    """
    needed(_("Title"), title)
    for name, words in ((_("Title"), title), (_("Description"), description)):
        if words and not 4 <= len(words) <= 12:
            raise InvalidMessage(_("%(name)s: 4 to 12 characters") % {"name": name})
    at_most(_("Lines"), items, 10)
    for key, value in items:
        at_most_chars(_("Name of a line"), key, 10)
        at_most_chars(_("Text of a line"), value, 30)
    content = {
        "appid": appid,
        "page": page,
        "title": title,
        "description": description,
        "emphasis_first_item": emphasis_first,
        "content_item": [{"key": key, "value": value} for key, value in items],
    }
    return _send(client, to, "miniprogram_notice", content)


def send_template_card(client: WeComClient, to: To, card: Mapping[str, Any]) -> Sent:
    """A card with WeCom's own layout; interactive ones need a callback address and give a `response_code`.

    Args:
        card: {"card_type": …, …} with WeCom's names; see `check_card`.
    """
    check_card(card)
    return _send(client, to, "template_card", dict(card))


def check_card(card: Mapping[str, Any]) -> None:
    """What can be told about a card before it is sent.

    Raises:
        InvalidMessage: unknown type; a notice without words or without `card_action`; a card that people act
            on without a `task_id` (letters, digits, _-@, ≤ 128); a list that is too long.
    """
    kind = card.get("card_type")
    if kind not in CARD_TYPES:
        raise InvalidMessage(_("There is no such kind of card"))
    main_title = card.get("main_title") or {}
    if kind == "text_notice":
        needed(_("Title"), main_title.get("title") or card.get("sub_title_text"))
    if kind in _NOTICES:
        needed(_("Link of the card"), (card.get("card_action") or {}).get("type"))
    has_acts = kind not in _NOTICES or card.get("action_menu")
    if has_acts and not _TASK_ID.fullmatch(str(card.get("task_id") or "")):
        raise InvalidMessage(_("A card that people act on needs a task_id"))
    for name, most in _CARD_LISTS.items():
        at_most(name, card.get(name) or (), most)
    if kind == "button_interaction":
        needed(_("Buttons"), card.get("button_list"))
    if kind == "vote_interaction":
        options = (card.get("checkbox") or {}).get("option_list") or ()
        needed(_("Choices"), options)
        at_most(_("Choices"), options, 20)
    if kind == "multiple_interaction":
        needed(_("Choices"), card.get("select_list"))


def recall(client: WeComClient, msgid: str) -> None:
    """Take a message back, within 24 hours; WeChat keeps it. WeComRejected 40058: too late, or not ours."""
    client.call("POST", "message/recall", body={"msgid": msgid}, repeatable=True)


def update_card(
    client: WeComClient,
    response_code: str,
    *,
    userids: Sequence[str] = (),
    everybody: bool = False,
    button: str = "",
    card: Mapping[str, Any] | None = None,
) -> list[str]:
    """Change an interactive card for some people or all; the code works once, so this is never repeated.

    Args:
        button: words that replace the button, which can no longer be pressed; or
        card: a whole new card.

    Returns:
        userids that were not reached.

    Raises:
        LostAnswer: perhaps done; it cannot be looked up.
    """
    needed(_("Members"), userids or everybody)
    needed(_("Button or card"), button or card)
    body: dict[str, Any] = {"agentid": client.agent_id, "response_code": response_code}
    body |= {"atall": 1} if everybody else {"userids": list(userids)}
    if button:
        body["button"] = {"replace_name": button}
    else:
        check_card(card or {})
        body["template_card"] = dict(card or {})
    answer = client.call("POST", "message/update_template_card", body=body)
    return _listed(answer.get("invaliduser"))


def _send(
    client: WeComClient,
    to: To,
    kind: str,
    content: dict[str, Any],
    *,
    safe: bool = False,
    same_s: int = SAME_S,
) -> Sent:
    needed(_("Members"), to.everybody or to.userids or to.department_ids or to.tag_ids)
    at_most(_("Members"), to.userids, 1000)
    at_most(_("Departments"), to.department_ids, 100)
    at_most(_("Tags"), to.tag_ids, 100)
    names = {"touser": to.userids, "toparty": to.department_ids, "totag": to.tag_ids}
    receivers = {name: "|".join(map(str, ids)) for name, ids in names.items() if ids}
    body: dict[str, Any] = {
        **({"touser": "@all"} if to.everybody else receivers),
        "msgtype": kind,
        "agentid": client.agent_id,
        kind: content,
        "enable_duplicate_check": 1,
        "duplicate_check_interval": same_s,
    }
    if safe:
        body["safe"] = 1
    answer = client.call("POST", "message/send", body=body, repeatable=True)
    return {
        "msgid": str(answer.get("msgid") or ""),
        "invalid_userids": _listed(answer.get("invaliduser")) + _listed(answer.get("unlicenseduser")),
        "invalid_department_ids": _listed(answer.get("invalidparty")),
        "invalid_tag_ids": _listed(answer.get("invalidtag")),
        "response_code": str(answer.get("response_code") or ""),
    }


def _listed(value: Any) -> list[str]:
    """`a|b` of a message, a list of a card."""
    if isinstance(value, list):
        return [str(item) for item in value]
    return [item for item in str(value or "").split("|") if item]
