"""In Chromium: two customers who were taken for one are parted; a sleeping app is told of; a guide notes a wish and takes it
back."""

import os
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from contacts.models import Contact, EventType, Identity
from contacts.services.identity.identity import merge
from contacts.services.timeline import record_event
from org.models import Corp
from scrm import clock
from tests.factories import in_brand, make_contact, make_corp, make_staff, make_user

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
SHOTS = os.environ.get("SHOTS", "")  # a folder: the pages are kept there as pictures


def enter(page: Page, live_server: Any, client: Any, settings: Any) -> Page:
    key = client.cookies[settings.SESSION_COOKIE_NAME].value
    page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": key, "url": live_server.url}])
    return page


def keep(page: Page, name: str) -> None:
    """Nothing sticks out on a phone; pictures of both widths, light and dark, are kept where they are asked for."""
    for width, height in ((390, 780), (1280, 900)):
        page.set_viewport_size({"width": width, "height": height})
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        for scheme in ("light", "dark") if SHOTS else ():
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            page.screenshot(path=Path(SHOTS) / f"{name}-{width}-{scheme}.png", full_page=width == 1280)


def test_not_the_same_person(
    page: Page, live_server: Any, brand: Any, staff: Any, sign_in: Any, settings: Any
) -> None:
    with in_brand(brand):
        kept = make_contact(brand, staff, name="王小明")
        lost = make_contact(brand, make_staff(brand, staff.corp), name="李娜")
        Identity.objects.create(contact=lost, kind="phone", value="13800138000")
        for n in range(3):
            record_event(
                brand, contact_id=lost.pk, type=EventType.NOTE, at=clock.now(), data={"text": f"备注{n}"}
            )
        merge(brand, keep=kept, lose=lost, why={"phone": True})
    enter(page, live_server, sign_in(brand), settings)
    page.goto(f"{live_server.url}/contacts/{kept.pk}/")
    expect(page.get_by_text("合并过的客户记录")).to_be_visible()
    keep(page, "joined")
    page.get_by_role("button", name="不是同一人").click()
    expect(page.locator("#modal-content")).to_contain_text("李娜将恢复为单独的客户")
    keep(page, "part")
    page.locator("#modal-content .btn-primary").click()
    expect(page.locator("#toasts")).to_contain_text("已恢复为两位客户")
    expect(page.get_by_text("合并过的客户记录")).to_have_count(0)
    expect(page.locator("#timeline-box")).to_contain_text("不是同一人")
    page.goto(f"{live_server.url}/contacts/{lost.pk}/")
    expect(page.locator("#timeline-box")).to_contain_text("备注2")
    with in_brand(brand):
        assert Contact.objects.count() == 2


def test_a_sleeping_app_is_told_of(
    page: Page, live_server: Any, brand: Any, sign_in: Any, settings: Any
) -> None:
    with in_brand(brand):
        make_corp(brand, name="花店")
        Corp.objects.update(app_state="asleep", app_state_at=clock.now())
    enter(page, live_server, sign_in(brand), settings)
    page.goto(f"{live_server.url}/contacts/")
    expect(page.get_by_role("alert").first).to_contain_text("企业微信已让花店的应用休眠")
    keep(page, "asleep")


def test_a_wish_by_a_tap(
    page: Page, live_server: Any, brand: Any, staff: Any, sign_in: Any, settings: Any
) -> None:
    with in_brand(brand):
        contact = make_contact(brand, staff, name="林小满")
    enter(page, live_server, sign_in(brand, user=make_user(brand, "guide", staff=staff)), settings)
    page.set_viewport_size({"width": 390, "height": 780})
    page.goto(f"{live_server.url}/g/customers/{contact.pk}/")
    switch = page.locator("#card-head [role=switch]")
    expect(switch).to_have_attribute("aria-checked", "false")
    switch.click()
    expect(switch).to_have_attribute("aria-checked", "true")
    expect(page.locator("#card-head")).to_contain_text("不主动触达")
    keep(page, "wish")
    assert switch.bounding_box()["height"] >= 43.5  # type: ignore[index]
    page.locator(".toast-undo").click()
    expect(switch).to_have_attribute("aria-checked", "false")
    with in_brand(brand):
        assert not Contact.objects.get().do_not_contact
