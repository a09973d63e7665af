"""Files and attachments: what may be uploaded, kept once, sent to WeCom in its form, renewed in time."""

import io
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from PIL import Image

from scrm import clock
from scrm.errors import InvalidError
from tenants.scoping import tenant_scope
from tests.factories import in_brand, make_brand
from wecom.client import client_for
from wecom.models import MediaFile, MediaUpload
from wecom.services import attachments, media

pytestmark = pytest.mark.django_db(transaction=True)

MP4 = b"\x00\x00\x00\x18ftypmp42" + b"\x00" * 64


def png(size: tuple[int, int] = (8, 8)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, "red").save(out, "PNG")
    return out.getvalue()


@pytest.fixture(autouse=True)
def own_folder(settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path


def save(brand: Any, data: bytes, kind: str = "image", name: str = "a.png") -> MediaFile:
    with in_brand(brand):
        return media.save_upload(brand, file=SimpleUploadedFile(name, data), kind=kind)


def test_kept_once_per_brand(brand: Any, tmp_path: Path) -> None:
    data = png()
    first, again = save(brand, data, name="海报.png"), save(brand, data, name="other.png")
    assert (first.pk, first.name, first.size) == (again.pk, "海报.png", len(data))
    assert (tmp_path / first.path).read_bytes() == data
    assert first.path.startswith(f"{brand.pk}/")
    other = make_brand()
    assert save(other, data).path != first.path
    assert len(list(tmp_path.rglob("*.png"))) == 2


@pytest.mark.parametrize(
    "data, kind, name",
    [
        (b"not a picture at all", "image", "a.png"),
        (png()[:40], "image", "a.png"),
        (b"GIF89a" + b"0" * 50, "image", "a.gif"),
        (png(), "video", "a.mp4"),
        (b"12345", "file", "a.txt"),
        (b"x" * (20 * 1024 * 1024 + 1), "file", "a.bin"),
        (b"\x89PNG\r\n\x1a\n" + b"x" * (10 * 1024 * 1024), "image", "a.png"),
        (png(), "voice", "a.amr"),
        (png(), "", "a.png"),
    ],
)
def test_refused(brand: Any, tmp_path: Path, data: bytes, kind: str, name: str) -> None:
    with pytest.raises(InvalidError):
        save(brand, data, kind, name)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    with in_brand(brand):
        assert MediaFile.objects.count() == 0


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "..\\..\\boot.ini", "a\x00b.png", "", "x" * 300 + ".png"]
)
def test_names_of_strangers(brand: Any, tmp_path: Path, name: str) -> None:
    upload = SimpleUploadedFile("a.png", png())
    upload._name = name  # type: ignore[attr-defined]  # Django's own cleaning is not what is tried here
    with in_brand(brand):
        kept = media.save_upload(brand, file=upload, kind="image")
    assert "/" not in kept.name
    assert "\\" not in kept.name
    assert 0 < len(kept.name) <= 120
    assert (tmp_path / kept.path).resolve().is_relative_to(tmp_path.resolve())


def test_uploaded_when_needed_and_renewed(connected: SimpleNamespace) -> None:
    kept = save(connected.brand, png())

    def media_id(days: float = 0) -> str:
        with tenant_scope(connected.brand), clock.at(clock.now() + timedelta(days=days)):
            return media.media_id(connected.corp, client_for(connected.corp), kept)

    first = media_id()
    assert media_id(1.9) == first
    assert len(connected.sandbox.calls("media/upload")) == 1
    second = media_id(2.1)  # would die within a day: a mass send may lie there until the guide confirms
    assert second != first
    assert media_id(2.2) == second
    with in_brand(connected.brand):
        assert MediaUpload.objects.count() == 1


def test_file_is_gone_from_the_disk(connected: SimpleNamespace, tmp_path: Path) -> None:
    kept = save(connected.brand, png())
    (tmp_path / kept.path).unlink()
    with tenant_scope(connected.brand), pytest.raises(InvalidError, match=r"a\.png"):
        media.media_id(connected.corp, client_for(connected.corp), kept)


def test_attachments_in_wecoms_form(connected: SimpleNamespace) -> None:
    picture, film, paper = (
        save(connected.brand, png()),
        save(connected.brand, MP4, "video", "f.mp4"),
        save(connected.brand, b"%PDF-1.7 text", "file", "价目表.pdf"),
    )
    given = [
        {"type": "link", "title": "新品", "url": "https://example.com/a", "desc": "看看", "x": "dropped"},
        {"type": "image", "file_id": str(picture.pk)},
        {"type": "video", "file_id": film.pk},
        {"type": "file", "file_id": paper.pk},
        {
            "type": "miniprogram",
            "title": "商城",
            "appid": "wx1",
            "page": "/index.html",
            "file_id": picture.pk,
        },
    ]
    with in_brand(connected.brand):
        clean = attachments.validate(given)
    assert clean[1] == {"type": "image", "file_id": picture.pk}
    assert "x" not in clean[0]
    with tenant_scope(connected.brand):
        sent = attachments.to_wecom(connected.corp, client_for(connected.corp), clean)
    assert [one["msgtype"] for one in sent] == ["link", "image", "video", "file", "miniprogram"]
    assert sent[0]["link"] == {"title": "新品", "url": "https://example.com/a", "desc": "看看"}
    assert sent[4]["miniprogram"]["pic_media_id"] == sent[1]["image"]["media_id"]
    assert len(connected.sandbox.calls("media/upload")) == 3


LINK = {"type": "link", "title": "t", "url": "https://example.com"}


@pytest.mark.parametrize(
    "given",
    [
        "no list", [None], [[]], [{}], [{"type": "voice"}], [{"type": ["link"]}],
        [{**LINK, "title": ""}], [{**LINK, "title": "长" * 43}], [{**LINK, "url": "javascript:alert(1)"}],
        [{**LINK, "desc": "长" * 171}], [{**LINK, "title": {"a": 1}}], [LINK] * 10,
        [{"type": "image"}], [{"type": "image", "file_id": "x"}], [{"type": "image", "file_id": 987654}],
        [{"type": "image", "file_id": None}], [{"type": "miniprogram", "title": "t", "file_id": 1}],
    ],
)  # fmt: skip
def test_attachments_refused(brand: Any, given: Any) -> None:
    with in_brand(brand), pytest.raises(InvalidError):
        attachments.validate(given)


def test_foreign_file_and_wrong_kind(brand: Any) -> None:
    foreign = save(make_brand(), png())
    paper = save(brand, b"%PDF-1.7 text", "file", "a.pdf")
    for file_id in (foreign.pk, paper.pk):
        with in_brand(brand), pytest.raises(InvalidError):
            attachments.validate([{"type": "image", "file_id": file_id}])


# ---- addresses


def test_upload_and_look(brand: Any, sign_in: Any) -> None:
    client = sign_in(brand, "operator")
    answer = client.post("/wecom/media/", {"file": SimpleUploadedFile("a.png", png()), "kind": "image"})
    assert answer.status_code == 200
    given = answer.json()
    assert (given["name"], given["kind"]) == ("a.png", "image")
    picture = client.get(f"/wecom/media/{given['id']}/")
    assert picture.content == png()
    assert picture["Content-Type"] == "image/png"
    assert sign_in(make_brand(), "operator").get(f"/wecom/media/{given['id']}/").status_code == 404


def test_upload_refused(brand: Any, sign_in: Any) -> None:
    client = sign_in(brand, "operator")
    answer = client.post("/wecom/media/", {"file": SimpleUploadedFile("a.png", b"nothing"), "kind": "image"})
    assert answer.status_code == 422
    assert answer.json()["error"]["message"]
    assert client.post("/wecom/media/", {"kind": "image"}).status_code == 422
    assert sign_in(brand, "guide").post("/wecom/media/", {"kind": "image"}).status_code == 403


def test_only_pictures_are_shown(brand: Any, sign_in: Any) -> None:
    page = save(brand, b"<script>alert(1)</script>", "file", "a.html")
    assert sign_in(brand).get(f"/wecom/media/{page.pk}/").status_code == 404
