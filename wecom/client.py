"""The one way to WeCom: every call goes through `WeComClient.call`.

    client = client_for(corp)  # cheap; one per task or request, never shared by threads
    customer = contacts.customer(client, external_userid)  # the calls: plain functions in wecom/api/

`call` holds a place under the limits that all processes share, adds the shared access token, renews it once,
repeats what may be repeated, and turns every failure into an exception of wecom/errors.py. It stands on
wechatpy's client and replaces the one method under all of wechatpy's helpers, so these keep the same rules:
wechatpy itself asks for tokens at a fixed address and without a time-out, repeats an expired token without
end, and hands back what is not JSON.

Source: developer.work.weixin.qq.com/document/path/90664 and the pages named in wecom/api/.
"""

import json
import logging
import random
import time
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import quote, urlencode

import redis
from django.conf import settings
from wechatpy.enterprise import WeChatClient

from scrm.redis import redis_client
from wecom import limits, tokens
from wecom.call_log import Try
from wecom.errors import WeComError, WeComRateLimited, WeComUnavailable, refusal
from wecom.exchange import NotSent, exchange

log = logging.getLogger(__name__)

TRIES = 3
DEADLINE_S = 20.0
KNOWN_S = 2.0  # a client that calls again and again does not look its token up each time
_TOKEN_CODES = (40014, 42001)


class CorpLike(Protocol):
    """What the client needs of org.models.Corp; the secret is plain here."""

    id: Any
    brand_id: Any
    corpid: Any
    agent_id: Any
    secret: Any


def client_for(corp: CorpLike, *, deadline_s: float = DEADLINE_S) -> "WeComClient":
    """A client of this corp's app.

    Args:
        deadline_s: each call gives up after this, waiting for its turn and repeats included.
    """
    return WeComClient(
        corp.corpid,
        corp.secret,
        corp.agent_id,
        brand_id=corp.brand_id,
        corp_pk=corp.id,
        api_url=settings.WECOM_API_URL,
        redis_conn=redis_client(),
        deadline_s=deadline_s,
        egress=settings.WECOM_EGRESS,
    )


class WeComClient(WeChatClient):
    """One corp's self-built app at WeCom.

    Attributes:
        waited_s: seconds that this client has spent waiting because WeCom allows no more calls a minute or an hour; waiting
            for one of the few places at once is not counted, threads queue for these on purpose.
        corp_pk: our own id of the corp; its calls are logged only if there is one.
        deadline_s: see `client_for`.
    """

    # wechatpy's helpers that ask or name a fixed host past `_request`, the token in the address, or keep
    # tickets of two apps under one key; wecom/api/media.py and auth.py stand in their place
    media = material = oauth = jsapi = None

    def __init__(
        self,
        corpid: str,
        secret: str,
        agent_id: int,
        *,
        brand_id: int,
        corp_pk: int | None = None,
        api_url: str,
        redis_conn: redis.Redis,
        deadline_s: float = DEADLINE_S,
        allowed: limits.Limits = limits.DOCUMENTED,
        egress: str = "1",
    ) -> None:
        self.API_BASE_URL = api_url.rstrip("/") + "/cgi-bin/"
        self.agent_id = int(agent_id)
        self.brand_id, self.corp_pk, self.egress = brand_id, corp_pk, egress
        self.corp_key = f"wecom:{brand_id}:{corpid}"
        self.redis, self.deadline_s, self.allowed = redis_conn, deadline_s, allowed
        self.waited_s = 0.0
        self._known = ("", 0.0)  # the token, and until when it is not looked up again
        super().__init__(corpid, secret, timeout=(3, 10), auto_retry=False)

    def __repr__(self) -> str:
        return f"<WeComClient {self.corp_key} agent {self.agent_id}>"

    # ---- the call

    def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        files: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        file: bool = False,
        repeatable: bool = False,
        deadline_s: float | None = None,
    ) -> dict[str, Any]:
        """Call an API and return its answer (errcode 0; it may still name members or files that failed).

        Args:
            path: e.g. `externalcontact/get`, below `/cgi-bin/`; also the name under which calls are counted.
            body: sent as UTF-8 JSON.
            files: multipart; contents as bytes.
            file: the answer may be a file; see `wecom.exchange.exchange`.
            repeatable: a second call does no harm. Only then is a missing answer or 'busy' tried again (3
                tries).

        Raises:
            WeComRateLimited, LostAnswer (only if not repeatable), WeComUnavailable, WeComForbidden,
            WeComRejected.
        """
        end = time.monotonic() + (deadline_s or self.deadline_s)
        data = json.dumps(body, ensure_ascii=False).encode() if body is not None else None
        renewed, tries = False, 0
        while True:
            tries += 1
            token = ""
            try:
                token = self._token(end)
                answer = self._try(
                    Try(self.brand_id, self.corp_pk, path, tries),
                    end,
                    method=method,
                    params={**(params or {}), "access_token": token},
                    data=data,
                    files=files,
                    headers=headers,
                    file=file,
                    repeatable=repeatable,
                )
                if not answer["errcode"]:
                    return answer
                raise refusal(path, answer["errcode"], str(answer.get("errmsg", "")))
            except WeComUnavailable as error:
                if error.errcode in _TOKEN_CODES and not renewed:
                    self._known = ("", 0.0)
                    tokens.delete_if(self.redis, self.access_token_key, token)
                    renewed, tries = True, tries - 1
                    continue
                pause = self._pause_before_repeat(error, path, tries, repeatable)
                if pause is None or tries >= TRIES or time.monotonic() + pause + 1 > end:
                    raise
                log.info("%r of corp %s, tried %s times, once more", error, self.corp_id, tries)
            time.sleep(pause)

    def _try(self, this: Try, end: float, **request: Any) -> dict[str, Any]:
        """One try: wait for a place, exchange, log."""
        long = request["files"] or request["file"]
        try:
            with (
                limits.slot(
                    self.redis,
                    self.corp_key,
                    this.api,
                    wait_s=max(0.0, end - time.monotonic() - 1),
                    limits=self.allowed,
                    lease_s=limits.UPLOAD_LEASE_S if long else limits.LEASE_S,
                    egress=self.egress,
                    on_release=this.push,
                ) as waited,
                this.running(waited.s),
            ):
                self.waited_s += waited.window_s
                url, end = self.API_BASE_URL + this.api, max(end, time.monotonic() + 1)
                return this.answered(exchange(url=url, api=this.api, end=end, **request))
        except WeComRateLimited:
            this.refused()
            this.write(self.redis)  # no place was held
            raise

    def _pause_before_repeat(
        self, error: WeComError, path: str, tries: int, repeatable: bool
    ) -> float | None:
        """Seconds until the next try, or None to give up. Tells the other processes when WeCom shuts an
        API."""
        if error.errcode == 45009:
            limits.block(self.redis, self.corp_key, path, limits.MINUTE_BLOCK_S)
            return None
        if error.errcode == 45033:  # refused, so not done: the pause lies in the block, for all processes
            limits.block(self.redis, self.corp_key, path, random.uniform(0.2, 0.5))
            return 0.0
        if error.errcode in (45035, 41096):  # not done either: somebody else is at this customer
            return random.uniform(0.1, 0.3) * tries
        if error.errcode == 41063 or error.errcode in _TOKEN_CODES or isinstance(error, WeComRateLimited):
            return None  # takes longer than a call should wait
        if repeatable or isinstance(error, NotSent):
            return random.uniform(0.1, 0.2) * 3 ** (tries - 1)
        return None

    # ---- tokens

    @property
    def access_token_key(self) -> str:
        """Redis key; another secret is another key, so a corrected secret works at once."""
        return f"{self.corp_key}:token:{self.agent_id}:{tokens.fingerprint(self.secret)}"

    @property
    def access_token(self) -> str:
        """The shared token; fetched if nobody has one."""
        return tokens.shared(self.redis, self.access_token_key, self._gettoken)

    def fetch_access_token(self) -> None:
        """Ask WeCom for a token now, whatever is remembered (the set-up doctor, after a secret was
        entered)."""
        self._known = ("", 0.0)
        tokens.shared(self.redis, self.access_token_key, self._gettoken, fresh=True)

    def _token(self, end: float) -> str:
        token, until = self._known
        if time.monotonic() < until:
            return token
        wait_s = max(0.1, min(tokens.WAIT_S, end - time.monotonic()))
        try:
            token = tokens.shared(self.redis, self.access_token_key, self._gettoken, wait_s=wait_s)
            self._known = (token, time.monotonic() + KNOWN_S)
            return token
        except WeComRateLimited:
            raise
        except WeComUnavailable as error:  # the call itself was not sent
            raise NotSent(api=error.api, errcode=error.errcode, errmsg=error.errmsg) from None

    def _gettoken(self) -> tuple[str, int]:
        this = Try(self.brand_id, self.corp_pk, "gettoken", 1)
        try:
            with this.running():
                answer = this.answered(
                    exchange(
                        "GET",
                        self.API_BASE_URL + "gettoken",
                        api="gettoken",
                        params={"corpid": self.corp_id, "corpsecret": self.secret},
                        end=time.monotonic() + 13,
                        repeatable=True,
                    )
                )
        finally:
            this.write(self.redis)
        if answer["errcode"]:
            raise refusal("gettoken", answer["errcode"], str(answer.get("errmsg", "")))
        token, expires_in = answer.get("access_token"), answer.get("expires_in", 7200)
        if not isinstance(token, str) or not token or not isinstance(expires_in, int):
            raise WeComUnavailable(api="gettoken", errmsg="an answer without a token")
        return token, expires_in

    # ---- wechatpy's helpers (client.user.get(…), client.get(…)) come through here

    def _request(self, method: str, url_or_endpoint: str, **kwargs: Any) -> Any:
        """wechatpy's way in. GET may be repeated, POST may not; another host than ours is refused."""
        path = url_or_endpoint.removeprefix(self.API_BASE_URL)
        if "://" in path:
            raise ValueError("only calls to WECOM_API_URL are allowed")
        names = ("params", "data", "json", "files", "result_processor")
        params, data, json_body, files, result_of = (kwargs.pop(name, None) for name in names)
        if kwargs:
            raise TypeError(f"not supported: {sorted(kwargs)}")
        answer = self.call(
            method.upper(),
            path,
            params={name: value for name, value in (params or {}).items() if name != "access_token"},
            body=data if json_body is None else json_body,
            files=files,
            repeatable=method.lower() == "get",
        )
        return result_of(answer) if result_of else answer


# ---- where a browser goes


def oauth_url(corp: CorpLike, redirect_uri: str, state: str, *, private: bool = False) -> str:
    """The page that tells who a member is inside the WeCom client, silently.

    Args:
        redirect_uri: its host must be the app's trusted domain; gets `code` (5 minutes, once) and `state`.
        state: letters and digits, ≤ 128; random and bound to the session.
        private: ask the member to show phone and e-mail (wecom.api.auth.user_detail).

    Source: developer.work.weixin.qq.com/document/path/91022
    """
    query = {
        "appid": corp.corpid,
        "redirect_uri": redirect_uri,
        "response_type": "code",
        "scope": "snsapi_privateinfo" if private else "snsapi_base",
        "state": _checked(state),
        "agentid": corp.agent_id,
    }
    address = f"{settings.WECOM_OAUTH_URL}/connect/oauth2/authorize"
    return f"{address}?{urlencode(query, quote_via=quote)}#wechat_redirect"


def login_url(corp: CorpLike, redirect_uri: str, state: str, *, lang: str = "zh") -> str:
    """WeCom's log-in page for a browser outside the client (QR code); the same code comes back.

    Args:
        lang: zh or en.

    Source: developer.work.weixin.qq.com/document/path/98152
    """
    query = {
        "login_type": "CorpApp",
        "appid": corp.corpid,
        "agentid": corp.agent_id,
        "redirect_uri": redirect_uri,
        "state": _checked(state),
        "lang": lang,
    }
    return f"{settings.WECOM_LOGIN_URL}/wwlogin/sso/login?{urlencode(query, quote_via=quote)}"


def _checked(state: str) -> str:
    if not (state.isascii() and state.isalnum() and len(state) <= 128):
        raise ValueError("state: letters and digits, at most 128")
    return state
