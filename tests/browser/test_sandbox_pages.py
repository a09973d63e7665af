"""The WeCom sandbox in Chromium: a person plays customer and guide; the JS SDK stand-in works."""

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.wecom.sandbox_client import CORPID, Sandbox, sandbox, sandbox_server

__all__ = ["sandbox", "sandbox_server"]

pytestmark = pytest.mark.browser
HOME = f"/c/{CORPID}"


@pytest.fixture
def corp(sandbox: Sandbox) -> Sandbox:
    """A corp with two guides and a contact way."""
    sandbox.make_corp(name="澜语护肤")
    sandbox.load(members=[{"userid": "lisi", "name": "李四"}, {"userid": "wangwu", "name": "王五"}])
    way = {"type": 1, "scene": 2, "user": ["lisi"], "remark": "一店货架", "state": "shelf1"}
    sandbox.api("externalcontact/add_contact_way", way, access_token=sandbox.token())
    return sandbox


def test_scan_chat_and_confirm(corp: Sandbox, page: Page) -> None:
    page.goto(corp.url)
    page.get_by_text("一店货架").click()
    page.get_by_label("你的微信昵称").fill("沈小满")
    page.get_by_role("button", name="添加到通讯录").click()
    expect(page.get_by_text("现在可以聊天了")).to_be_visible()
    page.get_by_placeholder("说点什么").fill("在吗？")
    page.get_by_role("button", name="发送").click()
    expect(page.locator(".line.mine .bubble")).to_have_text("在吗？")

    # what comes later appears without a reload
    external_userid = corp.sent("say")[0]["external_userid"]
    corp.post("reply", corpid=CORPID, userid="lisi", external_userid=external_userid, text="您好，在的")
    expect(page.get_by_text("您好，在的")).to_be_visible()

    given = {"sender": "lisi", "text": {"content": "今晚上新"}}
    corp.api("externalcontact/add_msg_template", given, access_token=corp.token())
    page.goto(f"{corp.url}{HOME}/members")
    page.get_by_text("1 条群发待确认").click()
    page.get_by_role("button", name="确认发送").click()
    expect(page.get_by_text("送达 1")).to_be_visible()
    assert [row["text"] for row in corp.sent("mass")] == ["今晚上新"]

    page.goto(f"{corp.url}{HOME}/customer/{external_userid}")
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="删除导购").click()
    expect(page.get_by_text("你已把对方删除")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_fits_a_phone(corp: Sandbox, page: Page, scheme: Any) -> None:
    met = corp.post(
        "scan", corpid=CORPID, state="shelf1", name="一个名字特别特别长的微信用户昵称超过二十个字符"
    )
    chat = corp.post("group_create", corpid=CORPID, owner="lisi", name="群")["chat_id"]
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": 375, "height": 740})
    paths = [
        "",
        "/customers",
        f"/customer/{met['external_userid']}?with=lisi",
        "/members",
        "/member/lisi",
        "/groups",
    ]
    paths += [f"/member/lisi?with={met['external_userid']}", f"/group/{chat}", "/traffic", "/trouble"]
    for path in paths:
        page.goto(f"{corp.url}{HOME}{path or '/'}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 375, path


@pytest.fixture
def sidebar(corp: Sandbox) -> Iterator[str]:
    """A page of somebody else's that uses the JS SDK; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = '<!doctype html><title>x</title><link rel="icon" href="data:,">'
            body += f'<script src="{corp.url}/jssdk/jwxwork.js"></script>'
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/sidebar/?a=1"
    server.shutdown()
    server.server_close()


AGENT_CONFIG = """(given) => new Promise((done) => wx.agentConfig({...given,
    success: () => wx.invoke("getCurExternalContact", {}, (answer) => done(answer.userId)),
    fail: (problem) => done(problem.errMsg)}))"""


def test_js_sdk(corp: Sandbox, page: Page, sidebar: str) -> None:
    ticket = corp.api("ticket/get", access_token=corp.token(), type="agent_config")["ticket"]
    text = f"jsapi_ticket={ticket}&noncestr=n&timestamp=1700000000&url={sidebar}"
    given = {
        "corpid": CORPID,
        "agentid": 1000002,
        "timestamp": 1700000000,
        "nonceStr": "n",
        "signature": hashlib.sha1(text.encode()).hexdigest(),
        "jsApiList": ["getCurExternalContact"],
    }
    page.goto(f"{sidebar}#sandbox_external_userid=wm1")
    assert page.evaluate(AGENT_CONFIG, given) == "wm1"
    assert page.evaluate(AGENT_CONFIG, {**given, "signature": "0" * 40}) == "config:invalid signature"
