"""Stand-in for WeCom's JS SDK: one script under every name, the check of its signatures, and messages into the chat.

Source: developer.work.weixin.qq.com/document/path/90506, 94325, 94347
"""

import hashlib
import json
import re
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from . import clock, people
from .errors import Refused
from .models import App, Media, Ticket


def script(request: HttpRequest, name: str) -> HttpResponse:
    """/jssdk/<any name>.js: window.wx and window.ww."""
    source = (settings.HERE / "static" / "jssdk.js").read_text()
    base = f"{request.scheme}://{request.get_host()}"
    return HttpResponse(source.replace("__SANDBOX__", base), content_type="text/javascript")


def check(request: HttpRequest) -> HttpResponse:
    """/jssdk-check.js: calls back whether a signature is right; a script, so that the page may load it.

    Query: kind (corp or agent_config), corpid, agentid, timestamp, noncestr, signature, url, callback.
    """
    given = {key: request.GET.get(key, "") for key in ("timestamp", "noncestr", "signature", "url")}
    callback = request.GET.get("callback", "")
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", callback):
        return HttpResponse(status=404)
    apps = App.objects.filter(corpid=request.GET.get("corpid", ""))
    kind = request.GET.get("kind", "corp")
    if kind == "agent_config":
        agentid = request.GET.get("agentid", "")
        apps = apps.filter(agentid=int(agentid) if agentid.isdigit() else -1)
    tickets = Ticket.objects.filter(app__in=apps.values("id"), kind=kind, expires_at__gt=clock.now())
    answer = "config:invalid signature"
    for ticket in tickets:
        text = f"jsapi_ticket={ticket.ticket}&noncestr={given['noncestr']}"
        text += f"&timestamp={given['timestamp']}&url={given['url']}"
        if hashlib.sha1(text.encode()).hexdigest() == given["signature"]:  # noqa: S324  WeCom's algorithm
            answer = "ok"
    return HttpResponse(f"{callback}({json.dumps(answer)});", content_type="text/javascript")


def send(request: HttpRequest) -> HttpResponse:
    """/jssdk-send.js: sendChatMessage of a page in the sidebar; the message stands in the chat. A script, as above.

    Query: corpid, userid, external_userid, message (JSON as the page gave it), callback. Nobody has to confirm: the
    tester who pressed the page's button is the member.
    """
    callback = request.GET.get("callback", "")
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", callback):
        return HttpResponse(status=404)
    pair = [request.GET.get(key, "") for key in ("corpid", "userid", "external_userid")]
    try:
        text, attachments = _content(pair[0], json.loads(request.GET.get("message") or "null"))
        people.reply(*pair, text, attachments)
        answer = "ok"
    except (Refused, ValueError) as reason:
        answer = f"fail {reason}"
    return HttpResponse(f"{callback}({json.dumps(answer)});", content_type="text/javascript")


def _content(corpid: str, message: Any) -> tuple[str, list[dict[str, Any]]]:
    """(text, attachments) of a message of the JS SDK; its names differ from those of the API."""
    kind = message.get("msgtype") if isinstance(message, dict) else None
    fields = message.get(kind) if isinstance(kind, str) else None
    if not isinstance(fields, dict):
        raise ValueError("invalid msgtype")
    if kind == "text":
        if not fields.get("content"):
            raise ValueError("empty text")
        return str(fields["content"]), []
    if kind == "news":
        if not fields.get("link"):
            raise ValueError("news without link")
        link = {"title": fields.get("title", ""), "url": fields["link"]}
        return "", [
            {
                "msgtype": "link",
                "link": link | {"desc": fields.get("desc", ""), "picurl": fields.get("imgUrl", "")},
            }
        ]
    if kind == "miniprogram":
        card = {
            "appid": fields.get("appid", ""),
            "title": fields.get("title", ""),
            "page": fields.get("page", ""),
        }
        return "", [{"msgtype": kind, kind: card | {"pic_media_id": ""}}]
    if kind not in ("image", "video", "file"):
        raise ValueError("invalid msgtype")
    if not Media.objects.filter(corpid=corpid, media_id=fields.get("mediaid", "")).exists():
        raise ValueError("invalid mediaid")
    return "", [{"msgtype": kind, kind: {"media_id": fields["mediaid"]}}]
