"""The contact list and the 360° page in Chromium: filters, columns, acts on many, timeline that moves; phone width."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from contacts.models import Contact, EventType
from contacts.services.search import refresh_grams
from contacts.services.timeline import record_event
from org.access import SYSTEM
from scrm import clock
from tagging.models import ContactTag, Tag
from tagging.services.segments import segments
from tagging.services.tags.tags import add_tags
from tests.factories import in_brand, make_contact, make_tag

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def people(brand: Any, staff: Any) -> list[Contact]:
    with in_brand(brand):
        rows = [make_contact(brand, staff, name=f"王小{n}") for n in "明美丽"]
        make_tag(brand, "金卡"), make_tag(brand, "银卡")
        refresh_grams(brand, [c.pk for c in rows])
    return rows


@pytest.fixture
def signed_in(page: Page, live_server: Any, brand: Any, people: Any, sign_in: Any, settings: Any) -> Page:
    key = sign_in(brand, "operator").cookies[settings.SESSION_COOKIE_NAME].value
    page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": key, "url": live_server.url}])
    return page


def test_find_tick_and_tag(signed_in: Page, live_server: Any, brand: Any, people: Any) -> None:
    page, rows = signed_in, signed_in.locator("#list tbody tr[data-href]")
    page.goto(f"{live_server.url}/contacts/")
    expect(rows).to_have_count(3)
    expect(page.locator(".list-count")).to_contain_text("3")
    page.fill("#contact-filters [name=q]", "小美")
    expect(rows).to_have_count(1)
    page.wait_for_url("**q=**")
    page.fill("#contact-filters [name=q]", "")
    expect(rows).to_have_count(3)

    rows.nth(0).locator("[name=ids]").check()
    rows.nth(1).locator("[name=ids]").check()
    page.click("#bulk-bar [hx-get*='/bulk/tag/']")
    expect(page.locator("#modal-content [data-bulk-words]")).to_contain_text("2")
    page.click("#modal-content .chip:has-text('金卡')")
    page.click("#modal-content .btn-primary")
    expect(rows.locator(".chip:has-text('金卡')")).to_have_count(2)
    expect(page.locator("#bulk-bar")).to_be_hidden()
    with in_brand(brand):
        assert set(ContactTag.objects.values_list("contact_id", flat=True)) == {people[1].pk, people[2].pk}

    page.click("[hx-get*='/contacts/filters/']")
    page.click("#more-filters .chip:has-text('金卡')")
    page.click("[form=more-filters]")
    expect(rows).to_have_count(2)
    page.wait_for_url("**tag=**")  # loaded whole: its rows are there before its scripts are
    page.select_option("#contact-filters [name=state]", "lost")  # the drawer's filter stays with it
    expect(rows).to_have_count(0)
    page.select_option("#contact-filters [name=state]", "")
    expect(rows).to_have_count(2)
    page.click(".list-bar .chip a")
    page.wait_for_url(lambda url: "tag=" not in url)
    expect(rows).to_have_count(3)

    page.click(".list-head [data-bs-toggle=dropdown]")
    with page.expect_response("**/columns/"):  # it is kept, also for the next time
        page.click(".columns-menu [value=tags]")
    expect(page.locator("#list .chip")).to_have_count(0)
    page.reload()
    expect(rows).to_have_count(3)
    expect(page.locator("#list .chip")).to_have_count(0)


def test_a_contact_and_its_moving_timeline(
    signed_in: Page, live_server: Any, brand: Any, people: Any
) -> None:
    page, lines = signed_in, signed_in.locator(".timeline-line")
    page.goto(f"{live_server.url}/contacts/{people[0].pk}/")
    page.fill(".note-form textarea", "要一份样品")
    page.click(".note-form button")
    expect(lines.first).to_contain_text("要一份样品")
    page.click("#dnc button")
    page.click("#confirm-yes")
    expect(page.locator("#dnc [aria-checked=true]")).to_be_visible()
    expect(lines).to_have_count(2)
    page.click("#tag-card [hx-get*='/tags/']")
    page.click("#modal-content .chip:has-text('银卡')")
    page.click("#modal-content .btn-primary")
    expect(page.locator("#tag-card .chip")).to_have_count(1)
    expect(lines.first).to_contain_text("银卡")
    page.click("#tag-card .chip-x")
    expect(page.locator("#tag-card .chip")).to_have_count(0)
    expect(lines).to_have_count(4)
    with in_brand(brand):  # something happens elsewhere: the page asks by itself
        record_event(
            brand, contact_id=people[0].pk, type=EventType.NOTE, at=clock.now(), data={"text": "刚刚来过"}
        )
    expect(lines.first).to_contain_text("刚刚来过")  # it asks every five seconds
    page.click(".timeline-filter [hx-get$='kind=tags']")
    expect(lines).to_have_count(2)


def test_phone_width(signed_in: Page, live_server: Any, people: Any) -> None:
    page = signed_in
    page.set_viewport_size({"width": 390, "height": 844})
    for path in ("/contacts/", f"/contacts/{people[0].pk}/", "/tags/"):
        page.goto(live_server.url + path)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path


def test_from_a_segment_to_its_customers(signed_in: Page, live_server: Any, brand: Any, people: Any) -> None:
    """The segment's link, the drawer by keys, a range by Shift, everybody who matches; on a phone nothing sticks out."""
    page, rows = signed_in, signed_in.locator("#list tbody tr[data-href]")
    with in_brand(brand):
        gold = Tag.objects.get(name="金卡")
        add_tags(brand, contacts=people[:2], tags=[gold], source="page")
        condition = {"all": [{"kind": "tags", "ids": [gold.pk]}]}
        segment = segments.create_segment(brand, by=SYSTEM, name="金卡客户", condition=condition)
        for n in range(8):  # enough to be searched
            segments.create_list(brand, by=SYSTEM, name=f"名单{n}", contact_ids=[people[2].pk] if n else [])
    page.goto(f"{live_server.url}/segments/{segment.pk}/")
    page.click(f"[href='/contacts/?segment={segment.pk}']")
    expect(rows).to_have_count(2)
    expect(page.locator(".list-count")).to_contain_text("2")
    expect(page.locator(".list-bar .chip")).to_contain_text("金卡客户")
    page.fill("#contact-filters [name=q]", "小美")  # together with what the page itself filters
    expect(rows).to_have_count(1)
    page.fill("#contact-filters [name=q]", "")
    expect(rows).to_have_count(2)

    rows.nth(0).locator("[name=ids]").check()
    rows.nth(1).locator("[name=ids]").click(modifiers=["Shift"])
    expect(page.locator("#bulk-bar > b")).to_contain_text("2")
    page.check("#everybody")
    page.click("#bulk-bar [hx-get*='/bulk/dnc/']")
    expect(page.locator("#modal-content [data-bulk-words]")).to_contain_text("2")
    page.click("#modal-content .btn-primary")
    expect(page.locator("#modal-content [data-job-state=done]")).to_be_visible()
    with in_brand(brand):
        marked = Contact.objects.filter(do_not_contact=True).values_list("pk", flat=True)
        assert set(marked) == {people[0].pk, people[1].pk}

    page.goto(f"{live_server.url}/contacts/?segment={segment.pk}")
    page.locator("[hx-get*='/contacts/filters/']").press("Enter")
    expect(page.locator("#drawer.show")).to_be_visible()  # it takes the focus when it has come
    field = page.locator("#more-filters [role=combobox]").first
    expect(field).to_have_value("金卡客户")
    field.fill("名单0")
    field.press("Enter")
    expect(page.locator("#more-filters [name=segment] option:checked")).to_have_text("名单0")
    chips = page.locator("#more-filters .tag-choice .chip")
    page.fill("#more-filters [data-tag-search]", "银")
    expect(chips.filter(visible=True)).to_have_text(["银卡"])
    page.fill("#more-filters [data-tag-search]", "")
    expect(chips.filter(visible=True)).to_have_count(2)
    page.locator("[form=more-filters]").press("Enter")
    expect(page.locator("#list .empty-state a")).to_be_visible()  # nobody, with the way to the segment
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_by_keys_through_many(signed_in: Page, live_server: Any, brand: Any, staff: Any, people: Any) -> None:
    """Whoever loads more by keys is at the first new row; Shift ticks all rows between."""
    page, rows = signed_in, signed_in.locator("#list tbody tr[data-href]")
    with in_brand(brand):
        for _ in range(50):
            make_contact(brand, staff)
    page.goto(f"{live_server.url}/contacts/")
    expect(rows).to_have_count(50)
    page.locator(".more-row button").press("Enter")
    expect(rows).to_have_count(53)
    expect(rows.nth(50).locator("a").first).to_be_focused()
    rows.nth(10).locator("[name=ids]").check()
    rows.nth(51).locator("[name=ids]").click(modifiers=["Shift"])
    expect(page.locator("#bulk-bar > b")).to_contain_text("42")
