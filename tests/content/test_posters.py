"""Posters: templates checked, pictures with the code of a guide or customer."""

import hashlib
import io
import json
from typing import Any

import pytest
from PIL import Image

from contacts.models import Event, EventType
from content import tokens
from content.models import Poster, Via
from content.services import link_numbers, links, poster_pictures, posters, visits
from content.services.browsers import Place, Visitor
from livecodes.models import ChannelCode
from org.models import AuditEntry
from scrm import clock
from scrm.errors import InvalidError
from tenants.models import Brand
from tests.content.conftest import MAKER, make_picture
from tests.content.test_api import client_of
from tests.factories import in_brand, make_contact, make_corp
from wecom.services import media

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


def render(brand: Brand, poster: Poster, **whose: Any) -> bytes:
    return poster_pictures.draw(brand, poster_pictures.plan(brand, poster, **whose))


def test_each_guide_has_a_picture_of_their_own(
    brand: Brand, staff: Any, settings: Any, tmp_path: Any
) -> None:
    settings.MEDIA_ROOT = tmp_path
    with in_brand(brand):
        poster, contact = make_poster(brand), make_contact(brand, staff)
        one = render(brand, poster, staff=staff)
        assert one == render(brand, poster, staff=staff)
        assert len({one, render(brand, poster), render(brand, poster, contact=contact)}) == 3
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
        assert render(brand, poster, contact=contact) != render(brand, poster, staff=staff)
        assert len(list(tmp_path.glob(f"{brand.pk}/posters/*.jpg"))) == 1  # the guide's


def test_who_passes_their_own_poster_on_is_known(brand: Brand, staff: Any) -> None:
    with in_brand(brand):
        poster = make_poster(brand)
        giver, taker = make_contact(brand, staff), make_contact(brand, staff)
        address = poster_pictures.plan(brand, poster, contact=giver).address
        assert poster.link is not None
        told = tokens.unpack(brand.pk, poster.link.key, address.rstrip("/").rsplit("/", 1)[1])
        assert told == tokens.Passed(giver.pk, staff.pk)
        place = Place(brand, poster.link)
        for _again in range(2):
            visit = visits.record_open(place, Visitor("a" * 22, taker.pk), told)
        assert (visit.via, visit.staff_id, visit.from_contact_id) == (Via.SHARED, staff.pk, giver.pk)
        [event] = Event.objects.filter(type=EventType.SHARED)
        assert (event.contact_id, event.data["to"]) == (giver.pk, taker.pk)
        assert [(row.contact_id, row.n_shared) for row in link_numbers.sharers(poster.link, None)] == [
            (giver.pk, 1)
        ]
        assert [row.contact_id for row in link_numbers.people(poster.link, None)] == [taker.pk]
        own = visits.record_open(place, Visitor("b" * 22, giver.pk), told)
        assert (own.via, own.from_contact_id) == (Via.POSTER, None)
        poster.link.refresh_from_db()
        assert poster.link.n_known == link_numbers.people(poster.link, None).count() == 2
        stranger = visits.record_open(place, Visitor("c" * 22), tokens.Passed(10**9, staff.pk))
        assert (stranger.via, stranger.staff_id, stranger.from_contact_id) == (Via.POSTER, staff.pk, None)


def test_the_guides_picture_or_their_name(brand: Brand, staff: Any, settings: Any, tmp_path: Any) -> None:
    settings.MEDIA_ROOT = tmp_path
    parts = [PARTS[0], {"kind": "avatar", "x": 200, "y": 20, "w": 100}]
    url = "https://wework.qpic.cn/a.jpg"
    path = tmp_path / f"{brand.pk}/avatars/{hashlib.sha256(url.encode()).hexdigest()}"
    with in_brand(brand):
        poster = make_poster(brand, layout={"parts": parts})
        middle = (
            Image.open(io.BytesIO(render(brand, poster, staff=staff))).convert("RGB").crop((230, 30, 270, 40))
        )
        assert {colour for _n, colour in middle.getcolors() or []} != {
            (255, 255, 255)
        }  # a disc with the name
        file = make_picture(brand, (80, 60), "blue")
        media.write(path, media.read(file))
        staff.avatar = url
        picture = Image.open(io.BytesIO(render(brand, poster, staff=staff))).convert("RGB")
        red, _green, blue = picture.getpixel((250, 70))  # type: ignore[misc]
        assert blue > 200 > 60 > red
        corner = picture.getpixel((202, 22))
        assert min(corner) > 200  # type: ignore[arg-type]  # round


def test_a_channel_code_on_a_poster(brand: Brand, other_brand: Brand, settings: Any, tmp_path: Any) -> None:
    settings.MEDIA_ROOT = tmp_path
    with in_brand(other_brand):
        corp = make_corp(other_brand)
        theirs = ChannelCode.objects.create(corp=corp, name="别家", state="s1", qr_url="https://a.cn/q")
    with in_brand(brand):
        corp = make_corp(brand)
        code = ChannelCode.objects.create(corp=corp, name="门店", state="s2", qr_url="https://a.cn/q")
        kept = tmp_path / f"{brand.pk}/qr/{code.pk}-{hashlib.sha256(code.qr_url.encode()).hexdigest()[:16]}"
        media.write(kept, media.read(make_picture(brand, (90, 90), "green")))
        part = {"kind": "code", "x": 20, "y": 20, "w": 160, "code": code.pk}
        for bad in ({}, {"code": theirs.pk}, {"code": "x"}, {"code": 10**30}):
            with pytest.raises(InvalidError):
                make_poster(brand, layout={"parts": [{**part, "code": None, **bad}]})
        with pytest.raises(InvalidError):
            make_poster(brand, link_id=None)  # the link's code needs a link
        poster = make_poster(brand, link_id=None, layout={"parts": [part]})
        assert poster.link is None
        picture = Image.open(io.BytesIO(render(brand, poster))).convert("RGB")
        red, green, _blue = picture.getpixel((100, 100))  # type: ignore[misc]
        assert green > 100 > 60 > red
        ChannelCode.objects.filter(pk=code.pk).update(deleted_at=clock.now())
        with pytest.raises(InvalidError, match=r"deleted|删除"):
            render(brand, poster)


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
    assert sign_in(brand, "guide").post(f"/posters/{poster.pk}/archive/").status_code == 403
    api = client_of(brand, "content.view")
    assert api.get("/api/v1/posters/").json() == {
        "results": [{"id": poster.pk, "name": "新"}],
        "next": "",
    }
    assert api.get(f"/api/v1/posters/{poster.pk}/?contact={contact.pk}")["Content-Type"] == "image/jpeg"
    assert api.get(f"/api/v1/posters/{poster.pk}/?contact=999999").status_code == 404


def test_the_archive(brand: Brand, other_brand: Brand, sign_in: Any) -> None:
    with in_brand(brand):
        poster = make_poster(brand, name="去年双十一")
    client = sign_in(brand, "operator")

    def lists() -> list[bool]:
        return [
            "去年双十一" in client.get(f"/posters/{query}").content.decode()
            for query in ("", "?state=archived")
        ]

    assert lists() == [True, False]
    for _ in range(2):
        assert client.post(f"/posters/{poster.pk}/archive/").status_code == 302
        assert lists() == [False, True]
    assert client_of(brand, "content.view").get("/api/v1/posters/").json()["results"] == []
    assert 'name="back"' in client.get(f"/posters/{poster.pk}/").content.decode()
    assert sign_in(other_brand, "operator").post(f"/posters/{poster.pk}/archive/").status_code == 404
    client.post(f"/posters/{poster.pk}/archive/", {"back": "1"})
    assert lists() == [True, False]
    assert "归档里还没有海报" in client.get("/posters/?state=archived").content.decode()
    with in_brand(brand):
        done = AuditEntry.objects.filter(action__startswith="poster.").order_by("pk")
        assert list(done.values_list("action", flat=True)) == [
            "poster.create",
            "poster.archive",
            "poster.restore",
        ]
