"""Tokens, the order of checks, log-in."""

import hashlib
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from wechatpy.exceptions import WeChatClientException

from tests.wecom.sandbox.conftest import Api, Client
from tests.wecom.sandbox_client import CORPID, SECRET, ControlError, Sandbox

BACK = "http://shop.example:8000/back?a=1"


def test_the_same_token_until_it_ends(corp: Sandbox) -> None:
    first = corp.api("gettoken", corpid=CORPID, corpsecret=SECRET)
    again = corp.api("gettoken", corpid=CORPID, corpsecret=SECRET)
    assert first["errcode"] == 0 and first["expires_in"] == 7200
    assert again["access_token"] == first["access_token"] and again["expires_in"] <= 7200
    corp.post("clock", advance_s=7201)
    assert corp.api("user/get", access_token=first["access_token"], userid="lisi")["errcode"] == 42001
    assert corp.token() != first["access_token"]


def test_revoked_tokens_are_unknown(corp: Sandbox) -> None:
    token = corp.token()
    assert corp.post("kill_tokens", corpid=CORPID) == {"killed": 1}
    assert corp.api("user/get", access_token=token, userid="lisi")["errcode"] == 40014
    assert corp.api("user/get", access_token=corp.token(), userid="lisi")["errcode"] == 0


@pytest.mark.parametrize(
    ("given", "errcode"),
    [
        ({}, 41004),
        ({"corpid": CORPID}, 41004),
        ({"corpsecret": SECRET}, 41002),
        ({"corpid": "ww0000000000000000", "corpsecret": SECRET}, 40013),
        ({"corpid": CORPID, "corpsecret": "wrong"}, 40001),
        ({"corpid": CORPID, "corpsecret": "错"}, 40001),
    ],
)
def test_gettoken_refusals(corp: Sandbox, given: dict[str, str], errcode: int) -> None:
    assert corp.api("gettoken", **given)["errcode"] == errcode


def test_order_of_checks(corp: Sandbox, api: Api) -> None:
    path = "externalcontact/list"
    answer = corp.api(path)
    assert answer["errcode"] == 41001 and answer["external_userid"] == []
    assert answer["errmsg"].startswith("access_token missing, hint: [")
    header = {"Authorization": f"Bearer {api.token}"}
    assert requests.get(f"{corp.url}/cgi-bin/{path}", headers=header).json()["errcode"] == 41001
    assert corp.api(path, access_token="nonsense")["errcode"] == 40014
    assert api.get(path)["errcode"] == 41009

    corp.post("corps", corpid=CORPID, callable=False)
    assert api.get(path)["errcode"] == 48002  # before the parameters
    corp.post("corps", corpid=CORPID, trusted_ips=["203.0.113.9"])
    assert api.get(path)["errcode"] == 60020  # before the permission
    corp.post("kill_tokens", corpid=CORPID)
    assert api.get(path)["errcode"] == 40014  # before the address


def test_unknown_paths_are_empty_404(corp: Sandbox, api: Api) -> None:
    for path in ("cgi-bin/no/such", "cgi-bin/externalcontact/get/", "nowhere"):
        response = requests.get(f"{corp.url}/{path}", params={"access_token": api.token})
        assert (response.status_code, response.content) == (404, b"")


def test_post_calls_refuse_get(api: Api) -> None:
    assert api.get("externalcontact/get_corp_tag_list")["errcode"] == 40063


def test_tickets(wechat: Client, corp: Sandbox) -> None:
    corp_ticket, app_ticket = wechat.jsapi.get_ticket()["ticket"], wechat.jsapi.get_agent_ticket()["ticket"]
    assert corp_ticket != app_ticket
    assert wechat.jsapi.get_ticket()["ticket"] == corp_ticket
    text = f"jsapi_ticket={corp_ticket}&noncestr=n&timestamp=1&url=http://a/"
    expected = hashlib.sha1(text.encode()).hexdigest()
    assert wechat.jsapi.get_jsapi_signature("n", corp_ticket, 1, "http://a/") == expected


def test_addresses(wechat: Client, api: Api) -> None:
    assert "127.0.0.1" in wechat.misc.get_wechat_ips()
    assert api.get("get_api_domain_ip")["ip_list"]


def log_in(corp: Sandbox, page: str, **query: str) -> dict[str, str]:
    """Open a log-in page as a browser does, pick lisi, and return the query of the address one is sent to."""
    browser = requests.Session()
    shown = browser.get(
        f"{corp.url}{page}", params={"appid": CORPID, "redirect_uri": BACK, "state": "s1", **query}
    )
    assert shown.status_code == 200 and "李四" in shown.text
    fields = {"appid": CORPID, "redirect_uri": BACK, "state": "s1", "userid": "lisi", **query}
    picked = browser.post(f"{corp.url}/login/pick", data=fields, allow_redirects=False)
    assert picked.status_code == 302
    where = urlsplit(picked.headers["Location"])
    assert where.netloc == "shop.example:8000"
    return {key: value[0] for key, value in parse_qs(where.query).items()}


@pytest.mark.parametrize("page", ["/connect/oauth2/authorize", "/wwlogin/sso/login", "/wwopen/sso/qrConnect"])
def test_log_in_pages(corp: Sandbox, api: Api, page: str) -> None:
    back = log_in(corp, page, agentid="1000002")
    assert back["state"] == "s1" and back["a"] == "1"
    who = api.get("auth/getuserinfo", code=back["code"])
    assert who["userid"] == "lisi" and "user_ticket" not in who
    assert api.get("auth/getuserinfo", code=back["code"])["errcode"] == 42022


def test_log_in_with_consent(corp: Sandbox, api: Api) -> None:
    back = log_in(corp, "/connect/oauth2/authorize", agentid="1000002", scope="snsapi_privateinfo")
    who = api.get("auth/getuserinfo", code=back["code"])
    detail = api.post("auth/getuserdetail", user_ticket=who["user_ticket"])
    assert (detail["userid"], detail["mobile"]) == ("lisi", "13800000001")
    corp.post("clock", advance_s=1801)
    assert api.post("auth/getuserdetail", user_ticket=who["user_ticket"])["errcode"] == 84014
    assert api.post("auth/getuserdetail", user_ticket="other")["errcode"] == 84015


def test_old_getuserinfo_is_capitalised(wechat: Client, corp: Sandbox) -> None:
    code = corp.post("login", corpid=CORPID, userid="LISI", redirect_uri=BACK)["code"]
    assert wechat.user.get_info(None, code)["UserId"] == "lisi"
    with pytest.raises(WeChatClientException) as refused:
        wechat.user.get_info(None, "wrong")
    assert refused.value.errcode == 40029


def test_codes_end_after_five_minutes(corp: Sandbox, api: Api) -> None:
    code = corp.post("login", corpid=CORPID, userid="lisi", redirect_uri=BACK)["code"]
    corp.post("clock", advance_s=301)
    assert api.get("auth/getuserinfo", code=code)["errcode"] == 40029


def test_untrusted_redirect(corp: Sandbox) -> None:
    corp.post("corps", corpid=CORPID, trusted_domains=["shop.example:8000"])
    corp.post("login", corpid=CORPID, userid="lisi", redirect_uri=BACK)
    with pytest.raises(ControlError, match="50001"):
        corp.post("login", corpid=CORPID, userid="lisi", redirect_uri="http://shop.example/back")
    page = requests.get(
        f"{corp.url}/connect/oauth2/authorize",
        params={"appid": CORPID, "redirect_uri": "http://evil.example/"},
    )
    assert "50001" in page.text and "李四" not in page.text
