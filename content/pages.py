"""Pages of our own (an article): blocks of plain text, never HTML, so nothing that somebody pastes can run. Pure, but for
`check_files`.

    {"title", "intro", "cover": file id or None, "blocks": [
        {"type": "heading", "text"}   {"type": "text", "text"}   {"type": "quote", "text"}   {"type": "list", "items": […]}
        {"type": "image", "file_id", "caption"}   {"type": "button", "label", "url"}   {"type": "line"}
        {"type": "form", …}  (content/questions.py; one at most)]}

In texts `**bold**` and `[words](https://…)` are the only marks; services/page_html.py renders them.
"""

import re
from typing import Any
from urllib.parse import urlsplit

from django.utils.translation import gettext as _

from content import questions
from scrm.errors import InvalidError
from scrm.ids import read_id
from wecom.models import MediaFile

MAX_BLOCKS, MAX_TEXT, MAX_ITEMS = 100, 5_000, 50
# type → its text fields with the most characters each
BLOCKS: dict[str, dict[str, int]] = {
    "heading": {"text": 60},
    "text": {"text": MAX_TEXT},
    "quote": {"text": 1_000},
    "list": {},
    "image": {"caption": 100},
    "button": {"label": 20, "url": 1_000},
    "line": {},
    "form": {},
}
_LINK = re.compile(r"\[([^\[\]\n]+)\]\(([^()\s]+)\)")


def check(page: Any) -> dict[str, Any]:
    """A page as somebody has written it, with known fields only.

    Raises:
        InvalidError: says what is wrong; `details["places"]` everything, by "title" and the numbers of blocks from 0.
    """
    if not isinstance(page, dict) or not isinstance(page.get("blocks", []), list):
        raise InvalidError(_("The page did not arrive complete. Load it again."))
    wrong: dict[str, str] = {}  # where → in words that stand alone
    places: dict[str, str] = {}
    title = _text(page.get("title"), 60)
    if not title:
        wrong["title"] = places["title"] = _("Give the page a title")
    blocks = page.get("blocks", [])
    if not blocks:
        wrong["blocks"] = _("The page is empty: add a block")
    if len(blocks) > MAX_BLOCKS:
        raise InvalidError(_("At most %(n)d blocks") % {"n": MAX_BLOCKS})
    clean = []
    for n, block in enumerate(blocks):
        try:
            clean.append(_block(block))
        except InvalidError as error:
            places[str(n)] = str(error.message)
            wrong[str(n)] = _("Block %(n)d: %(problem)s") % {"n": n + 1, "problem": error.message}
    if wrong:
        raise InvalidError(next(iter(wrong.values())), places=places)
    if sum(block["type"] == "form" for block in clean) > 1:
        raise InvalidError(_("A page has one form at most"))
    cover = page.get("cover")
    return {
        "title": title,
        "intro": _text(page.get("intro"), 200),
        "cover": _file_id(cover) if cover not in (None, "") else None,
        "blocks": clean,
    }


def check_files(page: dict[str, Any]) -> None:
    """Whether the pictures of a page are there, in the caller's transaction. Raises InvalidError."""
    wanted = file_ids(page)
    if MediaFile.objects.filter(pk__in=wanted, kind="image").count() != len(wanted):
        raise InvalidError(_("A picture of this page does not exist any more"))


def file_ids(page: dict[str, Any]) -> set[int]:
    """The pictures that a page shows."""
    ids = {b["file_id"] for b in page.get("blocks", []) if b["type"] == "image"}
    return ids | ({page["cover"]} if page.get("cover") else set())


def words_of(page: dict[str, Any]) -> list[str]:
    """Everything that people read on a page."""
    words = [page.get("title", ""), page.get("intro", "")]
    for block in page.get("blocks", []):
        words += [block.get(name, "") for name in ("text", "caption", "label")]
        words += block.get("items", [])
        words += [block.get("thanks", "")]
        for question in block.get("questions", []):
            words += [question["label"], *question.get("options", [])]
    return [word for word in words if word]


def urls_in(page: dict[str, Any]) -> list[str]:
    """Addresses that a page leads to."""
    found = [block["url"] for block in page.get("blocks", []) if block["type"] == "button"]
    for word in words_of(page):
        found += [match[2] for match in _LINK.finditer(word)]
    return found


def check_url(value: Any) -> str:
    """An address that a page or a link may lead to: https or http with a host, nothing else.

    Raises:
        InvalidError: not one.
    """
    url = value.strip() if isinstance(value, str) else ""
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if parts.scheme not in ("http", "https") or not host or re.search(r"[\s\\<>\"\x00-\x1f\x7f]", url):
        raise InvalidError(_("An address begins with https:// or http://"))
    if parts.username is not None or parts.password is not None:
        raise InvalidError(_("An address must not hold a name or a password"))
    if len(url) > 1_000:
        raise InvalidError(_("The address is too long: at most %(n)d characters") % {"n": 1_000})
    return url


def _block(block: Any) -> dict[str, Any]:
    kind = block.get("type") if isinstance(block, dict) else None
    if not isinstance(kind, str) or kind not in BLOCKS:
        raise InvalidError(_("unknown type"))
    if kind == "form":
        return questions.check_block(block)
    clean: dict[str, Any] = {"type": kind}
    for name, most in BLOCKS[kind].items():
        clean[name] = _text(block.get(name), most)
        for match in _LINK.finditer(clean[name] if name == "text" else ""):
            check_url(match[2])
    if kind == "list":
        items = block.get("items")
        if not isinstance(items, list) or len(items) > MAX_ITEMS:
            raise InvalidError(_("At most %(n)d lines") % {"n": MAX_ITEMS})
        clean["items"] = [text for item in items if (text := _text(item, 300))]
        for item in clean["items"]:
            for match in _LINK.finditer(item):
                check_url(match[2])
        if not clean["items"]:
            raise InvalidError(_("it is empty"))
    if kind in ("heading", "text", "quote") and not clean["text"]:
        raise InvalidError(_("it is empty"))
    if kind == "image":
        clean["file_id"] = _file_id(block.get("file_id"))
    if kind == "button":
        if not clean["label"]:
            raise InvalidError(_("the button needs words"))
        clean["url"] = check_url(clean["url"])
    return clean


def _text(value: Any, most: int) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidError(_("must be text"))
    text = re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", "", value.replace("\r\n", "\n")).strip()
    if len(text) > most:
        raise InvalidError(_("At most %(n)d characters") % {"n": most})
    return text


def _file_id(value: Any) -> int:
    number = read_id(value)
    if not number:
        raise InvalidError(_("choose a picture"))
    return number
