"""Channel codes in Chromium: made in the editor, scanned in the sandbox, the customer arrives on the page."""

import re
from datetime import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from livecodes.models import ChannelCode
from livecodes.services.content import HoursInput, WelcomeInput
from tests.factories import in_brand
from tests.livecodes.conftest import Shop, sandbox, sandbox_server, shop, wecom

__all__ = ["sandbox", "sandbox_server", "shop", "wecom"]

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def enter(page: Page, live_server: Any, sign_in: Any, settings: Any, tmp_path: Path) -> Any:
    """`enter(shop)` signs an operator in; the sandbox calls back to the live server."""
    settings.MEDIA_ROOT = tmp_path / "media"

    def sign(shop: Shop, role: str = "operator") -> None:
        settings.PUBLIC_URL = live_server.url
        shop.sandbox.make_corp(
            shop.corp.corpid,
            token=shop.corp.callback_token,
            aes_key=shop.corp.callback_aes_key,
            callback_url=f"{live_server.url}/wecom/callback/{shop.corp.callback_path}/",
        )
        key = sign_in(shop.brand, role).cookies[settings.SESSION_COOKIE_NAME].value
        page.context.add_cookies(
            [{"name": settings.SESSION_COOKIE_NAME, "value": key, "url": live_server.url}]
        )

    return sign


def test_from_the_form_to_the_first_customer(
    page: Page, live_server: Any, shop: Shop, enter: Any, tmp_path: Path
) -> None:
    """The main path: make a code, scan it, see the customer come, welcomed with name and picture."""
    picture = tmp_path / "gift.png"
    Image.new("RGB", (60, 40), "red").save(picture)
    enter(shop)
    page.goto(f"{live_server.url}/codes/new/")
    page.fill("[name=name]", "包裹卡")
    page.fill("[data-guide-search]", "甲")
    page.keyboard.press("Enter")
    page.fill("[data-guide-search]", "乙")
    page.locator(".guide-option", has_text="乙").click()
    expect(page.locator(".guide-row")).to_have_count(2)
    expect(page.locator(".guide-weight").first).to_be_hidden()
    page.select_option("[name=strategy]", "weighted")
    page.locator(".guide-row [data-field=weight]").first.fill("3")
    page.locator(".guide-row [data-field=standby]").nth(1).check()
    page.click("[data-add-hours]")
    page.locator("[data-hour] [data-field=start]").fill("00:00")
    page.locator("[data-hour] [data-field=end]").fill("00:00")
    welcome = page.locator("[data-welcome]")
    expect(page.locator("#preview")).to_contain_text("我是甲")  # what a new code starts with
    welcome.locator("textarea").fill("你好，")
    welcome.locator("[data-insert=客户昵称]").click()
    expect(page.locator("#preview")).to_contain_text("你好，小明")
    welcome.locator("[data-attach=image]").click()
    welcome.locator("[data-file]").set_input_files(picture)
    welcome.locator("[data-attachment-ok]").click()
    expect(welcome.locator("[data-attachment-list] li")).to_have_count(1)
    page.click("[data-editor] .form-actions .btn-primary")
    page.wait_for_url(re.compile(r"/codes/\d+/$"))

    with in_brand(shop.brand):
        code = ChannelCode.objects.get()
        assert [(g.weight, g.is_standby) for g in code.guides.order_by("pk")] == [(3, False), (1, True)]
        assert code.welcomes.get().text == "你好，{客户昵称|朋友}"
    expect(page.locator(".code-qr img")).to_be_visible()
    page.wait_for_function("document.querySelector('.code-qr img').naturalWidth > 100")
    expect(page.locator("#code-arrivals")).not_to_contain_text("小红")

    shop.scan(code, name="小红")
    expect(page.locator("#code-arrivals")).to_contain_text("小红")
    shop.sandbox.wait_idle(shop.corp.corpid)
    (row,) = shop.sandbox.sent("welcome", corpid=shop.corp.corpid)
    assert (row["text"], [a["msgtype"] for a in row["attachments"]]) == ("你好，小红", ["image"])


def test_the_editor_keeps_what_was_typed(page: Page, live_server: Any, shop: Shop, enter: Any) -> None:
    """A refused form comes back with everything in it and the reason beside the place."""
    enter(shop)
    page.goto(f"{live_server.url}/codes/new/")
    page.fill("[name=name]", "海报")
    page.fill("[data-guide-search]", "甲")
    page.keyboard.press("Enter")
    page.locator("[data-welcome] textarea").fill("{名字}")
    expect(page.locator("[data-unknown]")).to_be_visible()
    page.click("[data-editor] .form-actions .btn-primary")
    expect(page.locator(".card-bad .field-error").first).to_be_visible()
    expect(page.locator(".guide-row")).to_have_count(1)
    expect(page.locator("[data-welcome] textarea")).to_have_value("{名字}")
    page.locator("[data-welcome] textarea").fill("你好")
    page.click("[data-editor] .form-actions .btn-primary")
    page.wait_for_url(re.compile(r"/codes/\d+/$"))


def test_chosen_rows_become_a_zip(page: Page, live_server: Any, shop: Shop, enter: Any) -> None:
    for name in ("一", "二"):
        shop.make_code(name)
    enter(shop)
    page.goto(f"{live_server.url}/codes/")
    expect(page.locator("#code-bar")).to_be_hidden()
    page.locator("[data-check-all]").check()
    expect(page.locator("#code-bar")).to_contain_text("2")
    page.click("#code-bar button:not([type=button])")
    page.wait_for_url("**/codes/zips/*/")
    with page.expect_download() as download:
        page.locator(".job-actions a.btn-primary").click()
    assert download.value.suggested_filename.endswith(".zip")


@pytest.mark.parametrize(
    "path",
    ["/codes/", "/codes/new/", "/codes/{code}/", "/codes/{code}/edit/", "/codes/welcomes/", "/codes/import/"],
)
def test_pages_fit_a_phone(page: Page, live_server: Any, shop: Shop, enter: Any, path: str) -> None:

    code = shop.make_code(
        "名字很长的一个渠道活码南京东路店一楼收银台",
        guides=[shop.a, shop.b],
        hours=[HoursInput((1, 2, 3, 4, 5), time(9), time(18), shop.a.pk)],
        welcomes=[WelcomeInput("很长的文字" * 60), WelcomeInput("夜里", start=time(22), end=time(6))],
    )
    enter(shop)
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(live_server.url + path.format(code=code.pk))
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
