"""A long choice of segments is searched, by keys and by mouse, where it stands in a page and where a row is added."""

import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from campaigns.models import Broadcast, Wave
from org.access import SYSTEM
from scrm import clock
from tagging.services.segments import segments
from tests.factories import in_brand, make_contact

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
SHOTS = os.environ.get("SHOTS")  # a folder: pictures of the pages on the way


def shoot(page: Page, name: str) -> None:
    if SHOTS:
        page.screenshot(path=str(Path(SHOTS) / f"{name}.png"))


def test_a_segment_is_searched(
    page: Page, live_server: Any, brand: Any, staff: Any, sign_in: Any, settings: Any
) -> None:
    with in_brand(brand):
        ids = [make_contact(brand, staff).pk]
        made = {
            name: segments.create_list(brand, by=SYSTEM, name=name, contact_ids=ids).pk
            for name in [*(f"会员日{n:02}" for n in range(1, 25)), "加购 未下单", "VIP Gold"]
        }
    key = sign_in(brand, "operator").cookies[settings.SESSION_COOKIE_NAME].value
    page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": key, "url": live_server.url}])

    page.goto(f"{live_server.url}/broadcasts/new/")
    page.fill("[name=name]", "春上新")
    select = page.locator("select[name=audience]")
    field = page.locator(".search-select:has(select[name=audience]) [role=combobox]")
    options = page.locator(".search-select:has(select[name=audience]) [role=option]")
    field.focus()
    expect(options).to_have_count(0)  # a focus alone opens nothing
    field.press("ArrowDown")
    expect(field).to_have_attribute("aria-expanded", "true")
    expect(options).to_have_count(27)  # and everybody
    field.fill("未下单 加购")
    expect(options).to_have_count(1)
    shoot(page, "search")
    field.press("Enter")
    expect(select).to_have_value(str(made["加购 未下单"]))
    assert page.url.endswith("/broadcasts/new/")  # the form is not sent
    field.fill("vip")
    field.press("Escape")
    expect(select).to_have_value(str(made["加购 未下单"]))  # nothing is chosen by leaving
    expect(field).to_have_value("加购 未下单 · 1")
    field.fill("会员日")
    expect(options).to_have_count(24)
    for _ in range(3):
        field.press("ArrowDown")
    field.press("ArrowUp")
    field.press("Enter")
    expect(select).to_have_value(str(made["会员日03"]))
    field.fill("没有这个")
    expect(options).to_have_count(0)
    field.press("Tab")
    expect(select).to_have_value(str(made["会员日03"]))

    page.click("#add-wave")  # a row that comes later
    wave = page.locator("[data-wave]").last
    wave.locator("[role=combobox]").click()
    wave.locator("[role=option]", has_text="VIP Gold").click()
    expect(wave.locator("select[name=segment]")).to_have_value(str(made["VIP Gold"]))
    page.locator("[data-content] [name=text]").first.fill("新品到店")
    wave.locator("[name=at]").fill(f"{clock.now() + timedelta(days=2):%Y-%m-%dT%H:%M}")
    page.set_viewport_size({"width": 390, "height": 844})
    field.click()
    shoot(page, "search-phone")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    field.press("Escape")
    page.locator(".form-actions .btn-primary").click()
    page.wait_for_url(re.compile(r"/broadcasts/\d+/$"))
    with in_brand(brand):
        draft = Broadcast.objects.get()
        assert draft.audience == {"segment": made["会员日03"]}
        assert str(made["VIP Gold"]) in str(
            Wave.objects.filter(broadcast=draft).order_by("n").last().condition
        )  # type: ignore[union-attr]


def test_short_choices_stay_as_they_are(
    page: Page, live_server: Any, brand: Any, staff: Any, sign_in: Any, settings: Any
) -> None:
    with in_brand(brand):
        segments.create_list(brand, by=SYSTEM, name="加购", contact_ids=[make_contact(brand, staff).pk])
    key = sign_in(brand, "operator").cookies[settings.SESSION_COOKIE_NAME].value
    page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": key, "url": live_server.url}])
    page.goto(f"{live_server.url}/broadcasts/new/")
    expect(page.locator("select[name=audience]")).to_be_visible()
    expect(page.locator("[role=combobox]")).to_have_count(0)
