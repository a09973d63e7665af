"""What somebody types into a long form survives the end of their session, and is nobody else's; how much still fits is said
in characters."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from campaigns.models import Broadcast, Sop
from tenants.models import Brand, User
from tests.factories import in_brand, make_contact, make_corp, make_staff, make_user

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
TEXT = "亲爱的会员，春季新品到店"
KEPT = "Object.keys(sessionStorage).filter((key) => key.startsWith('kept:')).length"


def kept(page: Page) -> int:
    """Forms that wait in this tab, once the page that has come has looked through them."""
    page.wait_for_load_state()
    return page.evaluate(KEPT)


@pytest.fixture
def writer(brand: Brand) -> User:
    with in_brand(brand):
        make_contact(brand, make_staff(brand, make_corp(brand)))
    return make_user(brand)


@pytest.fixture
def desk(page: Page, live_server: Any, writer: User) -> Iterator[Page]:
    page.goto(f"{live_server.url}/login/")
    sign_in(page, writer)
    expect(page.locator("h1")).to_have_text("概览")
    page.wait_for_load_state()
    yield page
    page.goto("about:blank")


def sign_in(page: Page, user: User) -> None:
    page.fill("[name=username]", user.username)
    page.fill("[name=password]", "pass-12345")
    page.click(".door-card form:first-of-type button")


def write(page: Page, url: str) -> None:
    """Two steps of an SOP, the second of which the page has added."""
    page.goto(f"{url}/sops/new/")
    page.fill("[name=name]", "迎新")
    page.fill("[name=text] >> nth=0", "第一天 " + TEXT)
    page.click("#add-step")
    page.fill("[name=text] >> nth=1", "第二天 " + TEXT)
    page.context.clear_cookies(name="scrm_session")
    page.click(".form-actions button")
    page.wait_for_url("**/login/**")


def test_it_comes_back_to_whoever_wrote_it(desk: Page, live_server: Any, writer: User, brand: Brand) -> None:
    write(desk, live_server.url)
    assert "写的内容" in desk.locator(".door-card").inner_text()
    desk.fill("[name=username]", writer.username)
    desk.fill("[name=password]", "wrong")
    desk.click(".door-card form:first-of-type button")  # a wrong password loses nothing
    expect(desk.locator(".alert-danger, .is-invalid").first).to_be_visible()
    sign_in(desk, writer)
    expect(desk.locator(".toast-card")).to_contain_text("尚未保存")
    assert desk.input_value("[name=name]") == "迎新"
    assert [desk.input_value(f"[name=text] >> nth={n}") for n in (0, 1)] == [
        "第一天 " + TEXT,
        "第二天 " + TEXT,
    ]
    with in_brand(brand):
        assert not Sop.objects.exists()
    desk.click(".form-actions button")
    expect(desk.locator("h1")).to_contain_text("迎新")
    with in_brand(brand):
        assert Sop.objects.get().steps.count() == 2
    assert kept(desk) == 0
    desk.goto(f"{live_server.url}/sops/new/")
    assert desk.input_value("[name=name]") == ""


def test_nobody_else_sees_it(desk: Page, live_server: Any, brand: Brand) -> None:
    write(desk, live_server.url)
    assert kept(desk) == 1
    sign_in(desk, make_user(brand))
    expect(desk.locator("#sop-form")).to_be_visible()
    assert desk.input_value("[name=name]") == "" and TEXT not in desk.content()
    assert kept(desk) == 0


def test_logging_out_throws_it_away(desk: Page, live_server: Any, writer: User) -> None:
    write(desk, live_server.url)
    desk.goto(f"{live_server.url}/login/")
    assert kept(desk) == 0


def test_what_was_saved_or_given_up_is_not_kept(desk: Page, live_server: Any, brand: Brand) -> None:
    url = live_server.url
    desk.goto(f"{url}/broadcasts/new/")
    desk.fill("[name=name]", "春上新")
    desk.click(".form-actions button")  # refused: there is no text
    expect(desk.locator(".field-error, .alert-danger").first).to_be_visible()
    assert kept(desk) == 0 and desk.input_value("[name=name]") == "春上新"
    room = desk.locator("[data-room]").first
    expect(room).to_have_text("约可再输入 1,333 个汉字")
    desk.fill("[name=text]", TEXT)
    expect(room).to_have_text("约可再输入 1,321 个汉字")
    desk.fill("[name=text]", "好" * 1_340)
    expect(room).to_have_text("约超出 7 个汉字")
    assert "4,000" in str(room.get_attribute("title")) and "字节" in str(room.get_attribute("title"))
    desk.fill("[name=text]", TEXT)
    desk.click(".form-actions button")
    expect(desk.locator("h1")).to_contain_text("春上新")
    with in_brand(brand):
        assert Broadcast.objects.count() == 1
    assert kept(desk) == 0
    # the question says what the launch would do
    expect(desk.locator("#launch-words")).to_have_count(1)
    desk.click("form[action$='/launch/'] button")
    expect(desk.locator("#confirm-text")).to_contain_text("1 位客户每人收到 1 条消息，由 1 位导购发送")


def test_a_page_left_on_purpose_is_not_kept(desk: Page, live_server: Any) -> None:
    desk.on("dialog", lambda dialog: dialog.accept())
    desk.goto(f"{live_server.url}/sops/new/")
    desk.fill("[name=name]", "不要了")
    desk.goto(f"{live_server.url}/sops/")
    assert kept(desk) == 0
    desk.goto(f"{live_server.url}/sops/new/")
    assert desk.input_value("[name=name]") == ""


@pytest.mark.parametrize("kind", ["message", "page"])
def test_texts_of_the_library_come_back(desk: Page, live_server: Any, writer: User, kind: str) -> None:
    desk.goto(f"{live_server.url}/content/new/?kind={kind}")
    desk.fill("[name=name]", "护肤知识")
    if kind == "page":
        desk.fill("#page-title", "换季护肤")
        desk.click("[data-add=text]")
        desk.fill("#blocks textarea", TEXT)
    else:
        desk.fill("[name=text]", TEXT)
    desk.context.clear_cookies(name="scrm_session")
    desk.click(".form-actions button")
    desk.wait_for_url("**/login/**")
    sign_in(desk, writer)
    expect(desk.locator(".toast-card")).to_contain_text("尚未保存")
    assert desk.input_value("#blocks textarea" if kind == "page" else "[name=text]") == TEXT
    assert kind == "message" or desk.input_value("#page-title") == "换季护肤"
