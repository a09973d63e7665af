"""The tag library in Chromium: order by keys and by dragging, deletion with a way back, a rule from form to preview."""

import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from contacts.models import Contact
from org.access import SYSTEM
from org.services import jobs
from scrm.celery import app
from tagging.models import ComputedTag, Segment, Tag, TagAct, TagGroup
from tagging.services.rules import computed, rules
from tagging.services.tags import library, mass
from tagging.services.tags.tags import add_tags
from tenants.scoping import tenant_scope
from tests.factories import in_brand, make_contact

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
SHOTS = os.environ.get("SHOTS")  # a folder: pictures of every page are put there


def shot(page: Page, name: str) -> None:
    if SHOTS:
        page.wait_for_timeout(400)
        page.screenshot(path=str(Path(SHOTS) / f"{name}.png"), full_page=True)


@pytest.fixture
def signed_in(page: Page, live_server: Any, brand: Any, staff: Any, sign_in: Any, settings: Any) -> Page:
    with tenant_scope(brand):
        library.create_group(brand, by=SYSTEM, name="会员等级", names=["普通", "银卡", "金卡"], color="amber")
        library.create_group(brand, by=SYSTEM, name="兴趣", names=["大衣", "裙子"], color="violet")
    with in_brand(brand):
        people = [make_contact(brand, staff, name=f"王小{n}") for n in "明美丽"]
        add_tags(brand, contacts=people[:2], tags=Tag.objects.filter(name="金卡"), source="page")
    key = sign_in(brand, "operator").cookies[settings.SESSION_COOKIE_NAME].value
    page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": key, "url": live_server.url}])
    return page


def order(brand: Any, group: str) -> list[str]:
    with in_brand(brand):
        rows = Tag.objects.filter(group__name=group, deleted_at=None).order_by("-order", "pk")
        return list(rows.values_list("name", flat=True))


def comes_to(page: Page, look: Callable[[], Any], wanted: Any) -> None:
    """What the page sends arrives a moment later."""
    until = time.monotonic() + 60
    while (found := look()) != wanted and time.monotonic() < until:
        page.wait_for_timeout(50)
    assert found == wanted


def test_library(signed_in: Page, live_server: Any, brand: Any) -> None:
    page = signed_in
    page.goto(f"{live_server.url}/tags/")
    with in_brand(brand):
        group = TagGroup.objects.get(name="会员等级")
    rows = page.locator(f"#group-{group.pk} .tag-rows > li")
    expect(rows.nth(2)).to_contain_text("2")
    shot(page, "library")
    rows.nth(2).locator("[data-handle]").focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    expect(page.locator(".toast-card").first).to_be_visible()
    comes_to(page, lambda: order(brand, "会员等级"), ["金卡", "普通", "银卡"])  # two presses, or one and one
    expect(page.locator("#busy")).not_to_have_class(re.compile("on"))  # the group has been drawn anew
    expect(rows.nth(0)).to_contain_text("金卡")
    handle, target = rows.nth(0).locator("[data-handle]").bounding_box(), rows.nth(2).bounding_box()
    assert handle and target
    page.mouse.move(handle["x"] + 5, handle["y"] + 5)
    page.mouse.down()
    page.mouse.move(target["x"] + 20, target["y"] + target["height"] - 3, steps=8)
    page.mouse.up()
    comes_to(page, lambda: order(brand, "会员等级"), ["普通", "银卡", "金卡"])
    expect(page.locator("#busy")).not_to_have_class(re.compile("on"))
    rows.nth(2).locator("[data-bs-toggle=dropdown]").click()
    shot(page, "menu")
    rows.nth(2).locator(".dropdown-item.text-danger").click()
    expect(page.locator("#modal-content form")).to_be_visible()
    shot(page, "delete")
    with page.expect_navigation():
        page.locator("#modal-content .btn-primary").click()
    with page.expect_navigation():
        page.locator(".toast-undo").click()
    expect(page.locator(f"#group-{group.pk}")).to_contain_text("金卡")
    page.fill(".filters [name=q]", "裙")
    expect(page.locator("#library .tag-rows > li")).to_have_count(1)


def test_rule(signed_in: Page, live_server: Any, brand: Any) -> None:
    page = signed_in
    with in_brand(brand):
        Segment.objects.create(name="全部客户", condition={"kind": "everybody"})
    page.goto(f"{live_server.url}/tags/rules/new/")
    page.fill("#rule-name", "高客单")
    page.select_option("#rule-event", "word_said")
    expect(page.locator("#f_words")).to_be_visible()
    shot(page, "rule-event")
    page.check("[name=kind][value=condition]")
    expect(page.locator("[name=keeps_in_step]")).to_be_visible()
    page.locator(".builder-add button").first.click()
    page.locator(".builder-leaf select").first.select_option("segment")
    page.locator(".builder-chooser input").first.click()
    page.locator(".builder-choice:has-text('全部客户')").click()
    expect(page.locator(".builder-count")).to_have_text("3")
    page.locator("label", has=page.locator("[name=add]")).filter(has_text="大衣").first.click()
    page.locator("[hx-post$='/look/']").click()
    expect(page.locator("#rule-look .rule-n")).to_contain_text("3")
    shot(page, "rule-preview")
    page.locator(".form-actions .btn-primary").click()
    page.wait_for_url(re.compile(r"/tags/rules/\d+/"))
    page.locator(".page-head-actions .btn-primary").click()
    expect(page.locator("#modal-content [name=confirmed]")).to_be_visible()
    shot(page, "rule-on")
    page.check("#modal-content [name=confirmed]")
    page.locator("#modal-content .btn-primary").click()
    expect(page.locator("#act-1, [id^=act-]").first).to_be_visible()
    shot(page, "rule")


def test_pages_on_a_phone_and_in_the_dark(signed_in: Page, live_server: Any, brand: Any) -> None:
    page = signed_in
    with in_brand(brand):
        tag = Tag.objects.get(name="大衣")
        values = {"name": "入群打标签", "kind": "event", "event": "group_joined", "add_tag_ids": [tag.pk]}
        rules.create(brand, by=SYSTEM, values=values)
    brackets = [{"name": "1个月内", "to": 1}, {"name": "老客", "from": 1}]
    with tenant_scope(brand):
        row = computed.save(
            brand, by=SYSTEM, values={"name": "入会月数", "measure": "months_joined", "brackets": brackets}
        )
    with in_brand(brand):
        computed.switch(brand, by=SYSTEM, row=row, on=True)
        assert ComputedTag.objects.exists()
    urls = ["tags/", "tags/rules/", "tags/rules/new/", "tags/computed/", f"tags/computed/{row.pk}/", "tags/history/",
            "tags/waiting/", "tags/list/", "tags/import/"]  # fmt: skip
    for width, dark in ((390, False), (1280, True)):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme="dark" if dark else "light")
        for url in urls:
            page.goto(f"{live_server.url}/{url}")
            wide = page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
            assert not wide, url
            shot(page, f"{url.replace('/', '_')}{width}")


def test_an_act_shows_what_it_did_when_it_is_done(signed_in: Page, live_server: Any, brand: Any) -> None:
    """Whoever waits on the page of an act need not load it again to see its numbers and to take it back."""
    app.conf.task_always_eager = False
    try:
        with in_brand(brand):
            who = mass.Who.of_queryset(Contact.objects.all())
            tag = Tag.objects.get(name="大衣").pk
            job = mass.start(brand, kind=TagAct.Kind.SEGMENT, title="试", by=SYSTEM, who=who, add=[tag])
    finally:
        app.conf.task_always_eager = True
    page = signed_in
    page.goto(f"{live_server.url}/tags/history/{job.params['act_id']}/")
    expect(page.locator(".dl dd").first).to_have_text("0")
    with tenant_scope(brand):
        jobs.run(brand, job.pk)
    expect(page.locator(".dl dd").first).to_have_text("3")
    page.click("text=撤销")
    page.click("#confirm-yes")
    expect(page.locator(".dl")).to_contain_text("已撤销")
    expect(page.locator(".stack .btn:has-text('撤销')")).to_have_count(0)
