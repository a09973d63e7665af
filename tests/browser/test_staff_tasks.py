"""Tasks of guides in the dashboard, in Chromium: given for a segment, watched, taken back; done with a result, undone."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from campaigns.models import StaffTask
from campaigns.services.tasks import staff_tasks
from campaigns.services.tasks.staff_tasks import TaskInput
from org.access import SYSTEM
from scrm import clock
from tagging.services.segments import segments
from tests.factories import in_brand, make_contact, make_staff, make_user

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
SHOTS = os.environ.get("SHOTS", "")


def shot(page: Page, name: str) -> None:
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / f"{name}.png")


def test_tasks_for_a_segment(page: Page, live_server: Any, brand: Any, corp: Any, staff: Any) -> None:
    with in_brand(brand):
        people = [make_contact(brand, staff) for _ in range(3)]
        segments.create_list(brand, by=SYSTEM, name="加购未下单", contact_ids=[c.pk for c in people])
        other = make_staff(brand, corp)
        rows = [
            TaskInput(
                staff_id=other.pk, kind="visit", title=f"拜访{n}", key=f"k{n}", due_at=clock.now() + timedelta(hours=n + 1)
            )
            for n in range(4)
        ]  # fmt: skip
        staff_tasks.add_tasks(brand, rows, source="page")
        StaffTask.objects.filter(key="k0").update(due_at=clock.now() - timedelta(hours=3))
    user = make_user(brand, "operator")
    page.goto(f"{live_server.url}/login/")
    page.fill("[name=username]", user.username)
    page.fill("[name=password]", "pass-12345")
    page.press("[name=password]", "Enter")
    page.wait_for_url(f"{live_server.url}/")

    page.goto(f"{live_server.url}/tasks/")
    expect(page.locator("#rows tr")).to_have_count(4)
    shot(page, "tasks")
    page.locator("#rows tr").nth(1).locator(".btn-icon").first.click()
    page.fill("#task-result", "见到本人")
    page.locator("#modal-content .btn-primary").click()
    expect(page.locator("#rows tr")).to_have_count(3)
    page.locator(".toast-undo").click()
    expect(page.locator("#rows tr")).to_have_count(4)
    page.locator("#rows [name=ids]").nth(2).check()
    page.locator("button[value=cancel]").click()
    page.locator("#confirm-yes").click()
    expect(page.locator("#rows tr")).to_have_count(3)

    page.locator(".page-head-actions .btn-primary").click()
    page.fill("[name=title]", "电话回访：购物车里的商品")
    page.select_option("[name=segment]", label="加购未下单")
    shot(page, "tasks-new")
    page.locator(".form-actions .btn-primary").click()
    page.wait_for_url("**/tasks/batches/")
    row = page.locator("#rows tr").first
    expect(row).to_contain_text("加购未下单")
    shot(page, "tasks-batches")
    row.locator(".btn").click()
    page.locator("#confirm-yes").click()
    expect(page.locator("#rows tr").first.locator(".btn")).to_contain_text("重新下发")
    with in_brand(brand):
        assert StaffTask.objects.filter(source="job", state="cancelled").count() == 3
    page.locator("#rows tr").first.locator(".btn").click()
    expect(page.locator("#rows tr").first.locator(".btn")).to_contain_text("撤销")

    page.goto(f"{live_server.url}/tasks/guides/")
    expect(page.locator("tbody tr").first).to_contain_text(other.name)
    shot(page, "tasks-guides")
    page.set_viewport_size({"width": 390, "height": 800})
    for path in ("/tasks/", "/tasks/guides/", "/tasks/batches/", "/tasks/new/"):
        page.goto(live_server.url + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
        shot(page, f"phone{path.replace('/', '-')}")
