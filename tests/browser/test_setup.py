"""Connecting a company, the doctor, the sync and the inbox in Chromium; phone width."""

from types import SimpleNamespace
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from contacts.models import Contact
from org.models import Corp
from tests.contacts.conftest import connected
from tests.factories import in_brand
from tests.wecom.events import post_event
from tests.wecom.sandbox_client import CORPID, SECRET, Sandbox, sandbox, sandbox_server
from wecom.models import CallbackEvent, OutboundCall
from wecom.services import callback_keys

__all__ = ["connected", "sandbox", "sandbox_server"]
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def enter(page: Page, live_server: Any, sign_in: Any, settings: Any, brand: Any, role: str = "admin") -> None:
    key = sign_in(brand, role).cookies[settings.SESSION_COOKIE_NAME].value
    page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": key, "url": live_server.url}])


def test_from_nothing_to_customers(
    page: Page, live_server: Any, brand: Any, sandbox: Sandbox, sign_in: Any, settings: Any
) -> None:
    """Connect, enter the keys in the console (the sandbox), check, sync."""
    settings.WECOM_API_URL, settings.PUBLIC_URL = sandbox.url, live_server.url
    callback_keys.forget()
    enter(page, live_server, sign_in, settings, brand)
    page.goto(f"{live_server.url}/sync/")
    page.locator("main .empty-state a").click()
    page.fill("[name=corpid]", CORPID)
    page.fill("[name=agent_id]", "1000002")
    page.fill("[name=secret]", SECRET)
    page.click("main form button.btn-primary")
    secrets = page.locator(".secret-box code")
    expect(secrets).to_have_count(3)
    url, token, aes_key = secrets.all_inner_texts()
    sandbox.make_corp(callback_url=url, token=token, aes_key=aes_key, trusted_domains=["127.0.0.1"])
    sandbox.load(
        members=[{"userid": "GuideA", "name": "王小美"}],
        tag_groups=[{"group_name": "等级", "tags": ["黄金"]}],
        customers=[
            {
                "name": f"顾客{n}",
                "follows": [{"userid": "GuideA", "createtime": 1_740_000_000, "tags": ["黄金"]}],
            }
            for n in range(12)
        ],
    )
    page.click("main a.btn-primary")
    page.click("#findings button")
    expect(page.locator('#findings li[data-state="ok"]')).not_to_have_count(0)
    # WeCom has not called yet, and nobody was synced
    expect(page.locator('#findings li[data-check="callback"]')).to_have_attribute("data-state", "failed")
    assert sandbox.post("verify_callback", corpid=CORPID)["ok"]

    page.goto(f"{live_server.url}/sync/")
    page.click("form[action='/sync/start/'] button.btn-primary")
    expect(page.locator("main table").last).to_contain_text("12")
    with in_brand(brand):
        assert Contact.objects.count() == 12
        assert Corp.objects.get().callback_token == token


def test_failures_are_seen_and_mended(
    page: Page, live_server: Any, connected: SimpleNamespace, sign_in: Any, settings: Any
) -> None:
    callback_keys.forget()
    connected.sandbox.post("faults", corpid=CORPID, api="user/get", kind="errcode", errcode=40058)
    post_event(connected.corp, "update_user", "change_contact", UserID="GuideA")
    with in_brand(connected.brand):
        assert CallbackEvent.objects.get().state == "dead"
    connected.sandbox.post("faults/clear")
    enter(page, live_server, sign_in, settings, connected.brand)
    page.goto(f"{live_server.url}/sync/inbox/?state=dead")
    page.locator("#rows a").first.click()
    expect(page.locator("#drawer-content pre")).to_contain_text("<UserID>")
    page.locator("#drawer-content .btn-close").click()
    page.locator("#rows form button").first.click()
    page.wait_for_url("**/sync/inbox/")
    with in_brand(connected.brand):
        assert CallbackEvent.objects.get().state == "done"


PATHS = [
    "/setup/", "/setup/new/", "/setup/{corp}/", "/setup/{corp}/edit/", "/sync/", "/sync/inbox/", "/sync/outbound/",
    "/sync/jobs/",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_pages_fit_a_phone(
    page: Page, live_server: Any, connected: SimpleNamespace, sign_in: Any, settings: Any, path: str
) -> None:
    with in_brand(connected.brand):
        OutboundCall.objects.create(
            corp=connected.corp, kind="remark", key="1", payload={"userid": "guidea"}, state="failed", error="错" * 200,
            subject="wm" + "x" * 30,
        )  # fmt: skip
        Corp.objects.update(
            checks=[{"key": "secret", "state": "failed", "errcode": 40001, "facts": {"errmsg": "x" * 200}}]
        )
    callback_keys.forget()
    post_event(connected.corp, "msg_audit_approved", UserID="u" * 60)
    enter(page, live_server, sign_in, settings, connected.brand)
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(live_server.url + path.format(corp=connected.corp.pk))
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
