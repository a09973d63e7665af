"""Four eyes, versions compared and taken again, archive, many at once."""

from typing import Any

import pytest

from content.models import Content, ContentVersion
from content.services import approval, editing, folders, library, shelf
from content.services.editing import ContentInput
from org.access import Actor
from scrm.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from tenants.models import Brand
from tests.content.conftest import CHECKER, MAKER, Upload, make_content
from tests.factories import in_brand

State = ContentVersion.State


@pytest.fixture
def strict(brand: Brand) -> Brand:
    with in_brand(brand):
        approval.set_needs_approval(brand, needs=True, by=CHECKER)
    return brand


def change(brand: Brand, content: Content, text: str, by: Actor = MAKER) -> editing.Saved:
    given = ContentInput(**{**editing.as_input(editing.get_content(content.pk)).__dict__, "text": text})
    return editing.edit_content(brand, content_id=content.pk, given=given, by=by)


def test_nothing_is_in_force_before_a_second_person_has_said_so(strict: Brand) -> None:
    with in_brand(strict):
        content = make_content(strict)
        with pytest.raises(InvalidError, match="审核"):
            library.usable(strict, content.pk)
        assert approval.waiting().count() == 1
        for own in (MAKER, Actor("别名", user_id=MAKER.user_id), Actor(MAKER.name)):
            with pytest.raises(ForbiddenError):
                approval.decide(strict, content_id=content.pk, no=1, approve=True, by=own)
        for _ in range(2):
            approval.decide(strict, content_id=content.pk, no=1, approve=True, by=CHECKER)
        assert library.usable(strict, content.pk).text == "早上好"
        assert change(strict, content, "晚上好").waits
        assert library.usable(strict, content.pk).text == "早上好"  # until the new one is approved
        approval.decide(strict, content_id=content.pk, no=2, approve=True, by=CHECKER)
        assert library.usable(strict, content.pk).text == "晚上好"
        with pytest.raises(ConflictError):
            approval.decide(strict, content_id=content.pk, no=2, approve=False, note="不", by=CHECKER)


def test_sent_back_replaced_and_written_again(strict: Brand) -> None:
    with in_brand(strict):
        content = make_content(strict)
        with pytest.raises(InvalidError):
            approval.decide(strict, content_id=content.pk, no=1, approve=False, by=CHECKER)
        approval.decide(strict, content_id=content.pk, no=1, approve=False, note="太短", by=CHECKER)
        assert approval.waiting().count() == 0
        assert change(strict, content, "早上好").waits  # the same words, asked again
        assert change(strict, content, "早上好呀").waits
        states = list(ContentVersion.objects.order_by("no").values_list("state", flat=True))
        assert states == [State.REFUSED, State.REPLACED, State.WAITING]
        with pytest.raises(ConflictError):
            approval.decide(strict, content_id=content.pk, no=2, approve=True, by=CHECKER)


def test_an_old_version_again(brand: Brand, content: Content) -> None:
    with in_brand(brand):
        change(brand, content, "晚上好")
        saved = approval.take_again(brand, content_id=content.pk, no=1, by=MAKER)
        assert saved.version and (saved.version.no, saved.version.text) == (3, "早上好")
        for no in (1, 3):  # the same words already; the newest one
            with pytest.raises(ConflictError):
                approval.take_again(brand, content_id=content.pk, no=no, by=MAKER)
        with pytest.raises(NotFoundError):
            approval.take_again(brand, content_id=content.pk, no=9, by=MAKER)


def test_compare(brand: Brand, content: Content) -> None:
    with in_brand(brand):
        change(brand, content, "早上好，新品到店")
        old, new = (approval.get_version(content.pk, no) for no in (1, 2))
        change_found = approval.compare(old, new)
        assert [(p.kind, p.text) for p in change_found["text"]] == [("same", "早上好"), ("new", "，新品到店")]
        assert approval.compare(old, old)["same"]


def test_archive_and_back(brand: Brand, content: Content) -> None:
    with in_brand(brand):
        for _ in range(2):
            editing.archive(brand, content_id=content.pk, by=MAKER)
        with pytest.raises(ConflictError):
            change(brand, content, "x")
        assert library.search(brand) == []
        editing.restore(brand, content_id=content.pk, by=MAKER)
        assert len(library.search(brand)) == 1


def test_files_become_items_and_bad_ones_are_named(brand: Brand, settings: Any, tmp_path: Any) -> None:
    import io

    from PIL import Image

    settings.MEDIA_ROOT = tmp_path

    def file(name: str, data: bytes) -> Upload:
        made = Upload(data)
        made.name = name
        return made

    png = io.BytesIO()
    Image.new("RGB", (20, 20)).save(png, "PNG")
    svg = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
    with in_brand(brand):
        made, bad = shelf.add_files(
            brand,
            files=[
                file("新品.png", png.getvalue()),
                file("价目表.pdf", b"%PDF-1.4 x"),
                file("a.jpg", svg),
                file("b.png", b"\x89PNG" + b"0" * 50),
                file("empty.png", b""),
            ],
            folder_id=None,
            by=MAKER,
        )
        assert [(s.content.name, s.content.form) for s in made] == [("新品", "image"), ("价目表", "file")]
        assert [name for name, _reason in bad] == ["a.jpg", "b.png", "empty.png"]
        with pytest.raises(NotFoundError):
            shelf.add_files(brand, files=[], folder_id=987, by=MAKER)


def test_many_at_once(brand: Brand, other_brand: Brand) -> None:
    with in_brand(other_brand):
        foreign = make_content(other_brand).pk
    with in_brand(brand):
        ids = [make_content(brand, f"{n}").pk for n in range(3)]
        folder = folders.save_folder(brand, name="甲", parent_id=None, by=MAKER)
        assert shelf.move(brand, content_ids=[*ids, foreign], folder_id=folder.pk, by=MAKER) == 3
        assert Content.objects.filter(folder=folder).count() == 3
        assert shelf.archive_many(brand, content_ids=ids[:2], by=MAKER) == 2
        assert shelf.archive_many(brand, content_ids=ids, by=MAKER) == 1
        with pytest.raises(NotFoundError):
            shelf.archive_many(brand, content_ids=[foreign], by=MAKER)
