"""Pages and tracked links as link cards: what may be chosen, what the card holds, where it is chosen."""

import json
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from content.models import Content, TrackedLink
from content.services import cards, editing, links
from scrm import clock
from scrm.errors import NotFoundError
from tenants.models import Brand
from tests.content.conftest import MAKER, make_content, make_picture
from tests.factories import in_brand
from wecom.api import messages
from wecom.services import attachments


def make_page(brand: Brand, title: str = "故事", **over: Any) -> TrackedLink:
    page = {"title": title, "intro": "很久以前", "blocks": [{"type": "text", "text": "从前"}], **over}
    return links.link_of_page(brand, make_content(brand, title, "", kind="page", page=page), by=MAKER)


def names(brand: Brand, **given: Any) -> list[str]:
    return [row["name"] for row in cards.search(brand, **given)]


def test_the_card_of_a_page_and_of_an_outside_link(brand: Brand, settings: Any) -> None:
    with in_brand(brand):
        cover = make_picture(brand).pk
        page = make_page(brand, "长" * 60, intro="文" * 200, cover=cover)
        outside = links.create_link(brand, name="新品", url="https://shop.example.cn/a", by=MAKER)
        card = cards.get_card(brand, page.pk)["card"]
        assert card["url"] == f"{settings.PUBLIC_URL}/l/{page.key}/"
        assert card["picurl"] == f"{settings.PUBLIC_URL}/p/{page.key}/i/{cover}/"
        assert attachments.validate([card]) == [card]  # whatever the page says, WeCom takes the card
        shape = {k: card[k] for k in ("title", "url", "desc", "picurl")}
        messages.check_content("", [{"msgtype": "link", "link": shape}])
        assert cards.get_card(brand, outside.pk)["card"] == {
            "type": "link", "title": "新品", "url": links.address_of(outside), "desc": "", "picurl": "",
        }  # fmt: skip


def test_what_may_be_chosen(brand: Brand, other_brand: Brand) -> None:
    with in_brand(other_brand):
        theirs = make_page(other_brand, "别家")
    with in_brand(brand):
        gone, late = make_page(brand, "归档"), make_page(brand, "过期")
        editing.archive(brand, content_id=gone.content_id or 0, by=MAKER)
        Content.objects.filter(pk=late.content_id).update(expires_at=clock.now() - timedelta(hours=1))
        old = links.create_link(brand, name="旧链接", url="https://a.cn", by=MAKER)
        links.archive_link(brand, link_id=old.pk, by=MAKER)
        make_page(brand, "春季 故事")
        links.create_link(brand, name="春季新品", url="https://a.cn", by=MAKER)
        assert names(brand) == ["春季新品", "春季 故事"]
        assert names(brand, q="春季 从前") == ["春季 故事"]  # name of the link, words of the page
        assert names(brand, q="秋季 从前") == []
        for row in (gone, late, old, theirs):
            with pytest.raises(NotFoundError):
                cards.get_card(brand, row.pk)


def test_twenty_cost_what_two_cost(brand: Brand) -> None:
    counts = []
    with in_brand(brand):
        for n in (2, 18):
            for i in range(n):
                make_page(brand, f"页面 {n} {i}")
            with CaptureQueriesContext(
                connection,
            ) as seen:
                assert cards.search(brand)
            counts.append(len(seen))
    assert counts[0] == counts[1]


def test_the_picker(brand: Brand, other_brand: Brand, sign_in: Any) -> None:
    with in_brand(other_brand):
        make_page(other_brand, "别家")
    operator = sign_in(brand, "operator")
    assert "/links/" in operator.get("/content/picker/links/").content.decode()  # empty: where to make one
    with in_brand(brand):
        cover = make_picture(brand)
        link = make_page(brand, "故事", cover=cover.pk)
    page = operator.get("/content/picker/links/").content.decode()
    assert "故事" in page and "别家" not in page
    start = page.index("data-link-pick=") + 16
    picked = json.loads(unescape(page[start : page.index('"', start)]))
    assert picked["cover"] == cover.pk and str(cover.pk) in picked["files"]
    assert picked["card"]["url"].endswith(f"/l/{link.key}/")
    rows = operator.get("/content/picker/links/", {"part": "rows", "q": "没有"}).content.decode()
    assert "<form" not in rows and "data-link-pick" not in rows
    assert sign_in(brand, "guide").get("/content/picker/links/").status_code == 403
