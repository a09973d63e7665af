"""A second person for SOPs in the browser: handed in from the canvas by one, looked at and approved by another."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from campaigns.models import Sop, SopRequest, SopVersion
from campaigns.services.governance import policy
from campaigns.services.graphs import graphs
from campaigns.services.sops import sop_approval, sops
from campaigns.services.sops.sops import StepInput
from org.access import SYSTEM, Actor
from tests.campaigns.graphs import entry, line, touch, wait
from tests.factories import in_brand

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]
WRITER, CHECKER = Actor("小文", user_id=900_011), Actor("小审", user_id=900_012)


def enter(page: Page, live_server: Any, client: Any, settings: Any) -> None:
    name = settings.SESSION_COOKIE_NAME
    page.context.clear_cookies()
    page.context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": live_server.url}])


@pytest.fixture
def house(brand: Any) -> Any:
    with in_brand(brand):
        policy.change_policy(brand, by=SYSTEM, sops_need_approval=True)
    return brand


def test_from_the_canvas_to_the_yes(
    page: Page, live_server: Any, house: Any, sign_in: Any, settings: Any
) -> None:
    writer, checker = sign_in(house), sign_in(house)
    with in_brand(house):
        by = Actor("x", user_id=writer.user.pk)
        sop = graphs.create_graph_sop(
            house, name="画的", graph=line(entry(), wait(n=1), touch("您好")), by=by
        )
    enter(page, live_server, writer, settings)
    page.goto(f"{live_server.url}/sops/{sop.pk}/canvas/")
    page.click(".page-head-actions button.btn-primary")
    page.fill("#publish-note", "第一版")
    page.click("#publish-form button[name=go]")
    page.wait_for_url("**/sops/requests/*/")
    expect(page.locator("main")).to_contain_text("你参与了这份内容")
    expect(page.locator("form[action*=approve]")).to_have_count(0)
    address = page.url
    # whoever goes on drawing is told that this takes it back
    page.goto(f"{live_server.url}/sops/{sop.pk}/canvas/")
    expect(page.locator(".notice-warn").first).to_contain_text("修改画布会使该提交失效")

    enter(page, live_server, checker, settings)
    page.goto(f"{live_server.url}/sops/requests/")
    page.click("#rows a.btn-primary")
    page.wait_for_url(address)
    expect(page.locator("main")).to_contain_text("第一版")
    expect(page.locator("#nodes")).to_contain_text("您好")
    page.click("form[action*=reject] button")
    expect(page.locator("#reason-wrong")).to_be_visible()
    page.goto(address)
    page.click("form[action*=approve] button")
    page.wait_for_url(f"**/sops/{sop.pk}/")
    with in_brand(house):
        assert SopVersion.objects.get().approved_by and Sop.objects.get().state == "on"


@pytest.mark.parametrize("dark", [False, True])
def test_pages_fit_a_phone(
    page: Page, live_server: Any, house: Any, sign_in: Any, settings: Any, dark: bool
) -> None:
    with in_brand(house):
        long = "很长的文字" * 40
        sop = sops.create_sop(
            house, name="名字很长的一个新客培育流程第一版", steps=[StepInput(1, 10, 0, long)], by=WRITER
        )
        asked = sop_approval.switch_on(house, sop_id=sop.pk, by=WRITER, note="长" * 60).request
        assert asked
        sop_approval.approve(house, request_id=asked.pk, by=CHECKER)
        step = sops.live_steps(sop.pk)[0]
        steps = [StepInput(3, 9, 0, f"{long}。改过", step_id=step.pk), StepInput(9, 9, 0, long)]
        sop_approval.edit(house, sop_id=sop.pk, name=sop.name, late_days=9, steps=steps, by=WRITER)
        drawn = graphs.create_graph_sop(
            house, name="画的一个很长的名字的流程", graph=line(entry(), touch(long)), by=WRITER
        )
        sop_approval.publish(house, sop_id=drawn.pk, by=WRITER)
        waiting = list(SopRequest.objects.filter(state="waiting").values_list("pk", flat=True))
    enter(page, live_server, sign_in(house), settings)
    page.set_viewport_size({"width": 390, "height": 844})
    page.emulate_media(color_scheme="dark" if dark else "light")
    for path in ("/sops/requests/", *(f"/sops/requests/{pk}/" for pk in waiting), f"/sops/{sop.pk}/"):
        page.goto(live_server.url + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
