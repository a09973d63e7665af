"""Robots of internal groups (群机器人): an administrator adds one, its key lets anybody post.

Source: developer.work.weixin.qq.com/document/path/91770
"""

import base64
import binascii
import hashlib
from typing import Any

from . import clock, ids, store
from .models import Message, Robot

PER_MINUTE = 20
IMAGE_BYTES = 2 * 1024 * 1024


def add(corpid: str, given: dict[str, Any]) -> dict[str, str]:
    """A robot; its key and the end of its address."""
    store.corp(corpid)
    digits = ids.config_id()
    key = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
    with store.writing():
        Robot.objects.create(
            key=key, corpid=corpid, name=given.get("name") or "机器人", created_at=clock.now()
        )
    return {"key": key, "webhook": f"/cgi-bin/webhook/send?key={key}"}


def posted_lately(robot: Robot) -> int:
    """Messages of the last minute."""
    return Message.objects.filter(
        corpid=robot.corpid, kind="robot", external_userid=robot.key, at__gt=clock.now() - 60
    ).count()


def is_image(given: dict[str, Any]) -> bool:
    """Whether base64 and md5 of a picture belong together, and it is not too big."""
    try:
        content = base64.b64decode(str(given.get("base64") or ""), validate=True)
    except (binascii.Error, ValueError):
        return False
    digest = hashlib.md5(content).hexdigest()  # noqa: S324  WeCom's choice
    return 0 < len(content) <= IMAGE_BYTES and digest == str(given.get("md5") or "").lower()
