"""The pages for people: every page answers in both languages, every form does what the control API does."""

import html
import re

import pytest
import requests

from tests.wecom.sandbox.conftest import Api
from tests.wecom.sandbox_client import CORPID, Sandbox

HOME = f"/c/{CORPID}"


class Browser:
    """A person with a browser without scripts."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.url = sandbox.url
        self.http = requests.Session()

    def see(self, path: str) -> str:
        answer = self.http.get(self.url + path)
        assert answer.status_code == 200, (path, answer.status_code)
        return html.unescape(answer.text)

    def do(self, act: str, **fields: str) -> str:
        """Send a form; the page one lands on."""
        answer = self.http.post(f"{self.url}{HOME}/do/{act}", data=fields)
        assert answer.status_code == 200 and answer.request.method == "GET"
        return html.unescape(answer.text)


@pytest.fixture
def browser(corp: Sandbox) -> Browser:
    return Browser(corp)


@pytest.fixture
def met(corp: Sandbox, api: Api) -> str:
    """A customer of lisi's, greeted, with a mass send that waits."""
    api.post(
        "externalcontact/add_contact_way", type=1, scene=2, user=["lisi"], remark="一店货架", state="shelf1"
    )
    who = corp.post("scan", corpid=CORPID, state="shelf1", name="沈小满")
    words = {"content": "欢迎光临 <b>"}
    link = [{"msgtype": "link", "link": {"title": "新客礼", "url": "https://a.example/"}}]
    api.post(
        "externalcontact/send_welcome_msg", welcome_code=who["welcome_code"], text=words, attachments=link
    )
    api.post("externalcontact/add_msg_template", sender="lisi", text={"content": "上新了"})
    return who["external_userid"]


def test_every_page_in_both_languages(corp: Sandbox, browser: Browser, met: str) -> None:
    config_id = re.search(r"/q/(\w+)", browser.see(f"{HOME}/"))[1]
    pages = {
        "/": ("一店货架", "Scan a code"),
        f"{HOME}/": ("员工自己的名片码", "own codes"),
        f"/q/{config_id}": ("添加到通讯录", "Add as a contact"),
        f"/q/{CORPID}/lisi": ("李四", "Your WeChat name"),
        f"{HOME}/customers": ("沈小满", "Be a customer"),
        f"{HOME}/customer/{met}": ("欢迎语", "guide's side"),
        f"{HOME}/customer/{met}?with=lisi&part=1": ("新客礼", "welcome"),
        f"{HOME}/members": ("1 条群发待确认", "1 to confirm"),
        f"{HOME}/member/lisi": ("确认发送", "Send now"),
        f"{HOME}/member/lisi?with={met}": ("黄金", "Save (makes a callback)"),
        f"{HOME}/traffic": ("add_external_contact", "API calls"),
        f"{HOME}/trouble": ("弄坏它", "Break it"),
    }
    for path, (chinese, _) in pages.items():
        assert chinese in browser.see(path), path
    browser.see("/lang?to=en&next=/")
    for path, (_, english) in pages.items():
        shown = browser.see(path)
        assert english in shown, path
    assert "&lt;b&gt;" in browser.http.get(f"{browser.url}{HOME}/customer/{met}").text


def test_a_person_plays_it_through(corp: Sandbox, browser: Browser, met: str) -> None:
    who = {"userid": "lisi", "external_userid": met}
    chat = browser.do("say", **who, text="在吗", next=f"{HOME}/customer/{met}?with=lisi")
    assert "在吗" in chat
    assert "好的" in browser.do("reply", **who, text="好的", next=f"{HOME}/member/lisi?with={met}")
    msgid = corp.get("mass", corpid=CORPID)[0]["msgid"]
    assert "送达 1" in browser.do("confirm", userid="lisi", msgid=msgid, next=f"{HOME}/member/lisi")
    assert "上新了" in browser.see(f"{HOME}/customer/{met}")
    tag = re.search(r'name="tag" value="(et[^"]+)"', browser.see(f"{HOME}/member/lisi?with={met}"))[1]
    browser.do("member_edits", **who, remark="VIP", tag=tag, shown=tag, next=f"{HOME}/member/lisi")
    follow = corp.get("customer", corpid=CORPID, external_userid=met)["follows"][0]
    assert follow["remark"] == "VIP" and [one["id"] for one in follow["tags"]] == [tag]
    assert "你已把对方删除" in browser.do("customer_deletes", **who, next=f"{HOME}/customer/{met}")
    kinds = [row["change_type"] for row in corp.deliveries()]
    assert kinds == ["add_external_contact", "edit_external_contact", "del_follow_user"]


def test_scanning_by_hand(corp: Sandbox, browser: Browser, met: str) -> None:
    shown = browser.do("scan", userid="ZhangSan", name="阿May")
    assert "阿May" in shown and "张三" in shown
    again = browser.do("scan", userid="lisi", external_userid=met)
    assert "再扫一次不会有新的事件" in again
    asked = browser.do("scan", userid="wangwu", name="小半", half="1")
    assert "待对方确认" in asked
    who = next(row for row in corp.deliveries() if row["change_type"] == "add_half_external_contact")
    external_userid = re.search(r"<ExternalUserID><!\[CDATA\[(.+?)\]\]>", who["xml"])[1]
    browser.do("accept", userid="wangwu", external_userid=external_userid, next=f"{HOME}/member/wangwu")
    assert corp.deliveries()[-1]["change_type"] == "add_external_contact"


def test_trouble_by_hand(corp: Sandbox, browser: Browser, api: Api) -> None:
    here = f"{HOME}/trouble"
    assert "errcode" in browser.do(
        "faults", api="user/get", kind="errcode", errcode="-1", times="1", next=here
    )
    assert api.get("user/get", userid="lisi")["errcode"] == -1
    browser.do(
        "settings", guides="1", confirm_min="1", confirm_max="2", confirm_rate="1", double="0.5", next=here
    )
    settings = corp.get("settings")
    assert settings["confirm_after_s"] == [1, 2] and settings["callbacks"]["double"] == 0.5
    assert settings["limits"] is False  # not ticked
    browser.do("kill_tokens", next=here)
    assert api.get("user/get", userid="lisi")["errcode"] == 40014
    browser.do("clock", advance_s="3600", next=here)
    assert corp.get("state")["now"] - corp.get("state")["clock"]["real"] > 3500
    browser.do("stream", per_minute="60", minutes="1", next=here)
    assert corp.get("stream")
    browser.do("stream", per_minute="0", next=here)
    assert not corp.get("stream")


def test_groups_moments_and_links_by_hand(corp: Sandbox, browser: Browser, api: Api, met: str) -> None:
    shown = browser.do("group_create", owner="lisi", name="一店福利群", next=f"{HOME}/groups")
    chat_id = re.search(r'name="chat_id" value="(wr[^"]+)"', shown)[1]
    here = f"{HOME}/group/{chat_id}"
    assert "一店福利群" in browser.see(f"{HOME}/groups")
    assert "豆豆妈" in browser.do("group_join", chat_id=chat_id, name="豆豆妈", next=here)
    assert "大家好" in browser.do("group_say", chat_id=chat_id, who="lisi", text="大家好", next=here)
    assert "新公告" in browser.do("group_change", chat_id=chat_id, notice="新公告", next=here)
    add = "externalcontact/groupchat/add_join_way"
    config_id = api.post(add, scene=2, chat_id_list=[chat_id], remark="桌牌")["config_id"]
    assert "加入群聊" in browser.see(f"/q/{config_id}") and "桌牌" in browser.see(f"{HOME}/")
    assert "沈小满" in browser.do("group_join", config_id=config_id, external_userid=met, next=here)
    assert "一店福利群" in browser.see(f"{HOME}/customer/{met}")

    api.post("externalcontact/add_moment_task", text={"content": "秋天的第一杯"})
    moment_id = corp.get("moments", corpid=CORPID)[0]["moment_id"]
    assert "秋天的第一杯" in browser.see(f"{HOME}/member/lisi")
    browser.do("publish", userid="lisi", moment_id=moment_id, next=f"{HOME}/member/lisi")
    liked = {"userid": "lisi", "moment_id": moment_id, "external_userid": met, "kind": "like"}
    assert "♥ 1" in browser.do("react", **liked, next=f"{HOME}/customer/{met}")

    given = {"link_name": "直播间", "range": {"user_list": ["wangwu"]}}
    link = api.post("externalcontact/customer_acquisition/create_link", **given)["link"]
    path = link["url"].removeprefix(corp.url) + "?customer_channel=live1"
    assert "live1" in browser.see(path) and "直播间" in browser.see(f"{HOME}/")
    browser.do("scan", link_id=link["link_id"], customer_channel="live1", name="小播")
    assert "<State><![CDATA[live1]]></State>" in corp.deliveries()[-1]["xml"]


def test_problems_are_told(browser: Browser) -> None:
    assert "no member" in browser.do("member_leaves", userid="nobody", next=f"{HOME}/members")
    assert "no act" in browser.do("reset_everything", next=f"{HOME}/members")
    for path in ("/c/ww0/", f"{HOME}/customer/wmNone", "/q/none"):
        answer = browser.http.get(browser.url + path)
        assert answer.status_code == 404 and "这里什么也没有" in answer.text
    away = browser.http.get(f"{browser.url}/lang?to=en&next=//evil.example/", allow_redirects=False)
    assert away.headers["Location"] == "/"
