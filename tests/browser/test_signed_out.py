"""What somebody sees who is not signed in; also proves that Chromium, page files and Chinese font work."""

import pytest
from playwright.sync_api import expect

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
]


def test_log_in_page_at_desk_and_phone_width(page, live_server):
    page.goto(live_server.url)
    expect(page.locator("input[type=password]")).to_be_visible()
    page.set_viewport_size({"width": 375, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 375


def test_chinese_is_drawn_with_a_font_that_has_it(page, live_server):
    """Without a Chinese font every character is the same box, so two different ones look alike."""
    page.goto(live_server.url)
    drawn = page.evaluate(
        """(texts) => texts.map((text) => {
            const canvas = document.createElement("canvas");
            const pen = canvas.getContext("2d");
            pen.font = "40px sans-serif";
            pen.fillText(text, 10, 60);
            return canvas.toDataURL();
        })""",
        ["客", "户"],
    )
    assert drawn[0] != drawn[1]
