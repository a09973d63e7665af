"""A guide's phone in Chromium, 390 px wide: in through WeCom, today's list, the sidebar beside a chat, a message sent from it."""

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Browser, Page, expect

from campaigns.governance import day_of, midnight
from campaigns.models import StaffTask, Touch
from campaigns.services.tasks import staff_tasks
from campaigns.services.tasks.staff_tasks import TaskInput
from contacts.models import EventType, Stage
from contacts.services.search import refresh_grams
from contacts.services.timeline import record_event
from content.services import editing
from content.services.editing import ContentInput
from scrm import clock
from tests.browser.conftest import be_patient
from tests.contacts.conftest import connected, sandbox, sandbox_server
from tests.factories import in_brand, make_contact, make_tag, role

__all__ = ["connected", "sandbox", "sandbox_server"]
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
SHOTS = os.environ.get("SHOTS", "")  # a folder: the pages are kept there as pictures


@pytest.fixture
def phone(chromium_browser: Browser) -> Iterator[Page]:
    """A phone with WeCom's client; the test fails when a page writes an error to the console."""
    context = chromium_browser.new_context(
        locale="zh-CN",
        viewport={"width": 390, "height": 780},
        has_touch=True,
        user_agent="Mozilla/5.0 (Linux; Android 14) wxwork/4.1 MicroMessenger/7.0",
    )
    page = be_patient(context)
    faults: list[str] = []
    page.on(
        "console",
        lambda m: faults.append(m.text) if m.type == "error" and "status of 4" not in m.text else None,
    )
    page.on("pageerror", lambda error: faults.append(str(error)))
    yield page
    context.close()
    assert faults == []


@pytest.fixture
def house(connected: SimpleNamespace, settings: Any, live_server: Any) -> SimpleNamespace:
    """Guide `a` with a customer who is in the sandbox too, a task, a script, a tag; guide `b` with another customer."""
    settings.PUBLIC_URL = live_server.url
    settings.WECOM_OAUTH_URL = settings.WECOM_LOGIN_URL = settings.WECOM_JSSDK_URL = connected.sandbox.url
    brand, a, b = connected.brand, connected.a, connected.b
    with in_brand(brand):
        a.role = role(brand, "guide")
        a.save()
        mine = make_contact(brand, a, name="林小满", added_at=clock.now() - timedelta(days=40))
        other = make_contact(brand, b, name="别人的客户")
        refresh_grams(brand, [mine.pk, other.pk])
        make_tag(brand, "爱喝咖啡")
        Stage.objects.create(name="意向客户")
        record_event(
            brand, contact_id=mine.pk, type=EventType.CARTED, at=clock.now() - timedelta(days=2), source="api",
            data={"product": "挂耳咖啡"},
        )  # fmt: skip
        zone = brand.timezone
        tonight = midnight(day_of(clock.now(), zone) + 1, zone) - timedelta(seconds=1)
        task = TaskInput(
            staff_id=a.pk, contact_id=mine.pk, kind="call", title="电话回访：新品到店", note="问问上次的口味",
            due_at=tonight, key="k",  # what is due after midnight stands under "later"
        )  # fmt: skip
        staff_tasks.add_tasks(brand, [task], source="page")
        given = ContentInput(
            name="新品话术", kind="script", text="{客户昵称|您好}，我是{员工姓名}，新品到店啦"
        )
        editing.create_content(brand, given=given)
        connected.mine, connected.other = mine, other
        connected.mine_id = mine.follows.get().external_userid
        connected.other_id = other.follows.get().external_userid
    connected.sandbox.load(
        customers=[
            {"external_userid": connected.mine_id, "name": "林小满", "follows": [{"userid": "GuideA"}]},
            {"external_userid": connected.other_id, "name": "别人的客户", "follows": [{"userid": "guideb"}]},
        ]
    )
    connected.url = live_server.url
    return connected


def enter(phone: Page, house: SimpleNamespace, path: str = "/g/") -> None:
    """Into a guide's page through WeCom, as the member GuideA."""
    phone.goto(f"{house.url}{path}?corp={house.corp.corpid}")
    phone.get_by_text("甲", exact=False).first.click()
    phone.wait_for_url(f"**{path}**")


def narrow(phone: Page, name: str) -> None:
    """Nothing sticks out at 390 and at 360 px, and what is tapped is large enough."""
    if SHOTS:
        phone.screenshot(path=Path(SHOTS) / f"{name}.png", full_page=True)
    for width in (360, 390):
        phone.set_viewport_size({"width": width, "height": 780})
        assert phone.evaluate("document.documentElement.scrollWidth") <= width, name
    low = phone.evaluate(
        "[...document.querySelectorAll('.g-main .btn, .g-main summary, .g-main input:not([type=hidden]), .g-tabs a')]"
        ".filter((e) => e.offsetParent && e.getBoundingClientRect().height < 43.5).map((e) => e.outerHTML.slice(0, 80))"
    )
    assert low == [], name


def test_today_and_one_customer(phone: Page, house: SimpleNamespace) -> None:
    enter(phone, house)
    expect(phone.locator("#today")).to_contain_text("电话回访：新品到店")
    expect(phone.locator("#waiting")).to_contain_text("林小满")
    narrow(phone, "today")
    phone.locator(".g-task summary").click()
    expect(phone.locator(".g-task")).to_contain_text("问问上次的口味")
    phone.fill(".g-task [name=result]", "接通了，周六来")
    phone.locator(".g-task .btn-primary").click()
    expect(phone.locator("#today")).to_contain_text("今天的事都做完了")
    with in_brand(house.brand):
        assert StaffTask.objects.get().result == "接通了，周六来"
    phone.locator(".toast-undo").click()
    expect(phone.locator("#today .g-task")).to_be_visible()

    phone.locator(".g-tabs a").nth(1).click()
    phone.fill("[name=q]", "小满")
    expect(phone.locator("#found")).to_contain_text("林小满")
    expect(phone.locator("#found")).not_to_contain_text("别人的客户")
    narrow(phone, "customers")
    phone.locator("#found a").first.click()
    expect(phone.locator("#card-action")).to_contain_text("挂耳咖啡")
    phone.locator("#card-scripts summary").click()
    expect(phone.locator("#scripts")).to_contain_text("林小满，我是甲")
    expect(phone.locator("#scripts .g-send")).to_be_hidden()  # no chat beside it
    narrow(phone, "customer")
    phone.locator(".g-tabs a").nth(2).click()
    phone.wait_for_url("**/g/me**")
    narrow(phone, "me")
    phone.goto(f"{house.url}/g/customers/{house.other.pk}/")
    expect(phone.locator("main")).to_contain_text("不在你的名下")
    narrow(phone, "not-yours")


def test_not_reached_call_later(phone: Page, house: SimpleNamespace) -> None:
    """From today's list and undone, then in the sidebar beside the chat; the outcome by one tap."""
    enter(phone, house)
    phone.locator("#today .g-task summary").click()
    phone.locator("#today .g-task").get_by_role("button", name="稍后再办").click()
    modal = phone.locator("#modal-content")
    expect(modal).to_contain_text("电话回访：新品到店")
    expect(modal.locator("[name=why]:checked")).to_have_value("unreached")
    modal.locator("[name=why][value=busy]").check()
    modal.locator("[name=words]").fill("开会中")
    if SHOTS:
        phone.screenshot(path=Path(SHOTS) / "later.png")
    for width in (360, 390):
        phone.set_viewport_size({"width": width, "height": 780})
        assert phone.evaluate("document.documentElement.scrollWidth") <= width
    low = phone.evaluate(
        "[...document.querySelectorAll('#modal-content .btn, #modal-content input:not([type=hidden])')]"
        ".filter((e) => e.getBoundingClientRect().height < 43.5).map((e) => e.outerHTML.slice(0, 80))"
    )
    assert low == []
    modal.get_by_role("button", name="一小时后").dblclick()
    expect(phone.locator("#modal")).to_be_hidden()
    off = phone.locator("#off")
    expect(off).to_contain_text("电话回访：新品到店")
    with in_brand(house.brand):
        task = StaffTask.objects.get()
        assert (task.n_later, task.delays.get().words) == (1, "开会中")
    off.locator("summary").first.click()
    off.locator(".g-task summary").click()
    expect(off).to_contain_text("开会中")
    narrow(phone, "put-off")
    phone.locator(".toast-undo").last.click()
    expect(off).to_have_count(0)
    expect(phone.locator("#today .g-task")).to_be_visible()

    phone.goto(
        f"{house.url}/g/sidebar/?corp={house.corp.corpid}"
        f"#sandbox_external_userid={house.mine_id}&sandbox_userid=GuideA"
    )
    card = phone.locator("#card-tasks")
    card.locator(".g-task summary").click()
    narrow(phone, "sidebar-task")
    card.get_by_role("button", name="稍后再办").click()
    until = (clock.now() + timedelta(minutes=90)).astimezone(ZoneInfo(house.brand.timezone))
    modal.locator("[name=due_at]").fill(f"{until:%Y-%m-%dT%H:%M}")
    modal.get_by_role("button", name="推迟到此时").click()
    expect(card).to_contain_text("推迟 1 次 · 没联系上")
    with in_brand(house.brand):
        assert StaffTask.objects.get().n_later == 1
    card.locator(".g-task summary").click()
    card.locator("[name=outcome][value=agreed]").check()
    card.locator(".g-task .btn-primary").click()
    expect(card.locator(".g-task")).to_have_count(0)
    with in_brand(house.brand):
        assert StaffTask.objects.get().outcome == "agreed"


def test_the_sidebar_beside_a_chat(phone: Page, house: SimpleNamespace) -> None:
    enter(phone, house)
    side = f"{house.url}/g/sidebar/?corp={house.corp.corpid}"
    phone.goto(f"{side}#sandbox_external_userid={house.mine_id}&sandbox_userid=GuideA")
    expect(phone.locator("#card-head")).to_contain_text("林小满")
    expect(phone.locator("#card-action")).to_contain_text("挂耳咖啡")
    expect(phone.locator("#scripts")).to_contain_text("新品话术")
    narrow(phone, "sidebar")

    phone.locator("#scripts .g-send").first.click()
    expect(phone.locator("#card-messages")).to_contain_text("聊天")
    expect(phone.locator("#toasts")).to_contain_text("已发送")
    [row] = house.sandbox.sent("reply")
    assert row["text"] == "林小满，我是甲，新品到店啦" and row["external_userid"] == house.mine_id
    phone.fill(".g-own [name=text]", "周六见")
    phone.locator("[data-send-own]").click()
    expect(phone.locator(".g-own [name=text]").first).to_have_value("")
    with in_brand(house.brand):
        assert Touch.objects.filter(kind=Touch.Kind.DIRECT, contact_id=house.mine.pk).count() == 2
    assert [r["text"] for r in house.sandbox.sent("reply")][1] == "周六见"

    phone.locator("#card-head select").select_option(label="意向客户")
    phone.locator("#card-tags h2 button").click()
    phone.locator("#modal-content").get_by_text("爱喝咖啡").click()
    phone.locator("#modal-content .btn-primary").click()
    expect(phone.locator("#card-tags .chips")).to_contain_text("爱喝咖啡")
    expect(phone.locator("#modal")).to_be_hidden()
    phone.locator("#card-tags .chip button").click()
    expect(phone.locator("#card-tags .chips")).not_to_contain_text("爱喝咖啡")
    phone.fill("#card-notes textarea", "怕酸，喜欢深烘")
    phone.locator("#card-notes .btn").click()
    expect(phone.locator("#card-notes .g-rows")).to_contain_text("怕酸，喜欢深烘")
    with in_brand(house.brand):
        house.mine.refresh_from_db()
        assert house.mine.stage_id is not None
    assert len(house.sandbox.calls("ticket/get")) == len(house.sandbox.calls("get_jsapi_ticket")) == 1


def test_a_message_that_is_stopped_half_way(phone: Page, house: SimpleNamespace) -> None:
    """The text is in the chat, the card after it is not: the ledger has what the customer has, and the guide is told."""
    card = {"type": "link", "title": "新品", "url": "https://shop.example/", "desc": "", "picurl": ""}
    with in_brand(house.brand):
        given = ContentInput(name="两段话术", kind="script", text="看看这个", attachments=[card])
        editing.create_content(house.brand, given=given)
    enter(phone, house)
    side = f"{house.url}/g/sidebar/?corp={house.corp.corpid}"
    phone.goto(f"{side}#sandbox_external_userid={house.mine_id}&sandbox_userid=GuideA")
    button = phone.locator(".g-script", has_text="两段话术").locator(".g-send")
    expect(button).to_be_visible()
    phone.evaluate(
        "() => { const real = window.ww.sendChatMessage; window.ww.sendChatMessage = (m) =>"
        " m.msgtype === window.stopAt ? Promise.reject({ errMsg: 'sendChatMessage:cancel' }) : real(m); }"
    )
    phone.evaluate("window.stopAt = 'text'")
    button.click()
    expect(phone.locator("#toasts")).to_contain_text("未发送")
    with in_brand(house.brand):
        assert not Touch.objects.filter(kind=Touch.Kind.DIRECT).exists()
    phone.evaluate("window.stopAt = 'news'")
    button.click()
    expect(phone.locator("#toasts")).to_contain_text("只发出了前一部分")
    assert [row["text"] for row in house.sandbox.sent("reply")] == ["看看这个"]
    with in_brand(house.brand):
        assert Touch.objects.filter(kind=Touch.Kind.DIRECT, contact_id=house.mine.pk).count() == 1


def test_the_sidebar_where_nothing_can_be_shown(phone: Page, house: SimpleNamespace, settings: Any) -> None:
    enter(phone, house)
    side = f"{house.url}/g/sidebar/?corp={house.corp.corpid}"
    phone.goto(f"{side}#sandbox_external_userid={house.other_id}&sandbox_userid=GuideA")
    expect(phone.locator("#chat-customer")).to_contain_text("不在你的名下")
    narrow(phone, "sidebar-other")
    phone.evaluate("sessionStorage.clear()")
    phone.goto("about:blank")
    phone.goto(side)  # no chat is open: as in a plain browser
    expect(phone.locator("#chat-problem")).to_be_visible()
    expect(phone.locator("#chat-problem")).to_contain_text("没有打开的聊天")
    narrow(phone, "sidebar-plain")
