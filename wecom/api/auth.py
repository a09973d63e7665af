"""Who a browser belongs to, tickets for the JS SDK, and where callbacks come from. Pages 91023, 95833,
90506, 92521, 92520."""

import hashlib
import secrets
from typing import NamedTuple, TypedDict, cast

from scrm import clock
from wecom import tokens
from wecom.api.checks import answered
from wecom.client import WeComClient


class Visitor(NamedTuple):
    """A member has a userid; anybody else an openid, and an external_userid if they are a customer in
    range."""

    userid: str
    external_userid: str
    openid: str
    user_ticket: str


class Detail(TypedDict, total=False):
    """What a member has agreed to show; the rest is missing."""

    userid: str
    gender: str
    avatar: str
    qr_code: str
    mobile: str
    email: str
    biz_mail: str
    address: str


class Signature(TypedDict):
    """For `wx.config` and `wx.agentConfig`; the page calls it nonceStr, the signed text noncestr."""

    timestamp: int
    nonceStr: str
    signature: str


class Signatures(TypedDict):
    config: Signature
    agent: Signature


def user_info(client: WeComClient, code: str) -> Visitor:
    """Who came back from `oauth_url` or `login_url`. The code works once, within five minutes.

    That somebody is a member gives no right: look the userid up (without regard to case) among the active
    staff.

    Raises:
        WeComRejected: 40029 or 42022, the code is not valid (any more): sign in again.
        LostAnswer: the code is gone: sign in again.
    """
    answer = client.call("GET", "auth/getuserinfo", params={"code": code})
    return Visitor(  # the older user/getuserinfo writes its fields with a capital
        userid=str(answer.get("userid") or answer.get("UserId") or ""),
        external_userid=str(answer.get("external_userid") or ""),
        openid=str(answer.get("openid") or answer.get("OpenId") or ""),
        user_ticket=str(answer.get("user_ticket") or ""),
    )


def user_detail(client: WeComClient, user_ticket: str) -> Detail:
    """Phone, e-mail and picture of a member who came by `oauth_url(…, private=True)` and agreed.

    Raises:
        WeComRejected: 84014 the ticket is older than 30 minutes, 84015 it is not one.
    """
    body = {"user_ticket": user_ticket}
    return cast(Detail, client.call("POST", "auth/getuserdetail", body=body, repeatable=True))


def corp_ticket(client: WeComClient) -> str:
    """Ticket for `wx.config`, shared by all processes (WeCom gives 400 an hour per corp)."""
    return _ticket(client, f"{client.corp_key}:ticket", "get_jsapi_ticket", {})


def agent_ticket(client: WeComClient) -> str:
    """Ticket for `wx.agentConfig`; belongs to this very app (100 an hour)."""
    return _ticket(
        client, f"{client.corp_key}:ticket:{client.agent_id}", "ticket/get", {"type": "agent_config"}
    )


def _ticket(client: WeComClient, key: str, api: str, params: dict[str, str]) -> str:
    def fetch() -> tuple[str, int]:
        answer = client.call("GET", api, params=params, repeatable=True, deadline_s=15)
        return answered(answer, api, "ticket"), int(answer.get("expires_in") or 7200)

    return tokens.shared(client.redis, key, fetch)


def jsapi_signature(ticket: str, url: str, *, nonce: str, timestamp: int) -> Signature:
    """Sign a page's address, exactly as the browser shows it; what follows # does not count."""
    text = f"jsapi_ticket={ticket}&noncestr={nonce}&timestamp={timestamp}&url={url.split('#', 1)[0]}"
    return {"timestamp": timestamp, "nonceStr": nonce, "signature": _sha1(text)}


def _sha1(text: str) -> str:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()  # WeCom's choice


def jsapi_signatures(client: WeComClient, url: str) -> Signatures:
    """Both signatures of a page. The caller checks first that the address is one of ours; tickets stay
    here."""
    nonce, timestamp = secrets.token_hex(8), int(clock.now().timestamp())
    return {
        "config": jsapi_signature(corp_ticket(client), url, nonce=nonce, timestamp=timestamp),
        "agent": jsapi_signature(agent_ticket(client), url, nonce=nonce, timestamp=timestamp),
    }


def callback_ips(client: WeComClient) -> list[str]:
    """Addresses that WeCom posts callbacks from; an entry may end in `.*`. They change: read them daily."""
    return list(client.call("GET", "getcallbackip", repeatable=True).get("ip_list") or [])


def api_ips(client: WeComClient) -> list[str]:
    """Addresses of WeCom's API, for a firewall that lets out only what it knows."""
    return list(client.call("GET", "get_api_domain_ip", repeatable=True).get("ip_list") or [])
