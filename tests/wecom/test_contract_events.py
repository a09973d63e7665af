"""Recorded events: our parser and table know them all, and the sandbox's have the same elements."""

from typing import Any
from xml.etree import ElementTree

import pytest
import xmltodict

from scrm.redis import redis_client
from tests.wecom import contract
from tests.wecom.sandbox_client import CORPID, SECRET, ControlError, Sandbox
from wecom.api import acquisition, contact_ways, join_ways
from wecom.callbacks import HANDLERS, NOTED
from wecom.client import WeComClient
from wecom.crypto import parse_event

Element = Any
LISTS = ("MemChangeList", "SelectedItems", "OptionIds", "ExtAttr")


def recorded() -> list[Element]:
    return list(ElementTree.parse(contract.FOLDER / "events.xml").getroot())


def name_of(event: Element) -> str:
    parts = (event.findtext(tag) for tag in ("Event", "ChangeType", "UpdateDetail"))
    return "-".join(part for part in parts if part)


EVENTS = recorded()


def as_text(event: Element, *, least: bool = False) -> str:
    """The event as it comes, without our marks; `least`: without what may miss."""
    copy = ElementTree.fromstring(ElementTree.tostring(event))
    for child in list(copy):
        if child.attrib.pop("may", "") and least:
            copy.remove(child)
    return ElementTree.tostring(copy, encoding="unicode")


def expected(value: Any, name: str = "") -> Any:
    """What xmltodict reads, with our rules: nothing is "", some elements are always lists."""
    if name in LISTS:
        inner = list((value or {}).values())
        flat = [one for item in inner for one in (item if isinstance(item, list) else [item])]
        return [expected(one) for one in flat]
    if isinstance(value, dict):
        return {key: expected(inner, key) for key, inner in value.items()}
    return value or ""


@pytest.mark.parametrize("least", [False, True], ids=["full", "least"])
@pytest.mark.parametrize("event", EVENTS, ids=name_of)
def test_parsed_and_known(event: Element, least: bool) -> None:
    text = as_text(event, least=least)
    parsed = parse_event(text)
    assert parsed == expected(xmltodict.parse(text)["xml"])
    key = (parsed["Event"], parsed.get("ChangeType", ""))
    assert (key in HANDLERS) != (key in NOTED)


def test_the_table_has_no_event_without_an_example() -> None:
    known = {(event.findtext("Event"), event.findtext("ChangeType") or "") for event in EVENTS}
    messages = {("text", ""), ("image", ""), ("voice", ""), ("video", ""), ("location", ""), ("link", "")}
    scans, pictures = (
        ("scancode_push", "scancode_waitmsg"),
        ("pic_sysphoto", "pic_photo_or_album", "pic_weixin"),
    )
    of_the_menu = {(event, "") for event in ("location_select", *scans, *pictures)}
    assert (set(HANDLERS) | NOTED) - known - messages - of_the_menu == {("verify_url", "")}
    assert len({name_of(event) for event in EVENTS}) == len(EVENTS)


# ---- the sandbox


@pytest.fixture
def live(sandbox: Sandbox) -> Sandbox:
    """A corp in which everything happens that the control API can make happen."""
    sandbox.make_corp(callback_url="http://127.0.0.1:9/", open_platform=True)
    sandbox.load(
        members=[
            {"userid": "zhangsan", "name": "王芳", "department": [1]},
            {"userid": "lisi", "name": "李四", "department": [1]},
        ],
        tag_groups=[{"group_name": "会员等级", "tags": ["金卡", "银卡"]}],
        customers=[
            {"external_userid": f"wm{n}", "name": f"客户{n}", "follows": [{"userid": "zhangsan"}]}
            for n in range(8)
        ],
    )
    return sandbox


def everything_happens(sandbox: Sandbox) -> None:
    client = WeComClient(CORPID, SECRET, 1000002, brand_id=7, api_url=sandbox.url, redis_conn=redis_client())

    def act(what: str, /, **given: Any) -> Any:
        return sandbox.post(what, corpid=CORPID, **given)

    pair = {"userid": "zhangsan"}
    way = contact_ways.add_contact_way(client, userids=["zhangsan"], state="door")["config_id"]
    act("scan", config_id=way, name="新客")
    half = act("scan", config_id=way, name="半个客", half=True)
    act("accept", external_userid=half["external_userid"], userid="zhangsan")
    act("member_edits", external_userid="wm0", **pair, remark="老客", add_tags=["金卡"])
    act("member_deletes", external_userid="wm1", **pair)
    act("customer_deletes", external_userid="wm2", **pair)
    for n in (3, 4):
        client.call(
            "POST",
            "externalcontact/transfer_customer",
            body={"handover_userid": "zhangsan", "takeover_userid": "lisi", "external_userid": [f"wm{n}"]},
        )
    act("transfer_fails", userid="lisi", external_userid="wm3", reason="customer_refused")
    act("transfer_now", external_userid="wm4")

    chat = {
        "chat_id": act("group_create", owner="zhangsan", name="群", members=["lisi"], customers=["wm5"])[
            "chat_id"
        ]
    }
    code = join_ways.add_join_way(client, chat_ids=[chat["chat_id"]], state="table")
    act("group_join", config_id=code, name="扫码的人")
    act("group_join", **chat, external_userid="wm6", invitor="zhangsan")
    act("group_leave", **chat, who="wm5")
    act("group_change", **chat, name="新群名", notice="公告", owner="lisi")
    act("group_dismiss", **chat)

    act("tag_adds", group_name="新组", tags=["一", "二"])
    [tag] = [
        tag
        for group in client.call("POST", "externalcontact/get_corp_tag_list", body={})["tag_group"]
        for tag in group["tag"]
        if tag["name"] == "一"
    ]
    act("tag_renames", id=tag["id"], name="三")
    act("tag_deletes", id=tag["id"])
    groups = client.call("POST", "externalcontact/get_corp_tag_list", body={})["tag_group"]
    act("tags_shuffled", group_id=groups[0]["group_id"], order=[tag["id"] for tag in groups[0]["tag"]][::-1])

    act("acquisition_balance", balance=20)
    link = acquisition.create_link(client, "双十一", userids=["zhangsan"])["link_id"]
    met = act("scan", link_id=link, state="sms", name="链接客")
    for n in range(3):
        act("say", external_userid=met["external_userid"], **pair, text=f"第{n}句")
    act("customer_deletes", external_userid=met["external_userid"], **pair)
    act("acquisition_balance", balance=1)
    act("scan", link_id=link, state="sms", name="最后一个")
    act("acquisition_balance", balance=5)

    act("department_put", id=5, name="新店", parentid=1)
    act("department_put", id=5, name="新店二", parentid=1)
    act("department_deletes", id=5)
    act("member_joins", userid="sunqi", name="孙七", department=[1])
    act("department_put", id=6, name="别的店", parentid=1)
    act("member_changes", userid="sunqi", department=[6])
    act("member_leaves", userid="sunqi")
    act("say", external_userid="wm7", **pair, text="你好")
    the_rest_happens(client, act)


def the_rest_happens(client: WeComClient, act: Any) -> None:
    """What WeCom tells of apps, links and archives."""
    act("audit_approved", userid="zhangsan", external_userid="wm0")
    link = acquisition.create_link(client, "双十二", userids=["zhangsan"])["link_id"]
    act("profile_opened", link_id=link, state="sms")
    act("quota_expires", n=100, days=14)
    act("acquisition_balance", balance=0)
    with pytest.raises(ControlError):
        act("scan", link_id=link, state="sms", name="没额度了")
    act("link_deletes", link_id=link)
    tag = client.call("POST", "tag/create", body={"tagname": "店长"})["tagid"]
    act("member_tag_changes", tagid=tag, add_users=["zhangsan"], add_parties=[1])
    for event in (
        "subscribe",
        "unsubscribe",
        "enter_agent",
        "click",
        "view",
        "LOCATION",
        "template_card_menu_event",
    ):
        act("app_event", event=event, userid="zhangsan", key="menu1")
    for event in ("close_inactive_agent", "reopen_inactive_agent", "inactive_alert", "low_active_alert"):
        act("app_event", event=event)
    for event in ("low_active", "active_restored", "batch_job_result"):
        act("app_event", event=event)
    card = {
        "card_type": "vote_interaction",
        "task_id": "t1",
        "main_title": {"title": "哪天来"},
        "checkbox": {"question_key": "day", "option_list": [{"id": "fri", "text": "周五"}]},
        "submit_button": {"text": "提交", "key": "done"},
    }
    body = {"touser": "zhangsan", "msgtype": "template_card", "agentid": 1000002, "template_card": card}
    msgid = client.call("POST", "message/send", body=body)["msgid"]
    act("card_click", userid="zhangsan", msgid=msgid, key="done", options={"day": ["fri"]})
    body = {"scene": 1, "type": "file", "filename": "a", "url": "http://127.0.0.1:9/", "md5": "0" * 32}
    client.call("POST", "media/upload_by_url", body=body)
    act("member_changes", userid="zhangsan", new_userid="zhangsan2")


OF_MEMBERS = {"subscribe", "unsubscribe", "enter_agent", "click", "view", "LOCATION"} | {
    "template_card_event",
    "template_card_menu_event",
}


def test_the_sandbox_tells_what_happened_like_this(live: Sandbox) -> None:
    everything_happens(live)
    live.wait_for(lambda: live.deliveries(event="upload_media_job_finish"))
    by_name = {name_of(event): event for event in EVENTS}
    seen = set()
    for delivery in live.deliveries(limit=1000):
        event = ElementTree.fromstring(delivery["xml"])
        name = name_of(event)
        seen.add(name)
        assert name in by_name, name
        tags, shape = [child.tag for child in event], by_name[name]
        assert len(tags) == len(set(tags)), name
        assert {child.tag for child in shape if not child.get("may")} <= set(tags), name
        assert set(tags) <= {child.tag for child in shape}, name
        assert tags[:4] == ["ToUserName", "FromUserName", "CreateTime", "MsgType"]
        sender = "zhangsan" if name in OF_MEMBERS else "sys"
        assert (event.findtext("ToUserName"), event.findtext("FromUserName")) == (CORPID, sender)
        parse_event(delivery["xml"])
    assert set(by_name) == seen
