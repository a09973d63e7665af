"""Numbers to add in Chromium: pasted, given out with a preview, followed up; asked and undone on the guide's phone."""

import os
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from guides.models import Lead, LeadList
from org.models import Store
from tests.factories import in_brand, make_staff, make_tag, make_user

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
SHOTS = os.environ.get("SHOTS", "")


def look(page: Page, name: str, phone_only: bool = False) -> None:
    """Nothing sticks out on a phone; with SHOTS, pictures in both widths, light and dark."""
    for width, height in ((1280, 900), (390, 844)):
        if phone_only and width > 390:
            continue
        page.set_viewport_size({"width": width, "height": height})
        wide = page.evaluate(
            "document.documentElement.scrollWidth <= innerWidth ? [] : [...document.querySelectorAll('body *')].filter("
            "(e) => e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.outerHTML.slice(0, 90))"
        )
        assert wide == [], (name, width)
        for scheme in ("light", "dark") if SHOTS else ():
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            page.screenshot(path=Path(SHOTS) / f"{name}_{width}_{scheme}.png", full_page=True)
        page.emulate_media(color_scheme="light")
    if not phone_only:
        page.set_viewport_size({"width": 1280, "height": 900})


def enter(page: Page, live_server: Any, user: Any) -> None:
    page.context.clear_cookies()
    page.goto(f"{live_server.url}/login/")
    page.fill("[name=username]", user.username)
    page.fill("[name=password]", "pass-12345")
    page.press("[name=password]", "Enter")
    page.wait_for_url(f"{live_server.url}/")


def test_from_the_list_to_the_phone(page: Page, live_server: Any, brand: Any, corp: Any, staff: Any) -> None:
    with in_brand(brand):
        staff.store = Store.objects.create(name="人民路店")
        staff.save()
        for _ in range(3):
            make_staff(brand, corp)
        make_tag(brand, "展会客户")
    guide = make_user(brand, "guide", staff=staff)
    enter(page, live_server, make_user(brand, "operator"))
    page.goto(f"{live_server.url}/leads/")
    look(page, "leads_empty")
    page.click("text=粘贴号码 >> nth=0")
    page.fill("[name=name]", "秋季展会到场客户")
    page.fill("[name=words]", "{name}您好，我是暖光门店的导购")
    page.fill(
        "[name=rows]",
        "\n".join(f"1380013{n:04d} 客户{n} 展会第{n}天" for n in range(14)) + "\n没有号码的一行",
    )
    page.click("details.check-group summary")
    page.click(".tag-choice .chip")
    page.fill("[name=again_days]", "3")
    page.click("text=创建名单")
    expect(page.locator(".alert-warning")).to_contain_text("没有号码的一行")
    look(page, "leads_new")
    page.check("[name=skip]")
    page.click("text=创建名单")
    page.wait_for_selector(".grid-stats")
    page.click("text=分配 14 个号码")
    expect(page.locator(".lead-shares li")).to_have_count(4)
    expect(page.locator("fieldset:has-text('人民路店') [data-store-all]")).to_be_checked()  # by the script
    page.uncheck("fieldset:has-text('人民路店') [data-store-all]")
    expect(page.locator(".lead-shares li")).to_have_count(3)
    page.check("fieldset:has-text('人民路店') [data-store-all]")
    page.fill("[name=most]", "3")
    expect(page.locator("#shares .notice-warn")).to_contain_text("2")
    look(page, "leads_give")
    page.click("#shares .btn-primary")
    page.wait_for_selector(".grid-stats")
    look(page, "leads_detail")
    page.goto(f"{live_server.url}/leads/")
    look(page, "leads")

    enter(page, live_server, guide)
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{live_server.url}/g/")
    expect(page.locator("#waiting")).to_contain_text("待添加 3 个")
    look(page, "phone_today", phone_only=True)
    page.click("#waiting a.g-card")
    expect(page.locator(".g-leads > li")).to_have_count(3)
    low = page.evaluate(
        "[...document.querySelectorAll('.g-main .btn, .g-main summary, .g-main a, .g-main input')].filter("
        "(e) => e.offsetParent && e.getBoundingClientRect().height < 43.5).map((e) => e.outerHTML.slice(0, 80))"
    )
    assert low == []
    look(page, "phone_leads", phone_only=True)
    page.click("text=已发送申请 >> nth=0")
    expect(page.locator(".g-leads > li")).to_have_count(2)
    page.click(".toast-undo")
    expect(page.locator(".g-leads > li")).to_have_count(3)
    page.click("text=已发送申请 >> nth=0")
    expect(page.locator(".g-leads > li")).to_have_count(2)
    page.fill(".g-leads li:first-child [name=said]", "晚上再加")
    with page.expect_response(lambda answer: "/note/" in answer.url and answer.ok):
        page.press(".g-leads li:first-child [name=said]", "Enter")
    page.click(".g-switch a >> nth=1")
    expect(page.locator(".g-leads > li")).to_have_count(1)
    look(page, "phone_asked", phone_only=True)
    page.click("text=客户已通过")
    expect(page.locator("#modal-content")).to_contain_text("新客户")
    look(page, "phone_person", phone_only=True)
    page.click("#modal-content [data-bs-dismiss] >> nth=0")
    with in_brand(brand):
        assert LeadList.objects.get().again_days == 3
        assert Lead.objects.filter(state="asked", staff=staff).count() == 1
        assert Lead.objects.filter(said="晚上再加").count() == 1
    if SHOTS:  # the same in English
        page.context.add_cookies([{"name": "scrm_language", "value": "en", "url": live_server.url}])
        page.goto(f"{live_server.url}/g/leads/")
        look(page, "en_phone_leads", phone_only=True)
        with in_brand(brand):
            pk = LeadList.objects.get().pk
        enter(page, live_server, make_user(brand, "admin"))
        for path, name in (
            ("leads/", "en_leads"),
            (f"leads/{pk}/", "en_detail"),
            (f"leads/{pk}/give/", "en_give"),
        ):
            page.goto(f"{live_server.url}/{path}")
            look(page, name)
