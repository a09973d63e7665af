"""Group codes in Chromium: the list asks while WeCom is making one, keeps what is looked for, and then rests."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from groups.models import GroupCode
from tests.browser.test_leads import enter, look
from tests.factories import in_brand, make_user
from tests.groups.test_pages import make_chat

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_the_list_rests_when_nothing_waits(
    page: Page, live_server: Any, brand: Any, corp: Any, staff: Any
) -> None:
    with in_brand(brand):
        chat = make_chat(corp, staff, "包裹一群")
        for name in ("门店群", "展会群"):
            GroupCode.objects.create(corp=corp, name=name, state=name, group_ids=[chat.pk])
    enter(page, live_server, make_user(brand, "operator"))
    page.goto(f"{live_server.url}/groups/codes/?q=门店")
    expect(page.locator("#rows")).to_contain_text("门店群")
    look(page, "group_codes")
    with in_brand(brand):
        GroupCode.objects.update(sync_state=GroupCode.Sync.FAILED, sync_error="48002")
    expect(page.locator("#rows")).to_contain_text("48002")
    expect(page.locator("#rows")).not_to_contain_text("展会群")
    expect(page.locator("#rows [hx-trigger]")).to_have_count(0)
    look(page, "group_codes_failed")
