"""The frame in Chromium: live arrivals, keyboard, theme, dialogs, phone width."""

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Dialog, Page, expect

from contacts.models import EventType, Follow
from contacts.services.timeline import record_events
from insights.services import rollups
from org.models import Region, Staff
from scrm import clock
from scrm.navigation import NAVIGATION
from tenants.models import Brand
from tenants.scoping import tenant_scope
from tests.factories import in_brand, make_contact, make_staff, make_user

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def desk(page: Page, live_server: Any, brand: Brand) -> Iterator[Page]:
    """An administrator on the overview, in English."""
    user = make_user(brand)
    page.context.add_cookies([{"name": "scrm_language", "value": "en", "url": live_server.url}])
    page.goto(f"{live_server.url}/login/")
    page.fill("[name=username]", user.username)
    page.fill("[name=password]", "pass-12345")
    page.click("button:has-text('Log in') >> nth=0")
    expect(page.locator("h1")).to_have_text("Overview")
    page.wait_for_load_state()  # a key is lost before the scripts are there
    yield page
    page.goto("about:blank")  # what polls must end before the tables are emptied


def arrive(brand: Brand, guide: Staff, name: str) -> None:
    with in_brand(brand):
        contact = make_contact(brand, guide, name=name)
        Follow.objects.filter(contact=contact).update(added_at=clock.now())
        row = {"contact_id": contact.pk, "type": EventType.ADDED, "at": clock.now(), "staff_id": guide.pk}
        record_events(brand, [row])  # type: ignore[list-item]


def test_arrivals_appear_by_themselves(desk: Page, brand: Brand, staff: Staff) -> None:
    expect(desk.get_by_text("Nobody yet")).to_be_visible()
    arrive(brand, staff, "扫码的客户")
    expect(desk.locator("#arrivals li")).to_have_count(1)
    expect(desk.locator("#arrivals")).to_contain_text("扫码的客户")
    expect(desk.get_by_text("Nobody yet")).to_be_hidden()
    for n in range(13):
        arrive(brand, staff, f"后来的{n}")
    expect(desk.locator("#arrivals")).to_contain_text("后来的12")
    expect(desk.locator("#arrivals li")).to_have_count(12)  # what is older has gone
    expect(desk.locator("#arrivals li").first).to_contain_text("后来的12")
    expect(desk.locator("#today .stat-value").first).to_have_text("14")


def test_charts_are_drawn_and_can_be_read_as_tables(desk: Page, brand: Brand, staff: Staff) -> None:
    arrive(brand, staff, "客户")
    with tenant_scope(brand):
        until = time.monotonic() + 60
        while not rollups.run(brand) and time.monotonic() < until:  # a request of the page may still be open
            desk.wait_for_timeout(50)
    desk.reload()
    box = desk.locator("[data-chart=by-day]")
    expect(box.locator("canvas")).to_be_visible()
    light = box.locator("canvas").evaluate("c => c.toDataURL()")
    desk.click("[aria-label=Account]")
    desk.click("[data-theme-set=dark]")
    expect(desk.locator("html")).to_have_attribute("data-bs-theme", "dark")
    assert box.locator("canvas").evaluate("c => c.toDataURL()") != light
    desk.keyboard.press("Escape")
    desk.click("[data-chart-table=by-day]")
    expect(box.locator("tr")).to_have_count(31)
    with desk.expect_download() as download:
        desk.click("[data-chart-download=by-day]")
    assert download.value.suggested_filename == "by-day.csv"
    desk.reload()
    expect(desk.locator("html")).to_have_attribute("data-bs-theme", "dark")


def test_keyboard(desk: Page) -> None:
    desk.keyboard.press("/")
    expect(desk.locator("#global-search")).to_be_focused()
    desk.keyboard.press("Escape")
    desk.keyboard.press("?")
    expect(desk.locator("#shortcuts")).to_be_visible()
    desk.keyboard.press("Escape")
    expect(desk.locator("#shortcuts")).to_be_hidden()
    desk.keyboard.press("g")
    desk.keyboard.press("c")
    expect(desk.locator("h1")).to_have_text("Contacts")


def test_dialogs(desk: Page, live_server: Any, brand: Brand) -> None:
    """A form in the modal with an error and without, a confirmation refused and given, the notices."""
    with in_brand(brand):
        Region.objects.create(name="Taken")
    desk.goto(f"{live_server.url}/staff/places/")
    desk.click("text=New region")
    desk.fill("#modal [name=name]", "Taken")
    desk.click("#modal >> text=Save")
    expect(desk.locator("#modal .field-error")).to_have_text("This name is taken")
    desk.fill("#modal [name=name]", "East")
    desk.click("#modal >> text=Save")
    expect(desk.locator("#toasts")).to_contain_text("Saved")
    desk.click("[aria-label='Delete: East']")
    desk.click("#confirm >> text=Cancel")
    expect(desk.locator("#confirm")).to_be_hidden()
    with in_brand(brand):
        assert Region.objects.count() == 2
    desk.click("[aria-label='Delete: East']")
    desk.click("#confirm-yes")
    expect(desk.locator("#toasts")).to_contain_text("Deleted")
    with in_brand(brand):
        assert [region.name for region in Region.objects.all()] == ["Taken"]


def test_whoever_closes_a_dialog_is_back_where_they_were(desk: Page, live_server: Any, brand: Brand) -> None:
    with in_brand(brand):
        Region.objects.create(name="East")
    desk.goto(f"{live_server.url}/staff/places/")
    for opener, dialog in (("text=New region", "#modal"), ("[aria-label='Delete: East']", "#confirm")):
        desk.locator(opener).focus()
        desk.keyboard.press("Enter")
        expect(desk.locator(dialog)).to_be_visible()
        desk.wait_for_function(f"document.querySelector('{dialog}').contains(document.activeElement)")
        desk.keyboard.press("Escape")
        expect(desk.locator(dialog)).to_be_hidden()
        expect(desk.locator(opener)).to_be_focused()


def test_a_confirmed_form_is_sent_once(desk: Page, live_server: Any, brand: Brand) -> None:
    colleague = make_user(brand, "guide")
    with in_brand(brand):
        staff = Staff.objects.get(user_id=colleague.pk)
    desk.goto(f"{live_server.url}/staff/{staff.pk}/")
    desk.click("button:has-text('New password')")
    desk.click("#confirm-yes")
    expect(desk.locator(".secret-box code")).to_be_visible()


def test_lists_load_more_and_filter(desk: Page, live_server: Any, brand: Brand, corp: Any) -> None:
    with in_brand(brand):
        for n in range(60):
            make_staff(brand, corp, name=f"guide {n:02}")
    desk.goto(f"{live_server.url}/staff/")
    rows = desk.locator("#staff-rows tr[data-href]")
    expect(rows).to_have_count(50)
    desk.click("text=Load more")
    expect(rows).to_have_count(61)
    desk.fill("#staff-rows >> xpath=//ancestor::main//input[@name='q']", "guide 07")
    expect(rows).to_have_count(1)
    expect(desk).to_have_url(re.compile(r"q=guide(\+|%20)07"))
    rows.first.click()
    expect(desk.locator("h1")).to_have_text("guide 07")


def test_phone_width(desk: Page, live_server: Any, brand: Brand, staff: Staff) -> None:
    arrive(brand, staff, "一个名字很长很长很长很长很长很长很长很长很长很长的客户")
    desk.set_viewport_size({"width": 390, "height": 844})
    paths = [entry["url"] for entry in NAVIGATION]
    paths += ["/staff/roles/", "/staff/places/", f"/staff/{staff.pk}/", "/settings/keys/", "/account/"]
    for path in paths:
        desk.goto(f"{live_server.url}{path}")
        assert desk.evaluate("document.documentElement.scrollWidth") <= 390, path
    expect(desk.locator("#sidebar")).not_to_be_in_viewport()
    desk.click(".topbar [aria-label=Navigation]")
    expect(desk.locator("#sidebar")).to_be_in_viewport()
    desk.click("#sidebar >> text=Audit log")
    expect(desk.locator("h1")).to_have_text("Audit log")


def test_an_ended_session_leads_to_the_log_in_page(desk: Page) -> None:
    desk.context.clear_cookies(name="scrm_session")
    desk.wait_for_url("**/login/")  # the next poll brings it there


def test_leaving_an_unsaved_form_asks_first(desk: Page) -> None:
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    desk.on("dialog", stay)
    desk.click('.sidebar-link[href="/broadcasts/"]')  # nothing was written on the overview
    desk.wait_for_url("**/broadcasts/")
    desk.goto(desk.url.rstrip("/") + "/new/")
    desk.click("[name=name]")
    desk.keyboard.type("Half a broadcast")
    with desk.expect_event("dialog"):
        desk.click('.sidebar-link[href="/contacts/"]', no_wait_after=True)
    expect(desk.locator("[name=name]")).to_have_value("Half a broadcast")
    desk.click(
        "#broadcast-form .btn-primary"
    )  # refused: there is no text; what was typed stays, and is still guarded
    expect(desk.locator(".alert-danger, .field-error:visible").first).to_be_visible()
    expect(desk.locator("[name=name]")).to_have_value("Half a broadcast")
    desk.click("[name=name]")
    with desk.expect_event("dialog"):
        desk.click('.sidebar-link[href="/contacts/"]', no_wait_after=True)
    expect(desk.locator("[name=name]")).to_be_visible()
    desk.remove_listener("dialog", stay)
    assert asked == ["beforeunload", "beforeunload"]
