"""Conditions put together outside the segments, in Chromium: the stages of the lifecycle, and a tag rule."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tagging.models import LifecycleStage, TagRule
from tagging.services.tags.tags import add_tags
from tests.factories import in_brand, make_contact, make_tag

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def signed_in(page: Page, live_server: Any, brand: Any, staff: Any, sign_in: Any, settings: Any) -> Page:
    with in_brand(brand):
        people = [make_contact(brand, staff, name=f"王小{n}") for n in "明美丽强"]
        tag = make_tag(brand, "宝妈")
        make_tag(brand, "贵客")
        add_tags(brand, contacts=people[:3], tags=[tag.pk], source="page")
    key = sign_in(brand, "operator").cookies[settings.SESSION_COOKIE_NAME].value
    page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": key, "url": live_server.url}])
    return page


def choose_tag(page: Page, builder: Any) -> None:
    builder.locator(".builder-add button").first.click()
    builder.locator(".builder-chooser input").first.click()
    builder.locator(".builder-choice:has-text('宝妈')").click()
    expect(builder.locator(".builder-count")).to_have_text("3")


def test_stages_added_moved_taken_out(signed_in: Page, live_server: Any, brand: Any) -> None:
    page = signed_in
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{live_server.url}/value/stages/")
    expect(page.locator(".stage")).to_have_count(7)
    expect(page.locator(".stage").nth(2).locator(".builder-sentence")).not_to_be_empty()
    page.click("#stage-add")
    new = page.locator(".stage").nth(6)
    new.locator("[data-part=name]").fill("妈妈")
    choose_tag(page, new)
    for place in range(6, 0, -1):
        page.locator(".stage-handle").nth(place).press("Alt+ArrowUp")
    page.locator(".stage-remove").nth(1).click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    page.click("#stages-form .btn-primary")
    page.wait_for_url("**/value/lifecycle/")
    assert asked == []  # what is saved may be left
    with in_brand(brand):
        names = list(LifecycleStage.objects.order_by("position").values_list("name", flat=True))
    assert names == ["妈妈", "沉睡", "忠诚", "复购", "首单", "新客", "未购"]


def test_a_stage_without_a_name_is_refused_and_nothing_is_lost(signed_in: Page, live_server: Any) -> None:
    page = signed_in
    page.goto(f"{live_server.url}/value/stages/")
    page.locator("[data-part=name]").first.fill("忠诚")  # there is one already
    page.click("#stages-form .btn-primary")
    expect(page.locator(".toast-card.danger")).to_be_visible()
    expect(page.locator("[data-part=name]").first).to_have_value("忠诚")


def test_a_rule_on_a_condition(signed_in: Page, live_server: Any, brand: Any) -> None:
    page = signed_in
    page.goto(f"{live_server.url}/tags/rules/new/")
    page.fill("[name=name]", "妈妈")
    page.check("[name=kind][value=condition]")
    expect(page.locator("[name=keeps_in_step]")).to_be_visible()
    choose_tag(page, page.locator(".condition-builder"))
    page.locator("label:has([name=add]):has-text('贵客')").click()
    page.click("#rule-form .form-actions .btn-primary")
    page.wait_for_url(re.compile(r"/tags/rules/\d+/"))
    with in_brand(brand):
        assert TagRule.objects.get().condition["all"][0]["kind"] == "tags"
    expect(page.locator("main")).to_contain_text("宝妈")
