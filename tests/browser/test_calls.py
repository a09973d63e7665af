"""The page of calls in Chromium: figures, filters, phone width."""

import json
import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from scrm import clock
from scrm.redis import redis_client
from tests.factories import make_user
from wecom import call_log
from wecom.tasks import flush_calls

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

FAILURES: list[dict[str, Any]] = [
    {"api": "externalcontact/mark_tag", "errcode": 48002, "hint": "1795331296_2_d7581c40"},
    {"api": "externalcontact/get", "errcode": None, "note": "ReadTimeout", "ms": 10_000, "attempt": 2},
    {"api": "externalcontact/get", "errcode": None, "note": "limit", "waited_ms": 1900},
]


def log_calls(brand: Any, corp: Any) -> None:
    now = clock.now().timestamp()
    usual = {"errcode": 0, "note": "", "hint": "", "ms": 30, "waited_ms": 0, "attempt": 1}
    for n in range(300):
        api = ("externalcontact/batch/get_by_user", "externalcontact/get", "message/send")[n % 3]
        line = {**usual, "api": api, "ms": 20 + n % 70, "waited_ms": n % 40}
        given = FAILURES[n % 3] if n % 25 == 0 else {}
        written = call_log.Line(corp_id=corp.pk, at=now - 40 * n, **{**line, **given})
        redis_client().rpush(call_log.key(brand.pk), json.dumps(written))
    flush_calls()


def test_figures_filters_and_phone_width(page: Page, live_server: Any, brand: Any, corp: Any) -> None:
    log_calls(brand, corp)
    user = make_user(brand)
    page.goto(f"{live_server.url}/login/")
    page.fill("[name=username]", user.username)
    page.fill("[name=password]", "pass-12345")
    page.press("[name=password]", "Enter")
    expect(page.locator(".sidebar, nav").first).to_be_visible()
    page.goto(f"{live_server.url}/setup/calls/")
    expect(page.locator("#call-rows tr:not(.more-row)")).to_have_count(50)
    expect(
        page.locator("[data-chart=calls-by-hour] canvas, [data-chart=calls-by-hour] svg").first
    ).to_be_visible()

    page.check("[name=failed]")
    expect(page.locator("#call-rows tr:not(.more-row)")).to_have_count(12)
    expect(page).to_have_url(re.compile("failed=1"))
    expect(
        page.locator("[data-chart=calls-by-hour] canvas, [data-chart=calls-by-hour] svg").first
    ).to_be_visible()
    page.select_option("[name=api]", "externalcontact/mark_tag")
    expect(page.locator("#call-rows")).to_contain_text("48002")
    expect(page.locator("#call-rows")).not_to_contain_text("batch")

    page.goto(f"{live_server.url}/setup/calls/?hours=336")
    page.locator(".more-row button").click()
    expect(page.locator("#call-rows tr:not(.more-row)")).to_have_count(100)
    expect(page.locator(".segmented .active")).to_have_text(re.compile("14"))

    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(f"{live_server.url}/setup/calls/?failed=1")
    expect(page.locator("#call-rows tr").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
