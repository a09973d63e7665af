"""Pages of the dashboard, for whom, with how many queries; and articles: nothing in them ever runs."""

import json
from dataclasses import replace
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from content import pages
from content.models import Content, ContentVersion
from content.services import approval, editing, page_html
from scrm.errors import InvalidError
from tenants.models import Brand
from tests.content.conftest import CHECKER, MAKER, make_content, make_picture
from tests.factories import in_brand

PAGE = {
    "title": "新品故事",
    "intro": "三分钟读完",
    "blocks": [
        {"type": "heading", "text": "从一朵花开始"},
        {"type": "text", "text": "**手工**调制，见[官网](https://a.cn/?a=1&b=2)"},
        {"type": "list", "items": ["一", "", "二"]},
        {"type": "button", "label": "去看看", "url": "https://a.cn/x"},
        {"type": "line"},
    ],
}


def test_an_article_is_kept_with_known_fields_only() -> None:
    found = pages.check({**PAGE, "script": "x", "blocks": [*PAGE["blocks"], {"type": "line", "html": "<b>"}]})  # type: ignore[misc]
    assert found["blocks"][-1] == {"type": "line"} and found["blocks"][2]["items"] == ["一", "二"]
    assert pages.urls_in(found) == ["https://a.cn/x", "https://a.cn/?a=1&b=2"]


@pytest.mark.parametrize(
    "page",
    [
        None, [], {"title": "x"}, {"title": "", "blocks": [{"type": "line"}]}, {"title": "x", "blocks": ["line"]},
        {"title": "x", "blocks": [{"type": "html", "text": "<script>"}]},
        {"title": "x", "blocks": [{"type": "text", "text": ""}]},
        {"title": "x", "blocks": [{"type": "text", "text": 5}]}, {"title": "x", "blocks": [{"type": "line"}] * 101},
        {"title": "x", "blocks": [{"type": "image", "file_id": "x"}]},
        {"title": "x", "blocks": [{"type": "image", "file_id": 1e400}]},
        {"title": "x", "blocks": [{"type": "line"}], "cover": 1e400},
        {"title": "x", "blocks": [{"type": "list", "items": "ab"}]},
        {"title": "x", "blocks": [{"type": "button", "label": "去", "url": "javascript:alert(1)"}]},
        {"title": "x", "blocks": [{"type": "text", "text": "[点](javascript:alert)"}]},
        {"title": "x", "blocks": [{"type": "button", "label": "去", "url": "https://a.cn@b.cn/"}]},
        {"title": "x", "blocks": [{"type": "button", "label": "去", "url": "//a.cn"}]},
        {"title": "x", "blocks": [{"type": "text", "text": "字" * 5001}]},
    ],
)  # fmt: skip
def test_bad_articles(page: Any) -> None:
    with pytest.raises(InvalidError):
        pages.check(page)


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "[a](https://x\"onmouseover=alert(1))", "**<b>**",
        "[<i>](https://a.cn)", "[a](https://a.cn/'onclick='x)", "[a](https://a.cn/<script>)",
    ],
)  # fmt: skip
def test_nothing_in_an_article_is_html(text: str) -> None:
    from html.parser import HTMLParser

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: Any) -> None:
            assert tag in ("strong", "a", "br")
            assert {name for name, _value in attrs} <= {"href", "rel"}
            assert all(not name.startswith("on") for name, _value in attrs)

    Reader().feed(str(page_html.inline(text)))


def test_marks() -> None:
    html = page_html.inline("**粗** [官网](https://a.cn/?a=1&b=2)\n下一行")
    assert (
        "<strong>粗</strong>" in html and 'href="https://a.cn/?a=1&amp;b=2"' in html and "<br>下一行" in html
    )


def test_write_look_change_compare_take_again(brand: Brand, sign_in: Any) -> None:
    client = sign_in(brand, "operator")
    assert "素材库还是空的" in client.get("/content/").content.decode()
    for kind in ("message", "script", "page"):
        assert client.get(f"/content/new/?kind={kind}").status_code == 200
    form = {"name": "早安", "text": "早上好", "attachments": "[]", "expires_at": "2090-01-01T10:00"}
    answer = client.post("/content/new/", form)
    assert answer.status_code == 302
    with in_brand(brand):
        content = Content.objects.get()
        assert content.expires_at and content.expires_at.hour == 2  # the brand's wall clock
    url = f"/content/{content.pk}/"
    assert answer["Location"] == url
    assert "早上好" in client.get(url).content.decode()
    assert 'value="2090-01-01T10:00"' in client.get(f"{url}edit/").content.decode()
    assert client.post(f"{url}edit/", {**form, "text": "晚上好", "note": "改时间"}).status_code == 302
    assert "<ins>晚</ins>" in client.get(f"{url}v/1/compare/").content.decode()
    assert client.post(f"{url}v/1/again/").status_code == 302
    assert client.post(f"{url}archive/").status_code == 302
    assert client.get(f"{url}edit/").status_code == 409
    assert "早安" in client.get("/content/?state=archived").content.decode()
    assert client.post(f"{url}restore/").status_code == 302
    for bad in (
        {"name": ""},
        {"text": ""},
        {"text": "{谁}"},
        {"attachments": "x"},
        {"attachments": '{"a": 1}'},
        {"expires_at": "x"},
        {"expires_at": "2000-01-01T00:00"},
        {"folder": "77"},
    ):
        assert client.post("/content/new/", {**form, **bad}).status_code == 422, bad


def test_write_an_article(brand: Brand, sign_in: Any) -> None:
    client = sign_in(brand, "operator")
    with in_brand(brand):
        picture = make_picture(brand)
    page = {
        **PAGE,
        "cover": picture.pk,
        "blocks": [*PAGE["blocks"], {"type": "image", "file_id": picture.pk, "caption": "图"}],
    }  # type: ignore[misc]
    answer = client.post("/content/new/?kind=page", {"name": "故事", "page": json.dumps(page)})
    assert answer.status_code == 302
    shown = client.get(answer["Location"]).content.decode()
    assert "从一朵花开始" in shown and f"/wecom/media/{picture.pk}/" in shown
    assert (
        "<strong>手工</strong>"
        in client.post("/content/page-preview/", {"page": json.dumps(page)}).content.decode()
    )
    assert client.post("/content/page-preview/", {"page": "x"}).status_code == 200
    bad = json.dumps({**page, "cover": 987})
    assert client.post("/content/new/?kind=page", {"name": "故事", "page": bad}).status_code == 422
    assert client.post("/content/new/?kind=page", {"name": "故事", "page": "[]"}).status_code == 422


def test_four_eyes_on_the_pages(brand: Brand, sign_in: Any) -> None:
    admin, operator = sign_in(brand), sign_in(brand, "operator")
    assert operator.post("/content/approvals/rule/", {"needs": "1"}).status_code == 403
    assert admin.post("/content/approvals/rule/", {"needs": "1"}).status_code == 302
    operator.post("/content/new/", {"name": "早安", "text": "早上好", "attachments": "[]"})
    with in_brand(brand):
        content = Content.objects.get()
    look = f"/content/{content.pk}/v/1/"
    assert "早安" in admin.get("/content/approvals/").content.decode()
    assert "须由另一人审核" in operator.get(f"{look}look/").content.decode()
    assert operator.post(f"{look}decide/", {"decision": "approve"}).status_code == 403
    assert admin.get(f"{look}look/").status_code == 200
    assert admin.post(f"{look}decide/", {"decision": "back"}).status_code == 422
    assert admin.post(f"{look}decide/", {"decision": "back", "note": "太短"}).status_code == 302
    assert "太短" in operator.get(f"/content/{content.pk}/").content.decode()
    operator.post(f"/content/{content.pk}/edit/", {"name": "早安", "text": "早上好呀", "attachments": "[]"})
    assert admin.post(f"/content/{content.pk}/v/2/decide/", {"decision": "approve"}).status_code == 302
    with in_brand(brand):
        assert (
            ContentVersion.objects.get(no=2).decided_by == admin.user.name
            or ContentVersion.objects.get(no=2).state == "approved"
        )
        own = make_content(brand, by=MAKER)
        approval.decide(brand, content_id=own.pk, no=1, approve=True, by=CHECKER)


def test_who_may(brand: Brand, sign_in: Any) -> None:
    with in_brand(brand):
        content = make_content(brand)
    manager, guide = sign_in(brand, "manager"), sign_in(brand, "guide")
    assert manager.get("/content/").status_code == manager.get(f"/content/{content.pk}/").status_code == 200
    for path in ("/content/new/", f"/content/{content.pk}/edit/", "/content/folders/new/"):
        assert manager.get(path).status_code == 403
    assert manager.post(f"/content/{content.pk}/archive/").status_code == 403
    assert guide.get("/content/").status_code == 403


def test_folders_and_many(brand: Brand, sign_in: Any) -> None:
    client = sign_in(brand, "operator")
    assert client.post("/content/folders/new/", {"name": "售前"}).status_code == 302
    assert client.post("/content/folders/new/", {"name": "售前"}).status_code == 422
    with in_brand(brand):
        content = make_content(brand)
    from content.models import Folder

    with in_brand(brand):
        folder = Folder.objects.get()
    many = {"ids": [content.pk], "act": "move", "folder": folder.pk, "back": "/content/?look=list"}
    assert client.post("/content/many/", many)["Location"] == "/content/?look=list"
    assert "早安" in client.get(f"/content/?folder={folder.pk}&look=list&q=早上").content.decode()
    assert client.post(f"/content/folders/{folder.pk}/delete/").status_code == 409
    assert (
        client.post("/content/many/", {"ids": [content.pk], "act": "archive", "back": "https://a.cn"})[
            "Location"
        ]
        == "/content/"
    )
    assert client.post("/content/many/", {"ids": ["x"], "act": "archive"}).status_code == 404


def test_the_words_of_old_versions_are_not_read(brand: Brand, sign_in: Any) -> None:
    with in_brand(brand):
        item = make_content(brand, text="第一版的字")
        for words in ("第二版的字", "第三版的字"):
            given = replace(editing.as_input(item), text=words)
            editing.edit_content(brand, content_id=item.pk, given=given, by=MAKER)
    client = sign_in(brand)
    for path in ("/content/", f"/content/{item.pk}/"):
        with CaptureQueriesContext(connection) as counted:
            page = client.get(path)
        assert page.status_code == 200 and "第三版的字" in page.content.decode(), path
        whole = [q["sql"] for q in counted if '"content_contentversion"."text"' in q["sql"]]
        assert len(whole) == 1 and ("n_versions" in whole[0] or "LIMIT 1" in whole[0]), path


def test_a_list_asks_as_much_for_many_as_for_few(
    brand: Brand, sign_in: Any, django_assert_max_num_queries: Any
) -> None:
    client = sign_in(brand)
    for path in ("/content/", "/content/approvals/", "/content/words/"):
        with in_brand(brand):
            ContentVersion.objects.all().delete()
            Content.objects.all().delete()
            approval.set_needs_approval(brand, needs=True, by=CHECKER)
            for n in range(2):
                make_content(brand, f"{n}")
        client.get(path)
        with django_assert_max_num_queries(60) as few:
            client.get(path)
        with in_brand(brand):
            for n in range(18):
                make_content(brand, f"a{n}")
        with django_assert_max_num_queries(len(few)):
            client.get(path)


def test_everything_wrong_with_an_article_is_told_at_its_place(brand: Brand, sign_in: Any) -> None:
    client = sign_in(brand, "operator")
    button = {"type": "button", "label": "", "url": ""}
    bad = {"title": " ", "blocks": [{"type": "line"}, button, {"type": "text", "text": ""}]}
    for name, of_form in (("故事", set()), ("", {"name"})):
        page = client.post("/content/new/?kind=page", {"name": name, "page": json.dumps(bad)})
        assert page.status_code == 422 and set(page.context["form"].errors) == of_form
        assert page.context["places"].keys() == {"title", "1", "2"}
        assert page.context["page"] == bad  # nothing is lost
        assert str(page.context["places"]["title"]) in page.text and "alert-danger" not in page.text
    # what is wrong nowhere in particular stands above
    page = client.post(
        "/content/new/?kind=page", {"name": "故事", "page": json.dumps({"title": "x", "blocks": []})}
    )
    assert page.status_code == 422 and "alert-danger" in page.text
