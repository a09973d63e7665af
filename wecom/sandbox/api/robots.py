"""webhook/send: a robot posts into its group. No token; the key is the right.

Source: developer.work.weixin.qq.com/document/path/91770
"""

from typing import Any

from wecom.sandbox import robots
from wecom.sandbox.call import Call, text
from wecom.sandbox.content import bounded, link_url, part
from wecom.sandbox.errors import WeComError
from wecom.sandbox.models import Message, Robot

from . import media

KINDS = ("text", "markdown", "markdown_v2", "image", "news", "file", "voice", "template_card")


def _robot(call: Call) -> Robot:
    robot = Robot.objects.filter(key=call.query.get("key", "")).first()
    if robot is None:
        raise WeComError(93000)
    return robot


def _words(call: Call, robot: Robot, kind: str, own: dict[str, Any]) -> str:
    if kind == "text":
        return bounded(own, "content", 2048, missing=44004, over=45002)
    if kind.startswith("markdown"):
        return bounded(own, "content", 4096, missing=44004, over=45002)
    if kind == "image":
        if not robots.is_image(own):
            raise WeComError(301019)
        return ""
    if kind == "news":
        articles = own.get("articles")
        if not isinstance(articles, list) or not 1 <= len(articles) <= 8:
            raise WeComError(40058, "articles")
        for one in articles:
            if not isinstance(one, dict):
                raise WeComError(40058, "articles")
            link_url(one, "url", missing=40063)
        return "\n".join(bounded(one, "title", 128, missing=41016) for one in articles)
    if kind in ("file", "voice"):
        media.check(call.corpid, text(own, "media_id", missing=40007), kind, now=call.now, origin="robot")
        return ""
    return text(part(own, "main_title"), "title")


def send(call: Call) -> dict[str, Any]:
    """Post a message; 20 a minute."""
    robot = _robot(call)
    kind = text(call.body, "msgtype", missing=40008)
    if kind not in KINDS:
        raise WeComError(40008)
    own = part(call.body, kind)
    words = _words(call, robot, kind, own)
    if robots.posted_lately(robot) >= robots.PER_MINUTE:
        raise WeComError(45009)
    Message.objects.create(
        corpid=robot.corpid,
        kind="robot",
        userid="",
        external_userid=robot.key,
        text=words,
        attachments=[] if kind in ("text", "markdown") else [{"msgtype": kind, kind: own}],
        at=call.now,
    )
    return {}


def upload(call: Call) -> dict[str, Any]:
    """A file for this robot alone; three days."""
    _robot(call)
    kind = call.query.get("type", "")
    if kind not in ("file", "voice"):
        raise WeComError(40005)
    return media.temporary(call, kind, "robot")
