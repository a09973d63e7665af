"""A form in Chromium: put together in the page's editor, answered on a phone, its results."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from content.models import FormAnswer, TrackedLink
from tests.browser.conftest import be_patient
from tests.factories import in_brand

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_asked_and_answered(page: Page, live_server: Any, brand: Any, sign_in: Any, settings: Any) -> None:
    key = sign_in(brand, "operator").cookies[settings.SESSION_COOKIE_NAME].value
    page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": key, "url": live_server.url}])
    page.goto(f"{live_server.url}/content/new/?kind=page")
    page.fill("[name=name]", "会员小问卷")
    page.fill("[data-page-field=title]", "说说你的肤质")
    page.click("[data-add=form]")
    first = page.locator(".question-edit").first
    first.locator("input.form-control").fill("你的肤质")
    first.locator("textarea").fill("干性\n油性\n混合")
    page.click("text=+ 题目")
    second = page.locator(".question-edit").nth(1)
    expect(second.locator("input.form-control")).to_be_focused()
    second.locator("input.form-control").fill("给我们打分")
    second.locator("select").first.select_option("rating")
    expect(page.locator("#page-preview .stars")).to_be_visible()
    page.click("[data-page-editor] .btn-primary")
    page.wait_for_url(re.compile(r"/content/\d+/"))
    with in_brand(brand):
        link = TrackedLink.objects.get()
    # a customer's phone
    assert page.context.browser
    phone = page.context.browser.new_context(
        viewport={"width": 390, "height": 844}, user_agent="Mozilla/5.0 (Linux; Android 14) Mobile"
    )
    reader = be_patient(phone)
    reader.goto(f"{live_server.url}/l/{link.key}/")
    reader.click("form button")
    expect(reader.locator(".wrong")).to_have_count(1)  # the first has to be answered
    reader.click("label:has-text('混合')")
    reader.locator(".stars label").nth(3).click()
    assert reader.evaluate("document.documentElement.scrollWidth") <= 390
    reader.click("form button")
    expect(reader.locator(".form-done")).to_be_visible()
    phone.close()
    with in_brand(brand):
        assert FormAnswer.objects.get().answers == {"q1": "混合", "q2": 4}
    page.click("text=答卷")
    expect(page.locator("main")).to_contain_text("混合")
