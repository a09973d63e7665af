"""A page's blocks ready for its template: texts escaped here, once, with `**bold**` and `[words](address)` as the only
marks."""

import re
from collections.abc import Callable
from typing import Any

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

_BOLD = re.compile(r"\*\*([^*\n]+)\*\*")
_LINK = re.compile(r"\[([^\[\]\n]+)\]\((https?://[^()\s\"<>]+)\)")


def shown(page: dict[str, Any], address_of: Callable[[int], str]) -> dict[str, Any]:
    """A checked page with `src` at its pictures and `html` at its texts.

    Args:
        address_of: where a picture is, by its file id; the dashboard and the customer's page differ.
    """
    cover = page.get("cover")
    return {
        "title": page.get("title", ""),
        "intro": page.get("intro", ""),
        "cover": address_of(cover) if cover else "",
        "blocks": [_block(block, address_of) for block in page.get("blocks", [])],
    }


def _block(block: dict[str, Any], address_of: Callable[[int], str]) -> dict[str, Any]:
    ready = dict(block)
    if block["type"] == "image":
        ready["src"] = address_of(block["file_id"])
    if block["type"] in ("text", "quote"):
        ready["html"] = [inline(part) for part in block["text"].split("\n\n") if part.strip()]
    if block["type"] == "list":
        ready["html"] = [inline(item) for item in block["items"]]
    return ready


def inline(text: str) -> SafeString:
    """One paragraph: everything is escaped first, then the marks become tags; addresses begin with http(s)."""
    html = str(escape(text.strip()))
    html = _BOLD.sub(r"<strong>\1</strong>", html)
    html = _LINK.sub(r'<a href="\2" rel="noopener nofollow">\1</a>', html)
    return mark_safe(html.replace("\n", "<br>"))  # noqa: S308 escaped above; tests/content/test_pages.py
