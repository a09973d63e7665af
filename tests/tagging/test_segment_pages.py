"""Pages of segments: list, builder, live count, one segment, why."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from contacts.models import Contact
from tagging.models import Segment
from tagging.services import segments
from tagging.services.tags import add_tags
from tests.factories import in_brand, make_contact, make_tag

NOW = datetime(2026, 10, 1, tzinfo=UTC)
NAMED = {"all": [{"kind": "named"}]}


@pytest.fixture
def world(brand: Any, corp: Any, staff: Any) -> dict[str, Any]:
    with in_brand(brand):
        people = [make_contact(brand, staff) for _ in range(6)]
        tag = make_tag(brand, "宝妈")
        add_tags(brand, contacts=people[:4], tags=[tag.pk], source="page")
        from org.access import SYSTEM

        condition = {
            "all": [{"kind": "tags", "mode": "any", "ids": [tag.pk]}, {"not": {"kind": "do_not_contact"}}]
        }
        segment = segments.create_segment(brand, by=SYSTEM, name="宝妈们", condition=condition)
    return {"brand": brand, "people": people, "tag": tag, "segment": segment, "condition": condition}


def test_live_count_says_how_many_and_what_is_wrong(world: dict[str, Any], sign_in: Any) -> None:
    client = sign_in(world["brand"], "operator")
    found = client.post("/segments/count/", {"condition": json.dumps(world["condition"])}).json()
    assert found["n"] == 4 and len(found["sample"]) == 4 and "宝妈" in found["sentence"]
    bad = {"all": [{"kind": "named"}, {"not": {"kind": "tags", "mode": "any"}}]}
    problems = client.post("/segments/count/", {"condition": json.dumps(bad)}).json()["problems"]
    assert [p["path"] for p in problems] == ["1.0"]
    assert client.post("/segments/count/", {"condition": "{"}).status_code == 422


def test_from_a_template_to_a_segment(world: dict[str, Any], sign_in: Any) -> None:
    client = sign_in(world["brand"], "operator")
    assert "cart" in client.get("/segments/new/?template=cart_not_bought").content.decode()
    answer = client.post("/segments/new/", {"name": "有名字", "note": "", "condition": json.dumps(NAMED)})
    assert answer.status_code == 302
    url = answer["Location"]
    assert client.get(url).status_code == client.get(f"{url}edit/").status_code == 200
    changed = {"name": "有名字的", "note": "x", "condition": json.dumps({"all": [{"kind": "everybody"}]})}
    assert client.post(f"{url}edit/", changed).status_code == 302
    for bad in ({"name": ""}, {"condition": "{"}, {"condition": json.dumps({"all": []})}, {"name": "宝妈们"}):
        assert (
            client.post(
                "/segments/new/", {"name": "y", "note": "", "condition": json.dumps(NAMED), **bad}
            ).status_code
            == 422
        )
    for act in ("count", "freeze"):
        assert client.post(f"{url}{act}/").status_code == 302
    assert "6" in client.get(url).content.decode()
    with in_brand(world["brand"]):
        assert Segment.objects.filter(kind="frozen").count() == 1
        frozen = Segment.objects.get(kind="frozen")
    page = client.get(
        f"/segments/{frozen.pk}/"
    ).content.decode()  # a list that stands: nothing to freeze or to count
    assert f"/segments/{frozen.pk}/freeze/" not in page and f"/segments/{frozen.pk}/count/" not in page
    assert client.post(f"{url}delete/").status_code == 302
    assert client.get(url).status_code == 404


def test_why_somebody_is_in_or_out(world: dict[str, Any], sign_in: Any) -> None:
    client, url = sign_in(world["brand"], "operator"), f"/segments/{world['segment'].pk}/why/"
    inside, outside = world["people"][0], world["people"][5]
    for contact, first in ((inside.name, "holds"), (str(outside.pk), "fails")):
        found = client.get(url, {"contact": contact}).content.decode()
        assert found.split('<li class="')[1].startswith(first)
    assert client.get(url, {"contact": "没有这个人"}).status_code == 200


def test_choices_and_the_other_brand(world: dict[str, Any], other_brand: Any, sign_in: Any) -> None:
    client, stranger = sign_in(world["brand"], "operator"), sign_in(other_brand)
    assert client.get("/segments/choices/?source=tags&q=宝").json()["results"][0][0] == world["tag"].pk
    assert stranger.get("/segments/choices/?source=tags&q=宝").json()["results"] == []
    assert client.get("/segments/choices/?source=secrets").status_code == 404
    from commerce.services.orders import record_orders

    row = {
        "order_no": "1", "state": 2, "placed_at": NOW, "amount_fen": 100, "channel": "小程序",
        "buyer_kind": "phone", "buyer_value": "13800000000",
    }  # fmt: skip
    with in_brand(world["brand"]):
        record_orders(world["brand"], [row], source="pos")
    for source, typed, expected in (
        ("order_channels", "", ["小程序"]), ("order_channels", "天猫", ["天猫"]), ("order_channels", "程序", ["程序", "小程序"]),
        ("order_sources", "", ["pos"]), ("words", "退款", ["退款"]), ("words", "", []), ("broadcasts", "", []),
    ):  # fmt: skip
        found = client.get("/segments/choices/", {"source": source, "q": typed}).json()["results"]
        assert [name for _id, name in found] == expected, source
    assert stranger.get("/segments/choices/?source=order_channels").json()["results"] == []
    assert stranger.get(f"/segments/{world['segment'].pk}/").status_code == 404
    assert sign_in(world["brand"], "guide").get("/segments/").status_code == 403
    with in_brand(world["brand"]):
        assert Contact.objects.count() == 6


@pytest.mark.django_db(transaction=True)
def test_a_tag_for_everybody_of_a_segment_and_back(
    world: dict[str, Any], other_brand: Any, sign_in: Any
) -> None:
    from tagging.models import ContactTag, TagAct

    brand, url = world["brand"], f"/segments/{world['segment'].pk}/tag/"
    with in_brand(brand):
        gold = make_tag(brand, "金卡")
    client = sign_in(brand)
    assert client.post(url, {"tag": "x", "way": "add"}).status_code == 422
    assert client.post(url, {"tag": gold.pk, "way": "add", "days": "0x"}).status_code == 422
    assert sign_in(other_brand).post(url, {"tag": gold.pk, "way": "add"}).status_code == 404
    assert client.post(url, {"tag": gold.pk, "way": "add", "days": "30"}).status_code == 302
    with in_brand(brand):
        assert ContactTag.objects.filter(tag=gold).count() == 4
        act = TagAct.objects.get(kind="segment")
    assert client.post(f"/tags/history/{act.pk}/undo/").status_code in (204, 302)
    with in_brand(brand):
        assert ContactTag.objects.filter(tag=gold).count() == 0
