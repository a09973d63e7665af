"""A file from the upload to its result, in Chromium, wide and on a phone."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from contacts.models import Contact
from tests.factories import in_brand

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_import_by_hand(
    page: Any, live_server: Any, brand: Any, sign_in: Any, settings: Any, tmp_path: Path
) -> None:
    settings.MEDIA_ROOT = tmp_path
    client = sign_in(brand, "operator")
    cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
    page.context.add_cookies(
        [{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": live_server.url}]
    )
    file = tmp_path / "会员名单.csv"
    file.write_bytes(
        "会员号,手机,姓名,性别,入会日期\nM1,13800138001,王小明,男,2024/3/5\nM2,12,李娜,女,2024年3月6日\n".encode(
            "gbk"
        )
    )
    page.goto(f"{live_server.url}/imports/")
    page.goto(f"{live_server.url}/imports/new/")
    page.set_input_files("input[type=file]", str(file))
    page.click(".upload .form-actions .btn-primary")
    page.wait_for_selector("#columns-form")
    expect(page.locator(".cell-bad")).to_have_count(1)
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.click("text=检查整个文件")
    page.wait_for_selector(".result")
    page.set_viewport_size({"width": 1280, "height": 900})
    page.click("text=导入 1 行")
    page.wait_for_selector("text=导入结果")
    with in_brand(brand):
        assert Contact.objects.get().name == "王小明"


def test_a_file_that_cannot_be_read_says_why(
    page: Any, live_server: Any, brand: Any, sign_in: Any, settings: Any, tmp_path: Path
) -> None:
    settings.MEDIA_ROOT = tmp_path
    cookie = sign_in(brand, "operator").cookies[settings.SESSION_COOKIE_NAME].value
    page.context.add_cookies(
        [{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": live_server.url}]
    )
    page.goto(f"{live_server.url}/imports/new/")
    heading = page.locator("h1").inner_text()
    for name, data in (
        ("名单.pdf", b"%PDF-1.4 \x00\x01\xff" * 50),
        ("空.csv", b""),
        ("假.xlsx", b"a,b\n1,2\n"),
    ):
        file = tmp_path / name
        file.write_bytes(data)
        page.set_input_files("input[type=file]", str(file))
        # the script sends it and puts the words of the answer in; its button rests meanwhile
        with page.expect_response(lambda answer: answer.request.method == "POST") as answer:
            page.click(".upload .form-actions .btn-primary")
        assert answer.value.status == 422
        expect(page.locator(".upload .form-actions .btn-primary")).to_be_enabled()
        said = page.locator(".upload .alert").inner_text()
        assert said in answer.value.text() and said != heading
