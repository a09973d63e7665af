"""Stand-in for WeCom's JS SDK: one script under every name, and the check of its signatures.

Source: developer.work.weixin.qq.com/document/path/90506, 94325
"""

import hashlib
import json
import re

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from . import clock
from .models import App, Ticket


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
