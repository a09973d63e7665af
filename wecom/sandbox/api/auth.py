"""Tokens, addresses, JS tickets, log-in codes.

Source: developer.work.weixin.qq.com/document/path/91039, 91022, 90506.
"""

import secrets
from typing import Any

from wecom.sandbox import clock, ids, limits, store
from wecom.sandbox.call import Call, member, text
from wecom.sandbox.errors import WeComError
from wecom.sandbox.models import App, Corp, LoginCode, Ticket, Token, UserTicket

TICKET_LIFE_S = 7200
USER_TICKET_LIFE_S = 1800


def gettoken(call: Call) -> dict[str, Any]:
    """The same token until it expires or is revoked."""
    ip = call.request.META.get("REMOTE_ADDR", "")
    limits.refuse_banned(ip)
    corpid, secret = call.query.get("corpid", ""), call.query.get("corpsecret", "")
    if not secret:
        raise WeComError(41004)
    if not corpid:
        raise WeComError(41002)
    if not Corp.objects.filter(corpid=corpid).exists():
        raise WeComError(40013)
    given = secret.encode()
    app = next(
        (one for one in store.apps_of(corpid) if secrets.compare_digest(one.secret.encode(), given)), None
    )
    if app is None:
        limits.count_bad_secret(ip)
        if store.quirk("foreign_secret") == "40091" and App.objects.filter(secret=secret).exists():
            raise WeComError(40091)
        raise WeComError(40001)
    live = (
        Token.objects.filter(app=app.pk, revoked=False, expires_at__gt=call.now)
        .order_by("-expires_at")
        .first()
    )
    if live is None or store.quirk("gettoken_again") == "new":
        live = Token(token=ids.token(), app=app.pk, expires_at=call.now + store.setting("token_life_s"))
        live.save(force_insert=True)
    return {"access_token": live.token, "expires_in": max(1, int(live.expires_at - call.now))}


def get_ips(call: Call) -> dict[str, Any]:
    """Addresses of WeCom itself: those of this process."""
    return {"ip_list": ["127.0.0.1", "::1", "127.0.0.*"]}


def get_jsapi_ticket(call: Call) -> dict[str, Any]:
    """The corp's ticket (wx.config)."""
    return _ticket(call, "corp")


def ticket_get(call: Call) -> dict[str, Any]:
    """The app's own ticket (wx.agentConfig)."""
    if call.query.get("type") != "agent_config":
        raise WeComError(91040)
    return _ticket(call, "agent_config")


def _ticket(call: Call, kind: str) -> dict[str, Any]:
    live = Ticket.objects.filter(app=call.app.pk, kind=kind, expires_at__gt=call.now).first()
    if live is None:
        live = Ticket(app=call.app.pk, kind=kind, ticket=ids.code() * 2, expires_at=call.now + TICKET_LIFE_S)
        live.save()
    return {"ticket": live.ticket, "expires_in": max(1, int(live.expires_at - call.now))}


def _identity(call: Call) -> dict[str, str]:
    """Who came with the code: {"userid"} or {"openid", "external_userid"?}, and perhaps {"user_ticket"}."""
    given = call.query.get("code", "")
    row = LoginCode.objects.filter(code=given, corpid=call.corpid).first()
    if row is None or call.now >= row.expires_at or row.agentid not in (None, call.app.agentid):
        raise WeComError(40029)
    if row.used:
        raise WeComError(int(store.quirk("used_login_code")))
    LoginCode.objects.filter(pk=row.pk).update(used=True)
    if not row.userid:
        openid = ids.seeded("o", 28, call.corpid, row.external_userid or given)
        return {"openid": openid, **({"external_userid": row.external_userid} if row.external_userid else {})}
    found = {"userid": row.userid}
    if row.scope == "snsapi_privateinfo":
        ticket = ids.code()
        expires_at = clock.now() + USER_TICKET_LIFE_S
        UserTicket.objects.create(ticket=ticket, corpid=call.corpid, userid=row.userid, expires_at=expires_at)
        found["user_ticket"] = ticket
    return found


def auth_getuserinfo(call: Call) -> dict[str, Any]:
    """Identity for a code, in today's spelling."""
    return dict(_identity(call))


def user_getuserinfo(call: Call) -> dict[str, Any]:
    """The same, in the capitals of the old path."""
    spelling = {"userid": "UserId", "openid": "OpenId"}
    return {"DeviceId": "", **{spelling.get(key, key): value for key, value in _identity(call).items()}}


def auth_getuserdetail(call: Call) -> dict[str, Any]:
    """What the member agreed to show."""
    row = UserTicket.objects.filter(
        ticket=text(call.body, "user_ticket", missing=40063), corpid=call.corpid
    ).first()
    if row is None:
        raise WeComError(84015)
    if call.now >= row.expires_at:
        raise WeComError(84014)
    found = member(call, row.userid)
    return {
        "userid": found.userid,
        "gender": str(found.gender),
        "avatar": f"{call.base_url}/avatar/{found.userid}.svg",
        "qr_code": f"{call.base_url}/qr/member/{call.corpid}/{found.userid}",
        "mobile": found.mobile,
        "email": found.email,
        "biz_mail": "",
        "address": "",
    }
