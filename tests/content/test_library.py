"""The library as others use it: what may be sent when, search, versions that stay, folders."""

from datetime import timedelta
from typing import Any

import pytest

from content.models import Content, ContentVersion, Folder
from content.services import editing, folders, library
from content.services.editing import ContentInput
from org.models import AuditEntry
from scrm import clock
from scrm.errors import ConflictError, InvalidError, NotFoundError
from tenants.models import Brand
from tests.content.conftest import MAKER, make_content, make_picture
from tests.factories import in_brand


def edit(brand: Brand, content: Content, **over: Any) -> editing.Saved:
    given = editing.as_input(editing.get_content(content.pk))
    given = ContentInput(**{**given.__dict__, **over})
    return editing.edit_content(brand, content_id=content.pk, given=given, by=MAKER)


def test_usable(brand: Brand, other_brand: Brand) -> None:
    with in_brand(brand):
        content = make_content(
            brand,
            text="我是{员工姓名}",
            attachments=[{"type": "link", "title": "官网", "url": "https://a.cn"}],
        )
        found = library.usable(brand, content.pk)
        assert (found.name, found.text, found.is_personal) == ("早安", "我是{员工姓名}", False)
        assert found.attachments[0]["url"] == "https://a.cn"
        assert found == library.usable_version(brand, found.version_id)
        assert AuditEntry.objects.filter(action="content.create").count() == 1
    with in_brand(other_brand):
        for ask in (
            lambda: library.usable(other_brand, content.pk),
            lambda: library.usable_version(other_brand, found.version_id),
        ):
            with pytest.raises(NotFoundError):
                ask()


def test_what_may_not_be_sent(brand: Brand) -> None:
    with in_brand(brand):
        end = clock.now() + timedelta(days=1)
        content = make_content(brand, expires_at=end)
        library.usable(brand, content.pk, end - timedelta(seconds=1))
        personal = make_content(brand, "称呼", "{客户昵称}，你好")
        library.usable(brand, personal.pk, personal=True)
        gone = make_content(brand, "旧")
        editing.archive(brand, content_id=gone.pk, by=MAKER)
        for ask, code in (
            (lambda: library.usable(brand, content.pk, end), "content_expired"),
            (lambda: library.usable(brand, personal.pk), "content_personal"),
            (lambda: library.usable(brand, gone.pk), "content_archived"),
        ):
            with pytest.raises(InvalidError) as refused:
                ask()
            assert refused.value.code == code
        assert [row["name"] for row in library.search(brand)] == ["早安"]
        assert library.search(brand, at=end) == []
        assert {row["name"] for row in library.search(brand, personal=True)} == {"早安", "称呼"}


def test_other_words_are_another_version_and_the_old_one_stays_usable(brand: Brand, content: Content) -> None:
    with in_brand(brand):
        first = library.usable(brand, content.pk)
        assert edit(brand, content, name="早安！").version is None
        second = edit(brand, content, text="晚上好").version
        assert second is not None and second.no == 2
        assert library.usable(brand, content.pk).text == "晚上好"
        assert library.usable_version(brand, first.version_id).text == "早上好"
        names = library.names_of([first.version_id, second.pk, None, 987])
        assert names[first.version_id] == {"content_id": content.pk, "name": "早安！", "no": 1, "newer": 2}
        assert names[second.pk]["newer"] is None
        assert library.same_version(second.pk, "晚上好", []) == second.pk
        assert library.same_version(second.pk, "晚上好呀", []) is None
        assert library.same_version(987, "晚上好", []) is None


def test_search_by_words_folder_and_kind(brand: Brand) -> None:
    with in_brand(brand):
        top = folders.save_folder(brand, name="售前", parent_id=None, by=MAKER)
        low = folders.save_folder(brand, name="价格", parent_id=top.pk, by=MAKER)
        make_content(brand, "嫌贵", "按天算一天只要 2 元 ABC", kind="script", folder_id=low.pk)
        make_content(brand, "问候", "早")
        found = library.search(brand, q="一天 abc", folder_id=top.pk, kind="script")
        assert [row["name"] for row in found] == ["嫌贵"] and found[0]["folder"] == "价格"
        assert library.search(brand, q="嫌贵 早") == []
        assert library.search(brand, folder_id=987) == []


@pytest.mark.parametrize(
    "over, field",
    [
        ({"name": " "}, "name"),
        ({"name": "长" * 61}, "name"),
        ({"text": ""}, "text"),
        ({"text": "{客户}"}, "text"),
        ({"text": "字" * 1334}, "text"),
        ({"attachments": [{"type": "svg"}]}, "text"),
        ({"attachments": [{"type": "link", "title": "题" * 60, "url": "https://a.cn"}]}, "text"),
        ({"attachments": [{"type": "image", "file_id": 987}]}, "text"),
        ({"attachments": [{"type": "link", "title": "a", "url": "https://a.cn"}] * 10}, "text"),
        ({"expires_at": clock.now() - timedelta(days=1)}, "expires_at"),
        ({"note": "长" * 201}, "note"),
        ({"kind": "song"}, "kind"),
    ],
)
def test_bad_input_is_refused_at_its_field(brand: Brand, over: dict, field: str) -> None:
    with in_brand(brand), pytest.raises(InvalidError) as refused:
        editing.create_content(brand, given=ContentInput(**{"name": "早安", "text": "早", **over}), by=MAKER)
    assert list(refused.value.details["fields"]) == [field]


def test_forms(brand: Brand) -> None:
    with in_brand(brand):
        image = {"type": "image", "file_id": make_picture(brand).pk}
        link = {"type": "link", "title": "官网", "url": "https://a.cn"}
        assert make_content(brand, text="", attachments=[image]).form == "image"
        assert make_content(brand, text="看", attachments=[image]).form == "combined"
        assert make_content(brand, text="", attachments=[link, image]).form == "combined"
        assert make_content(brand).form == "text"


def test_folders(brand: Brand, content: Content) -> None:
    with in_brand(brand):
        a = folders.save_folder(brand, name="甲", parent_id=None, by=MAKER)
        b = folders.save_folder(brand, name="乙", parent_id=a.pk, by=MAKER)
        c = folders.save_folder(brand, name="丙", parent_id=b.pk, by=MAKER)
        assert folders.tree(list(Folder.objects.all())) == [(a, 0), (b, 1), (c, 2)]
        for name, parent, of in (
            ("甲", None, None),
            ("甲", c.pk, a.pk),
            ("", None, None),
            ("乙", a.pk, None),
        ):
            with pytest.raises(InvalidError):
                folders.save_folder(brand, name=name, parent_id=parent, folder_id=of, by=MAKER)
        d = folders.save_folder(brand, name="丁", parent_id=c.pk, by=MAKER)
        with pytest.raises(InvalidError):
            folders.save_folder(brand, name="戊", parent_id=d.pk, by=MAKER)
        with pytest.raises(ConflictError):
            folders.delete_folder(brand, folder_id=c.pk, by=MAKER)
        folders.delete_folder(brand, folder_id=d.pk, by=MAKER)
        assert Folder.objects.count() == 3


def test_the_picker(brand: Brand, other_brand: Brand, sign_in: Any) -> None:
    with in_brand(other_brand):
        make_content(other_brand, "别家")
    client = sign_in(brand, "operator")
    assert "/content/" in client.get("/content/picker/").content.decode()  # empty: where to write some
    with in_brand(brand):
        picture = make_picture(brand)
        make_content(brand, "早安", attachments=[{"type": "image", "file_id": picture.pk}])
        make_content(brand, "称呼", "{客户昵称}，你好")
    page = client.get("/content/picker/").content.decode()
    assert "早安" in page and "称呼" not in page and "别家" not in page
    assert "称呼" in client.get("/content/picker/?personal=1&part=rows&q=你好").content.decode()
    assert sign_in(brand, "guide").get("/content/picker/").status_code == 403
    for bad in ("folder=x", "folder=" + "9" * 40, "kind=x", "q=" + "x" * 500):
        assert client.get(f"/content/picker/?{bad}").status_code == 200


def test_the_picker_asks_as_much_for_many_as_for_few(
    brand: Brand, sign_in: Any, django_assert_max_num_queries: Any
) -> None:
    client = sign_in(brand, "operator")
    with in_brand(brand):
        make_content(brand)
    client.get("/content/picker/")
    with django_assert_max_num_queries(60) as few:
        client.get("/content/picker/")
    with in_brand(brand):
        for n in range(20):
            make_content(
                brand,
                f"{n}",
                attachments=[{"type": "image", "file_id": make_picture(brand, (10 + n, 10)).pk}],
            )
    with django_assert_max_num_queries(len(few) + 1):  # the names of files
        client.get("/content/picker/")
    with in_brand(brand):
        assert ContentVersion.objects.count() == 21
