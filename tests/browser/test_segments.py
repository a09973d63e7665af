"""The builder of segments in Chromium: conditions put together, counted while edited, undone, saved; phone width."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from contacts.services.search import refresh_grams
from tagging.models import Segment
from tagging.services.tags.tags import add_tags
from tests.factories import in_brand, make_contact, make_tag

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def signed_in(page: Page, live_server: Any, brand: Any, staff: Any, sign_in: Any, settings: Any) -> Page:
    with in_brand(brand):
        people = [make_contact(brand, staff, name=f"王小{n}") for n in "明美丽强"]
        refresh_grams(brand, [contact.pk for contact in people])
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
    page.wait_for_url(re.compile(r"/segments/\d+/$"))
    with in_brand(brand):
        segment = Segment.objects.get()
        assert segment.name == "宝妈们" and segment.condition["all"][0]["kind"] == "tags"
    page.fill("[name=contact]", "王小强")
    page.locator("form:has([name=contact]) button").click()
    expect(page.locator("#why .fails").first).to_be_visible()


def test_what_a_new_condition_shows_is_what_it_asks(signed_in: Page, live_server: Any) -> None:
    """Nobody has to type a number or choose a span again that stands there already."""
    page = signed_in
    page.goto(f"{live_server.url}/segments/new/")
    page.locator(".builder-add button").first.click()
    page.locator(".builder-leaf select").first.select_option("number")
    page.locator(".builder-leaf select").nth(1).select_option("n_orders")
    expect(page.locator(".builder-leaf input[type=number]")).to_have_value("1")
    expect(page.locator(".builder-count")).to_have_text("0")
    page.locator(".builder-leaf select").first.select_option("added")
    expect(page.locator(".builder-leaf input[type=number]")).to_have_value("7")
    expect(page.locator(".builder-count")).to_have_text("4")
    expect(page.locator(".field-error")).to_have_count(0)
    page.click(".builder-undo")
    expect(page.locator(".builder-count")).to_have_text("0")


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
    add = page.locator(".builder-add button").first
    add.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".builder-leaf select").first).to_be_focused()  # what one has just added
    page.locator(".builder-remove").focus()
    page.keyboard.press("Enter")
    expect(add).to_be_focused()  # it is gone: the next one may come
    add.click()
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
    expect(page.locator(".builder-sentence")).to_contain_text(cast.name)


def test_money_is_asked_in_yuan(signed_in: Page, live_server: Any, brand: Any) -> None:
    """The server counts fen; nobody who looks for 1,000 yuan gets whoever has spent ten."""
    page = signed_in
    page.goto(f"{live_server.url}/segments/new/")
    page.locator(".builder-add button").first.click()
    leaf = page.locator(".builder-leaf")
    leaf.locator("select").first.select_option("orders")
    leaf.locator("input[type=number]").first.fill("3")
    leaf.locator("select").nth(1).select_option("sum")  # three orders become three yuan, not three fen
    expect(leaf.locator("input[type=number]").first).to_have_value("3")
    expect(leaf).to_contain_text("元")
    expect(page.locator(".builder-sentence")).to_contain_text("¥3")
    leaf.locator("input[type=number]").first.fill("1000.5")
    page.keyboard.press("Tab")
    expect(page.locator(".builder-sentence")).to_contain_text("¥1,000.50")
    page.click(".builder-undo")
    expect(leaf.locator("input[type=number]").first).to_have_value("3")
    leaf.locator("select").nth(1).select_option("count")
    expect(leaf.locator("input[type=number]").first).to_have_value("3")
    leaf.locator("select").first.select_option("number")
    leaf.locator("select").nth(1).select_option("spent_fen")
    expect(leaf.locator("input[type=number]")).to_have_value("1")
    leaf.locator("select").nth(2).select_option("between")
    leaf.locator("input[type=number]").last.fill("200")
    page.keyboard.press("Tab")
    expect(page.locator(".builder-sentence")).to_contain_text("¥200")
    page.fill("[name=name]", "花过一点钱")
    page.click("#segment-form .btn-primary")
    page.wait_for_url(re.compile(r"/segments/\d+/$"))
    with in_brand(brand):
        (kept,) = Segment.objects.get().condition["all"]
    assert (kept["measure"], kept["compare"]) == ("spent_fen", {"op": "between", "value": 100, "to": 20000})
    page.goto(f"{page.url}edit/")
    expect(page.locator(".builder-leaf input[type=number]").last).to_have_value("200")


def test_into_a_group_and_out_by_keys(signed_in: Page, live_server: Any) -> None:
    page = signed_in
    page.goto(f"{live_server.url}/segments/new/")
    page.locator(".builder-add button").first.click()
    page.locator(".builder-leaf select").first.select_option("named")
    page.locator(".builder-add button").last.click()  # a group behind it
    inner = page.locator(".builder-group .builder-group")
    expect(inner).to_have_count(1)
    page.locator(".builder-leaf .builder-handle").focus()
    page.keyboard.press("Alt+ArrowRight")
    expect(inner.locator(".builder-leaf")).to_have_count(1)
    expect(inner.locator(".builder-leaf .builder-handle")).to_be_focused()
    expect(page.locator(".builder-count")).to_have_text("4")
    page.keyboard.press("Alt+ArrowLeft")
    expect(inner.locator(".builder-leaf")).to_have_count(0)
    expect(page.locator(".builder-leaf .builder-handle")).to_be_focused()
    page.keyboard.press("Alt+ArrowLeft")  # there is nothing further out
    expect(page.locator(".builder-leaf")).to_have_count(1)
    page.click(".builder-undo")
    expect(inner.locator(".builder-leaf")).to_have_count(1)


def test_choices_are_those_of_the_last_word(signed_in: Page, live_server: Any) -> None:
    """The list of the empty field is answered after the one of what was typed."""
    page, held = signed_in, []
    page.route("**/choices/?source=tags&q=", lambda route: held.append(route))
    page.goto(f"{live_server.url}/segments/new/")
    page.locator(".builder-add button").first.click()
    page.locator(".builder-leaf select").first.select_option("tags")
    page.locator(".builder-chooser input").fill("没有这个标签")
    expect(page.locator(".builder-choices")).to_contain_text("没有找到")
    assert held
    with page.expect_response("**/choices/?source=tags&q="):
        for route in held:
            route.continue_()
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    expect(page.locator(".builder-choices")).to_contain_text("没有找到")


def test_a_number_that_could_not_be_had_does_not_stay(signed_in: Page, live_server: Any) -> None:
    page = signed_in
    page.goto(f"{live_server.url}/segments/new/")
    page.locator(".builder-add button").first.click()
    page.locator(".builder-leaf select").first.select_option("named")
    expect(page.locator(".builder-count")).to_have_text("4")
    page.route("**/segments/count/", lambda route: route.fulfill(body="<html>请登录</html>"))
    page.locator(".builder-leaf .builder-not input").check()
    expect(page.locator(".builder-count")).to_have_text("—")
    expect(page.locator(".builder-sentence")).to_contain_text("无法统计")
    page.unroute("**/segments/count/")
    page.locator(".builder-leaf .builder-not input").uncheck()
    expect(page.locator(".builder-count")).to_have_text("4")
    expect(page.locator(".builder-count.is-stale")).to_have_count(0)
    page.locator(".builder-leaf select").first.select_option("tags")
    page.locator(".builder-chooser input").fill("没有这个标签")
    expect(page.locator(".builder-choices")).to_contain_text("没有找到")


def test_which_condition_keeps_the_number_away(signed_in: Page, live_server: Any) -> None:
    """Of several, one that is not filled in yet: it is named beside the count and marked, without a reproach at its field."""
    page = signed_in
    page.goto(f"{live_server.url}/segments/new/")
    page.locator(".builder-add button").first.click()
    page.locator(".builder-leaf select").first.select_option("named")
    expect(page.locator(".builder-count")).to_have_text("4")
    page.locator(".builder-add button").first.click()
    second = page.locator(".builder-leaf").nth(1)
    expect(page.locator(".builder-count")).to_have_text("—")
    label = second.locator("select").first.locator("option:checked").inner_text()
    expect(page.locator(".builder-sentence")).to_contain_text(f"{label}: ")
    expect(page.locator(".builder-leaf.is-wrong")).to_have_count(1)
    expect(second).to_have_class("builder-leaf is-wrong")
    expect(page.locator(".builder .field-error")).to_have_count(0)
    second.locator("select").nth(1).select_option("all")  # begun, and still without a tag
    expect(second.locator(".field-error")).to_be_visible()
    second.locator(".builder-not input").check()  # with the focus in it: said of a negated one as well
    expect(page.locator(".builder-sentence")).to_contain_text(f"{label}: ")
    expect(second.locator(".field-error")).to_be_visible()
    page.locator(".builder-remove").last.click()
    expect(page.locator(".builder-count")).to_have_text("4")
    expect(page.locator(".is-wrong")).to_have_count(0)
