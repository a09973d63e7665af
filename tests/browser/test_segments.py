"""The builder of segments in Chromium: conditions put together, counted while edited, undone, saved; phone width."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tagging.models import Segment
from tagging.services.tags import add_tags
from tests.factories import in_brand, make_contact, make_tag

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def signed_in(page: Page, live_server: Any, brand: Any, staff: Any, sign_in: Any, settings: Any) -> Page:
    with in_brand(brand):
        people = [make_contact(brand, staff, name=f"王小{n}") for n in "明美丽强"]
        tag = make_tag(brand, "宝妈")
        add_tags(brand, contacts=people[:3], tags=[tag.pk], source="page")
    key = sign_in(brand, "operator").cookies[settings.SESSION_COOKIE_NAME].value
    page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": key, "url": live_server.url}])
    return page


def test_build_count_undo_save(signed_in: Page, live_server: Any, brand: Any) -> None:
    page = signed_in
    page.goto(f"{live_server.url}/segments/new/")
    page.locator(".builder-add button").first.click()
    page.locator(".builder-chooser input").first.click()
    page.click(".builder-choice:has-text('宝妈')")
    expect(page.locator(".builder-count")).to_have_text("3")
    expect(page.locator(".builder-sentence")).to_contain_text("宝妈")
    page.locator(".builder-leaf .builder-not input").check()
    expect(page.locator(".builder-count")).to_have_text("1")
    page.click(".builder-undo")
    expect(page.locator(".builder-count")).to_have_text("3")
    page.click(".builder-redo")
    expect(page.locator(".builder-count")).to_have_text("1")
    page.click(".builder-undo")
    # a group of its own, empty: said where it is wrong
    page.locator(".builder-add button").nth(1).click()
    expect(page.locator(".field-error")).to_be_visible()
    page.click(".builder-undo")
    expect(page.locator(".builder-count")).to_have_text("3")
    page.fill("[name=name]", "宝妈们")
    page.click("#segment-form .btn-primary")
    page.wait_for_url("**/segments/*/")
    with in_brand(brand):
        segment = Segment.objects.get()
        assert segment.name == "宝妈们" and segment.condition["all"][0]["kind"] == "tags"
    page.fill("[name=contact]", "王小强")
    page.locator("form:has([name=contact]) button").click()
    expect(page.locator("#why .fails").first).to_be_visible()


def test_moved_by_keys_on_a_phone(signed_in: Page, live_server: Any) -> None:
    page = signed_in
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{live_server.url}/segments/new/?template=cart_not_bought")
    first = page.locator(".builder-items > div").first
    expect(first).to_be_visible()
    before = first.inner_text()
    page.locator(".builder-items .builder-handle").first.focus()
    page.keyboard.press("Alt+ArrowDown")
    expect(page.locator(".builder-items > div").first).not_to_have_text(before)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_by_keyboard_and_without_lost_clicks(signed_in: Page, live_server: Any) -> None:
    page = signed_in
    page.goto(f"{live_server.url}/segments/new/")
    page.locator(".builder-add button").first.click()
    expect(page.locator(".builder-leaf")).to_have_count(1)
    expect(page.locator(".builder .field-error")).to_have_count(0)  # nobody has filled it in yet
    search = page.locator(".builder-chooser input")
    search.focus()
    page.keyboard.type("宝妈")
    expect(page.locator(".builder-choice")).to_have_count(1)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator(".builder-chooser .chip")).to_contain_text("宝妈")
    expect(page.locator(".builder-count")).to_have_text("3")
    assert page.url.endswith("/segments/new/")  # Enter has not sent the form
    expect(search).to_be_focused()
    page.keyboard.press("Escape")
    # a number is typed, and one click adds the next condition
    page.locator(".builder-leaf select").first.select_option("orders")
    number = page.locator(".builder-leaf input[type=number]").first
    number.fill("7")
    page.locator(".builder-add button").first.click()
    expect(page.locator(".builder-leaf")).to_have_count(2)
    expect(page.locator(".builder-leaf input[type=number]").first).to_have_value("7")


def test_what_a_link_and_a_message_did(signed_in: Page, live_server: Any, brand: Any) -> None:
    """An event shows the choice of what it may be about and no other; messages are asked by broadcast and result."""
    from campaigns.models import Broadcast, Touch
    from contacts.models import Contact, EventType
    from contacts.services.timeline import record_event
    from content.models import TrackedLink
    from scrm import clock

    with in_brand(brand):
        link = TrackedLink.objects.create(key="k1", name="新品册", url="https://example.com/")
        someone = Contact.objects.order_by("pk")[0].pk
        record_event(brand, contact_id=someone, type=EventType.OPENED, at=clock.now(), object_id=link.pk)
        for contact, word in zip(Contact.objects.order_by("pk")[:2], ("退款", "发货"), strict=True):
            record_event(
                brand,
                contact_id=contact.pk,
                type=EventType.WORD_SAID,
                at=clock.now(),
                source="api",
                data={"word": word},
            )
        cast = Broadcast.objects.create(name="秋季上新")
        Touch.objects.create(at=clock.now(), kind=1, contact_id=someone, state=Touch.State.DELIVERED)
    page = signed_in
    page.goto(f"{live_server.url}/segments/new/")
    page.locator(".builder-add button").first.click()
    leaf = page.locator(".builder-leaf")
    leaf.locator("select").first.select_option("event")
    expect(leaf.locator(".builder-chooser")).to_have_count(0)
    leaf.locator("select").nth(1).select_option("content_opened")
    expect(leaf.locator(".builder-chooser")).to_have_count(1)
    leaf.locator(".builder-chooser input").click()
    page.click(".builder-choice:has-text('新品册')")
    expect(page.locator(".builder-count")).to_have_text("1")
    expect(page.locator(".builder-sentence")).to_contain_text("新品册")
    leaf.locator("select").nth(1).select_option("word_said")  # a link does not stay chosen where none can be
    expect(leaf.locator(".chip")).to_have_count(0)
    leaf.locator(".builder-chooser input").click()
    page.keyboard.type("退款")
    page.click(".builder-choice:has-text('退款')")
    expect(page.locator(".builder-count")).to_have_text("1")
    page.keyboard.press("Escape")
    page.click(".builder-undo")
    page.click(".builder-undo")
    expect(leaf.locator(".chip")).to_contain_text("新品册")  # the event before, with its link
    leaf.locator("select").nth(1).select_option("word_said")
    leaf.locator("select").first.select_option("touch")
    expect(page.locator(".builder-count")).to_have_text("1")
    leaf.locator(".builder-chooser input").last.click()
    page.click(".builder-choice:has-text('秋季上新')")
    expect(page.locator(".builder-count")).to_have_text("0")
    assert cast.name in page.locator(".builder-sentence").inner_text()
