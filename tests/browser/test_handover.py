"""The form of a hand-over in Chromium: receivers found and taken, the preview follows, started and shown; groups; phone
width."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from handover.models import HandoverRun
from tests.factories import in_brand, make_user
from tests.handover.conftest import House, house, sandbox, sandbox_server, wecom

__all__ = ["house", "sandbox", "sandbox_server", "wecom"]
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_hand_over_with_the_mouse_and_the_keyboard(page: Page, live_server: Any, house: House) -> None:
    user = make_user(house.brand)
    page.goto(f"{live_server.url}/login/")
    page.fill("[name=username]", user.username)
    page.fill("[name=password]", "pass-12345")
    page.press("[name=password]", "Enter")
    expect(page.locator(".sidebar, nav").first).to_be_visible()

    page.goto(f"{live_server.url}/handover/new/?from={house.a.pk}")
    expect(page.locator("#preview")).to_contain_text("请至少选择一位接替人")
    search = page.locator(".guide-picker [name=q]")
    search.fill("乙")
    page.locator("[data-add-receiver]", has_text="乙").click()
    expect(page.locator("[data-receiver]")).to_have_count(1)
    expect(page.locator("#preview .handover-share")).to_contain_text("10")
    search.fill("丙")
    expect(page.locator("[data-add-receiver]", has_text="丙")).to_be_visible()
    search.press("Enter")
    expect(page.locator("[data-receiver]")).to_have_count(2)
    expect(page.locator("#preview .handover-share li").first).to_contain_text("5")
    page.fill(f"[name=weight_{house.b.pk}]", "4")
    expect(page.locator("#preview .handover-share li").first).to_contain_text("8")
    page.locator("[data-receiver]", has_text="丙").locator("[data-remove-receiver]").click()
    expect(page.locator("#preview .handover-share li")).to_have_count(1)

    page.locator("#preview button").click()
    page.locator("#confirm-yes").click()
    page.wait_for_url(re.compile(r"/handover/\d+/$"))
    expect(page.locator("#rows tr")).to_have_count(10)
    with in_brand(house.brand):
        run = HandoverRun.objects.get()
    house.make_group("一群", n=3)
    house.sync()

    page.set_viewport_size({"width": 390, "height": 800})
    for path in (
        "/handover/",
        f"/handover/{run.pk}/",
        f"/handover/new/?from={house.a.pk}",
        "/groups/",
        "/codes/links/",
    ):
        page.goto(live_server.url + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
