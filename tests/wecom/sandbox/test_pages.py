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
        f"{HOME}/stage": ("选一个剧本", "Choose a scenario"),
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
    shown = browser.do("faults", api="user/get", kind="errcode", errcode="-1", times="1", rate="1", next=here)
    assert "正在生效" in shown and "返回错误码" in shown
    assert corp.get("faults")[0]["corpid"] == CORPID
    assert api.get("user/get", userid="lisi")["errcode"] == -1
    assert "正在生效" not in browser.see(here)
    browser.do(
        "faults",
        api="change_external_chat",
        kind="cb_lose",
        rate="0.5",
        for_s="60",
        everywhere="1",
        next=here,
    )
    [fault] = corp.get("faults")
    assert (fault["rate"], fault["corpid"]) == (0.5, "")
    browser.do("faults/clear", id=str(fault["id"]), next=here)
    assert corp.get("faults") == []
    browser.do("callbacks", double="50", lose="10", delay="2", next=here)
    browser.do(
        "settings",
        minute_limit="7",
        hour_limit="70",
        address_hour_limit="90",
        limit_minute_s="2",
        answer_ms="0",
        next=here,
    )
    settings = corp.get("settings")
    assert settings["callbacks"] == {"double": 0.5, "lose": 0.1, "delay_s": [0, 2], "reverse": False}
    assert (settings["minute_limit"], settings["limit_minute_s"]) == (7, 2)
    assert (settings["hour_limit"], settings["address_hour_limit"]) == (70, 90)
    assert settings["limits"] is False  # not ticked
    browser.do("kill_tokens", next=here)
    assert api.get("user/get", userid="lisi")["errcode"] == 40014


def test_contradictions_by_hand(corp: Sandbox, browser: Browser) -> None:
    here = f"{HOME}/trouble"
    shown = browser.see(here)
    assert all(f'name="{name}"' in shown for name in corp.get("settings")["quirks"])
    assert "1 处已改" in browser.do("quirks", envelope="json", next=here)
    assert corp.get("settings")["quirks"]["envelope"] == "json"
    assert "处已改" not in browser.do("quirks", default="1", envelope="json", next=here)
    assert corp.get("settings")["quirks"]["envelope"] == "xml"


def test_the_stage_by_hand(corp: Sandbox, browser: Browser) -> None:
    """A scenario begins, is stopped, stepped, ended; the clock; habits; a file out and in."""
    here = f"{HOME}/stage"
    assert "平静的一天" in browser.see(here) and "没有剧本在演" in browser.see(here)
    shown = browser.do("scenario/start", name="calm-day", speed="60", next=here)
    assert "正在上演" in shown and "接下来" in shown
    assert "暂停" in browser.do("clock", speed="0", next=here)
    before = corp.get("scenario")
    browser.do("scenario/step", events="1", next=here)
    assert corp.get("scenario")["now"] == before["next_at"]
    browser.do("scenario/step", seconds="3600", next=here)
    assert corp.get("scenario")["now"] == before["next_at"] + 3600
    browser.do("scenario/stop", next=here)
    assert corp.get("scenario") == {}
    assert "no span" in browser.do(
        "scenario/start", scenario="arrivals: [{per_hour: 1, from: soon}]", next=here
    )
    browser.do("scenario/start", scenario="hours: 1", seed="5", speed="0", next=here)
    assert corp.get("state")["seed"] == "5"
    browser.do("behaviour", who="customers", read_rate="40", read_from="1", read_to="2", next=here)
    browser.do("behaviour", who="*", reply_rate="80", next=here)
    browser.do("behaviour", who="lisi", never="1", next=f"{HOME}/member/lisi")
    set_now = corp.get("behaviour", corpid=CORPID)
    assert set_now["customers"] == {"read_rate": 0.4, "read_after_s": [1, 2]}
    assert set_now["guides"] == {"*": {"reply_rate": 0.8}, "lisi": {"confirm_rate": 0}}
    now = corp.get("state")["now"]
    browser.do("clock", advance_s="3600", next=here)
    assert corp.get("state")["now"] == now + 3600
    browser.do("clock", offset_s="-120", speed="1", next=here)
    state = corp.get("state")
    assert state["clock"]["shown"] - state["clock"]["real"] == pytest.approx(-120, abs=0.1)
    browser.do("stream", per_minute="60", minutes="1", next=here)
    assert corp.get("stream")
    browser.do("stream", per_minute="0", next=here)
    assert not corp.get("stream")
    kept = browser.http.get(f"{browser.url}/control/export").content
    answer = browser.http.post(f"{browser.url}{HOME}/do/reset", data={"next": here})
    assert answer.url == f"{browser.url}/" and "还没有企业" in answer.text
    browser.http.post(
        f"{browser.url}{HOME}/do/import", files={"file": ("s.jsonl", kept)}, data={"next": here}
    )
    assert corp.get("behaviour", corpid=CORPID) == set_now


def test_an_empty_sandbox_offers_a_shop(sandbox: Sandbox, browser: Browser) -> None:
    sandbox.reset()
    assert "演这个" in browser.see("/")
    answer = browser.http.post(f"{browser.url}/begin", data={"name": "calm-day"})
    assert answer.status_code == 200 and answer.url.endswith("/c/ww5a4db0c0ffee0001/stage")
    assert sandbox.get("scenario")["runs_at"] == 60
    assert browser.http.post(f"{browser.url}/begin", data={"name": "none"}).status_code == 404


def test_the_choice_of_a_corp_offers_no_empty_ones(corp: Sandbox, browser: Browser) -> None:
    corp.post("corps", corpid="wwsecond00000000001", name="第二家", secret="s" * 43, agent_id=1000002)
    text = browser.see("/")
    assert f'href="{HOME}/"' in text and 'href="/c/wwsecond00000000001/"' in text
    assert "<option" not in text and "<option" in browser.see(f"{HOME}/")


def test_customers_read_buy_and_take_another_name(corp: Sandbox, browser: Browser, met: str) -> None:
    here, pair = f"{HOME}/customer/{met}?with=lisi", {"userid": "lisi", "external_userid": met}
    browser.do("read", **pair, next=here)
    assert corp.sent("welcome")[0]["read_at"]
    assert "客户已读" in browser.see(f"{HOME}/member/lisi?with={met}")
    assert "¥12.34" in browser.do("buy", **pair, amount_fen="1234", next=here)
    assert "沈大满" in browser.do("customer_renames", external_userid=met, name="沈大满", next=here)


def test_guides_send_post_and_press_cards(corp: Sandbox, browser: Browser, api: Api, met: str) -> None:
    here = f"{HOME}/member/lisi"
    assert "各位早" in browser.do("mass_send", userid="lisi", text="各位早", next=here)
    assert [row["text"] for row in corp.sent("mass")] == ["各位早"]
    assert "新茶" in browser.do("moment_post", userid="lisi", text="新茶", next=here)
    assert "新茶" in browser.see(f"{HOME}/customer/{met}")
    assert "李小四" in browser.do("member_changes", userid="lisi", name="李小四", next=here)
    card = {
        "card_type": "vote_interaction",
        "task_id": "t1",
        "main_title": {"title": "哪天来"},
        "checkbox": {"question_key": "day", "option_list": [{"id": "fri", "text": "周五"}]},
        "submit_button": {"text": "提交", "key": "done"},
    }
    body = {"touser": "lisi", "msgtype": "template_card", "agentid": 1000002, "template_card": card}
    msgid = api.post("message/send", **body)["msgid"]
    assert "周五" in browser.see(here) and "提交" in browser.see(here)
    browser.do("card_click", userid="lisi", msgid=msgid, key="done", **{"q:day": "fri"}, next=here)
    corp.wait_idle()
    xml = corp.deliveries(event="template_card_event")[0]["xml"]
    assert "<![CDATA[fri]]>" in xml and "<EventKey><![CDATA[done]]>" in xml


def test_traffic_is_filtered(corp: Sandbox, browser: Browser, api: Api, met: str) -> None:
    api.get("user/get", userid="nobody")
    api.get("department/list")
    shown = browser.see(f"{HOME}/traffic?bad=1")
    assert "60111" in shown and "department/list" not in shown
    assert "add_external_contact" in browser.see(f"{HOME}/traffic?q={met}")
    assert "add_external_contact" not in browser.see(f"{HOME}/traffic?q=nothing")


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
