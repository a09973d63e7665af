"""Moments, alerts and the calendar in Chromium: written, looked at, switched on, walked through by keys; phone width."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from campaigns.models import AlertRule, Moment, SendTask, Sop
from campaigns.services.alerts import alert_rules
from campaigns.services.governance import policy
from campaigns.services.moments import moments
from campaigns.services.moments.moments import MomentInput
from contacts.models import EventType
from contacts.services.timeline import record_events
from org.access import SYSTEM
from scrm import clock
from tagging.models import TagGroup
from tests.factories import in_brand, make_contact, make_tag

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def home(page: Page, live_server: Any, brand: Any, sign_in: Any, settings: Any, tmp_path: Path) -> str:
    """Signed in as an operator; WeCom answers nobody."""
    settings.MEDIA_ROOT, settings.WECOM_API_URL = tmp_path / "media", "http://127.0.0.1:9"
    key = sign_in(brand, "operator").cookies[settings.SESSION_COOKIE_NAME].value
    page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": key, "url": live_server.url}])
    return live_server.url


def test_write_a_moment_and_look_who_could_see_it(
    page: Page, home: str, brand: Any, corp: Any, staff: Any, tmp_path: Path
) -> None:
    picture = tmp_path / "new.png"
    Image.new("RGB", (60, 40), "red").save(picture)
    with in_brand(brand):
        make_contact(brand, staff)
        make_tag(brand, "金卡", TagGroup.objects.create(name="等级", corp=corp, wecom_id="g"), wecom_id="t")
    page.goto(f"{home}/moments/new/")
    page.fill("[name=name]", "春上新")
    page.fill("[name=text]", "新品到店")
    expect(page.locator("#moment-preview")).to_contain_text("新品到店")
    page.click("[data-attach=image]")
    page.locator("[data-file]").set_input_files(picture)
    page.click("[data-attachment-ok]")
    expect(page.locator("#moment-preview img")).to_be_visible()
    expect(page.locator("[data-attach=video]")).to_be_disabled()
    guides = page.locator("[data-checklist]").first
    guides.locator("input[type=search]").fill(staff.name)
    guides.locator("label").filter(has_text=staff.name).click()
    expect(guides.locator("[data-checklist-n]")).to_contain_text("1")
    page.click("#moment-form button.btn-primary")
    page.wait_for_url(re.compile(r"/moments/\d+/$"))
    expect(page.locator(".grid-stats")).to_contain_text("1")
    expect(page.locator(".moment-pictures img")).to_be_visible()
    with in_brand(brand):
        moment = Moment.objects.get()
        assert moment.staff_ids == [staff.pk] and moment.attachments[0]["type"] == "image"
    page.click(f"form[action='/moments/{moment.pk}/launch/'] button")
    page.click("#confirm-yes")
    expect(page.locator(f"form[action='/moments/{moment.pk}/cancel/']")).to_be_visible()


def test_an_alert_rule_with_its_preview(page: Page, home: str, brand: Any, staff: Any) -> None:
    yesterday = clock.now() - timedelta(days=1)
    with in_brand(brand):
        contact = make_contact(brand, staff)
        rows = [{"contact_id": contact.pk, "type": EventType.CARTED, "at": yesterday, "source": "api"}]
        record_events(brand, rows)  # type: ignore[arg-type]
    page.goto(f"{home}/alerts/rules/")
    page.click("a[href*='event=carted']")
    expect(page.locator("#alert-event")).to_have_value("carted")
    page.click("[hx-target='#alert-look']")
    expect(page.locator("#alert-look strong").first).to_contain_text("1")
    page.select_option("#alert-event", "content_opened")
    expect(page.locator("#f_words")).to_be_visible()
    page.select_option("#alert-event", "carted")
    expect(page.locator("#f_words")).to_have_count(0)
    page.click("#alert-form button.btn-primary")
    page.wait_for_url("**/alerts/rules/")
    page.click("form[action$='/on/'] button")
    expect(page.locator("form[action$='/off/']")).to_be_visible()
    with in_brand(brand):
        assert AlertRule.objects.get().is_on


def test_the_calendar_by_keys(page: Page, home: str, brand: Any, staff: Any) -> None:
    today = clock.today(brand.timezone)
    with in_brand(brand):
        sop = Sop.objects.create(name="新客培育", state="on")
        SendTask.objects.create(
            staff=staff, corp=staff.corp, at=clock.now(), n=120, contact_ids=[], content_digest="x", sop=sop
        )
    page.goto(f"{home}/calendar/")
    cell = page.locator(f"[data-on='{today}']")
    expect(cell).to_contain_text("120")
    cell.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#drawer-content")).to_contain_text("新客培育")
    expect(page.locator("#drawer.show:not(.showing)")).to_be_visible()  # it has come to rest
    page.keyboard.press("Escape")
    expect(page.locator("#drawer")).to_be_hidden()
    page.locator("body").press("w")
    expect(page.locator(".cal-load")).to_contain_text(staff.name)
    page.locator("body").press("PageDown")
    expect(page.locator(f"[data-on='{today}']")).to_have_count(0)
    page.locator("body").press("t")
    expect(page.locator(f"[data-on='{today}']")).to_be_visible()
    page.check("[name=source][value=moment]")
    expect(page.locator(f"[data-on='{today}']")).not_to_contain_text("120")
    expect(page).to_have_url(re.compile("source=moment"))
    assert "view=week" in page.url


@pytest.mark.parametrize("width", [1280, 390])
def test_who_has_too_much_and_why(page: Page, home: str, brand: Any, staff: Any, width: int) -> None:
    """From the day to the guide's week, by touch as well."""
    today = clock.today(brand.timezone)
    with in_brand(brand):
        policy.change_policy(brand, guide_tasks_a_day=1, guide_people_a_day=100, by=SYSTEM)
        for n in (80, 40):
            SendTask.objects.create(
                staff=staff, corp=staff.corp, at=clock.now(), n=n, contact_ids=[], content_digest="x",
                sop=Sop.objects.create(name=f"新客培育{n}"),
            )  # fmt: skip
    page.set_viewport_size({"width": width, "height": 844})
    page.goto(f"{home}/calendar/")
    page.locator(".cal-over").filter(has_text="1 位导购超出上限").click()
    drawer = page.locator("#drawer-content")
    expect(drawer).to_contain_text("待办 2 / 1")
    expect(drawer).to_contain_text("客户 120 / 100")
    expect(page.locator("#drawer.show:not(.showing)")).to_be_visible()
    drawer.locator(f"a[href*='guide={staff.pk}']").click()
    page.wait_for_url("**/calendar/?view=week*")
    assert f"guide={staff.pk}" in page.url
    expect(page.locator(".cal-load td.is-over")).to_have_text("2")
    expect(page.locator(f"[data-on='{today}']")).to_contain_text("120")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize(
    "path",
    ["/moments/", "/moments/new/", "/moments/{moment}/", "/alerts/", "/alerts/rules/", "/alerts/rules/{rule}/",
     "/calendar/", "/calendar/?view=week"],
)  # fmt: skip
def test_pages_fit_a_phone(page: Page, home: str, brand: Any, staff: Any, path: str) -> None:
    with in_brand(brand):
        given = MomentInput("名字很长的一条春季上新朋友圈第一版", "很长的文字" * 40)
        moment = moments.save_draft(brand, given, by=SYSTEM)
        values = {"name": "名字很长的一条提醒规则第一版", "event": "carted", "filters": {}, "condition": {}}
        rule = alert_rules.save(brand, values, by=SYSTEM)
        SendTask.objects.create(
            staff=staff, corp=staff.corp, at=clock.now(), n=12345, contact_ids=[], content_digest="x",
            sop=Sop.objects.create(name="名字很长的一个新客培育流程第一版"),
        )  # fmt: skip
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(home + path.format(moment=moment.pk, rule=rule.pk))
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
