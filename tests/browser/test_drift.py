"""The reconciliation in Chromium: open differences, repair of a kind, leaving one, phone width."""

import os
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from drift.models import Difference, DriftRun
from drift.services.differences import New, record
from scrm import clock
from tests.factories import in_brand, make_contact, make_staff, make_user

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def fill(brand: Any, corp: Any) -> None:
    with in_brand(brand):
        corp.synced_at = clock.now()
        corp.save()
        a, b = make_staff(brand, corp, name="王芳"), make_staff(brand, corp, name="李强")
        run = DriftRun.objects.create(
            corp=corp, by="system", ended_at=clock.now(), n_compared=1_204_330, n_found=9, n_repaired=4,
            counts={"remark_differs": {"found": 5, "repaired": 4}},
        )  # fmt: skip
        who = make_contact(brand, a, name="陈静")
        new = [
            New(
                "remark_differs",
                "1",
                "陈静",
                who.pk,
                a.pk,
                ours={"remark": "老客"},
                theirs={"remark": "老客 敏感肌"},
            ),
            New(
                "tags_differ",
                "2",
                "刘洋",
                who.pk,
                a.pk,
                ours={"tags": ["普通"]},
                theirs={"tags": ["黄金", "咖啡"]},
            ),
            New(
                "owner_differs", "3", "赵敏", who.pk, b.pk, ours={"staff_id": a.pk}, theirs={"staff_id": b.pk}
            ),
            New("relation_ghost", "4", "周杰", who.pk, a.pk, ours={"added_at": clock.now()}),
            New(
                "member_differs", "5", "李强", None, b.pk, ours={"is_guide": False}, theirs={"is_guide": True}
            ),
            New("code_missing", "6", "门店海报", object_id=1, ours={"config_id": "x" * 32}),
            New(
                "group_members_differ", "wr1", "会员福利一群", staff_id=a.pk, object_id=7,
                ours={"users": ["顾客0", "顾客1"], "n_members": 187}, theirs={"users": ["顾客7"], "n_members": 186},
            ),
            New(
                "group_differs", "wr2", "会员福利二群", staff_id=b.pk, object_id=8,
                ours={"owner": "王芳", "notice": "", "group_state": 0},
                theirs={"owner": "李强", "notice": "每晚八点上新", "group_state": 1},
            ),
            New("group_ghost", "wr3", "老客群", object_id=9, ours={"owner": "王芳", "n_members": 12}),
            New(
                "group_code_differs", "10", "福利群活码", object_id=10,
                ours={"chats": ["会员福利一群"], "is_growing": True}, theirs={"chats": [], "is_growing": False},
            ),
        ]  # fmt: skip
        record(brand, run, corp, new)
        DriftRun.objects.filter(pk=run.pk).update(note="应用没有客户群权限")


def test_reconciliation(page: Page, live_server: Any, brand: Any, corp: Any) -> None:
    fill(brand, corp)
    user = make_user(brand)
    page.goto(f"{live_server.url}/login/")
    page.fill("[name=username]", user.username)
    page.fill("[name=password]", "pass-12345")
    page.press("[name=password]", "Enter")
    expect(page.locator(".sidebar, nav").first).to_be_visible()
    page.goto(f"{live_server.url}/sync/drift/")
    expect(page.locator("#rows tr")).to_have_count(10)
    shot(page, "desktop")
    page.locator("#rows tr", has_text="周杰").get_by_role("button", name="保持现状").click()
    expect(page.locator("#rows tr")).to_have_count(9)
    page.select_option("select[name=state]", "ignored")
    expect(page.locator("#rows tr")).to_have_count(1)
    page.goto(f"{live_server.url}/sync/drift/settings/")
    shot(page, "settings")
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{live_server.url}/sync/drift/")
    shot(page, "phone")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    with in_brand(brand):
        assert Difference.objects.get(title="周杰").state == "ignored"


def shot(page: Page, name: str) -> None:
    """A picture for somebody who looks (SHOTS names the folder)."""
    if folder := os.environ.get("SHOTS"):
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)
