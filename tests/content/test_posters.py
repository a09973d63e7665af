"""Posters: templates checked, pictures with the code of a guide or customer."""

import io
import json
from typing import Any

import pytest
from PIL import Image

from content import tokens
from content.models import Poster
from content.services import links, posters
from scrm.errors import InvalidError
from tenants.models import Brand
from tests.content.conftest import MAKER, make_picture
from tests.content.test_api import client_of
from tests.factories import in_brand, make_contact

PARTS = [
    {"kind": "qr", "x": 20, "y": 20, "w": 160},
    {"kind": "text", "x": 20, "y": 200, "w": 300, "size": 30, "text": "我是{员工姓名}", "color": "#ff0000", "align": "center"},
]  # fmt: skip


def make_poster(brand: Brand, **over: Any) -> Poster:
    link = links.create_link(brand, name="新品", url="https://a.cn", by=MAKER)
    given = {
        "name": "海报",
        "background_id": make_picture(brand, (400, 300), "white").pk,
        "link_id": link.pk,
        "layout": {"parts": PARTS},
        **over,
    }
    return posters.save_poster(brand, by=MAKER, **given)


def test_each_guide_has_a_picture_of_their_own(
    brand: Brand, staff: Any, settings: Any, tmp_path: Any
) -> None:
    settings.MEDIA_ROOT = tmp_path
    with in_brand(brand):
        poster, contact = make_poster(brand), make_contact(brand, staff)
        one = posters.render(brand, poster, staff=staff)
        assert (
            one
            == posters.render(brand, poster, staff=staff)
            == posters.render(brand, poster, contact=contact)
        )
        assert one != posters.render(brand, poster)
        assert len(list(tmp_path.glob(f"{brand.pk}/posters/*.jpg"))) == 2  # kept
        picture = Image.open(io.BytesIO(one))
        assert picture.size == (400, 300)
        colours = picture.crop((20, 200, 320, 250)).convert("RGB").getcolors(10_000) or []
        assert any(r > 180 and g < 90 and b < 90 for _n, (r, g, b) in colours)  # type: ignore[misc]
        token = tokens.pack(brand.pk, poster.link.key, tokens.Sent(staff.pk, via=7))
        assert tokens.unpack(brand.pk, poster.link.key, token) == tokens.Sent(staff.pk, via=7)


def test_a_customers_picture_is_not_kept(brand: Brand, staff: Any, settings: Any, tmp_path: Any) -> None:
    settings.MEDIA_ROOT = tmp_path
    parts = [PARTS[0], {**PARTS[1], "text": "{客户昵称}，你好"}]
    with in_brand(brand):
        poster, contact = make_poster(brand, layout={"parts": parts}), make_contact(brand, staff, name="小满")
        assert posters.render(brand, poster, contact=contact) != posters.render(brand, poster, staff=staff)
        assert len(list(tmp_path.glob(f"{brand.pk}/posters/*.jpg"))) == 1  # the guide's


@pytest.mark.parametrize(
    "parts",
    [None, [], [PARTS[1]], [{**PARTS[0], "x": 900}], [{**PARTS[0], "w": 5}], [{**PARTS[0], "x": "a"}], [{**PARTS[0], "x": 1e400}],
     [PARTS[0], {**PARTS[1], "text": ""}], [PARTS[0], {**PARTS[1], "color": "red;x"}], [PARTS[0], {**PARTS[1], "text": "{谁}"}],
     [PARTS[0], {**PARTS[1], "align": "up"}], [PARTS[0]] * 13, ["x"]],
)  # fmt: skip
def test_bad_layouts(brand: Brand, parts: Any) -> None:
    with in_brand(brand), pytest.raises(InvalidError):
        make_poster(brand, layout={"parts": parts})


def test_bad_backgrounds(brand: Brand) -> None:
    with in_brand(brand):
        for size in ((100, 100), (3_200, 300)):
            with pytest.raises(InvalidError):
                make_poster(brand, background_id=make_picture(brand, size).pk)
        with pytest.raises(InvalidError):
            make_poster(brand, background_id=987)


def test_pages_and_api(brand: Brand, staff: Any, sign_in: Any) -> None:
    client = sign_in(brand, "operator")
    with in_brand(brand):
        poster, contact = make_poster(brand), make_contact(brand, staff)
    assert "海报" in client.get("/posters/").content.decode()
    assert client.get("/posters/new/").status_code == client.get(f"/posters/{poster.pk}/").status_code == 200
    assert client.get(f"/posters/{poster.pk}/picture/?staff={staff.pk}")["Content-Type"] == "image/jpeg"
    form = {
        "name": "新",
        "background": poster.background_id,
        "link": poster.link_id,
        "layout": json.dumps({"parts": PARTS}),
    }
    assert client.post(f"/posters/{poster.pk}/", form).status_code == 302
    for bad in ({"layout": "x"}, {"layout": '{"parts": 5}'}, {"link": ""}, {"background": ""}, {"name": ""}):
        assert client.post("/posters/new/", {**form, **bad}).status_code == 422, bad
    assert sign_in(brand, "guide").get("/posters/").status_code == 403
    api = client_of(brand, "content.view")
    assert api.get("/api/v1/posters/").json() == [{"id": poster.pk, "name": "新"}]
    assert api.get(f"/api/v1/posters/{poster.pk}/?contact={contact.pk}")["Content-Type"] == "image/jpeg"
    assert api.get(f"/api/v1/posters/{poster.pk}/?contact=999999").status_code == 404
