"""Chromium for the tests marked `browser`: system's or npm's, see devtools/chromium.py."""

import os
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from devtools import chromium

PATIENCE_MS = 60_000  # a machine that is busy with something else is slow, and nothing is wrong
expect.set_options(timeout=PATIENCE_MS)
# nothing of a page is there before its scripts are: what a link or a form has led to is drawn piece by piece, and a click
# into the first piece would be lost; longer than people need to aim, but not than a test does
UNTIL_SCRIPTED = """(() => {
  if (document.readyState !== "loading") return;
  const hidden = new CSSStyleSheet();
  hidden.replaceSync("html { visibility: hidden !important }");
  document.adoptedStyleSheets.push(hidden);
  document.addEventListener("DOMContentLoaded", () => {
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((sheet) => sheet !== hidden);
  });
})()"""


@pytest.fixture(scope="session")
def chromium_browser() -> Iterator[Browser]:
    """One browser per test process; no sandbox, since CI is root in a container."""
    found = chromium.find()
    assert found, "the marker `browser` skips tests without Chromium"
    program, env = found
    os.environ.update(chromium.driver_env())
    # playwright's loop runs in this thread, where Django would refuse its ORM
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, env=dict(os.environ) | env, args=quiet)
        yield browser
        browser.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


def be_patient(context: BrowserContext) -> Page:
    """A page of a context that waits for pages and their scripts, on a machine that is busy, too."""
    context.set_default_timeout(PATIENCE_MS)
    context.add_init_script(UNTIL_SCRIPTED)
    return context.new_page()


@pytest.fixture
def page(chromium_browser: Browser) -> Iterator[Page]:
    """A page in a browser of its own that speaks Chinese.

    The test fails at its end if the page wrote an error to the console or asked another host for anything.
    """
    context = chromium_browser.new_context(locale="zh-CN", viewport={"width": 1280, "height": 900})
    page = be_patient(context)
    faults: list[str] = []

    def said(kind: str, text: str) -> None:
        if kind == "error" and not any(
            n in text for n in ("status of 422", "status of 409")
        ):  # every refused form
            faults.append(text)

    page.on("console", lambda message: said(message.type, message.text))
    page.on("pageerror", lambda error: faults.append(str(error)))

    def foreign(url: str) -> None:
        if urlsplit(url).hostname not in {"127.0.0.1", "localhost", None}:
            faults.append(f"asked {url}")

    page.on("request", lambda request: foreign(request.url))
    yield page
    context.close()
    assert faults == []
