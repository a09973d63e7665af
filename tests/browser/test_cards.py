"""Cards of guides in Chromium: made and edited by the admin, opened by a customer, changed by the guide on the phone."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from guides.models import Card
from tests.browser.test_leads import SHOTS, enter, look
from tests.factories import in_brand, make_staff, make_user
from tests.guides.test_cards import make_code

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
DOT = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"


def test_a_card(page: Page, live_server: Any, brand: Any, corp: Any, staff: Any) -> None:
    with in_brand(brand):
        staff.position = "资深导购"
        staff.save()
        make_staff(brand, corp)
        make_code(corp, staff, qr_url=DOT)
    guide = make_user(brand, "guide", staff=staff)
    enter(page, live_server, make_user(brand, "operator"))
    page.goto(f"{live_server.url}/cards/")
    page.click("text=生成 2 张名片")
    expect(page.locator("#rows tr")).to_have_count(2)
    page.click("text=名片模板")
    page.fill("[name=words]", "门店好物、搭配和保养，随时问我")
    page.fill("[name=invitation]", "长按识别，加我微信")
    page.click("#modal-content .btn-primary")
    expect(page.locator("#rows tr").first).to_contain_text("随时问我")
    look(page, "cards")
    page.click("#rows tr:has-text('资深导购') [aria-label=编辑]")
    page.fill("[name=title]", "首席搭配师")
    look(page, "cards_edit")
    page.click("#modal-content .btn-primary")
    expect(page.locator("#rows")).to_contain_text("首席搭配师")
    with in_brand(brand):
        key = Card.objects.get(staff=staff).link.key
    page.goto(f"{live_server.url}/c/{key}/?n=1")
    expect(page.locator(".bcard")).to_contain_text("长按识别")
    look(page, "card_public")

    enter(page, live_server, guide)
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{live_server.url}/g/me/")
    page.click("text=我的名片")
    page.fill("[name=words]", "懂面料，周末都在店里")
    page.click("form.g-card .btn-primary")
    expect(page.locator(".bcard-words")).to_contain_text("懂面料")
    low = page.evaluate(
        "[...document.querySelectorAll('.g-main .btn, .g-main input:not([type=hidden]), .g-main select')].filter("
        "(e) => e.offsetParent && e.getBoundingClientRect().height < 43.5).map((e) => e.outerHTML.slice(0, 80))"
    )
    assert low == []
    look(page, "phone_card", phone_only=True)
    if SHOTS:
        page.context.add_cookies([{"name": "scrm_language", "value": "en", "url": live_server.url}])
        page.goto(f"{live_server.url}/g/card/")
        look(page, "en_phone_card", phone_only=True)


def test_a_guide_makes_their_own(page: Page, live_server: Any, brand: Any, corp: Any, staff: Any) -> None:
    guide = make_user(brand, "guide", staff=staff)
    with in_brand(brand):
        make_code(corp, staff, qr_url=DOT)
    enter(page, live_server, guide)
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{live_server.url}/g/card/")
    expect(page.locator("[data-copy]")).to_have_count(0)
    look(page, "phone_card_new", phone_only=True)
    with in_brand(brand):
        assert not Card.objects.exists()
    page.click("text=生成我的名片")
    expect(page.locator("[data-copy]")).to_have_count(1)
    with in_brand(brand):
        key = Card.objects.get().link.key
    expect(page.locator("[data-copy]")).to_have_attribute("data-copy", re.compile(f"/l/{key}/"))
    if SHOTS:
        page.context.add_cookies([{"name": "scrm_language", "value": "en", "url": live_server.url}])
        with in_brand(brand):
            Card.objects.all().delete()
        page.goto(f"{live_server.url}/g/card/")
        look(page, "en_phone_card_new", phone_only=True)
