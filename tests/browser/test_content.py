"""A page of the brand as a customer reads it, and the poster editor, in Chromium."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from content.models import Poster, TrackedLink, Visit
from content.services import links, sensitive
from tests.browser.conftest import be_patient
from tests.content.conftest import MAKER, make_content, make_picture
from tests.content.test_links import PHONE
from tests.content.test_posters import make_poster
from tests.factories import in_brand

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_reading_is_told_and_the_address_is_the_readers_own(
    page: Page, live_server: Any, brand: Any, settings: Any, tmp_path: Any
) -> None:
    settings.MEDIA_ROOT = tmp_path
    with in_brand(brand):
        blocks = [
            {"type": "text", "text": "很久以前\n\n" * 60},
            {"type": "button", "label": "去看看", "url": "https://a.cn"},
        ]
        content = make_content(brand, "故事", "", kind="page", page={"title": "一朵花", "blocks": blocks})
        link: TrackedLink = links.link_of_page(brand, content, by=MAKER)
    browser = page.context.browser
    assert browser is not None
    phone = browser.new_context(user_agent=PHONE, viewport={"width": 390, "height": 844})
    reader = be_patient(phone)
    faults: list[str] = []
    reader.on("pageerror", lambda error: faults.append(str(error)))
    with reader.expect_request("**/beat/"):
        reader.goto(f"{live_server.url}/l/{link.key}/")
        expect(reader.locator("h1")).to_have_text("一朵花")
        assert f"/l/{link.key}/" in reader.url  # what would be passed on
        assert reader.evaluate("document.documentElement.scrollWidth") <= 390
    reader.reload()
    expect(reader.locator("h1")).to_have_text("一朵花")
    phone.close()
    assert faults == []
    with in_brand(brand):
        assert Visit.objects.count() == 1


def test_a_part_of_a_poster_is_dragged(
    page: Page, live_server: Any, brand: Any, sign_in: Any, settings: Any, tmp_path: Any
) -> None:
    settings.MEDIA_ROOT = tmp_path
    with in_brand(brand):
        poster = make_poster(brand, background_id=make_picture(brand, (400, 300), "white").pk)
    key = sign_in(brand, "operator").cookies[settings.SESSION_COOKIE_NAME].value
    page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": key, "url": live_server.url}])
    page.goto(f"{live_server.url}/posters/{poster.pk}/")
    box = page.locator(".poster-part.qr").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 20, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 120, box["y"] + 20)
    page.mouse.up()
    with page.expect_navigation():
        page.click("form[data-poster] button.btn-primary")
    with in_brand(brand):
        assert Poster.objects.get().layout["parts"][0]["x"] > 40


def enter(page: Page, live_server: Any, client: Any, settings: Any) -> None:
    key = client.cookies[settings.SESSION_COOKIE_NAME].value
    page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": key, "url": live_server.url}])


def test_words_are_said_and_pages_are_attached_while_a_broadcast_is_written(
    page: Page, live_server: Any, brand: Any, sign_in: Any, settings: Any
) -> None:
    with in_brand(brand):
        sensitive.add_words(brand, words=["根治"], level="refuse", by=MAKER)
        sensitive.add_words(brand, words=["最好"], level="warn", by=MAKER)
        blocks = [{"type": "text", "text": "洗脸"}]
        item = make_content(brand, "手册", "", kind="page", page={"title": "护肤手册", "blocks": blocks})
        link = links.link_of_page(brand, item, by=MAKER)
    enter(page, live_server, sign_in(brand, "operator"), settings)
    page.goto(f"{live_server.url}/broadcasts/new/")
    said = page.locator("[data-content] .wording")
    page.fill("[data-content] textarea", "最好的面霜")
    expect(said).to_contain_text("最好")
    expect(said.locator(".field-error")).to_have_count(0)
    page.fill("[data-content] textarea", "早上好")
    expect(said).to_be_empty()
    page.click("[data-content] [data-attach-tracked]")
    page.click(f"[data-link-pick*='{link.key}']")
    expect(page.locator("[data-content] .attachment-name")).to_contain_text("护肤手册")
    page.click("[data-content] .attachment-name")  # its title may be another one in this message
    page.fill("[data-content] [data-field=title]", "根治手册")
    page.click("[data-content] [data-attachment-ok]")
    expect(said.locator(".field-error")).to_contain_text("根治")
    page.fill("[name=name]", "上新")
    with page.expect_navigation():
        page.click("#broadcast-form button.btn-primary")
    expect(page.locator("[data-content] .field-error[role=alert]")).to_have_count(1)  # said once, at its text
