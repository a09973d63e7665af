"""A broadcast in Chromium: two contents of which one comes from the library, the comparison, what it would do, launch, the
winner by a click; phone width."""

import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from campaigns.models import Broadcast, SendTask, Touch, Wave
from campaigns.services.broadcasts import waves
from campaigns.services.ledger import touches
from content.services import editing
from content.services.editing import ContentInput
from org.access import RIGHTS, Actor
from scrm import clock
from tests.factories import in_brand, make_contact, make_staff

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
SHOTS = os.environ.get("SHOTS")  # a folder: pictures of the pages on the way


def shoot(page: Page, name: str) -> None:
    if SHOTS:
        page.screenshot(path=str(Path(SHOTS) / f"{name}.png"), full_page=True)


def test_write_compare_and_launch(
    page: Page, live_server: Any, brand: Any, corp: Any, sign_in: Any, settings: Any
) -> None:
    with in_brand(brand):
        guides = [make_staff(brand, corp) for _ in range(2)]
        for n in range(40):
            make_contact(brand, guides[n % 2])
        maker = Actor("小编", user_id=1, rights=frozenset(RIGHTS))
        editing.create_content(brand, given=ContentInput(name="早安", text="早上好，新品到店"), by=maker)
    key = sign_in(brand, "operator").cookies[settings.SESSION_COOKIE_NAME].value
    page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": key, "url": live_server.url}])

    page.goto(f"{live_server.url}/broadcasts/new/")
    page.fill("[name=name]", "春上新")
    expect(page.locator("#compare")).to_be_hidden()  # one content has nothing to be compared with
    first = page.locator("[data-content]").first
    first.locator("[data-content-open]").click()
    page.locator("[data-content-pick]").first.click()
    expect(first.locator("[name=text]")).to_have_value("早上好，新品到店")
    page.click("#add-content")
    page.locator("[data-content]").nth(1).locator("[name=text]").fill("{员工姓名}：新品到店")
    expect(page.locator("#compare")).to_be_visible()
    expect(page.locator("#compare-rule")).to_be_hidden()
    page.check("[name=test]")
    page.fill("[name=test_percent]", "50")
    shoot(page, "edit")
    page.click("#broadcast-form button.btn-primary")
    page.wait_for_url(re.compile(r"/broadcasts/\d+/$"))
    expect(page.locator("#dry-run")).to_contain_text("50")
    # who opens it is asked, and neither content has a link; 20 of 40 people, and 200 of each are asked for
    expect(page.locator("#dry-run .notice-warn")).to_contain_text(["没有雷达链接", "人数不足以对比"])
    shoot(page, "draft")
    with in_brand(brand):
        broadcast = Broadcast.objects.get()
        assert broadcast.test["percent"] == 50
        a, b = broadcast.variants.order_by("letter")
        assert a.content_id and not b.content_id

    page.click(f"form[action='/broadcasts/{broadcast.pk}/launch/'] button")
    page.click("#confirm-yes")
    expect(page.locator(f"form[action='/broadcasts/{broadcast.pk}/pause/']")).to_be_visible()
    with in_brand(brand):
        waves.run_due(brand)
        tasks = list(SendTask.objects.order_by("pk"))
        SendTask.objects.filter(pk=tasks[-1].pk).update(state="handed", called_at=clock.now())
        then = clock.now() - timedelta(hours=30)
        for task in tasks[:-1]:
            done = touches.settle(
                brand, send_task_id=task.pk, at=task.at, state=Touch.State.DELIVERED, done_at=then
            )
            SendTask.objects.filter(pk=task.pk).update(
                state="final",
                n_sent=len(done),
                n_opened=1,
                confirmed_at=then,
                n_converted=1,
                converted_fen=19_900,
            )
            Touch.objects.filter(pk=done[0][0]).update(
                opened_at=then + timedelta(hours=1), converted_at=clock.now()
            )
    page.goto(f"{live_server.url}/broadcasts/{broadcast.pk}/")
    winner = page.locator(f"form[action='/broadcasts/{broadcast.pk}/winner/'] button").first
    expect(winner).to_be_visible()
    shoot(page, "running")
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    shoot(page, "running-phone-dark")
    page.goto(f"{live_server.url}/touches/?days=90")
    shoot(page, "ledger-phone-dark")
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(f"{live_server.url}/broadcasts/{broadcast.pk}/")
    winner.click()
    page.click("#confirm-yes")
    expect(page.locator("main")).to_contain_text("A 胜出。")
    with in_brand(brand):
        assert Wave.objects.get(n=2).state in ("waiting", "planned")
        assert Broadcast.objects.get().winner_id == a.pk
    shoot(page, "winner")
