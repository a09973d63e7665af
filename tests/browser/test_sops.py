"""The SOP editor in Chromium: steps, variables, a picture, the phone beside them; people; phone width."""

import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from campaigns.models import Enrolment, Sop
from campaigns.services.sops import sops
from contacts.models import Identity
from tests.factories import in_brand, make_contact

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_write_switch_on_and_put_people_in(
    page: Page, live_server: Any, brand: Any, staff: Any, sign_in: Any, settings: Any, tmp_path: Path
) -> None:
    settings.MEDIA_ROOT = tmp_path / "media"
    picture = tmp_path / "gift.png"
    Image.new("RGB", (60, 40), "red").save(picture)
    with in_brand(brand):
        contact = make_contact(brand, staff, name="王小美")
        Identity.objects.create(contact=contact, kind="phone", value="13800000001")
    key = sign_in(brand, "operator").cookies[settings.SESSION_COOKIE_NAME].value
    page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": key, "url": live_server.url}])

    page.goto(f"{live_server.url}/sops/new/")
    page.fill("[name=name]", "新客")
    first = page.locator("[data-step]").first
    first.locator("[name=text]").fill("你好，我是")
    first.locator("[data-insert]").first.click()
    expect(page.locator("#preview")).to_contain_text("你好，我是小美")
    page.click("#add-step")
    second = page.locator("[data-step]").nth(1)
    expect(second.locator("[name=day]")).to_have_value("2")
    second.locator("[name=text]").fill("{客户昵称}")
    expect(second.locator("[data-no-customer]")).to_be_visible()
    second.locator("[name=text]").fill("礼物")
    second.locator("[data-attach=image]").click()
    second.locator("[data-file]").set_input_files(picture)
    second.locator("[data-attachment-ok]").click()
    expect(page.locator("#preview img")).to_be_visible()
    page.click("#sop-form button.btn-primary")
    page.wait_for_url(re.compile(r"/sops/\d+/$"))
    with in_brand(brand):
        sop = Sop.objects.get()
        steps = sops.live_steps(sop.pk)
        assert [s.text for s in steps] == ["你好，我是{员工姓名}", "礼物"]
        assert [a["type"] for a in steps[1].attachments] == ["image"]

    page.click(f"form[action='/sops/{sop.pk}/on/'] button")
    page.click("#confirm-yes")
    expect(page.locator(f"form[action='/sops/{sop.pk}/pause/']")).to_be_visible()

    page.goto(f"{live_server.url}/sops/{sop.pk}/enrol/")
    page.fill("[name=values]", "13800000001\nnobody")
    page.click("main form button.btn-primary")
    expect(page.locator("main")).to_contain_text("王小美")
    expect(page.locator("textarea")).to_have_value("nobody\n")
    page.click("form[action*=confirm] button")
    expect(page.locator("#rows")).to_contain_text("王小美")
    with in_brand(brand):
        assert Enrolment.objects.get().contact_id == contact.pk


@pytest.mark.parametrize(
    "path",
    ["/sops/", "/sops/{sop}/", "/sops/{sop}/edit/", "/sops/{sop}/people/", "/touches/", "/touches/tasks/"],
)
def test_pages_fit_a_phone(
    page: Page, live_server: Any, brand: Any, sign_in: Any, settings: Any, path: str
) -> None:
    from campaigns.services.sops.sops import StepInput
    from org.access import SYSTEM

    with in_brand(brand):
        steps = [StepInput(1, 10, 0, "很长的文字" * 40)]
        sop = sops.create_sop(brand, name="名字很长的一个新客培育流程第一版", steps=steps, by=SYSTEM)
        sops.switch_on(brand, sop_id=sop.pk, by=SYSTEM)
    key = sign_in(brand).cookies[settings.SESSION_COOKIE_NAME].value
    page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": key, "url": live_server.url}])
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(live_server.url + path.format(sop=sop.pk))
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
