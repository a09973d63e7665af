"""“Send me a test” in Chromium: from the editor of a broadcast with what is not saved yet, from the canvas, from the library; by
keys, on a phone, without a member."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from campaigns.models import Broadcast, SendTask, Touch
from campaigns.services.graphs import graphs
from contacts.services.search import refresh_grams
from content.services import editing
from content.services.editing import ContentInput
from org.access import SYSTEM
from tests.browser.test_broadcasts import shoot
from tests.browser.test_canvas import GRAPH
from tests.campaigns.conftest import Live, make_live
from tests.factories import in_brand, make_staff, make_user
from tests.wecom.sandbox_client import Sandbox, sandbox, sandbox_server

__all__ = ["sandbox", "sandbox_server"]
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def live(transactional_db: Any, sandbox: Sandbox, settings: Any) -> Live:
    settings.WECOM_API_URL = sandbox.url
    return make_live(sandbox)


def enter(page: Page, url: str, live: Live, sign_in: Any, settings: Any, *, member: bool = True) -> None:
    """An operator; with a member of WeCom."""
    user = None
    if member:
        with in_brand(live.brand):
            me = make_staff(live.brand, live.corp, name="运营小李", userid="lee", is_guide=False)
        user = make_user(live.brand, "operator", staff=me)
        live.sandbox.load(
            live.corp.corpid, members=[{"userid": "lee", "name": "运营小李", "department": [1]}]
        )
    key = sign_in(live.brand, "operator", user=user).cookies[settings.SESSION_COOKIE_NAME].value
    page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": key, "url": url}])


def got(live: Live) -> list[str]:
    return [row["text"] for row in live.sandbox.sent("app", corpid=live.corp.corpid)]


def test_from_the_editor_the_canvas_and_the_library(
    page: Page, live_server: Any, live: Live, sign_in: Any, settings: Any
) -> None:
    with in_brand(live.brand):
        special = live.contacts[1]  # of 小B
        special.name = "王小明"
        special.save(update_fields=["name"])
        refresh_grams(live.brand, [special.pk])
        sop = graphs.create_graph_sop(live.brand, name="新客", graph=GRAPH, by=SYSTEM)
        given = ContentInput(name="问候", text="{客户昵称|朋友}，你好")
        item = editing.create_content(live.brand, given=given, by=SYSTEM).content
    enter(page, live_server.url, live, sign_in, settings)

    # nothing is saved: the second content as it stands in the editor
    page.goto(f"{live_server.url}/broadcasts/new/")
    page.click("#add-content")
    second = page.locator("[data-content]").nth(1)
    second.locator("[data-test-message]").click()  # nothing is written yet: said, no dialog
    expect(page.locator("#toasts")).to_contain_text("请先写点内容")
    second.locator("[name=text]").fill("{员工姓名}：新品\n到店")
    second.locator("[data-test-message]").click()
    dialog = page.locator("#modal-content")
    expect(dialog.locator(".trial-chat")).to_contain_text("【测试】")
    dialog.locator("[name=q]").fill("小明")
    expect(dialog.locator("[name=contact]")).to_have_count(1)
    expect(dialog.locator(".trial-chat")).to_contain_text("小B：新品")
    dialog.locator("[name=q]").fill("")
    expect(dialog.locator("[name=contact]")).to_have_count(6)
    other = dialog.locator(f"[name=contact][value='{live.contacts[0].pk}']")
    other.check()
    expect(dialog.locator(".trial-chat")).to_contain_text("小A：新品")
    shoot(page, "trial")
    dialog.locator("button.btn-primary").click()
    expect(dialog.locator("[data-result=sent]")).to_contain_text("运营小李")
    assert got(live) == ["【测试】小A：新品\n到店"]
    shoot(page, "trial-sent")
    page.keyboard.press("Escape")
    expect(page.locator("#modal")).to_be_hidden()
    expect(second.locator("[name=text]")).to_have_value("{员工姓名}：新品\n到店")

    # on a phone, in the list of the canvas, where the draft is saved by itself
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 390, "height": 844})
    page.on("dialog", lambda asked: asked.accept())
    page.goto(f"{live_server.url}/sops/{sop.pk}/canvas/")
    page.locator("#outline [data-outline=n3] .outline-head").click()
    page.locator("#outline [data-outline=n3] [data-param=text] textarea").fill("改过的问候")
    page.locator("#outline [data-outline=n3]").get_by_role("button", name="发给我测试").click()
    expect(dialog.locator(".trial-chat")).to_contain_text("【测试】改过的问候")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    shoot(page, "trial-phone-dark")
    dialog.locator("button.btn-primary").click()
    expect(dialog.locator("[data-result=sent]")).to_be_visible()
    assert got(live)[1:] == ["【测试】改过的问候"]
    # WeCom says no: its reason stands in the dialog
    live.sandbox.post("faults", api="message/send", kind="errcode", errcode=60011, times=1)
    dialog.locator("button.btn-primary").click()
    expect(dialog.locator("[data-result=refused]")).to_contain_text("60011")
    shoot(page, "trial-refused-phone-dark")

    page.goto(f"{live_server.url}/content/{item.pk}/")
    page.get_by_role("button", name="发给我测试").click()
    dialog.locator(f"label[for='trial-{special.pk}']").click()
    expect(dialog.locator(".trial-chat")).to_contain_text("王小明，你好")
    dialog.locator("button.btn-primary").click()
    expect(dialog.locator("[data-result=sent]")).to_be_visible()
    assert got(live)[2:] == ["【测试】王小明，你好"]
    with in_brand(live.brand):
        assert not Broadcast.objects.exists() and not SendTask.objects.exists() and not Touch.objects.exists()


def test_without_a_member(page: Page, live_server: Any, live: Live, sign_in: Any, settings: Any) -> None:
    enter(page, live_server.url, live, sign_in, settings, member=False)
    page.goto(f"{live_server.url}/broadcasts/new/")
    page.locator("[name=text]").fill("新品到店")
    page.locator("[data-test-message]").click()
    dialog = page.locator("#modal-content")
    expect(dialog.locator("[data-why-not]")).to_contain_text("没有绑定企业微信成员")
    expect(dialog.locator(".trial-chat")).to_contain_text("新品到店")
    expect(dialog.locator("button.btn-primary")).to_have_count(0)
    page.keyboard.press("Escape")
